//! What follows an attempt: the report, one more attempt, or a place in the queue until a hold is
//! over.
//!
//! Owns the one retry that a dispatch may have, and how often it may wait. Must not wait or start
//! anything. A task may already have edited files when its session fails, so a retry continues that
//! session where it can; and the agent has repeated its requests for minutes before it gives up, so
//! repeating more often than once only burns the account.

use super::agent::{Driver, Summary};
use super::hold::{Sign, WAITS_MAX};
use super::outcome::Ending;
use super::report::{ErrorType, Status};
use serde::{Deserialize, Serialize};

/// The attempt that just ended.
#[derive(Clone, Debug)]
pub struct Tried {
    pub driver: &'static Driver,
    /// From 1.
    pub attempt: u32,
    /// Retries counted so far.
    pub retries: u32,
    /// Waits for a usage limit so far.
    pub waits: u32,
    /// It was let through a hold.
    pub probe: bool,
    /// From the first attempt's start to the end of this one.
    pub elapsed_seconds: f64,
    pub resumed: bool,
    /// The prompt just used included learnings.
    pub had_learnings: bool,
    pub assistant_turns: u64,
    pub session_id: Option<String>,
}

/// What the next attempt runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    AsIs,
    WithoutLearnings,
    Resume { session_id: String },
}

#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    Report,
    Retry {
        delay_seconds: f64,
        mode: Mode,
        counts: bool,
    },
    /// `waits`: for usage limits, this one included.
    Queue {
        mode: Mode,
        waits: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knobs {
    pub rate_limit_backoff_seconds: f64,
    pub retries_max: u32,
    /// Run a session once more whose end nobody saw.
    pub retry_interrupted: bool,
    /// How long a dispatch may be tried as a probe of a refusal before it has failed.
    pub probe_keep_seconds: f64,
}

/// `sign`: what the attempt says about its agent.
pub fn next(
    ending: &Ending,
    summary: &Summary,
    sign: Option<&Sign>,
    tried: &Tried,
    knobs: &Knobs,
) -> Next {
    let error_type = match (ending.status, ending.error_type) {
        (Status::Failed, Some(error_type)) => error_type,
        (Status::Failed, None) | (Status::Completed | Status::Cancelled | Status::Timeout, _) => {
            return Next::Report;
        }
    };
    if tried.resumed && session_is_gone(tried.driver, ending, summary) {
        // Nothing ran, so nothing was tried: it is still the same retry.
        return Next::Retry { delay_seconds: 0.0, mode: Mode::AsIs, counts: false };
    }
    if let Some(Sign::Met { kind, .. }) = sign {
        return after_hold(*kind, tried, knobs);
    }
    if tried.retries >= knobs.retries_max {
        return Next::Report;
    }
    let (delay_seconds, mode) = match error_type {
        // Without a reset time to wait for it is like any rate limit.
        ErrorType::RateLimit | ErrorType::UsageLimit => {
            (knobs.rate_limit_backoff_seconds, continued(tried))
        }
        ErrorType::ToolFailure => (0.0, continued(tried)),
        ErrorType::ContextOverflow if tried.had_learnings => (0.0, Mode::WithoutLearnings),
        ErrorType::Interrupted if knobs.retry_interrupted => (0.0, continued(tried)),
        ErrorType::ContextOverflow
        | ErrorType::LogicError
        | ErrorType::Timeout
        | ErrorType::Auth
        | ErrorType::Billing
        | ErrorType::Config
        | ErrorType::Interrupted
        | ErrorType::Shutdown
        | ErrorType::Cancelled
        | ErrorType::InvalidDispatch
        | ErrorType::UnsupportedAgent
        | ErrorType::SpawnFailed
        | ErrorType::Stalled
        | ErrorType::StartTimeout
        | ErrorType::OutputLimit
        | ErrorType::VerifyFailed
        | ErrorType::QueueTimeout => return Next::Report,
    };
    Next::Retry { delay_seconds, mode, counts: true }
}

/// It ran into something that holds its agent. A usage limit opens by itself; a refusal is
/// reported, but by a probe: that one only found that the hold is not over.
fn after_hold(kind: ErrorType, tried: &Tried, knobs: &Knobs) -> Next {
    let queue = |waits| Next::Queue { mode: as_before(tried), waits };
    if kind == ErrorType::UsageLimit {
        return if tried.waits < WAITS_MAX { queue(tried.waits + 1) } else { Next::Report };
    }
    let may_wait = tried.probe && tried.elapsed_seconds < knobs.probe_keep_seconds;
    if may_wait { queue(tried.waits) } else { Next::Report }
}

/// For an attempt that was not let work: what it was to do still is to be done.
fn as_before(tried: &Tried) -> Mode {
    match (&tried.session_id, continued(tried)) {
        (Some(session_id), _) if tried.resumed => Mode::Resume { session_id: session_id.clone() },
        (_, Mode::AsIs) if !tried.had_learnings => Mode::WithoutLearnings,
        (_, mode) => mode,
    }
}

/// A session in which the model did nothing holds nothing that a new one lacks.
fn continued(tried: &Tried) -> Mode {
    match &tried.session_id {
        Some(session_id) if tried.assistant_turns > 0 => {
            Mode::Resume { session_id: session_id.clone() }
        }
        Some(_) | None => Mode::AsIs,
    }
}

/// The agent no longer knows the session that it should resume, and so did nothing.
fn session_is_gone(driver: &Driver, ending: &Ending, summary: &Summary) -> bool {
    let error = ending.error.as_deref().unwrap_or_default();
    summary.assistant_turns == 0 && (driver.session_is_gone)(summary, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::agent::{Failure, ResultEvent, claude};

    const KNOBS: Knobs = Knobs {
        rate_limit_backoff_seconds: 30.0,
        retries_max: 1,
        retry_interrupted: false,
        probe_keep_seconds: 100.0,
    };

    fn failed(error_type: ErrorType) -> Ending {
        Ending {
            status: Status::Failed,
            error_type: Some(error_type),
            error: Some("x".to_string()),
            warnings: Vec::new(),
        }
    }

    fn tried(turns: u64, had_learnings: bool, retries: u32) -> Tried {
        Tried {
            driver: &claude::DRIVER,
            attempt: retries + 1,
            retries,
            waits: 0,
            probe: false,
            elapsed_seconds: 1.0,
            resumed: false,
            had_learnings,
            assistant_turns: turns,
            session_id: Some("s-1".to_string()),
        }
    }

    fn retry(delay_seconds: f64, mode: Mode) -> Next {
        Next::Retry { delay_seconds, mode, counts: true }
    }

    #[test]
    fn one_retry_at_most_and_only_for_what_may_pass() {
        use ErrorType::*;
        let resume = || Mode::Resume { session_id: "s-1".to_string() };
        let rows = [
            (RateLimit, tried(0, true, 0), retry(30.0, Mode::AsIs)),
            (RateLimit, tried(2, true, 0), retry(30.0, resume())),
            (RateLimit, tried(2, true, 1), Next::Report),
            (UsageLimit, tried(0, true, 0), retry(30.0, Mode::AsIs)),
            (UsageLimit, tried(0, true, 1), Next::Report),
            (ToolFailure, tried(0, true, 0), retry(0.0, Mode::AsIs)),
            (ToolFailure, tried(1, false, 0), retry(0.0, resume())),
            (ToolFailure, tried(1, false, 1), Next::Report),
            (ToolFailure, Tried { session_id: None, ..tried(1, true, 0) }, retry(0.0, Mode::AsIs)),
            (ContextOverflow, tried(5, true, 0), retry(0.0, Mode::WithoutLearnings)),
            (ContextOverflow, tried(5, false, 0), Next::Report),
            (ContextOverflow, tried(5, true, 1), Next::Report),
        ];
        for (error_type, tried, wanted) in rows {
            let got = next(&failed(error_type), &Summary::default(), None, &tried, &KNOBS);
            assert_eq!(got, wanted, "{error_type:?} {tried:?}");
        }
        for error_type in [
            LogicError,
            Timeout,
            Auth,
            Billing,
            Config,
            Interrupted,
            Shutdown,
            Cancelled,
            InvalidDispatch,
            UnsupportedAgent,
            SpawnFailed,
            Stalled,
            StartTimeout,
            OutputLimit,
            VerifyFailed,
            QueueTimeout,
        ] {
            let got =
                next(&failed(error_type), &Summary::default(), None, &tried(3, true, 0), &KNOBS);
            assert_eq!(got, Next::Report, "{error_type:?}");
        }
    }

    #[test]
    fn what_ran_into_a_hold_waits_for_it_and_is_no_retry() {
        use ErrorType::*;
        let resume = || Mode::Resume { session_id: "s-1".to_string() };
        let bare = |waits| Tried { waits, ..tried(0, true, 0) };
        let probe = |elapsed_seconds| Tried { probe: true, elapsed_seconds, ..tried(0, true, 0) };
        let queue = |mode, waits| Next::Queue { mode, waits };
        let rows = [
            (UsageLimit, bare(0), queue(Mode::AsIs, 1)),
            (UsageLimit, bare(4), queue(Mode::AsIs, 5)),
            (UsageLimit, bare(5), Next::Report),
            (UsageLimit, tried(0, true, 1), queue(Mode::AsIs, 1)),
            (UsageLimit, tried(3, true, 0), queue(resume(), 1)),
            // The session that it was to continue, and learnings that were too long, are
            // remembered.
            (UsageLimit, Tried { resumed: true, ..bare(1) }, queue(resume(), 2)),
            (UsageLimit, tried(0, false, 1), queue(Mode::WithoutLearnings, 1)),
            (Auth, bare(0), Next::Report),
            (Auth, probe(99.0), queue(Mode::AsIs, 0)),
            (Billing, probe(99.0), queue(Mode::AsIs, 0)),
            (Config, Tried { waits: 5, ..probe(0.0) }, queue(Mode::AsIs, 5)),
            (Auth, probe(100.0), Next::Report),
        ];
        for (kind, tried, wanted) in rows {
            let sign = Sign::Met { kind, resets_at_ms: None, reason: String::new() };
            let got = next(&failed(kind), &Summary::default(), Some(&sign), &tried, &KNOBS);
            assert_eq!(got, wanted, "{kind:?} {tried:?}");
        }
    }

    #[test]
    fn what_did_not_fail_is_reported() {
        for status in [Status::Completed, Status::Cancelled, Status::Timeout] {
            let ending = Ending { status, ..failed(ErrorType::ToolFailure) };
            let got = next(&ending, &Summary::default(), None, &tried(1, true, 0), &KNOBS);
            assert_eq!(got, Next::Report, "{status:?}");
        }
    }

    #[test]
    fn an_interrupted_session_runs_again_only_if_asked_and_only_once() {
        let ending = failed(ErrorType::Interrupted);
        let knobs = Knobs { retry_interrupted: true, ..KNOBS };
        let again = |tried| next(&ending, &Summary::default(), None, &tried, &knobs);
        assert_eq!(again(tried(0, true, 0)), retry(0.0, Mode::AsIs));
        assert_eq!(again(tried(0, true, 1)), Next::Report);
    }

    #[test]
    fn no_retries_when_the_operator_wants_none() {
        let knobs = Knobs { retries_max: 0, ..KNOBS };
        let got = next(
            &failed(ErrorType::ToolFailure),
            &Summary::default(),
            None,
            &tried(1, true, 0),
            &knobs,
        );
        assert_eq!(got, Next::Report);
    }

    #[test]
    fn a_session_that_is_gone_is_replaced_within_the_same_retry() {
        let gone = Summary {
            results: 1,
            result: Some(ResultEvent {
                failure: Some(Failure {
                    error_type: ErrorType::ToolFailure,
                    message: "No conversation found with session ID: s-1".to_string(),
                }),
                ..ResultEvent::default()
            }),
            ..Summary::default()
        };
        let resumed = Tried { resumed: true, ..tried(0, true, 1) };
        let again = Next::Retry { delay_seconds: 0.0, mode: Mode::AsIs, counts: false };
        let ending = failed(ErrorType::ToolFailure);
        assert_eq!(next(&ending, &gone, None, &resumed, &KNOBS), again);

        let on_stderr = Ending {
            error: Some("No conversation found with session ID: s-1".to_string()),
            ..failed(ErrorType::Config)
        };
        assert_eq!(next(&on_stderr, &Summary::default(), None, &resumed, &KNOBS), again);

        // Not after a fresh start, not after a turn, not for another error, not when we ended it.
        assert_eq!(next(&ending, &gone, None, &tried(0, true, 1), &KNOBS), Next::Report);
        let with_turn = Summary { assistant_turns: 1, ..gone.clone() };
        assert_eq!(next(&ending, &with_turn, None, &resumed, &KNOBS), Next::Report);
        assert_eq!(next(&ending, &Summary::default(), None, &resumed, &KNOBS), Next::Report);
        let ended = Ending { status: Status::Timeout, ..ending };
        assert_eq!(next(&ended, &gone, None, &resumed, &KNOBS), Next::Report);
    }
}
