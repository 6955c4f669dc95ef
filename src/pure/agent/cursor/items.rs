//! What Cursor's stream tells people: its messages, its tools and their answers, its result.
//!
//! Keeps nothing between two lines. Must not require any field, as the reader in `stream`: it was
//! written from the documentation.

use serde_json::Value;

use crate::pure::agent::fields::word;
use crate::pure::agent::mend;
use crate::pure::agent::stream_item::{ItemReader, StreamItem, say};

pub(super) struct CursorItems;

impl ItemReader for CursorItems {
    fn line(&mut self, line: &[u8], each: &mut dyn FnMut(StreamItem)) {
        let Some(event) = mend::parse(line) else { return each(StreamItem::other(line)) };
        let subtype = event["subtype"].as_str().unwrap_or_default();
        match (event["type"].as_str().unwrap_or_default(), subtype) {
            ("assistant", _) => {
                let blocks = event["message"]["content"].as_array().into_iter().flatten();
                let texts: Vec<&str> = blocks.filter_map(|block| block["text"].as_str()).collect();
                say(Some(&texts.concat()), each);
            }
            ("tool_call", "started") => {
                let (tool, call) = call(&event["tool_call"]);
                let input = match &call["args"] {
                    Value::Null => call["arguments"].clone(),
                    args => args.clone(),
                };
                each(StreamItem::call(&tool, input, &event["call_id"]));
            }
            ("tool_call", _) => {
                let (_, call) = call(&event["tool_call"]);
                each(StreamItem::ToolAnswer {
                    text: answer(&call["result"]),
                    is_error: call["result"]["success"].is_null() && !call["result"].is_null(),
                    call: word(&event["call_id"]),
                });
            }
            ("result", _) => {
                let is_error = subtype != "success" || event["is_error"] == true;
                let text = event["result"].as_str().map(String::from);
                each(StreamItem::Outcome { text, is_error });
            }
            _ => {}
        }
    }
}

/// The name of a call and what is told of it: `{"readToolCall": {…}}`, or
/// `{"function": {"name": …}}` for what has no name of its own.
pub(super) fn call(told: &Value) -> (Value, &Value) {
    let kinds = told.as_object();
    let kind = kinds.and_then(|kinds| kinds.iter().find(|(key, _)| key.ends_with("ToolCall")));
    match kind {
        Some((kind, call)) => (kind.trim_end_matches("ToolCall").into(), call),
        None => (told["function"]["name"].clone(), &told["function"]),
    }
}

/// The answer's words, wherever this kind of tool has them.
fn answer(result: &Value) -> String {
    let told = if result["success"].is_null() { result } else { &result["success"] };
    let fields = ["content", "stdout", "output", "errorMessage", "error", "message", "reason"];
    match fields.iter().find_map(|field| told[*field].as_str()) {
        Some(words) => words.to_string(),
        None if told.is_null() => String::new(),
        None => told.to_string(),
    }
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
