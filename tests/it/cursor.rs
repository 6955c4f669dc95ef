//! The whole daemon with a fake Cursor CLI (`fixtures/bin-agents/cursor-agent`), which writes what
//! the documentation shows. No test runs a real one: it cannot be had without an account.

use serde_json::{Value, json};

use crate::util::*;

fn daemon(lab: &Lab) -> Start<'_> {
    let path = std::env::var("PATH").unwrap_or_default();
    lab.daemon().env("PATH", format!("{FIXTURES}/bin-agents:{FIXTURES}/bin:{path}"))
}

fn task(lab: &Lab, name: &str, task: &str) -> Dispatch {
    lab.task(name, task).with("target_agent", "cursor")
}

fn attempts(report: &Value) -> &[Value] {
    report["attempts"].as_array().map_or(&[], Vec::as_slice)
}

#[test]
fn a_dispatch_for_cursor_becomes_a_report() {
    let lab = Lab::new();
    let daemon = daemon(&lab).start();
    lab.send(&task(&lab, "a", "do it"));
    let report = lab.completed("a");
    assert_eq!(report["result"], "Done with --print --output-format stream-json --trust");
    assert_eq!(report["session_id"], "11111111-2222-3333-4444-555555555555");
    assert_eq!((&report["input_tokens"], &report["output_tokens"]), (&json!(40), &json!(4)));
    let prompt = text_file(lab.path("project-a/.fake-prompt"));
    assert!(prompt.starts_with("Load gstack. Dispatch ID: dispatch-a. Task: do it"), "{prompt}");
    drop(daemon);
}

#[test]
fn an_end_without_a_result_is_tried_once_more_in_the_same_session() {
    let lab = Lab::new();
    let daemon = daemon(&lab).start();
    lab.send(&task(&lab, "a", "cursor: fail"));
    let report = lab.completed("a");
    let [first, second] = attempts(&report) else { panic!("{report:#}") };
    assert_eq!(first["error_type"], "tool_failure");
    assert!(first["error"].as_str().is_some_and(|error| error.contains("something broke")));
    assert_eq!((&second["resumed"], &report["retry_count"]), (&json!(true), &json!(1)));
    assert!(report["result"].as_str().is_some_and(|said| said.contains(" --resume 1111")));
    drop(daemon);
}

#[test]
fn without_a_login_the_agent_is_held() {
    let lab = Lab::new();
    let daemon = daemon(&lab).start();
    lab.send(&task(&lab, "a", "cursor: login"));
    lab.failed("a", "auth");
    assert_eq!(lab.event("", "hold_started")["agent"], "cursor");
    drop(daemon);
}

#[test]
fn one_that_stays_after_its_result_is_ended() {
    let lab = Lab::new();
    let daemon = daemon(&lab).set("--result-grace", 0.3).start();
    lab.send(&task(&lab, "a", "cursor: stay"));
    let report = lab.completed("a");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("cursor did not exit within 0.3 seconds"), "{warnings}");
    drop(daemon);
}
