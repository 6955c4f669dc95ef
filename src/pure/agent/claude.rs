//! Claude Code's driver: its arguments, its `stream-json` events, the meaning of its errors.
//!
//! Written against 2.1.197 and 2.1.330, which differ in key order and in fields, so nothing is
//! required: a field that is absent or of another type is ignored, and so is an unknown event. Must
//! never let words decide where a structured field exists: `subtype` is `success` for every API
//! failure, and the text may be the model's prose, about anything.

use super::{
    ApiRetry, DENIAL_INPUT_CHARS_MAX, DENIALS_MAX, Driver, ERRORS_MAX, Launch, LimitEvent,
    RESULT_BYTES_MAX, ResultEvent, SessionRef, Summary, TASKS_MAX, Tokens, USAGE_BYTES_MAX,
    WORD_BYTES_MAX, clip, one_line,
};
use crate::pure::config::projects::Terms;
use crate::pure::report::{Denial, ERROR_CHARS_MAX, ErrorType};
use serde::Deserialize;
use serde_json::Value;
use std::borrow::Cow;

mod pull_request;
mod repair;

/// A reset time above this is in milliseconds (seconds reach it in the year 5138).
const EPOCH_SECONDS_MAX: u64 = 100_000_000_000;
/// The status of a window that is closed.
const REJECTED: &str = "rejected";

pub const DRIVER: Driver =
    Driver { name: "claude", program: "claude", argv, read_line, failure, start_failure };

fn argv(launch: &Launch) -> Vec<String> {
    let fixed = [
        "--print",
        "--permission-mode",
        "acceptEdits",
        "--output-format",
        "stream-json",
        // Without it, stream-json is refused.
        "--verbose",
    ];
    let mut args: Vec<String> = fixed.map(String::from).to_vec();
    let terms = launch.terms;
    if !terms.allow_tools.is_empty() {
        // It takes every argument up to the next option: the session's, at the latest, ends it.
        args.push("--allowedTools".to_string());
        args.extend_from_slice(&terms.allow_tools);
    }
    let mut set = |option: &str, value: Option<String>| {
        args.extend(value.into_iter().flat_map(|value| [option.to_string(), value]));
    };
    set("--model", terms.model.clone());
    set("--max-turns", terms.max_turns.map(|turns| turns.to_string()));
    set("--max-budget-usd", terms.max_budget_usd.map(|usd| usd.to_string()));
    set("--setting-sources", setting_sources(terms));
    if terms.strict {
        args.push("--strict-mcp-config".to_string());
    }
    args.extend_from_slice(&terms.extra_args);
    let (option, id) = match &launch.session {
        SessionRef::New(id) => ("--session-id", id),
        SessionRef::Resume(id) => ("--resume", id),
    };
    args.extend([option.to_string(), id.clone()]);
    args
}

/// Headless, it runs the hooks that a repository brings along without asking anybody. Those of the
/// user stay.
fn setting_sources(terms: &Terms) -> Option<String> {
    let is_trusted = |source: &&String| !terms.strict || *source == "user";
    let sources: Vec<&str> =
        terms.setting_sources.iter().filter(is_trusted).map(String::as_str).collect();
    match (sources.is_empty(), terms.strict) {
        (false, _) => Some(sources.join(",")),
        (true, true) => Some("user".to_string()),
        (true, false) => None,
    }
}

// ---- reading ----

/// All that is parsed of a line that does not matter. Those are most bytes of a stream: tool
/// outputs, partial messages.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", default, borrow)]
    kind: Cow<'a, str>,
}

fn read_line(summary: &mut Summary, line: &[u8]) {
    summary.lines += 1;
    let head = serde_json::from_slice::<Head>(line);
    let awaits_tool = !summary.pull_request_calls.is_empty();
    let is_wanted = |kind: &str| matters(kind) || awaits_tool && kind == "user";
    if head.is_ok_and(|head| !is_wanted(&head.kind)) {
        return;
    }
    match repair::parse(line) {
        Some(event) => read_event(summary, &event),
        None => {
            summary.broken_lines += 1;
            let session_id = summary.session_id.clone();
            for event in repair::embedded_events(line, session_id.as_deref()) {
                read_event(summary, &event);
            }
        }
    }
}

fn matters(kind: &str) -> bool {
    matches!(kind, "system" | "assistant" | "result" | "rate_limit_event")
}

fn read_event(summary: &mut Summary, event: &Value) {
    let kind = event["type"].as_str().unwrap_or_default();
    if matters(kind)
        && let Some(id) = session_id(event)
    {
        summary.session_id = Some(id);
    }
    match kind {
        "system" => read_system(summary, event),
        "assistant" => read_assistant(summary, event),
        "result" => read_result(summary, event),
        "rate_limit_event" => read_limit(summary, event),
        "user" => pull_request::read_results(summary, event),
        _ => {}
    }
}

fn read_system(summary: &mut Summary, event: &Value) {
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
                summary.lists_tasks = true;
            }
        }
        "task_started" | "task_updated" | "task_notification" => read_task(summary, event),
        "api_retry" => {
            summary.api_retry = Some(ApiRetry {
                attempt: whole(&event["attempt"]).unwrap_or_default(),
                error_status: status(&event["error_status"]),
                error: word(&event["error"]),
            });
        }
        _ => {}
    }
}

/// 2.1.197 never says what is outstanding, only what begins and ends. A task that ends wakes the
/// session: another turn follows.
fn read_task(summary: &mut Summary, event: &Value) {
    let Some(id) = word(&event["task_id"]) else { return };
    let status = event["patch"]["status"].as_str().or(event["status"].as_str());
    let is_over = status.is_some_and(|status| !matches!(status, "running" | "pending"));
    if event["subtype"] == "task_started" {
        if summary.started_tasks.len() < TASKS_MAX {
            summary.started_tasks.insert(id);
        }
    } else if is_over {
        summary.started_tasks.remove(&id);
    }
    if !summary.lists_tasks {
        summary.outstanding_tasks = summary.started_tasks.len() as u64;
    }
    let wakes = is_over || event["subtype"] == "task_notification";
    if wakes && summary.result.is_some() {
        summary.working_after_result = true;
    }
}

fn read_assistant(summary: &mut Summary, event: &Value) {
    let blocks = event["message"]["content"].as_array().map(Vec::as_slice).unwrap_or_default();
    for call in blocks.iter().filter(|block| block["type"] == "tool_use") {
        summary.used_tools = true;
        summary.last_tool = word(&call["name"]).or(summary.last_tool.take());
        pull_request::read_call(summary, call);
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
    summary.last_by_model = by_model;
    if !by_model {
        return;
    }
    let id = word(&message["id"]);
    let is_new = id.is_none() || id != summary.last_message_id;
    summary.assistant_turns += u64::from(is_new);
    summary.count_tokens(is_new, tokens(&message["usage"]));
    summary.last_message_id = id;
    summary.api_retry = None;
    summary.working_after_result = summary.result.is_some();
    let texts: Vec<&str> = blocks.iter().filter_map(|block| block["text"].as_str()).collect();
    if !texts.is_empty() {
        summary.last_text = Some(clip(&texts.join("\n"), RESULT_BYTES_MAX));
    }
}

fn read_result(summary: &mut Summary, event: &Value) {
    let subtype = word(&event["subtype"]).unwrap_or_default();
    // Some versions set no `is_error` for the `error_…` subtypes. What says neither did not
    // succeed.
    let is_error =
        subtype.starts_with("error") || event["is_error"].as_bool().unwrap_or(subtype != "success");
    let errors = event["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let denials = event["permission_denials"].as_array().map(Vec::as_slice).unwrap_or_default();
    let usage = Some(&event["usage"])
        .filter(|usage| usage.is_object() && usage.to_string().len() <= USAGE_BYTES_MAX);
    summary.results = summary.results.saturating_add(1);
    summary.working_after_result = false;
    let told = usage.map(tokens).unwrap_or_default();
    summary.tokens.input = summary.tokens.input.max(told.input);
    summary.tokens.output = summary.tokens.output.max(told.output);
    summary.result = Some(ResultEvent {
        is_error,
        subtype,
        api_error_status: status(&event["api_error_status"]),
        text: event["result"].as_str().map(|text| clip(text, RESULT_BYTES_MAX)),
        errors: errors
            .iter()
            .filter_map(|error| error.as_str())
            .take(ERRORS_MAX)
            .map(|error| one_line(error, ERROR_CHARS_MAX))
            .collect(),
        num_turns: whole(&event["num_turns"]),
        total_cost_usd: event["total_cost_usd"].as_f64(),
        cost_tokens: event["modelUsage"].as_object().map(cost_tokens),
        usage: usage.map(without_nulls),
        denials: denials.iter().take(DENIALS_MAX).map(denial).collect(),
        denials_total: denials.len(),
        stop_reason: word(&event["stop_reason"]),
        terminal_reason: word(&event["terminal_reason"]),
        session_id: session_id(event),
    });
}

/// Absent means unknown: a report has no nulls.
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
    let input = &value["tool_input"];
    let named = ["command", "file_path", "notebook_path", "path", "url", "pattern"]
        .iter()
        .find_map(|key| input[*key].as_str());
    let input = match (named.or(input.as_str()), input) {
        (Some(text), _) => Some(one_line(text, DENIAL_INPUT_CHARS_MAX)),
        (None, Value::Null) => None,
        (None, other) => Some(one_line(&other.to_string(), DENIAL_INPUT_CHARS_MAX)),
    };
    let tool_name = word(&value["tool_name"]).unwrap_or_else(|| "unknown".to_string());
    Denial { tool_name, input }
}

fn read_limit(summary: &mut Summary, event: &Value) {
    let info = &event["rate_limit_info"];
    let Some(status) = word(&info["status"]) else {
        return;
    };
    let resets_at = whole(&info["resetsAt"])
        .map(|time| if time > EPOCH_SECONDS_MAX { time / 1000 } else { time });
    let limit = LimitEvent { status, resets_at, kind: word(&info["rateLimitType"]) };
    // An account has several windows: what is told of another one does not open the one that is
    // closed, and of two that are closed the later one counts.
    let stays = summary.limit.as_ref().is_some_and(|old| {
        let opens_later = limit.status != REJECTED || old.resets_at > limit.resets_at;
        old.status == REJECTED && old.kind != limit.kind && opens_later
    });
    if !stays {
        summary.limit = Some(limit);
    }
}

fn tokens(usage: &Value) -> Tokens {
    let count = |key: &str| whole(&usage[key]).unwrap_or_default();
    let input = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
    Tokens {
        input: input.iter().fold(0, |sum: u64, key| sum.saturating_add(count(key))),
        output: count("output_tokens"),
    }
}

fn cost_tokens(models: &serde_json::Map<String, Value>) -> Tokens {
    let add = |sum: u64, count: &Value| sum.saturating_add(whole(count).unwrap_or_default());
    let input = ["inputTokens", "cacheCreationInputTokens", "cacheReadInputTokens"];
    models.values().fold(Tokens::default(), |sum, model| Tokens {
        input: input.iter().fold(sum.input, |sum, key| add(sum, &model[*key])),
        output: add(sum.output, &model["outputTokens"]),
    })
}

fn word(value: &Value) -> Option<String> {
    value.as_str().map(|text| clip(text, WORD_BYTES_MAX))
}

/// A number without a sign, also one written as `429.0`.
fn whole(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|float| *float >= 0.0);
    value.as_u64().or_else(|| float().map(|float| float as u64))
}

fn status(value: &Value) -> Option<u16> {
    whole(value).and_then(|number| u16::try_from(number).ok())
}

/// It may become an argument of `--resume`, so it has to look like one.
fn session_id(event: &Value) -> Option<String> {
    let id = event["session_id"].as_str()?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_id = is_plain && !id.starts_with('-') && (1..=64).contains(&id.len());
    is_id.then(|| id.to_string())
}

// ---- meaning ----

fn failure(summary: &Summary, result: &ResultEvent) -> (ErrorType, String) {
    (error_type(summary, result), message(result))
}

/// The order matters: a credit that is too low is a 400, an overload is a `server_error`, and a
/// full context window is a `max_output_tokens`.
fn error_type(summary: &Summary, result: &ResultEvent) -> ErrorType {
    let error = summary.assistant_error.as_deref().unwrap_or_default();
    let status = result.api_error_status;
    if matches!(result.subtype.as_str(), "error_max_turns" | "error_max_budget_usd") {
        return ErrorType::LogicError;
    }
    if let Some(refused) = refusal_of_account(error, status) {
        return refused;
    }
    if status == Some(429) || error == "rate_limit" {
        let has_reset_time = summary
            .limit
            .as_ref()
            .is_some_and(|limit| limit.status == REJECTED && limit.resets_at.is_some());
        return if has_reset_time { ErrorType::UsageLimit } else { ErrorType::RateLimit };
    }
    if status == Some(529) || error == "overloaded" {
        return ErrorType::RateLimit;
    }
    if is_context_overflow(summary, result) {
        return ErrorType::ContextOverflow;
    }
    if result.stop_reason.as_deref() == Some("refusal") || error == "max_output_tokens" {
        return ErrorType::LogicError;
    }
    if status.is_some_and(|status| status >= 500) || error == "server_error" {
        return ErrorType::ToolFailure;
    }
    if status.is_some() || error == "invalid_request" {
        return ErrorType::LogicError;
    }
    if result.subtype == "error_during_execution" {
        return ErrorType::ToolFailure;
    }
    ErrorType::LogicError
}

/// What no retry mends before somebody changes the account or the settings.
fn refusal_of_account(error: &str, status: Option<u16>) -> Option<ErrorType> {
    match error {
        "billing_error" => return Some(ErrorType::Billing),
        "authentication_failed"
        | "oauth_org_not_allowed"
        | "account_on_hold"
        | "cloud_credential_error" => return Some(ErrorType::Auth),
        "model_not_found" => return Some(ErrorType::Config),
        _ => {}
    }
    match status {
        Some(402) => Some(ErrorType::Billing),
        Some(401 | 403) => Some(ErrorType::Auth),
        Some(404) => Some(ErrorType::Config),
        _ => None,
    }
}

fn is_context_overflow(summary: &Summary, result: &ResultEvent) -> bool {
    if result.terminal_reason.as_deref() == Some("prompt_too_long")
        || result.stop_reason.as_deref() == Some("model_context_window_exceeded")
        || result.api_error_status == Some(413)
    {
        return true;
    }
    // Only here do words decide, and only the program's own: 2.1.197 has no field for this.
    let is_programs_text = result.api_error_status.is_some() || !summary.last_by_model;
    let text = result.text.as_deref().unwrap_or_default();
    is_programs_text
        && (text.starts_with("Prompt is too long")
            || text.starts_with("Request too large")
            || text.contains("context window limit"))
}

fn message(result: &ResultEvent) -> String {
    let text = result.text.as_deref().unwrap_or_default();
    let said = if result.errors.is_empty() { text.to_string() } else { result.errors.join("; ") };
    let line = one_line(&said, ERROR_CHARS_MAX);
    if !line.is_empty() {
        return line;
    }
    let status = result.api_error_status.map(|status| format!(", API status {status}"));
    let why = result.terminal_reason.as_deref().map(|reason| format!(", {reason}"));
    format!(
        "claude reported an error without a message ({}{}{})",
        if result.subtype.is_empty() { "no subtype" } else { &result.subtype },
        status.unwrap_or_default(),
        why.unwrap_or_default()
    )
}

/// A bad option, session id or prompt; root with bypassPermissions; a session within a session. API
/// errors never come this way.
fn start_failure(stderr_tail: &str) -> Option<String> {
    let is_start_error = |line: &&str| {
        let line = line.trim_start();
        line.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("error:"))
            || line.starts_with("No conversation found")
            || line.contains("cannot be used with root/sudo privileges")
            || line.contains("cannot be launched inside another Claude Code session")
    };
    let line = stderr_tail.lines().find(is_start_error)?;
    Some(one_line(line, ERROR_CHARS_MAX))
}

#[cfg(test)]
#[path = "claude_tests.rs"]
mod tests;
