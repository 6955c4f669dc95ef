//! What ends a session besides its TTL: silence, a start that never comes, a flood, an agent that
//! stays after its answer; what ends a wait; and what the heartbeat tells of a session while it
//! runs.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::util::*;

fn block(gate: &Gate) -> String {
    format!("fake: block {}", gate.display())
}

fn warnings(report: &Value) -> Vec<&str> {
    let warnings = report["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    warnings.iter().filter_map(Value::as_str).collect()
}

/// Why the session was ended, as it stands on disk.
fn cause(lab: &Lab, name: &str) -> Value {
    json_file(&lab.finished(name).join("attempt-1/stop.json"))["cause"].clone()
}

// ----------------------------------------------------------------------------------------- silence

#[test]
fn a_session_that_does_nothing_is_stalled() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--stall-timeout", 0.5).start();
    lab.send(&lab.task("a", format!("fake: turn one\n{}", block(&gate))));
    let report = lab.failed("a", "stalled");
    assert_eq!(report["error"], "ended: no output and no work for 0.5 seconds");
    assert_eq!(report["retry_count"], 0);
    lab.settled("a");
    assert_eq!(cause(&lab, "a"), "stalled");
    drop(daemon);
}

#[test]
fn a_session_that_works_without_a_word_is_not_stalled() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--stall-timeout", 1).start();
    lab.send(&lab.task("a", "fake: work 4\nfake: result success built"));
    let report = lab.completed("a");
    assert!(report["duration"].as_u64() >= Some(4), "{report:#}");
    drop(daemon);
}

#[test]
fn a_session_that_is_adopted_stalls_too() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", block(&gate)));
    let _hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().set("--stall-timeout", 0.5).start();
    lab.failed("a", "stalled");
    assert!(lab.events("a").contains(&"adopted".to_string()));
    drop(daemon);
}

// ------------------------------------------------------------------------------------------- start

#[test]
fn a_session_that_never_begins_is_ended() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--start-timeout", 0.5).start();
    lab.send(&lab.task("a", format!("fake: silent\nfake: raw Loading...\n{}", block(&gate))));
    let report = lab.failed("a", "start_timeout");
    assert_eq!(report["error"], "ended: nothing on its stream within 0.5 seconds of its start");
    assert_eq!(report["retry_count"], 0);
    drop(daemon);
}

#[test]
fn a_session_that_has_begun_may_think_for_long() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--start-timeout", 0.5).start();
    lab.send(&lab.task("a", "fake: sleep 2.5"));
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_start_that_hangs_is_ended_by_the_next_daemon() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: silent\n{}", block(&gate))));
    let _hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().set("--start-timeout", 0.5).start();
    lab.failed("a", "start_timeout");
    drop(daemon);
}

// ------------------------------------------------------------------------------------------- flood

#[test]
fn a_session_that_floods_its_output_is_ended() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--stdout-max-mb", 0.1).start();
    lab.send(&lab.task("a", format!("fake: print-bytes 200000\n{}", block(&gate))));
    let report = lab.failed("a", "output_limit");
    assert_eq!(report["error"], "ended: it wrote more than 0.1 MB on stdout");
    assert!(report["output_length"].as_u64() >= Some(200_000), "{report:#}");
    assert_eq!(report["retry_count"], 0);
    drop(daemon);
}

#[test]
fn output_below_the_limit_is_nobodys_business() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--stdout-max-mb", 0.3).start();
    lab.send(&lab.task("a", "fake: print-bytes 200000\nfake: sleep 1.5"));
    lab.completed("a");
    drop(daemon);
}

// ------------------------------------------------------------------------------------------- grace

#[test]
fn an_agent_that_stays_after_its_result_is_ended_and_has_completed() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--result-grace", 0.5).start();
    let task = format!("fake: ignore-term\nfake: result success done\n{}", block(&gate));
    lab.send(&lab.task("a", task));
    let report = lab.completed("a");
    assert_eq!(report["result"], "done");
    let said = "claude did not exit within 0.5 seconds of its result, and was ended";
    assert_eq!(warnings(&report), [said], "{report:#}");
    lab.settled("a");
    assert_eq!(cause(&lab, "a"), "result_grace");
    drop(daemon);
}

#[test]
fn an_agent_that_stays_after_an_error_has_failed() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--result-grace", 0.5).start();
    lab.send(&lab.task("a", format!("fake: result refusal\n{}", block(&gate))));
    let report = lab.failed("a", "logic_error");
    assert!(warnings(&report)[0].contains("did not exit"), "{report:#}");
    drop(daemon);
}

#[test]
fn work_in_the_background_goes_on_after_a_first_result() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--result-grace", 0.2).set("--heartbeat", 0.1).start();
    lab.send(&lab.task("a", format!("fake: background {}", gate.display())));
    let hold = gate.held();
    // Two looks later it is still there.
    let seen = |beat: &Value| beat["sessions"][0]["turns"] == 1;
    lab.heartbeat("that the first result was read", seen);
    lab.heartbeat("three seconds", |beat| beat["sessions"][0]["elapsed"].as_u64() >= Some(3));
    hold.release();
    let report = lab.completed("a");
    assert_eq!(report["result"], "second");
    assert_eq!(warnings(&report), [""; 0]);
    drop(daemon);
}

#[test]
fn an_adopted_agent_that_has_answered_is_ended_too() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: result success done\n{}", block(&gate))));
    let _hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().set("--result-grace", 0.5).start();
    let report = lab.completed("a");
    assert_eq!(report["result"], "done");
    drop(daemon);
}

#[test]
fn an_agent_that_was_being_ended_after_its_result_has_completed() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: result success done\n{}", block(&gate))));
    let _hold = gate.held();
    daemon.crash();
    let stop = json!({"cause": "result_grace", "at": "2026-01-01T00:00:00.000Z"});
    fs::write(lab.active("a").join("attempt-1/stop.json"), stop.to_string()).expect("stop.json");
    let daemon = lab.daemon().start();
    assert_eq!(lab.completed("a")["result"], "done");
    drop(daemon);
}

// ------------------------------------------------------------------------------------------- queue

#[test]
fn a_dispatch_that_waits_too_long_is_answered_without_running() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let ran = lab.path("ran");
    let daemon = lab.daemon().set("--max-concurrent", 1).set("--queue-timeout", 1).start();
    lab.send(&lab.task("a", block(&gate)));
    let hold = gate.held();
    for name in ["b", "c"] {
        lab.send(&lab.task(name, format!("fake: mark {}", ran.display())));
    }
    for name in ["b", "c"] {
        let report = lab.failed(name, "queue_timeout");
        let said = "it waited 1 seconds for its turn, and was not started";
        assert_eq!(report["error"], said);
        assert_eq!(report["duration"], 0);
        assert!(report.get("attempts").is_none(), "{report:#}");
        lab.settled(name);
        assert!(!lab.dropped(name).exists());
        assert_eq!(lab.event(name, "failed")["error_type"], "queue_timeout");
    }
    // Who runs does not wait.
    hold.release();
    lab.completed("a");
    assert_eq!(starts(&ran), [""; 0]);
    // And nobody waits now.
    lab.send(&lab.task("d", format!("fake: mark {}", ran.display())));
    lab.completed("d");
    drop(daemon);
}

#[test]
fn a_wait_goes_on_while_no_daemon_is_there() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let ran = lab.path("ran");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", block(&gate)));
    let hold = gate.held();
    lab.send(&lab.task("b", format!("fake: mark {}", ran.display())));
    lab.accepted("b");
    daemon.crash();
    // As if it had waited for an hour.
    let record = lab.active("b").join("accepted.json");
    let mut accepted = json_file(&record);
    accepted["accepted_at"] = json!("2026-01-01T00:00:00.000Z");
    fs::write(&record, accepted.to_string()).expect("accepted.json");
    hold.release();
    let daemon = lab.daemon().set("--queue-timeout", 3600).start();
    lab.failed("b", "queue_timeout");
    lab.completed("a");
    assert_eq!(starts(&ran), [""; 0]);
    drop(daemon);
}

// ---------------------------------------------------------------------------------------- progress

#[test]
fn the_heartbeat_tells_how_far_a_session_is() {
    let lab = Lab::new();
    // One FIFO for each: whoever opens one that is just being closed finds its end.
    let (gate, later) = (lab.gate("gate"), lab.gate("later"));
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    let task = "fake: tool Read\nfake: answer x\nfake: tool Bash make";
    lab.send(&lab.task("a", format!("{task}\n{}\nfake: turn on\n{}", block(&gate), block(&later))));
    let hold = gate.held();
    let beat = lab.heartbeat("two turns", |beat| beat["sessions"][0]["turns"] == 2);
    let session = &beat["sessions"][0];
    assert_eq!(session["last_tool"], "Bash", "{beat:#}");
    assert_eq!((&session["input_tokens"], &session["output_tokens"]), (&json!(206), &json!(40)));
    assert!(is_stamp(&session["last_activity"]), "{beat:#}");
    let bytes = session["output_bytes"].as_u64().expect("bytes");
    hold.release();
    let more = |beat: &Value| beat["sessions"][0]["output_bytes"].as_u64() > Some(bytes);
    lab.heartbeat("more", more);
    later.held().release();
    let report = lab.completed("a");
    let one = &report["attempts"][0];
    assert_eq!((&one["input_tokens"], &one["output_tokens"]), (&json!(206), &json!(40)));
    assert_eq!(one["total_cost_usd"], 0.01);
    lab.heartbeat("nothing running", |beat| beat["sessions"] == json!([]));
    drop(daemon);
}

#[test]
fn a_stream_that_was_followed_is_reported_whole() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    // The look at it falls into the middle of a line.
    let task = format!(
        "fake: turn one\nfake: half {}\nfake: print-bytes 288000\nfake: one-line 300000\n\
         fake: result success whole",
        gate.display()
    );
    lab.send(&lab.task("a", task));
    let hold = gate.held();
    lab.heartbeat("a turn", |beat| beat["sessions"][0]["turns"] == 1);
    hold.release();
    let report = lab.completed("a");
    assert_eq!(report["result"], "whole");
    assert_eq!(warnings(&report), [""; 0], "{report:#}");
    let stream = lab.settled("a");
    let path = lab.finished("a").join("attempt-1/stdout.jsonl");
    assert_eq!(stream["output_length"], fs::metadata(path).expect("the stream").len());
    drop(daemon);
}

#[test]
fn a_stream_that_its_agent_cuts_is_read_anew() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    lab.send(&lab.task(
        "a",
        format!(
            "fake: print-bytes 5000\nfake: result refusal\n{}\nfake: result success new",
            block(&gate)
        ),
    ));
    let hold = gate.held();
    let read = |beat: &Value| beat["sessions"][0]["output_bytes"].as_u64() > Some(5000);
    lab.heartbeat("its first output", read);
    let stream = lab.active("a").join("attempt-1/stdout.jsonl");
    fs::OpenOptions::new().write(true).truncate(true).open(&stream).expect("cut");
    hold.release();
    let report = lab.report("a");
    assert_eq!((&report["status"], &report["result"]), (&json!("completed"), &json!("new")));
    drop(daemon);
}

#[test]
fn a_stream_that_took_a_daemon_down_is_not_followed_again() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    lab.send(&lab.task("a", format!("fake: turn one\n{}", block(&gate))));
    let hold = gate.held();
    lab.heartbeat("a turn", |beat| beat["sessions"][0]["turns"] == 1);
    daemon.signal(Signal::STOP);
    let mark = lab.active("a").join("attempt-1/reading");
    assert_eq!(fs::metadata(&mark).expect("the mark").len(), 0, "no death is on record");
    fs::write(&mark, "\n").expect("a death");
    daemon.crash();
    let daemon = lab.daemon().set("--heartbeat", 0.2).set("--start-timeout", 0.5).start();
    let beat = lab.heartbeat("bytes", |b| b["sessions"][0]["output_bytes"].is_u64());
    assert_eq!(beat["sessions"][0]["turns"], 0, "{beat:#}");
    hold.release();
    lab.completed("a");
    drop(daemon);
}
