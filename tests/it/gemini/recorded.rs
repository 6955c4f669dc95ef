//! What the library makes of the streams that the real Gemini CLI 0.61.0 wrote
//! (`fixtures/streams/gemini/`), against a server of ours on 127.0.0.1.
//!
//! One table says how each recorded session has to be judged and what follows from it. A recording
//! without a row fails, and so does a row without a recording. Nothing runs here.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use gstack_dispatch_daemon::pure::agent::{Summary, Transcript, gemini};
use gstack_dispatch_daemon::pure::attempt::limits::{StopCause, StopLimits};
use gstack_dispatch_daemon::pure::attempt::outcome::{Ending, Evidence, Exit, classify};
use gstack_dispatch_daemon::pure::attempt::record::{AttemptStart, Mode, Moment, NextStep};
use gstack_dispatch_daemon::pure::attempt::retry::{Knobs, Tried, next};
use gstack_dispatch_daemon::pure::attempt::sign::sign;
use gstack_dispatch_daemon::pure::report::ErrorType::{self, *};
use gstack_dispatch_daemon::pure::report::Status::{self, *};

use crate::util::{FIXTURES, json_file};

/// What follows the session, where the dispatch has learnings and was not tried before.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Answer,
    Again,
    Resume,
    WithoutLearnings,
    /// A new session within the same retry: the one to be resumed is not there.
    Instead,
    /// It waits for the reset of a limit.
    Wait,
}
use Then::*;

#[rustfmt::skip]
const TABLE: &[(&str, Status, Option<ErrorType>, Then)] = &[
    ("auth-401",                 Failed,    Some(Auth),            Answer),
    ("auth-403",                 Failed,    Some(Auth),            Answer),
    ("bad-flag",                 Failed,    Some(Config),          Answer),
    ("billing-402",              Failed,    Some(Billing),         Answer),
    ("blocked-answer",           Failed,    Some(LogicError),      Answer),
    // It does not say that the prompt was blocked.
    ("blocked-prompt",           Failed,    Some(ToolFailure),     Again),
    ("child-left-behind",        Completed, None,                  Answer),
    ("commit-without-identity",  Completed, None,                  Answer),
    ("connection-reset",         Failed,    Some(ToolFailure),     Again),
    ("context-overflow-400",     Failed,    Some(ContextOverflow), WithoutLearnings),
    ("cut-stream",               Failed,    Some(ToolFailure),     Resume),
    ("daily-quota-429",          Failed,    Some(RateLimit),       Again),
    ("empty-answer",             Failed,    Some(ToolFailure),     Again),
    ("invalid-request-400",      Failed,    Some(LogicError),      Answer),
    ("key-invalid-400",          Failed,    Some(Auth),            Answer),
    ("loop",                     Completed, None,                  Answer),
    ("max-tokens",               Completed, None,                  Answer),
    ("max-tokens-no-text",       Failed,    Some(LogicError),      Answer),
    ("model-not-found-404",      Failed,    Some(Config),          Answer),
    ("no-login",                 Failed,    Some(Auth),            Answer),
    ("overloaded-503",           Failed,    Some(ToolFailure),     Again),
    ("prompt-never-sent",        Failed,    Some(ContextOverflow), WithoutLearnings),
    ("rate-limit-429",           Failed,    Some(RateLimit),       Again),
    ("resume-after-daily-quota", Completed, None,                  Answer),
    ("resume-of-a-cut-stream",   Failed,    Some(Config),          Instead),
    ("resume-unknown-session",   Failed,    Some(Config),          Instead),
    ("server-error-500",         Failed,    Some(ToolFailure),     Again),
    ("server-error-502",         Failed,    Some(ToolFailure),     Again),
    ("shell-allowed",            Completed, None,                  Answer),
    ("shell-denied-by-policy",   Completed, None,                  Answer),
    ("shell-not-registered",     Completed, None,                  Answer),
    ("sigterm",                  Failed,    Some(ToolFailure),     Again),
    ("success-text",             Completed, None,                  Answer),
    ("success-write",            Completed, None,                  Answer),
    ("usage-limit-429",          Failed,    Some(UsageLimit),      Wait),
    ("used-session-id",          Failed,    Some(Config),          Answer),
    ("write-then-daily-quota",   Failed,    Some(RateLimit),       Resume),
];

struct Recording {
    scenario: &'static str,
    stream: Vec<u8>,
    exit: Exit,
    stderr: String,
}

fn folder() -> PathBuf {
    PathBuf::from(FIXTURES).join("streams/gemini/0.61.0")
}

fn recordings() -> impl Iterator<Item = (Recording, (Status, Option<ErrorType>, Then))> {
    TABLE.iter().map(|&(scenario, status, error_type, then)| {
        let exit = json_file(&folder().join(format!("{scenario}.exit.json")));
        let number = |key: &str| exit[key].as_i64().map(|n| n as i32);
        let recording = Recording {
            scenario,
            stream: fs::read(folder().join(format!("{scenario}.jsonl"))).expect("a stream"),
            exit: Exit { code: number("exit_code"), signal: number("signal") },
            stderr: exit["stderr_head"].as_str().expect("the head of stderr").to_string(),
        };
        (recording, (status, error_type, then))
    })
}

impl Recording {
    fn summary(&self) -> Summary {
        let mut transcript = Transcript::new(&gemini::DRIVER);
        transcript.feed(&self.stream);
        transcript.finish()
    }

    fn judge(&self, stop: Option<StopCause>, exit: Option<Exit>) -> (Summary, Ending) {
        let summary = self.summary();
        let ending = classify(&Evidence {
            clawvisor_task: "",
            driver: &gemini::DRIVER,
            stop,
            ttl_seconds: 3600,
            limits: &StopLimits::default(),
            exit,
            summary: &summary,
            launcher: None,
            stdout_bytes: self.stream.len() as u64,
            stderr_tail: &self.stderr,
        });
        (summary, ending)
    }

    fn then(&self, ending: &Ending, summary: &Summary) -> Then {
        let is_resumed = self.scenario.starts_with("resume-");
        let mode = Mode::Resume { session_id: "s".into() };
        let start = AttemptStart {
            attempt: 1 + u32::from(is_resumed),
            retries: u32::from(is_resumed),
            mode: if is_resumed { mode } else { Mode::AsIs },
            had_learnings: true,
            ..AttemptStart::default()
        };
        let knobs = Knobs {
            rate_limit_backoff_ms: 30_000,
            retry_interrupted: false,
            probe_keep_ms: 100_000,
        };
        let sign = sign(ending, summary, 0, 1);
        let tried =
            Tried { driver: &gemini::DRIVER, start: &start, ending, summary, sign: sign.as_ref() };
        match next(tried, &Moment::default(), &knobs) {
            NextStep::Report => Answer,
            NextStep::Queue { .. } => Wait,
            NextStep::Retry { mode: Mode::WithoutLearnings, .. } => WithoutLearnings,
            NextStep::Retry { mode: Mode::Resume { .. }, .. } => Resume,
            NextStep::Retry { retries, .. } if retries == start.retries => Instead,
            NextStep::Retry { .. } => Again,
        }
    }
}

fn assert_no_errors(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_recording_has_its_row() {
    let entries = fs::read_dir(folder()).expect("recorded streams").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    let ends = [".exit.json", ".jsonl"];
    let recorded: BTreeSet<String> = names
        .map(|name| ends.iter().find_map(|end| name.strip_suffix(end)).expect(&name).to_string())
        .collect();
    let rows: BTreeSet<String> = TABLE.iter().map(|row| row.0.to_string()).collect();
    assert_eq!(recorded, rows);
}

#[test]
fn every_recorded_session_is_judged_right() {
    let wrong = recordings().filter_map(|(recording, wanted)| {
        let (summary, ending) = recording.judge(None, Some(recording.exit));
        let got = (ending.status, ending.error_type, recording.then(&ending, &summary));
        (got != wanted || ending.error.is_some() != (ending.status != Completed))
            .then(|| format!("{}: {got:?} instead of {wanted:?}: {ending:?}", recording.scenario))
    });
    assert_no_errors(wrong.collect());
}

/// An adopted session's exit is not seen: what is left is the stream.
#[test]
fn a_result_is_judged_alike_without_its_exit() {
    let wrong = recordings().filter_map(|(recording, (status, error_type, _))| {
        let (summary, ending) = recording.judge(None, None);
        let got = (ending.status, ending.error_type);
        let differs = summary.result.is_some() && got != (status, error_type);
        differs.then(|| format!("{}: {got:?}", recording.scenario))
    });
    assert_no_errors(wrong.collect());
}

#[test]
fn a_session_that_we_ended_is_what_we_ended_it_for() {
    for (recording, _) in recordings() {
        let (_, ending) = recording.judge(Some(StopCause::Ttl), Some(recording.exit));
        let got = (ending.status, ending.error_type);
        assert_eq!(got, (Status::Timeout, Some(ErrorType::Timeout)), "{}", recording.scenario);
    }
}

#[test]
fn a_stream_that_breaks_off_is_no_success() {
    for (recording, _) in recordings() {
        let stream = &recording.stream;
        let ends = stream.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at);
        for end in ends.collect::<Vec<_>>().into_iter().rev().skip(1) {
            let head =
                Recording { stream: stream[..end].to_vec(), stderr: String::new(), ..recording };
            let term = Exit { code: Some(0), signal: None };
            let (_, ending) = head.judge(None, Some(term));
            assert_eq!(ending.status, Failed, "{} cut at {end}", recording.scenario);
        }
    }
}

#[test]
fn what_the_streams_say_besides() {
    for (recording, _) in recordings() {
        let (summary, ending) = recording.judge(None, Some(recording.exit));
        let name = recording.scenario;
        let result = summary.result.as_ref();
        assert_eq!(
            (summary.broken_lines, summary.session_id.is_some()),
            (0, summary.lines > 0),
            "{name}"
        );
        let denials = result.map_or(0, |result| result.denials_total);
        let (denied, warnings) = match name {
            "shell-denied-by-policy" | "shell-not-registered" => (1, 1),
            "commit-without-identity" | "loop" => (0, 1),
            _ => (0, 0),
        };
        assert_eq!((denials, ending.warnings.len()), (denied, warnings), "{name} {ending:?}");
        assert!(result.is_none_or(|result| result.usage.is_some()), "{name}");
    }
    let text = |name: &str| {
        let (recording, _) = recordings().find(|(one, _)| one.scenario == name).expect(name);
        (recording.summary().result.and_then(|result| result.text), recording.summary().tokens)
    };
    let (said, tokens) = text("success-write");
    assert_eq!((said.as_deref(), tokens.input, tokens.output), (Some("All done."), 200, 40));
}
