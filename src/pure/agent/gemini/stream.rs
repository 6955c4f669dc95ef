//! The reader of Gemini CLI's `stream-json`: one event a line.
//!
//! Owns what has to be remembered between two lines, bounded: the calls that wait for their
//! answers and the text since the last answer. Must not believe `success` alone: it is
//! told of a prompt that was never sent, and of a loop that was cut. The stream has no text of the
//! result, so that the last words of the model are the deltas after the last tool's answer.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{SHELL, errors};
use crate::pure::agent::fields::{IDS_MAX, session_id, whole, word};
use crate::pure::agent::mend;
use crate::pure::agent::pull_request::{self, OpeningCalls};
use crate::pure::agent::refusal;
use crate::pure::agent::{
    DENIAL_INPUT_CHARS_MAX, DENIALS_MAX, Failure, LimitEvent, RESULT_BYTES_MAX, Reader,
    ResultEvent, Summary, Tokens, USAGE_BYTES_MAX,
};
use crate::pure::report::{Denial, ERROR_CHARS_MAX, ErrorType};
use crate::pure::text::clip::{clip, one_line};
use crate::pure::text::time::parse_rfc3339;

/// How git refuses to commit without an identity.
const NO_IDENTITY: &str = "Please tell me who you are";
const NO_IDENTITY_NOTE: &str = "git refused a commit, since gemini's shell hides the user's git \
    configuration: set user.name and user.email in the repository, or GIT_AUTHOR_NAME, \
    GIT_AUTHOR_EMAIL, GIT_COMMITTER_NAME and GIT_COMMITTER_EMAIL for the daemon";
/// How `gh` names a pull request that is not the session's. Its exit code is not told.
const OPENED_EARLIER: &str = "already exists";
/// The answers of tools that were not let run.
const DENIALS: [&str; 2] = ["tool_not_registered", "policy_violation"];

#[derive(Debug, Default)]
pub(super) struct EventReader {
    /// The model's words since the last answer of a tool.
    text: String,
    /// The model is in the middle of a turn: more of it is no new one.
    is_in_turn: bool,
    /// Calls without an answer, by their ids: at most [`IDS_MAX`].
    calls: BTreeMap<String, Denial>,
    opening_calls: OpeningCalls,
    denials: Vec<Denial>,
    denials_total: usize,
    misses_identity: bool,
}

impl Reader for EventReader {
    fn line(&mut self, line: &[u8], summary: &mut Summary) {
        let Some(event) = mend::parse(line) else {
            summary.broken_lines += 1;
            return;
        };
        match event["type"].as_str().unwrap_or_default() {
            "init" => {
                summary.init_seen = true;
                summary.session_id = session_id(&event).or(summary.session_id.take());
                summary.model = word(&event["model"]).or(summary.model.take());
            }
            "message" if event["role"] == "assistant" => self.read_text(&event, summary),
            "tool_use" => self.read_call(&event, summary),
            "tool_result" => self.read_answer(&event, summary),
            "error" => self.read_error(&event, summary),
            "result" => self.read_result(&event, summary),
            _ => {}
        }
    }
}

impl EventReader {
    fn begin_turn(&mut self, summary: &mut Summary) {
        summary.assistant_turns += u64::from(!self.is_in_turn);
        summary.working_after_result = summary.result.is_some();
        summary.last_error = None;
        self.is_in_turn = true;
    }

    fn read_text(&mut self, event: &Value, summary: &mut Summary) {
        let Some(more) = event["content"].as_str().filter(|more| !more.is_empty()) else { return };
        self.begin_turn(summary);
        let room = RESULT_BYTES_MAX - self.text.len();
        if room > 0 {
            self.text.push_str(&clip(more, room));
            summary.last_text = Some(self.text.clone());
        }
    }

    fn read_call(&mut self, event: &Value, summary: &mut Summary) {
        self.begin_turn(summary);
        let tool_name = word(&event["tool_name"]).unwrap_or_else(|| "unknown".to_string());
        summary.used_tools = true;
        summary.last_tool = Some(tool_name.clone());
        let command = event["parameters"]["command"].as_str().filter(|_| tool_name == SHELL);
        if pull_request::opens_one(&tool_name, command) {
            self.opening_calls.remember(word(&event["tool_id"]));
        }
        if let Some(id) = word(&event["tool_id"]).filter(|_| self.calls.len() < IDS_MAX) {
            let input = input_of(&event["parameters"]);
            self.calls.insert(id, Denial { tool_name, input });
        }
    }

    fn read_answer(&mut self, event: &Value, summary: &mut Summary) {
        self.is_in_turn = false;
        self.text.clear();
        let call = word(&event["tool_id"]).and_then(|id| self.calls.remove(&id));
        let output = event["output"].as_str().unwrap_or_default();
        let opened = self.opening_calls.take(word(&event["tool_id"]));
        if opened && event["status"] == "success" && !output.contains(OPENED_EARLIER) {
            pull_request::keep_address(&[output], summary);
        }
        let error = event["error"]["type"].as_str().unwrap_or_default();
        if DENIALS.contains(&error) {
            self.denials_total += 1;
            if self.denials.len() < DENIALS_MAX {
                let unknown = || Denial { tool_name: "unknown".to_string(), input: None };
                self.denials.push(call.unwrap_or_else(unknown));
            }
        } else if let Some(call) = call {
            self.misses_identity |= call.tool_name == SHELL && output.contains(NO_IDENTITY);
            let error = event["error"]["message"].as_str().unwrap_or_default();
            if refusal::is_refused(output) || refusal::is_refused(error) {
                summary.note_refusal(call);
            }
        }
    }

    fn read_error(&mut self, event: &Value, summary: &mut Summary) {
        let message = one_line(event["message"].as_str().unwrap_or_default(), ERROR_CHARS_MAX);
        if event["severity"] == "warning" {
            summary.note(format!("gemini warned: {message}"));
        } else {
            summary.last_error = Some(message);
        }
    }

    fn read_result(&mut self, event: &Value, summary: &mut Summary) {
        let stats = &event["stats"];
        let failure = match (event["status"].as_str(), &event["error"]) {
            (Some("success"), _) => unanswered(summary, whole(&stats["total_tokens"])),
            (_, error @ Value::Object(_)) => Some(errors::failure(error)),
            (_, _) => Some(errors::no_answer(summary.last_error.as_deref().unwrap_or_default())),
        };
        summary.results = summary.results.saturating_add(1);
        summary.working_after_result = false;
        summary.tokens = Tokens {
            input: summary.tokens.input.max(whole(&stats["input_tokens"])),
            output: summary.tokens.output.max(whole(&stats["output_tokens"])),
        };
        summary.limit = limit(event).or(summary.limit.take());
        self.tell_what_is_amiss(failure.is_none(), summary);
        summary.result = Some(ResultEvent {
            failure,
            text: Some(self.text.clone()).filter(|text| !text.is_empty()),
            num_turns: Some(summary.assistant_turns),
            usage: Some(stats.clone())
                .filter(|usage| usage.is_object() && usage.to_string().len() <= USAGE_BYTES_MAX),
            denials: self.denials.clone(),
            denials_total: self.denials_total,
            ..ResultEvent::default()
        });
    }

    fn tell_what_is_amiss(&self, is_success: bool, summary: &mut Summary) {
        let is_silent = is_success && self.text.is_empty() && summary.used_tools;
        if is_silent && summary.notes.is_empty() {
            summary.note("gemini ended without a word after its last tool".to_string());
        }
        if self.misses_identity {
            summary.note(NO_IDENTITY_NOTE.to_string());
        }
    }
}

/// A success in which the model neither said nor did anything. By its own estimate of the prompt's
/// size it may not even have asked it.
fn unanswered(summary: &Summary, total_tokens: u64) -> Option<Failure> {
    if summary.assistant_turns > 0 {
        return None;
    }
    let (error_type, message) = if total_tokens == 0 {
        let message = "gemini did not send the prompt, which is over the context window by its own \
                       estimate, and reported success";
        (ErrorType::ContextOverflow, message)
    } else {
        (ErrorType::ToolFailure, "gemini reported success without an answer")
    };
    Some(Failure { error_type, message: message.to_string() })
}

/// When an account's limit opens again: the stamp of the event, and the wait that its words tell.
fn limit(event: &Value) -> Option<LimitEvent> {
    let wait = errors::retry_after_seconds(event["error"]["message"].as_str()?)?;
    let told_at_ms = parse_rfc3339(event["timestamp"].as_str()?)?;
    let told_at = u64::try_from(told_at_ms / 1000).ok()?;
    Some(LimitEvent { is_closed: true, resets_at: Some(told_at.saturating_add(wait)), kind: None })
}

fn input_of(parameters: &Value) -> Option<String> {
    let named = ["command", "file_path", "dir_path", "path", "url", "pattern"]
        .iter()
        .find_map(|key| parameters[*key].as_str());
    let text = match (named, parameters) {
        (Some(text), _) => text.to_string(),
        (None, Value::Null) => return None,
        (None, other) => other.to_string(),
    };
    Some(one_line(&text, DENIAL_INPUT_CHARS_MAX))
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
