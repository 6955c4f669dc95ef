//! Tests of streams with lines that are not quite JSON. They go through the whole reader, since
//! what counts is the summary: a repair that looks right on one line can still let a nested object
//! pass for an event.

use crate::pure::agent::claude::samples::{DONE, INIT, read, read_in_pieces, said};

#[test]
fn a_line_that_is_not_quite_json_is_read() {
    let rows: &[&[u8]] = &[
        br#"{"type":"result","subtype":"success","is_error":false,"result":"cut \ud83d here"}"#,
        br#"{"type":"result","subtype":"success","is_error":false,"result":"cut \udc00\\ud83d"}"#,
        b"{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"cut \xff\x00 \t\"}",
        b"\0\0\0{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"cut\"}",
        b"\xef\xbb\xbf{\"type\":\"result\",\"subtype\":\"success\",\"is_error\":false,\"result\":\"cut\"}",
    ];
    for row in rows {
        let summary = read_in_pieces(row, usize::MAX);
        assert_eq!(summary.broken_lines, 0, "{}", String::from_utf8_lossy(row));
        let result = summary.result.expect("a result");
        assert!(
            result.failure.is_none() && result.text.is_some_and(|text| text.starts_with("cut"))
        );
    }
    let paired = br#"{"type":"result","result":"\ud83d\ude00 \ud83d"}"#;
    let text = read_in_pieces(paired, usize::MAX).result.and_then(|result| result.text);
    assert_eq!(text.as_deref(), Some("😀 \u{fffd}"));
}

#[test]
fn broken_lines_are_counted_and_skipped() {
    let deep = "[".repeat(50_000);
    let rows =
        ["{", "}", "[1]", "7", "\"x\"", "{\"type\":\"result\"", "(node:1) Warning: x", &deep];
    let summary = read(&rows.join("\n"));
    assert_eq!(summary.lines, rows.len() as u64);
    assert_eq!((summary.broken_lines, summary.results), (rows.len() as u64, 0));
    // A line that is too long even when compacted counts as broken.
    let huge = format!("{INIT}\n[{}1]\n{DONE}\n", "1,".repeat(1_000_000));
    let summary = read(&huge);
    assert_eq!((summary.lines, summary.broken_lines, summary.results), (3, 1, 1));
}

#[test]
fn an_event_written_into_another_line_is_found() {
    let message = said("m1", "part of a text: and, more");
    let limit = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"allowed","resetsAt":5},"session_id":"s-1"}"#;
    let start = message.find("part").expect("in there");
    let end = message.find("more").expect("in there");
    for at in start..=end {
        let (head, tail) = message.split_at(at);
        for event in [DONE, limit] {
            // The event's own newline splits the outer line, as in issue 49640; or there is none.
            for newline in ["\n", ""] {
                let summary = read(&format!("{INIT}\n{head}{event}{newline}{tail}\n"));
                let found = summary.results == 1 || summary.limit.is_some();
                assert!(found && summary.broken_lines > 0, "{head}{event}");
            }
        }
    }
    // Two whole lines lack the newline between them.
    for stream in [format!("{INIT}{DONE}"), format!("{DONE}{INIT}"), format!("{limit}{DONE}")] {
        assert_eq!(read(&stream).results, 1, "{stream}");
    }
}

#[test]
fn a_nested_or_quoted_object_never_passes_for_an_event() {
    let call = |input: &str| {
        format!(
            r#"{{"type":"assistant","message":{{"id":"m","content":[{{"type":"tool_use","input":{input},"list":[{input},{input}]}}]}},"session_id":"s-1"}}"#
        )
    };
    let quoted = serde_json::to_string(DONE).expect("a string");
    for line in [call(DONE), call(&quoted), call(&format!("{{\"x\":{quoted}}}"))] {
        // A kill can cut the line anywhere.
        for at in 0..line.len() {
            let summary = read(&format!("{INIT}\n{}", &line[..at]));
            assert_eq!(summary.results, 0, "{}", &line[..at]);
        }
    }
    // Another session's result is not this one's, and half a result is none.
    let other = DONE.replace("s-1", "s-2");
    let message = said("m1", "text");
    let (head, tail) = message.split_at(message.find("xt").expect("in there"));
    for event in [&other[..], r#"{"type":"result","session_id":"s-1"}"#, &DONE[..DONE.len() - 1]] {
        assert_eq!(read(&format!("{INIT}\n{head}{event}\n{tail}")).results, 0, "{event}");
    }
}
