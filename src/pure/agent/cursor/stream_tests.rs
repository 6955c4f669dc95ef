//! What the reader makes of the events that Cursor's documentation shows.

use super::*;
use crate::pure::agent::Transcript;
use crate::pure::agent::cursor::DRIVER;

const INIT: &str = r#"{"type":"system","subtype":"init","apiKeySource":"login","cwd":"/p","session_id":"c6b62c6f-7ead-4fd6-9922-e952131177ff","model":"Claude 4 Sonnet","permissionMode":"default"}"#;
const USER: &str = r#"{"type":"user","message":{"role":"user","content":[{"type":"text","text":"read README.md"}]},"session_id":"c6b62c6f-7ead-4fd6-9922-e952131177ff"}"#;
const SAID: &str = r#"{"type":"assistant","message":{"role":"assistant","content":[{"type":"text","text":"I'll read it"}]},"session_id":"c6b62c6f-7ead-4fd6-9922-e952131177ff"}"#;
const STARTED: &str = r#"{"type":"tool_call","subtype":"started","call_id":"toolu_1","tool_call":{"readToolCall":{"args":{"path":"README.md"}}},"session_id":"c6b62c6f-7ead-4fd6-9922-e952131177ff"}"#;
const COMPLETED: &str = r#"{"type":"tool_call","subtype":"completed","call_id":"toolu_1","tool_call":{"readToolCall":{"args":{"path":"README.md"},"result":{"success":{"content":"hi","totalLines":1}}}},"session_id":"c6b62c6f-7ead-4fd6-9922-e952131177ff"}"#;
const RESULT: &str = r#"{"type":"result","subtype":"success","duration_ms":1234,"duration_api_ms":1234,"is_error":false,"result":"It says hi.","session_id":"c6b62c6f-7ead-4fd6-9922-e952131177ff","request_id":"r-1","usage":{"inputTokens":10,"outputTokens":4,"cacheReadTokens":30,"cacheWriteTokens":2}}"#;

fn read(lines: &[&str]) -> Summary {
    let mut transcript = Transcript::new(&DRIVER);
    transcript.feed(lines.join("\n").as_bytes());
    transcript.finish()
}

#[test]
fn a_documented_session() {
    let summary = read(&[INIT, USER, SAID, STARTED, COMPLETED, SAID, RESULT]);
    let result = summary.result.as_ref().expect("a result");
    assert_eq!((&result.failure, result.text.as_deref()), (&None, Some("It says hi.")));
    assert_eq!((summary.assistant_turns, result.num_turns), (2, Some(2)));
    assert_eq!(summary.tokens, Tokens { input: 42, output: 4 });
    assert_eq!(summary.session_id.as_deref(), Some("c6b62c6f-7ead-4fd6-9922-e952131177ff"));
    assert_eq!(
        (summary.model.as_deref(), summary.last_tool.as_deref()),
        (Some("Claude 4 Sonnet"), Some("read"))
    );
    assert!(summary.init_seen && summary.used_tools && summary.broken_lines == 0);
}

#[test]
fn a_tool_without_a_name_of_its_own() {
    let call = r#"{"type":"tool_call","subtype":"started","call_id":"1","tool_call":{"function":{"name":"grep","arguments":"{}"}}}"#;
    assert_eq!(read(&[INIT, call]).last_tool.as_deref(), Some("grep"));
}

#[test]
fn a_stream_without_a_result_or_with_an_error_is_no_success() {
    assert_eq!(read(&[INIT, USER, SAID]).result, None);
    for result in [
        r#"{"type":"result","subtype":"success","is_error":true,"result":"no"}"#,
        r#"{"type":"result","subtype":"error","is_error":false,"result":"no"}"#,
        r#"{"type":"result"}"#,
    ] {
        let result = read(&[INIT, result]).result.expect("a result");
        let failure = result.failure.expect("a failure");
        assert_eq!(failure.error_type, ErrorType::ToolFailure);
        assert!(!failure.message.is_empty());
    }
}

#[test]
fn an_older_result_has_no_tokens() {
    let summary = read(&[INIT, r#"{"type":"result","subtype":"success","result":"x"}"#]);
    assert_eq!(
        (summary.tokens, summary.result.expect("a result").usage),
        (Tokens::default(), None)
    );
}

#[test]
fn lines_that_are_no_events_are_counted_or_ignored() {
    let summary = read(&["no json", "[1]", r#"{"type":7}"#, r#"{"type":"thinking"}"#]);
    assert_eq!((summary.lines, summary.broken_lines), (4, 2));
    // What it thinks is no event of the session, but its model has begun.
    assert!(summary.model_began && summary.assistant_turns == 0);
}
