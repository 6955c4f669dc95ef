//! What the report says of a session that ended by itself: the last result counts, words in prose
//! decide nothing, and noise hides no result.

use std::fs;

use serde_json::json;

use super::attempts;
use crate::util::*;

#[test]
fn a_background_task_is_waited_for_and_the_last_result_counts() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: background {}", gate.display())));
    let hold = gate.held(); // the first result is out
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    assert!(!lab.report_path("a").exists(), "reported at the first result");
    hold.release();
    assert_eq!(lab.completed("a")["result"], "second");
    drop(daemon);
}

#[test]
fn an_agent_that_ends_well_without_a_result_has_failed() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: turn I began\nfake: remember\nfake: no-result"));
    let report = lab.failed("a", "tool_failure");
    assert_eq!(report["exit_code"], 0);
    assert_eq!(report["retry_count"], 1);
    drop(daemon);
}

#[test]
fn an_agent_that_is_killed_is_tried_once_more() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: once kill-self KILL\nfake: result success at last"));
    let report = lab.completed("a");
    assert_eq!(report["result"], "at last");
    assert_eq!(report["retry_count"], 1);
    assert_eq!(attempts(&report)[0]["signal"], 9);
    assert_eq!(attempts(&report)[0]["error_type"], "tool_failure");
    lab.send(&lab.task("b", "fake: mark ran\nfake: kill-self KILL"));
    let report = lab.failed("b", "tool_failure");
    assert_eq!((&report["signal"], &report["retry_count"]), (&json!(9), &json!(1)), "{report:#}");
    assert_eq!(starts(&lab.path("project-b/ran")).len(), 2);
    drop(daemon);
}

#[test]
fn an_agent_that_refuses_its_arguments_is_not_tried_again() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let task = "fake: silent\nfake: mark ran\nfake: stderr error: unknown option '--permission-mode'\nfake: exit 1";
    lab.send(&lab.task("a", task));
    let report = lab.failed("a", "config");
    assert_eq!(report["exit_code"], 1);
    assert_eq!(starts(&lab.path("project-a/ran")).len(), 1);
    assert!(report["error"].as_str().is_some_and(|e| e.contains("unknown option")), "{report:#}");
    drop(daemon);
}

#[test]
fn words_on_stderr_or_in_prose_decide_nothing() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let words = "429 rate limit: too many requests, context too long, I can't, unable to";
    lab.send(&lab.task("a", format!("fake: stderr {words}\nfake: result success {words}")));
    assert_eq!(lab.completed("a")["result"], words);
    lab.send(&lab.task(
        "b",
        format!("fake: once turn {words}\nfake: once kill-self KILL\nfake: result success ok"),
    ));
    let report = lab.completed("b");
    assert_eq!(attempts(&report)[0]["error_type"], "tool_failure", "{report:#}");
    drop(daemon);
}

#[test]
fn noise_broken_lines_and_endless_lines_hide_no_result() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let task = "fake: broken-line\nfake: raw plain text\nfake: raw [1,2]\nfake: raw null\nfake: one-line 3000000\n\
                fake: print-bytes 2000000\nfake: result success Found.\nfake: raw \nfake: broken-line";
    lab.send(&lab.task("a", task));
    let report = lab.settled("a");
    lab.completed("a");
    assert_eq!(report["result"], "Found.");
    let stdout =
        fs::metadata(lab.finished("a").join("attempt-1/stdout.jsonl")).expect("stdout").len();
    assert!(stdout > 5_000_000 && report["output_length"] == stdout, "{stdout}: {report:#}");
    drop(daemon);
}

#[test]
fn denied_tools_are_reported_with_the_success() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(
        &lab.task("a", "fake: deny Bash\nfake: deny Write\nfake: result success I could not push."),
    );
    let report = lab.completed("a");
    let denials = report["permission_denials"].as_array().expect("permission_denials");
    let tools: Vec<_> = denials.iter().map(|d| &d["tool_name"]).collect();
    assert_eq!(tools, ["Bash", "Write"], "{report:#}");
    drop(daemon);
}

#[test]
fn secrets_do_not_reach_the_report() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let key = "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCdEfGhIjKlMnOpQr";
    let token = "ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";
    lab.send(&lab.task("a", format!("fake: result success keys: {key} and {token} end")));
    lab.completed("a");
    lab.send(
        &lab.task("b", format!("fake: result error 401 authentication_failed bad key {key} end")),
    );
    lab.failed("b", "auth");
    for name in ["a", "b"] {
        let text = text_file(lab.report_path(name));
        assert!(!text.contains(key) && !text.contains(token), "{text}");
    }
    drop(daemon);
}
