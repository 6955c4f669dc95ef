//! What README.md tells a newcomer to type, run as it stands there: with an empty home directory,
//! in the repository's root.
//!
//! The reference is in the program: its topics are held to the code by the tests of their subjects.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::util::*;

const README: &str = include_str!("../../README.md");

/// The first block of that language after a heading of the page.
fn block(heading: &str, language: &str) -> String {
    block_of(README, heading, language)
}

fn block_of(text: &str, heading: &str, language: &str) -> String {
    let section = text.split(&format!("## {heading}\n")).nth(1).expect("the heading");
    let block = section.split(&format!("```{language}\n")).nth(1).expect("a block");
    block.split("```").next().expect("its end").to_string()
}

#[test]
fn the_first_dispatch_can_be_pasted_whole_on_an_empty_home() {
    is_pasted("A first dispatch by hand");
}

#[test]
fn the_start_in_one_minute_can_be_pasted_whole_on_an_empty_home() {
    is_pasted("A start in one minute");
}

/// Runs the first block below a heading; it prints what the next one shows.
fn is_pasted(heading: &str) {
    let lab = Lab::new();
    let folder = Path::new(DAEMON).parent().expect("a folder").display().to_string();
    let pasted = block(heading, "sh").replace("target/debug/gstack-dispatch-daemon", DAEMON);
    let pasted = pasted.replace("$PWD/target/debug", &folder);
    let run = Command::new("sh")
        .args(["-c", &format!("{pasted}\nwait")])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", &lab.home)
        .stdin(Stdio::null())
        .output()
        .expect("sh");
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert_eq!(out, block(heading, "text"), "{err}");
    assert!(run.status.success(), "{err}");
}

#[test]
fn the_agent_that_is_shown_is_one_that_the_daemon_takes() {
    let lab = Lab::new();
    std::fs::create_dir_all(lab.ours()).expect("create dispatchd");
    let topic = include_str!("../../src/pure/reference/topics/settings.md");
    let shown = block_of(topic, "An agent of your own", "json");
    std::fs::write(lab.ours().join("config.json"), &shown).expect("write config.json");
    let daemon = lab.daemon().env("PATH", format!("{FIXTURES}/bin:/usr/bin:/bin")).start();
    let said = "agy is not there: no program agy in PATH";
    let is_here = daemon.stderr().contains("agy is /");
    assert!(is_here || daemon.stderr().contains(said), "{}", daemon.stderr());
    drop(daemon);
}

#[test]
fn the_command_line_of_a_session_is_the_one_that_is_shown() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let dump = lab.path("dump");
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    lab.completed("a");
    let shown = block("What a session is, and what happens to your repository", "text");
    let (fixed, _) = shown.trim().split_once(" 0f8b4c1e").expect("an id at the end");
    let argv = text_file(dump.join("argv"));
    let words: Vec<&str> = argv.lines().collect();
    assert_eq!(format!("claude {}", words[..words.len() - 1].join(" ")), fixed);
    drop(daemon);
}

#[test]
fn the_page_is_short_enough_to_be_read() {
    assert!(README.lines().count() <= 350, "{} lines", README.lines().count());
}
