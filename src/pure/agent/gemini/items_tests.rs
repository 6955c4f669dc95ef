//! What people see of recorded streams, and how pieces of a message are joined.

use serde_json::json;

use super::*;
use crate::pure::agent::gemini::DRIVER;
use crate::pure::agent::stream_item::items_of;

macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/fixtures/streams/gemini/0.61.0/",
            $name,
            ".jsonl"
        ))
    };
}

fn text(words: &str) -> StreamItem {
    StreamItem::Text(words.into())
}

#[test]
fn a_recorded_session_is_told_in_order() {
    let told = items_of(&DRIVER, recorded!("shell-denied-by-policy"));
    let id = Some("run_shell_command__run_shell_command_1795700332558_0".to_string());
    let call = StreamItem::ToolCall {
        tool: "run_shell_command".into(),
        input: json!({"command": "ls"}),
        call: id.clone(),
    };
    let denied = "Tool execution denied by policy.";
    let end = StreamItem::Outcome { text: Some("All done.".into()), is_error: false };
    assert_eq!(
        told,
        [
            text("I use a tool. "),
            call,
            StreamItem::ToolAnswer { text: denied.into(), is_error: true, call: id },
            text("All done."),
            end,
        ]
    );
}

#[test]
fn pieces_are_joined_and_whoever_follows_gets_whole_lines_first() {
    let piece = |words: &str| {
        json!({"type": "message", "role": "assistant", "content": words, "delta": true}).to_string()
    };
    let mut reader = EventItems::default();
    let mut told = Vec::new();
    let mut each = |item| told.push(item);
    for words in ["one ", "line\ntw", "o"] {
        reader.line(piece(words).as_bytes(), &mut each);
    }
    reader.flush(false, &mut each);
    reader.flush(false, &mut each);
    reader.flush(true, &mut each);
    reader.flush(true, &mut each);
    reader.line(piece("!").as_bytes(), &mut each);
    reader.line(b"no json", &mut each);
    reader.line(br#"{"type":"result","status":"error","error":{"message":"why"}}"#, &mut each);
    let why = StreamItem::Outcome { text: Some("why".into()), is_error: true };
    let other = StreamItem::Other("no json".into());
    assert_eq!(told, [text("one line\n"), text("two"), text("!"), other, why]);
}

#[test]
fn a_message_without_an_end_fills_no_memory() {
    let mut reader = EventItems::default();
    let mut told = 0;
    let words = "x".repeat(1000);
    let line = json!({"type": "message", "role": "assistant", "content": words, "delta": true});
    for _ in 0..100 {
        reader.line(line.to_string().as_bytes(), &mut |_| told += 1);
    }
    assert!(told >= 5 && reader.pieces.len() <= JOINED_BYTES_MAX);
    assert!(reader.last_text.len() <= RESULT_BYTES_MAX);
}
