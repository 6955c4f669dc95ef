//! Another daemon holds the lock: the one that lost it starts, accepts and answers nothing that
//! the holder may answer.

use std::fs;

use rustix::process::Signal;

use super::{answers, lock, marked, overlaps, stand_still};
use crate::util::*;

/// Another daemon takes the place of one that stands still, after `meanwhile`.
fn overtaken(lab: &Lab, first: &Daemon, meanwhile: impl FnOnce()) -> Daemon {
    stand_still(first);
    meanwhile();
    lab.daemon().start()
}

#[test]
fn a_daemon_whose_lock_is_taken_leaves_its_sessions_to_the_holder() {
    let lab = Lab::new();
    let (gate, log) = (lab.gate("gate"), lab.path("log"));
    let mut first = lab.daemon().set("--heartbeat", 0.2).start();
    let dir = lab.project("one");
    lab.send(&lab.task("a", marked(&log, &gate)).in_dir(&dir));
    let hold = gate.held();
    lab.send(
        &lab.task("b", format!("fake: mark {0}\nfake: mark {0} end", log.display())).in_dir(&dir),
    );
    lab.accepted("b");
    let second = overtaken(&lab, &first, || fs::remove_file(lock(&lab)).expect("remove"));
    lab.event("a", "adopted");
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    let errors = first.stderr();
    let errors: Vec<&str> = errors.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    for word in [format!("pid {}", second.pid), lab.gstack.display().to_string()] {
        assert!(errors[0].contains(&word), "{errors:?}");
    }
    first.left();
    assert_eq!(lab.event("", "lock_lost")["holder"], second.pid);
    lab.heartbeat("of the second", |beat| beat["pid"] == second.pid && beat["active"] == 1);
    hold.release();
    assert_eq!(lab.settled("a")["status"], "completed");
    lab.settled("b");
    assert_eq!(starts(&log), ["a", "b"]);
    assert_eq!(overlaps(&log), [""; 0]);
    assert_eq!((answers(&lab, "a"), answers(&lab, "b")), (1, 1));
    drop(second);
}

#[test]
fn a_lost_daemon_ends_sessions_that_nobody_else_knows() {
    let lab = Lab::new();
    let (gate, log) = (lab.gate("gate"), lab.path("log"));
    let mut first = lab.daemon().set("--heartbeat", 600).start();
    lab.send(&lab.task("a", marked(&log, &gate)));
    let _hold = gate.held();
    let (_, _, pid) = marks(&log)[0].clone();
    let second = overtaken(&lab, &first, || fs::remove_dir_all(&lab.gstack).expect("remove"));
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    assert!(!alive(pid), "the session goes on");
    first.left();
    let report = lab.ended("a", "cancelled", "shutdown");
    assert!(report["warnings"].to_string().contains("remembered"), "{report:#}");
    assert_eq!(answers(&lab, "a"), 1);
    lab.send(&lab.task("b", "hello"));
    lab.settled("b");
    assert_eq!(lab.heartbeat("any", |_| true)["pid"], second.pid);
    drop(second);
}

#[test]
fn a_lost_daemon_does_not_answer_what_the_holder_was_given_anew() {
    let lab = Lab::new();
    let (gate, again) = (lab.gate("gate"), lab.gate("again"));
    let mut first = lab.daemon().set("--heartbeat", 600).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let _hold = gate.held();
    let second = overtaken(&lab, &first, || fs::remove_dir_all(&lab.gstack).expect("remove"));
    // The sender sends it again, and it runs there.
    lab.send(&lab.task("a", format!("fake: block {}", again.display())));
    let hold = again.held();
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    first.left();
    assert!(!lab.report_path("a").exists(), "it is answered in the holder's place");
    assert!(lab.active("a").exists(), "the holder's claim is gone");
    hold.release();
    assert_eq!(lab.settled("a")["status"], "completed");
    assert_eq!(answers(&lab, "a"), 1);
    drop(second);
}

#[test]
fn a_lost_daemon_accepts_nothing() {
    let lab = Lab::new();
    // No beat looks at the lock before the file does.
    let mut first = lab.daemon().set("--heartbeat", 600).start();
    let second = overtaken(&lab, &first, || fs::remove_file(lock(&lab)).expect("remove"));
    lab.send(&lab.task("a", "hello"));
    lab.send(&lab.task("b", "hello"));
    lab.settled("b");
    lab.settled("a");
    lab.place("dispatch-bad.json", b"{}");
    lab.rejected("dispatch-bad.json");
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    first.left();
    assert_eq!(lab.rejected_count(), 1);
    assert_eq!((answers(&lab, "a"), answers(&lab, "b")), (1, 1));
    drop(second);
}

#[test]
fn a_lost_daemon_starts_nothing_and_concludes_nothing() {
    let lab = Lab::new();
    let (gate, log) = (lab.gate("gate"), lab.path("log"));
    let mut first = lab.daemon().set("--heartbeat", 600).set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", marked(&log, &gate)));
    let hold = gate.held();
    lab.send(&lab.task("b", format!("fake: mark {0}\nfake: mark {0} end", log.display())));
    lab.accepted("b");
    let second = overtaken(&lab, &first, || fs::remove_file(lock(&lab)).expect("remove"));
    lab.event("a", "adopted");
    // The end of its session is the first thing that it sees.
    hold.release();
    lab.settled("b");
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    first.left();
    assert_eq!(lab.settled("a")["status"], "completed");
    assert_eq!(starts(&log).len(), 2);
    assert_eq!((answers(&lab, "a"), answers(&lab, "b")), (1, 1));
    drop(second);
}

#[test]
fn a_lost_daemon_leaves_a_retry_to_the_holder() {
    let lab = Lab::new();
    let log = lab.path("log");
    let mut first = lab.daemon().set("--heartbeat", 600).set("--rate-limit-backoff", 4).start();
    let limited = "fake: once result error 429 rate_limit\nfake: once exit 1";
    lab.send(&lab.task("a", format!("fake: mark {}\n{limited}", log.display())));
    lab.event("a", "retried");
    let second = overtaken(&lab, &first, || fs::remove_file(lock(&lab)).expect("remove"));
    lab.settled("a");
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    first.left();
    assert_eq!(starts(&log).len(), 2);
    assert_eq!(answers(&lab, "a"), 1);
    drop(second);
}

#[test]
fn a_lost_daemon_leaves_requests_alone() {
    let lab = Lab::new();
    let mut first = lab.daemon().set("--heartbeat", 600).set("--cancel-keep", 0).start();
    stand_still(&first);
    fs::remove_file(lock(&lab)).expect("remove");
    let second = lab.daemon().start();
    let cancel = lab.inbox().join("cancel-dispatch-x");
    fs::write(&cancel, "").expect("write");
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    first.left();
    assert!(cancel.exists(), "it ate the holder's cancel");
    lab.send(&lab.task("x", "hello"));
    lab.ended("x", "cancelled", "cancelled");
    drop(second);
}
