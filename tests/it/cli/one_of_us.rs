//! One daemon for one directory: a second one leaves, of ten one works, and a crash frees the
//! lock.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::json;

use crate::util::*;

#[test]
fn a_second_daemon_leaves_quietly() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    let audit = lab.audit().len();
    let start = Instant::now();
    let out = lab.daemon().set("--lock-wait", 0.4).output();
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (0, "", ""));
    assert!(
        start.elapsed() >= Duration::from_millis(400),
        "it waits for a lock that a dying daemon still holds"
    );
    assert_eq!(lab.audit().len(), audit);
    let pid = daemon.pid;
    lab.heartbeat("of the first", |b| b["pid"] == pid && b["active"] == 1);
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_second_daemon_complains_when_the_first_one_hangs() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let mut beat = lab.heartbeat("the first", |_| true);
    daemon.signal(Signal::STOP);
    beat["ts"] = json!("2026-01-01T00:00:00.000Z");
    fs::write(lab.heartbeat_path(), beat.to_string()).expect("write");
    let out = lab.daemon().output();
    daemon.signal(Signal::CONT);
    assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{out:?}");
    assert_eq!(out.stderr.lines().count(), 1, "{out:?}");
    drop(daemon);
}

#[test]
fn of_ten_daemons_started_at_once_one_works() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    for n in 0..10 {
        lab.send(&lab.task(&n.to_string(), format!("fake: mark {}", ran.display())));
    }
    let mut daemons: Vec<_> = (0..10).map(|_| lab.daemon().spawn()).collect();
    (0..10).for_each(|n| drop(lab.settled(&n.to_string())));
    wait_until("all but one to leave", PATIENCE, || {
        daemons.iter_mut().filter_map(|d| d.exited()).count() == 9
    });
    let mut running = None;
    for mut daemon in daemons {
        match daemon.exited() {
            Some(status) => {
                assert!(status.success());
                daemon.left();
            }
            None => running = Some(daemon),
        }
    }
    assert_eq!(starts(&ran).len(), 10);
    drop(running.expect("one that works"));
}

#[test]
fn the_lock_is_free_again_after_a_crash() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held(); // the session lives on, and does not hold the lock
    daemon.crash();
    let daemon = lab.daemon().start();
    hold.release();
    lab.completed("a");
    drop(daemon);
}
