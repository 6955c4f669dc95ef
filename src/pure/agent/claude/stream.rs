//! The reader of Claude Code's `stream-json`: one event a line.
//!
//! Versions differ in key order and in fields, so nothing is required: a field that is absent or of
//! another type is ignored, and so is an unknown event. Owns what has to be remembered between two
//! lines, bounded like the summary itself. Must not judge: what an error result means is asked of
//! `errors`, anew after each event, since what comes after a result may still explain it.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde_json::Value;

use super::errors::{self, ErrorResult};
use super::repair;
use crate::pure::agent::fields::{IDS_MAX, epoch_seconds, number, session_id, texts, whole, word};
use crate::pure::agent::mend;
use crate::pure::agent::pull_request::{self, OpeningCalls};
use crate::pure::agent::refusal::{self, RecentCalls};
use crate::pure::agent::{
    ApiRetry, DENIAL_INPUT_CHARS_MAX, DENIALS_MAX, LimitEvent, RESULT_BYTES_MAX, Reader,
    ResultEvent, Summary, Tokens, USAGE_BYTES_MAX,
};
use crate::pure::report::{Denial, ERROR_CHARS_MAX};
use crate::pure::text::clip::{clip, one_line};

const ERRORS_MAX: usize = 10;
/// The status of a window that is closed.
const REJECTED: &str = "rejected";
/// An event of the API as it comes, which an option adds to the stream.
const PARTIAL_MESSAGE: &str = "stream_event";

#[derive(Debug, Default)]
pub(super) struct StreamReader {
    /// One message comes in several lines, one for each of its blocks.
    message_id: Option<String>,
    /// The last message's share of the summary's tokens: each of its lines repeats the count, which
    /// grows.
    message_tokens: Tokens,
    /// The last assistant message was the model's, so the text of the result may be its prose.
    is_by_model: bool,
    calls: OpeningCalls,
    /// For the answers that tell of a refusal.
    recent_calls: RecentCalls,
    /// The stream lists what is outstanding (newer versions do).
    lists_tasks: bool,
    /// The tasks that the stream told of one by one (older versions do), at most [`IDS_MAX`].
    started_tasks: BTreeSet<String>,
    /// The last result, if it is an error.
    error: Option<ErrorResult>,
}

impl Reader for StreamReader {
    fn line(&mut self, line: &[u8], summary: &mut Summary) {
        let head = serde_json::from_slice::<Head>(line);
        summary.model_began |= head.as_ref().is_ok_and(|head| head.kind == PARTIAL_MESSAGE);
        let awaits_tool = !self.calls.is_empty();
        let is_wanted = |kind: &str| {
            matters(kind) || kind == "user" && (awaits_tool || refusal::may_tell(line))
        };
        if head.is_ok_and(|head| !is_wanted(&head.kind)) {
            return;
        }
        match mend::parse(line) {
            Some(event) => self.read_event(&event, summary),
            None => {
                summary.broken_lines += 1;
                let session_id = summary.session_id.clone();
                for event in repair::embedded_events(line, session_id.as_deref()) {
                    self.read_event(&event, summary);
                }
            }
        }
    }
}

/// All that is parsed of a line that does not matter. Most bytes of a stream are in such lines:
/// tool outputs and partial messages.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Cow<'a, str>,
}

impl StreamReader {
    fn read_event(&mut self, event: &Value, summary: &mut Summary) {
        let kind = event["type"].as_str().unwrap_or_default();
        if matters(kind)
            && let Some(id) = session_id(event)
        {
            summary.session_id = Some(id);
        }
        match kind {
            "system" => self.read_system(event, summary),
            "assistant" => self.read_assistant(event, summary),
            "result" => self.read_result(event, summary),
            "rate_limit_event" => read_limit(summary, event),
            "user" => {
                self.read_answers(event, summary);
                self.read_refusals(event, summary);
            }
            _ => {}
        }
        self.judge(summary);
    }

    /// Fills in what the last result means, given all that was read so far.
    fn judge(&self, summary: &mut Summary) {
        let Some(error) = &self.error else { return };
        let failure = errors::failure(error, self.is_by_model, summary);
        if let Some(result) = &mut summary.result {
            result.failure = Some(failure);
        }
    }

    fn read_system(&mut self, event: &Value, summary: &mut Summary) {
        match event["subtype"].as_str().unwrap_or_default() {
            "init" => {
                summary.init_seen = true;
                summary.model = word(&event["model"]).or(summary.model.take());
                let version = word(&event["claude_code_version"]);
                summary.agent_version = version.or(summary.agent_version.take());
                summary.working_after_result = summary.result.is_some();
            }
            "background_tasks_changed" => {
                if let Some(tasks) = event["tasks"].as_array() {
                    summary.outstanding_tasks = tasks.len() as u64;
                    self.lists_tasks = true;
                }
            }
            "task_started" | "task_updated" | "task_notification" => self.read_task(event, summary),
            "api_retry" => {
                summary.api_retry = Some(ApiRetry {
                    attempt: whole(&event["attempt"]),
                    error_status: status(&event["error_status"]),
                    error: word(&event["error"]),
                });
            }
            _ => {}
        }
    }

    /// Counts what is outstanding. 2.1.197 never says that itself, only what begins and ends. A
    /// task that ends wakes the session: another turn follows.
    fn read_task(&mut self, event: &Value, summary: &mut Summary) {
        let Some(id) = word(&event["task_id"]) else { return };
        let status = event["patch"]["status"].as_str().or(event["status"].as_str());
        let is_over = status.is_some_and(|status| !matches!(status, "running" | "pending"));
        if event["subtype"] == "task_started" {
            if self.started_tasks.len() < IDS_MAX {
                self.started_tasks.insert(id);
            }
        } else if is_over {
            self.started_tasks.remove(&id);
        }
        if !self.lists_tasks {
            summary.outstanding_tasks = self.started_tasks.len() as u64;
        }
        let wakes = is_over || event["subtype"] == "task_notification";
        if wakes && summary.result.is_some() {
            summary.working_after_result = true;
        }
    }

    fn read_refusals(&self, event: &Value, summary: &mut Summary) {
        let blocks = event["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        for answer in blocks.iter().filter(|block| block["type"] == "tool_result") {
            let call = answer["tool_use_id"].as_str().and_then(|id| self.recent_calls.find(id));
            if let Some(call) =
                call.filter(|_| texts(&answer["content"]).into_iter().any(refusal::is_refused))
            {
                summary.note_refusal(call);
            }
        }
    }

    fn read_assistant(&mut self, event: &Value, summary: &mut Summary) {
        let blocks = event["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        for call in blocks.iter().filter(|block| block["type"] == "tool_use") {
            summary.used_tools = true;
            summary.last_tool = word(&call["name"]).or(summary.last_tool.take());
            if opens_pull_request(call) {
                self.calls.remember(word(&call["id"]));
            }
            if let Some(id) = word(&call["id"]) {
                self.recent_calls.add(id, called(&call["name"], &call["input"]));
            }
        }
        if event["parent_tool_use_id"].is_string() {
            return; // A subagent's.
        }
        let message = &event["message"];
        let error = word(&event["error"]);
        let by_model = error.is_none()
            && event["isApiErrorMessage"] != true
            && message["model"].as_str() != Some("<synthetic>");
        summary.assistant_error = error;
        self.is_by_model = by_model;
        if !by_model {
            return;
        }
        let id = word(&message["id"]);
        let is_new = id.is_none() || id != self.message_id;
        summary.assistant_turns += u64::from(is_new);
        self.count_tokens(is_new, tokens(&message["usage"]), summary);
        self.message_id = id;
        summary.api_retry = None;
        summary.working_after_result = summary.result.is_some();
        let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
        if !texts.is_empty() {
            summary.last_text = Some(clip(&texts.join("\n"), RESULT_BYTES_MAX));
        }
    }

    /// Reads an event that holds the answers of tools.
    fn read_answers(&mut self, event: &Value, summary: &mut Summary) {
        let blocks = event["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
        for answer in blocks.iter().filter(|block| block["type"] == "tool_result") {
            // A pull request that exists already is named in an error.
            if self.calls.take(word(&answer["tool_use_id"])) && answer["is_error"] != true {
                pull_request::keep_address(&texts(&answer["content"]), summary);
            }
        }
    }

    /// Counts a line of a message: of the same message as the last line, or of a new one.
    fn count_tokens(&mut self, is_new_message: bool, of_message: Tokens, summary: &mut Summary) {
        let before = if is_new_message { Tokens::default() } else { self.message_tokens };
        let (sum, more) = (&mut summary.tokens, of_message);
        sum.input = sum.input.saturating_add(more.input.saturating_sub(before.input));
        sum.output = sum.output.saturating_add(more.output.saturating_sub(before.output));
        self.message_tokens =
            Tokens { input: more.input.max(before.input), output: more.output.max(before.output) };
    }

    fn read_result(&mut self, event: &Value, summary: &mut Summary) {
        let subtype = word(&event["subtype"]).unwrap_or_default();
        // Some versions set no `is_error` for the `error_…` subtypes. A result that says neither
        // did not succeed.
        let is_error = subtype.starts_with("error")
            || event["is_error"].as_bool().unwrap_or(subtype != "success");
        let errors = event["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
        let denials = event["permission_denials"].as_array().map(Vec::as_slice).unwrap_or_default();
        let usage = Some(&event["usage"])
            .filter(|usage| usage.is_object() && usage.to_string().len() <= USAGE_BYTES_MAX);
        summary.results = summary.results.saturating_add(1);
        summary.working_after_result = false;
        let told = usage.map(tokens).unwrap_or_default();
        summary.tokens.input = summary.tokens.input.max(told.input);
        summary.tokens.output = summary.tokens.output.max(told.output);
        self.error = is_error.then(|| ErrorResult {
            subtype,
            api_error_status: status(&event["api_error_status"]),
            errors: errors
                .iter()
                .filter_map(|error| error.as_str())
                .take(ERRORS_MAX)
                .map(|error| one_line(error, ERROR_CHARS_MAX))
                .collect(),
            stop_reason: word(&event["stop_reason"]),
            terminal_reason: word(&event["terminal_reason"]),
        });
        summary.result = Some(ResultEvent {
            failure: None,
            text: event["result"].as_str().map(|text| clip(text, RESULT_BYTES_MAX)),
            num_turns: number(&event["num_turns"]),
            total_cost_usd: event["total_cost_usd"].as_f64(),
            cost_tokens: event["modelUsage"].as_object().map(cost_tokens),
            usage: usage.map(without_nulls),
            denials: denials.iter().take(DENIALS_MAX).map(denial).collect(),
            denials_total: denials.len(),
        });
    }
}

fn matters(kind: &str) -> bool {
    matches!(kind, "system" | "assistant" | "result" | "rate_limit_event")
}

fn opens_pull_request(call: &Value) -> bool {
    let name = call["name"].as_str().unwrap_or_default();
    let command = call["input"]["command"].as_str().filter(|_| name == "Bash");
    pull_request::opens_one(name, command)
}

fn read_limit(summary: &mut Summary, event: &Value) {
    let info = &event["rate_limit_info"];
    let Some(status) = info["status"].as_str() else { return };
    let resets_at = number(&info["resetsAt"]).map(epoch_seconds);
    let (is_closed, kind) = (status == REJECTED, word(&info["rateLimitType"]));
    let limit = LimitEvent { is_closed, resets_at, kind };
    // An account has several windows. News of one window does not open another one that is closed,
    // and if two are closed the one that opens later counts.
    let stays = summary.limit.as_ref().is_some_and(|old| {
        let opens_later = !limit.is_closed || old.resets_at > limit.resets_at;
        old.is_closed && old.kind != limit.kind && opens_later
    });
    if !stays {
        summary.limit = Some(limit);
    }
}

/// Leaves out nulls: in a report, absent means unknown.
fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let known = entries.iter().filter(|(_, value)| !value.is_null());
            Value::Object(known.map(|(key, value)| (key.clone(), without_nulls(value))).collect())
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

fn denial(value: &Value) -> Denial {
    called(&value["tool_name"], &value["tool_input"])
}

fn called(name: &Value, input: &Value) -> Denial {
    let named = ["command", "file_path", "notebook_path", "path", "url", "pattern"]
        .iter()
        .find_map(|key| input[*key].as_str());
    let input = match (named.or(input.as_str()), input) {
        (Some(text), _) => Some(one_line(text, DENIAL_INPUT_CHARS_MAX)),
        (None, Value::Null) => None,
        (None, other) => Some(one_line(&other.to_string(), DENIAL_INPUT_CHARS_MAX)),
    };
    let tool_name = word(name).unwrap_or_else(|| "unknown".to_string());
    Denial { tool_name, input }
}

fn tokens(usage: &Value) -> Tokens {
    let count = |key: &str| whole(&usage[key]);
    let input = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
    Tokens {
        input: input.iter().fold(0, |sum: u64, key| sum.saturating_add(count(key))),
        output: count("output_tokens"),
    }
}

/// The tokens that a cost pays for. 2.1.197 tells the cost of the resumption, 2.1.330 that of the
/// whole session, and both list the cost's own tokens here.
fn cost_tokens(models: &serde_json::Map<String, Value>) -> Tokens {
    let add = |sum: u64, count: &Value| sum.saturating_add(whole(count));
    let input = ["inputTokens", "cacheCreationInputTokens", "cacheReadInputTokens"];
    models.values().fold(Tokens::default(), |sum, model| Tokens {
        input: input.iter().fold(sum.input, |sum, key| add(sum, &model[*key])),
        output: add(sum.output, &model["outputTokens"]),
    })
}

fn status(value: &Value) -> Option<u16> {
    number(value).and_then(|number| u16::try_from(number).ok())
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
