//! What a session's stream said, in words that hold for every agent.
//!
//! Owns the facts that others ask for, and their bounds: the daemon keeps a summary for each
//! running session, so it is bounded whatever the agent writes. Must not hold what a driver needs
//! only for reading on: that is the driver's own ([`super::Reader`]). Must not judge how a session
//! ended: [`crate::pure::attempt::outcome`] does.

use serde::{Deserialize, Serialize};

use crate::pure::report::{Denial, ErrorType};

/// The longest text of an agent that is kept.
pub const RESULT_BYTES_MAX: usize = 16 * 1024;
pub const USAGE_BYTES_MAX: usize = 4 * 1024;
pub const DENIALS_MAX: usize = 50;
pub const DENIAL_INPUT_CHARS_MAX: usize = 200;
/// How many notes of a session become warnings in its report.
const NOTES_MAX: usize = 5;
/// The longest name, id or version that is kept.
pub const WORD_BYTES_MAX: usize = 200;

/// The facts of one session. Subagents' messages are not in them, only those of the session itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub init_seen: bool,
    pub session_id: Option<String>,
    pub model: Option<String>,
    pub agent_version: Option<String>,
    /// Messages that the model really produced: an agent's own error messages are not counted.
    pub assistant_turns: u64,
    /// The model began to answer: a thought, or a part of a message, which is no turn yet.
    pub model_began: bool,
    /// Some tool was called, by the session or by a subagent: it may have changed something.
    pub used_tools: bool,
    pub last_text: Option<String>,
    /// The tool that was called last, by the session or a subagent.
    pub last_tool: Option<String>,
    /// The tokens of all its messages so far. The result has the final count.
    pub tokens: Tokens,
    /// The address of the last pull request that a tool opened, as that tool printed it.
    pub pull_request: Option<String>,
    /// The structured error of the last assistant message, if it had one.
    pub assistant_error: Option<String>,
    pub results: u32,
    /// The last result, which is the one that counts.
    pub result: Option<ResultEvent>,
    /// Another turn began after the last result.
    pub working_after_result: bool,
    /// How many tasks in the background are outstanding, as the stream last said.
    pub outstanding_tasks: u64,
    /// The last retry since the model last answered: an earlier one explains nothing any more.
    pub api_retry: Option<ApiRetry>,
    /// What it last told of a trouble that need not be the end; none once the model answers again.
    pub last_error: Option<String>,
    pub limit: Option<LimitEvent>,
    /// What a reader of the report should know of the session; at most [`NOTES_MAX`].
    pub notes: Vec<String>,
    /// The agent has said in a way of its own that it does not know the session that it should
    /// resume.
    pub session_is_unknown: bool,
    /// Calls of tools that the system refused, by the words of their answers: the first
    /// [`DENIALS_MAX`], and how many there were.
    pub refusals: Vec<Denial>,
    pub refusals_total: u64,
    pub lines: u64,
    pub broken_lines: u64,
}

impl Summary {
    /// Keeps a note, once.
    pub fn note(&mut self, note: String) {
        if self.notes.len() < NOTES_MAX && !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// This includes what was written to and read from a cache.
    pub input: u64,
    pub output: u64,
}

/// The agent's last word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultEvent {
    /// `None`: the agent says that it succeeded.
    pub failure: Option<Failure>,
    /// The text has at most [`RESULT_BYTES_MAX`] bytes.
    pub text: Option<String>,
    pub num_turns: Option<u64>,
    pub total_cost_usd: Option<f64>,
    /// The tokens that this cost pays for, of all models and subagents. For a session that was
    /// resumed they tell whether the cost is that of the whole session
    /// ([`crate::pure::agent::cost`]).
    pub cost_tokens: Option<Tokens>,
    /// The agent's own account of its use; absent when larger than [`USAGE_BYTES_MAX`].
    pub usage: Option<serde_json::Value>,
    /// The first [`DENIALS_MAX`] denials.
    pub denials: Vec<Denial>,
    pub denials_total: usize,
}

/// Why a session failed, as its driver understands the agent's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub error_type: ErrorType,
    /// The message is one line of at most [`crate::pure::report::ERROR_CHARS_MAX`] characters.
    pub message: String,
}

/// The agent is waiting to repeat a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiRetry {
    pub attempt: u64,
    pub error_status: Option<u16>,
    pub error: Option<String>,
}

/// What the stream last told of a limit of the account, as structured data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LimitEvent {
    /// Nothing can work until the limit resets.
    pub is_closed: bool,
    /// Seconds since 1970.
    pub resets_at: Option<u64>,
    /// The agent's name for the limit: an account may have several.
    pub kind: Option<String>,
}
