//! The limit on the wait for a session's first answer: an agent that has begun, and whose model
//! never says a word.
//!
//! What counts as a word is each reader's to say, so the agents' dialects are tried too.

use std::fs;

use serde_json::{Value, json};

use crate::util::*;

const SAID: &str = "ended: no word of its model for 0.5 seconds";

fn daemon(lab: &Lab) -> Start<'_> {
    let inherited = std::env::var("PATH").unwrap_or_default();
    let folders = ["bin-codex", "bin-agents", "bin"].map(|name| format!("{FIXTURES}/{name}"));
    let start = lab.daemon().set("--first-answer-timeout", 0.5);
    start.env("PATH", format!("{}:{inherited}", folders.join(":")))
}

fn block(gate: &Gate) -> String {
    format!("block {}", gate.display())
}

/// An agent of one's own, whose stream tells what it says and calls.
fn mimic() -> Value {
    let result = json!({"path": "all", "where": {"ev": "bye", "well": true}});
    json!({
        "program": format!("{FIXTURES}/bin-own/mimic"), "args": ["new", "{session}"],
        "output": "stream",
        "stream": {"session": "who.id", "text": "say", "tool": "use", "result": result},
    })
}

/// The session that was ended, and the one that followed it; both are new.
fn ended_and_tried_again(report: &Value) {
    let attempts = report["attempts"].as_array().map_or(&[][..], Vec::as_slice);
    let [first, second] = attempts else { panic!("{report:#}") };
    assert_eq!(first["error_type"], "tool_failure", "{report:#}");
    let error = first["error"].as_str().unwrap_or_default();
    assert!(error.starts_with(SAID), "{report:#}");
    assert_eq!(second.get("resumed"), None, "{report:#}");
    assert!(first["session_id"] != second["session_id"], "{report:#}");
    assert_eq!(report["retry_count"], 1);
}

#[test]
fn a_session_whose_model_never_answers_is_ended_and_tried_once_more_in_a_new_one() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = daemon(&lab).start();
    lab.send(&lab.task("a", format!("fake: once {}\nfake: result success done", block(&gate))));
    let report = lab.completed("a");
    ended_and_tried_again(&report);
    assert_eq!(report["result"], "done");
    lab.settled("a");
    let stop = json_file(&lab.finished("a").join("attempt-1/stop.json"));
    assert_eq!(stop["cause"], "unanswered");
    // The second time is the last one.
    lab.send(&lab.task("b", format!("fake: {}", block(&gate))));
    let report = lab.failed("b", "tool_failure");
    ended_and_tried_again(&report);
    assert_eq!(report["error"], SAID);
    drop(daemon);
}

#[test]
fn a_session_whose_model_has_said_or_called_something_may_take_its_time() {
    let lab = Lab::new();
    let daemon = daemon(&lab).set("--max-concurrent", 3).start();
    let partial = r#"raw {"type":"stream_event","event":{"type":"message_start"}}"#;
    for (name, word) in [("a", "turn I look."), ("b", "tool Bash make"), ("c", partial)] {
        lab.send(&lab.task(name, format!("fake: {word}\nfake: sleep 3")));
    }
    for name in ["a", "b", "c"] {
        assert_eq!(lab.completed(name)["retry_count"], 0, "{name}");
    }
    drop(daemon);
}

#[test]
fn a_request_that_is_repeated_is_no_word_of_the_model() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = daemon(&lab).start();
    let retry = r#"raw {"type":"system","subtype":"api_retry","attempt":2,"error":"timeout"}"#;
    lab.send(&lab.task("a", format!("fake: once {retry}\nfake: once {}", block(&gate))));
    // `once` is by the order's own word, so that the second session answers at once.
    let report = lab.completed("a");
    ended_and_tried_again(&report);
    let error = report["attempts"][0]["error"].as_str().unwrap_or_default();
    let retrying = "; it was repeating an API request after timeout (attempt 2)";
    assert!(error.ends_with(retrying), "{error}");
    drop(daemon);
}

#[test]
fn zero_lets_a_model_think_for_ever() {
    let lab = Lab::new();
    let daemon = daemon(&lab).set("--first-answer-timeout", 0).start();
    lab.send(&lab.task("a", "fake: sleep 3"));
    assert_eq!(lab.completed("a")["retry_count"], 0);
    drop(daemon);
}

#[test]
fn a_session_that_is_adopted_waits_no_longer() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let first = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: once {}\nfake: result success done", block(&gate))));
    let _hold = gate.held();
    first.crash();
    let second = daemon(&lab).start();
    ended_and_tried_again(&lab.completed("a"));
    assert!(lab.events("a").contains(&"adopted".to_string()));
    drop(second);
}

#[test]
fn a_session_that_was_being_ended_is_tried_again_by_the_next_daemon() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let first = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: once {}\nfake: result success done", block(&gate))));
    let _hold = gate.held();
    first.crash();
    let stop = json!({"cause": "unanswered", "at": "2026-01-01T00:00:00.000Z"});
    fs::write(lab.active("a").join("attempt-1/stop.json"), stop.to_string()).expect("stop.json");
    let second = daemon(&lab).start();
    ended_and_tried_again(&lab.completed("a"));
    drop(second);
}

#[test]
fn every_agent_that_tells_of_its_model_is_held_to_it() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let codex = lab.project("project-codex");
    fs::write(codex.join(".codex-plan"), "wait server-error-502\nreplay success-text\n")
        .expect("a plan");
    let daemon = daemon(&lab).set("--agents", json!({"mimic": mimic()})).start();
    for (agent, task) in [
        ("codex", "Say hello.".to_string()),
        ("gemini", format!("fake: once {}\nfake: say Done.", block(&gate))),
        ("mimic", format!("mimic: first-hush {}", gate.display())),
    ] {
        lab.send(&lab.task(agent, task).with("target_agent", agent));
        ended_and_tried_again(&lab.completed(agent));
    }
    drop(daemon);
}

#[test]
fn an_agent_that_does_not_tell_of_its_work_is_given_its_time() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let mut mimic = mimic();
    mimic["stream"].as_object_mut().expect("rules").remove("tool");
    let agents = json!({ "mimic": mimic });
    let daemon = daemon(&lab).set("--agents", agents).set("--heartbeat", 0.2).start();
    let task = lab.task("a", format!("mimic: hush {}", gate.display()));
    lab.send(&task.with("target_agent", "mimic"));
    let hold = gate.held();
    let is_late = |beat: &Value| beat["sessions"][0]["elapsed"].as_u64() >= Some(3);
    lab.heartbeat("three seconds of its silence", is_late);
    hold.release();
    assert_eq!(lab.completed("a")["retry_count"], 0);
    drop(daemon);
}
