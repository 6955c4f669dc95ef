//! What the next attempt of a dispatch is to be, from what the last one left on record. Must not
//! ask whose claim it is: one of this start and one of an earlier daemon go the same way, so that a
//! restart changes nothing.

use super::record::{AttemptEnd, AttemptStart, Mode, Moment, NextStep};
use crate::pure::report::{Approval, ErrorType, GitFacts};

/// What the next attempt is to be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NextAttempt {
    /// Attempts are counted from 1.
    pub number: u32,
    pub mode: Mode,
    /// Counted retries, this one included.
    pub retries: u32,
    /// How often the dispatch has waited for a usage limit so far.
    pub waits: u32,
    /// A launcher that failed has been tried again.
    pub relaunched: bool,
    /// The attempt comes out of the queue, not from the attempt before it.
    pub is_queued: bool,
    /// How long it still has to wait, in milliseconds.
    pub wait_ms: u64,
    /// When the first attempt started, if one did.
    pub first: Option<Moment>,
    /// What git said of the project before the first attempt.
    pub git: Option<GitFacts>,
    /// What let the dispatch run before.
    pub approval: Option<Approval>,
    /// Where the attempt before it worked, as its record has it.
    pub dir: Option<String>,
}

/// The last attempt that began.
#[derive(Clone, Debug, PartialEq)]
pub struct Last {
    pub number: u32,
    /// `None`: its record cannot be read.
    pub start: Option<AttemptStart>,
    /// `None`: it never ran, since the disk refused in the middle of its start.
    pub end: Option<AttemptEnd>,
}

/// `now_ms`: the wall clock, in milliseconds since 1970.
pub fn next(last: Option<Last>, now_ms: i64) -> NextAttempt {
    let Some(Last { number, start, end }) = last else {
        return NextAttempt { number: 1, is_queued: true, ..NextAttempt::default() };
    };
    let number = number + 1;
    match (start, end) {
        (start, Some(end)) => after(&end, start.as_ref(), now_ms),
        // The last attempt never ran, so the next one takes its place.
        (Some(start), None) => NextAttempt {
            number,
            mode: start.mode,
            retries: start.retries,
            waits: start.waits,
            relaunched: start.relaunched,
            first: Some(start.first),
            git: Some(start.git),
            approval: start.approval,
            dir: Some(start.project_dir),
            ..NextAttempt::default()
        },
        (None, None) => NextAttempt { number, ..NextAttempt::default() },
    }
}

/// What follows an attempt whose end is known. `start`: `None` if its record cannot be read.
pub fn after(end: &AttemptEnd, start: Option<&AttemptStart>, now_ms: i64) -> NextAttempt {
    let waits = start.map_or(0, |start| start.waits);
    // Only a launcher that failed is tried again after such an end.
    let is_relaunch = end.ending.error_type == Some(ErrorType::SpawnFailed);
    let (branch, head_before) = (end.git.branch.clone(), end.git.head_before.clone());
    let plan = NextAttempt {
        number: end.attempt.attempt + 1,
        first: Some(end.first.clone()),
        git: Some(GitFacts { branch, head_before, ..GitFacts::default() }),
        wait_ms: end.next.wait_ms(now_ms),
        approval: end.approval.clone(),
        dir: start.map(|start| start.project_dir.clone()),
        relaunched: is_relaunch || start.is_some_and(|start| start.relaunched),
        ..NextAttempt::default()
    };
    match end.next.clone() {
        NextStep::Report => plan,
        NextStep::Retry { mode, retries, .. } => NextAttempt { mode, retries, waits, ..plan },
        NextStep::Queue { mode, retries, waits } => {
            NextAttempt { mode, retries, waits, is_queued: true, ..plan }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::attempt::outcome::Ending;
    use crate::pure::attempt::record::AttemptFacts;
    use crate::pure::report::Status;

    fn head(after: Option<&str>) -> GitFacts {
        GitFacts {
            head_before: Some("h".into()),
            head_after: after.map(str::to_string),
            ..GitFacts::default()
        }
    }

    fn start() -> AttemptStart {
        AttemptStart {
            attempt: 2,
            mode: Mode::WithoutLearnings,
            retries: 1,
            waits: 3,
            git: head(None),
            ..AttemptStart::default()
        }
    }

    fn ended(next: NextStep) -> Option<Last> {
        let (status, error_type, error) = (Status::Failed, None, None);
        let ending = Ending { status, error_type, error, warnings: Vec::new() };
        let facts = AttemptFacts { git: head(Some("later")), ..AttemptFacts::default() };
        let end = AttemptEnd::new(&start(), facts, ending, (next, None), &Moment::default());
        Some(Last { number: 2, start: Some(start()), end: Some(end) })
    }

    #[test]
    fn the_next_attempt_follows_from_what_the_last_one_left() {
        let cut_off = |start| Some(Last { number: 2, start, end: None });
        let retry =
            NextStep::Retry { mode: Mode::AsIs, retries: 1, not_before_ms: 500, delay_ms: 600 };
        let queue = NextStep::Queue { mode: Mode::AsIs, retries: 1, waits: 4 };
        // A row expects the number, the retries, the waits, whether it comes out of the queue, the
        // wait in milliseconds, and whether the first start is known.
        for (what, last, want) in [
            ("none began", None, (1, 0, 0, true, 0, false)),
            ("a retry", ended(retry), (3, 1, 3, false, 400, true)),
            ("it waits for a hold", ended(queue), (3, 1, 4, true, 0, true)),
            ("a report", ended(NextStep::Report), (3, 0, 0, false, 0, true)),
            ("cut off at its start", cut_off(Some(start())), (3, 1, 3, false, 0, true)),
            ("the same, and unreadable", cut_off(None), (3, 0, 0, false, 0, false)),
        ] {
            let plan = next(last, 100);
            let NextAttempt { number, retries, waits, is_queued, wait_ms, .. } = plan;
            let got = (number, retries, waits, is_queued, wait_ms, plan.first.is_some());
            assert_eq!(got, want, "{what}");
            assert_eq!(plan.git.is_some(), plan.first.is_some(), "{what}");
            assert!(plan.git.is_none_or(|git| git == head(None)), "{what}: as it was before");
        }
    }

    #[test]
    fn that_a_launcher_was_tried_again_is_not_forgotten() {
        let retry =
            || NextStep::Retry { mode: Mode::AsIs, retries: 0, not_before_ms: 0, delay_ms: 0 };
        let end = |error_type| {
            let mut end = ended(retry()).and_then(|last| last.end).expect("an end");
            end.ending.error_type = error_type;
            end
        };
        let failed = end(Some(ErrorType::SpawnFailed));
        let other = end(Some(ErrorType::RateLimit));
        let again = AttemptStart { relaunched: true, ..start() };
        for (end, start, want) in [
            (&failed, start(), true),
            (&failed, again.clone(), true),
            (&other, again.clone(), true),
            (&other, start(), false),
        ] {
            assert_eq!(after(end, Some(&start), 0).relaunched, want, "{end:?}");
        }
        let cut_off = Some(Last { number: 1, start: Some(again), end: None });
        assert!(next(cut_off, 0).relaunched);
    }
}
