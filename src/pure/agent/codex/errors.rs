//! What Codex's errors mean.
//!
//! Its own record names the kind of an error and the API's status (`codex_error_info`), and that
//! decides. Its stream has the words alone: where the record is missing they decide, each by how
//! the program begins its sentence, so that what the API or a model put into it does not. Unknown
//! words are no reason to try again.

use serde_json::Value;

use crate::pure::agent::Failure;
use crate::pure::agent::fields::error_line;
use crate::pure::report::ErrorType;

/// `info`: the structured kind, as the record has it.
pub(super) fn failure(info: Option<&Value>, message: &str) -> Failure {
    let error_type =
        info.and_then(|info| by_info(info, message)).unwrap_or_else(|| by_words(message));
    Failure { error_type, message: error_line(message, "codex") }
}

/// `None`: it says nothing (`other`), or nothing that is known.
fn by_info(info: &Value, message: &str) -> Option<ErrorType> {
    if let Some(kind) = info.as_str() {
        return match kind {
            // The same kind for an account without money and for a window that is used up.
            "usage_limit_exceeded" if is_quota(message) => Some(ErrorType::Billing),
            "usage_limit_exceeded" => Some(ErrorType::UsageLimit),
            "rate_limit_exceeded" | "server_overloaded" => Some(ErrorType::RateLimit),
            "internal_server_error" => Some(ErrorType::ToolFailure),
            "context_window_exceeded" => Some(ErrorType::ContextOverflow),
            "model_not_found" => Some(ErrorType::Config),
            "unauthorized" => Some(ErrorType::Auth),
            "invalid_prompt" | "cyber_policy" | "bad_request" => Some(ErrorType::LogicError),
            _ => None,
        };
    }
    let mut details = info.as_object()?.values();
    let status = details.find_map(|detail| detail["http_status_code"].as_u64())?;
    Some(by_status(status))
}

fn by_status(status: u64) -> ErrorType {
    match status {
        401 | 403 => ErrorType::Auth,
        402 => ErrorType::Billing,
        404 => ErrorType::Config,
        413 => ErrorType::ContextOverflow,
        429 | 529 => ErrorType::RateLimit,
        408 | 500.. => ErrorType::ToolFailure,
        _ => ErrorType::LogicError,
    }
}

fn is_quota(message: &str) -> bool {
    message.starts_with("Quota exceeded")
}

fn by_words(message: &str) -> ErrorType {
    let status = ["unexpected status ", "exceeded retry limit, last status: "]
        .iter()
        .find_map(|begin| message.strip_prefix(begin)?.get(..3)?.parse().ok());
    if let Some(status) = status {
        return by_status(status);
    }
    if is_quota(message) {
        return ErrorType::Billing;
    }
    let begins = [
        // With a typographic apostrophe, which other versions may not have.
        ("You’ve hit your usage limit", ErrorType::UsageLimit),
        ("You've hit your usage limit", ErrorType::UsageLimit),
        ("rate limit exceeded", ErrorType::RateLimit),
        ("Selected model is at capacity", ErrorType::RateLimit),
        ("We’re currently experiencing high demand", ErrorType::ToolFailure),
        ("We're currently experiencing high demand", ErrorType::ToolFailure),
        ("Codex ran out of room", ErrorType::ContextOverflow),
        ("stream disconnected before completion: Incomplete response", ErrorType::LogicError),
        ("stream disconnected before completion", ErrorType::ToolFailure),
    ];
    if let Some((_, error_type)) = begins.iter().find(|(begin, _)| message.starts_with(begin)) {
        return *error_type;
    }
    let names_no_model = message.starts_with("The model ") && message.contains("does not exist");
    if names_no_model { ErrorType::Config } else { ErrorType::LogicError }
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
