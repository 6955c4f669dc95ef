//! Tests of which address counts as the pull request, among many in one text and in one stream. The
//! streams go through each agent's whole reader, since what counts is the call that an answer
//! belongs to and not the words of the answer.

use serde_json::{Value, json};

use super::*;
use crate::pure::agent::{Driver, Transcript, claude, codex, gemini};

const URL: &str = "https://github.com/o/r/pull/5";
const CREATE: &str = "git push && gh pr create --fill";

fn read(driver: &Driver, lines: &[Value]) -> Option<String> {
    let mut transcript = Transcript::new(driver);
    lines.iter().for_each(|line| transcript.feed(format!("{line}\n").as_bytes()));
    transcript.finish().pull_request
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

fn claude_calls(id: &str, name: &str, command: &str) -> Value {
    let call = json!({"type": "tool_use", "id": id, "name": name, "input": {"command": command}});
    json!({"type": "assistant", "session_id": "s-1",
        "message": {"id": "m1", "model": "claude-x", "content": [call]}})
}

fn claude_answers(id: &str, text: &str, is_error: bool) -> Value {
    let texts = json!([{"type": "text", "text": text}]);
    let answer = json!({"type": "tool_result", "tool_use_id": id, "content": texts,
        "is_error": is_error});
    json!({"type": "user", "message": {"role": "user", "content": [answer]}})
}

#[test]
fn a_pull_request_is_known_from_the_answer_to_the_call_that_opened_it() {
    let bash = |id, command| claude_calls(id, "Bash", command);
    let answered = claude_answers;
    let prose = json!({"type": "assistant", "message": {"id": "m2", "model": "claude-x",
        "content": [{"type": "text", "text": URL}]}});
    let rows = [
        ("opened", vec![bash("t1", CREATE), answered("t1", URL, false)], true),
        (
            "by a server's tool",
            vec![
                claude_calls("t1", "mcp__github__create_pull_request", ""),
                answered("t1", URL, false),
            ],
            true,
        ),
        (
            "an answer in between",
            vec![bash("t1", CREATE), answered("t0", "x", false), answered("t1", URL, false)],
            true,
        ),
        ("prose", vec![bash("t1", CREATE), answered("t1", "", false), prose], false),
        ("another call's answer", vec![bash("t1", CREATE), answered("t2", URL, false)], false),
        ("another command", vec![bash("t1", "gh pr view 5"), answered("t1", URL, false)], false),
        ("it failed", vec![bash("t1", CREATE), answered("t1", URL, true)], false),
        ("an answer without a call", vec![answered("t1", URL, false)], false),
        (
            "another tool",
            vec![claude_calls("t1", "Read", CREATE), answered("t1", URL, false)],
            false,
        ),
    ];
    for (name, lines, is_found) in rows {
        assert_eq!(read(&claude::DRIVER, &lines).as_deref(), is_found.then_some(URL), "{name}");
    }
}

#[test]
fn codex_tells_a_command_and_its_answer_in_one_item() {
    let ran = |command: &str, status: &str, output: &str| {
        let command = format!("/bin/bash -lc '{command}'");
        json!({"type": "item.completed", "item": {"id": "item_0", "type": "command_execution",
            "command": command, "aggregated_output": output, "exit_code": 0, "status": status}})
    };
    let called = |tool: &str, status: &str| {
        json!({"type": "item.completed", "item": {"id": "item_0", "type": "mcp_tool_call",
            "server": "github", "tool": tool, "status": status,
            "result": {"content": [{"type": "text", "text": URL}]}}})
    };
    let message = json!({"type": "item.completed",
        "item": {"id": "item_1", "type": "agent_message", "text": URL}});
    let pushed = format!("remote: x\n{URL}\n");
    for (name, lines, is_found) in [
        ("opened", vec![ran(CREATE, "completed", &pushed)], true),
        ("it failed", vec![ran(CREATE, "failed", &pushed)], false),
        ("it was not let run", vec![ran(CREATE, "declined", &pushed)], false),
        ("another command", vec![ran("gh pr view 5", "completed", URL)], false),
        ("by a server's tool", vec![called("create_pull_request", "completed")], true),
        ("the tool failed", vec![called("create_pull_request", "failed")], false),
        ("another tool", vec![called("get_pull_request", "completed")], false),
        ("prose", vec![ran(CREATE, "completed", ""), message], false),
    ] {
        assert_eq!(read(&codex::DRIVER, &lines).as_deref(), is_found.then_some(URL), "{name}");
    }
}

#[test]
fn gemini_answers_a_call_by_its_id() {
    let calls = |id: &str, tool: &str, command: &str| {
        json!({"type": "tool_use", "tool_id": id, "tool_name": tool,
            "parameters": {"command": command}})
    };
    let shell = |id, command| calls(id, "run_shell_command", command);
    let answers = |id: &str, status: &str, output: &str| json!({"type": "tool_result", "tool_id": id, "status": status, "output": output});
    let earlier =
        format!("a pull request for branch \"x\" into branch \"main\" already exists:\n{URL}");
    let long = format!("{}; {CREATE}", "x".repeat(1000));
    let said = json!({"type": "message", "role": "assistant", "content": URL, "delta": true});
    for (name, lines, is_found) in [
        ("opened", vec![shell("c1", CREATE), answers("c1", "success", URL)], true),
        ("a long command", vec![shell("c1", &long), answers("c1", "success", URL)], true),
        ("opened earlier", vec![shell("c1", CREATE), answers("c1", "success", &earlier)], false),
        ("not let run", vec![shell("c1", CREATE), answers("c1", "error", URL)], false),
        ("another's answer", vec![shell("c1", CREATE), answers("c2", "success", URL)], false),
        ("another command", vec![shell("c1", "gh pr list"), answers("c1", "success", URL)], false),
        (
            "another tool",
            vec![calls("c1", "read_file", CREATE), answers("c1", "success", URL)],
            false,
        ),
        (
            "by a server's tool",
            vec![calls("c1", "mcp_github_create_pull_request", ""), answers("c1", "success", URL)],
            true,
        ),
        ("prose", vec![shell("c1", CREATE), answers("c1", "success", ""), said], false),
    ] {
        assert_eq!(read(&gemini::DRIVER, &lines).as_deref(), is_found.then_some(URL), "{name}");
    }
}
