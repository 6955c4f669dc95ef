//! Clocks of launched sessions: the TTL from the first output where the engine queues, the limit of
//! that wait, and launchers that do not go.

use std::time::{Duration, Instant};

use super::*;

fn late(gate: &Gate) -> String {
    format!("{} {}", stub("late"), gate.display())
}

#[test]
fn the_ttl_of_a_queued_session_counts_from_its_first_output() {
    let lab = Lab::new();
    let (queue, gate) = (lab.gate("queue"), lab.gate("gate"));
    let daemon = lab.daemon().set("--launcher", late(&queue)).set("--launcher-kill", "");
    let daemon = daemon.set("--launcher-wait", 60).set("--start-timeout", 0.5).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())).with("ttl_seconds", 2));
    let hold = queue.held();
    let queued = Instant::now();
    // Longer than its whole TTL, and than any start may take.
    wait_until("the TTL, in the queue", PATIENCE, || {
        queued.elapsed() > Duration::from_millis(2500)
    });
    assert!(!lab.report_path("a").exists());
    hold.release();
    let _hold = gate.held();
    let begun = Instant::now();
    let report = lab.ended("a", "timeout", "timeout");
    assert_eq!(report["error"], "timed out after 2 seconds");
    let ran = begun.elapsed();
    assert!(ran > Duration::from_millis(1200) && ran < Duration::from_secs(10), "{ran:?}");
    drop(daemon);
}

#[test]
fn a_session_that_its_engine_lets_wait_too_long_is_ended_and_not_tried_again() {
    let lab = Lab::new();
    let queue = lab.gate("queue");
    let daemon = lab.daemon().set("--launcher", late(&queue)).set("--launcher-kill", "");
    let daemon = daemon.set("--launcher-wait", 1).set("--stall-timeout", 0.2).start();
    lab.send(&lab.task("a", "hello"));
    let _hold = queue.held();
    let report = lab.failed("a", "queue_timeout");
    let said = "ended: its engine let it wait for 1 seconds without a sign of the agent";
    assert_eq!(report["error"], said);
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    drop(daemon);
}

#[test]
fn the_beginning_of_a_session_is_known_to_the_next_daemon() {
    let lab = Lab::new();
    let (queue, gate) = (lab.gate("queue"), lab.gate("gate"));
    let start = || {
        let daemon = lab.daemon().set("--launcher", late(&queue)).set("--launcher-kill", "");
        daemon.set("--launcher-wait", 60).start()
    };
    let daemon = start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())).with("ttl_seconds", 8));
    queue.held().release();
    let _hold = gate.held();
    let begun = lab.active("a").join("attempt-1/begun.json");
    wait_until("begun.json", PATIENCE, || begun.exists());
    let at = Instant::now();
    daemon.crash();
    wait_until("the end of its TTL", PATIENCE, || at.elapsed() > Duration::from_millis(8100));
    let daemon = start();
    let adopted = Instant::now();
    lab.ended("a", "timeout", "timeout");
    // Without what was known before, it would have all of its time again.
    assert!(adopted.elapsed() < Duration::from_millis(7900), "{:?}", adopted.elapsed());
    drop(daemon);
}

#[test]
fn a_session_that_waits_for_its_engine_is_adopted_and_goes_on_waiting() {
    let lab = Lab::new();
    let queue = lab.gate("queue");
    let start = || {
        let daemon = lab.daemon().set("--launcher", late(&queue)).set("--launcher-kill", "");
        daemon.set("--launcher-wait", 60).set("--start-timeout", 0.1).start()
    };
    let daemon = start();
    lab.send(&lab.task("a", "hello").with("ttl_seconds", 1));
    let hold = queue.held();
    let queued = Instant::now();
    daemon.crash();
    wait_until("the TTL, in the queue", PATIENCE, || {
        queued.elapsed() > Duration::from_millis(1100)
    });
    let daemon = start();
    lab.event("a", "adopted");
    hold.release();
    lab.completed("a");
    drop(daemon);
}

/// Nobody can tell when it began, so that a queue is no way around its TTL.
#[test]
fn the_ttl_of_an_agent_that_may_be_silent_counts_from_its_start() {
    let lab = Lab::new();
    let queue = lab.gate("queue");
    config(&lab, &json!({"agents": {"plain": plain_agent()}}));
    let daemon = lab.daemon().set("--launcher", late(&queue)).set("--launcher-kill", "");
    let daemon = daemon.set("--launcher-wait", 60).start();
    let task = lab.task("a", "mimic: well").with("target_agent", "plain");
    lab.send(&task.with("ttl_seconds", 1));
    let _hold = queue.held();
    lab.ended("a", "timeout", "timeout");
    drop(daemon);
}

#[test]
fn a_launcher_that_ignores_sigterm_is_killed_after_the_grace() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--launcher", stub("deaf")).set("--launcher-kill", "").start();
    let task = format!("fake: ignore-term\nfake: block {}", gate.display());
    lab.send(&lab.task("a", task).with("ttl_seconds", 1));
    let _hold = gate.held();
    lab.ended("a", "timeout", "timeout");
    drop(daemon);
}
