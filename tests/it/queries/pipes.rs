//! Pipes whose reader goes away, full disks under stdout, and text that would drive a terminal.

use std::fs::File;
use std::io::Read;

use serde_json::json;

use super::*;

const HOSTILE: &str = "first \u{1b}[2J\u{9b}31m \u{202e}turned\u{200b}\u{7f}\u{61c}\u{7}\nnext";
const SHOWN: &str = "first \\u{1b}[2J\\u{9b}31m \\u{202e}turned\\u{200b}\\u{7f}\\u{61c}\\u{7}";

fn sent_and_stopped(lab: &Lab, name: &str, task: &str) {
    let mut daemon = lab.daemon().start();
    assert_eq!(daemon.stop(), 0);
    lab.send(&lab.task(name, task).with("project", "a\u{1b}]0;x\u{7}\nb"));
}

#[test]
fn what_others_wrote_cannot_drive_a_terminal() {
    let lab = Lab::new();
    sent_and_stopped(&lab, "a", HOSTILE);
    for words in [&["list"][..], &["status"], &["list", "--color=always"]] {
        let text = said(&lab, words);
        let is_ours = |c: char| c == '\n' || (c == '\u{1b}' && words.len() == 2);
        let bad: Vec<char> = text.chars().filter(|c| c.is_control() && !is_ours(*c)).collect();
        assert_eq!(bad, [], "{words:?}: {text:?}");
        assert!(text.contains("a\\u{1b}]0;x\\u{7}\\u{a}b"), "{words:?}: {text}");
        assert_eq!(text.contains(SHOWN), words[0] == "list", "{words:?}: {text}");
    }
    let raw = said(&lab, &["list", "--json"]);
    assert!(
        raw.contains("first \\u001b[2J\\u009b31m \\u202eturned\\u200b\\u007f\\u061c\\u0007"),
        "{raw}"
    );
    assert_eq!(json(&lab, &["list"])[0]["title"], json!(HOSTILE.lines().next()));
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_a_full_disk_is_one() {
    let lab = Lab::new();
    sent_and_stopped(&lab, "a", "hello");
    for words in ["list", "status", "list --json", "--help", "status --json --watch"] {
        let start = format!("{DAEMON} {words}; echo $? >{}", lab.path("code").display());
        let mut shell = Command::new("sh")
            .args(["-c", &start])
            .env("GSTACK_HOME", &lab.gstack)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh");
        let mut out = shell.stdout.take().expect("its stdout");
        if words.ends_with("watch") {
            // It writes nothing more, and ends all the same.
            let mut one = [0; 1];
            out.read_exact(&mut one).expect("a line");
        }
        drop(out);
        let done = shell.wait_with_output().expect("sh");
        assert_eq!(text_file(lab.path("code")), "0\n", "{words}");
        assert_eq!(String::from_utf8_lossy(&done.stderr), "", "{words}");
    }
    for words in [&["list"][..], &["status"], &["status", "--json"], &["--help"], &["--version"]] {
        let full = File::options().write(true).open("/dev/full").expect("/dev/full");
        let mut command = Command::new(DAEMON);
        let command = command.args(words).env("GSTACK_HOME", &lab.gstack);
        let done = command.stdout(full).output().expect("run");
        let stderr = String::from_utf8_lossy(&done.stderr);
        assert_eq!(done.status.code(), Some(1), "{words:?}: {stderr}");
        assert!(stderr.contains("cannot write the answer: No space left"), "{words:?}: {stderr}");
    }
}

#[test]
fn a_closed_stderr_or_stdout_is_no_panic() {
    let lab = Lab::new();
    for (line, code) in [
        ("list 2>&-", 0),
        ("list 2>/dev/full", 0),
        ("nonsense 2>&-", 2),
        ("status >&-", 1),
        ("status 2>&- >&-", 1),
    ] {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", &format!("{DAEMON} {line}")]).env("GSTACK_HOME", &lab.gstack);
        let done = shell.output().expect("sh");
        assert!([Some(code), Some(0)].contains(&done.status.code()), "{line}: {done:?}");
        assert!(!String::from_utf8_lossy(&done.stderr).contains("panicked"), "{line}: {done:?}");
    }
}
