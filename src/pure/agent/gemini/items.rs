//! What Gemini CLI's stream tells people: the model's words, its tools and their answers, the end.
//!
//! Owns the words that have come so far: a message comes in pieces of any size, which are joined
//! until something else comes or whoever follows asks for them. Its result has no text of its own.

use serde_json::Value;

use crate::pure::agent::RESULT_BYTES_MAX;
use crate::pure::agent::fields::word;
use crate::pure::agent::mend;
use crate::pure::agent::stream_item::{ItemReader, StreamItem, say};
use crate::pure::text::clip::clip;

/// Words are joined up to this many bytes.
const JOINED_BYTES_MAX: usize = 16 * 1024;

#[derive(Default)]
pub(super) struct EventItems {
    /// Words that were not told yet.
    pieces: String,
    /// All words since the last answer of a tool.
    last_text: String,
}

impl ItemReader for EventItems {
    fn line(&mut self, line: &[u8], each: &mut dyn FnMut(StreamItem)) {
        let Some(event) = mend::parse(line) else {
            self.tell_pieces(each);
            return each(StreamItem::other(line));
        };
        match event["type"].as_str().unwrap_or_default() {
            "message" if event["role"] == "assistant" => self.join(&event, each),
            "tool_use" => {
                self.tell_pieces(each);
                let input = event["parameters"].clone();
                each(StreamItem::call(&event["tool_name"], input, &event["tool_id"]));
            }
            "tool_result" => self.tell_answer(&event, each),
            "result" => {
                self.tell_pieces(each);
                let is_error = event["status"] != "success";
                let words = Some(std::mem::take(&mut self.last_text));
                let error = event["error"]["message"].as_str().map(String::from);
                let text = if is_error { error } else { words.filter(|text| !text.is_empty()) };
                each(StreamItem::Outcome { text, is_error });
            }
            _ => {}
        }
    }

    fn flush(&mut self, all: bool, each: &mut dyn FnMut(StreamItem)) {
        let whole =
            if all { self.pieces.len() } else { self.pieces.rfind('\n').map_or(0, |at| at + 1) };
        let rest = self.pieces.split_off(whole);
        self.tell_pieces(each);
        self.pieces = rest;
    }
}

impl EventItems {
    fn join(&mut self, event: &Value, each: &mut dyn FnMut(StreamItem)) {
        let more = event["content"].as_str().unwrap_or_default();
        let room = RESULT_BYTES_MAX.saturating_sub(self.last_text.len());
        self.last_text.push_str(&clip(more, room));
        self.pieces.push_str(more);
        if event["delta"] != true || self.pieces.len() > JOINED_BYTES_MAX {
            self.tell_pieces(each);
        }
    }

    fn tell_pieces(&mut self, each: &mut dyn FnMut(StreamItem)) {
        say(Some(&self.pieces), each);
        self.pieces.clear();
    }

    fn tell_answer(&mut self, event: &Value, each: &mut dyn FnMut(StreamItem)) {
        self.tell_pieces(each);
        self.last_text.clear();
        let output = event["output"].as_str().filter(|output| !output.is_empty());
        let text = output.or(event["error"]["message"].as_str()).unwrap_or_default();
        each(StreamItem::ToolAnswer {
            text: text.to_string(),
            is_error: event["status"] == "error",
            call: word(&event["tool_id"]),
        });
    }
}

#[cfg(test)]
#[path = "items_tests.rs"]
mod tests;
