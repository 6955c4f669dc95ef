//! What Claude Code's stream tells people: its messages, the calls of its tools with their answers,
//! and its result.
//!
//! Keeps nothing between two lines. Must read the same fields as the reader in `stream`, and no
//! others: the two show one session.

use serde_json::Value;

use super::repair;
use crate::pure::agent::mend;
use crate::pure::agent::stream_item::{ItemReader, StreamItem, answer_text, say};

pub(super) struct MessageItems;

impl ItemReader for MessageItems {
    fn line(&mut self, line: &[u8], each: &mut dyn FnMut(StreamItem)) {
        match mend::parse(line) {
            Some(event) => tell(&event, each),
            None => {
                each(StreamItem::other(line));
                repair::embedded_events(line, None).iter().for_each(|event| tell(event, each));
            }
        }
    }
}

fn tell(event: &Value, each: &mut dyn FnMut(StreamItem)) {
    let blocks = || event["message"]["content"].as_array().into_iter().flatten();
    match event["type"].as_str().unwrap_or_default() {
        "assistant" => blocks().for_each(|block| tell_block(block, each)),
        "user" => {
            for answer in blocks().filter(|block| block["type"] == "tool_result") {
                each(StreamItem::ToolAnswer {
                    text: answer_text(&answer["content"]),
                    is_error: answer["is_error"] == true,
                    call: answer["tool_use_id"].as_str().map(String::from),
                });
            }
        }
        "result" => {
            let subtype = event["subtype"].as_str().unwrap_or_default();
            let is_error = subtype.starts_with("error")
                || event["is_error"].as_bool().unwrap_or(subtype != "success");
            let errors = event["errors"].as_array().into_iter().flatten();
            let errors: Vec<&str> = errors.filter_map(Value::as_str).collect();
            let text = event["result"].as_str().map(String::from);
            let text = text.or_else(|| (!errors.is_empty()).then(|| errors.join("\n")));
            each(StreamItem::Outcome { text, is_error });
        }
        _ => {}
    }
}

fn tell_block(block: &Value, each: &mut dyn FnMut(StreamItem)) {
    match block["type"].as_str().unwrap_or_default() {
        "text" => say(block["text"].as_str(), each),
        "tool_use" | "server_tool_use" => {
            each(StreamItem::call(&block["name"], block["input"].clone(), &block["id"]));
        }
        _ => {}
    }
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
