//! What Claude Code's error results mean.
//!
//! Owns the order in which structured fields decide. Must never let words decide where such a field
//! exists: `subtype` is `success` for every API failure, and the text may be the model's prose,
//! about anything.

use crate::pure::agent::{Failure, Summary};
use crate::pure::report::{ERROR_CHARS_MAX, ErrorType};
use crate::pure::text::clip::one_line;

/// The fields of a result that only its meaning needs; its text is in the summary.
#[derive(Debug, Default)]
pub(super) struct ErrorResult {
    pub subtype: String,
    pub api_error_status: Option<u16>,
    pub errors: Vec<String>,
    pub stop_reason: Option<String>,
    pub terminal_reason: Option<String>,
}

/// The failure that a result tells of. `is_by_model`: the last message before it was the model's.
pub(super) fn failure(result: &ErrorResult, is_by_model: bool, summary: &Summary) -> Failure {
    let text = summary.result.as_ref().and_then(|result| result.text.as_deref());
    let text = text.unwrap_or_default();
    // What the model says decides nothing.
    let own_text = if result.api_error_status.is_some() || !is_by_model { text } else { "" };
    let error_type = error_type(result, own_text, summary);
    Failure { error_type, message: message(result, text) }
}

/// The order matters: a credit that is too low is a 400, an overload is a `server_error`, and a
/// full context window is a `max_output_tokens`.
fn error_type(result: &ErrorResult, own_text: &str, summary: &Summary) -> ErrorType {
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
            .is_some_and(|limit| limit.is_closed && limit.resets_at.is_some());
        return if has_reset_time { ErrorType::UsageLimit } else { ErrorType::RateLimit };
    }
    if status == Some(529) || error == "overloaded" {
        return ErrorType::RateLimit;
    }
    if is_context_overflow(result, own_text) {
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

/// An error that no retry mends before somebody changes the account or the settings.
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

fn is_context_overflow(result: &ErrorResult, own_text: &str) -> bool {
    if result.terminal_reason.as_deref() == Some("prompt_too_long")
        || result.stop_reason.as_deref() == Some("model_context_window_exceeded")
        || result.api_error_status == Some(413)
    {
        return true;
    }
    // Words decide only here, and only the program's own: 2.1.197 has no field for this.
    own_text.starts_with("Prompt is too long")
        || own_text.starts_with("Request too large")
        || own_text.contains("context window limit")
}

fn message(result: &ErrorResult, text: &str) -> String {
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

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
