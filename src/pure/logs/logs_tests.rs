//! The objects of `--json`, and what is told of attempts by their records.

use super::*;
use crate::pure::attempt::outcome::Ending;
use crate::pure::report::Status;

#[test]
fn an_object_has_what_is_known_and_nothing_else() {
    let call = |input: Value| {
        LogItem::Stream(StreamItem::ToolCall { tool: "Bash".into(), input, call: Some("t".into()) })
    };
    let over = AttemptOver {
        ended_at_ms: Some(1_775_226_600_000),
        duration: Some(1.5),
        exit_code: Some(1),
        error_type: Some(ErrorType::RateLimit),
        error: Some("API Error: 429".into()),
        then: AfterAttempt::Retry { not_before_ms: 1_775_226_630_000, delay_ms: 30_000 },
    };
    for (item, want) in [
        (
            LogItem::AttemptStarted(AttemptBegun::default()),
            json!({"kind": "attempt_started", "resumed": false}),
        ),
        (
            call(json!({"command": "x"})),
            json!({"kind": "tool_call", "tool": "Bash", "input": {"command": "x"}, "call": "t"}),
        ),
        (call(Value::Null), json!({"kind": "tool_call", "tool": "Bash", "call": "t"})),
        (LogItem::Stderr("e".into()), json!({"kind": "stderr", "text": "e"})),
        (
            LogItem::Stream(StreamItem::Outcome { text: None, is_error: true }),
            json!({"kind": "result", "is_error": true}),
        ),
        (
            LogItem::AttemptEnded(over),
            json!({"kind": "attempt_ended", "ts": "2026-04-03T14:30:00.000Z", "duration": 1.5,
                "exit_code": 1, "error_type": "rate_limit", "error": "API Error: 429",
                "until": "2026-04-03T14:30:30.000Z"}),
        ),
    ] {
        let mut wanted = json!({"id": "dispatch-a", "attempt": 2});
        let fields = wanted.as_object_mut().expect("an object");
        fields.extend(want.as_object().expect("an object").clone());
        assert_eq!(item.json("dispatch-a", 2), wanted);
    }
}

#[test]
fn what_follows_an_attempt_stands_in_its_end() {
    let met = Sign::Met { kind: ErrorType::UsageLimit, resets_at_ms: Some(7), reason: "r".into() };
    let queue = NextStep::Queue { mode: Default::default(), retries: 0, waits: 1 };
    let retry =
        NextStep::Retry { mode: Default::default(), retries: 1, not_before_ms: 9, delay_ms: 2 };
    for (next, sign, want) in [
        (NextStep::Report, None, AfterAttempt::Report),
        (retry, None, AfterAttempt::Retry { not_before_ms: 9, delay_ms: 2 }),
        (queue.clone(), Some(met), AfterAttempt::Hold { until_ms: Some(7) }),
        (queue, None, AfterAttempt::Hold { until_ms: None }),
    ] {
        let ending =
            Ending { status: Status::Failed, error_type: None, error: None, warnings: Vec::new() };
        let start = AttemptStart { attempt: 1, ..AttemptStart::default() };
        let now = Default::default();
        let end = AttemptEnd::new(&start, Default::default(), ending, (next, sign), &now);
        assert_eq!(AttemptOver::of(&end).then, want);
    }
}
