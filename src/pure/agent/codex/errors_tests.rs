//! What an error means: a row for each answer of the API, by the record's kind of it and by the
//! words of the stream alone.

use serde_json::{Value, json};

use super::*;
use crate::pure::report::ERROR_CHARS_MAX;

fn by(info: Option<&Value>, message: &str) -> ErrorType {
    failure(info, message).error_type
}

#[test]
fn errors_of_the_api() {
    use ErrorType::*;
    let status = |kind: &str, code: u16| json!({ kind: {"http_status_code": code} });
    let http = |code| status("http_connection_failed", code);
    let of = |kind: &str| json!(kind);
    #[rustfmt::skip]
    let rows: &[(&str, Value, ErrorType)] = &[
        ("unexpected status 401 Unauthorized: x, url: u", http(401), Auth),
        ("unexpected status 403 Forbidden: x, url: u", http(403), Auth),
        ("unexpected status 402 Payment Required: x, url: u", http(402), Billing),
        ("exceeded retry limit, last status: 429 Too Many Requests", status("response_too_many_failed_attempts", 429), RateLimit),
        ("You’ve hit your usage limit. Upgrade to Pro or try again at 8:57 AM.", of("usage_limit_exceeded"), UsageLimit),
        ("You've hit your usage limit. Try again later.", of("usage_limit_exceeded"), UsageLimit),
        ("Quota exceeded. Check your plan and billing details.", of("usage_limit_exceeded"), Billing),
        ("rate limit exceeded: Rate limit reached", of("rate_limit_exceeded"), RateLimit),
        ("We’re currently experiencing high demand, which may cause temporary errors.", of("internal_server_error"), ToolFailure),
        ("unexpected status 502 Bad Gateway: x, url: u", http(502), ToolFailure),
        ("Selected model is at capacity. Please try a different model.", of("server_overloaded"), RateLimit),
        ("stream disconnected before completion: stream closed before response.completed", of("other"), ToolFailure),
        ("Codex ran out of room in the model's context window. Start a new thread", of("context_window_exceeded"), ContextOverflow),
        ("The model `x` does not exist or you do not have access to it.", of("model_not_found"), Config),
        ("Invalid prompt: your prompt was flagged", of("invalid_prompt"), LogicError),
        ("This request was blocked by cyber policy", of("cyber_policy"), LogicError),
        (r#"{"error": {"message": "Bad thing"}}"#, of("other"), LogicError),
        ("Incomplete response returned, reason: max_output_tokens", of("other"), LogicError),
        ("stream disconnected before completion: Incomplete response returned, reason: content_filter", of("other"), LogicError),
    ];
    for (message, info, wanted) in rows {
        assert_eq!(by(Some(info), message), *wanted, "{info} {message}");
        assert_eq!(by(None, message), *wanted, "by its words alone: {message}");
    }
}

#[test]
fn the_structured_kind_wins_over_the_words() {
    for (info, message, wanted) in [
        (json!("server_overloaded"), "unexpected status 401", ErrorType::RateLimit),
        (json!("unauthorized"), "Selected model is at capacity", ErrorType::Auth),
        (
            json!({"x": {"http_status_code": 500}}),
            "You’ve hit your usage limit",
            ErrorType::ToolFailure,
        ),
        (json!({"x": {"http_status_code": 413}}), "x", ErrorType::ContextOverflow),
        (json!({"x": {"http_status_code": 418}}), "x", ErrorType::LogicError),
        // What says nothing leaves it to them.
        (json!("other"), "unexpected status 401 x", ErrorType::Auth),
        (json!("later_invention"), "unexpected status 429 x", ErrorType::RateLimit),
        (json!({"x": {"http_status_code": null}}), "rate limit exceeded", ErrorType::RateLimit),
        (json!(["x"]), "rate limit exceeded", ErrorType::RateLimit),
        (json!(7), "x", ErrorType::LogicError),
    ] {
        assert_eq!(by(Some(&info), message), wanted, "{info} {message}");
    }
}

#[test]
fn only_the_beginning_of_a_sentence_is_the_program_s_own() {
    for words in [
        "Invalid prompt: unexpected status 401, rate limit exceeded, Quota exceeded",
        "it says that the model x does not exist",
        "unexpected status 40é",
        "",
    ] {
        assert_eq!(by(None, words), ErrorType::LogicError, "{words}");
    }
    assert_eq!(failure(None, " \n").message, "codex reported an error without a message");
    let long = failure(None, &"long words\n".repeat(200)).message;
    assert!(long.chars().count() <= ERROR_CHARS_MAX && !long.contains('\n'));
}
