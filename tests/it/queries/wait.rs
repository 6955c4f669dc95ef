//! `wait`: when it returns, with which code, and what it says meanwhile.

use std::fs;
use std::process::Child;

use rustix::process::Signal;
use serde_json::json;

use super::*;

/// Starts a `wait` that lasts.
fn waiting(lab: &Lab, words: &[&str]) -> Child {
    let mut command = Command::new(DAEMON);
    let command = command.arg("wait").args(words).env("GSTACK_HOME", &lab.gstack);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("wait")
}

fn ended(child: Child) -> (i32, String, String) {
    let out = child.wait_with_output().expect("wait");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (out.status.code().expect("a code"), text(out.stdout), text(out.stderr))
}

fn codes(lab: &Lab, words: &[&str]) -> i32 {
    ask(lab, &[&["wait"], words].concat()).code
}

#[test]
fn the_code_is_that_of_the_first_typed_that_did_not_complete() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("good", "hello"));
    lab.completed("good");
    lab.send(&lab.task("bad", "fake: exit 3"));
    lab.report("bad");
    lab.send(&lab.task("late", "fake: sleep 60").with("ttl_seconds", 1));
    lab.report("late");
    lab.send(&lab.task("gone", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    assert_eq!(codes(&lab, &["good", "gone", "--timeout", "0"]), 124);
    assert_eq!(codes(&lab, &["good", "gone", "--timeout=0", "--any"]), 0);
    assert_eq!(codes(&lab, &["gone", "--for", "running"]), 0);
    fs::write(lab.inbox().join("cancel-dispatch-gone"), "").expect("cancel");
    lab.report("gone");
    drop(hold);
    lab.place("dispatch-odd.json", b"{\"id\": \"dispatch-odd\"}");
    lab.rejected("dispatch-odd.json");
    for (words, want) in [
        (&["good"][..], 0),
        (&["bad"], 10),
        (&["late"], 11),
        (&["gone"], 12),
        (&["odd"], 13),
        (&["good", "late", "bad"], 11),
        (&["good", "bad", "late"], 10),
        (&["bad", "--for", "running"], 0),
        (&["odd", "--for", "running"], 13),
        (&["good", "nobody"], 3),
        (&["good", "--for", "lunch"], 2),
        (&[], 2),
        (&["good", "--timeout", "soon"], 2),
    ] {
        assert_eq!(codes(&lab, words), want, "{words:?}");
    }
    let lines = ask(&lab, &["wait", "good", "bad"]).stdout;
    let lines: Vec<&str> = lines.lines().collect();
    assert!(lines[0].starts_with("dispatch-good completed 0s, $0.01"), "{lines:?}");
    assert!(lines[1].starts_with("dispatch-bad failed ") && lines.len() == 2, "{lines:?}");
    let none = ask(&lab, &["wait", "good", "nobody"]);
    assert_eq!(none.stdout, "", "nothing is done for any of them");
    drop(daemon);
}

#[test]
fn it_goes_on_through_a_restart_and_sees_an_answer_that_was_taken_away() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let mut daemon = lab.daemon().set("--on-shutdown", "leave").start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    let (one, both) = (waiting(&lab, &["a", "--json"]), waiting(&lab, &["a", "a"]));
    assert_eq!(daemon.stop(), 0);
    daemon.left();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    hold.release();
    lab.completed("a");
    fs::remove_file(lab.report_path("a")).expect("an orchestrator takes it");
    let (code, stdout, stderr) = ended(one);
    assert_eq!(code, 0, "{stderr}");
    let record: Value = serde_json::from_str(&stdout).expect("one line");
    assert_eq!(record, record_of(&lab, "a"));
    // Why it waited was said, once for each reason.
    assert!(stderr.contains("dispatch-a: running\n"), "{stderr}");
    assert_eq!(stderr.matches("dispatch-a: running\n").count(), 1, "{stderr}");
    assert_eq!(ended(both).0, 0);
    // Whoever comes after it is all over gets the same.
    assert_eq!(codes(&lab, &["a"]), 0);
    drop(daemon);
}

#[test]
fn what_passes_between_two_looks_is_seen() {
    let lab = Lab::new();
    lab.send(&lab.task("a", "hello"));
    let running = waiting(&lab, &["a", "--for", "running"]);
    let any = waiting(&lab, &["a", "a", "--any", "--timeout", "1m"]);
    let daemon = lab.daemon().start();
    lab.completed("a");
    let (code, stdout, _) = ended(running);
    assert_eq!((code, stdout.starts_with("dispatch-a ")), (0, true), "{stdout}");
    assert_eq!(ended(any).0, 0);
    drop(daemon);
}

#[test]
fn a_time_that_has_passed_names_what_is_open() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    assert_eq!(daemon.stop(), 0);
    lab.send(&lab.task("a", "hello"));
    let out = ask(&lab, &["wait", "a", "--timeout", "1", "--json"]);
    assert_eq!(out.code, 124, "{out:?}");
    let record: Value = serde_json::from_str(&out.stdout).expect("its record");
    assert_eq!((&record["id"], &record["state"]), (&json!(id("a")), &json!("inbox")));
    let out = ask(&lab, &["wait", "a", "--timeout", "0"]);
    assert_eq!((out.code, out.stdout.as_str()), (124, ""), "{out:?}");
    assert!(out.stderr.contains("dispatch-a: inbox: waits for a daemon: none runs"), "{out:?}");
}

#[test]
fn it_ends_with_its_reader_and_with_ctrl_c() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    assert_eq!(daemon.stop(), 0);
    lab.send(&lab.task("a", "hello"));
    let mut child = waiting(&lab, &["a"]);
    drop(child.stdout.take());
    assert_eq!(ended(child).0, 0);
    let child = waiting(&lab, &["a"]);
    let pid = child.id() as i32;
    // It says what it waits for once it listens to signals.
    let says = format!("/proc/{pid}/status");
    wait_until("it catches SIGINT", PATIENCE, || {
        let status = text_file(&says);
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|m| m & 2 > 0)
    });
    signal(pid, Signal::INT);
    assert_eq!(ended(child).0, 130);
}

#[test]
fn a_terminal_shows_progress_in_one_line_that_is_gone_at_the_end() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    assert_eq!(daemon.stop(), 0);
    lab.send(&lab.task("a", "hello"));
    let steps = "see dispatch-a inbox waits for a daemon\nkill INT";
    let Some(out) = at_terminal(&lab, (60, 24), steps, &["wait", "a"], &[]) else { return };
    assert_eq!(out.code, 130, "{out:?}");
    assert!(!out.stdout.contains('\n') && out.stdout.ends_with(" \r"), "{out:?}");
    for painted in out.stdout.split('\r') {
        assert!(painted.trim_end().chars().count() < 60, "{painted:?}");
    }
}
