//! What people see of the events that Cursor's documentation shows.

use serde_json::json;

use super::*;
use crate::pure::agent::cursor::DRIVER;
use crate::pure::agent::stream_item::items_of;

#[test]
fn a_documented_session_is_told_in_order() {
    let lines = [
        r#"{"type":"system","subtype":"init","session_id":"s"}"#,
        r#"{"type":"user","message":{"content":[{"type":"text","text":"read"}]}}"#,
        r#"{"type":"assistant","message":{"content":[{"type":"text","text":"I'll read it"}]}}"#,
        r#"{"type":"tool_call","subtype":"started","call_id":"1","tool_call":{"readToolCall":{"args":{"path":"README.md"}}}}"#,
        r#"{"type":"tool_call","subtype":"completed","call_id":"1","tool_call":{"readToolCall":{"args":{"path":"README.md"},"result":{"success":{"content":"hi"}}}}}"#,
        r#"{"type":"tool_call","subtype":"started","call_id":"2","tool_call":{"function":{"name":"grep","arguments":"{}"}}}"#,
        r#"{"type":"tool_call","subtype":"completed","call_id":"2","tool_call":{"function":{"name":"grep","result":{"error":{"message":"no"}}}}}"#,
        r#"{"type":"thinking","subtype":"delta","text":"hm"}"#,
        "no json",
        r#"{"type":"result","subtype":"success","is_error":false,"result":"It says hi."}"#,
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
            StreamItem::Text("I'll read it".into()),
            call("read", json!({"path": "README.md"}), "1"),
            answer("hi", false, "1"),
            call("grep", json!("{}"), "2"),
            answer(r#"{"error":{"message":"no"}}"#, true, "2"),
            StreamItem::Other("no json".into()),
            StreamItem::Outcome { text: Some("It says hi.".into()), is_error: false },
        ]
    );
}
