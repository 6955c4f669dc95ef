//! The items of `logs` as text for people: marks in ASCII tell what a line is, and the agent's own
//! words stand bare.
//!
//! Owns the marks and the limits. Must not let words pass for a mark: a line of the agent that
//! begins like one gets a blank in front, and whatever could move a cursor is shown.

use serde::Serialize;
use serde_json::Value;

use super::{AfterAttempt, AttemptBegun, AttemptOver, LogItem};
use crate::pure::agent::{RESULT_BYTES_MAX, StreamItem};
use crate::pure::human::amount;
use crate::pure::human::look::Look;
use crate::pure::human::span;
use crate::pure::record::Record;
use crate::pure::text::escape;

/// A call of a tool is one line of at most this many characters.
const CALL_CHARS_MAX: usize = 200;
/// A tool's answer is cut after so many lines, or characters.
const ANSWER_LINES_MAX: usize = 10;
const ANSWER_CHARS_MAX: usize = 2000;
/// How many lines of stderr are shown of an attempt that failed.
pub const STDERR_LINES_MAX: usize = 10;
/// What tells a call apart, the most telling first.
const TELLING: [&str; 7] =
    ["command", "file_path", "path", "pattern", "url", "query", "description"];

const NOTE: &str = "-- ";
const CALL: &str = "> ";
const ANSWER: &str = "  | ";
const ERROR: &str = "  ! ";
const STDERR: &str = "  2> ";
const OTHER: &str = "? ";

/// Makes lines of one dispatch's items.
pub struct Renderer<'a> {
    look: &'a Look,
    /// What the agent said since the last thing that it did.
    last_words: String,
}

impl<'a> Renderer<'a> {
    pub fn new(look: &'a Look) -> Renderer<'a> {
        Renderer { look, last_words: String::new() }
    }

    /// Hands on the lines of an item, without newlines.
    pub fn item(&mut self, attempt: u32, item: &LogItem, line: &mut dyn FnMut(&str)) {
        match item {
            LogItem::AttemptStarted(begun) => {
                self.last_words.clear();
                line(&self.begun(attempt, begun));
            }
            LogItem::Stream(item) => self.stream(item, line),
            LogItem::Stderr(text) => line(&format!("{STDERR}{}", shown(text))),
            LogItem::AttemptEnded(over) => {
                if let Some(text) = self.over(attempt, over) {
                    line(&text);
                }
            }
        }
    }

    fn begun(&self, attempt: u32, begun: &AttemptBegun) -> String {
        let mut text = format!("{NOTE}attempt {attempt}");
        if let Some(at) = begun.started_at_ms {
            text += &format!(", {}", self.look.stamp(at));
        }
        if let Some(id) = &begun.session_id {
            text += &format!(", session {}", shown(id));
        }
        if begun.resumed {
            text += ", resumed";
        }
        text
    }

    /// `None`: what the end of the dispatch says next is all that there is to say.
    fn over(&self, attempt: u32, over: &AttemptOver) -> Option<String> {
        let kind = over.error_type.map_or("ended".into(), word);
        let then = match over.then {
            AfterAttempt::Report => return None,
            AfterAttempt::Retry { delay_ms, .. } => {
                format!("again in {}", span::show(delay_ms.div_ceil(1000)))
            }
            AfterAttempt::Hold { until_ms: None } => format!("waits for {kind}"),
            AfterAttempt::Hold { until_ms: Some(at) } => {
                format!("waits for {kind} until {}", self.look.stamp(at))
            }
        };
        let after = over.duration.map(|seconds| format!(" after {}", span::show_seconds(seconds)));
        let after = after.unwrap_or_default();
        let error = over.error.as_deref().map(|error| format!(": {}", shown(error)));
        let error = error.unwrap_or_default();
        Some(format!("{NOTE}attempt {attempt} ended{after}: {kind}{error}; {then}"))
    }

    fn stream(&mut self, item: &StreamItem, line: &mut dyn FnMut(&str)) {
        match item {
            StreamItem::Text(text) => {
                words(text, line);
                self.remember(text);
                return;
            }
            StreamItem::Outcome { text, .. } => {
                let text = text.as_deref().map(str::trim_end).unwrap_or_default();
                if !text.is_empty() && !self.repeats(text) {
                    words(text, line);
                }
            }
            StreamItem::ToolCall { tool, input, .. } => line(&call(tool, input)),
            StreamItem::ToolAnswer { text, is_error, .. } => {
                answer(if *is_error { ERROR } else { ANSWER }, text, line);
            }
            StreamItem::Other(text) => {
                line(&format!("{OTHER}{}", short(text, ANSWER_CHARS_MAX)));
            }
        }
        self.last_words.clear();
    }

    fn remember(&mut self, text: &str) {
        if self.last_words.len() + text.len() > 2 * RESULT_BYTES_MAX {
            self.last_words.clear();
        }
        self.last_words.push_str(text);
        self.last_words.push('\n');
    }

    /// Whether the agent said just this already. It may have been said in several texts.
    fn repeats(&self, text: &str) -> bool {
        let squeezed = |text: &str| text.split_whitespace().collect::<String>();
        !self.last_words.is_empty() && squeezed(&self.last_words).ends_with(&squeezed(text))
    }
}

/// Words of the agent: nothing but a blank is put before them.
fn words(text: &str, line: &mut dyn FnMut(&str)) {
    let marks = [NOTE, CALL, ANSWER, ERROR, STDERR, OTHER];
    for said in text.trim_end_matches(['\n', '\r']).split('\n') {
        let said = shown(said);
        let is_like_a_mark = marks.iter().any(|mark| said.starts_with(mark.trim_end()));
        line(&if is_like_a_mark { format!(" {said}") } else { said });
    }
}

fn call(tool: &str, input: &Value) -> String {
    let telling = TELLING.iter().find_map(|key| input[*key].as_str());
    let text = match input {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        other => telling.map_or_else(|| other.to_string(), String::from),
    };
    let head = format!("{CALL}{}", short(tool, CALL_CHARS_MAX / 2));
    let room = CALL_CHARS_MAX.saturating_sub(head.chars().count() + 2);
    match short(&text, room) {
        text if text.is_empty() => head,
        text => format!("{head}: {text}"),
    }
}

/// One line of at most so many characters, as they are shown.
fn short(text: &str, chars_max: usize) -> String {
    let line = escape::line(&text.split_whitespace().collect::<Vec<_>>().join(" "));
    if line.chars().count() <= chars_max {
        return line;
    }
    let cut: String = line.chars().take(chars_max.saturating_sub(1)).collect();
    format!("{cut}…")
}

fn answer(mark: &str, text: &str, line: &mut dyn FnMut(&str)) {
    let text = text.trim_end();
    if text.is_empty() {
        if mark == ERROR {
            line(mark.trim_end());
        }
        return;
    }
    let (mut left, mut shown_lines) = (ANSWER_CHARS_MAX, 0);
    for answered in text.split('\n').take(ANSWER_LINES_MAX) {
        let length = answered.chars().count();
        if left == 0 {
            break;
        }
        let cut: String = answered.chars().take(left).collect();
        let dots = if length > left { "…" } else { "" };
        line(&format!("{mark}{}{dots}", shown(&cut)));
        left = left.saturating_sub(length);
        shown_lines += 1;
    }
    match text.split('\n').count() - shown_lines {
        0 => {}
        1 => line(&format!("{mark}… 1 more line")),
        more => line(&format!("{mark}… {more} more lines")),
    }
}

/// A line as it is shown: a tab stays, and whatever could move a cursor otherwise does not.
fn shown(line: &str) -> String {
    let line = line.strip_suffix('\r').unwrap_or(line);
    escape::text(line).replace('\n', "\\u{a}")
}

/// The last line: how the dispatch ended.
pub fn outcome(record: &Record) -> String {
    let state = record.shown_state().name();
    let why = record.shown_kind().into_iter().chain(record.error.clone());
    let why: Vec<String> = why.map(|text| shown(&text)).collect();
    if !why.is_empty() {
        return format!("{NOTE}{state}: {}", why.join(": "));
    }
    let mut text = format!("{NOTE}{state} in {}", span::show(record.duration.unwrap_or_default()));
    if let Some(turns) = record.num_turns {
        text += &format!(", {}", amount::of(turns, "turn"));
    }
    if let Some(cost) = record.total_cost_usd {
        text += &format!(", {}", amount::usd(cost));
    }
    if let (Some(input), Some(output)) = (record.input_tokens, record.output_tokens) {
        text += &format!(", {} tokens in, {} out", amount::count(input), amount::count(output));
    }
    text
}

/// A name as it stands in reports.
fn word(name: impl Serialize) -> String {
    let value = serde_json::to_value(name).unwrap_or_default();
    value.as_str().unwrap_or_default().to_string()
}

#[cfg(test)]
#[path = "people_tests.rs"]
mod tests;
