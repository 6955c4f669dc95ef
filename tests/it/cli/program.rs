//! The look for `claude`: in which order, from cron's poor environment too, and what is said when
//! it is not there.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::fake;
use crate::util::*;

/// Which program ran, according to the fake.
fn program_that_ran(lab: &Lab, start: Start<'_>) -> String {
    let dump = lab.path("dump");
    let daemon = start.start();
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    lab.completed("a");
    drop(daemon);
    text_file(dump.join("program")).trim().to_string()
}

fn plant(path: &Path) -> String {
    fs::create_dir_all(path.parent().expect("a parent")).expect("create");
    symlink(fake(), path).expect("symlink");
    path.display().to_string()
}

/// Where only what a test plants can be found, unless the machine has one of its own.
const CRONS_PATH: &str = "/usr/bin:/bin";

#[test]
fn claude_is_looked_for_in_order() {
    // Each place hides those after it.
    for first in 0..5 {
        let lab = Lab::new();
        let at = |rest: &str| lab.home.join(rest);
        let planted: Vec<String> = [
            "flag/claude",
            "variable/claude",
            "path/claude",
            ".local/bin/claude",
            ".claude/local/claude",
        ]
        .iter()
        .skip(first)
        .map(|rest| plant(&at(rest)))
        .collect();
        let mut start = lab.daemon().env("PATH", CRONS_PATH);
        if first <= 2 {
            start = start.env("PATH", format!("{}:{CRONS_PATH}", at("path").display()));
        }
        if first <= 1 {
            start = start.env("GSTACK_DISPATCHD_CLAUDE", at("variable/claude").display());
        }
        if first == 0 {
            start = start.set("--claude", at("flag/claude").display());
        }
        assert_eq!(program_that_ran(&lab, start), planted[0], "place {first}");
    }
}

#[test]
fn a_claude_that_is_not_there_ends_the_start() {
    let lab = Lab::new();
    let not_found = |what: &str, out: Output| {
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{what}: {out:?}");
        assert!(
            out.stderr.contains("claude") && out.stderr.contains("not found"),
            "{what}: {}",
            out.stderr
        );
    };
    let nowhere = lab.path("nowhere/claude");
    not_found("flag", lab.plain_daemon().set("--claude", nowhere.display()).output());
    not_found(
        "variable",
        lab.plain_daemon().env("GSTACK_DISPATCHD_CLAUDE", nowhere.display()).output(),
    );
    let directory = lab.project("directory");
    not_found("a directory", lab.plain_daemon().set("--claude", directory.display()).output());
    let text = format!("{FIXTURES}/dispatch/hello.json");
    not_found("no program", lab.plain_daemon().set("--claude", text).output());
    if Path::new("/usr/local/bin/claude").exists() {
        skipped("the rest: this machine has /usr/local/bin/claude");
        return;
    }
    not_found("empty PATH", lab.plain_daemon().env("PATH", "").output());
    not_found("no PATH", lab.plain_daemon().no_env("PATH").output());
    // A file of that name which is no program is passed over.
    let dir = lab.project("with-text");
    fs::write(dir.join("claude"), "not a program").expect("write");
    not_found("no program in PATH", lab.plain_daemon().env("PATH", dir.display()).output());
}

#[test]
fn a_session_works_under_crons_environment() {
    let lab = Lab::new();
    plant(&lab.home.join(".local/bin/claude"));
    let daemon =
        lab.daemon().env("PATH", CRONS_PATH).env("LANG", "C").env("SHELL", "/bin/sh").start();
    lab.send(&lab.task("a", "Grüße\nfake: result success ok"));
    assert_eq!(lab.completed("a")["result"], "ok");
    drop(daemon);
}
