//! Where a record is, and what its end says.

use std::ffi::OsString;

use serde_json::json;

use super::*;
use crate::pure::agent::codex::samples::{BEGUN, DONE, THREAD, failed, read as read_stream, said};
use crate::pure::agent::{Failure, Tokens};
use crate::pure::report::ErrorType;

const USED_UP: &str = "You’ve hit your usage limit. Try again at 2:38 PM.";

fn entry(kind: &str, payload: Value) -> String {
    format!("{}\n", json!({"timestamp": "t", "type": kind, "payload": payload}))
}

fn started() -> String {
    entry("event_msg", json!({"type": "task_started"}))
}

fn limits(primary: Value, secondary: Value) -> String {
    let limits = json!({"primary": primary, "secondary": secondary});
    entry("event_msg", json!({"type": "token_count", "info": null, "rate_limits": limits}))
}

fn window(used: f64, resets_at: Value) -> Value {
    json!({"used_percent": used, "window_minutes": 300, "resets_at": resets_at})
}

fn complete(message: &str, info: Value) -> String {
    let error = json!({"message": message, "codex_error_info": info});
    entry("event_msg", json!({"type": "task_complete", "error": error}))
}

fn used(tokens: u64) -> String {
    let usage = json!({"input_tokens": tokens, "output_tokens": tokens / 10});
    entry("token_usage_record", json!({"turn_token_usage": usage}))
}

/// What a session's summary is after its record.
fn after(stream: &str, record: &str) -> Summary {
    let mut summary = read_stream(stream);
    read(record.as_bytes(), &mut summary);
    summary
}

fn failure_of(summary: &Summary) -> Option<&Failure> {
    summary.result.as_ref()?.failure.as_ref()
}

#[test]
fn the_folder_follows_from_the_thread_s_id() {
    let summary = |id: &str| Summary { session_id: Some(id.into()), ..Summary::default() };
    let with = |set: &'static [(&'static str, &'static str)]| {
        move |name: &str| {
            let found = set.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| OsString::from(value))
        }
    };
    let at = |summary: &Summary, set| places(summary, &with(set));
    let found = at(&summary(THREAD), &[("HOME", "/h"), ("CODEX_HOME", "")]).expect("places");
    let days = ["26", "25", "27"].map(|day| format!("/h/.codex/sessions/2026/11/{day}").into());
    assert_eq!((found.folders, found.name_end), (days.to_vec(), format!("-{THREAD}.jsonl")));
    let named = at(&summary(THREAD), &[("HOME", "/h"), ("CODEX_HOME", "/c")]).expect("places");
    assert!(named.folders.iter().all(|folder| folder.starts_with("/c/sessions")));
    // No home, a home that is nowhere, an id without a time, no id.
    assert_eq!(at(&summary(THREAD), &[]), None);
    assert_eq!(at(&summary(THREAD), &[("CODEX_HOME", "c")]), None);
    let untimed = "01a21814-2a1f-4760-9ad4-05f33bd8c28b";
    assert_eq!(at(&summary(untimed), &[("HOME", "/h")]), None);
    assert_eq!(at(&summary("x"), &[("HOME", "/h")]), None);
    assert_eq!(at(&Summary::default(), &[("HOME", "/h")]), None);
}

#[test]
fn a_limit_has_the_reset_of_the_window_that_is_used_up() {
    let stream = format!("{BEGUN}{}", failed(USED_UP));
    let (full, free) = (|at: u64| window(100.0, json!(at)), window(40.0, json!(99)));
    for (primary, secondary, wanted) in [
        (full(7), free.clone(), Some((7, "primary"))),
        (free.clone(), full(8), Some((8, "secondary"))),
        // Both: it opens when the later one does.
        (full(7), full(8), Some((8, "secondary"))),
        (full(9), full(8), Some((9, "primary"))),
        (free.clone(), free.clone(), None),
        (window(100.0, Value::Null), Value::Null, None),
        (Value::Null, Value::Null, None),
        (json!("x"), json!([1]), None),
    ] {
        let end = complete(USED_UP, json!("usage_limit_exceeded"));
        let summary = after(&stream, &format!("{}{}{end}", started(), limits(primary, secondary)));
        let failure = failure_of(&summary).expect("a failure");
        assert_eq!((failure.error_type, &*failure.message), (ErrorType::UsageLimit, USED_UP));
        let limit = summary.limit.map(|limit| (limit.is_closed, limit.resets_at, limit.kind));
        assert_eq!(limit, wanted.map(|(at, kind)| (true, Some(at), Some(kind.to_string()))));
    }
}

#[test]
fn the_kind_of_the_last_turn_s_error_decides() {
    let stream = format!("{BEGUN}{}", failed("unheard of"));
    let of = |record: &str| failure_of(&after(&stream, record)).map(|failure| failure.error_type);
    let (full, bad) = (json!("context_window_exceeded"), json!("model_not_found"));
    let (one, two) = (complete("a", full), complete("b", bad));
    for (record, wanted) in [
        (format!("{}{one}", started()), ErrorType::ContextOverflow),
        (format!("{}{one}{}{two}", started(), started()), ErrorType::Config),
        // The turn that failed is not in it: the words alone say why.
        (format!("{}{one}{}", started(), started()), ErrorType::LogicError),
        (
            format!("{}{}", started(), entry("event_msg", json!({"type": "task_complete"}))),
            ErrorType::LogicError,
        ),
        (format!("{}{}", started(), complete("c", Value::Null)), ErrorType::LogicError),
        // A first line that is cut, and lines of anything.
        (format!("sage\":1}}\nnull\n{{}}\n[1]\n\u{0}\n{one}"), ErrorType::ContextOverflow),
        (String::new(), ErrorType::LogicError),
    ] {
        assert_eq!(of(&record), Some(wanted), "{record}");
    }
}

#[test]
fn it_makes_and_unmakes_no_success() {
    let record = format!("{}{}", started(), complete("a", json!("unauthorized")));
    let done = after(&format!("{BEGUN}{}{DONE}", said("x")), &record);
    assert!(done.result.is_some() && failure_of(&done).is_none() && done.limit.is_none());
    assert_eq!(after(BEGUN, &record).result, None);
}

#[test]
fn the_tokens_are_those_of_the_last_turn() {
    let (first, second) =
        (format!("{}{}", started(), used(70)), format!("{}{}", started(), used(30)));
    // The stream tells the sum of the thread.
    let done = after(&format!("{BEGUN}{DONE}"), &format!("{first}{second}"));
    assert_eq!(done.tokens, Tokens { input: 30, output: 3 });
    let told = done.result.and_then(|result| result.usage).expect("usage");
    assert_eq!(told["input_tokens"], 1000);
    // It knows what a session used that was cut off or failed, too.
    let cut = after(BEGUN, &first);
    assert_eq!(cut.tokens, Tokens { input: 70, output: 7 });
    assert_eq!(after(&format!("{BEGUN}{DONE}"), "").tokens, Tokens { input: 1000, output: 50 });
}
