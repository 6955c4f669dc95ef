//! The table of agent programs: everything the daemon knows about one of them is one row, a
//! [`Driver`].
//!
//! Owns the events of a session, normalised over agents, and the reading of a whole stream. Must
//! not judge how a session ended: [`super::outcome`] does, and asks the driver only what an error
//! event means. A summary is bounded whatever the agent writes, since the daemon keeps one for each
//! running session.

pub mod claude;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::config::projects::Terms;
use super::lines::Lines;
use super::report::{Denial, ErrorType};

/// Longest text of an agent that is kept.
pub const RESULT_BYTES_MAX: usize = 16 * 1024;
pub const USAGE_BYTES_MAX: usize = 4 * 1024;
pub const DENIALS_MAX: usize = 50;
pub const DENIAL_INPUT_CHARS_MAX: usize = 200;
pub const ERRORS_MAX: usize = 10;
pub const TASKS_MAX: usize = 1000;
/// Names, ids, versions.
pub const WORD_BYTES_MAX: usize = 200;

pub static DRIVERS: &[Driver] = &[claude::DRIVER];

pub fn driver(name: &str) -> Option<&'static Driver> {
    DRIVERS.iter().find(|driver| driver.name == name)
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// As in `target_agent`.
    pub name: &'static str,
    /// Looked up in PATH.
    pub program: &'static str,
    /// The arguments, without the program. The prompt is not among them: it comes on stdin.
    pub argv: fn(&Launch) -> Vec<String>,
    pub read_line: fn(&mut Summary, &[u8]),
    /// Class and message of an error result; called for no other.
    pub failure: fn(&Summary, &ResultEvent) -> (ErrorType, String),
    /// From the stderr of a session that wrote nothing on stdout: the message, if it is a start-up
    /// error.
    pub start_failure: fn(stderr_tail: &str) -> Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionRef {
    /// A new UUID.
    New(String),
    Resume(String),
}

pub struct Launch<'a> {
    pub session: SessionRef,
    pub terms: &'a Terms,
}

/// What a session's stream said. Subagents' messages are not in it, only those of the session
/// itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub init_seen: bool,
    pub session_id: Option<String>,
    pub model: Option<String>,
    pub agent_version: Option<String>,
    /// Messages really produced by the model: an agent's own error messages are not counted.
    pub assistant_turns: u64,
    /// Some tool was called, by the session or by a subagent: it may have changed something.
    pub used_tools: bool,
    /// One message comes in several lines, one for each of its blocks.
    pub last_message_id: Option<String>,
    /// The last assistant message was the model's, so the text of the result may be its prose.
    pub last_by_model: bool,
    pub last_text: Option<String>,
    /// The tool that was called last, by the session or a subagent.
    pub last_tool: Option<String>,
    /// Of all its messages so far. The result has the final count.
    pub tokens: Tokens,
    /// What of `tokens` is the last message's: its lines repeat it, and it grows.
    pub last_message_tokens: Tokens,
    /// Calls that open a pull request and have not been answered, at most [`TASKS_MAX`].
    pub pull_request_calls: BTreeSet<String>,
    /// The address of the last pull request that a tool opened, as that tool printed it.
    pub pull_request: Option<String>,
    /// The structured error of the last assistant message; none if that one had none.
    pub assistant_error: Option<String>,
    pub results: u32,
    /// The last one counts.
    pub result: Option<ResultEvent>,
    /// Another turn began after the last result.
    pub working_after_result: bool,
    /// Background work that the stream last said is outstanding.
    pub outstanding_tasks: u64,
    /// It lists what is outstanding (newer versions).
    pub lists_tasks: bool,
    /// The tasks that it told of one by one (older versions), at most [`TASKS_MAX`].
    pub started_tasks: BTreeSet<String>,
    /// The last one since the model last answered: later it explains nothing any more.
    pub api_retry: Option<ApiRetry>,
    pub limit: Option<LimitEvent>,
    pub lines: u64,
    pub broken_lines: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// With what was written to and read from a cache.
    pub input: u64,
    pub output: u64,
}

impl Summary {
    /// Counts a line of a message: of the same one as the last line, or of a new one.
    fn count_tokens(&mut self, is_new_message: bool, of_message: Tokens) {
        let before = if is_new_message { Tokens::default() } else { self.last_message_tokens };
        let input = of_message.input.saturating_sub(before.input);
        let output = of_message.output.saturating_sub(before.output);
        self.tokens.input = self.tokens.input.saturating_add(input);
        self.tokens.output = self.tokens.output.saturating_add(output);
        self.last_message_tokens = Tokens {
            input: of_message.input.max(before.input),
            output: of_message.output.max(before.output),
        };
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultEvent {
    pub is_error: bool,
    pub subtype: String,
    pub api_error_status: Option<u16>,
    /// At most [`RESULT_BYTES_MAX`].
    pub text: Option<String>,
    pub errors: Vec<String>,
    pub num_turns: Option<u64>,
    pub total_cost_usd: Option<f64>,
    /// What that cost is made up of: of all models and subagents.
    pub cost_tokens: Option<Tokens>,
    /// Absent when larger than [`USAGE_BYTES_MAX`].
    pub usage: Option<serde_json::Value>,
    /// The first [`DENIALS_MAX`].
    pub denials: Vec<Denial>,
    pub denials_total: usize,
    pub stop_reason: Option<String>,
    pub terminal_reason: Option<String>,
    pub session_id: Option<String>,
}

/// The agent is waiting to repeat a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiRetry {
    pub attempt: u64,
    pub error_status: Option<u16>,
    pub error: Option<String>,
}

/// A limit of the account, as structured data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitEvent {
    /// `allowed`, `allowed_warning` or `rejected`.
    pub status: String,
    /// Epoch seconds.
    pub resets_at: Option<u64>,
    pub kind: Option<String>,
}

/// Reads a whole stream, fed in pieces of any size.
pub struct Transcript {
    driver: &'static Driver,
    lines: Lines,
    summary: Summary,
}

impl Transcript {
    pub fn new(driver: &'static Driver) -> Self {
        Transcript { driver, lines: Lines::new(), summary: Summary::default() }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        let (summary, read_line) = (&mut self.summary, self.driver.read_line);
        self.lines.feed(bytes, &mut |line| read_line(summary, line));
    }

    /// What the whole lines so far said.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    pub fn finish(self) -> Summary {
        let Transcript { driver, lines, mut summary } = self;
        let skipped = lines.finish(&mut |line| (driver.read_line)(&mut summary, line));
        summary.lines += skipped.too_long;
        summary.broken_lines += skipped.too_long;
        summary
    }
}

/// At most `bytes_max` bytes of a text, cut between two characters.
pub fn clip(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_string()
}

/// A text for one line of a report: no line breaks, control characters or terminal colours, at most
/// `chars_max`.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    let mut gap = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            while chars.next().is_some_and(|char| !char.is_ascii_alphabetic()) {}
        } else if char.is_whitespace() || char.is_control() {
            gap = length > 0;
        } else {
            let wanted = 1 + usize::from(gap);
            if length + wanted > chars_max {
                line.pop();
                line.push('…');
                break;
            }
            if gap {
                line.push(' ');
            }
            line.push(char);
            length += wanted;
            gap = false;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_found_by_name() {
        assert_eq!(driver("claude").map(|driver| driver.program), Some("claude"));
        assert!(driver("Claude").is_none() && driver("").is_none());
    }

    #[test]
    fn clip_keeps_whole_characters() {
        for (text, max, kept) in
            [("abc", 9, "abc"), ("aéb", 2, "a"), ("aéb", 3, "aé"), ("é", 0, "")]
        {
            assert_eq!(clip(text, max), kept);
        }
    }

    #[test]
    fn one_line_is_one_bounded_line() {
        for (text, max, line) in [
            ("  a\r\n\tb\0 c\n", 99, "a b c"),
            ("\u{1b}[31merror:\u{1b}[0m no", 99, "error: no"),
            ("abcdef", 6, "abcdef"),
            ("abcdef", 5, "abcd…"),
            ("ab cd", 4, "ab …"),
            ("éééé", 3, "éé…"),
            ("", 3, ""),
        ] {
            assert_eq!(one_line(text, max), line, "{text:?}");
            assert!(one_line(text, max).chars().count() <= max);
        }
    }
}
