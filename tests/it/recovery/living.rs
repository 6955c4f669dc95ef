//! Sessions that outlive their daemon: adopted with their project, their TTL, their cancel and
//! their leftovers, and reported once.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{block, mark};
use crate::util::*;

#[test]
fn a_living_session_is_adopted_and_queued_ones_keep_their_places() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let start = || lab.daemon().set("--max-concurrent", 1);
    let daemon = start().start();
    lab.send(
        &lab.task(
            "a",
            format!("{}\n{}\nfake: result success I went on.", mark(&ran), block(&gate)),
        ),
    );
    let hold = gate.held();
    for name in ["z", "b", "y"] {
        lab.send(&lab.task(name, mark(&ran)));
        lab.accepted(name);
    }
    let (_, _, pid) = marks(&ran)[0].clone();
    daemon.crash();
    assert!(alive(pid), "the session died with its daemon");
    let daemon = start().start();
    let adopted = lab.event("a", "adopted");
    assert_eq!((&adopted["attempt"], &adopted["pid"]), (&json!(1), &json!(pid)), "{adopted}");
    let beat = lab.heartbeat("it shows the adopted one", |b| b["active"] == 1 && b["queued"] == 3);
    assert_eq!(beat["sessions"][0]["id"], "dispatch-a", "{beat}");
    assert_eq!(starts(&ran), ["a"], "nothing starts beside it");
    hold.release();
    let report = lab.settled("a");
    lab.completed("a");
    assert_eq!(report["result"], "I went on.");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    ["z", "b", "y"].iter().for_each(|name| drop(lab.settled(name)));
    assert_eq!(starts(&ran), ["a", "z", "b", "y"]);
    // And once means once, whoever starts again.
    let inode = fs::metadata(lab.report_path("a")).expect("the report").ino();
    daemon.crash();
    let daemon = start().start();
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    assert_eq!(fs::metadata(lab.report_path("a")).expect("the report").ino(), inode);
    assert_eq!(lab.events("a").iter().filter(|e| *e == "completed").count(), 1);
    drop(daemon);
}

#[test]
fn a_session_is_adopted_again_and_again() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let mut daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("{}\n{}", mark(&ran), block(&gate))));
    let hold = gate.held();
    for n in 1..=4 {
        daemon.crash();
        daemon = lab.daemon().start();
        wait_until("one more adoption", PATIENCE, || {
            lab.events("a").iter().filter(|e| *e == "adopted").count() == n
        });
    }
    hold.release();
    lab.completed("a");
    assert_eq!(starts(&ran), ["a"]);
    drop(daemon);
}

#[test]
fn adopted_sessions_count_even_where_there_are_more_than_may_run() {
    let lab = Lab::new();
    let (one, two, ran) = (lab.gate("one"), lab.gate("two"), lab.path("ran"));
    let daemon = lab.daemon().set("--max-concurrent", 2).start();
    lab.send(&lab.task("a", block(&one)));
    lab.send(&lab.task("b", block(&two)));
    let (hold_one, hold_two) = (one.held(), two.held());
    lab.send(&lab.task("c", mark(&ran)));
    lab.accepted("c");
    daemon.crash();
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.heartbeat("both are watched", |b| b["active"] == 2 && b["queued"] == 1);
    hold_one.release();
    lab.completed("a");
    lab.heartbeat("one is left, and its slot is the only one", |b| {
        b["active"] == 1 && b["queued"] == 1
    });
    assert!(!ran.exists());
    hold_two.release();
    lab.completed("b");
    lab.completed("c");
    drop(daemon);
}

#[test]
fn an_adopted_session_keeps_its_project_to_itself() {
    let lab = Lab::new();
    let (gate, ran, dir) = (lab.gate("gate"), lab.path("ran"), lab.project("shared"));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", block(&gate)).in_dir(&dir));
    let hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    lab.send(&lab.task("b", mark(&ran)).in_dir(&dir));
    lab.accepted("b");
    lab.send(&lab.task("other", "hello"));
    lab.completed("other");
    assert!(!ran.exists());
    hold.release();
    lab.completed("a");
    lab.completed("b");
    drop(daemon);
}

#[test]
fn the_ttl_of_an_adopted_session_is_kept() {
    let lab = Lab::new();
    let (gate, pids) = (lab.gate("gate"), lab.path("pids"));
    let daemon = lab.daemon().start();
    let task =
        format!("fake: ignore-term\nfake: setsid-child {}\n{}", pids.display(), block(&gate));
    lab.send(&lab.task("a", task).with("ttl_seconds", 2));
    let _hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    lab.ended("a", "timeout", "timeout");
    assert!(pids_in(&pids).iter().all(|pid| !alive(*pid)));
    drop(daemon);
}

#[test]
fn a_ttl_that_ran_out_while_no_daemon_was_there_is_kept_by_the_next() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", block(&gate)).with("ttl_seconds", 1));
    let _hold = gate.held();
    let held_at = Instant::now();
    daemon.crash();
    wait_until("the end of its TTL", PATIENCE, || held_at.elapsed() > Duration::from_millis(1100));
    let daemon = lab.daemon().start();
    lab.ended("a", "timeout", "timeout");
    drop(daemon);
}

#[test]
fn an_adopted_session_can_be_cancelled() {
    let lab = Lab::new();
    let (gate, pids) = (lab.gate("gate"), lab.path("pids"));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: setsid-child {}\n{}", pids.display(), block(&gate))));
    let _hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("write");
    lab.ended("a", "cancelled", "cancelled");
    assert!(pids_in(&pids).iter().all(|pid| !alive(*pid)));
    drop(daemon);
}

#[test]
fn a_session_is_cancelled_by_a_request_that_came_while_no_daemon_was_there() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", block(&gate)));
    let _hold = gate.held();
    lab.send(&lab.task("b", "fake: mark ran"));
    lab.accepted("b");
    daemon.crash();
    for name in ["a", "b"] {
        fs::write(lab.inbox().join(format!("cancel-dispatch-{name}")), "").expect("write");
    }
    let daemon = lab.daemon().start();
    lab.ended("a", "cancelled", "cancelled");
    lab.ended("b", "cancelled", "cancelled");
    assert!(!lab.path("project-b/ran").exists());
    drop(daemon);
}

#[test]
fn the_leftovers_of_an_adopted_session_are_ended() {
    let lab = Lab::new();
    let (gate, pids) = (lab.gate("gate"), lab.path("pids"));
    let daemon = lab.daemon().start();
    let child = |kind: &str| format!("fake: {kind} {}\n", pids.display());
    // The last one has an empty environment: only the stdout that it holds gives it away.
    let before = child("setsid-child") + &child("double-fork-child") + &child("holder-child");
    lab.send(&lab.task("a", format!("{before}{}\n{}", block(&gate), child("nohup-child"))));
    let hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    hold.release();
    let report = lab.completed("a");
    assert_eq!(all_gone(&pids).len(), 4);
    assert_eq!(report["leftover_processes"].as_array().map(Vec::len), Some(4), "{report:#}");
    drop(daemon);
}

#[test]
fn a_shutdown_ends_adopted_sessions_like_its_own() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", block(&gate)));
    let _hold = gate.held();
    daemon.crash();
    let mut daemon = lab.daemon().set("--drain-timeout", 0.2).start();
    lab.event("a", "adopted");
    assert_eq!(daemon.stop(), 1);
    lab.ended("a", "cancelled", "shutdown");
}
