//! What a person at a terminal is told: which daemon runs, and what a stop waits for.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::lock;
use crate::util::*;

#[test]
fn a_lock_that_seems_held_is_tried_again_for_a_moment_even_without_a_wait() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let start = Instant::now();
    let out = lab.daemon().set("--lock-wait", 0).output();
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (0, "", ""));
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    drop(daemon);
}

/// Runs a daemon with a terminal of its own; gives what that shows, or `None` if there is none to
/// be had here.
fn on_a_terminal(lab: &Lab, redirect: &str) -> Option<Output> {
    let has_script =
        Command::new("script").arg("--version").output().is_ok_and(|o| o.status.success());
    if !has_script {
        skipped("no script(1), which makes a terminal");
        return None;
    }
    let run = format!("exec script -qec \"$* {redirect}\" /dev/null");
    Some(lab.daemon().under(&["sh", "-c", &run, "sh"]).output())
}

#[test]
fn a_second_daemon_on_a_terminal_says_which_one_runs() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let want = format!("pid {} runs here already", daemon.pid);
    for redirect in ["", "2>/dev/null", ">/dev/null"] {
        let Some(out) = on_a_terminal(&lab, redirect) else { return };
        assert_eq!((out.code, out.stdout.trim()), (0, want.as_str()), "{redirect}: {out:?}");
    }
    fs::write(lock(&lab), "").expect("empty it");
    let Some(out) = on_a_terminal(&lab, "") else { return };
    assert_eq!(out.stdout.trim(), want, "the heartbeat knows it too");
    drop(daemon);
}

#[test]
fn the_first_signal_says_what_is_waited_for_and_what_a_second_one_does() {
    let lab = Lab::new();
    let gates: Vec<Gate> = (0..4).map(|n| lab.gate(&format!("gate-{n}"))).collect();
    let start = lab.daemon().set("--max-concurrent", 4).set("--drain-timeout", 600);
    let mut daemon = start.start();
    for (n, gate) in gates.iter().enumerate() {
        lab.send(&lab.task(&n.to_string(), format!("fake: block {}", gate.display())));
    }
    let _holds: Vec<Hold> = gates.iter().map(Gate::held).collect();
    lab.heartbeat("four running", |beat| beat["active"] == 4);
    daemon.signal(Signal::INT);
    wait_until("the word", PATIENCE, || daemon.stderr().contains("SIGINT: "));
    let said = daemon.stderr();
    let said = said.lines().find(|line| line.contains("SIGINT: ")).expect("the line");
    let want = [
        "waiting up to 600 s for 4 running sessions",
        "dispatch-0, dispatch-1, dispatch-2 and 1 more",
    ];
    for word in want.into_iter().chain(["again: end them now"]) {
        assert!(said.contains(word), "{said}");
    }
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait(), 1);
}

#[test]
fn a_stop_that_leaves_sessions_running_says_so() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let mut daemon = lab.daemon().set("--on-shutdown", "leave").start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.heartbeat("running", |beat| beat["active"] == 1);
    assert_eq!(daemon.stop(), 0);
    let want = "SIGTERM: stopping; 1 session left running for the next daemon (dispatch-a)";
    assert!(daemon.stderr().contains(want), "{}", daemon.stderr());
    daemon.left();
    let daemon = lab.daemon().start();
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_stop_with_nothing_running_makes_no_words() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    assert_eq!(daemon.stop(), 0);
    let said = daemon.stderr();
    assert!(said.lines().any(|line| line.ends_with("SIGTERM: stopping")), "{said}");
}
