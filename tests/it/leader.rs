//! An agent that leaves the process group that it was given: no signal to that group reaches it.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::util::*;

fn group_of(pid: i32) -> i32 {
    let stat = text_file(format!("/proc/{pid}/stat"));
    let mut fields = stat.rsplit(") ").next().expect("fields").split(' ');
    fields.nth(2).and_then(|group| group.parse().ok()).expect("a group")
}

/// Its agent has left; gives its pid. `None`, and SKIPPED, without python3.
fn left_its_group(lab: &Lab, before: &str) -> Option<(Daemon, i32)> {
    let works = Command::new("python3").arg("--version").output();
    if !works.is_ok_and(|run| run.status.success()) || !Path::new("/proc/self/stat").exists() {
        skipped("python3 is needed to leave a group, /proc to see it");
        return None;
    }
    let ran = lab.path("ran");
    // Of a daemon at a terminal it would lead a login session, and could not leave.
    let daemon = lab.daemon().under(&["setsid"]).start();
    let orders = format!("fake: mark {}\n{before}fake: leave-group", ran.display());
    lab.send(&lab.task("a", orders));
    let agent = wait_for("an agent", PATIENCE, || marks(&ran).first().map(|mark| mark.2));
    wait_until("it has left its group", PATIENCE, || group_of(agent) != agent);
    Some((daemon, agent))
}

fn cancelled_at_once(lab: &Lab) {
    fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("cancel");
    // In vain would be to wait for a minute: that long a killed process is waited for.
    lab.ended("a", "cancelled", "cancelled");
}

#[test]
fn an_agent_that_leaves_its_group_is_ended_as_any_other() {
    for before in ["", "fake: ignore-term\n"] {
        let lab = Lab::new();
        let Some((daemon, _)) = left_its_group(&lab, before) else { return };
        cancelled_at_once(&lab);
        drop(daemon);
    }
}

#[test]
fn an_adopted_agent_that_left_its_group_is_ended_as_any_other() {
    for before in ["", "fake: ignore-term\n"] {
        let lab = Lab::new();
        let Some((daemon, agent)) = left_its_group(&lab, before) else { return };
        daemon.crash();
        let daemon = lab.daemon().start();
        assert_eq!(lab.event("a", "adopted")["pid"], agent);
        cancelled_at_once(&lab);
        drop(daemon);
    }
}
