//! What people read, line by line.

use serde_json::json;

use super::*;
use crate::pure::human::zone::Zone;
use crate::pure::report::{ErrorType, Status};

fn look() -> Look {
    Look { width: None, has_colour: false, zone: Zone::utc(), now_ms: 0, home: None }
}

fn lines(items: &[LogItem]) -> Vec<String> {
    let look = look();
    let mut renderer = Renderer::new(&look);
    let mut lines = Vec::new();
    for item in items {
        renderer.item(1, item, &mut |line| lines.push(line.to_string()));
    }
    lines
}

fn said(text: &str) -> LogItem {
    LogItem::Stream(StreamItem::Text(text.into()))
}

fn result(text: &str) -> LogItem {
    LogItem::Stream(StreamItem::Outcome { text: Some(text.into()), is_error: false })
}

fn called(tool: &str, input: Value) -> LogItem {
    LogItem::Stream(StreamItem::ToolCall { tool: tool.into(), input, call: None })
}

fn answered(text: &str, is_error: bool) -> LogItem {
    LogItem::Stream(StreamItem::ToolAnswer { text: text.into(), is_error, call: None })
}

#[test]
fn a_session_is_told_as_the_contract_shows_it() {
    let begun = AttemptBegun {
        started_at_ms: Some(5_000),
        session_id: Some("b1880125".into()),
        resumed: false,
    };
    let again = AttemptBegun { resumed: true, session_id: None, started_at_ms: Some(9_000) };
    let over = AttemptOver {
        duration: Some(12.0),
        error_type: Some(ErrorType::RateLimit),
        error: Some("API Error: 429".into()),
        then: AfterAttempt::Retry { not_before_ms: 0, delay_ms: 30_000 },
        ..AttemptOver::default()
    };
    let held = AttemptOver {
        duration: None,
        error_type: Some(ErrorType::UsageLimit),
        error: None,
        then: AfterAttempt::Hold { until_ms: Some(7_000) },
        ..over.clone()
    };
    let silent = AttemptOver { then: AfterAttempt::Report, ..over.clone() };
    let items = [
        LogItem::AttemptStarted(begun),
        said("I look at the tests first."),
        called("Bash", json!({"description": "d", "command": "cargo test"})),
        answered("running 3 tests\n", false),
        LogItem::Stream(StreamItem::Other("Segmentation fault".into())),
        LogItem::Stderr("warning: …".into()),
        LogItem::AttemptEnded(over),
        LogItem::AttemptStarted(again),
        LogItem::AttemptEnded(held),
        LogItem::AttemptEnded(silent),
    ];
    let want = [
        "-- attempt 1, 1970-01-01 00:00:05 +00:00, session b1880125",
        "I look at the tests first.",
        "> Bash: cargo test",
        "  | running 3 tests",
        "? Segmentation fault",
        "  2> warning: …",
        "-- attempt 1 ended after 12s: rate_limit: API Error: 429; again in 30s",
        "-- attempt 1, 1970-01-01 00:00:09 +00:00, resumed",
        "-- attempt 1 ended: usage_limit; waits for usage_limit until 1970-01-01 00:00:07 +00:00",
    ];
    assert_eq!(lines(&items), want);
}

#[test]
fn words_that_begin_like_a_mark_get_a_blank_and_nothing_moves_the_cursor() {
    for (text, want) in [
        ("-- attempt 9", " -- attempt 9"),
        ("--", " --"),
        ("- a point", "- a point"),
        ("> quoted", " > quoted"),
        ("? what", " ? what"),
        ("  | x", "   | x"),
        ("  ! x", "   ! x"),
        ("  2> x", "   2> x"),
        ("  x", "  x"),
        ("a\tb\u{1b}[2J\u{202e}", "a\tb\\u{1b}[2J\\u{202e}"),
        ("a\rb\r", "a\\u{d}b"),
    ] {
        assert_eq!(lines(&[said(text)]), [want], "{text:?}");
    }
    assert_eq!(lines(&[said("a\n\n-- b\n")]), ["a", "", " -- b"]);
    let evil = "\u{1b}]0;x\u{7}\n\u{9b}2J";
    for item in [
        answered(evil, false),
        called(evil, json!({ "command": evil })),
        LogItem::Stream(StreamItem::Other(evil.into())),
        LogItem::Stderr(evil.into()),
        result(evil),
    ] {
        let shown = lines(&[item]);
        assert!(shown.iter().all(|line| !line.chars().any(char::is_control)), "{shown:?}");
    }
}

#[test]
fn a_call_is_one_line_with_what_tells_it_apart() {
    for (input, want) in [
        (json!({"file_path": "/a", "content": "x"}), "> T: /a"),
        (json!({"description": "d", "query": "q"}), "> T: q"),
        (json!({"a": 1, "b": [2]}), r#"> T: {"a":1,"b":[2]}"#),
        (json!({"command": "a\nb"}), "> T: a b"),
        (json!({"command": 7}), r#"> T: {"command":7}"#),
        (json!("{}"), "> T: {}"),
        (json!({}), "> T"),
        (Value::Null, "> T"),
    ] {
        assert_eq!(lines(&[called("T", input.clone())]), [want], "{input}");
    }
    let long = lines(&[called("T", json!({"command": "é".repeat(500)}))]);
    assert_eq!(long[0].chars().count(), CALL_CHARS_MAX);
    assert!(long[0].ends_with('…'));
    let name = lines(&[called(&"T".repeat(500), json!({"command": "c".repeat(500)}))]);
    assert!(name[0].chars().count() <= CALL_CHARS_MAX && name[0].contains("cc"));
}

#[test]
fn an_answer_is_cut_and_says_how_much_more_there_is() {
    let many: Vec<String> = (0..41).map(|n| n.to_string()).collect();
    let shown = lines(&[answered(&many.join("\n"), false)]);
    assert_eq!(
        (shown.len(), shown[9].as_str(), shown[10].as_str()),
        (11, "  | 9", "  | … 31 more lines")
    );
    let one_more = lines(&[answered(&many[..11].join("\n"), true)]);
    assert_eq!((one_more[0].as_str(), one_more[10].as_str()), ("  ! 0", "  ! … 1 more line"));
    let wide = lines(&[answered(&format!("{}\nb", "x".repeat(5000)), false)]);
    assert_eq!(wide.len(), 2);
    assert_eq!(wide[0].chars().count(), 4 + ANSWER_CHARS_MAX + 1);
    assert_eq!(wide[1], "  | … 1 more line");
    assert_eq!(lines(&[answered("", false)]), Vec::<String>::new());
    assert_eq!(lines(&[answered("", true)]), ["  !"]);
}

#[test]
fn a_result_that_repeats_the_last_words_is_not_shown_again() {
    assert_eq!(lines(&[said("done."), result("done.")]), ["done."]);
    assert_eq!(lines(&[said("a"), said("b"), result("a\n\nb\n")]), ["a", "b"]);
    assert_eq!(lines(&[said("a"), result("other")]), ["a", "other"]);
    assert_eq!(lines(&[said("a"), called("T", json!({})), result("a")]), ["a", "> T", "a"]);
    assert_eq!(lines(&[said("a"), result("a"), result("a")]), ["a", "a"]);
    let anew = LogItem::AttemptStarted(AttemptBegun::default());
    assert_eq!(lines(&[said("a"), anew, result("a")]), ["a", "-- attempt 1", "a"]);
}

#[test]
fn the_last_line_says_what_came_of_it() {
    let report = Report {
        duration: 130,
        num_turns: Some(12),
        total_cost_usd: Some(0.42),
        input_tokens: Some(12_345),
        output_tokens: Some(3_100),
        ..Report::empty(Status::Completed)
    };
    let failed = Report {
        error_type: Some(ErrorType::LogicError),
        error: Some("no\u{1b}[2J".into()),
        ..Report::empty(Status::Failed)
    };
    for (report, want) in [
        (report, "-- completed in 2m 10s, 12 turns, $0.42, 12.3k tokens in, 3.1k out"),
        (
            Report { num_turns: Some(1), ..Report::empty(Status::Completed) },
            "-- completed in 0s, 1 turn",
        ),
        (failed, "-- failed: logic_error: no\\u{1b}[2J"),
    ] {
        assert_eq!(outcome(&report), want);
    }
}
