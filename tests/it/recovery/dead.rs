//! Sessions that ended while no daemon was there: reported from their stream, or as interrupted,
//! and no stranger is taken for them.

use std::fs;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::{block, interrupted, kill_agent, mark};
use crate::util::*;

#[test]
fn a_session_that_ended_while_no_daemon_was_there_is_reported_from_its_stream() {
    for (name, result, status) in
        [("good", "success I finished alone.", "completed"), ("bad", "refusal", "failed")]
    {
        let lab = Lab::new();
        let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
        let daemon = lab.daemon().start();
        let task = format!("{}\n{}\nfake: result {result}", mark(&ran), block(&gate));
        lab.send(&lab.task(name, task));
        let hold = gate.held();
        let (_, _, pid) = marks(&ran)[0].clone();
        daemon.crash();
        hold.release();
        wait_until("the session's end", PATIENCE, || !alive(pid));
        let daemon = lab.daemon().start();
        let report = lab.settled(name);
        assert_eq!(report["status"], status, "{report:#}");
        match status {
            "completed" => assert_eq!(report["result"], "I finished alone."),
            _ => assert_eq!(report["error_type"], "logic_error"),
        }
        assert_eq!(starts(&ran).len(), 1);
        drop(daemon);
    }
}

#[test]
fn what_was_killed_together_with_the_daemon_is_interrupted_and_not_run_again() {
    let lab = Lab::new();
    let (gate, ran, pids) = (lab.gate("gate"), lab.path("ran"), lab.path("pids"));
    let daemon = lab.daemon().start();
    let child = format!("fake: setsid-child {}", pids.display());
    lab.send(
        &lab.task("a", format!("{child}\n{}\nfake: turn begun\n{}", mark(&ran), block(&gate))),
    );
    let _hold = gate.held();
    daemon.crash();
    kill_agent(&ran);
    let child = pids_in(&pids)[0];
    assert!(alive(child));
    let daemon = lab.daemon().start();
    interrupted(&lab, "a");
    assert!(!alive(child), "a process of the interrupted session lives on");
    assert_eq!(lab.event("a", "failed")["error_type"], "interrupted");
    lab.send(&lab.task("next", "hello").in_dir(&lab.path("project-a")));
    lab.completed("next");
    assert_eq!(starts(&ran), ["a"]);
    drop(daemon);
}

#[test]
fn an_interrupted_session_is_run_once_more_where_the_operator_wants_that() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let start = || lab.daemon().set("--on-interrupt", "retry");
    let daemon = start().start();
    lab.send(&lab.task("a", format!("{}\n{}", mark(&ran), block(&gate))));
    let first = gate.held();
    daemon.crash();
    kill_agent(&ran);
    drop(first);
    let daemon = start().start();
    let second = gate.held();
    assert_eq!(starts(&ran).len(), 2);
    daemon.crash();
    kill_agent(&ran);
    drop(second);
    let daemon = start().start();
    lab.failed("a", "interrupted");
    assert_eq!(starts(&ran).len(), 2, "once more, and not for ever");
    drop(daemon);
}

#[test]
fn a_retried_interruption_that_goes_well_completes() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let start = || lab.daemon().set("--on-interrupt", "retry");
    let daemon = start().start();
    lab.send(
        &lab.task("a", format!("{}\nfake: once {}", mark(&ran), &block(&gate)["fake: ".len()..])),
    );
    let hold = gate.held();
    daemon.crash();
    kill_agent(&ran);
    drop(hold);
    let daemon = start().start();
    let report = lab.completed("a");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(2), "{report:#}");
    assert_eq!(starts(&ran).len(), 2);
    drop(daemon);
}

#[test]
fn a_first_result_with_a_background_task_open_is_no_end() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("{}\nfake: background {}", mark(&ran), gate.display())));
    let _hold = gate.held();
    daemon.crash();
    kill_agent(&ran);
    let daemon = lab.daemon().start();
    interrupted(&lab, "a");
    drop(daemon);
}

/// A process that has nothing to do with any session.
struct Bystander(Child);

impl Bystander {
    fn start() -> Bystander {
        let mut sleep = Command::new("sleep");
        let quiet = sleep.arg("7777").stdout(Stdio::null()).stderr(Stdio::null());
        Bystander(quiet.spawn().expect("sleep"))
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stranger_who_got_the_old_pid_is_left_alone() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("{}\n{}", mark(&ran), block(&gate))));
    let _hold = gate.held();
    daemon.crash();
    let agent = kill_agent(&ran);
    let mut stranger = Bystander::start();
    let path = lab.active("a").join("attempt-1/child.json");
    let mut child = json_file(&path);
    assert_eq!(child["pid"], agent, "child.json: {child}");
    child["pid"] = json!(stranger.0.id());
    fs::write(&path, child.to_string()).expect("write child.json");
    let daemon = lab.daemon().start();
    interrupted(&lab, "a");
    let lives = stranger.0.try_wait().expect("wait").is_none();
    assert!(lives, "a process was killed by a pid that was no longer the session's");
    drop(daemon);
}
