//! `help`: of all, of each command, and the topics; and the man page, with the programs that read
//! it.

use std::fs;
use std::path::Path;
use std::process::Command;

use gstack_dispatch_daemon::pure::command::table::COMMANDS;
use gstack_dispatch_daemon::pure::human::width;
use gstack_dispatch_daemon::pure::reference::topic::TOPICS;

use super::{answer, ours, said};
use crate::util::*;

fn too_wide(text: &str) -> Vec<&str> {
    text.lines().filter(|line| width::of(line) > 80).collect()
}

#[test]
fn every_help_and_topic_fits_eighty_columns_and_is_listed() {
    let lab = Lab::new();
    let all = said(&lab, &["help"]);
    assert_eq!(said(&lab, &["--help"]), all);
    assert_eq!(too_wide(&all), Vec::<&str>::new());
    let words = COMMANDS.iter().map(|row| row.name).chain(TOPICS.iter().map(|topic| topic.name));
    for word in words {
        assert!(all.contains(&format!("\n  {word}")), "{word} is not listed");
        let text = said(&lab, &["help", word]);
        assert_eq!(too_wide(&text), Vec::<&str>::new(), "{word}");
        assert!(text.len() > 200, "{word}: {text}");
    }
    for row in COMMANDS {
        let (own, text) = (said(&lab, &[row.name, "--help"]), said(&lab, &["help", row.name]));
        assert!(text.starts_with(&own), "{}", row.name);
    }
}

#[test]
fn a_word_that_is_a_command_and_a_topic_has_both_in_this_order() {
    let lab = Lab::new();
    let both = COMMANDS.iter().find(|row| TOPICS.iter().any(|topic| topic.name == row.name));
    let Some(row) = both else { return };
    let text = said(&lab, &["help", row.name]);
    let (usage, field) = (text.find("Usage: "), text.find("dispatch_id"));
    assert!(usage.is_some() && usage < field, "{text}");
}

#[test]
fn an_unknown_topic_is_two_and_the_nearest_is_named() {
    let lab = Lab::new();
    let output = ours(&lab, &["help", "permisions"]);
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(err.contains("permisions; did you mean permissions?"), "{err}");
}

#[test]
fn help_is_the_same_without_a_home_and_with_a_broken_config() {
    let lab = Lab::new();
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    fs::write(lab.ours().join("config.json"), "{").expect("write config.json");
    let bare = Command::new(DAEMON).args(["help", "files"]).env_clear().output().expect("help");
    assert_eq!(String::from_utf8_lossy(&bare.stdout), said(&lab, &["help", "files"]));
}

/// The names that the store gives to what lies in its two folders, from its own source.
fn names_of_the_store() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/effects/store")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the store") {
            let path = entry.expect("a file of the store").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = text_file(&path);
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            for before in
                ["own.join(\"", "own_dir().join(\"", "dispatch.join(\"", "NAME: &str = \""]
            {
                let names = code.split(before).skip(1);
                let names = names.map(|rest| rest.split('"').next().expect("its end").to_string());
                found.extend(names);
            }
        }
    }
    found
}

#[test]
fn every_file_of_the_store_is_in_its_topic() {
    let lab = Lab::new();
    let text = said(&lab, &["help", "files"]);
    let names = names_of_the_store();
    assert!(names.len() > 15, "{names:?}");
    let of_an_attempt = ["prompt.txt", "stdout.jsonl", "stderr.log", "verify.log", "reason.json"];
    for name in names.iter().map(String::as_str).chain(of_an_attempt) {
        let name = name.rsplit('/').next().unwrap_or_default();
        assert!(text.contains(name), "{name}");
    }
}

/// Whether that program is here; where it is not, that is said.
fn is_here(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let is_here = found.is_ok_and(|found| found.status.success());
    if !is_here {
        skipped(&format!("{program} is not here"));
    }
    is_here
}

#[test]
fn the_man_page_is_read_without_a_warning() {
    let lab = Lab::new();
    let page = said(&lab, &["man"]);
    if is_here("groff") {
        let plain = ["-man", "-ww", "-Tutf8", "-P-c", "-P-b", "-P-u"];
        let read = answer(Command::new("groff").args(plain), &page);
        let warnings = String::from_utf8_lossy(&read.stderr);
        assert!(read.status.success() && warnings.is_empty(), "{warnings}");
        let text = String::from_utf8_lossy(&read.stdout);
        for section in ["NAME", "SYNOPSIS", "COMMANDS", "FILES", "STATUS"] {
            assert!(text.contains(section), "{section}");
        }
    }
    if is_here("mandoc") {
        let read = answer(Command::new("mandoc").args(["-Tlint", "-Wwarning"]), &page);
        let warnings = String::from_utf8_lossy(&read.stdout);
        assert!(read.status.success() && warnings.is_empty(), "{warnings}");
    }
}
