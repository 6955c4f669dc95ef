//! What the next attempt of a dispatch is to be, from what the last one left on record. A claim of
//! this start and one of an earlier daemon go the same way.

use super::claim::{FirstStart, NextStep};
use super::policy::Mode;
use super::report::GitFacts;

/// What the next attempt is to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub number: u32,
    pub mode: Mode,
    /// Counted retries, this one included.
    pub retries: u32,
    /// Waits for a usage limit so far.
    pub waits: u32,
    /// It comes out of the queue, not from the attempt before it.
    pub is_queued: bool,
    /// Milliseconds still to wait.
    pub wait_ms: u64,
    pub first: Option<FirstStart>,
    /// The project before the first attempt.
    pub git: Option<GitFacts>,
}

/// The last attempt that began.
#[derive(Clone, Debug)]
pub struct Last {
    pub number: u32,
    /// What it was to be; `None`: that cannot be read.
    pub start: Option<Start>,
    /// `None`: it never ran. The disk refused in the middle of its start.
    pub end: Option<End>,
}

/// Of its start.
#[derive(Clone, Debug)]
pub struct Start {
    pub mode: Mode,
    pub retries: u32,
    pub waits: u32,
    pub first: FirstStart,
    pub git: GitFacts,
}

/// Of its end.
#[derive(Clone, Debug)]
pub struct End {
    pub next: NextStep,
    pub first: FirstStart,
    pub git: GitFacts,
}

/// `now_ms`: the wall clock, in milliseconds since 1970.
pub fn next(last: Option<Last>, now_ms: i64) -> Plan {
    let fresh = Plan {
        number: 1,
        mode: Mode::AsIs,
        retries: 0,
        waits: 0,
        is_queued: true,
        wait_ms: 0,
        first: None,
        git: None,
    };
    let Some(Last { number, start, end }) = last else { return fresh };
    let next = Plan { number: number + 1, is_queued: false, ..fresh };
    let Some(End { next: step, first, git }) = end else {
        // What it was to do still is to be done.
        let Some(Start { mode, retries, waits, first, git }) = start else { return next };
        return Plan { mode, retries, waits, first: Some(first), git: Some(git), ..next };
    };
    let before =
        GitFacts { branch: git.branch, head_before: git.head_before, ..GitFacts::default() };
    let after = Plan { first: Some(first), git: Some(before), ..next };
    let wait_ms = step.wait_ms(now_ms);
    match step {
        NextStep::Report => after,
        NextStep::Retry { mode, retries, .. } => {
            let waits = start.map_or(0, |start| start.waits);
            Plan { mode, retries, waits, wait_ms, ..after }
        }
        NextStep::Queue { mode, retries, waits } => {
            Plan { mode, retries, waits, is_queued: true, ..after }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_attempt_follows_from_what_the_last_one_left() {
        let first = FirstStart { at_ms: 7, monotonic_ms: 8, boot_id: "b".into() };
        let head = |after: Option<&str>| GitFacts {
            head_before: Some("h".into()),
            head_after: after.map(str::to_string),
            ..GitFacts::default()
        };
        let start = Start {
            mode: Mode::WithoutLearnings,
            retries: 1,
            waits: 3,
            first: first.clone(),
            git: head(None),
        };
        let ended = |next| {
            let end = End { next, first: first.clone(), git: head(Some("later")) };
            Some(Last { number: 2, start: Some(start.clone()), end: Some(end) })
        };
        let cut_off = |start| Some(Last { number: 2, start, end: None });
        let retry =
            NextStep::Retry { mode: Mode::AsIs, retries: 1, not_before_ms: 500, delay_ms: 600 };
        let queue = NextStep::Queue { mode: Mode::AsIs, retries: 1, waits: 4 };
        // Number, retries, waits, out of the queue, wait, whether it is known when the first one
        // started.
        for (what, last, want) in [
            ("none began", None, (1, 0, 0, true, 0, false)),
            ("a retry", ended(retry), (3, 1, 3, false, 400, true)),
            ("it waits for a hold", ended(queue), (3, 1, 4, true, 0, true)),
            ("a report", ended(NextStep::Report), (3, 0, 0, false, 0, true)),
            ("cut off at its start", cut_off(Some(start.clone())), (3, 1, 3, false, 0, true)),
            ("the same, and unreadable", cut_off(None), (3, 0, 0, false, 0, false)),
        ] {
            let plan = next(last, 100);
            let Plan { number, retries, waits, is_queued, wait_ms, .. } = plan;
            let got = (number, retries, waits, is_queued, wait_ms, plan.first.is_some());
            assert_eq!(got, want, "{what}");
            assert_eq!(plan.git.is_some(), plan.first.is_some(), "{what}");
            assert!(plan.git.is_none_or(|git| git == head(None)), "{what}: as it was before");
        }
    }
}
