//! The readers of an agent that the operator describes: plain text, and lines of JSON with rules
//! that say where what stands.
//!
//! Owns what becomes of an event; which event it is, the rules say. Whatever they do not name is
//! unknown, and taken for the more careful of what it may be: without a rule for tools, tools were
//! used.

use serde_json::Value;

use super::session_id;
use crate::pure::agent::fields::{epoch_seconds, number};
use crate::pure::agent::{
    Failure, LimitEvent, RESULT_BYTES_MAX, Reader, ResultEvent, Summary, WORD_BYTES_MAX,
};
use crate::pure::config::dialect::{Dialect, Rule, StreamRules};
use crate::pure::report::{ERROR_CHARS_MAX, ErrorType};
use crate::pure::text::clip::{clip, one_line};
use crate::pure::text::time::parse_rfc3339;

/// All that it writes is its answer; whether it did well, its exit code says.
pub(super) struct TextReader;

impl Reader for TextReader {
    fn line(&mut self, line: &[u8], summary: &mut Summary) {
        let text = summary.last_text.get_or_insert_default();
        if text.len() < RESULT_BYTES_MAX {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(&String::from_utf8_lossy(line));
            *text = clip(text, RESULT_BYTES_MAX);
        }
        summary.assistant_turns = 1;
        summary.used_tools = true;
    }
}

pub(super) struct RuleReader {
    pub rules: &'static StreamRules,
    pub dialect: &'static Dialect,
}

impl Reader for RuleReader {
    fn line(&mut self, line: &[u8], summary: &mut Summary) {
        match serde_json::from_slice::<Value>(line) {
            Ok(event) => self.event(&event, summary),
            Err(_) => summary.broken_lines += 1,
        }
    }
}

impl RuleReader {
    fn event(&self, event: &Value, summary: &mut Summary) {
        let rules = self.rules;
        let find = |rule: &'static Option<Rule>| rule.as_ref().and_then(|rule| rule.find(event));
        if let Some(id) = find(&rules.session).and_then(session_id) {
            summary.init_seen = true;
            summary.session_id = Some(id);
        }
        // Without a rule, any event is its first.
        summary.init_seen |= rules.session.is_none();
        let (text, tool) = (find(&rules.text), find(&rules.tool));
        if text.is_some() || tool.is_some() {
            summary.assistant_turns = summary.assistant_turns.saturating_add(1);
            summary.working_after_result = summary.result.is_some();
        }
        if let Some(text) = text {
            summary.last_text = Some(words(text, RESULT_BYTES_MAX));
        }
        summary.used_tools |= tool.is_some() || rules.tool.is_none();
        if let Some(tool) = tool {
            summary.last_tool = Some(words(tool, WORD_BYTES_MAX));
        }
        let input = find(&rules.input_tokens).and_then(number);
        summary.tokens.input = input.unwrap_or(summary.tokens.input);
        let output = find(&rules.output_tokens).and_then(number);
        summary.tokens.output = output.unwrap_or(summary.tokens.output);
        if let Some(result) = find(&rules.result) {
            // Where it says no more than that it is over, the last message is the answer.
            let is_text = rules.result.as_ref().is_some_and(|rule| rule.path.is_some());
            let text = is_text.then(|| words(result, RESULT_BYTES_MAX));
            self.finish(event, None, text.or(summary.last_text.clone()), summary);
        } else if let Some(error) = find(&rules.error).filter(|error| **error != "") {
            let failure = self.failure(event, error, summary);
            self.finish(event, Some(failure), None, summary);
        }
    }

    fn finish(
        &self,
        event: &Value,
        failure: Option<Failure>,
        text: Option<String>,
        summary: &mut Summary,
    ) {
        let cost = self.rules.cost_usd.as_ref().and_then(|rule| rule.find(event));
        // A final answer is one of the model, whether or not its messages are told of.
        if failure.is_none() {
            summary.assistant_turns = summary.assistant_turns.max(1);
        }
        summary.results = summary.results.saturating_add(1);
        summary.working_after_result = false;
        summary.result = Some(ResultEvent {
            failure,
            text,
            total_cost_usd: cost.and_then(Value::as_f64),
            ..ResultEvent::default()
        });
    }

    fn failure(&self, event: &Value, error: &Value, summary: &mut Summary) -> Failure {
        let class = self.dialect.failures.iter().find(|(_, one)| one.holds_of(event));
        let error_type = class.map_or(ErrorType::ToolFailure, |(class, _)| *class);
        let unknown = self.dialect.session_unknown.as_ref();
        if unknown.is_some_and(|condition| condition.holds_of(event)) {
            summary.session_is_unknown = true;
        }
        let resets_at = self.rules.resets_at.as_ref().and_then(|rule| rule.find(event));
        if error_type == ErrorType::UsageLimit {
            let resets_at = resets_at.and_then(seconds_of);
            summary.limit = Some(LimitEvent { is_closed: true, resets_at, kind: None });
        }
        Failure { error_type, message: one_line(&words(error, RESULT_BYTES_MAX), ERROR_CHARS_MAX) }
    }
}

pub(super) fn words(value: &Value, bytes_max: usize) -> String {
    match value {
        Value::String(text) => clip(text, bytes_max),
        other => clip(&other.to_string(), bytes_max),
    }
}

/// Seconds or milliseconds since 1970, or a time in UTC as RFC 3339 writes it.
fn seconds_of(value: &Value) -> Option<u64> {
    let to_the_second = |text: &str| parse_rfc3339(&format!("{}.000Z", text.get(..19)?));
    let utc = value.as_str().filter(|text| text.ends_with('Z'));
    let written = utc.and_then(to_the_second);
    let from_text = written.and_then(|ms| u64::try_from(ms / 1000).ok());
    let plain = number(value).or_else(|| value.as_str()?.parse().ok());
    from_text.or(plain.map(epoch_seconds))
}
