//! What people see of recorded threads, and of items that were recorded nowhere.

use serde_json::json;

use super::*;
use crate::pure::agent::codex::DRIVER;
use crate::pure::agent::stream_item::items_of;

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/streams/codex/0.169.0/",
            $name,
            ".jsonl"
        ))
    };
}

#[test]
fn a_recorded_thread_is_told_in_order() {
    let told = items_of(&DRIVER, recorded!("success-commit"));
    let [call, answer, said, end] = &told[..] else { panic!("{told:?}") };
    let StreamItem::ToolCall { tool, input, call } = call else { panic!("{call:?}") };
    assert_eq!((tool.as_str(), call.as_deref()), ("command_execution", Some("item_0")));
    assert!(input["command"].as_str().is_some_and(|command| command.contains("git add -A")));
    assert_eq!(
        *answer,
        StreamItem::ToolAnswer {
            text: "8f97472 x\n".into(),
            is_error: false,
            call: Some("item_0".into())
        }
    );
    assert_eq!(*said, StreamItem::Text("All done.".into()));
    assert_eq!(*end, StreamItem::Outcome { text: Some("All done.".into()), is_error: false });
    let failed = items_of(&DRIVER, recorded!("rate-limit-429"));
    let words = "exceeded retry limit, last status: 429 Too Many Requests";
    assert_eq!(failed, [StreamItem::Outcome { text: Some(words.into()), is_error: true }]);
}

#[test]
fn a_tool_that_was_not_told_when_it_began_is_told_at_its_end() {
    let done = |item: Value| json!({"type": "item.completed", "item": item}).to_string();
    let lines = [
        done(json!({"id": "1", "type": "file_change", "status": "completed",
            "changes": [{"path": "/p/a", "kind": "add"}]})),
        done(json!({"id": "2", "type": "command_execution", "command": "x", "exit_code": 1,
            "aggregated_output": "no", "status": "failed"})),
        done(json!({"id": "3", "type": "command_execution", "command": "y", "status": "declined"})),
        done(json!({"id": "4", "type": "mcp_tool_call", "tool": "find", "arguments": {"q": 1},
            "status": "completed", "result": {"content": [{"type": "text", "text": "f"}]}})),
        done(json!({"id": "5", "type": "reasoning", "text": "hm"})),
        done(json!({"id": "6", "type": "error", "message": "a warning"})),
        "no json".to_string(),
    ];
    let call = |tool: &str, input: Value, call: &str| StreamItem::ToolCall {
        tool: tool.into(),
        input,
        call: Some(call.into()),
    };
    let answer = |text: &str, is_error: bool, call: &str| StreamItem::ToolAnswer {
        text: text.into(),
        is_error,
        call: Some(call.into()),
    };
    assert_eq!(
        items_of(&DRIVER, &lines.join("\n")),
        [
            call("file_change", json!({"changes": [{"path": "/p/a", "kind": "add"}]}), "1"),
            answer("", false, "1"),
            call("command_execution", json!({"command": "x"}), "2"),
            answer("no", true, "2"),
            call("command_execution", json!({"command": "y"}), "3"),
            answer("declined", true, "3"),
            call("find", json!({"q": 1}), "4"),
            answer("f", false, "4"),
            StreamItem::Other("no json".into()),
        ]
    );
}
