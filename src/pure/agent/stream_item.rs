//! What a session says and does, as people follow it: the items that a driver makes of its stream.
//!
//! Owns the five kinds of item, which mean the same for every agent. Must not judge a session: a
//! [`super::Summary`] is for that. Thinking and an agent's own bookkeeping are no items, so that a
//! line of a stream may give none, and a line that holds a message may give several.

use serde_json::Value;

use super::fields::{texts, word};

#[derive(Clone, Debug, PartialEq)]
pub enum StreamItem {
    /// Words of the model.
    Text(String),
    ToolCall {
        tool: String,
        /// `null`: the stream does not tell it.
        input: Value,
        /// Its id, by which its answer is found.
        call: Option<String>,
    },
    ToolAnswer {
        text: String,
        is_error: bool,
        call: Option<String>,
    },
    /// A line that is no event of the agent.
    Other(String),
    /// The final word of the session, which may repeat its last text.
    Outcome {
        text: Option<String>,
        is_error: bool,
    },
}

/// Makes items of a stream. What it must remember for that is its own, and bounded.
pub trait ItemReader {
    /// Reads a line without its newline.
    fn line(&mut self, line: &[u8], each: &mut dyn FnMut(StreamItem));

    /// Hands on what it keeps back to join it with what follows: all of it, or whole lines only.
    fn flush(&mut self, _all: bool, _each: &mut dyn FnMut(StreamItem)) {}
}

impl StreamItem {
    /// A line as it stands.
    pub(super) fn other(line: &[u8]) -> StreamItem {
        StreamItem::Other(String::from_utf8_lossy(line).into_owned())
    }

    pub(super) fn call(tool: &Value, input: Value, call: &Value) -> StreamItem {
        let tool = word(tool).unwrap_or_else(|| "unknown".to_string());
        StreamItem::ToolCall { tool, input, call: word(call) }
    }
}

/// All items of a stream, for the tests of the readers.
#[cfg(test)]
pub(super) fn items_of(driver: &super::Driver, stream: &str) -> Vec<StreamItem> {
    let (mut reader, mut items) = (driver.items(), Vec::new());
    stream.lines().for_each(|line| reader.line(line.as_bytes(), &mut |item| items.push(item)));
    reader.flush(true, &mut |item| items.push(item));
    items
}

/// Hands on a text, unless it is empty.
pub(super) fn say(text: Option<&str>, each: &mut dyn FnMut(StreamItem)) {
    if let Some(text) = text.filter(|text| !text.trim().is_empty()) {
        each(StreamItem::Text(text.to_string()));
    }
}

/// The words of a tool's answer; what has no words is shown as it is.
pub(super) fn answer_text(content: &Value) -> String {
    match (texts(content), content) {
        (words, _) if !words.is_empty() => words.join("\n"),
        (_, Value::Null) => String::new(),
        (_, Value::Array(blocks)) => {
            let kind = |block: &Value| format!("[{}]", block["type"].as_str().unwrap_or("block"));
            blocks.iter().map(kind).collect::<Vec<_>>().join(" ")
        }
        (_, other) => other.to_string(),
    }
}
