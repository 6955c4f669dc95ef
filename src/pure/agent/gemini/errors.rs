//! What Gemini CLI's errors mean: by the API's own error, where it stands in the words, else by the
//! exit code, which is the API's status modulo 256.
//!
//! Must not trust `error.type`, which is `unknown` for every error of the API. For 429, 503, 404
//! and a lost connection it keeps only the API's words, so that there the exit code decides.

use serde_json::Value;

use crate::pure::agent::fields::error_line;
use crate::pure::agent::{Failure, Summary};
use crate::pure::report::{ERROR_CHARS_MAX, ErrorType};
use crate::pure::text::clip::one_line;

/// How it says on stderr that it cannot take up a session.
pub(super) const NO_SESSION: &str = "Error resuming session";
/// It waits itself for what takes no longer than this.
const WAITED_FOR_SECONDS_MAX: f64 = 300.0;
const RETRY_AFTER: &str = "Suggested retry after ";

/// What a result says of its error.
pub(super) fn failure(error: &Value) -> Failure {
    let text = error["message"].as_str().unwrap_or_default();
    let (status, message) = match api_error(text) {
        Some((status, message)) => (Some(status), message),
        None => (None, text.to_string()),
    };
    let error_type = match (status, error["type"].as_str().unwrap_or_default()) {
        (Some(status), _) => of_status(status, &message),
        (None, "FatalAuthenticationError") => ErrorType::Auth,
        (None, "FatalConfigError" | "FatalSandboxError") => ErrorType::Config,
        (None, "FatalInputError" | "FatalTurnLimitedError") => ErrorType::LogicError,
        (None, _) => of_words(&message),
    };
    Failure { error_type, message: error_line(&message, "gemini") }
}

/// What it says of an answer that the model did not give; then the result has no error of its own.
pub(super) fn no_answer(words: &str) -> Failure {
    let is_of_the_request = words.starts_with("The model response was blocked")
        || words.starts_with("Model response was truncated because it exceeded the token limit")
        || words.starts_with("Maximum session turns exceeded");
    let error_type = if is_of_the_request { ErrorType::LogicError } else { ErrorType::ToolFailure };
    Failure { error_type, message: error_line(words, "gemini") }
}

/// What the exit code adds, after a result that is an error or instead of one. `None`: nothing.
pub(super) fn exit_failure(summary: &Summary, code: i32, stderr_tail: &str) -> Option<Failure> {
    let told = summary.result.as_ref().and_then(|result| result.failure.as_ref());
    let error_type = match code {
        144..=255 => {
            // A status of 400 and above, less 256.
            let status = u16::try_from(code + 256).ok()?;
            of_status(status, &told?.message)
        }
        // Without a result it never began; with one the task's own text is to blame.
        42 if told.is_some() => return None,
        41 => ErrorType::Auth,
        42 | 44 | 52 | 55 => ErrorType::Config,
        53 => ErrorType::LogicError,
        1 if summary.lines == 0 && is_about_an_option(stderr_tail) => ErrorType::Config,
        _ => return None,
    };
    let message = match told {
        Some(told) => told.message.clone(),
        None => start_error(code, stderr_tail),
    };
    Some(Failure { error_type, message })
}

/// How many seconds from now it would be let work again, where that is longer than it waits itself.
pub(super) fn retry_after_seconds(words: &str) -> Option<u64> {
    let (_, rest) = words.rsplit_once(RETRY_AFTER)?;
    let number = rest.split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let is_in_seconds = rest[number.len()..].starts_with('s');
    let seconds: f64 = number.trim_end_matches('.').parse().ok()?;
    (is_in_seconds && seconds > WAITED_FOR_SECONDS_MAX).then_some(seconds.ceil() as u64)
}

fn of_status(status: u16, words: &str) -> ErrorType {
    match status {
        400 if words.contains("API_KEY_INVALID") => ErrorType::Auth,
        400 if is_overflow(words) => ErrorType::ContextOverflow,
        401 | 403 => ErrorType::Auth,
        402 => ErrorType::Billing,
        404 => ErrorType::Config,
        429 => of_limit(words),
        500.. => ErrorType::ToolFailure,
        _ => ErrorType::LogicError,
    }
}

/// The two that have no status, neither in the words nor in the exit code; and, of a session whose
/// exit nobody saw, the limits.
fn of_words(words: &str) -> ErrorType {
    let is_limit = ["exhausted your daily quota", "exceeded your current quota", RETRY_AFTER];
    if words.contains("is not found for API version") {
        ErrorType::Config
    } else if is_limit.iter().any(|limit| words.contains(limit)) {
        of_limit(words)
    } else {
        ErrorType::ToolFailure
    }
}

fn of_limit(words: &str) -> ErrorType {
    match retry_after_seconds(words) {
        Some(_) => ErrorType::UsageLimit,
        None => ErrorType::RateLimit,
    }
}

fn is_overflow(words: &str) -> bool {
    words.contains("input token count") && words.contains("exceeds")
}

/// The status of the API's error in the words, and that error in words for people.
fn api_error(text: &str) -> Option<(u16, String)> {
    let json = text.strip_prefix("[API Error: ")?;
    let mut values = serde_json::Deserializer::from_str(json).into_iter::<Value>();
    let value = values.next()?.ok()?;
    let error = &value["error"];
    let status = u16::try_from(error["code"].as_u64()?).ok()?;
    let details = error["details"].as_array().map(Vec::as_slice).unwrap_or_default();
    let reasons = details.iter().filter_map(|detail| detail["reason"].as_str());
    let name = error["status"].as_str().into_iter().chain(reasons);
    let name: Vec<&str> = name.take(3).collect();
    let message = error["message"].as_str().unwrap_or_default();
    Some((status, format!("API error {status} {}: {message}", name.join(" "))))
}

fn is_about_an_option(stderr_tail: &str) -> bool {
    stderr_tail.lines().any(|line| {
        let line = line.trim_start();
        line.starts_with("Unknown argument") || line.starts_with("Invalid values:")
    })
}

/// Its stderr is never empty: what says why comes after warnings.
fn start_error(code: i32, stderr_tail: &str) -> String {
    let says_why = |line: &&str| {
        let words = ["error", "unknown argument", "invalid", "not trusted", "auth", "limit"];
        let line = line.to_lowercase();
        !line.starts_with("warning") && words.iter().any(|word| line.contains(word))
    };
    let why = stderr_tail.lines().find(says_why).unwrap_or("no word of why on stderr");
    one_line(&format!("gemini did not start (exit code {code}): {}", why.trim()), ERROR_CHARS_MAX)
}

#[cfg(test)]
#[path = "errors_tests.rs"]
mod tests;
