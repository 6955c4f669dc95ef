use super::super::{Transcript, driver};
use super::*;

fn read_in_pieces(stream: &[u8], piece: usize) -> Summary {
    let mut transcript = Transcript::new(driver("claude").expect("in the table"));
    for chunk in stream.chunks(piece) {
        transcript.feed(chunk);
    }
    transcript.finish()
}

fn read(stream: &str) -> Summary {
    read_in_pieces(stream.as_bytes(), usize::MAX)
}

fn read_result_of(fields: &str) -> ResultEvent {
    let summary = read(&format!(r#"{{"type":"result",{fields}}}"#));
    summary.result.expect("a result")
}

const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"s-1","model":"claude-x","claude_code_version":"2.1.330","tools":["Bash"]}"#;

fn said(id: &str, text: &str) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"id":"{id}","model":"claude-x","content":[{{"type":"text","text":"{text}"}}]}},"parent_tool_use_id":null,"session_id":"s-1"}}"#
    )
}

const DONE: &str = r#"{"duration_ms":9,"subtype":"success","is_error":false,"num_turns":2,"type":"result","result":"done","total_cost_usd":0.5,"usage":{"output_tokens":7},"permission_denials":[],"stop_reason":"end_turn","session_id":"s-1"}"#;

#[test]
fn the_arguments() {
    let strings = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let fixed = [
        "--print",
        "--permission-mode",
        "acceptEdits",
        "--output-format",
        "stream-json",
        "--verbose",
    ];
    type Words = &'static [&'static str];
    let rows: [(SessionRef, Words, Words, Words); 3] = [
        (SessionRef::New("u".into()), &[], &[], &["--session-id", "u"]),
        (
            SessionRef::Resume("u".into()),
            &[],
            &["--max-turns", "9"],
            &["--max-turns", "9", "--resume", "u"],
        ),
        (
            SessionRef::New("u".into()),
            &["Bash(git:*)", "Edit"],
            &["--model", "m"],
            &["--allowedTools", "Bash(git:*)", "Edit", "--model", "m", "--session-id", "u"],
        ),
    ];
    for (session, tools, extra, wanted) in rows {
        let (tools, extra) = (strings(tools), strings(extra));
        let terms = Terms { allow_tools: tools, extra_args: extra, ..Terms::default() };
        let launch = Launch { session, terms: &terms };
        assert_eq!((DRIVER.argv)(&launch), [strings(&fixed), strings(wanted)].concat());
    }
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
        last_message_id: Some("m2".into()),
        last_by_model: true,
        last_text: Some("done".into()),
        results: 1,
        result: Some(ResultEvent {
            subtype: "success".into(),
            text: Some("done".into()),
            num_turns: Some(2),
            total_cost_usd: Some(0.5),
            usage: Some(serde_json::json!({"output_tokens": 7})),
            stop_reason: Some("end_turn".into()),
            session_id: Some("s-1".into()),
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
        let mut transcript = Transcript::new(driver("claude").expect("in the table"));
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
    // It does not say that it succeeded.
    assert_eq!(result, ResultEvent { is_error: true, ..ResultEvent::default() });
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
        assert_eq!(read_result_of(fields).is_error, is_error, "{fields}");
    }
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
    assert_eq!((result.errors.len(), result.usage), (ERRORS_MAX, None));
    assert!(result.errors.iter().all(|error| error.chars().count() == ERROR_CHARS_MAX));
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
        assert_eq!((summary.assistant_turns, summary.last_by_model), (0, false), "{line}");
        assert_eq!(summary.last_text, None);
    }
    let sub = r#"{"type":"assistant","parent_tool_use_id":"t1","error":"server_error","message":{"id":"e"}}"#;
    let summary = read(&format!("{}\n{sub}", said("m1", "hello")));
    assert_eq!((summary.assistant_turns, summary.assistant_error), (1, None));
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
            (limit.status.as_str(), limit.resets_at),
            (wanted.0, Some(wanted.1)),
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
        assert!(!result.is_error && result.text.is_some_and(|text| text.starts_with("cut")));
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
    // A line too long even when compacted is one of them.
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
            // As in issue 49640: its own newline splits the outer line; and without one.
            for newline in ["\n", ""] {
                let summary = read(&format!("{INIT}\n{head}{event}{newline}{tail}\n"));
                let found = summary.results == 1 || summary.limit.is_some();
                assert!(found && summary.broken_lines > 0, "{head}{event}");
            }
        }
    }
    // Two whole lines without the newline between them.
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
        // Cut anywhere, as by a kill.
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

#[test]
fn start_up_errors() {
    for (stderr, wanted) in [
        ("error: unknown option '--project'\n", Some("error: unknown option '--project'")),
        ("warning: x\nError: Invalid session ID\nmore", Some("Error: Invalid session ID")),
        (
            "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons",
            Some(
                "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons",
            ),
        ),
        (
            "No conversation found with session ID: s",
            Some("No conversation found with session ID: s"),
        ),
        ("TypeError: x is not a function", None),
        ("an error: no", None),
        ("éééééé", None),
        ("", None),
    ] {
        assert_eq!((DRIVER.start_failure)(stderr).as_deref(), wanted, "{stderr}");
    }
}

fn called(message: &str, call: &str, name: &str, command: &str, usage: &str) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"id":"{message}","model":"claude-x","content":[{{"type":"tool_use","id":"{call}","name":"{name}","input":{{"command":"{command}"}}}}],"usage":{{{usage}}}}},"session_id":"s-1"}}"#
    )
}

fn answered(call: &str, text: &str, is_error: bool) -> String {
    format!(
        r#"{{"type":"user","message":{{"role":"user","content":[{{"type":"tool_result","tool_use_id":"{call}","content":[{{"type":"text","text":"{text}"}}],"is_error":{is_error}}}]}},"session_id":"s-1"}}"#
    )
}

#[test]
fn tokens_are_counted_once_for_each_message() {
    let call = |message, usage| called(message, "t", "Bash", "ls", usage);
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

#[test]
fn a_pull_request_is_known_from_the_answer_to_the_call_that_opened_it() {
    const URL: &str = "https://github.com/o/r/pull/5";
    let bash = |call, command| called("m1", call, "Bash", command, "");
    let create = || bash("t1", "git push && gh pr create --fill");
    let rows = [
        ("opened", vec![create(), answered("t1", URL, false)], true),
        (
            "by a server's tool",
            vec![
                called("m1", "t1", "mcp__github__create_pull_request", "", ""),
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
            vec![called("m1", "t1", "Read", "gh pr create", ""), answered("t1", URL, false)],
            false,
        ),
    ];
    for (name, lines, is_found) in rows {
        let found = read(&lines.join("\n")).pull_request;
        assert_eq!(found.as_deref(), is_found.then_some(URL), "{name}");
    }
}

#[test]
fn the_terms_become_arguments() {
    let list = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let rows = [
        (Terms::default(), list(&[])),
        (
            Terms {
                model: Some("m".into()),
                max_turns: Some(9),
                max_budget_usd: Some(2.5),
                setting_sources: list(&["user", "project"]),
                ..Terms::default()
            },
            list(&[
                "--model",
                "m",
                "--max-turns",
                "9",
                "--max-budget-usd",
                "2.5",
                "--setting-sources",
                "user,project",
            ]),
        ),
        (
            Terms { strict: true, ..Terms::default() },
            list(&["--setting-sources", "user", "--strict-mcp-config"]),
        ),
        // Strict wins over what trusts the project.
        (
            Terms {
                strict: true,
                setting_sources: list(&["project", "local"]),
                ..Terms::default()
            },
            list(&["--setting-sources", "user", "--strict-mcp-config"]),
        ),
    ];
    for (terms, wanted) in rows {
        let arguments = argv(&Launch { session: SessionRef::New("u".into()), terms: &terms });
        assert_eq!(arguments[6..arguments.len() - 2], wanted, "{terms:?}");
    }
}
