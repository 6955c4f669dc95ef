//! What a daemon inherits from whoever starts it: ignored signals, no stdio, no home.

use std::process::Command;

use crate::util::*;

#[test]
fn a_daemon_that_inherits_an_ignored_sigchld_works() {
    let lab = Lab::new();
    let ignoring = ["env", "--ignore-signal=CHLD"];
    if !Command::new("env").args([ignoring[1], "true"]).status().is_ok_and(|s| s.success()) {
        skipped("env cannot ignore a signal here");
        return;
    }
    let daemon = lab.daemon().under(&ignoring).start();
    lab.send(&lab.task("a", "fake: exit 3").with("ttl_seconds", 600));
    assert_eq!(lab.failed("a", "tool_failure")["exit_code"], 3);
    lab.send(&lab.task("b", "fake: sleep 7777").with("ttl_seconds", 1));
    lab.ended("b", "timeout", "timeout");
    drop(daemon);
}

#[test]
fn a_daemon_that_inherits_ignored_signals_heeds_them_and_passes_none_on() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let ignoring = ["sh", "-c", "trap '' TERM INT HUP PIPE; exec \"$0\" \"$@\""];
    let mut daemon = lab.daemon().under(&ignoring).set("--kill-grace", 600).start();
    // Were SIGTERM ignored in the session, too, its end would wait for the grace.
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())).with("ttl_seconds", 1));
    let _hold = gate.held();
    lab.ended("a", "timeout", "timeout");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_daemon_works_without_stdio_and_without_a_home() {
    let lab = Lab::new();
    let closed = ["sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"];
    let daemon = lab.daemon().under(&closed).no_env("HOME").spawn();
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    lab.send(&lab.task("b", "hello").with("project_dir", "~/b"));
    lab.failed("b", "spawn_failed");
    drop(daemon);
}
