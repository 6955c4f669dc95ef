//! Lines as Codex writes them, and the reading of a whole stream: for the tests beside it.

use super::DRIVER;
use crate::pure::agent::{Summary, Transcript};

pub const THREAD: &str = "01a21814-2a1f-7760-9ad4-05f33bd8c28b";

pub const BEGUN: &str = r#"{"type":"thread.started","thread_id":"01a21814-2a1f-7760-9ad4-05f33bd8c28b"}
{"type":"turn.started"}
"#;

pub const DONE: &str = r#"{"type":"turn.completed","usage":{"input_tokens":1000,"cached_input_tokens":100,"cache_write_input_tokens":0,"output_tokens":50,"reasoning_output_tokens":10}}
"#;

pub fn said(text: &str) -> String {
    let item = serde_json::json!({"id": "item_9", "type": "agent_message", "text": text});
    item_event("item.completed", &item)
}

pub fn item_event(kind: &str, item: &serde_json::Value) -> String {
    format!("{}\n", serde_json::json!({"type": kind, "item": item}))
}

/// The lines with which a turn ends in an error.
pub fn failed(message: &str) -> String {
    let error = serde_json::json!({"type": "error", "message": message});
    let end = serde_json::json!({"type": "turn.failed", "error": {"message": message}});
    format!("{error}\n{end}\n")
}

pub fn read(stream: &str) -> Summary {
    let mut transcript = Transcript::new(&DRIVER);
    transcript.feed(stream.as_bytes());
    transcript.finish()
}
