//! The items of `logs` as text for people: marks in ASCII tell what a line is, and the agent's own
//! words stand bare.
//!
//! Owns the marks and the limits. Must not let words pass for a mark: a line of the agent that
//! begins like one gets a blank in front, and whatever could move a cursor is shown.

use serde_json::Value;

use super::{AfterAttempt, AttemptBegun, AttemptOver, LogItem};
use crate::pure::agent::{RESULT_BYTES_MAX, StreamItem};
use crate::pure::report::ErrorType;
use crate::pure::text::clip::one_line;
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

/// How times are shown: with the local zone, which only whoever prints knows.
pub struct Clock<'a> {
    /// The instant, in the local zone, with its offset. Milliseconds since 1970.
    pub instant: &'a dyn Fn(i64) -> String,
    /// A length of time, in milliseconds.
    pub length: &'a dyn Fn(u64) -> String,
}

/// Makes lines of one dispatch's items.
pub struct Renderer<'a> {
    clock: Clock<'a>,
    /// What the agent said since the last thing that it did.
    last_words: String,
}

impl<'a> Renderer<'a> {
    pub fn new(clock: Clock<'a>) -> Renderer<'a> {
        Renderer { clock, last_words: String::new() }
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
            text += &format!(", {}", (self.clock.instant)(at));
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
        let kind = over.error_type.map_or("ended".into(), kind_word);
        let then = match over.then {
            AfterAttempt::Report => return None,
            AfterAttempt::Retry { delay_ms, .. } => {
                format!("again in {}", (self.clock.length)(delay_ms))
            }
            AfterAttempt::Hold { until_ms: None } => format!("waits for {kind}"),
            AfterAttempt::Hold { until_ms: Some(at) } => {
                format!("waits for {kind} until {}", (self.clock.instant)(at))
            }
        };
        let after = over.duration.map(|seconds| (self.clock.length)((seconds * 1000.0) as u64));
        let after = after.map(|length| format!(" after {length}")).unwrap_or_default();
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
                line(&format!("{OTHER}{}", escape::line(&one_line(text, ANSWER_CHARS_MAX))));
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
    let head = format!("{CALL}{}", one_line(tool, CALL_CHARS_MAX / 2));
    let room = CALL_CHARS_MAX.saturating_sub(head.chars().count() + 2);
    let line = match one_line(&text, room) {
        text if text.is_empty() => head,
        text => format!("{head}: {text}"),
    };
    escape::line(&line)
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
    line.split('\t').map(escape::line).collect::<Vec<_>>().join("\t")
}

/// An error's type as it stands in reports.
pub fn kind_word(kind: ErrorType) -> String {
    let value = serde_json::to_value(kind).unwrap_or_default();
    value.as_str().unwrap_or_default().to_string()
}

/// A count of tokens: `12.3k`.
pub fn tokens(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..999_950 => format!("{:.1}k", count as f64 / 1e3),
        _ => format!("{:.1}M", count as f64 / 1e6),
    }
}

#[cfg(test)]
#[path = "people_tests.rs"]
mod tests;
