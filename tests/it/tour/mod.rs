//! A tour of the commands as an operator would take it, with the real binary and the fake agent.
//! What each command says, for people and as JSON, is compared with a snapshot that is kept.
//!
//! After a change that is meant: `TOUR_RENEW=1 cargo test --test it tour` writes the snapshots
//! anew; then read the difference as an operator would. What differs from run to run, and so is not
//! compared, stands in [`normal`].

mod normal;
mod page;
mod screen;
mod story;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::util::*;
use normal::Names;

const SNAPSHOTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tour/snapshots");
const RENEW: &str = "TOUR_RENEW";

/// Somebody at a terminal who types one command after the other, and keeps what is said.
struct Tour<'l> {
    lab: &'l Lab,
    names: Names,
    /// The name of the snapshot, and what was said since it began.
    chapters: Vec<(&'static str, String)>,
}

impl<'l> Tour<'l> {
    fn new(lab: &'l Lab) -> Tour<'l> {
        Tour { lab, names: normal::names_of(lab), chapters: Vec::new() }
    }

    fn chapter(&mut self, name: &'static str) {
        self.chapters.push((name, String::new()));
    }

    fn note(&mut self, said: &str) {
        let (_, chapter) = self.chapters.last_mut().expect("a chapter");
        *chapter += said;
    }

    fn start(&self, words: &[&str]) -> Start<'l> {
        let start = self.lab.plain_daemon().env("TZ", "UTC0").env("USER", "operator");
        words.iter().fold(start, |start, word| start.word(word))
    }

    /// For people and as JSON: for commands that may be typed twice.
    fn see(&mut self, words: &[&str]) {
        self.people(words);
        self.json(words);
    }

    /// What people read, which is kept.
    fn people(&mut self, words: &[&str]) -> String {
        let out = self.start(words).output();
        self.keep(words, &out, normal::text(&out.stdout, &self.names));
        let ends_in_blank = |line: &&str| line.ends_with(' ');
        let untidy: Vec<&str> = out.stdout.lines().filter(ends_in_blank).collect();
        assert!(untidy.is_empty(), "{words:?}: a blank at the end of {untidy:?}");
        assert!(!out.stdout.contains('\u{1b}'), "{words:?}: {}", out.stdout);
        out.stdout
    }

    fn json(&mut self, words: &[&str]) -> Vec<Value> {
        let words = [words, &["--json"]].concat();
        let out = self.start(&words).output();
        let read = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {out:?}"));
        let documents: Vec<Value> = out.stdout.lines().map(read).collect();
        assert!(out.stdout.is_empty() || out.stdout.ends_with('\n'), "{words:?}: {out:?}");
        let shown = |document: &Value| {
            let mut document = document.clone();
            normal::json(&mut document, &self.names);
            format!("{document:#}\n")
        };
        let text: String = documents.iter().map(shown).collect();
        self.keep(&words, &out, text);
        documents
    }

    fn keep(&mut self, words: &[&str], out: &Output, stdout: String) {
        let quoted = |word: &&str| match word.contains([' ', '\n']) || word.is_empty() {
            true => format!("'{word}'"),
            false => word.to_string(),
        };
        let typed: Vec<String> = words.iter().map(quoted).collect();
        let typed = normal::text(&typed.join(" "), &self.names);
        let told = match words.contains(&"--timeout") {
            true => out.stderr.lines().map(|line| format!("! {line}\n")).collect(),
            false => normal::told(&out.stderr, &self.names),
        };
        let code = if out.code == 0 { String::new() } else { format!("= {}\n", out.code) };
        self.note(&format!("$ {typed}{stdout}{told}{code}\n"));
    }

    /// Sends a dispatch with that id; `words` as they are typed.
    fn submit(&mut self, name: &str, project: &str, task: &str) {
        let id = id(name);
        let words = ["submit", "--id", &id, "--project-dir", project, "--task", task];
        let said = self.people(&words);
        assert_eq!(said, format!("{id}\n"));
    }

    /// Waits until `status` says so.
    fn until(&self, what: &str, mut so: impl FnMut(&Value) -> bool) {
        wait_until(what, PATIENCE, || {
            let out = self.start(&["status", "--json"]).output();
            so(&serde_json::from_str(&out.stdout).expect("JSON"))
        });
    }

    /// Everything was as it is kept, and nothing is kept that nobody says.
    fn compare(self) {
        let kept = Path::new(SNAPSHOTS);
        let path = |name: &str| kept.join(format!("{name}.txt"));
        if std::env::var_os(RENEW).is_some() {
            fs::create_dir_all(kept).expect("a folder for snapshots");
            for (name, said) in &self.chapters {
                fs::write(path(name), said).expect("write a snapshot");
            }
        }
        let mut known: Vec<PathBuf> =
            fs::read_dir(kept).expect("snapshots").map(|e| e.expect("an entry").path()).collect();
        known.sort();
        let mut said: Vec<PathBuf> = self.chapters.iter().map(|(name, _)| path(name)).collect();
        said.sort();
        let mut differences = String::new();
        for (name, said) in &self.chapters {
            let kept = fs::read_to_string(path(name)).unwrap_or_default();
            if kept != *said {
                differences += &format!("---- {name}\n{}", difference(&kept, said));
            }
        }
        let hint = format!("if that is meant, {RENEW}=1 keeps it");
        assert!(differences.is_empty(), "{differences}{hint}");
        assert_eq!(known, said, "the snapshots that are kept; {hint}");
    }
}

/// The lines between the first and the last that differ, with the command before them.
fn difference(kept: &str, said: &str) -> String {
    let (kept, said): (Vec<&str>, Vec<&str>) = (kept.lines().collect(), said.lines().collect());
    let same = kept.iter().zip(&said).take_while(|(one, two)| one == two).count();
    let rest = kept.len().min(said.len()) - same;
    let behind = kept.iter().rev().zip(said.iter().rev()).take(rest);
    let behind = behind.take_while(|(one, two)| one == two).count();
    let command = said[..same].iter().rev().find(|line| line.starts_with("$ "));
    let mut text = format!("  {}\n", command.unwrap_or(&""));
    kept[same..kept.len() - behind].iter().for_each(|line| text += &format!("- {line}\n"));
    said[same..said.len() - behind].iter().for_each(|line| text += &format!("+ {line}\n"));
    text
}

#[test]
fn a_difference_is_shown_with_its_command() {
    let kept = "$ list\na\nb\nc\n$ show\n";
    let want = "  $ list\n- b\n+ x\n+ y\n";
    assert_eq!(difference(kept, "$ list\na\nx\ny\nc\n$ show\n"), want);
    assert_eq!(difference("", "$ list\n"), "  \n+ $ list\n");
}
