//! What the library makes of the sessions that the real Codex CLI had, each with its own record and
//! without it.
//!
//! One table says how each has to be judged and what follows from it. A recording without a row
//! fails, and so does a row without a recording. Nothing runs here.

use std::collections::BTreeSet;
use std::fs;

use gstack_dispatch_daemon::pure::agent::{Summary, Transcript, codex};
use gstack_dispatch_daemon::pure::attempt::limits::StopCause;
use gstack_dispatch_daemon::pure::attempt::limits::StopLimits;
use gstack_dispatch_daemon::pure::attempt::outcome::{Ending, Evidence, Exit, classify};
use gstack_dispatch_daemon::pure::attempt::record::{AttemptStart, Mode, Moment, NextStep};
use gstack_dispatch_daemon::pure::attempt::retry::{Knobs, Tried, next};
use gstack_dispatch_daemon::pure::attempt::sign::sign;
use gstack_dispatch_daemon::pure::report::ErrorType::{self, *};
use gstack_dispatch_daemon::pure::report::Status::{self, *};

use super::STREAMS;
use crate::util::json_file;

/// What follows, where the dispatch has learnings and was not tried before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Follows {
    Answer,
    /// In a new thread: the model had not answered yet.
    Again,
    /// In the same thread.
    Resume,
    WithoutLearnings,
    /// In a new thread within the same retry: the one to be resumed is not there.
    Instead,
    /// Back into the queue until a known time.
    Hold,
}
use Follows::*;

/// How many tokens the model was asked with, as far as that is known.
type Row = (&'static str, Status, Option<ErrorType>, Follows, u64);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("auth-401",                     Failed,    Some(Auth),            Answer,           0),
    ("auth-403",                     Failed,    Some(Auth),            Answer,           0),
    ("bad-flag",                     Failed,    Some(Config),          Answer,           0),
    ("child-left-behind",            Completed, None,                  Answer,           2000),
    ("command-outlives-the-turn",    Completed, None,                  Answer,           2000),
    ("content-filter",               Failed,    Some(LogicError),      Answer,           0),
    ("context-length-exceeded",      Failed,    Some(ContextOverflow), WithoutLearnings, 0),
    ("cut-stream",                   Failed,    Some(ToolFailure),     Again,            0),
    ("cyber-policy-400",             Failed,    Some(LogicError),      Answer,           0),
    ("denied-without-an-event",      Completed, None,                  Answer,           2000),
    ("empty-answer",                 Completed, None,                  Answer,           1000),
    ("insufficient-quota",           Failed,    Some(Billing),         Answer,           0),
    ("insufficient-quota-in-stream", Failed,    Some(Billing),         Answer,           0),
    ("invalid-prompt-400",           Failed,    Some(LogicError),      Answer,           0),
    ("invalid-request-400",          Failed,    Some(LogicError),      Answer,           0),
    ("max-tokens",                   Failed,    Some(LogicError),      Answer,           0),
    ("model-not-found-404",          Failed,    Some(Config),          Answer,           0),
    ("overloaded-503",               Failed,    Some(RateLimit),       Again,            0),
    ("payment-required-402",         Failed,    Some(Billing),         Answer,           0),
    ("prompt-empty",                 Failed,    Some(Config),          Answer,           0),
    ("prompt-too-long",              Failed,    Some(ContextOverflow), WithoutLearnings, 0),
    ("rate-limit-429",               Failed,    Some(RateLimit),       Again,            0),
    ("rate-limit-in-stream",         Failed,    Some(RateLimit),       Again,            0),
    ("refusal",                      Completed, None,                  Answer,           1000),
    // Of this turn; the thread used twice as much.
    ("resume-after-rate-limit-429",  Completed, None,                  Answer,           1000),
    ("resume-missing-session",       Failed,    Some(Config),          Instead,          0),
    ("server-error-500",             Failed,    Some(ToolFailure),     Again,            0),
    ("server-error-502",             Failed,    Some(ToolFailure),     Again,            0),
    // By a signal that was not ours.
    ("sigterm-in-request",           Failed,    Some(ToolFailure),     Again,            0),
    ("sigterm-in-tool",              Failed,    Some(ToolFailure),     Resume,           1000),
    ("success-commit",               Completed, None,                  Answer,           2000),
    ("success-text",                 Completed, None,                  Answer,           1000),
    ("success-write",                Completed, None,                  Answer,           2000),
    ("usage-limit",                  Failed,    Some(UsageLimit),      Hold,             0),
    // Its reset stands in its words alone.
    ("usage-limit-without-windows",  Failed,    Some(UsageLimit),      Again,            0),
    ("write-then-rate-limit-429",    Failed,    Some(RateLimit),       Resume,           1000),
];

/// What only the record tells: without it the reset of a limit is not known.
const BY_WORDS: &[(&str, Follows)] = &[("usage-limit", Again)];

struct Recorded {
    scenario: String,
    stream: Vec<u8>,
    record: Option<Vec<u8>>,
    exit: Exit,
    stderr: String,
}

impl Recorded {
    fn read(scenario: &str) -> Recorded {
        let path = |end: &str| format!("{STREAMS}/{scenario}.{end}");
        let exit = json_file(path("exit.json").as_ref());
        let number = |key: &str| exit[key].as_i64().map(|n| n as i32);
        Recorded {
            scenario: scenario.to_string(),
            stream: fs::read(path("jsonl")).expect("a stream"),
            record: fs::read(path("record.jsonl")).ok(),
            exit: Exit { code: number("exit_code"), signal: number("signal") },
            stderr: exit["stderr_head"].as_str().expect("the head of stderr").to_string(),
        }
    }

    fn row(&self) -> Row {
        let found = TABLE.iter().find(|row| row.0 == self.scenario);
        *found.unwrap_or_else(|| panic!("{} has no row", self.scenario))
    }

    fn summary(&self, with_record: bool) -> Summary {
        let mut transcript = Transcript::new(&codex::DRIVER);
        transcript.feed(&self.stream);
        let mut summary = transcript.finish();
        let own = codex::DRIVER.own_record.expect("it keeps a record");
        if let Some(record) = self.record.as_ref().filter(|_| with_record) {
            (own.read)(record, &mut summary);
        }
        summary
    }

    fn judge(&self, summary: &Summary, stop: Option<StopCause>) -> Ending {
        classify(&Evidence {
            clawvisor_task: "",
            driver: &codex::DRIVER,
            stop,
            ttl_seconds: 3600,
            limits: &StopLimits::default(),
            exit: Some(self.exit),
            summary,
            launcher: None,
            stdout_bytes: self.stream.len() as u64,
            stderr_tail: &self.stderr,
        })
    }

    /// As in the daemon: its second attempt, if it is a resumed session.
    fn start(&self) -> AttemptStart {
        let is_resumed = self.scenario.starts_with("resume-");
        let resumed = Mode::Resume { session_id: "s".into() };
        AttemptStart {
            attempt: 1 + u32::from(is_resumed),
            retries: u32::from(is_resumed),
            mode: if is_resumed { resumed } else { Mode::AsIs },
            had_learnings: !is_resumed,
            ..AttemptStart::default()
        }
    }

    fn follows(&self, summary: &Summary, ending: &Ending) -> Follows {
        let knobs = Knobs {
            rate_limit_backoff_ms: 30_000,
            retry_interrupted: false,
            probe_keep_ms: 100_000,
        };
        let (start, sign) = (self.start(), sign(ending, summary, 0, 1));
        let (driver, sign) = (&codex::DRIVER, sign.as_ref());
        let tried = Tried { driver, start: &start, ending, summary, sign };
        match next(tried, &Moment::default(), &knobs) {
            NextStep::Report => Answer,
            NextStep::Queue { .. } => Hold,
            NextStep::Retry { mode, retries, .. } => match (mode, retries > start.retries) {
                (Mode::AsIs, true) => Again,
                (Mode::AsIs, false) => Instead,
                (Mode::WithoutLearnings, true) => WithoutLearnings,
                (Mode::Resume { session_id }, true) => {
                    assert_eq!(Some(session_id), summary.session_id);
                    Resume
                }
                other => panic!("{other:?} after {ending:?}"),
            },
        }
    }
}

fn recordings() -> Vec<Recorded> {
    let names = fs::read_dir(STREAMS).expect("recorded streams").flatten();
    let names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let scenarios: BTreeSet<String> =
        names.map(|name| name.split('.').next().unwrap_or_default().to_string()).collect();
    let rows: BTreeSet<String> = TABLE.iter().map(|row| row.0.to_string()).collect();
    assert_eq!(scenarios, rows, "recordings and rows");
    scenarios.iter().map(|scenario| Recorded::read(scenario)).collect()
}

#[test]
fn every_recorded_session_is_judged_right() {
    for recorded in recordings() {
        let (scenario, status, error_type, follows, tokens) = recorded.row();
        let summary = recorded.summary(true);
        let ending = recorded.judge(&summary, None);
        let got = (ending.status, ending.error_type, recorded.follows(&summary, &ending));
        assert_eq!(got, (status, error_type, follows), "{scenario}: {ending:?}");
        assert_eq!(summary.tokens.input, tokens, "{scenario}");
        assert_eq!((summary.broken_lines, ending.error.is_none()), (0, status == Completed));
        let warnings = match scenario {
            "command-outlives-the-turn" => vec!["1 command still ran when the turn ended"],
            "empty-answer" | "refusal" => vec!["codex completed its turn without a message"],
            _ => vec![],
        };
        assert_eq!(ending.warnings, warnings, "{scenario}");
    }
}

#[test]
fn without_its_record_its_words_decide() {
    for recorded in recordings() {
        let (scenario, status, error_type, follows, _) = recorded.row();
        let special = BY_WORDS.iter().find(|row| row.0 == scenario).map(|row| row.1);
        let summary = recorded.summary(false);
        let ending = recorded.judge(&summary, None);
        let got = (ending.status, ending.error_type, recorded.follows(&summary, &ending));
        assert_eq!(got, (status, error_type, special.unwrap_or(follows)), "{scenario}");
    }
}

#[test]
fn a_session_that_we_ended_is_what_we_ended_it_for_and_tells_its_last_error() {
    for recorded in recordings() {
        let summary = recorded.summary(true);
        let ending = recorded.judge(&summary, Some(StopCause::Ttl));
        assert_eq!((ending.status, ending.error_type), (Status::Timeout, Some(ErrorType::Timeout)));
        let error = ending.error.expect("an error");
        let told =
            summary.last_error.map_or(String::new(), |last| format!("; its last error: {last}"));
        let wanted = format!("timed out after 3600 seconds{told}");
        assert!(error == wanted || wanted.starts_with(error.trim_end_matches('…')), "{error}");
    }
}

/// Wherever a stream breaks off before its last line, its session did not complete.
#[test]
fn a_stream_that_breaks_off_is_no_success() {
    for recorded in recordings() {
        let text = String::from_utf8(recorded.stream.clone()).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        for count in 0..lines.len() {
            let stream = lines[..count].join("\n").into_bytes();
            let cut = Recorded { stream, ..Recorded::read(&recorded.scenario) };
            let ending = cut.judge(&cut.summary(true), None);
            assert_eq!(ending.status, Failed, "{} after {count} lines", recorded.scenario);
        }
    }
}
