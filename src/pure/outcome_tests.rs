use super::*;
use crate::pure::agent::{Transcript, driver};
use serde_json::{Value, json};

/// A stream recorded from a real session: `recorded!("429.jsonl")` is one more row of a table.
#[allow(unused_macros)]
macro_rules! recorded {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/streams/", $name)).to_string()
    };
}

const CODE_0: Option<Exit> = Some(Exit { code: Some(0), signal: None });
const CODE_1: Option<Exit> = Some(Exit { code: Some(1), signal: None });
const SIGTERM: Option<Exit> = Some(Exit { code: Some(143), signal: None });
const SIGKILL: Option<Exit> = Some(Exit { code: None, signal: Some(9) });

const LIMITS: Limits = Limits {
    start_ms: Some(120_000),
    stall_ms: Some(1_500),
    result_grace_ms: Some(30_000),
    stdout_bytes_max: Some(1_500_000),
};

fn claude() -> &'static Driver {
    driver("claude").expect("in the table")
}

fn summary_of(stream: &str) -> Summary {
    let mut transcript = Transcript::new(claude());
    transcript.feed(stream.as_bytes());
    transcript.finish()
}

fn ending_with(stream: &str, exit: Option<Exit>, stop: Option<StopCause>, stderr: &str) -> Ending {
    classify(&Evidence {
        driver: claude(),
        stop,
        ttl_seconds: 3600,
        limits: &LIMITS,
        exit,
        summary: &summary_of(stream),
        stdout_bytes: stream.len() as u64,
        stderr_tail: stderr,
    })
}

fn ending(stream: &str, exit: Option<Exit>) -> Ending {
    ending_with(stream, exit, None, "")
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
            for exit in [CODE_1, CODE_0, None, SIGKILL] {
                let ending = ending(&stream, exit);
                assert_eq!(ending.status, Status::Failed, "{stream}");
                assert_eq!(ending.error_type, Some(*wanted), "{stream}");
                assert_eq!(ending.error.as_deref(), Some(*text));
                assert_eq!(ending.warnings, Vec::<String>::new());
            }
            let limited = ending(&format!("{rejected}\n{stream}"), CODE_1).error_type;
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
            let ending = ending(&format!("{event}\n{stream}"), CODE_1);
            assert_eq!(ending.error_type, Some(ErrorType::RateLimit), "{info}");
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
        let ending = ending(&format!("{INIT}\n{}\n{result}", said("x")), CODE_1);
        assert_eq!((ending.error_type, ending.error.as_deref()), (Some(wanted), Some(says)));
    }
}

#[test]
fn prose_decides_nothing() {
    let prose = "API Error: 429 rate limit reached. Prompt is too long; context window limit; \
                 Credit balance is too low; error: unknown option; No conversation found";
    // It succeeded, whatever it talks about.
    let talk = format!("{INIT}\n{}\n{}", said(prose), success(json!({"result": prose})));
    for stderr in ["", "Error: 429 Too Many Requests\nrate limit"] {
        let ending = ending_with(&talk, CODE_0, None, stderr);
        assert_eq!((ending.status, ending.error), (Status::Completed, None));
    }
    // It failed for a reason of its own.
    for text in [prose, "Prompt is too long", "Request too large", "context window limit"] {
        let result = success(json!({"is_error": true, "result": text}));
        let by_model = ending(&format!("{INIT}\n{}\n{result}", said(text)), CODE_1);
        assert_eq!(by_model.error_type, Some(ErrorType::LogicError), "{text}");
    }
    // The same words from the program itself do count: 2.1.197 has nothing else.
    let own = json!({"type": "assistant", "message": {"model": "<synthetic>"}});
    let result = success(json!({"is_error": true, "result": "Prompt is too long"}));
    let by_program = ending(&format!("{INIT}\n{}\n{own}\n{result}", said("x")), CODE_1);
    assert_eq!(by_program.error_type, Some(ErrorType::ContextOverflow));
    // Words on stderr do not turn a crash into anything else once there was output.
    let crash = ending_with(INIT, CODE_1, None, "error: 429 rate limit");
    assert_eq!(crash.error_type, Some(ErrorType::ToolFailure));
}

#[test]
fn our_own_stop_comes_first() {
    let done = format!("{INIT}\n{}", success(json!({})));
    let limited = api_error(Some(429), "rate_limit", "x", "")[0].clone();
    let cut = format!("{INIT}\n{{\"type\":\"assist");
    for stream in [done.as_str(), &limited, &cut, ""] {
        for exit in [CODE_0, CODE_1, SIGTERM, SIGKILL, None] {
            for (stop, status, error_type) in [
                (StopCause::Ttl, Status::Timeout, ErrorType::Timeout),
                (StopCause::Cancelled, Status::Cancelled, ErrorType::Cancelled),
                (StopCause::Shutdown, Status::Cancelled, ErrorType::Shutdown),
            ] {
                let ending = ending_with(stream, exit, Some(stop), "Error: x");
                assert_eq!((ending.status, ending.error_type), (status, Some(error_type)));
                assert_eq!(ending.warnings.len(), usize::from(stream == done));
            }
        }
    }
    let retry = r#"{"type":"system","subtype":"api_retry","attempt":4,"error_status":529,"error":"server_error"}"#;
    assert_eq!(
        ending_with(retry, SIGTERM, Some(StopCause::Ttl), "").error.as_deref(),
        Some(
            "timed out after 3600 seconds; it was repeating an API request after server_error 529 (attempt 4)"
        )
    );
}

#[test]
fn no_result_is_a_failure_whatever_the_exit_code() {
    use ErrorType::*;
    let unknown = Some(Exit::default());
    let option = "error: unknown option '--project'\n";
    #[rustfmt::skip]
    let rows: &[(&str, Option<Exit>, &str, ErrorType, &str)] = &[
        (INIT, CODE_0, "", ToolFailure, "claude ended without a result (exit code 0)"),
        ("", CODE_0, option, ToolFailure, "claude ended without a result (exit code 0); stderr: error: unknown option '--project'"),
        ("", CODE_1, option, Config, "error: unknown option '--project'"),
        ("", CODE_1, "", ToolFailure, "claude ended without a result (exit code 1)"),
        ("", CODE_1, "\n Segmentation fault\nx", ToolFailure, "claude ended without a result (exit code 1); stderr: Segmentation fault"),
        ("", SIGKILL, option, ToolFailure, "claude ended without a result (killed by signal 9); stderr: error: unknown option '--project'"),
        (INIT, CODE_1, option, ToolFailure, "claude ended without a result (exit code 1); stderr: error: unknown option '--project'"),
        (INIT, SIGTERM, "", ToolFailure, "claude ended without a result (exit code 143)"),
        (INIT, None, "", Interrupted, "claude ended unseen, without a result"),
        ("", None, option, Interrupted, "claude ended unseen, without a result"),
        (INIT, unknown, "", Interrupted, "claude ended unseen, without a result"),
    ];
    for (stream, exit, stderr, error_type, error) in rows {
        let ending = ending_with(stream, *exit, None, stderr);
        assert_eq!(ending.status, Status::Failed);
        assert_eq!((ending.error_type, ending.error.as_deref()), (Some(*error_type), Some(*error)));
    }
}

#[test]
fn a_success_and_its_exit() {
    use ErrorType::*;
    let tasks = |n: usize| {
        json!({"type": "system", "subtype": "background_tasks_changed", "tasks": vec![1; n]})
            .to_string()
    };
    let done = success(json!({}));
    let plain = format!("{INIT}\n{}\n{done}\n", said("x"));
    let busy = format!("{INIT}\n{}\n{done}\n", tasks(2));
    let over = format!("{busy}{}\n{INIT}\n{}\n{done}\n", tasks(0), said("y"));
    let again = format!("{busy}{}\n{INIT}\n", tasks(0));
    type Row<'a> = (&'a str, Option<Exit>, Option<ErrorType>, &'a [&'a str]);
    let rows: &[Row] = &[
        (&plain, CODE_0, None, &[]),
        (&plain, None, None, &[]),
        (&plain, CODE_1, None, &["claude did not exit cleanly after its result (exit code 1)"]),
        (
            &plain,
            SIGKILL,
            None,
            &["claude did not exit cleanly after its result (killed by signal 9)"],
        ),
        (&busy, CODE_0, None, &["2 background tasks were outstanding when the session ended"]),
        (&busy, SIGKILL, Some(ToolFailure), &[]),
        (&busy, SIGTERM, Some(ToolFailure), &[]),
        (&busy, None, Some(Interrupted), &[]),
        (&over, CODE_0, None, &[]),
        (&over, None, None, &[]),
        (&again, CODE_0, None, &["another turn was running when the session ended"]),
        (&again, SIGKILL, Some(ToolFailure), &[]),
    ];
    for (stream, exit, error_type, warnings) in rows {
        let ending = ending(stream, *exit);
        assert_eq!(ending.error_type, *error_type, "{stream} {exit:?}");
        assert_eq!(ending.status == Status::Completed, error_type.is_none());
        assert_eq!(ending.warnings, *warnings);
    }
}

#[test]
fn the_last_of_two_results_counts() {
    let failed = api_error(Some(500), "server_error", "API Error: 500", "")[1].clone();
    let done = format!("{INIT}\n{}\n{}\n", said("x"), success(json!({})));
    assert_eq!(ending(&format!("{done}{failed}"), CODE_1).error_type, Some(ErrorType::ToolFailure));
    let recovered = ending(&format!("{failed}{done}"), CODE_0);
    assert_eq!((recovered.status, recovered.warnings), (Status::Completed, vec![]));
}

#[test]
fn events_before_init_and_a_result_without_any_init() {
    let hook = r#"{"type":"system","subtype":"hook_started","session_id":"s-1"}"#;
    let done = success(json!({}));
    for stream in [format!("{hook}\n{INIT}\n{done}"), format!("{done}\n{INIT}"), done.clone()] {
        assert_eq!(ending(&stream, CODE_0).status, Status::Completed, "{stream}");
    }
}

#[test]
fn denials_and_broken_lines_are_warnings() {
    let denials = |names: &[&str]| {
        let list: Vec<Value> = names.iter().map(|name| json!({"tool_name": name})).collect();
        format!("{INIT}\nnoise\n{}\n", success(json!({"permission_denials": list})))
    };
    for (names, wanted) in [
        (&["Bash"][..], "1 tool call was denied (Bash): see permission_denials"),
        (
            &["Bash", "Write", "Bash"],
            "3 tool calls were denied (Bash, Write): see permission_denials",
        ),
        (
            &["a", "b", "c", "d", "e", "f"],
            "6 tool calls were denied (a, b, c, d, e, …): see permission_denials",
        ),
    ] {
        let ending = ending(&denials(names), CODE_0);
        assert_eq!(ending.status, Status::Completed);
        assert_eq!(ending.warnings, [wanted, "1 line of the stream could not be read"]);
    }
}

#[test]
fn an_error_is_one_bounded_line() {
    let text = format!("API Error: 500\n{}", "long words ".repeat(200));
    for stream in api_error(Some(500), "server_error", &text, "") {
        let error = ending(&stream, CODE_1).error.unwrap_or_default();
        assert!(error.starts_with("API Error: 500 long words"));
        assert!(error.chars().count() <= ERROR_CHARS_MAX && !error.contains('\n'));
    }
}

#[test]
fn a_result_line_of_megabytes_still_counts() {
    let input = json!({"tool_name": "Write", "tool_input": {"content": "x\n".repeat(290_000), "file_path": "/f"}});
    let stream = format!("{INIT}\n{}\n", success(json!({"permission_denials": vec![input; 14]})));
    assert!(stream.len() > 8_000_000);
    let ending = ending(&stream, CODE_0);
    assert_eq!(ending.status, Status::Completed);
    assert_eq!(ending.warnings, ["14 tool calls were denied (Write): see permission_denials"]);
}

#[test]
fn each_clock_says_what_it_waited_for() {
    use ErrorType::*;
    for (cause, error_type, error) in [
        (StopCause::Stalled, Stalled, "ended: no output and no work for 1.5 seconds"),
        (
            StopCause::StartTimeout,
            StartTimeout,
            "ended: nothing on its stream within 120 seconds of its start",
        ),
        (StopCause::OutputLimit, OutputLimit, "ended: it wrote more than 1.5 MB on stderr"),
    ] {
        let got = ending_with(INIT, SIGTERM, Some(cause), "");
        assert_eq!((got.status, got.error_type), (Status::Failed, Some(error_type)), "{cause:?}");
        assert_eq!(got.error.as_deref(), Some(error));
    }
}

#[test]
fn an_agent_that_answered_and_stayed_is_judged_by_its_answer() {
    let stayed = "claude did not exit within 30 seconds of its result, and was ended";
    let grace = Some(StopCause::ResultGrace);
    for exit in [SIGTERM, SIGKILL, CODE_0, None] {
        let got = ending_with(&success(json!({})), exit, grace, "");
        assert_eq!((got.status, got.error_type), (Status::Completed, None), "{exit:?}");
        assert_eq!(got.warnings, [stayed]);
    }
    let error = success(json!({"is_error": true, "api_error_status": 429, "result": "429"}));
    let got = ending_with(&error, SIGTERM, grace, "");
    assert_eq!((got.status, got.error_type), (Status::Failed, Some(ErrorType::RateLimit)));
    assert_eq!(got.warnings, [stayed]);
    // It began to work again just before our signal: what it did then is not done.
    let woken = format!("{}\n{INIT}", success(json!({})));
    assert_eq!(ending_with(&woken, SIGTERM, grace, "").error_type, Some(ErrorType::ToolFailure));
    // The stream is not what it was.
    assert_eq!(ending_with(INIT, SIGTERM, grace, "").status, Status::Failed);
}

#[test]
fn only_a_check_that_exits_with_0_passes() {
    let good = || ending(&success(json!({})), CODE_0);
    let after = |exit, timed_out, error: Option<&str>| {
        let checked = Checked { exit, timed_out, error: error.map(String::from) };
        after_check(good(), &checked, 2.0)
    };
    assert_eq!(after(CODE_0, false, None), good());
    for (exit, timed_out, error, want) in [
        (CODE_1, false, None, "exit code 1"),
        (SIGKILL, false, None, "killed by signal 9"),
        (CODE_0, true, None, "it took over 2 seconds"),
        (None, false, Some("cannot start make: x"), "cannot start make: x"),
        (None, false, None, "exit unknown"),
    ] {
        let got = after(exit, timed_out, error);
        assert_eq!((got.status, got.error_type), (Status::Failed, Some(ErrorType::VerifyFailed)));
        assert_eq!(got.error, Some(format!("the acceptance command did not pass: {want}")));
    }
    for (cause, error_type) in
        [(StopCause::Cancelled, ErrorType::Cancelled), (StopCause::Shutdown, ErrorType::Shutdown)]
    {
        let got = cut_check(good(), cause);
        assert_eq!((got.status, got.error_type), (Status::Cancelled, Some(error_type)));
    }
}

#[test]
fn a_session_that_was_denied_and_changed_nothing_is_told_at_a_glance() {
    let summary = |denials_total| Summary {
        result: Some(ResultEvent { denials_total, ..ResultEvent::default() }),
        ..Summary::default()
    };
    let git = |commits, dirty_files| GitFacts { commits, dirty_files, ..GitFacts::default() };
    for (denied, git, want) in [
        (1, git(Some(0), Some(0)), Some("it was denied 1 tool and changed nothing")),
        (3, git(Some(0), Some(0)), Some("it was denied 3 tools and changed nothing")),
        (0, git(Some(0), Some(0)), None),
        (1, git(Some(1), Some(0)), None),
        (1, git(Some(0), Some(2)), None),
        (1, git(None, None), None),
    ] {
        let got = warnings_of_work(&summary(denied), &git, false);
        assert_eq!(got.first().map(String::as_str), want, "{denied} {git:?}");
    }
    assert_eq!(warnings_of_work(&summary(0), &git(None, None), true).len(), 1);
}

#[test]
fn what_was_dirty_before_is_told_and_is_nobodys_work() {
    let told = |denials_total, git: GitFacts| {
        let result = Some(ResultEvent { denials_total, ..ResultEvent::default() });
        warnings_of_work(&Summary { result, ..Summary::default() }, &git, false)
    };
    let git = |files, before, commits, committed| GitFacts {
        dirty_files: Some(files),
        dirty_before: before,
        commits: Some(commits),
        dirty_committed: committed,
        ..GitFacts::default()
    };
    let one = "1 file had uncommitted changes before the session";
    let two = "2 files had uncommitted changes before the session";
    for (denied, git, want) in [
        (0, git(3, None, 0, None), vec![]),
        (0, git(3, Some(0), 0, None), vec![]),
        (0, git(3, Some(1), 0, None), vec![one.to_string()]),
        (0, git(3, Some(2), 1, Some(0)), vec![two.to_string()]),
        (0, git(0, Some(1), 1, Some(1)), vec![format!("{one}: 1 of them is in its commits")]),
        (0, git(0, Some(2), 1, Some(2)), vec![format!("{two}: 2 of them are in its commits")]),
        (1, git(2, Some(1), 0, None), vec![one.to_string()]),
        (
            1,
            git(2, Some(2), 0, None),
            vec!["it was denied 1 tool and changed nothing".to_string(), two.to_string()],
        ),
    ] {
        assert_eq!(told(denied, git.clone()), want, "{denied} {git:?}");
    }
}
