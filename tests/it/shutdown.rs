//! The end of the daemon: signals, the drain and its limits, what is left to the next daemon, and
//! the exit codes.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use crate::util::*;

fn block(gate: &Gate) -> String {
    format!("fake: block {}", gate.display())
}

fn last_heartbeat(lab: &Lab) -> Value {
    json_file(&lab.heartbeat_path())
}

fn draining(lab: &Lab) {
    lab.heartbeat("draining", |b| b["state"] == "drain");
}

#[test]
fn an_idle_daemon_stops_at_once_with_zero() {
    for signal in [Signal::TERM, Signal::INT] {
        let lab = Lab::new();
        // Nothing here waits for a drain timeout.
        let mut daemon = lab.daemon().set("--drain-timeout", 600).start();
        lab.send(&lab.task("a", "hello"));
        lab.settled("a");
        daemon.signal(signal);
        assert_eq!(daemon.wait(), 0);
        let beat = last_heartbeat(&lab);
        assert_eq!((&beat["state"], &beat["active"]), (&"stopped".into(), &0.into()), "{beat}");
        assert_eq!(lab.events(""), ["daemon_started", "daemon_stopped"]);
        assert!(lab.ours().join("lock").exists(), "the lock file is never removed");
    }
}

#[test]
fn a_stopping_daemon_lets_sessions_finish_and_starts_no_other() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let mut daemon = lab.daemon().set("--max-concurrent", 1).set("--drain-timeout", 600).start();
    let mark = format!("fake: mark {}", ran.display());
    lab.send(&lab.task("a", format!("{mark}\n{}", block(&gate))));
    let hold = gate.held();
    lab.send(&lab.task("b", mark.as_str()));
    lab.accepted("b");
    daemon.signal(Signal::TERM);
    draining(&lab);
    lab.send(&lab.task("c", mark.as_str()));
    hold.release();
    assert_eq!(daemon.wait(), 0);
    lab.completed("a");
    assert_eq!(starts(&ran), ["a"]);
    assert!(!lab.report_path("b").exists() && !lab.report_path("c").exists());
    // Nothing is lost: the next daemon takes them up in their order.
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.completed("b");
    lab.completed("c");
    assert_eq!(starts(&ran), ["a", "b", "c"]);
    drop(daemon);
}

#[test]
fn at_the_drain_timeout_sessions_are_ended_and_reported() {
    let lab = Lab::new();
    let (one, two, pids) = (lab.gate("one"), lab.gate("two"), lab.path("pids"));
    let mut daemon = lab.daemon().set("--drain-timeout", 0.4).start();
    let hard = format!("fake: ignore-term\nfake: setsid-child {}\n{}", pids.display(), block(&one));
    lab.send(&lab.task("a", hard));
    lab.send(&lab.task("b", block(&two)));
    let holds = [one.held(), two.held()];
    lab.send(&lab.task("c", "fake: mark ran"));
    lab.accepted("c");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait(), 1);
    for name in ["a", "b"] {
        lab.ended(name, "cancelled", "shutdown");
        assert_eq!(lab.event(name, "cancelled")["error_type"], "shutdown");
    }
    assert!(pids_in(&pids).iter().all(|pid| !alive(*pid)));
    assert!(lab.processes().is_empty());
    assert_eq!(last_heartbeat(&lab)["state"], "stopped");
    assert!(!lab.report_path("c").exists());
    drop(holds);
    let daemon = lab.daemon().start();
    lab.completed("c");
    assert_eq!(lab.report("a")["error_type"], "shutdown");
    drop(daemon);
}

#[test]
fn a_second_signal_ends_sessions_at_once() {
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM)] {
        let lab = Lab::new();
        let gate = lab.gate("gate");
        let mut daemon = lab.daemon().set("--drain-timeout", 600).start();
        lab.send(&lab.task("a", block(&gate)));
        let _hold = gate.held();
        daemon.signal(first);
        draining(&lab);
        daemon.signal(second);
        assert_eq!(daemon.wait(), 1);
        lab.ended("a", "cancelled", "shutdown");
        assert!(lab.processes().is_empty());
    }
}

#[test]
fn a_cancel_is_heeded_during_the_drain() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let mut daemon = lab.daemon().set("--drain-timeout", 600).start();
    lab.send(&lab.task("a", block(&gate)));
    let _hold = gate.held();
    daemon.signal(Signal::TERM);
    draining(&lab);
    fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("write");
    assert_eq!(daemon.wait(), 0);
    lab.ended("a", "cancelled", "cancelled");
}

#[test]
fn a_ttl_is_kept_during_the_drain() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let mut daemon = lab.daemon().set("--drain-timeout", 600).start();
    lab.send(&lab.task("a", block(&gate)).with("ttl_seconds", 1));
    let _hold = gate.held();
    assert_eq!(daemon.stop(), 0);
    lab.ended("a", "timeout", "timeout");
}

#[test]
fn a_stopping_daemon_does_not_wait_for_a_retry_that_is_not_due() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    let mut daemon =
        lab.daemon().set("--rate-limit-backoff", 1.5).set("--drain-timeout", 600).start();
    let task = format!(
        "fake: mark {}\nfake: once result error 429 rate_limit\nfake: once exit 1",
        ran.display()
    );
    lab.send(&lab.task("a", task));
    lab.event("a", "retried");
    assert_eq!(daemon.stop(), 0);
    assert!(!lab.report_path("a").exists());
    assert_eq!(starts(&ran).len(), 1);
    let daemon = lab.daemon().start();
    let report = lab.completed("a");
    assert_eq!(report["retry_count"], 1, "{report:#}");
    assert_eq!(starts(&ran).len(), 2);
    drop(daemon);
}

#[test]
fn a_long_backoff_survives_a_stop_and_can_still_be_cancelled() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().set("--rate-limit-backoff", 600).start();
    lab.send(&lab.task("a", "fake: mark ran\nfake: result error 429 rate_limit"));
    lab.event("a", "retried");
    assert_eq!(daemon.stop(), 0);
    let daemon = lab.daemon().start();
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    assert!(!lab.report_path("a").exists(), "the backoff was forgotten");
    fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("write");
    lab.ended("a", "cancelled", "cancelled");
    assert_eq!(starts(&lab.path("project-a/ran")).len(), 1);
    drop(daemon);
}

#[test]
fn sessions_can_be_left_to_the_next_daemon() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let start = || lab.daemon().set("--on-shutdown", "leave").set("--drain-timeout", 600);
    let mut daemon = start().start();
    lab.send(&lab.task("a", format!("fake: mark {}\n{}", ran.display(), block(&gate))));
    let hold = gate.held();
    assert_eq!(daemon.stop(), 0);
    daemon.left();
    let (_, _, pid) = marks(&ran)[0].clone();
    assert!(alive(pid), "the session was ended");
    assert_eq!(last_heartbeat(&lab)["state"], "stopped");
    assert!(!lab.report_path("a").exists());
    let daemon = start().start();
    assert_eq!(lab.event("a", "adopted")["pid"], pid);
    hold.release();
    let report = lab.completed("a");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    assert_eq!(starts(&ran), ["a"]);
    drop(daemon);
}

#[test]
fn the_first_signal_counts_even_while_the_daemon_starts() {
    let lab = Lab::new();
    (0..50).for_each(|n| lab.send(&lab.task(&n.to_string(), "hello")));
    let mut daemon = lab.daemon().spawn();
    wait_until("a heartbeat", PATIENCE, || lab.heartbeat_path().exists());
    assert_eq!(daemon.stop(), 0);
    let daemon = lab.daemon().set("--max-concurrent", 8).start();
    (0..50).for_each(|n| drop(lab.completed(&n.to_string())));
    drop(daemon);
}
