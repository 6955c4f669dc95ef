//! The driver of a described agent: arguments, prompt, stream, exit code, each as a table.

use super::*;
use crate::pure::agent::{Drivers, Transcript, claude};
use crate::pure::config::terms::Terms;
use crate::pure::config::{Settings, apply_config};
use serde_json::json;

static BUILT_IN: [Driver; 1] = [claude::DRIVER];

fn driver_of(entry: Value) -> &'static Driver {
    let mut settings = Settings::default();
    apply_config(&mut settings, &json!({"agents": {"agy": entry}})).expect("config");
    let drivers = Drivers::new(&BUILT_IN).by(&settings).expect("a table");
    drivers.get("agy").expect("a row")
}

fn launch<'t>(session: SessionRef, terms: &'t Terms, project: &'t str) -> Launch<'t> {
    Launch {
        session,
        terms,
        git_dirs: &Vec::new,
        dir: "/home/x/my {session}",
        project,
        prompt_file: "/a/prompt.txt",
    }
}

fn new() -> SessionRef {
    SessionRef::New("id-1".into())
}

#[test]
fn arguments_are_filled_in_once_and_stay_single() {
    let agy = driver_of(json!({
        "output": "text", "prompt": "file", "model": "m", "permission_mode": "all",
        "args": ["-f{prompt_file}", "{dir}", "{project}/{session}", "--{model}={permission_mode}",
            "{}", "{\"a\":1}"],
        "resume_args": ["again", "{session}", "{prompt_file}"],
    }));
    let terms = Terms {
        model: Some("m".into()),
        permission_mode: Some("all".into()),
        extra_args: vec!["--more".into(), "{dir}".into()],
        ..Terms::default()
    };
    let got = agy.argv(&launch(new(), &terms, "../-a b;{dir}/c"));
    let want = [
        "-f/a/prompt.txt",
        "/home/x/my {session}",
        "abdirc/id-1",
        "--m=all",
        "{}",
        "{\"a\":1}",
        "--more",
        "{dir}",
    ];
    assert_eq!(got, want);
    let got = agy.argv(&launch(SessionRef::Resume("id-0".into()), &terms, "-"));
    assert_eq!(got, ["again", "id-0", "/a/prompt.txt", "--more", "{dir}"]);
    assert!(agy.reads_prompt_file() && agy.can_resume() && agy.may_be_silent());
}

#[test]
fn the_prompt_may_be_one_line_of_json() {
    let agy = driver_of(json!({"output": "text",
        "prompt": {"event": "user", "message": {"content": ["{prompt}"]}}}));
    let said = agy.prompt("Say \"hi\"\n{prompt}".into());
    let want = json!({"event": "user", "message": {"content": ["Say \"hi\"\n{prompt}"]}});
    assert!(said.ends_with("}\n") && said.lines().count() == 1, "{said}");
    assert_eq!(serde_json::from_str::<Value>(&said).expect("JSON"), want);
    let plain = driver_of(json!({"output": "text"}));
    assert_eq!(plain.prompt("as it is".into()), "as it is");
    assert!(!plain.reads_prompt_file() && !plain.can_resume());
}

/// The dialect of `agy`, as `help settings` shows it.
fn agy() -> &'static Driver {
    driver_of(json!({
        "resume_args": ["--conversation", "{session}"], "output": "stream",
        "stream": {
            "session": {"path": "conversation_id", "where": {"event": "init"}},
            "text": {"path": "text_delta", "where": {"step_type": "agent_response"}},
            "tool": {"path": "tool_info.name", "where": {"step_type": "tool"}},
            "result": {"path": "response", "where": {"event": "result", "status": "SUCCESS"}},
            "error": {"path": "status", "where": {"event": "result"}},
            "resets_at": "reset.0.at",
            "input_tokens": "usage.input", "output_tokens": "usage.output", "cost_usd": "usd",
        },
        "failures": {
            "usage_limit": {"where": {"status": "QUOTA*"}, "exit_codes": [9]},
            "rate_limit": {"where": {"code": 429}, "exit_codes": [75]},
        },
        "session_unknown": {"where": {"status": "NO_CONVERSATION"}, "exit_codes": [4]},
    }))
}

fn read(driver: &Driver, lines: &[&str], exit_code: Option<i32>) -> Summary {
    let mut transcript = Transcript::new(driver);
    lines.iter().for_each(|line| transcript.feed(format!("{line}\n").as_bytes()));
    let mut summary = transcript.finish();
    if let Some(code) = exit_code {
        driver.conclude(&mut summary, code);
    }
    summary
}

const INIT: &str = r#"{"event":"init","conversation_id":"c-1"}"#;
const SAID: &str = r#"{"event":"step_update","step_type":"agent_response","text_delta":"half"}"#;
const TOOL: &str = r#"{"event":"step_update","step_type":"tool","tool_info":{"name":"edit"}}"#;
const DONE: &str = r#"{"event":"result","status":"SUCCESS","response":"all","usage":{"input":7,"output":3.0},"usd":0.5}"#;

fn failure(summary: &Summary) -> Option<(ErrorType, &str)> {
    let failure = summary.result.as_ref()?.failure.as_ref()?;
    Some((failure.error_type, failure.message.as_str()))
}

#[test]
fn a_stream_is_read_by_its_rules() {
    let done = read(agy(), &[INIT, SAID, TOOL, DONE], Some(0));
    assert_eq!(done.session_id.as_deref(), Some("c-1"));
    assert_eq!((done.assistant_turns, done.used_tools, done.init_seen), (2, true, true));
    assert_eq!(
        (done.last_text.as_deref(), done.last_tool.as_deref()),
        (Some("half"), Some("edit"))
    );
    assert_eq!((done.tokens.input, done.tokens.output), (7, 3));
    let result = done.result.expect("a result");
    assert_eq!((result.failure, result.text.as_deref()), (None, Some("all")));
    assert_eq!(result.total_cost_usd, Some(0.5));
    // No tool is told of, so none was used; of a dialect without a rule for them nobody knows.
    assert!(!read(agy(), &[INIT, DONE], None).used_tools);
    let plain = driver_of(json!({"output": "stream", "stream": {"result": "response"}}));
    assert!(read(plain, &[DONE], None).used_tools);
    // Nor does anybody know when its model works; and without a rule for its session any event is
    // its first.
    assert!(agy().tells_of_work() && !plain.tells_of_work());
    assert!(!read(agy(), &[SAID], None).init_seen && read(plain, &[SAID], None).init_seen);
    // A result is no last word while the agent goes on.
    assert!(read(agy(), &[DONE, SAID], None).working_after_result);
    assert_eq!(read(agy(), &["no JSON", DONE], None).broken_lines, 1);
    // An id that would be an option is none.
    let odd = r#"{"event":"init","conversation_id":"--all"}"#;
    assert_eq!(read(agy(), &[odd], None).session_id, None);
}

#[test]
fn an_error_has_the_class_that_its_values_or_the_exit_code_say() {
    use ErrorType::*;
    let event = |rest: &str| format!(r#"{{"event":"result",{rest}}}"#);
    for (rest, code, want, resets_at) in [
        (r#""status":"ERROR""#, Some(1), (ToolFailure, "ERROR"), None),
        (r#""status":"ERROR","code":429"#, Some(1), (RateLimit, "ERROR"), None),
        (r#""status":"ERROR""#, Some(75), (RateLimit, "ERROR"), None),
        (r#""status":"QUOTA_MET""#, None, (UsageLimit, "QUOTA_MET"), None),
        (
            r#""status":"QUOTA_MET","reset":[{"at":1800000000}]"#,
            Some(75),
            (UsageLimit, "QUOTA_MET"),
            Some(1_800_000_000),
        ),
        (
            r#""status":"QUOTA_MET","reset":[{"at":1800000000123}]"#,
            None,
            (UsageLimit, "QUOTA_MET"),
            Some(1_800_000_000),
        ),
        (
            r#""status":"QUOTA_MET","reset":[{"at":"2027-01-15T08:00:00Z"}]"#,
            None,
            (UsageLimit, "QUOTA_MET"),
            Some(1_800_000_000),
        ),
    ] {
        let summary = read(agy(), &[INIT, &event(rest)], code);
        assert_eq!(failure(&summary), Some(want), "{rest} {code:?}");
        let limit = summary.limit.and_then(|limit| limit.resets_at);
        assert_eq!(limit, resets_at, "{rest}");
    }
    // Without a final event the exit code is all there is, and says nothing if nobody named it.
    assert_eq!(failure(&read(agy(), &[INIT], Some(75))), Some((RateLimit, "exit code 75")));
    assert_eq!(read(agy(), &[INIT], Some(1)).result, None);
    assert_eq!(read(agy(), &[INIT], Some(0)).result, None);
    // A later result counts: the error was passing.
    let passing = event(r#""status":"ERROR""#);
    assert_eq!(failure(&read(agy(), &[&passing, DONE], Some(0))), None);
    // What is null, false or empty is no error.
    let plain = driver_of(json!({"output": "stream", "stream": {"result": "r", "error": "e"}}));
    for line in [r#"{"e":null}"#, r#"{"e":false}"#, r#"{"e":""}"#, r#"{"x":1}"#] {
        assert_eq!(read(plain, &[line], None).result, None, "{line}");
    }
    let whole = read(plain, &[r#"{"e":{"code":5}}"#], None);
    assert_eq!(failure(&whole), Some((ToolFailure, r#"{"code":5}"#)));
}

#[test]
fn a_session_that_it_does_not_know_is_told_by_an_event_or_by_the_exit_code() {
    let event = r#"{"event":"result","status":"NO_CONVERSATION"}"#;
    for (lines, code, want) in [
        (&[event][..], Some(1), true),
        (&[event], None, true),
        (&[], Some(4), true),
        (&[SAID], Some(4), true),
        (&[DONE], Some(0), false),
        (&[], Some(1), false),
    ] {
        let summary = read(agy(), lines, code);
        assert_eq!(agy().session_is_gone(&summary, "words"), want, "{lines:?} {code:?}");
        assert!(!want || summary.assistant_turns == 0);
    }
}

#[test]
fn plain_text_is_the_result_of_what_exits_with_0() {
    let text = driver_of(json!({"output": "text", "args": ["--id", "{session}"],
        "failures": {"auth": {"exit_codes": [7]}}}));
    let done = read(text, &["Two lines", "of text"], Some(0));
    let result = done.result.expect("a result");
    assert_eq!((result.failure, result.text.as_deref()), (None, Some("Two lines\nof text")));
    assert!(done.used_tools && done.assistant_turns == 1);
    assert!(read(text, &[], Some(0)).result.is_some(), "it may have nothing to say");
    let refused = read(text, &["not logged in"], Some(7));
    assert_eq!(failure(&refused), Some((ErrorType::Auth, "exit code 7: not logged in")));
    assert_eq!(read(text, &["oh"], Some(1)).result, None);
    assert_eq!(read(text, &["oh"], None).result, None, "its end was not seen");
    assert!(text.takes_session_id && !agy().takes_session_id);
    let long = "x".repeat(40_000);
    let kept = read(text, &[&long, &long], Some(0)).last_text.expect("text");
    assert!(kept.len() <= crate::pure::agent::RESULT_BYTES_MAX);
}
