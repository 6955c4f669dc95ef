//! What follows an attempt: the report, one more attempt, or a place in the queue until a hold is
//! over.
//!
//! Owns the one retry that a dispatch may have, and how often it may wait. Must not wait or start
//! anything. A task may already have edited files when its session fails, so a retry continues that
//! session where it can; and the agent has repeated its requests for minutes before it gives up, so
//! repeating more often than once only burns the account.

use std::time::Duration;

use super::outcome::Ending;
use super::record::{AttemptStart, Mode, Moment, NextStep};
use super::sign::Sign;
use crate::pure::agent::{Driver, Summary};
use crate::pure::config::{OnInterrupt, Settings};
use crate::pure::report::{ErrorType, Status};

/// A dispatch has at most one counted retry.
pub const RETRIES_MAX: u32 = 1;
/// How often one dispatch goes back into the queue for a usage limit; the next time it has failed.
pub const WAITS_MAX: u32 = 5;

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Knobs {
    pub rate_limit_backoff_ms: u64,
    /// A session whose end nobody saw is run once more.
    pub retry_interrupted: bool,
    /// How long a dispatch may be tried as a probe of a refusal before it has failed.
    pub probe_keep_ms: u64,
}

impl Knobs {
    pub fn of(settings: &Settings) -> Knobs {
        let ms = |span: Duration| u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        Knobs {
            rate_limit_backoff_ms: ms(settings.rate_limit_backoff),
            retry_interrupted: settings.on_interrupt == OnInterrupt::Retry,
            probe_keep_ms: ms(settings.probe_keep),
        }
    }
}

/// The attempt that just ended.
#[derive(Clone, Copy)]
pub struct Tried<'a> {
    pub driver: &'static Driver,
    pub start: &'a AttemptStart,
    pub ending: &'a Ending,
    pub summary: &'a Summary,
    /// What the attempt says about its agent.
    pub sign: Option<&'a Sign>,
}

/// What follows an attempt that ends now.
pub fn next(tried: Tried, now: &Moment, knobs: &Knobs) -> NextStep {
    let Tried { start, ending, summary, sign, .. } = tried;
    let error_type = match (ending.status, ending.error_type) {
        (Status::Failed, Some(error_type)) => error_type,
        (Status::Failed, None) | (Status::Completed | Status::Cancelled | Status::Timeout, _) => {
            return NextStep::Report;
        }
    };
    let retry = |mode, retries, delay_ms: u64| NextStep::Retry {
        mode,
        retries,
        not_before_ms: now.at_ms.saturating_add_unsigned(delay_ms),
        delay_ms,
    };
    if start.is_resumed() && session_is_gone(tried) {
        // Nothing ran, so nothing was tried: it is still the same retry.
        return retry(Mode::AsIs, start.retries, 0);
    }
    if let Some(Sign::Met { kind, .. }) = sign {
        return after_hold(tried, *kind, now, knobs);
    }
    if error_type == ErrorType::SpawnFailed && !start.relaunched {
        // The launcher failed and the agent never ran, so this was not the retry of anything.
        return retry(start.mode.clone(), start.retries, knobs.rate_limit_backoff_ms);
    }
    if start.retries >= RETRIES_MAX {
        return NextStep::Report;
    }
    let (mode, delay_ms) = match error_type {
        // Without a reset time to wait for, a usage limit is like any rate limit.
        ErrorType::RateLimit | ErrorType::UsageLimit => {
            (continued(tried.driver, summary), knobs.rate_limit_backoff_ms)
        }
        ErrorType::ToolFailure => (continued(tried.driver, summary), 0),
        ErrorType::ContextOverflow if start.had_learnings => (Mode::WithoutLearnings, 0),
        ErrorType::Interrupted if knobs.retry_interrupted => (continued(tried.driver, summary), 0),
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
        | ErrorType::QueueTimeout
        | ErrorType::NotAuthorized => return NextStep::Report,
    };
    retry(mode, start.retries + 1, delay_ms)
}

/// What follows when the attempt ran into something that holds its agent. A usage limit opens by
/// itself. A refusal is reported, unless a probe met it: a probe only found that the hold is not
/// over.
fn after_hold(tried: Tried, kind: ErrorType, now: &Moment, knobs: &Knobs) -> NextStep {
    let start = tried.start;
    let queue = |waits| NextStep::Queue { mode: as_before(tried), retries: start.retries, waits };
    if kind == ErrorType::UsageLimit {
        let may_wait = start.waits < WAITS_MAX;
        return if may_wait { queue(start.waits + 1) } else { NextStep::Report };
    }
    let may_wait = start.probe && now.ms_since(&start.first) < knobs.probe_keep_ms;
    if may_wait { queue(start.waits) } else { NextStep::Report }
}

/// The agent refused to work, so the next attempt has to do what this one should have done.
fn as_before(Tried { driver, start, summary, .. }: Tried) -> Mode {
    match (&summary.session_id, continued(driver, summary)) {
        (Some(session_id), _) if start.is_resumed() && driver.can_resume() => {
            Mode::Resume { session_id: session_id.clone() }
        }
        (_, Mode::AsIs) if !start.had_learnings => Mode::WithoutLearnings,
        (_, mode) => mode,
    }
}

/// How the session is continued. One in which the model did nothing holds nothing that a new one
/// lacks.
fn continued(driver: &Driver, summary: &Summary) -> Mode {
    match &summary.session_id {
        Some(session_id) if summary.assistant_turns > 0 && driver.can_resume() => {
            Mode::Resume { session_id: session_id.clone() }
        }
        Some(_) | None => Mode::AsIs,
    }
}

/// What others are told of the agent. Only a probe tells that it works; that it does not work is
/// told once nothing more is tried.
pub fn sign_to_tell(start: &AttemptStart, sign: Option<Sign>, next: &NextStep) -> Option<Sign> {
    sign.filter(|sign| match sign {
        Sign::Clear { .. } => start.probe,
        Sign::Met { .. } => !matches!(next, NextStep::Retry { .. }),
    })
}

/// The agent no longer knows the session that it should resume, and so did nothing.
fn session_is_gone(Tried { driver, ending, summary, .. }: Tried) -> bool {
    let error = ending.error.as_deref().unwrap_or_default();
    summary.assistant_turns == 0 && driver.session_is_gone(summary, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::agent::{Failure, ResultEvent, claude};

    const KNOBS: Knobs =
        Knobs { rate_limit_backoff_ms: 30_000, retry_interrupted: false, probe_keep_ms: 100_000 };

    fn failed(error_type: ErrorType) -> Ending {
        Ending {
            status: Status::Failed,
            error_type: Some(error_type),
            error: Some("x".to_string()),
            warnings: Vec::new(),
        }
    }

    /// An attempt that began a second before [`now`].
    fn start(had_learnings: bool, retries: u32) -> AttemptStart {
        AttemptStart { attempt: retries + 1, retries, had_learnings, ..AttemptStart::default() }
    }

    fn tried<'a>(
        start: &'a AttemptStart,
        ending: &'a Ending,
        summary: &'a Summary,
        sign: Option<&'a Sign>,
    ) -> Tried<'a> {
        Tried { driver: &claude::DRIVER, start, ending, summary, sign }
    }

    fn resumed(start: AttemptStart) -> AttemptStart {
        AttemptStart { mode: Mode::Resume { session_id: "s-0".into() }, ..start }
    }

    fn seconds(at: i64) -> Moment {
        Moment { at_ms: at * 1000, monotonic_ms: at * 1000, boot_id: String::new() }
    }

    fn now() -> Moment {
        seconds(1)
    }

    fn turns(assistant_turns: u64) -> Summary {
        Summary { assistant_turns, session_id: Some("s-1".into()), ..Summary::default() }
    }

    fn resume() -> Mode {
        Mode::Resume { session_id: "s-1".to_string() }
    }

    fn retry(retries: u32, delay_ms: u64, mode: Mode) -> NextStep {
        NextStep::Retry { mode, retries, not_before_ms: 1000 + delay_ms as i64, delay_ms }
    }

    #[test]
    fn one_retry_at_most_and_only_for_what_may_pass() {
        use ErrorType::*;
        let first = |mode, delay_ms| retry(1, delay_ms, mode);
        let unnamed = Summary { session_id: None, ..turns(1) };
        let rows = [
            (RateLimit, turns(0), start(true, 0), first(Mode::AsIs, 30_000)),
            (RateLimit, turns(2), start(true, 0), first(resume(), 30_000)),
            (RateLimit, turns(2), start(true, 1), NextStep::Report),
            (UsageLimit, turns(0), start(true, 0), first(Mode::AsIs, 30_000)),
            (UsageLimit, turns(0), start(true, 1), NextStep::Report),
            (ToolFailure, turns(0), start(true, 0), first(Mode::AsIs, 0)),
            (ToolFailure, turns(1), start(false, 0), first(resume(), 0)),
            (ToolFailure, turns(1), start(false, 1), NextStep::Report),
            (ToolFailure, unnamed, start(true, 0), first(Mode::AsIs, 0)),
            (ContextOverflow, turns(5), start(true, 0), first(Mode::WithoutLearnings, 0)),
            (ContextOverflow, turns(5), start(false, 0), NextStep::Report),
            (ContextOverflow, turns(5), start(true, 1), NextStep::Report),
        ];
        for (error_type, summary, start, wanted) in rows {
            let got = next(tried(&start, &failed(error_type), &summary, None), &now(), &KNOBS);
            assert_eq!(got, wanted, "{error_type:?} {start:?}");
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
            NotAuthorized,
        ] {
            let start = AttemptStart { relaunched: true, ..start(true, 0) };
            let ending = failed(error_type);
            let got = next(tried(&start, &ending, &turns(3), None), &now(), &KNOBS);
            assert_eq!(got, NextStep::Report, "{error_type:?}");
        }
    }

    #[test]
    fn a_launcher_that_failed_is_tried_again_once_and_counts_as_no_retry() {
        let ending = failed(ErrorType::SpawnFailed);
        let relaunched = |start| AttemptStart { relaunched: true, ..start };
        for (start, wanted) in [
            (start(true, 0), retry(0, 30_000, Mode::AsIs)),
            (start(true, 1), retry(1, 30_000, Mode::AsIs)),
            (
                resumed(start(true, 1)),
                retry(1, 30_000, Mode::Resume { session_id: "s-0".to_string() }),
            ),
            (relaunched(start(true, 0)), NextStep::Report),
            (relaunched(start(true, 1)), NextStep::Report),
        ] {
            let got = next(tried(&start, &ending, &turns(0), None), &now(), &KNOBS);
            assert_eq!(got, wanted, "{start:?}");
        }
    }

    #[test]
    fn what_ran_into_a_hold_waits_for_it_and_is_no_retry() {
        use ErrorType::*;
        let bare = |waits| AttemptStart { waits, ..start(true, 0) };
        let probe = || AttemptStart { probe: true, ..start(true, 0) };
        let queue = |mode, retries, waits| NextStep::Queue { mode, retries, waits };
        let rows = [
            (UsageLimit, turns(0), bare(0), 1, queue(Mode::AsIs, 0, 1)),
            (UsageLimit, turns(0), bare(4), 1, queue(Mode::AsIs, 0, 5)),
            (UsageLimit, turns(0), bare(5), 1, NextStep::Report),
            (UsageLimit, turns(0), start(true, 1), 1, queue(Mode::AsIs, 1, 1)),
            (UsageLimit, turns(3), start(true, 0), 1, queue(resume(), 0, 1)),
            // The session that it was to continue, and learnings that were too long, are
            // remembered.
            (UsageLimit, turns(0), resumed(bare(1)), 1, queue(resume(), 0, 2)),
            (UsageLimit, turns(0), start(false, 1), 1, queue(Mode::WithoutLearnings, 1, 1)),
            (Auth, turns(0), bare(0), 1, NextStep::Report),
            (Auth, turns(0), probe(), 99, queue(Mode::AsIs, 0, 0)),
            (Billing, turns(0), probe(), 99, queue(Mode::AsIs, 0, 0)),
            (Config, turns(0), AttemptStart { waits: 5, ..probe() }, 0, queue(Mode::AsIs, 0, 5)),
            (Auth, turns(0), probe(), 100, NextStep::Report),
        ];
        for (kind, summary, start, at, wanted) in rows {
            let sign = Sign::Met { kind, resets_at_ms: None, reason: String::new() };
            let got =
                next(tried(&start, &failed(kind), &summary, Some(&sign)), &seconds(at), &KNOBS);
            assert_eq!(got, wanted, "{kind:?} {start:?}");
        }
    }

    #[test]
    fn what_did_not_fail_is_reported() {
        for status in [Status::Completed, Status::Cancelled, Status::Timeout] {
            let ending = Ending { status, ..failed(ErrorType::ToolFailure) };
            let (start, turns) = (start(true, 0), turns(1));
            let got = next(tried(&start, &ending, &turns, None), &now(), &KNOBS);
            assert_eq!(got, NextStep::Report, "{status:?}");
        }
    }

    #[test]
    fn an_interrupted_session_runs_again_only_if_asked_and_only_once() {
        let ending = failed(ErrorType::Interrupted);
        let knobs = Knobs { retry_interrupted: true, ..KNOBS };
        let again =
            |start: AttemptStart| next(tried(&start, &ending, &turns(0), None), &now(), &knobs);
        assert_eq!(again(start(true, 0)), retry(1, 0, Mode::AsIs));
        assert_eq!(again(start(true, 1)), NextStep::Report);
    }

    #[test]
    fn a_session_that_is_gone_is_replaced_within_the_same_retry() {
        let said = "No conversation found with session ID: s-1".to_string();
        let failure = Failure { error_type: ErrorType::ToolFailure, message: said.clone() };
        let result = ResultEvent { failure: Some(failure), ..ResultEvent::default() };
        let gone = Summary { results: 1, result: Some(result), ..Summary::default() };
        let again = retry(1, 0, Mode::AsIs);
        let ending = Ending { error: Some(said.clone()), ..failed(ErrorType::ToolFailure) };
        let after = |start: AttemptStart, ending: &Ending, summary: &Summary| {
            next(tried(&start, ending, summary, None), &now(), &KNOBS)
        };
        let a_resumed_one = || resumed(start(true, 1));
        assert_eq!(after(a_resumed_one(), &ending, &gone), again);

        let on_stderr = Ending { error: Some(said), ..failed(ErrorType::Config) };
        assert_eq!(after(a_resumed_one(), &on_stderr, &Summary::default()), again);

        // The report follows after a fresh start, after a turn, after another error, and after our
        // own stop.
        let with_turn = Summary { assistant_turns: 1, ..gone.clone() };
        let ended = Ending { status: Status::Timeout, ..ending.clone() };
        for (start, ending, summary) in [
            (start(true, 1), &ending, &gone),
            (a_resumed_one(), &ending, &with_turn),
            (a_resumed_one(), &failed(ErrorType::ToolFailure), &Summary::default()),
            (a_resumed_one(), &ended, &gone),
        ] {
            assert_eq!(after(start, ending, summary), NextStep::Report);
        }
    }

    #[test]
    fn that_an_agent_works_is_news_of_a_probe_and_that_it_does_not_once_nothing_is_tried() {
        let (clear, met) = (
            Sign::Clear { started_at_ms: 1 },
            Sign::Met { kind: ErrorType::Auth, resets_at_ms: None, reason: String::new() },
        );
        let (probe, other) = (AttemptStart { probe: true, ..start(true, 0) }, start(true, 0));
        let again = retry(1, 0, Mode::AsIs);
        for (start, sign, next, want) in [
            (&probe, &clear, &NextStep::Report, true),
            (&other, &clear, &NextStep::Report, false),
            (&other, &met, &NextStep::Report, true),
            (&other, &met, &again, false),
        ] {
            let told = sign_to_tell(start, Some(sign.clone()), next);
            assert_eq!(told.is_some(), want, "{sign:?} {next:?}");
        }
    }
}
