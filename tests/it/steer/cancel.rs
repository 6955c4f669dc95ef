//! `cancel`: with the daemon up, down and hung; what is queued, what runs, what has ended.

use serde_json::json;

use super::*;

fn block(gate: &Gate) -> String {
    format!("fake: block {}", gate.display())
}

#[test]
fn what_waits_is_cancelled_and_what_runs_is_being_ended() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", block(&gate)));
    let _hold = gate.held();
    lab.send(&lab.task("b1", "fake: mark ran"));
    lab.accepted("b1");
    let out = run(&lab, &["cancel", "b"]);
    assert_eq!((out.code, out.stdout.as_str()), (0, "dispatch-b1: cancelled\n"), "{out:?}");
    lab.ended("b1", "cancelled", "cancelled");
    let answer = json(&lab, &["cancel", "dispatch-a"]);
    let want = json!({
        "id": "dispatch-a", "request": "cancel-dispatch-a", "heeded": true,
        "state": answer["state"], "daemon": "run",
    });
    assert_eq!(answer, want);
    assert!(["running", "cancelled"].contains(&answer["state"].as_str().expect("a state")));
    lab.ended("a", "cancelled", "cancelled");
    // Once more changes nothing.
    assert_eq!(
        run(&lab, &["cancel", "a", "b"]).stdout,
        "dispatch-a: cancelled\ndispatch-b1: cancelled\n"
    );
    wait_until("the request gone", PATIENCE, || !control(&lab, "cancel-dispatch-a").exists());
    drop(daemon);
}

#[test]
fn what_ended_otherwise_is_told_how_and_nothing_is_asked() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    refused(&run(&lab, &["cancel", "a"]), 1, "dispatch-a has ended before: completed");
    let mut broken = lab.task("b", "t");
    broken.0["ttl_seconds"] = json!("soon");
    lab.send(&broken);
    lab.rejected("dispatch-b.json");
    refused(&run(&lab, &["cancel", "b"]), 1, "rejected");
    assert!(!control(&lab, "cancel-dispatch-a").exists());
    drop(daemon);
}

#[test]
fn if_one_id_is_none_or_several_nothing_is_done_for_any() {
    let lab = Lab::new();
    for name in ["aa", "ab", "c"] {
        lab.send(&lab.task(name, "hello"));
    }
    refused(&run(&lab, &["cancel", "c", "a"]), 3, "dispatch-ab");
    refused(&run(&lab, &["cancel", "c", "x"]), 3, "no dispatch begins with \"x\"");
    assert!(!control(&lab, "cancel-dispatch-c").exists());
}

#[test]
fn without_a_daemon_the_next_one_cancels_what_was_dropped() {
    let lab = Lab::new();
    lab.send(&lab.task("a", "fake: mark ran"));
    let out = run(&lab, &["cancel", "a"]);
    let said = "dispatch-a: requested; the daemon does not run\n";
    assert_eq!((out.code, out.stdout.as_str()), (0, said), "{out:?}");
    let want = json!({
        "id": "dispatch-a", "request": "cancel-dispatch-a", "heeded": false, "state": "inbox",
        "daemon": "none",
    });
    assert_eq!(json(&lab, &["cancel", "a"]), want);
    let daemon = lab.daemon().start();
    lab.ended("a", "cancelled", "cancelled");
    assert!(!lab.path("project-a/ran").exists());
    drop(daemon);
}

#[test]
fn a_daemon_that_hangs_has_not_answered_and_heeds_it_later() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", block(&gate)));
    let _hold = gate.held();
    let hung = Hung::up(&daemon);
    let out = run(&lab, &["cancel", "a", "--timeout", "1"]);
    refused(&out, 1, &format!("dispatch-a: requested; the daemon (pid {}) has not", daemon.pid));
    assert!(control(&lab, "cancel-dispatch-a").exists());
    drop(hung);
    lab.ended("a", "cancelled", "cancelled");
    drop(daemon);
}
