//! What the reader makes of a stream of Gemini CLI: its last words, its turns, its denials, and the
//! successes that are none.

use serde_json::json;

use super::*;
use crate::pure::agent::Transcript;
use crate::pure::agent::gemini::DRIVER;

fn read(lines: &[Value]) -> Summary {
    let mut transcript = Transcript::new(&DRIVER);
    let init = json!({"type": "init", "session_id": "s-1", "model": "auto"});
    for line in [&[init], lines].concat() {
        transcript.feed(format!("{line}\n").as_bytes());
    }
    transcript.finish()
}

fn said(text: &str) -> Value {
    json!({"type": "message", "role": "assistant", "content": text, "delta": true})
}

fn asked(text: &str) -> Value {
    json!({"type": "message", "role": "user", "content": text})
}

fn call(id: &str, name: &str, parameters: Value) -> Value {
    json!({"type": "tool_use", "tool_name": name, "tool_id": id, "parameters": parameters})
}

fn answer(id: &str, output: &str) -> Value {
    json!({"type": "tool_result", "tool_id": id, "status": "success", "output": output})
}

fn denied(id: &str, kind: &str) -> Value {
    json!({"type": "tool_result", "tool_id": id, "status": "error",
        "error": {"type": kind, "message": "no"}})
}

fn done(total: u64) -> Value {
    json!({"type": "result", "status": "success", "stats": {"total_tokens": total,
        "input_tokens": total / 2, "output_tokens": total / 4, "cached": 1, "tool_calls": 0}})
}

fn failure(summary: &Summary) -> Option<ErrorType> {
    let result = summary.result.as_ref().expect("a result");
    result.failure.as_ref().map(|failure| failure.error_type)
}

#[test]
fn the_last_words_are_those_after_the_last_answer_of_a_tool() {
    let shell = json!({"command": "ls"});
    let summary = read(&[
        asked("do it"),
        said("I look "),
        said("first."),
        call("c1", "read_file", json!({"file_path": "a"})),
        call("c2", "run_shell_command", shell),
        answer("c1", "…"),
        answer("c2", "…"),
        said("All "),
        said("done."),
        done(100),
    ]);
    let result = summary.result.as_ref().expect("a result");
    assert_eq!((failure(&summary), result.text.as_deref()), (None, Some("All done.")));
    // Two turns: the one with both calls, and the last one.
    assert_eq!((summary.assistant_turns, result.num_turns), (2, Some(2)));
    assert_eq!(summary.tokens, Tokens { input: 50, output: 25 });
    assert_eq!(result.usage.as_ref().expect("usage")["cached"], 1);
    assert_eq!(summary.last_tool.as_deref(), Some("run_shell_command"));
    assert!(summary.used_tools && summary.init_seen && summary.notes.is_empty());
    assert_eq!(
        (summary.session_id.as_deref(), summary.model.as_deref()),
        (Some("s-1"), Some("auto"))
    );
}

#[test]
fn a_success_in_which_the_model_did_nothing_is_none() {
    for (lines, wanted) in [
        (vec![asked("long"), done(0)], Some(ErrorType::ContextOverflow)),
        (vec![asked("x"), done(9)], Some(ErrorType::ToolFailure)),
        (vec![asked("x"), said(""), done(9)], Some(ErrorType::ToolFailure)),
        (vec![asked("x"), said("hi"), done(9)], None),
        (vec![asked("x"), call("c", "write_file", json!({})), answer("c", ""), done(9)], None),
    ] {
        assert_eq!(failure(&read(&lines)), wanted, "{lines:?}");
    }
}

#[test]
fn a_loop_that_it_cut_is_told_with_the_success() {
    let warning = json!({"type": "error", "severity": "warning",
        "message": "Loop detected, stopping execution"});
    let looped = [call("c", "read_file", json!({})), answer("c", "")];
    let summary = read(&[&looped[..], &[warning.clone(), done(9)]].concat());
    assert_eq!(failure(&summary), None);
    assert_eq!(summary.notes, ["gemini warned: Loop detected, stopping execution"]);
    let silent = read(&[&looped[..], &[done(9)]].concat());
    assert_eq!(silent.notes, ["gemini ended without a word after its last tool"]);
    let many = read(&[vec![said("x")], vec![warning; 99], vec![done(9)]].concat());
    assert_eq!(many.notes.len(), 1);
}

#[test]
fn denials_are_the_two_kinds_of_errors_that_a_permission_mends() {
    let command = json!({"command": "git push"});
    let summary = read(&[
        call("c1", "run_shell_command", command),
        call("c2", "write_file", json!({"file_path": "/etc/x", "content": "y"})),
        call("c3", "glob", json!({"dir_path": "a"})),
        denied("c1", "tool_not_registered"),
        denied("c2", "policy_violation"),
        denied("c3", "TOOL_EXECUTION_ERROR"),
        denied("unknown", "policy_violation"),
        said("I could not."),
        done(9),
    ]);
    let result = summary.result.expect("a result");
    let denial = |tool_name: &str, input: Option<&str>| Denial {
        tool_name: tool_name.into(),
        input: input.map(String::from),
    };
    let wanted = [
        denial("run_shell_command", Some("git push")),
        denial("write_file", Some("/etc/x")),
        denial("unknown", None),
    ];
    assert_eq!((result.denials_total, result.denials.as_slice()), (3, &wanted[..]));
}

#[test]
fn a_commit_without_an_identity_is_told() {
    let words = "Author identity unknown\n\n*** Please tell me who you are.\n";
    let of = |tool| {
        let lines = [call("c", tool, json!({})), answer("c", words), said("x"), done(9)];
        read(&lines).notes
    };
    assert!(of("run_shell_command")[0].starts_with("git refused a commit"));
    // In a file that it read they mean nothing.
    assert_eq!(of("read_file"), [""; 0]);
}

#[test]
fn what_is_remembered_is_bounded() {
    let long = "long words ".repeat(RESULT_BYTES_MAX / 10);
    let mut lines: Vec<Value> = vec![said(&long); 3];
    for n in 0..2 * IDS_MAX {
        lines.push(call(&format!("c{n}"), "t", json!({"command": "x".repeat(999)})));
    }
    lines.extend((0..2 * IDS_MAX).map(|n| denied(&format!("c{n}"), "policy_violation")));
    let mut reader = EventReader::default();
    let mut summary = Summary::default();
    for line in &lines {
        reader.line(line.to_string().as_bytes(), &mut summary);
        assert!(reader.calls.len() <= IDS_MAX && reader.text.len() <= RESULT_BYTES_MAX);
    }
    assert_eq!((reader.denials.len(), reader.denials_total), (DENIALS_MAX, 2 * IDS_MAX));
    let longest = reader.denials.iter().filter_map(|denial| denial.input.as_ref()).map(String::len);
    assert!(longest.max().is_some_and(|length| length <= DENIAL_INPUT_CHARS_MAX * 4));
}

/// It cuts its text into deltas, and may cut a character in two.
#[test]
fn half_a_character_does_not_cost_the_line() {
    let mut transcript = Transcript::new(&DRIVER);
    transcript.feed(br#"{"type":"message","role":"assistant","content":"cut \ud83d"}"#);
    let summary = transcript.finish();
    let said = summary.last_text.as_deref();
    assert_eq!((summary.broken_lines, said), (0, Some("cut \u{fffd}")));
}

#[test]
fn lines_that_are_no_events_are_counted_or_ignored() {
    let mut transcript = Transcript::new(&DRIVER);
    transcript.feed(b"no json\n[1]\n{\"type\":7}\n{\"type\":\"news\"}\n{\"type\":\"result\"}\n");
    let summary = transcript.finish();
    assert_eq!((summary.lines, summary.broken_lines), (5, 2));
    // What says neither did not succeed.
    assert_eq!(failure(&summary), Some(ErrorType::ToolFailure));
}
