//! What the daemon's log tells people of files: what was accepted, what is a repetition, what will
//! never be looked at.

use std::fs;

use crate::util::*;

/// Waits for a line of the log that has all of these words, and gives how many there are.
fn told(daemon: &Daemon, words: &[&str]) -> usize {
    let count = || {
        let has_all = |line: &&str| words.iter().all(|word| line.contains(word));
        daemon.stderr().lines().filter(has_all).count()
    };
    wait_until(&format!("{words:?} in the log"), PATIENCE, || count() > 0);
    count()
}

#[test]
fn acceptance_is_told_with_what_and_where_it_stands() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(
        &lab.task("a", format!("fake: block {}", gate.display())).with("project", "one\n two"),
    );
    let hold = gate.held();
    for name in ["b", "c"] {
        lab.place(&format!("dispatch-file-{name}.json"), &lab.task(name, "hello").bytes());
        lab.accepted(name);
    }
    let of_a =
        ["INFO", "dispatch-a", "accepted", "dispatch-a.json", "one two", "claude", "number 1"];
    assert_eq!(told(&daemon, &of_a), 1);
    let of_c = ["INFO", "dispatch-c", "dispatch-file-c.json", "project-c", "claude", "number 2"];
    assert_eq!(told(&daemon, &of_c), 1);
    hold.release();
    for name in ["a", "b", "c"] {
        lab.completed(name);
    }
    drop(daemon);
}

#[test]
fn a_file_that_was_answered_already_goes_with_a_warning() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let dispatch = lab.task("a", "hello");
    lab.send(&dispatch);
    lab.settled("a");
    assert!(!daemon.stderr().contains("new id"));
    lab.send(&dispatch);
    told(&daemon, &["WARN", "dispatch-a.json", "answered", "use a new id"]);
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
    lab.place("dispatch-other.json", &lab.task("a", "something else").bytes());
    told(&daemon, &["WARN", "dispatch-other.json", "dispatch-a", "use a new id"]);
    drop(daemon);
}

#[test]
fn what_is_ignored_for_ever_is_told_once() {
    let lab = Lab::new();
    fs::create_dir_all(lab.ours().join("control")).expect("create");
    fs::create_dir_all(lab.inbox()).expect("create");
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    let ignored = ["x.json", "dispatch-x.JSON", "cancel-x", "notes"];
    let ours =
        ["audit.jsonl.1", ".hidden", ".tmp.x", ".aside-dispatch-a-1", "cancel-dispatch-later"];
    for name in ignored.iter().chain(&ours) {
        fs::write(lab.inbox().join(name), "").expect("write");
    }
    fs::write(lab.ours().join("control/stop"), "").expect("write");
    fs::write(lab.ours().join("control/cancel-y"), "").expect("write");
    for name in ignored.iter().chain(&["control/stop", "control/cancel-y"]) {
        told(&daemon, &["WARN", &format!(" {name} is ignored")]);
    }
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    // Many looks at everything later:
    let mut seen = std::collections::BTreeSet::new();
    lab.heartbeat("some beats", |beat| {
        seen.insert(beat["ts"].to_string());
        seen.len() > 8
    });
    let log = daemon.stderr();
    for name in ignored.iter().chain(&["control/stop", "control/cancel-y"]) {
        assert_eq!(log.matches(&format!(" {name} is ignored")).count(), 1, "{log}");
    }
    for name in
        ours.iter().chain(&["completed", "audit.jsonl", "dispatch-a.json", ".daemon-heartbeat"])
    {
        assert!(!log.contains(&format!("{name} is ignored")), "{name}: {log}");
    }
    drop(daemon);
}

#[test]
fn a_file_that_is_written_beside_and_renamed_is_no_ignored_one() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--settle", 5).set("--heartbeat", 0.2).start();
    fs::write(lab.inbox().join("dispatch-a.json.tmp"), lab.task("a", "hello").bytes())
        .expect("write");
    lab.send(&lab.task("b", "hello"));
    lab.settled("b");
    fs::rename(lab.inbox().join("dispatch-a.json.tmp"), lab.dropped("a")).expect("rename");
    lab.settled("a");
    assert!(!daemon.stderr().contains("is ignored"), "{}", daemon.stderr());
    drop(daemon);
}

#[test]
fn no_more_than_a_thousand_names_are_told() {
    const COUNT: usize = 1100;
    let lab = Lab::new();
    fs::create_dir_all(lab.inbox()).expect("create");
    for n in 0..COUNT {
        fs::write(lab.inbox().join(format!("note-{n}")), "").expect("write");
    }
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    told(&daemon, &["WARN", "further ones are not told"]);
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    assert_eq!(daemon.stderr().matches(" is ignored: ").count(), 1000);
    drop(daemon);
}
