//! What people see of recorded and of broken streams.

use serde_json::json;

use super::*;
use crate::pure::agent::claude::DRIVER;
use crate::pure::agent::stream_item::items_of;

fn text(words: &str) -> StreamItem {
    StreamItem::Text(words.into())
}

fn answer(words: &str, is_error: bool, call: &str) -> StreamItem {
    StreamItem::ToolAnswer { text: words.into(), is_error, call: Some(call.into()) }
}

fn outcome(words: &str, is_error: bool) -> StreamItem {
    StreamItem::Outcome { text: Some(words.into()), is_error }
}

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/streams/", $name, ".jsonl"))
    };
}

#[test]
fn a_recorded_session_is_told_in_order() {
    let call = StreamItem::ToolCall {
        tool: "Bash".into(),
        input: json!({
            "command": "git --version >/dev/null && echo allowed", "description": "run a command"
        }),
        call: Some("toolu_0000".into()),
    };
    let told = vec![
        call,
        answer("allowed", false, "toolu_0000"),
        text("The command ran."),
        outcome("The command ran.", false),
    ];
    assert_eq!(items_of(&DRIVER, recorded!("2.1.330/allowed-bash")), told);
    assert_eq!(items_of(&DRIVER, recorded!("2.1.197/allowed-bash")), told);
}

#[test]
fn each_result_and_each_error_is_told() {
    let twice = items_of(&DRIVER, recorded!("2.1.197/background-second-result"));
    let results = twice.iter().filter(|item| matches!(item, StreamItem::Outcome { .. })).count();
    assert_eq!(results, 2);
    let failed = items_of(&DRIVER, recorded!("2.1.330/rate-limit-429"));
    assert!(
        matches!(failed.last(), Some(StreamItem::Outcome { is_error: true, .. })),
        "{failed:?}"
    );
    let turns = items_of(&DRIVER, recorded!("2.1.330/max-turns"));
    let Some(StreamItem::Outcome { text: Some(words), is_error: true }) = turns.last() else {
        panic!("{turns:?}")
    };
    assert!(words.contains("turns"), "{words}");
}

#[test]
fn thinking_and_bookkeeping_are_left_out_and_what_is_no_event_is_shown() {
    let lines = [
        r#"{"type":"assistant","message":{"content":[{"type":"thinking","thinking":"hm"},{"type":"redacted_thinking","data":"x"}]}}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_delta"}}"#,
        r#"{"type":"user","message":{"content":[{"type":"text","text":"go on"}]}}"#,
        r#"{"type":"assistant","message":{"content":[{"type":"text","text":"a"},{"type":"text","text":" "},{"type":"text","text":"b"}]}}"#,
        "Segmentation fault",
        "[1]",
        r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","is_error":true,"content":[{"type":"text","text":"no"},{"type":"image"}]}]}}"#,
        r#"{"type":"user","message":{"content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"image"}]}]}}"#,
    ];
    let told = [
        text("a"),
        text("b"),
        StreamItem::Other("Segmentation fault".into()),
        StreamItem::Other("[1]".into()),
        answer("no", true, "t"),
        answer("[image]", false, "t"),
    ];
    assert_eq!(items_of(&DRIVER, &lines.join("\n")), told);
}

#[test]
fn a_result_within_a_broken_line_is_not_lost() {
    let line = r#"{"type":"user","mess{"type":"result","subtype":"success","is_error":false,"session_id":"s-1","result":"done"}"#;
    let told = items_of(&DRIVER, line);
    assert_eq!(told, [StreamItem::Other(line.into()), outcome("done", false)]);
}
