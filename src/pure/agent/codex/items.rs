//! What `codex exec --json` tells people: its messages, its commands and other tools with their
//! answers, and how a turn ended.
//!
//! Owns which items were told when they began: a call and its answer are one item of the stream,
//! told twice or only at its end. A turn's end has no text of its own, so the last message is kept.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::stream::is_tool;
use crate::pure::agent::RESULT_BYTES_MAX;
use crate::pure::agent::fields::{IDS_MAX, texts, word};
use crate::pure::agent::stream_item::{ItemReader, StreamItem, say};
use crate::pure::text::clip::clip;

#[derive(Default)]
pub(super) struct ThreadItems {
    /// Calls that were told and have no answer yet, at most [`IDS_MAX`].
    begun: BTreeSet<String>,
    last_text: Option<String>,
}

impl ItemReader for ThreadItems {
    fn line(&mut self, line: &[u8], each: &mut dyn FnMut(StreamItem)) {
        let event = serde_json::from_slice::<Value>(line).ok().filter(Value::is_object);
        let Some(event) = event else { return each(StreamItem::other(line)) };
        let item = &event["item"];
        match event["type"].as_str().unwrap_or_default() {
            "item.started" if is_tool(item) => self.tell_call(item, each),
            "item.completed" => self.tell_done(item, each),
            "turn.completed" => {
                each(StreamItem::Outcome { text: self.last_text.take(), is_error: false });
            }
            "turn.failed" => {
                let text = event["error"]["message"].as_str().map(String::from);
                each(StreamItem::Outcome { text, is_error: true });
            }
            _ => {}
        }
    }
}

impl ThreadItems {
    fn tell_call(&mut self, item: &Value, each: &mut dyn FnMut(StreamItem)) {
        if let Some(id) = word(&item["id"]).filter(|_| self.begun.len() < IDS_MAX) {
            self.begun.insert(id);
        }
        let tool = if item["tool"].is_string() { &item["tool"] } else { &item["type"] };
        each(StreamItem::call(tool, input_of(item), &item["id"]));
    }

    fn tell_done(&mut self, item: &Value, each: &mut dyn FnMut(StreamItem)) {
        if item["type"] == "agent_message" {
            let text = item["text"].as_str();
            self.last_text = text.map(|text| clip(text, RESULT_BYTES_MAX));
            return say(text, each);
        }
        if !is_tool(item) {
            return;
        }
        if !word(&item["id"]).is_some_and(|id| self.begun.remove(&id)) {
            self.tell_call(item, each);
            word(&item["id"]).map(|id| self.begun.remove(&id));
        }
        let exit_code = item["exit_code"].as_i64().unwrap_or_default();
        let status = item["status"].as_str().unwrap_or_default();
        each(StreamItem::ToolAnswer {
            text: answer(item),
            is_error: exit_code != 0 || matches!(status, "failed" | "declined"),
            call: word(&item["id"]),
        });
    }
}

/// What a call was given: all that is neither its answer nor its name.
fn input_of(item: &Value) -> Value {
    if !item["arguments"].is_null() {
        return item["arguments"].clone();
    }
    let fields = ["command", "changes", "query"].into_iter();
    let known = fields.filter(|key| !item[*key].is_null());
    Value::Object(known.map(|key| (key.to_string(), item[key].clone())).collect::<Map<_, _>>())
}

fn answer(item: &Value) -> String {
    let output = item["aggregated_output"].as_str().into_iter();
    let error = item["error"]["message"].as_str();
    let words: Vec<&str> = output.chain(texts(&item["result"]["content"])).chain(error).collect();
    match (words.join("\n"), item["status"].as_str()) {
        (words, Some("declined")) if words.is_empty() => "declined".to_string(),
        (words, _) => words,
    }
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
