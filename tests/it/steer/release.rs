//! `release`: ends holds, of all agents or of one.

use serde_json::json;

use super::*;

/// A daemon whose agent was refused for its credentials, and is held for long.
fn held(lab: &Lab) -> Daemon {
    let daemon = lab.daemon().set("--probe", 3600).set("--probe-keep", 0).start();
    lab.send(&lab.task("a", "fake: result error 401 authentication_failed"));
    lab.failed("a", "auth");
    lab.heartbeat("the hold", |beat| beat["holds"][0]["kind"] == "auth");
    daemon
}

#[test]
fn a_hold_is_ended_and_what_waited_runs() {
    let lab = Lab::new();
    let daemon = held(&lab);
    let again = lab.task("b", "hello").in_dir(&lab.project("project-a"));
    lab.send(&again);
    lab.accepted("b");
    let out = run(&lab, &["release", "codex"]);
    assert_eq!((out.code, out.stdout.as_str()), (0, "codex is not held\n"), "{out:?}");
    let want = json!({
        "request": "release-claude", "heeded": true, "daemon": "run", "paused": false,
    });
    assert_eq!(json(&lab, &["release", "claude"]), want);
    lab.completed("b");
    let out = run(&lab, &["release"]);
    assert_eq!((out.code, out.stdout.as_str()), (0, "nothing is held\n"), "{out:?}");
    assert!(fs::read_dir(lab.ours().join("control")).expect("read").next().is_none());
    drop(daemon);
}

#[test]
fn a_hold_can_be_ended_before_the_next_daemon_starts() {
    let lab = Lab::new();
    let mut daemon = held(&lab);
    daemon.stop();
    let out = run(&lab, &["release"]);
    assert_eq!((out.code, out.stdout.as_str()), (0, "requested; the daemon does not run\n"));
    assert!(control(&lab, "release").exists());
    let daemon = lab.daemon().start();
    lab.send(&lab.task("b", "hello").in_dir(&lab.project("project-a")));
    lab.completed("b");
    drop(daemon);
}

#[test]
fn an_agent_that_is_none_is_wrong_usage_and_names_no_file() {
    let lab = Lab::new();
    for agent in ["claud", "../../x", "", "\u{1b}[2J"] {
        refused(&run(&lab, &["release", agent]), 2, "there is no agent");
    }
    refused(&run(&lab, &["release", "claud"]), 2, "did you mean claude?");
    assert!(!lab.gstack.exists());
}
