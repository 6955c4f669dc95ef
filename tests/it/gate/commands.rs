//! `approve` and `deny`: what they show, what they ask, and with which exit code they refuse.

use std::process::{Command, Stdio};

use serde_json::json;

use super::*;

fn command(lab: &Lab, words: &[&str]) -> Output {
    words.iter().fold(lab.plain_daemon(), |start, word| start.word(word)).output()
}

/// What `approve` prints, with the answer at its end taken off.
fn shown(out: &Output, name: &str) -> String {
    assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{out:?}");
    let last = format!("approved {}\n", id(name));
    out.stdout.strip_suffix(&last).unwrap_or_else(|| panic!("{out:?}")).to_string()
}

#[test]
fn approve_shows_the_whole_dispatch_so_that_nothing_in_it_can_hide() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    std::os::unix::fs::symlink(lab.project("real"), lab.path("link")).expect("symlink");
    let task = "first line\n\u{1b}[2Jerased \u{202e}turned\u{200b}\u{9b}\u{7f}\u{61c}\napproved dispatch-a";
    let dispatch = lab
        .task("a", task)
        .in_dir(&lab.path("link"))
        .with("dispatched_by", "me\nsha256 no")
        .with("ttl_seconds", 77)
        .with("callback_url", "http://127.0.0.1:1/secret/path?token=x")
        .with("clawvisor_task_id", "task-1")
        .with("source_signature", "abc")
        .with("constraints", json!(["be quick", "and\nlong"]))
        .with("learnings", json!(["l1", "l2", "l3", "l4", "l5", "l6"]));
    lab.send(&dispatch);
    waits(&lab, "a");
    let digest = sha256(&lab.dropped("a"));
    let out = command(&lab, &["approve", &id("a"), "--digest", &digest]);
    let want = format!(
        "dispatch  {id}\nfrom      me\\u{{a}}sha256 no\nagent     claude\nproject   project-a\ndirectory {dir}\n\
         ttl       77 s\ncallback  http://127.0.0.1:1\nclawvisor task-1\nsignature unchecked\nwaits     untrusted_project\n\
         sha256    {digest}\ntask\n  | first line\n  | \\u{{1b}}[2Jerased \\u{{202e}}turned\\u{{200b}}\\u{{9b}}\\u{{7f}}\\u{{61c}}\n\
         \x20 | approved dispatch-a\nconstraints\n  | be quick\n  | and\n  | long\nlearnings\n\
         \x20 | l1\n  | l2\n  | l3\n  | l4\n  | l5\n  | l6\n",
        id = id("a"),
        dir = lab.path("real").display(),
    );
    assert_eq!(shown(&out, "a"), want);
    lab.completed("a");
    drop(daemon);
}

#[test]
fn without_a_terminal_nothing_is_approved_unless_it_is_said() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    send_to_wait(&lab, "a");
    let out = command(&lab, &["approve", &id("a")]);
    assert_eq!(out.code, 2, "{out:?}");
    assert!(out.stderr.contains("--yes") && out.stdout.starts_with("dispatch "), "{out:?}");
    assert!(!out.stdout.contains("approved"), "{out:?}");
    assert!(!control(&lab, "approve", "a").exists() && pending(&lab, "a").exists());
    let out = command(&lab, &["approve", &id("a"), "--digest", &"0".repeat(64)]);
    assert_eq!(out.code, 1, "{out:?}");
    assert!(out.stderr.contains(&sha256(&lab.dropped("a"))), "{out:?}");
    assert!(!control(&lab, "approve", "a").exists());
    shown(&command(&lab, &["approve", "--yes", &id("a")]), "a");
    lab.completed("a");
    // It waits no longer.
    for words in [["approve", "--yes"], ["deny", "--reason=x"]] {
        let out = command(&lab, &[&words[..], &[&id("a")]].concat());
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{out:?}");
    }
    for (words, code) in [
        (&["approve"][..], 2),
        (&["deny"], 2),
        (&["approve", "../x", "--yes"], 3),
        (&["deny", "x"], 3),
    ] {
        assert_eq!(command(&lab, words).code, code, "{words:?}");
    }
    drop(daemon);
}

#[test]
fn a_daemon_that_is_down_heeds_what_was_said_when_it_comes_up() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    for name in ["yes", "no"] {
        send_to_wait(&lab, name);
    }
    drop(daemon);
    shown(&command(&lab, &["approve", &id("yes"), "--yes"]), "yes");
    let out = command(&lab, &["deny", &id("no"), "--reason", "not\there"]);
    assert_eq!(
        (out.code, out.stdout, out.stderr),
        (0, format!("denied {}\n", id("no")), String::new())
    );
    let daemon = gated(&lab).start();
    lab.completed("yes");
    assert_eq!(lab.ended("no", "cancelled", "not_authorized")["error"], "denied: not here");
    assert_eq!(starts(&lab.path("ran")), ["yes"]);
    drop(daemon);
}

#[test]
fn no_session_approves_by_accident() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    send_to_wait(&lab, "a");
    for name in ["GSTACK_RUN_TOKEN", "GSTACK_DISPATCH_ID"] {
        for words in [["approve", "--yes"], ["deny", "--reason=x"]] {
            let start = words
                .iter()
                .fold(lab.plain_daemon().env(name, "x"), |start, word| start.word(word));
            let out = start.word(&id("a")).output();
            assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{name}: {out:?}");
        }
    }
    assert!(pending(&lab, "a").exists() && !control(&lab, "approve", "a").exists());
    ask(&lab, "deny", "a", "done");
    lab.report("a");
    drop(daemon);
}

/// Types an answer at a terminal's prompt. `None`, and SKIPPED, without python3.
fn typed(lab: &Lab, name: &str, answer: &str) -> Option<i32> {
    const TERMINAL: &str = "import os, pty, sys\n\
        pid, end = pty.fork()\n\
        if pid == 0: os.execvp(sys.argv[2], sys.argv[2:])\n\
        seen = b''\n\
        while b'approve? [y/N]' not in seen: seen += os.read(end, 1000)\n\
        os.write(end, sys.argv[1].encode() + b'\\n')\n\
        try:\n  while os.read(end, 1000): pass\n\
        except OSError: pass\n\
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n";
    let ran = Command::new("python3")
        .args(["-c", TERMINAL, answer, DAEMON, "approve", &id(name)])
        .env("GSTACK_HOME", &lab.gstack)
        .env("HOME", &lab.home)
        .stdin(Stdio::null())
        .output();
    let Ok(ran) = ran else {
        skipped("python3 is needed to make a terminal");
        return None;
    };
    ran.status.code()
}

#[test]
fn at_a_terminal_a_person_is_asked() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    send_to_wait(&lab, "a");
    for no in ["", "n", "maybe"] {
        let Some(code) = typed(&lab, "a", no) else { return };
        assert_eq!(code, 1, "{no:?}");
        assert!(!control(&lab, "approve", "a").exists() && !has_run(&lab, "a"));
    }
    assert_eq!(typed(&lab, "a", "y"), Some(0));
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_strong_signature_stands_for_an_approval_where_the_settings_say_so() {
    let lab = Lab::new();
    assert_eq!(command(&lab, &["keygen", "k"]).code, 0);
    let signed = |name: &str| {
        let file = lab.path("to-sign.json");
        std::fs::write(&file, lab.task(name, "hello").bytes()).expect("write");
        let out = command(&lab, &["sign", file.to_str().expect("UTF-8")]);
        lab.place(&format!("{}.json", id(name)), out.stdout.as_bytes());
    };
    let daemon = gated(&lab).start();
    signed("waits");
    waits(&lab, "waits");
    drop(daemon);
    let daemon = gated(&lab).word("--signed-is-approved").start();
    signed("runs");
    for name in ["waits", "runs"] {
        let report = lab.completed(name);
        assert_eq!(report["approval"]["by"], "signature", "{report:#}");
        assert_eq!(report["approval"]["signature"], "strong", "{report:#}");
    }
    lab.send(&lab.task("unsigned", "hello"));
    waits(&lab, "unsigned");
    ask(&lab, "deny", "unsigned", "x");
    lab.report("unsigned");
    drop(daemon);
}
