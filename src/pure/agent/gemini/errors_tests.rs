//! What Gemini CLI's errors mean, row by row as they were measured: the API's answer, what the
//! result says of it, and the exit code.

use serde_json::json;

use super::*;
use crate::pure::agent::Transcript;
use crate::pure::agent::gemini::DRIVER;
use ErrorType::*;

const STAMP: &str = "2026-11-26T13:00:00.000Z";
const STAMP_SECONDS: u64 = 1_795_698_000;
const INIT: &str =
    r#"{"type":"init","timestamp":"2026-11-26T12:59:59.000Z","session_id":"s-1","model":"auto"}"#;

fn read(lines: &[String]) -> Summary {
    let mut transcript = Transcript::new(&DRIVER);
    transcript.feed(lines.join("\n").as_bytes());
    transcript.finish()
}

fn failed_result(error: &Value) -> String {
    let stats = json!({"total_tokens": 0, "input_tokens": 0, "output_tokens": 0});
    json!({"type": "result", "timestamp": STAMP, "status": "error", "error": error, "stats": stats})
        .to_string()
}

fn after(message: &str) -> Summary {
    let error = json!({"type": "unknown", "message": message});
    read(&[INIT.to_string(), failed_result(&error)])
}

/// The class without the exit code, and with it.
fn judged(summary: &Summary, code: i32) -> (ErrorType, ErrorType) {
    let told = summary.result.clone().expect("a result").failure.expect("a failure");
    let by_exit = exit_failure(summary, code, "");
    let with = by_exit.map_or(told.error_type, |failure| failure.error_type);
    (told.error_type, with)
}

fn api(code: u16, status: &str, message: &str, details: Value) -> String {
    let error = json!({"code": code, "message": message, "status": status, "details": details});
    format!("[API Error: {}]", json!({ "error": error }))
}

const WAIT: &str = "]\nPlease wait and try again later. To increase your limits, request a quota increase through AI Studio, or switch to another /auth method";

#[test]
fn errors_of_the_api() {
    let none = || json!([]);
    let invalid_key = json!([{"@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID", "domain": "googleapis.com"}]);
    let overflow =
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).";
    let not_found = "[API Error: models/x is not found for API version v1beta, or is not supported for generateContent.]";
    let quota = |rest: &str| format!("[API Error: You exceeded your current quota.{rest}{WAIT}");
    let daily = format!("[API Error: You have exhausted your daily quota on this model.{WAIT}");
    // The words, the exit code, the class if nobody saw the exit, the class.
    #[rustfmt::skip]
    let rows = [
        (api(401, "UNAUTHENTICATED", "x", none()), 145, Auth, Auth),
        (api(403, "PERMISSION_DENIED", "x", none()), 147, Auth, Auth),
        (api(402, "PAYMENT_REQUIRED", "x", none()), 146, Billing, Billing),
        (api(400, "INVALID_ARGUMENT", "API key not valid.", invalid_key), 144, Auth, Auth),
        (api(400, "INVALID_ARGUMENT", overflow, none()), 144, ContextOverflow, ContextOverflow),
        (api(400, "INVALID_ARGUMENT", "x", none()), 144, LogicError, LogicError),
        (not_found.to_string(), 1, Config, Config),
        (quota("\nSuggested retry after 60s."), 173, RateLimit, RateLimit),
        (quota("\nSuggested retry after 300s."), 173, RateLimit, RateLimit),
        (quota("\nSuggested retry after 900ms."), 173, RateLimit, RateLimit),
        (quota("\nSuggested retry after 3600s."), 173, UsageLimit, UsageLimit),
        (quota(""), 173, RateLimit, RateLimit),
        (daily, 173, RateLimit, RateLimit),
        ("[API Error: Quota exhausted, it will reset after 59m59s]".into(), 173, ToolFailure, RateLimit),
        (api(500, "INTERNAL", "x", none()), 244, ToolFailure, ToolFailure),
        (api(502, "UNAVAILABLE", "x", none()), 246, ToolFailure, ToolFailure),
        ("[API Error: trouble]".into(), 247, ToolFailure, ToolFailure),
        ("[API Error: exception TypeError: fetch failed sending request]".into(), 1, ToolFailure, ToolFailure),
        ("[API Error: terminated]".into(), 1, ToolFailure, ToolFailure),
        // The API's own words decide nothing that its status decides.
        (api(500, "INTERNAL", "API_KEY_INVALID, Suggested retry after 3600s.", none()), 244, ToolFailure, ToolFailure),
        (api(401, "UNAUTHENTICATED", overflow, none()), 145, Auth, Auth),
    ];
    for (words, code, unseen, wanted) in rows {
        assert_eq!(judged(&after(&words), code), (unseen, wanted), "{words}");
    }
}

#[test]
fn errors_of_its_own() {
    for (kind, code, wanted) in [
        ("FatalTurnLimitedError", 53, LogicError),
        ("FatalInputError", 42, LogicError),
        ("FatalAuthenticationError", 41, Auth),
        ("FatalSandboxError", 44, Config),
        ("FatalConfigError", 52, Config),
        ("no_space_left", 54, ToolFailure),
        ("FatalCancellationError", 130, ToolFailure),
    ] {
        let error = json!({"type": kind, "message": "why"});
        let summary = read(&[INIT.to_string(), failed_result(&error)]);
        assert_eq!(judged(&summary, code), (wanted, wanted), "{kind}");
    }
}

#[test]
fn a_limit_says_when_it_opens_and_only_where_that_is_far() {
    for (words, wanted) in [
        ("x\nSuggested retry after 3600s.", Some(STAMP_SECONDS + 3600)),
        ("x\nSuggested retry after 3600.5s.", Some(STAMP_SECONDS + 3601)),
        ("Suggested retry after 60s. x\nSuggested retry after 301s.", Some(STAMP_SECONDS + 301)),
        ("x\nSuggested retry after 300s.", None),
        ("x\nSuggested retry after 9999999ms.", None),
        ("x\nSuggested retry after a while.", None),
        ("x", None),
    ] {
        let limit = after(words).limit;
        assert_eq!(limit.as_ref().and_then(|limit| limit.resets_at), wanted, "{words}");
        assert!(limit.is_none_or(|limit| limit.is_closed));
    }
}

#[test]
fn answers_that_the_model_did_not_give() {
    for (words, wanted) in [
        ("The model response was blocked due to safety settings.", LogicError),
        ("The model response was blocked due to recitation/copyright filters.", LogicError),
        ("Model response was truncated because it exceeded the token limit. Try …", LogicError),
        ("Model stream ended without a finish reason.", ToolFailure),
        ("The model returned an empty response with no text or thoughts.", ToolFailure),
        ("", ToolFailure),
    ] {
        let told = json!({"type": "error", "severity": "error", "message": words}).to_string();
        let result = json!({"type": "result", "status": "error", "stats": {}}).to_string();
        let summary = read(&[INIT.to_string(), told, result]);
        assert_eq!(judged(&summary, 0), (wanted, wanted), "{words}");
        let failure = summary.result.expect("a result").failure.expect("a failure");
        assert!(!failure.message.is_empty());
    }
}

#[test]
fn without_a_result_the_exit_code_says_why() {
    let no_auth = "Warning: no colours.\nPlease set an Auth method in your settings.json\n";
    let gone = "Error resuming session: Invalid session identifier \"x\".\n  Searched …";
    let flag = "Unknown argument: nonsense\nUsage: gemini [options] [command]\n";
    for (code, stderr, wanted) in [
        (41, no_auth, Some((Auth, "Please set an Auth method"))),
        (42, gone, Some((Config, "Error resuming session: Invalid"))),
        (44, "", Some((Config, "exit code 44"))),
        (52, "Error: settings.json is not valid", Some((Config, "settings.json"))),
        (53, "Reached max session turns", Some((LogicError, "exit code 53"))),
        (55, "This folder is not trusted.", Some((Config, "not trusted"))),
        (1, flag, Some((Config, "Unknown argument: nonsense"))),
        (1, "TypeError: x is undefined", None),
        (0, "", None),
        (54, "disk", None),
        (130, "", None),
        (137, "", None),
        (143, "", None),
        // A status of the API without a word of it.
        (173, "", None),
    ] {
        let got = exit_failure(&Summary::default(), code, stderr);
        assert_eq!(got.as_ref().map(|got| got.error_type), wanted.map(|row| row.0), "{code}");
        if let (Some(got), Some((_, words))) = (got, wanted) {
            assert!(got.message.contains(words), "{}", got.message);
        }
    }
}

#[test]
fn an_error_is_one_bounded_line_for_people() {
    let text = api(403, "PERMISSION_DENIED", &format!("no\n{}", "long ".repeat(300)), json!([]));
    let failure = after(&text).result.expect("a result").failure.expect("a failure");
    assert!(failure.message.starts_with("API error 403 PERMISSION_DENIED: no long long"));
    assert!(failure.message.chars().count() <= ERROR_CHARS_MAX && !failure.message.contains('\n'));
}
