//! Tests of which address counts as the pull request, among many in one text and in one stream. The
//! streams go through the whole reader, since what counts is the call that an answer belongs to and
//! not the words of the answer.

use super::*;
use crate::pure::agent::claude::samples::{read, said};

fn called(message: &str, call: &str, name: &str, command: &str) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"id":"{message}","model":"claude-x","content":[{{"type":"tool_use","id":"{call}","name":"{name}","input":{{"command":"{command}"}}}}]}},"session_id":"s-1"}}"#
    )
}

fn answered(call: &str, text: &str, is_error: bool) -> String {
    format!(
        r#"{{"type":"user","message":{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"{call}","content":[{{"type":"text","text":"{text}"}}],"is_error":{is_error}}}]}},"session_id":"s-1"}}"#
    )
}

#[test]
fn the_last_whole_address_is_found() {
    for (text, want) in [
        ("https://github.com/o/r/pull/12\n", Some("https://github.com/o/r/pull/12")),
        (
            "Creating pull request for x\n\nhttps://github.com/a-b/c.d/pull/7?x",
            Some("https://github.com/a-b/c.d/pull/7"),
        ),
        (
            r#"{"html_url":"https://github.com/o/r/pull/3","issue":"https://github.com/o/r/issues/3"}"#,
            Some("https://github.com/o/r/pull/3"),
        ),
        (
            "https://github.com/o/r/pull/1 https://github.com/o/r/pull/2",
            Some("https://github.com/o/r/pull/2"),
        ),
        ("https://github.com/o/r/pull/new/branch", None),
        ("https://github.com/o/pull/1", None),
        ("https://github.com.evil.example/o/r/pull/1", None),
        ("https://github.com/o r/x/pull/1", None),
        ("https://github.com/o/r/pull/12345678901", None),
        ("", None),
    ] {
        assert_eq!(last_address(text).as_deref(), want, "{text}");
    }
}

#[test]
fn a_pull_request_is_known_from_the_answer_to_the_call_that_opened_it() {
    const URL: &str = "https://github.com/o/r/pull/5";
    let bash = |call, command| called("m1", call, "Bash", command);
    let create = || bash("t1", "git push && gh pr create --fill");
    let rows = [
        ("opened", vec![create(), answered("t1", URL, false)], true),
        (
            "by a server's tool",
            vec![
                called("m1", "t1", "mcp__github__create_pull_request", ""),
                answered("t1", URL, false),
            ],
            true,
        ),
        (
            "an answer in between",
            vec![create(), answered("t0", "x", false), answered("t1", URL, false)],
            true,
        ),
        ("prose", vec![create(), answered("t1", "", false), said("m2", URL)], false),
        ("another call's answer", vec![create(), answered("t2", URL, false)], false),
        ("another command", vec![bash("t1", "gh pr view 5"), answered("t1", URL, false)], false),
        ("it failed", vec![create(), answered("t1", URL, true)], false),
        ("an answer without a call", vec![answered("t1", URL, false)], false),
        (
            "another tool",
            vec![called("m1", "t1", "Read", "gh pr create"), answered("t1", URL, false)],
            false,
        ),
    ];
    for (name, lines, is_found) in rows {
        let found = read(&lines.join("\n")).pull_request;
        assert_eq!(found.as_deref(), is_found.then_some(URL), "{name}");
    }
}
