//! Tests of what the reader makes of a stream, line by line and however the stream is cut. Must not
//! test what an error means: `errors_tests` does. Versions differ in key order and in fields, and
//! so do the rows.

use super::*;
use crate::pure::agent::claude::DRIVER;
use crate::pure::agent::claude::samples::{DONE, INIT, read, read_in_pieces, said};
use crate::pure::agent::{Transcript, WORD_BYTES_MAX};

fn read_result_of(fields: &str) -> ResultEvent {
    let summary = read(&format!(r#"{{"type":"result",{fields}}}"#));
    summary.result.expect("a result")
}

#[test]
fn a_plain_session() {
    let summary = read(&format!(
        "{INIT}\n{}\n{}\n{{\"type\":\"user\",\"message\":{{}}}}\n{}\n{DONE}\n",
        said("m1", "I begin"),
        said("m1", "with this"),
        said("m2", "done")
    ));
    let wanted = Summary {
        init_seen: true,
        session_id: Some("s-1".into()),
        model: Some("claude-x".into()),
        agent_version: Some("2.1.330".into()),
        assistant_turns: 2,
        tokens: Tokens { input: 0, output: 7 },
        last_text: Some("done".into()),
        results: 1,
        result: Some(ResultEvent {
            text: Some("done".into()),
            num_turns: Some(2),
            total_cost_usd: Some(0.5),
            usage: Some(serde_json::json!({"output_tokens": 7})),
            ..ResultEvent::default()
        }),
        lines: 6,
        ..Summary::default()
    };
    assert_eq!(summary, wanted);
}

#[test]
fn the_summary_does_not_depend_on_how_the_stream_is_cut() {
    let long = said("m3", &"é😀\\n".repeat(20_000));
    let small = format!(
        "{{\"type\":\"system\",\"subtype\":\"hook_started\"}}\r\n{INIT}\n\n{}\nnot json\n{}\n{DONE}",
        said("m1", "é😀 \\ud83d\\ude00"),
        r#"{"type":"rate_limit_event","rate_limit_info":{"status":"allowed","resetsAt":1771390800.0,"rateLimitType":"five_hour"}}"#
    );
    let whole = read(&small);
    assert_eq!((whole.lines, whole.broken_lines, whole.results), (6, 1, 1));
    for at in 0..=small.len() {
        let mut transcript = Transcript::new(&DRIVER);
        transcript.feed(&small.as_bytes()[..at]);
        transcript.feed(&small.as_bytes()[at..]);
        assert_eq!(transcript.finish(), whole, "cut at {at}");
    }
    for piece in 1..9 {
        assert_eq!(read_in_pieces(small.as_bytes(), piece), whole);
    }
    let large = format!("{small}\n{long}\n{DONE}\n");
    let whole = read(&large);
    assert_eq!((whole.broken_lines, whole.results, whole.assistant_turns), (1, 2, 2));
    for piece in [1, 7, 4096, 65_536] {
        assert_eq!(read_in_pieces(large.as_bytes(), piece), whole);
    }
}

#[test]
fn a_field_of_another_type_is_ignored() {
    let odd = [
        r#"{"type":5}"#,
        r#"{"type":null,"subtype":"init"}"#,
        r#"{"type":"later_invention","x":[{}]}"#,
        r#"{"type":"system"}"#,
        r#"{"type":"system","subtype":"background_tasks_changed","tasks":7}"#,
        r#"{"type":"system","subtype":"init","model":7,"session_id":["x"],"claude_code_version":{}}"#,
        r#"{"type":"assistant","message":"text"}"#,
        r#"{"type":"assistant","message":{"id":1,"content":"text"},"error":{}}"#,
        r#"{"type":"assistant","message":{"content":[1,null,{"text":2}]}}"#,
        r#"{"type":"rate_limit_event","rate_limit_info":null}"#,
        r#"{"type":"rate_limit_event"}"#,
    ];
    let summary = read(&odd.join("\n"));
    assert_eq!((summary.lines, summary.broken_lines), (odd.len() as u64, 0));
    assert!(summary.init_seen && summary.result.is_none() && summary.limit.is_none());
    assert_eq!((summary.session_id, summary.outstanding_tasks), (None, 0));

    let result = read_result_of(
        r#""subtype":3,"is_error":"no","result":[],"errors":{},"num_turns":-1,"total_cost_usd":"1","usage":[1],"permission_denials":4,"api_error_status":70000,"stop_reason":0"#,
    );
    // The result does not say that the session succeeded.
    assert_eq!(ResultEvent { failure: None, ..result.clone() }, ResultEvent::default());
    assert!(result.failure.is_some());
}

#[test]
fn what_a_result_carries_is_bounded() {
    let denials: Vec<String> = (0..80)
        .map(|n| {
            format!(
                r#"{{"tool_name":"Write","tool_input":{{"content":"{}","file_path":"/f{n}"}}}}"#,
                "c".repeat(900)
            )
        })
        .collect();
    let fields = format!(
        r#""subtype":"success","is_error":true,"result":"{}","errors":[{}],"usage":{{"a":"{}"}},"permission_denials":[{}]"#,
        "é".repeat(30_000),
        vec![format!("\"{}\"", "e".repeat(2000)); 30].join(","),
        "u".repeat(5000),
        denials.join(",")
    );
    let result = read_result_of(&fields);
    assert!(
        result.text.is_some_and(|text| text.len() <= RESULT_BYTES_MAX && text.starts_with('é'))
    );
    let message = result.failure.map(|failure| failure.message).unwrap_or_default();
    assert_eq!((message.chars().count(), result.usage), (ERROR_CHARS_MAX, None));
    assert_eq!((result.denials.len(), result.denials_total), (DENIALS_MAX, 80));
    assert_eq!(result.denials[1].input.as_deref(), Some("/f1"));
}

#[test]
fn the_input_of_a_denial() {
    for (input, wanted) in [
        (r#"{"command":"git\ncommit","description":"d"}"#, Some("git commit")),
        (r#"{"url":"http://x"}"#, Some("http://x")),
        (r#"{"other":[1]}"#, Some(r#"{"other":[1]}"#)),
        (r#""text""#, Some("text")),
        ("null", None),
    ] {
        let fields = format!(r#""permission_denials":[{{"tool_input":{input}}}]"#);
        let denials = read_result_of(&fields).denials;
        assert_eq!(
            (denials[0].tool_name.as_str(), denials[0].input.as_deref()),
            ("unknown", wanted)
        );
    }
}

#[test]
fn messages_that_are_not_turns_of_the_session() {
    for line in [
        r#"{"type":"assistant","message":{"id":"e","model":"<synthetic>","content":[{"text":"t"}]}}"#,
        r#"{"type":"assistant","isApiErrorMessage":true,"message":{"id":"e","model":"claude-x"}}"#,
        r#"{"type":"assistant","error":"server_error","message":{"id":"e","model":"claude-x"}}"#,
    ] {
        let summary = read(line);
        assert_eq!(summary.assistant_turns, 0, "{line}");
        assert_eq!(summary.last_text, None);
    }
    let sub = r#"{"type":"assistant","parent_tool_use_id":"t1","error":"server_error","message":{"id":"e"}}"#;
    let summary = read(&format!("{}\n{sub}", said("m1", "hello")));
    assert_eq!((summary.assistant_turns, summary.assistant_error), (1, None));
    // A part of a message is no turn, but it says that the model has begun.
    let part = r#"{"type":"stream_event","event":{"type":"message_start"},"session_id":"s-1"}"#;
    for (line, has_begun) in [(part, true), (INIT, false), (r#"{"type":"user"}"#, false)] {
        let summary = read(line);
        assert_eq!((summary.assistant_turns, summary.model_began), (0, has_begun), "{line}");
    }
}

#[test]
fn a_retry_is_forgotten_once_the_model_answers_and_so_is_an_error() {
    let retry = r#"{"type":"system","subtype":"api_retry","attempt":4,"max_retries":10,"error_status":429,"error":"rate_limit"}"#;
    let error = r#"{"type":"assistant","error":"rate_limit","message":{"model":"<synthetic>"}}"#;
    let summary = read(&format!("{retry}\n{error}"));
    let wanted =
        ApiRetry { attempt: 4, error_status: Some(429), error: Some("rate_limit".to_string()) };
    assert_eq!(summary.api_retry, Some(wanted));
    assert_eq!(summary.assistant_error.as_deref(), Some("rate_limit"));
    let summary = read(&format!("{retry}\n{error}\n{}", said("m1", "hello")));
    assert_eq!((summary.api_retry, summary.assistant_error), (None, None));
}

#[test]
fn limits_in_every_notation() {
    for (info, resets_at) in [
        (r#"{"status":"rejected","resetsAt":1771390800}"#, Some(1_771_390_800)),
        (r#"{"status":"rejected","resetsAt":1771390800.5}"#, Some(1_771_390_800)),
        (r#"{"status":"rejected","resetsAt":1771390800000}"#, Some(1_771_390_800)),
        (r#"{"status":"rejected","resetsAt":"tomorrow"}"#, None),
        (r#"{"status":"rejected","resetsAt":-1}"#, None),
        (r#"{"status":"rejected"}"#, None),
    ] {
        let limit =
            read(&format!(r#"{{"rate_limit_info":{info},"type":"rate_limit_event"}}"#)).limit;
        assert_eq!(limit.map(|limit| limit.resets_at), Some(resets_at), "{info}");
    }
}

#[test]
fn a_window_that_is_closed_stays_so_until_the_same_window_opens() {
    let event = |(status, kind, resets_at): &(&str, &str, u64)| {
        format!(
            r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"{status}","resetsAt":{resets_at},"rateLimitType":"{kind}"}}}}"#
        )
    };
    for (events, wanted) in [
        (vec![("rejected", "five_hour", 5), ("allowed", "five_hour", 9)], ("allowed", 9)),
        (vec![("rejected", "five_hour", 5), ("allowed_warning", "seven_day", 9)], ("rejected", 5)),
        (vec![("allowed", "seven_day", 9), ("rejected", "five_hour", 5)], ("rejected", 5)),
        (vec![("rejected", "five_hour", 5), ("rejected", "seven_day", 9)], ("rejected", 9)),
        (vec![("rejected", "seven_day", 9), ("rejected", "five_hour", 5)], ("rejected", 9)),
        (vec![("rejected", "five_hour", 9), ("rejected", "five_hour", 5)], ("rejected", 5)),
    ] {
        let lines: Vec<String> = events.iter().map(event).collect();
        let limit = read(&lines.join("\n")).limit.expect("a limit");
        assert_eq!(
            (limit.is_closed, limit.resets_at),
            (wanted.0 == "rejected", Some(wanted.1)),
            "{events:?}"
        );
    }
}

#[test]
fn session_ids_that_are_no_ids_are_ignored() {
    for id in ["--dangerous", "", "a b", "../x", &"a".repeat(65)] {
        let line = format!(r#"{{"type":"system","subtype":"init","session_id":"{id}"}}"#);
        assert_eq!(read(&line).session_id, None, "{id}");
    }
}

#[test]
fn several_results_and_work_between_them() {
    let tasks = r#"{"type":"system","subtype":"background_tasks_changed","tasks":[{"id":1}]}"#;
    let none = r#"{"type":"system","subtype":"background_tasks_changed","tasks":[]}"#;
    let first = format!("{INIT}\n{}\n{tasks}\n{DONE}\n", said("m1", "wait"));
    let summary = read(&first);
    assert_eq!((summary.results, summary.outstanding_tasks), (1, 1));
    assert!(!summary.working_after_result);
    let second = format!("{first}{none}\n{INIT}\n");
    assert!(read(&second).working_after_result);
    let summary = read(&format!("{second}{}\n{DONE}", said("m2", "ready")));
    assert_eq!((summary.results, summary.outstanding_tasks, summary.assistant_turns), (2, 0, 2));
    assert!(!summary.working_after_result);
}

#[test]
fn is_error_where_versions_differ() {
    for (fields, is_error) in [
        (r#""subtype":"success","is_error":true"#, true),
        (r#""subtype":"success","is_error":false"#, false),
        (r#""subtype":"success""#, false),
        (r#""subtype":"error_max_turns","is_error":false"#, true),
        (r#""is_error":false"#, false),
        (r#""x":1"#, true),
    ] {
        assert_eq!(read_result_of(fields).failure.is_some(), is_error, "{fields}");
    }
}

#[test]
fn a_result_line_of_megabytes_still_counts() {
    let input = format!(
        r#"{{"tool_name":"Write","tool_input":{{"content":"{}","file_path":"/f"}}}}"#,
        r"x\n".repeat(290_000)
    );
    let fields = format!(
        r#""subtype":"success","is_error":false,"permission_denials":[{}]"#,
        vec![input; 14].join(",")
    );
    assert!(fields.len() > 8_000_000);
    let result = read_result_of(&fields);
    assert_eq!((result.failure, result.denials_total), (None, 14));
}

#[test]
fn the_last_of_two_results_counts() {
    let failed = DONE.replace(r#""is_error":false"#, r#""is_error":true,"api_error_status":500"#);
    let done = format!("{INIT}\n{}\n{DONE}\n", said("m1", "x"));
    let failure = |stream: String| read(&stream).result.and_then(|result| result.failure);
    assert!(failure(format!("{done}{failed}")).is_some());
    assert_eq!(failure(format!("{failed}\n{done}")), None);
}

#[test]
fn events_before_init_and_a_result_without_any_init() {
    let hook = r#"{"type":"system","subtype":"hook_started","session_id":"s-1"}"#;
    for stream in [format!("{hook}\n{INIT}\n{DONE}"), format!("{DONE}\n{INIT}"), DONE.into()] {
        assert!(read(&stream).result.is_some_and(|result| result.failure.is_none()), "{stream}");
    }
}

#[test]
fn what_is_remembered_between_lines_is_bounded() {
    let mut reader = StreamReader::default();
    let mut summary = Summary::default();
    for number in 0..2 * IDS_MAX {
        let id = format!("{number}{}", "x".repeat(2 * WORD_BYTES_MAX));
        let task = format!(r#"{{"type":"system","subtype":"task_started","task_id":"{id}"}}"#);
        reader.line(task.as_bytes(), &mut summary);
        let call = format!(
            r#"{{"type":"assistant","message":{{"id":"{id}","content":[{{"type":"tool_use","id":"{id}","name":"create_pull_request"}}]}}}}"#
        );
        reader.line(call.as_bytes(), &mut summary);
    }
    assert_eq!((reader.started_tasks.len(), reader.calls.len()), (IDS_MAX, IDS_MAX));
    let words = reader.started_tasks.iter().chain(&reader.message_id);
    assert!(words.map(String::len).all(|length| length == WORD_BYTES_MAX));
}

#[test]
fn tokens_are_counted_once_for_each_message() {
    let call = |message, usage| {
        format!(
            r#"{{"type":"assistant","message":{{"id":"{message}","model":"claude-x","content":[],"usage":{{{usage}}}}},"session_id":"s-1"}}"#
        )
    };
    let (small, grown) =
        (r#""input_tokens":2,"output_tokens":1"#, r#""input_tokens":2,"output_tokens":9"#);
    let cached = r#""input_tokens":1,"cache_creation_input_tokens":30,"cache_read_input_tokens":400,"output_tokens":5"#;
    for (lines, want) in [
        (vec![call("m1", small)], (2, 1)),
        (vec![call("m1", small), call("m1", small), call("m1", grown)], (2, 9)),
        (vec![call("m1", grown), call("m2", cached)], (433, 14)),
        // The result counts what its messages did not tell.
        (vec![call("m1", small), DONE.to_string()], (2, 7)),
        (vec![call("m1", grown), DONE.to_string()], (2, 9)),
    ] {
        let tokens = read(&lines.join("\n")).tokens;
        assert_eq!((tokens.input, tokens.output), want, "{lines:?}");
    }
}
