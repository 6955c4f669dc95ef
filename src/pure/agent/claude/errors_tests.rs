//! Tests of what an error means, by the streams that end in it. Must not call the rules directly: a
//! stream goes through the whole reader, since the fields that decide come in several events and
//! differ between versions.

use serde_json::{Value, json};

use super::*;
use crate::pure::agent::Transcript;
use crate::pure::agent::claude::DRIVER;

fn failure(stream: &str) -> Option<Failure> {
    let mut transcript = Transcript::new(&DRIVER);
    transcript.feed(stream.as_bytes());
    transcript.finish().result.expect("a result").failure
}

fn failed(stream: &str) -> Option<ErrorType> {
    failure(stream).map(|failure| failure.error_type)
}

const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s-1"}"#;

fn said(text: &str) -> String {
    json!({"type": "assistant", "session_id": "s-1",
        "message": {"id": "m1", "model": "claude-x", "content": [{"type": "text", "text": text}]}})
    .to_string()
}

fn success(extra: Value) -> String {
    let mut event = json!({"type": "result", "subtype": "success", "is_error": false,
        "result": "done", "num_turns": 1, "session_id": "s-1"});
    for (key, value) in extra.as_object().expect("an object") {
        event[key] = value.clone();
    }
    event.to_string()
}

/// A session's stream up to an API error, as 2.1.197 writes it (`type` first) and as 2.1.330 does
/// (in the middle).
fn api_error(status: Option<u16>, error: &str, text: &str, extra: &str) -> [String; 2] {
    let synthetic = json!({"type": "assistant", "error": error, "isApiErrorMessage": true,
        "session_id": "s-1", "message": {"id": "e1", "model": "<synthetic>",
            "content": [{"type": "text", "text": text}]}});
    let (status, text) = (json!(status), json!(text));
    let old = format!(
        r#"{{"type":"result","subtype":"success","is_error":true,"api_error_status":{status},"result":{text},"stop_reason":"stop_sequence","terminal_reason":"completed","session_id":"s-1"{extra}}}"#
    );
    let new = format!(
        r#"{{"duration_api_ms":0,"is_error":true,"session_id":"s-1","result":{text},"type":"result","api_error_status":{status},"terminal_reason":"api_error","subtype":"success"{extra}}}"#
    );
    [old, new].map(|result| format!("{INIT}\n{synthetic}\n{result}\n"))
}

#[test]
fn api_errors() {
    use ErrorType::*;
    let rejected = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1771390800,"rateLimitType":"five_hour"}}"#;
    #[rustfmt::skip]
    let rows: &[(Option<u16>, &str, &str, &str, ErrorType)] = &[
        (Some(429), "rate_limit", "API Error: Request rejected (429) · x", "", RateLimit),
        (None, "rate_limit", "x", "", RateLimit),
        (Some(429), "unknown", "x", "", RateLimit),
        (Some(529), "server_error", "API Error: 529 Overloaded.", "", RateLimit),
        (Some(529), "server_error", "API Error: Repeated 529 Overloaded errors", "", RateLimit),
        (None, "overloaded", "x", "", RateLimit),
        (Some(500), "server_error", "API Error: 500 Internal server error.", "", ToolFailure),
        (Some(502), "server_error", "API Error: 502", "", ToolFailure),
        (Some(504), "unknown", "API Error: 504", "", ToolFailure),
        (None, "server_error", "API Error: Connection refused", "", ToolFailure),
        (None, "server_error", "API Error: Connection dropped (ECONNRESET)", "", ToolFailure),
        (None, "server_error", "API Error: Connection to the API was lost", "", ToolFailure),
        (None, "server_error", "API Error: Unable to connect to API (ConnectionRefused)", "", ToolFailure),
        (None, "server_error", "Request timed out.", "", ToolFailure),
        (Some(400), "invalid_request", "Prompt is too long", "", ContextOverflow),
        (Some(400), "invalid_request", "other words", r#","terminal_reason":"prompt_too_long""#, ContextOverflow),
        (Some(413), "invalid_request", "Request too large (max 32MB)", "", ContextOverflow),
        (None, "max_output_tokens", "API Error: The model has reached its context window limit.", "", ContextOverflow),
        (None, "max_output_tokens", "API Error: Claude's response exceeded the 32000 output token maximum", "", LogicError),
        (None, "invalid_request", "API Error: safeguards flagged", r#","stop_reason":"refusal""#, LogicError),
        (Some(401), "authentication_failed", "Invalid API key · Fix external API key", "", Auth),
        (Some(403), "authentication_failed", "Failed to authenticate. API Error: 403", "", Auth),
        (Some(403), "unknown", "x", "", Auth),
        (None, "authentication_failed", "Not logged in · Please run /login", "", Auth),
        (None, "oauth_org_not_allowed", "x", "", Auth),
        (Some(400), "billing_error", "Credit balance is too low", "", Billing),
        (Some(402), "unknown", "API Error: 402 Payment required", "", Billing),
        (Some(404), "model_not_found", "There's an issue with the selected model", "", Config),
        (Some(400), "invalid_request", "API Error: 400 bad", "", LogicError),
        (None, "invalid_request", "x", "", LogicError),
        (None, "unknown", "x", "", LogicError),
        // The structured field wins over the words.
        (Some(500), "server_error", "API Error: 429 rate limit, credit balance is too low", "", ToolFailure),
        (Some(401), "authentication_failed", "Prompt is too long", "", Auth),
    ];
    for (status, error, text, extra, wanted) in rows {
        // A repeated key overrides the one before it.
        for stream in api_error(*status, error, text, extra) {
            let failure = failure(&stream).expect("an error");
            assert_eq!(failure.error_type, *wanted, "{stream}");
            assert_eq!(failure.message, *text);
            let limited = failed(&format!("{rejected}\n{stream}"));
            let is_429 = *status == Some(429) || *error == "rate_limit";
            assert_eq!(limited, Some(if is_429 { UsageLimit } else { *wanted }), "{stream}");
        }
    }
}

#[test]
fn a_limit_without_reset_time_or_not_rejected_is_a_rate_limit() {
    for info in [r#"{"status":"allowed_warning","resetsAt":5}"#, r#"{"status":"rejected"}"#] {
        let event = format!(r#"{{"type":"rate_limit_event","rate_limit_info":{info}}}"#);
        for stream in api_error(Some(429), "rate_limit", "x", "") {
            let error_type = failed(&format!("{event}\n{stream}"));
            assert_eq!(error_type, Some(ErrorType::RateLimit), "{info}");
        }
    }
}

#[test]
fn errors_by_subtype() {
    use ErrorType::*;
    for (subtype, errors, wanted, says) in [
        (
            "error_max_turns",
            json!(["Reached maximum number of turns (3)"]),
            LogicError,
            "Reached maximum number of turns (3)",
        ),
        (
            "error_max_budget_usd",
            json!(["Reached maximum budget ($0.01)"]),
            LogicError,
            "Reached maximum budget ($0.01)",
        ),
        (
            "error_during_execution",
            json!(["No conversation found", "b"]),
            ToolFailure,
            "No conversation found; b",
        ),
        (
            "error_during_execution",
            json!([]),
            ToolFailure,
            "claude reported an error without a message (error_during_execution, aborted_tools)",
        ),
        ("error_max_structured_output_retries", json!(["x"]), LogicError, "x"),
    ] {
        let result = json!({"type": "result", "subtype": subtype, "is_error": true, "errors": errors,
            "terminal_reason": "aborted_tools"});
        let failure = failure(&format!("{INIT}\n{}\n{result}", said("x"))).expect("an error");
        assert_eq!((failure.error_type, failure.message.as_str()), (wanted, says));
    }
}

#[test]
fn prose_decides_nothing() {
    let prose = "API Error: 429 rate limit reached. Prompt is too long; context window limit; \
                 Credit balance is too low; error: unknown option; No conversation found";
    // The session succeeded, whatever its text talks about.
    let talk = format!("{INIT}\n{}\n{}", said(prose), success(json!({"result": prose})));
    assert_eq!(failure(&talk), None);
    // The session failed, and the model's words do not say why.
    for text in [prose, "Prompt is too long", "Request too large", "context window limit"] {
        let result = success(json!({"is_error": true, "result": text}));
        let by_model = failed(&format!("{INIT}\n{}\n{result}", said(text)));
        assert_eq!(by_model, Some(ErrorType::LogicError), "{text}");
    }
    // The same words from the program itself do count: 2.1.197 has nothing else.
    let own = json!({"type": "assistant", "message": {"model": "<synthetic>"}});
    let result = success(json!({"is_error": true, "result": "Prompt is too long"}));
    let by_program = failed(&format!("{INIT}\n{}\n{own}\n{result}", said("x")));
    assert_eq!(by_program, Some(ErrorType::ContextOverflow));
}

#[test]
fn what_comes_after_a_result_may_still_explain_it() {
    let result = success(json!({"is_error": true, "api_error_status": 429}));
    let limit = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1771390800}}"#;
    assert_eq!(failed(&result), Some(ErrorType::RateLimit));
    assert_eq!(failed(&format!("{result}\n{limit}")), Some(ErrorType::UsageLimit));
}

#[test]
fn an_error_is_one_bounded_line() {
    let text = format!("API Error: 500\n{}", "long words ".repeat(200));
    for stream in api_error(Some(500), "server_error", &text, "") {
        let error = failure(&stream).expect("an error").message;
        assert!(error.starts_with("API Error: 500 long words"));
        assert!(error.chars().count() <= ERROR_CHARS_MAX && !error.contains('\n'));
    }
}
