//! The reader of `codex exec --json`: one event of a thread a line.
//!
//! Nothing is required: a field that is absent or of another type is ignored, and so is an unknown
//! event. Owns what has to be remembered between two lines, which is bounded. Must not take an
//! `error` for the end: reconnections are told by it too, and only `turn.completed` or
//! `turn.failed` ends a turn.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{NO_SANDBOX, errors};
use crate::pure::agent::fields::{IDS_MAX, texts, word};
use crate::pure::agent::{
    DENIAL_INPUT_CHARS_MAX, DENIALS_MAX, RESULT_BYTES_MAX, Reader, ResultEvent, Summary, Tokens,
    USAGE_BYTES_MAX,
};
use crate::pure::agent::{pull_request, refusal};
use crate::pure::report::{Denial, ERROR_CHARS_MAX};
use crate::pure::text::clip::{clip, one_line};

/// What its sandbox prints where it cannot start at all.
const SANDBOX_FAILURES: [&str; 2] =
    ["bwrap: No permissions to create", "bwrap: Creating new namespace failed"];

#[derive(Debug, Default)]
pub(super) struct ThreadReader {
    /// Items that were started and not completed, at most [`IDS_MAX`].
    running: BTreeSet<String>,
    /// What it refused to run, for the result.
    denials: Vec<Denial>,
    denials_total: usize,
}

impl Reader for ThreadReader {
    fn line(&mut self, line: &[u8], summary: &mut Summary) {
        match serde_json::from_slice::<Value>(line) {
            Ok(event) if event.is_object() => self.read_event(&event, summary),
            Ok(_) | Err(_) => summary.broken_lines += 1,
        }
    }
}

impl ThreadReader {
    fn read_event(&mut self, event: &Value, summary: &mut Summary) {
        let item = &event["item"];
        // A warning of its own is told as an item too.
        summary.model_began |= item["type"].as_str().is_some_and(|kind| kind != "error");
        match event["type"].as_str().unwrap_or_default() {
            "thread.started" => {
                summary.init_seen = true;
                summary.session_id = thread_id(&event["thread_id"]).or(summary.session_id.take());
            }
            "turn.started" => summary.working_after_result = summary.result.is_some(),
            "item.started" => self.read_begun(item, summary),
            "item.completed" => self.read_done(item, summary),
            "turn.completed" => self.read_completed(&event["usage"], summary),
            "turn.failed" => {
                let message = event["error"]["message"].as_str().unwrap_or_default();
                let failure = Some(errors::failure(None, message));
                self.end_turn(ResultEvent { failure, ..ResultEvent::default() }, summary);
            }
            "error" => {
                let message = event["message"].as_str().unwrap_or_default();
                summary.last_error = Some(one_line(message, ERROR_CHARS_MAX));
            }
            _ => {}
        }
    }

    fn read_begun(&mut self, item: &Value, summary: &mut Summary) {
        if !is_tool(item) {
            return;
        }
        note_call(item, summary);
        if let Some(id) = word(&item["id"]).filter(|_| self.running.len() < IDS_MAX) {
            self.running.insert(id);
        }
    }

    fn read_done(&mut self, item: &Value, summary: &mut Summary) {
        match item["type"].as_str().unwrap_or_default() {
            "agent_message" => {
                summary.assistant_turns += 1;
                summary.last_error = None;
                if let Some(text) = item["text"].as_str().filter(|text| !text.is_empty()) {
                    summary.last_text = Some(clip(text, RESULT_BYTES_MAX));
                }
            }
            "reasoning" => summary.last_error = None,
            _ if is_tool(item) => self.read_tool_end(item, summary),
            _ => {}
        }
    }

    /// Not every call is told when it begins.
    fn read_tool_end(&mut self, item: &Value, summary: &mut Summary) {
        let was_told = word(&item["id"]).is_some_and(|id| self.running.remove(&id));
        if !was_told {
            note_call(item, summary);
        }
        let output = item["aggregated_output"].as_str().unwrap_or_default();
        if refusal::is_refused(output) {
            summary.note_refusal(denial(item));
        }
        match item["status"].as_str() {
            Some("declined") => {
                self.denials_total += 1;
                if self.denials.len() < DENIALS_MAX {
                    self.denials.push(denial(item));
                }
            }
            Some("failed") if SANDBOX_FAILURES.iter().any(|words| output.starts_with(words)) => {
                summary.note(NO_SANDBOX.to_string());
            }
            Some("failed") => {}
            _ => keep_pull_request(item, summary),
        }
    }

    fn read_completed(&mut self, usage: &Value, summary: &mut Summary) {
        let told = Some(usage)
            .filter(|usage| usage.is_object() && usage.to_string().len() <= USAGE_BYTES_MAX);
        if let Some(usage) = told {
            summary.tokens = tokens(usage);
        }
        match self.running.len() {
            0 => {}
            1 => summary.note("1 command still ran when the turn ended".to_string()),
            count => summary.note(format!("{count} commands still ran when the turn ended")),
        }
        if summary.last_text.is_none() {
            summary.note("codex completed its turn without a message".to_string());
        }
        let (text, usage) = (summary.last_text.clone(), told.map(numbers));
        self.end_turn(ResultEvent { text, usage, ..ResultEvent::default() }, summary);
    }

    fn end_turn(&mut self, result: ResultEvent, summary: &mut Summary) {
        summary.results = summary.results.saturating_add(1);
        summary.working_after_result = false;
        let (denials, denials_total) = (self.denials.clone(), self.denials_total);
        summary.result = Some(ResultEvent { denials, denials_total, ..result });
    }
}

pub(super) fn is_tool(item: &Value) -> bool {
    let kinds = ["command_execution", "file_change", "mcp_tool_call", "web_search"];
    item["type"].as_str().is_some_and(|kind| kinds.contains(&kind))
}

/// The model's call is its answer.
fn note_call(item: &Value, summary: &mut Summary) {
    summary.used_tools = true;
    summary.assistant_turns += 1;
    summary.last_error = None;
    summary.last_tool =
        word(&item["tool"]).or_else(|| word(&item["type"])).or(summary.last_tool.take());
}

/// A command and its answer are one item.
fn keep_pull_request(item: &Value, summary: &mut Summary) {
    let tool = item["tool"].as_str().unwrap_or_default();
    if pull_request::opens_one(tool, item["command"].as_str()) {
        let content = &item["result"]["content"];
        let output = item["aggregated_output"].as_str().into_iter();
        let answered: Vec<&str> = output.chain(texts(content)).collect();
        pull_request::keep_address(&answered, summary);
    }
}

fn denial(item: &Value) -> Denial {
    let input = item["command"].as_str().or_else(|| item["changes"][0]["path"].as_str());
    Denial {
        tool_name: word(&item["type"]).unwrap_or_else(|| "unknown".to_string()),
        input: input.map(|text| one_line(text, DENIAL_INPUT_CHARS_MAX)),
    }
}

/// A report has no nulls, and a count is nothing else.
fn numbers(usage: &Value) -> Value {
    let entries = usage.as_object().into_iter().flatten();
    let known = entries.filter(|(_, count)| count.is_number());
    Value::Object(known.map(|(key, count)| (key.clone(), count.clone())).collect())
}

/// Its input holds what was read from a cache already, and its output the reasoning.
pub(super) fn tokens(usage: &Value) -> Tokens {
    let count = |key: &str| usage[key].as_u64().unwrap_or_default();
    Tokens { input: count("input_tokens"), output: count("output_tokens") }
}

/// It becomes an argument and a part of a file's name, and what is no UUID would start a new thread
/// where one is to be resumed.
fn thread_id(value: &Value) -> Option<String> {
    let id = value.as_str()?;
    let is_legal = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    (id.len() == 36 && id.bytes().enumerate().all(is_legal)).then(|| id.to_string())
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
