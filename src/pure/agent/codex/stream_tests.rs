//! What the reader makes of a stream, line by line.

use serde_json::json;

use super::*;
use crate::pure::agent::codex::samples::{BEGUN, DONE, THREAD, failed, item_event, read, said};
use crate::pure::report::ErrorType;

fn command(kind: &str, id: &str, status: &str, output: &str) -> String {
    let item = json!({"id": id, "type": "command_execution", "command": "make", "status": status,
        "aggregated_output": output, "exit_code": null});
    item_event(kind, &item)
}

fn error(message: &str) -> String {
    format!("{}\n", json!({"type": "error", "message": message}))
}

#[test]
fn a_plain_session() {
    let (begun, done) = (
        command("item.started", "i", "in_progress", ""),
        command("item.completed", "i", "completed", "x"),
    );
    let summary = read(&format!("{BEGUN}{begun}{done}{}{DONE}", said("all of it")));
    let usage = json!({"input_tokens": 1000, "cached_input_tokens": 100,
        "cache_write_input_tokens": 0, "output_tokens": 50, "reasoning_output_tokens": 10});
    let wanted = Summary {
        init_seen: true,
        session_id: Some(THREAD.into()),
        assistant_turns: 2,
        model_began: true,
        used_tools: true,
        last_text: Some("all of it".into()),
        last_tool: Some("command_execution".into()),
        tokens: Tokens { input: 1000, output: 50 },
        results: 1,
        result: Some(ResultEvent {
            text: Some("all of it".into()),
            usage: Some(usage),
            ..ResultEvent::default()
        }),
        lines: 6,
        ..Summary::default()
    };
    assert_eq!(summary, wanted);
}

#[test]
fn an_error_is_not_the_end() {
    let again = error("Reconnecting... 2/5 (connection refused)");
    let waiting = read(&format!("{BEGUN}{again}"));
    assert_eq!(waiting.result, None);
    assert_eq!(waiting.last_error.as_deref(), Some("Reconnecting... 2/5 (connection refused)"));
    // It was overcome: later it explains nothing any more.
    for answer in [
        said("x"),
        command("item.started", "i", "in_progress", ""),
        item_event("item.completed", &json!({"type": "reasoning", "text": "hm"})),
    ] {
        assert_eq!(read(&format!("{BEGUN}{again}{answer}")).last_error, None, "{answer}");
    }
    let done = read(&format!("{BEGUN}{again}{}{DONE}", said("x")));
    assert!(done.result.is_some_and(|result| result.failure.is_none()));
    // A warning of its own is none either.
    let warned = item_event("item.completed", &json!({"type": "error", "message": "a warning"}));
    let warned = read(&format!("{BEGUN}{warned}{}{DONE}", said("x")));
    assert!(warned.last_error.is_none() && warned.notes.is_empty() && !warned.used_tools);
}

#[test]
fn a_thought_is_a_beginning_of_its_answer_and_a_warning_of_its_own_is_none() {
    for (kind, item, has_begun) in [
        ("item.completed", json!({"type": "reasoning", "text": "hm"}), true),
        ("item.started", json!({"type": "todo_list", "items": []}), true),
        ("item.completed", json!({"type": "error", "message": "no metadata of the model"}), false),
        ("item.completed", json!({}), false),
    ] {
        let summary = read(&format!("{BEGUN}{}{}", item_event(kind, &item), error("again")));
        assert_eq!((summary.model_began, summary.assistant_turns), (has_begun, 0), "{item}");
    }
}

#[test]
fn the_last_end_of_a_turn_decides() {
    let lost = failed("stream disconnected before completion: x");
    let summary = read(&format!("{BEGUN}{}{lost}", said("half")));
    let failure = summary.result.as_ref().and_then(|result| result.failure.as_ref());
    assert_eq!(failure.map(|failure| failure.error_type), Some(ErrorType::ToolFailure));
    assert_eq!((summary.results, summary.tokens), (1, Tokens::default()));
    let turn = "{\"type\":\"turn.started\"}\n";
    assert!(read(&format!("{BEGUN}{lost}{turn}")).working_after_result);
    let mended = read(&format!("{BEGUN}{lost}{turn}{}{DONE}", said("whole")));
    assert!(!mended.working_after_result && mended.results == 2);
    assert!(mended.result.is_some_and(|result| result.failure.is_none()));
}

#[test]
fn what_a_reader_should_know_although_the_turn_completed() {
    let begun = |id| command("item.started", id, "in_progress", "");
    let failed_with = |output| command("item.completed", "i", "failed", output);
    let namespace = "bwrap: No permissions to create a new namespace, likely because x";
    let creating = "bwrap: Creating new namespace failed: Operation not permitted";
    let no_text = "codex completed its turn without a message";
    for (lines, wanted) in [
        (said("x"), vec![]),
        (String::new(), vec![no_text]),
        (said(""), vec![no_text]),
        (begun("i") + &said("x"), vec!["1 command still ran when the turn ended"]),
        (begun("i") + &begun("j") + &said("x"), vec!["2 commands still ran when the turn ended"]),
        (failed_with(namespace) + &said("x"), vec![NO_SANDBOX]),
        (failed_with(creating) + &failed_with(namespace) + &said("x"), vec![NO_SANDBOX]),
        (
            failed_with("make: *** failed, said bwrap: Creating new namespace failed") + &said("x"),
            vec![],
        ),
    ] {
        assert_eq!(read(&format!("{BEGUN}{lines}{DONE}")).notes, wanted, "{lines}");
    }
}

#[test]
fn what_it_refused_to_run_is_a_denial() {
    let one = command("item.completed", "i", "declined", "");
    let patch = json!({"id": "j", "type": "file_change", "status": "declined",
        "changes": [{"path": "/p/x", "kind": "add"}]});
    let patch = item_event("item.completed", &patch);
    let result = read(&format!("{BEGUN}{one}{patch}{DONE}")).result.expect("a result");
    let input = |text: &str| Some(text.to_string());
    let wanted = [
        Denial { tool_name: "command_execution".into(), input: input("make") },
        Denial { tool_name: "file_change".into(), input: input("/p/x") },
    ];
    assert_eq!((result.denials_total, result.denials.as_slice()), (2, &wanted[..]));
    let many = read(&format!("{BEGUN}{}{DONE}", one.repeat(80))).result.expect("a result");
    assert_eq!((many.denials_total, many.denials.len()), (80, DENIALS_MAX));
}

#[test]
fn a_tool_is_counted_once_and_named() {
    let call = json!({"id": "m", "type": "mcp_tool_call", "server": "s", "tool": "look", "status": "completed"});
    let (begun, done) = (item_event("item.started", &call), item_event("item.completed", &call));
    // One that is told only at its end counts too.
    for lines in [format!("{begun}{done}"), done] {
        let summary = read(&format!("{BEGUN}{lines}"));
        assert_eq!((summary.assistant_turns, summary.used_tools), (1, true));
        assert_eq!(summary.last_tool.as_deref(), Some("look"));
    }
    let plan = item_event("item.completed", &json!({"id": "t", "type": "todo_list", "items": []}));
    assert!(!read(&format!("{BEGUN}{plan}")).used_tools);
}

#[test]
fn a_field_of_another_type_is_ignored() {
    let odd = [
        r#"{"type":5}"#,
        r#"{"type":"later_invention","item":[{}]}"#,
        r#"{"type":"thread.started","thread_id":7}"#,
        r#"{"type":"thread.started","thread_id":"-x"}"#,
        r#"{"type":"thread.started","thread_id":"01a21814_2a1f_7760_9ad4_05f33bd8c28b"}"#,
        r#"{"type":"thread.started","thread_id":"../../../../../../../../../etc/passwd"}"#,
        r#"{"type":"item.completed"}"#,
        r#"{"type":"item.completed","item":{"type":"agent_message","text":[]}}"#,
        r#"{"type":"item.completed","item":{"type":"command_execution","id":{},"status":1}}"#,
        r#"{"type":"error"}"#,
    ];
    let summary = read(&odd.join("\n"));
    assert_eq!((summary.lines, summary.broken_lines), (odd.len() as u64, 0));
    assert_eq!((summary.session_id, summary.last_text, summary.result), (None, None, None));
    let broken = read("not json\n[1]\n{\"type\":\n");
    assert_eq!((broken.lines, broken.broken_lines), (3, 3));
    let counted = read("{\"type\":\"turn.completed\",\"usage\":{\"a\":1,\"b\":null,\"c\":{}}}\n");
    assert_eq!(counted.result.and_then(|result| result.usage), Some(json!({"a": 1})));
    let bare = read("{\"type\":\"turn.failed\"}\n{\"type\":\"turn.completed\",\"usage\":[1]}\n");
    assert!(bare.result.is_some_and(|result| result.failure.is_none() && result.usage.is_none()));
}

#[test]
fn what_is_kept_is_bounded() {
    let calls: String =
        (0..1_200).map(|n| command("item.started", &n.to_string(), "x", "")).collect();
    let long = "é".repeat(40_000);
    let usage = format!(r#"{{"type":"turn.completed","usage":{{"a":"{}"}}}}"#, "u".repeat(5_000));
    let all = format!("{BEGUN}{calls}{}{}{usage}\n", error(&long), said(&long));
    let summary = read(&all);
    assert_eq!(summary.notes, ["1000 commands still ran when the turn ended"]);
    let result = summary.result.expect("a result");
    assert!(result.usage.is_none() && result.text.is_some_and(|t| t.len() <= RESULT_BYTES_MAX));
    let waiting = read(&format!("{BEGUN}{}", error(&long)));
    assert!(waiting.last_error.is_some_and(|e| e.chars().count() <= ERROR_CHARS_MAX));
}
