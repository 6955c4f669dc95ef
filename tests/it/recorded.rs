//! What the library makes of the streams that the real Claude Code wrote (`fixtures/streams/`).
//!
//! One table says how each recorded session has to be judged and what follows from it; it has every
//! row of the lab's table of outcomes. A recording without a row fails, and so does a row without a
//! recording. Nothing runs here: the sessions themselves are in `claude.rs`, and `replayed.rs`
//! gives the streams to the daemon.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use gstack_dispatch_daemon::pure::agent::{Driver, Summary, Transcript, claude, cost};
use gstack_dispatch_daemon::pure::attempt::limits::{StopCause, StopLimits};
use gstack_dispatch_daemon::pure::attempt::outcome::{Ending, Evidence, Exit, classify};
use gstack_dispatch_daemon::pure::attempt::record::{AttemptStart, Mode, Moment, NextStep};
use gstack_dispatch_daemon::pure::attempt::retry::{Knobs, Tried, next};
use gstack_dispatch_daemon::pure::attempt::sign::sign;
use gstack_dispatch_daemon::pure::report::ErrorType::*;
use gstack_dispatch_daemon::pure::report::Status;
use gstack_dispatch_daemon::pure::report::Status::*;
use gstack_dispatch_daemon::pure::report::{AttemptReport, ErrorType};
use serde_json::Value;

use crate::util::{FIXTURES, json_file};

const VERSIONS: [&str; 2] = ["2.1.197", "2.1.330"];
const STEP: usize = 997;

/// What follows the session, where the dispatch has learnings and was not tried before.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Then {
    Answer,
    /// Retry in a new session: the model had not answered yet.
    Again,
    /// Retry in the same session.
    Resume,
    WithoutLearnings,
    /// A new session within the same retry: the one to be resumed is not there.
    Instead,
}
use Then::*;

pub type Row = (&'static str, Status, Option<ErrorType>, Then);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    ("allowed-bash",                Completed, None,                  Answer),
    ("auth-401",                    Failed,    Some(Auth),            Answer),
    ("auth-403",                    Failed,    Some(Auth),            Answer),
    ("background-second-result",    Completed, None,                  Answer),
    ("bad-flag",                    Failed,    Some(Config),          Answer),
    ("child-left-behind",           Completed, None,                  Answer),
    ("connection-refused",          Failed,    Some(ToolFailure),     Again),
    ("connection-reset",            Failed,    Some(ToolFailure),     Again),
    ("context-window-exceeded",     Failed,    Some(ContextOverflow), WithoutLearnings),
    ("credit-too-low",              Failed,    Some(Billing),         Answer),
    ("cut-at-ttl",                  Failed,    Some(ToolFailure),     Resume),
    ("cut-stream",                  Failed,    Some(ToolFailure),     Again),
    ("dash-task",                   Completed, None,                  Answer),
    ("denied-tools",                Completed, None,                  Answer),
    ("hook-before-init",            Completed, None,                  Answer),
    ("invalid-request-400",         Failed,    Some(LogicError),      Answer),
    ("max-budget",                  Failed,    Some(LogicError),      Answer),
    ("max-tokens",                  Failed,    Some(LogicError),      Answer),
    ("max-turns",                   Failed,    Some(LogicError),      Answer),
    ("model-not-found-404",         Failed,    Some(Config),          Answer),
    ("model-says-it-cannot",        Completed, None,                  Answer),
    ("no-credentials",              Failed,    Some(Auth),            Answer),
    ("orphaned-tool-result-400",    Failed,    Some(LogicError),      Answer),
    ("overloaded-529",              Failed,    Some(RateLimit),       Again),
    ("payment-required-402",        Failed,    Some(Billing),         Answer),
    ("prompt-empty",                Failed,    Some(Config),          Answer),
    ("prompt-too-long",             Failed,    Some(ContextOverflow), WithoutLearnings),
    ("prompt-too-long-after-tool",  Failed,    Some(ContextOverflow), WithoutLearnings),
    ("rate-limit-429",              Failed,    Some(RateLimit),       Again),
    ("rate-limit-429-no-retry",     Failed,    Some(RateLimit),       Again),
    ("rate-limit-429-then-success", Completed, None,                  Answer),
    ("refusal",                     Failed,    Some(LogicError),      Answer),
    ("request-timeout",             Failed,    Some(ToolFailure),     Again),
    ("request-too-large-413",       Failed,    Some(ContextOverflow), WithoutLearnings),
    ("resume-after-rate-limit-429", Completed, None,                  Answer),
    ("resume-missing-session",      Failed,    Some(ToolFailure),     Instead),
    ("server-error-500",            Failed,    Some(ToolFailure),     Again),
    ("server-error-502",            Failed,    Some(ToolFailure),     Again),
    ("server-error-504",            Failed,    Some(ToolFailure),     Again),
    ("session-id-in-use",           Failed,    Some(Config),          Answer),
    // By a signal that was not ours; `cut-at-ttl` too, as long as nobody says that it was.
    ("sigint-in-request",           Failed,    Some(ToolFailure),     Again),
    ("sigint-in-tool",              Failed,    Some(ToolFailure),     Resume),
    ("sigkill-in-tool",             Failed,    Some(ToolFailure),     Resume),
    ("sigterm-in-request",          Failed,    Some(ToolFailure),     Again),
    ("sigterm-in-retry-wait",       Failed,    Some(ToolFailure),     Again),
    ("sigterm-in-tool",             Failed,    Some(ToolFailure),     Resume),
    ("sse-overloaded",              Failed,    Some(RateLimit),       Again),
    ("stderr-warning-success",      Completed, None,                  Answer),
    ("success-text",                Completed, None,                  Answer),
    ("success-write",               Completed, None,                  Answer),
    ("task-of-300-kb",              Completed, None,                  Answer),
    ("tool-exit-nonzero",           Completed, None,                  Answer),
    ("unknown-tool",                Completed, None,                  Answer),
    ("write-then-rate-limit-429",   Failed,    Some(RateLimit),       Resume),
];

/// Where the versions tell different things.
#[rustfmt::skip]
const OTHERWISE: &[(&str, Row)] = &[
    // No field of it says 529, only the words do.
    ("2.1.197", ("sse-overloaded",  Failed,    Some(ToolFailure),     Again)),
];

pub struct Recording {
    pub version: &'static str,
    pub scenario: String,
    stream: Vec<u8>,
    pub exit: Exit,
    pub stderr: String,
}

impl Recording {
    fn read(version: &'static str, scenario: &str) -> Recording {
        let path = |end: &str| folder(version).join(format!("{scenario}.{end}"));
        let stream = fs::read(path("jsonl")).expect("a stream");
        let exit = json_file(&path("exit.json"));
        let number = |key: &str| exit[key].as_i64().map(|n| n as i32);
        Recording {
            version,
            scenario: scenario.to_string(),
            stream,
            exit: Exit { code: number("exit_code"), signal: number("signal") },
            stderr: exit["stderr_head"].as_str().expect("the head of stderr").to_string(),
        }
    }

    pub fn name(&self) -> String {
        format!("{}/{}", self.version, self.scenario)
    }

    pub fn row(&self) -> Option<Row> {
        let mut otherwise = OTHERWISE.iter().filter(|(version, _)| *version == self.version);
        let special = otherwise.find(|(_, row)| row.0 == self.scenario).map(|(_, row)| row);
        special.or_else(|| TABLE.iter().find(|row| row.0 == self.scenario)).copied()
    }

    fn summary(&self) -> Summary {
        read_in_pieces(&self.stream, &[usize::MAX])
    }

    pub fn session_id(&self) -> String {
        self.summary().session_id.expect("a session id")
    }

    fn judge(&self, stop: Option<StopCause>) -> (Summary, Ending) {
        let summary = self.summary();
        let ending = judge(&self.stream, &summary, Some(self.exit), stop, &self.stderr);
        (summary, ending)
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
}

fn claude() -> &'static Driver {
    &claude::DRIVER
}

pub fn folder(version: &str) -> PathBuf {
    PathBuf::from(FIXTURES).join("streams").join(version)
}

/// Feeds pieces of these sizes, over and over.
fn read_in_pieces(stream: &[u8], sizes: &[usize]) -> Summary {
    let mut transcript = Transcript::new(claude());
    let (mut rest, mut sizes) = (stream, sizes.iter().cycle());
    while let Some(size) = sizes.next().filter(|_| !rest.is_empty()) {
        let (piece, others) = rest.split_at(rest.len().min(*size));
        transcript.feed(piece);
        rest = others;
    }
    transcript.finish()
}

fn judge(
    stream: &[u8],
    summary: &Summary,
    exit: Option<Exit>,
    stop: Option<StopCause>,
    stderr: &str,
) -> Ending {
    classify(&Evidence {
        clawvisor_task: "",
        driver: claude(),
        stop,
        ttl_seconds: 3600,
        limits: &StopLimits::default(),
        exit,
        summary,
        launcher: None,
        stdout_bytes: stream.len() as u64,
        stderr_tail: stderr,
    })
}

fn then(ending: &Ending, summary: &Summary, start: &AttemptStart) -> Then {
    let knobs =
        Knobs { rate_limit_backoff_ms: 30_000, retry_interrupted: false, probe_keep_ms: 100_000 };
    let sign = sign(ending, summary, 0, 1);
    let tried = Tried { driver: claude(), start, ending, summary, sign: sign.as_ref() };
    match next(tried, &Moment::default(), &knobs) {
        NextStep::Report => Answer,
        NextStep::Queue { .. } => panic!("no recorded session met a usage limit: {ending:?}"),
        NextStep::Retry { delay_ms, mode, retries, .. } => {
            let waits = ending.error_type == Some(RateLimit);
            assert_eq!(delay_ms, if waits { 30_000 } else { 0 }, "{ending:?}");
            match (mode, retries > start.retries) {
                (Mode::AsIs, true) => Again,
                (Mode::AsIs, false) => Instead,
                (Mode::WithoutLearnings, true) => WithoutLearnings,
                (Mode::Resume { session_id }, true) => {
                    assert_eq!(Some(session_id), summary.session_id);
                    Resume
                }
                other => panic!("{other:?} after {ending:?}"),
            }
        }
    }
}

/// All that was recorded, whether there is a row for it or not.
pub fn recordings() -> Vec<Recording> {
    let of = |version: &'static str| {
        let entries = fs::read_dir(folder(version)).expect("recorded streams").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let scenario = |name: String| {
            let ends = [".jsonl", ".exit.json"];
            let scenario = ends.iter().find_map(|end| name.strip_suffix(end));
            scenario.unwrap_or_else(|| panic!("no part of a recording: {name}")).to_string()
        };
        let scenarios: BTreeSet<String> = names.map(scenario).collect();
        scenarios.into_iter().map(move |scenario| Recording::read(version, &scenario))
    };
    VERSIONS.into_iter().flat_map(of).collect()
}

/// Checks each recording, and tells all that is wrong at once.
fn each(check: impl Fn(&Recording) -> Result<(), String>) {
    let recordings = recordings();
    assert!(recordings.len() >= 2 * TABLE.len(), "only {} recordings", recordings.len());
    let wrong = recordings.iter().filter_map(|recording| {
        check(recording).err().map(|error| format!("{}: {error}", recording.name()))
    });
    let wrong: Vec<String> = wrong.collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, wanted: T) -> Result<(), String> {
    if got == wanted { Ok(()) } else { Err(format!("{got:?} instead of {wanted:?}")) }
}

#[test]
fn every_recording_has_its_row_and_every_row_its_recordings() {
    let entries = fs::read_dir(folder("")).expect("recorded streams").flatten();
    let entries = entries.filter(|entry| entry.path().is_dir()).map(|entry| entry.file_name());
    // Other agents have folders and tables of their own.
    let is_version = |name: &OsString| name.as_bytes()[0].is_ascii_digit();
    let versions: BTreeSet<_> = entries.filter(is_version).collect();
    assert_eq!(versions, VERSIONS.map(Into::into).into(), "a version that nothing tests");
    let rows: BTreeSet<String> = TABLE.iter().map(|row| row.0.to_string()).collect();
    assert_eq!(rows.len(), TABLE.len(), "a scenario has two rows");
    for version in VERSIONS {
        let recorded = recordings().into_iter().filter(|recording| recording.version == version);
        assert_eq!(recorded.map(|recording| recording.scenario).collect::<BTreeSet<_>>(), rows);
    }
    for (version, row) in OTHERWISE {
        assert!(VERSIONS.contains(version) && rows.contains(row.0), "{version} {row:?}");
    }
}

#[test]
fn every_recorded_session_is_judged_right() {
    each(|recording| {
        let (_, status, error_type, wanted) = recording.row().ok_or("has no row")?;
        let (summary, ending) = recording.judge(None);
        let then = then(&ending, &summary, &recording.start());
        same((ending.status, ending.error_type, then), (status, error_type, wanted))?;
        same(ending.error.is_some(), status != Completed)
    });
}

#[test]
fn one_retry_at_most_and_without_learnings_none_for_an_overflow() {
    each(|recording| {
        let (_, _, _, wanted) = recording.row().ok_or("has no row")?;
        let (summary, ending) = recording.judge(None);
        let first = recording.start();
        let bare = AttemptStart { had_learnings: false, ..first.clone() };
        let wanted_bare = if wanted == WithoutLearnings { Answer } else { wanted };
        same(then(&ending, &summary, &bare), wanted_bare)?;
        let second = AttemptStart { attempt: 2, retries: 1, ..first };
        let wanted_second = if wanted == Instead { Instead } else { Answer };
        same(then(&ending, &summary, &second), wanted_second)
    });
}

#[test]
fn a_session_that_we_ended_is_what_we_ended_it_for() {
    each(|recording| {
        for (stop, status, error_type) in [
            (StopCause::Ttl, Status::Timeout, ErrorType::Timeout),
            (StopCause::Cancelled, Status::Cancelled, ErrorType::Cancelled),
            (StopCause::Shutdown, Status::Cancelled, ErrorType::Shutdown),
        ] {
            let (summary, ending) = recording.judge(Some(stop));
            let then = then(&ending, &summary, &recording.start());
            same((ending.status, ending.error_type, then), (status, Some(error_type), Answer))?;
        }
        Ok(())
    });
}

#[test]
fn the_summary_does_not_depend_on_how_the_stream_is_cut() {
    each(|recording| {
        let (stream, whole) = (&recording.stream[..], recording.summary());
        for at in (0..stream.len()).step_by(STEP) {
            let mut transcript = Transcript::new(claude());
            transcript.feed(&stream[..at]);
            transcript.feed(&stream[at..]);
            same(transcript.finish(), whole.clone()).map_err(|e| format!("cut at {at}: {e}"))?;
        }
        for sizes in [&[STEP][..], &[1], &[1, 2, 3, 5, 8, 13, 21, 34, 55, 89], &[4095, 1, 65537]] {
            let got = read_in_pieces(stream, sizes);
            same(got, whole.clone()).map_err(|e| format!("in pieces of {sizes:?}: {e}"))?;
        }
        Ok(())
    });
}

/// Where a stream breaks off, whatever ended it, its session did not complete: before the first
/// result, and while something goes on after it.
#[test]
fn a_stream_that_breaks_off_is_no_success() {
    let killed = Exit { code: None, signal: Some(9) };
    each(|recording| {
        let stream = &recording.stream[..];
        let mut line_ends =
            stream.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at);
        // The last line can be whole without its newline.
        let end = line_ends.next_back().unwrap_or(0);
        let cuts: BTreeSet<usize> = line_ends.chain((0..end).step_by(STEP)).collect();
        for cut in cuts {
            let head = &stream[..cut];
            let summary = read_in_pieces(head, &[usize::MAX]);
            for exit in [Some(killed), Some(Exit { code: Some(143), signal: None }), None] {
                let ending = judge(head, &summary, exit, None, "");
                if ending.status == Completed {
                    let after = String::from_utf8_lossy(&head[head.len().saturating_sub(200)..]);
                    return Err(format!("completed, cut at {cut} ({exit:?}) after …{after}"));
                }
            }
        }
        Ok(())
    });
}

#[test]
fn what_the_streams_say_besides() {
    each(|recording| {
        let (summary, ending) = recording.judge(None);
        same(summary.broken_lines, 0)?;
        if summary.init_seen {
            same(summary.agent_version.as_deref(), Some(recording.version))?;
        }
        same(summary.session_id.is_some(), summary.lines > 0)?;
        if let Some(result) = &summary.result {
            same((result.total_cost_usd.is_some(), result.num_turns.is_some()), (true, true))?;
            same(result.usage.as_ref().is_some_and(Value::is_object), true)?;
        }
        let denials = summary.result.as_ref().map_or(0, |result| result.denials_total);
        let (results, denied, warnings) = match recording.scenario.as_str() {
            "background-second-result" => (2, 0, 0),
            "denied-tools" => (1, 2, 1),
            _ => (u32::from(summary.result.is_some()), 0, 0),
        };
        same((summary.results, denials, ending.warnings.len()), (results, denied, warnings))
    });
}

/// The two versions tell the cost of a resumed session differently; what both attempts cost
/// together is the same twice.
#[test]
fn the_cost_of_a_session_that_was_resumed_is_that_of_both_of_its_parts() {
    for (version, wanted) in [("2.1.197", 0.035), ("2.1.330", 0.028)] {
        let attempt = |scenario: &str, resumed| {
            let path = format!("{FIXTURES}/streams/{version}/{scenario}.jsonl");
            let summary = read_in_pieces(&fs::read(path).expect("a recording"), &[usize::MAX]);
            let result = summary.result.expect("a result");
            let attempt = AttemptReport {
                resumed,
                total_cost_usd: result.total_cost_usd,
                input_tokens: Some(summary.tokens.input),
                output_tokens: Some(summary.tokens.output),
                ..AttemptReport::default()
            };
            (attempt, result.cost_tokens)
        };
        let (first, _) = attempt("write-then-rate-limit-429", false);
        let (second, counted) = attempt("resume-after-rate-limit-429", true);
        assert!(counted.is_some(), "{version}");
        assert_eq!(cost::in_all(&[first, second], counted), Some(wanted), "{version}");
    }
}
