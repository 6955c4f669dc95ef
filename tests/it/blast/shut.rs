//! A folder that every answer goes through is shut. What can be mended is; what cannot holds up the
//! answers alone: the beat goes on, cancels and signals are heeded, and the answers come when the
//! folder takes them again.

use super::*;

const UNSUPPORTED: &str = "gemini";

fn completed(lab: &Lab) -> PathBuf {
    lab.inbox().join("completed")
}

/// It can be looked into still.
fn take_away(lab: &Lab) {
    give_to(&completed(lab), STRANGER);
    mode(&completed(lab), 0o755);
}

fn beats_on(lab: &Lab) {
    let first = lab.heartbeat("one", |_| true)["ts"].clone();
    lab.heartbeat("the next one", |beat| beat["ts"] != first);
}

#[test]
fn a_folder_of_ours_that_was_shut_is_opened_and_the_answers_come() {
    let lab = Lab::new();
    let start = lab.daemon().set("--trouble-pause", 0.2).set("--heartbeat", 0.3);
    let Some(start) = unprivileged(start) else { return };
    let daemon = start.start();
    let hold = held(&lab, "a", "");
    mode(&completed(&lab), 0o500);
    lab.send(&lab.task("b", "hello").with("target_agent", UNSUPPORTED));
    lab.failed("b", "unsupported_agent");
    mode(&completed(&lab), 0o500);
    hold.release();
    lab.completed("a");
    send_marked(&lab, "c");
    lab.completed("c");
    assert_eq!((runs(&lab, "a"), runs(&lab, "c")), (1, 1));
    drop(daemon);
}

#[test]
fn while_no_answer_can_be_published_intake_heeds_cancels_and_all_are_answered_in_the_end() {
    let lab = Lab::new();
    let start = lab.daemon().set("--trouble-pause", 0.3).set("--heartbeat", 0.3);
    let Some(start) = beside_a_stranger(start) else { return };
    let daemon = start.start();
    let hold = held(&lab, "done", "fake: result success Done.");
    let _runs = held(&lab, "runs", "");
    take_away(&lab);
    lab.send(&lab.task("refused", "hello").with("target_agent", UNSUPPORTED));
    lab.event("refused", "unsupported_agent");
    lab.heartbeat("it tells", |beat| beat["degraded"].is_string());
    beats_on(&lab);
    hold.release();
    let done = agent(&lab, "done");
    wait_until("the end of the first", PATIENCE, || !alive(done));
    let pid = agent(&lab, "runs");
    cancel(&lab, "runs");
    wait_until("the cancelled one's end", PATIENCE, || !alive(pid));
    beats_on(&lab);
    for name in ["done", "runs", "refused"] {
        assert!(!lab.report_path(name).exists(), "{name}");
    }
    give_to(&completed(&lab), 0);
    assert_eq!(lab.completed("done")["result"], "Done.");
    lab.ended("runs", "cancelled", "cancelled");
    lab.failed("refused", "unsupported_agent");
    lab.heartbeat("all is well", |beat| {
        beat.get("degraded").is_none() && beat.get("parked").is_none()
    });
    send_marked(&lab, "next");
    lab.completed("next");
    drop(daemon);
}

#[test]
fn a_second_signal_ends_the_daemon_and_nothing_is_said_to_work_again() {
    let lab = Lab::new();
    let start = || lab.daemon().set("--trouble-pause", 0.3).set("--heartbeat", 0.3);
    let Some(first) = beside_a_stranger(start()) else { return };
    let mut daemon = first.start();
    let _first = held(&lab, "a", "");
    let _second = held(&lab, "b", "");
    take_away(&lab);
    cancel(&lab, "a");
    lab.heartbeat("it tells", |beat| beat["degraded"].is_string());
    daemon.signal(Signal::TERM);
    wait_until("it drains", PATIENCE, || daemon.stderr().contains("taking nothing new"));
    assert_eq!(daemon.stop(), 1);
    let log = daemon.stderr();
    assert!(!log.contains("works again"), "{log}");
    assert!(
        !lab.events("").iter().any(|event| event == "degraded_ended"),
        "{:?}",
        lab.audit_of("")
    );
    drop(daemon);
    give_to(&completed(&lab), 0);
    let daemon = start().start();
    lab.ended("a", "cancelled", "cancelled");
    lab.ended("b", "cancelled", "shutdown");
    assert_eq!((runs(&lab, "a"), runs(&lab, "b")), (1, 1));
    drop(daemon);
}
