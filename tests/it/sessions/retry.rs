//! What is tried once more, how the second attempt differs from the first one, and what a retry
//! cannot mend.

use std::path::Path;

use serde_json::{Value, json};

use super::{attempts, lines};
use crate::util::*;

/// What the second attempt of a dispatch got: (arguments, prompt).
fn second_attempt(lab: &Lab, name: &str, dump: &Path) -> (String, String) {
    let argv = lines(dump.join("argv")).join(" ");
    let prompt = text_file(lab.finished(name).join("attempt-2/prompt.txt"));
    (argv, prompt)
}

#[test]
fn after_a_server_error_the_session_is_taken_up_again() {
    let lab = Lab::new();
    let (ran, dump) = (lab.path("ran"), lab.path("dump"));
    let daemon = lab.daemon().start();
    let task = format!(
        "fake: remember\nfake: mark {}\nfake: dump {}\nfake: turn half of it\nfake: once result error 500 server_error\n\
         fake: once exit 1\nfake: result success the rest",
        ran.display(),
        dump.display()
    );
    lab.send(&lab.task("a", task));
    let report = lab.settled("a");
    lab.completed("a");
    assert_eq!(report["result"], "the rest");
    assert_eq!(report["retry_count"], 1);
    assert_eq!(starts(&ran).len(), 2);
    let (argv, prompt) = second_attempt(&lab, "a", &dump);
    let first = attempts(&report)[0].clone();
    let session = first["session_id"].as_str().expect("session_id");
    assert!(argv.ends_with(&format!("--resume {session}")), "{argv}");
    assert!(!argv.contains("--session-id"), "{argv}");
    assert!(!prompt.contains("fake: mark"), "the task is not given twice: {prompt}");
    assert!(prompt.contains("dispatch-a"), "{prompt}");
    assert_eq!(first["error_type"], "tool_failure");
    assert_eq!(attempts(&report)[1]["resumed"], true);
    let retried = lab.event("a", "retried");
    assert_eq!((&retried["error_type"], &retried["retry"]), (&json!("tool_failure"), &json!(1)));
    let spawned: Vec<Value> =
        lab.audit_of("a").into_iter().filter(|l| l["event"] == "spawned").collect();
    let numbers: Vec<_> =
        spawned.iter().map(|l| (l["attempt"].clone(), l["retry"].clone())).collect();
    assert_eq!(numbers, [(json!(1), json!(0)), (json!(2), json!(1))]);
    drop(daemon);
}

#[test]
fn a_session_that_never_got_a_turn_is_begun_anew() {
    let lab = Lab::new();
    let dump = lab.path("dump");
    let daemon = lab.daemon().start();
    let task = format!(
        "fake: dump {}\nfake: once result error null server_error\nfake: once exit 1",
        dump.display()
    );
    lab.send(&lab.task("a", task));
    let report = lab.settled("a");
    lab.completed("a");
    let (argv, prompt) = second_attempt(&lab, "a", &dump);
    assert!(!argv.contains("--resume") && argv.contains("--session-id"), "{argv}");
    assert_eq!(prompt, text_file(lab.finished("a").join("attempt-1/prompt.txt")));
    let sessions: Vec<_> = attempts(&report).iter().map(|a| &a["session_id"]).collect();
    assert_ne!(sessions[0], sessions[1]);
    drop(daemon);
}

#[test]
fn there_is_at_most_one_retry() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for (name, error, error_type) in [
        ("a", "500 server_error", "tool_failure"),
        ("b", "429 rate_limit", "rate_limit"),
        ("c", "529 server_error", "rate_limit"),
    ] {
        lab.send(&lab.task(name, format!("fake: mark ran\nfake: result error {error}")));
        let report = lab.failed(name, error_type);
        assert_eq!((&report["retry_count"], attempts(&report).len()), (&json!(1), 2), "{report:#}");
        assert_eq!(starts(&lab.path(&format!("project-{name}/ran"))).len(), 2);
        let line = lab.event(name, "failed");
        assert_eq!((&line["retry_count"], &line["exit_code"]), (&json!(1), &json!(1)), "{line}");
    }
    drop(daemon);
}

#[test]
fn a_rate_limit_is_waited_out_in_its_slot() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    let daemon = lab.daemon().set("--max-concurrent", 1).set("--rate-limit-backoff", 0.8).start();
    let mark = format!("fake: mark {}", ran.display());
    lab.send(
        &lab.task(
            "a",
            format!("{mark}\nfake: once result error 429 rate_limit\nfake: once exit 1"),
        ),
    );
    lab.event("a", "retried");
    lab.send(&lab.task("b", mark.as_str()));
    let report = lab.completed("a");
    lab.completed("b");
    assert_eq!(starts(&ran), ["a", "a", "b"]);
    let waited = millis_between_attempts(&report);
    assert!(waited >= 790, "{waited} ms");
    drop(daemon);
}

#[test]
fn a_full_context_is_tried_once_more_without_learnings() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let task = "Do it.\nfake: once turn a turn\nfake: once result error 400 invalid_request Prompt is too long\nfake: once exit 1";
    let dispatch = lab
        .task("a", task)
        .with("learnings", json!(["one", "two"]))
        .with("constraints", json!(["c"]));
    lab.send(&dispatch);
    let report = lab.settled("a");
    lab.completed("a");
    assert_eq!(report["retry_count"], 1);
    assert_eq!(attempts(&report)[0]["error_type"], "context_overflow");
    let prompts =
        [1, 2].map(|n| text_file(lab.finished("a").join(format!("attempt-{n}/prompt.txt"))));
    let wanted = format!("Load gstack. Dispatch ID: dispatch-a. Task: {task}\nConstraints: c");
    assert_eq!(prompts[1], wanted);
    assert_eq!(prompts[0], format!("{wanted}\nRelevant learnings from prior sessions:\none\ntwo"));
    // A new session, though there was a turn: the old one is what is full.
    assert_ne!(attempts(&report)[0]["session_id"], attempts(&report)[1]["session_id"]);
    drop(daemon);
}

#[test]
fn what_a_retry_cannot_mend_is_not_retried() {
    for (name, result, error_type) in [
        ("refusal", "refusal", "logic_error"),
        ("request", "error 400 invalid_request API Error: 400 bad request", "logic_error"),
        (
            "tokens",
            "error null max_output_tokens API Error: exceeded the output token maximum",
            "logic_error",
        ),
        ("auth", "error 401 authentication_failed Invalid API key", "auth"),
        ("login", "error null authentication_failed Not logged in", "auth"),
        ("credit", "error 400 billing_error Credit balance is too low", "billing"),
        ("model", "error 404 model_not_found No such model", "config"),
        // Without learnings there is nothing to leave out.
        ("context", "error 400 invalid_request Prompt is too long", "context_overflow"),
    ] {
        // A daemon for each: some of these hold the agent.
        let lab = Lab::new();
        let daemon = lab.daemon().start();
        lab.send(&lab.task(name, format!("fake: mark ran\nfake: result {result}")));
        let report = lab.failed(name, error_type);
        assert_eq!(starts(&lab.path(&format!("project-{name}/ran"))).len(), 1, "{name}");
        assert_eq!(report.get("retry_count").unwrap_or(&json!(0)), 0, "{report:#}");
        assert!(!lab.events(name).contains(&"retried".to_string()), "{name}");
        drop(daemon);
    }
}
