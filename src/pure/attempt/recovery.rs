//! Decides what the next daemon does with a claim that it finds in `active/` after a crash, from
//! the files alone.
//!
//! One exhaustive function takes what was found. `store` and `process` do the looking, the threads
//! do the rest; nothing here may look or act. The order of the questions is that of strength: a
//! committed report binds us most, a mere acceptance least.

use super::limits::StopCause;
use super::record::NextStep;

/// How often a dispatch may take the daemon down while its files are being read, before it is given
/// up.
pub const DEATHS_MAX: u64 = 3;

/// What stands in one claim's folder, and what is known of its processes.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundClaim {
    /// The copy matches the digest in `accepted.json`, or an attempt record holds both.
    pub accepted: bool,
    /// A note outside of the folder says that a session of the dispatch may have run.
    pub started: bool,
    pub report: bool,
    /// The dispatch was answered although there is no report in the folder: from the memory of a
    /// daemon, or before the folder went.
    pub answered: bool,
    /// The newest attempt.
    pub attempt: Option<FoundAttempt>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct FoundAttempt {
    /// `attempt.json` could be read.
    pub readable: bool,
    /// What its `end.json` says comes next.
    pub end: Option<NextStep>,
    pub stop: Option<StopCause>,
    /// How often a daemon began to read what the session left. If no end is on record, it died
    /// there each time.
    pub readings: u64,
    pub leader: Leader,
    /// Some process carries the run token or holds the lock on stdout. If the attempt is
    /// unreadable: its agent left something.
    pub traces: bool,
}

/// The agent's own process, by pid, start time and boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leader {
    Alive,
    Dead,
    /// `child.json` was never written, or this system cannot tell.
    Unknown,
}

/// What is done with the claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It was never accepted, or a power cut took the acceptance before its first attempt was
    /// durable, and so before anything ran: the folder is removed, and the inbox file is looked at
    /// anew.
    Discard,
    /// The report is committed: redo what follows (publish, outbox, remove the inbox file, retire).
    Publish,
    /// It never ran: it goes back into the queue, in its old place.
    Queue,
    /// It may have run: a thread takes it up.
    Resume(Resume),
}

/// How a thread takes up a dispatch that may have run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resume {
    /// The report is committed, and yet something of the session lives: sweep, then publish.
    Publish,
    /// The answer stands outside of the claim's folder: sweep, then see that answer through.
    Stands,
    /// Nothing says how far it came: sweep, then report it as interrupted, and never run it
    /// (again).
    Gone,
    Attempt(ResumeAttempt),
}

/// How an attempt with a record is brought to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResumeAttempt {
    /// It ended, and that is on record: sweep, then do what `end.json` says. A retry, and what
    /// waits for a hold, is queued first in line.
    Follow(Follow),
    /// We were ending it: take up the kill ladder again, then judge.
    GoOnStopping(StopCause),
    /// It still runs: watch it to its end.
    Adopt,
    /// Nobody saw its end: sweep, then let the stream's last result decide, or report it as
    /// interrupted.
    Judge,
    /// Reading it kills the daemon: sweep, then report without reading that it was stopped, or that
    /// it failed.
    GiveUp(Option<StopCause>),
}

/// What follows an end that is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follow {
    Report,
    Retry,
    Queue,
}

/// Decides what is done with a claim. An agent that lives contradicts every record of its end and
/// of its answer: both are written after its end, so somebody else wrote them (a session can write
/// whatever we can).
pub fn step(found: &FoundClaim) -> Step {
    let lives = |attempt: &FoundAttempt| attempt.readable && attempt.leader == Leader::Alive;
    if !found.attempt.as_ref().is_some_and(lives) {
        if found.report {
            return Step::Publish;
        }
        if found.answered {
            return Step::Resume(Resume::Stands);
        }
    }
    match &found.attempt {
        Some(attempt) if attempt.readable || !found.started => step_of_attempt(found, attempt),
        _ if found.started => Step::Resume(Resume::Gone),
        _ if found.accepted => Step::Queue,
        _ => Step::Discard,
    }
}

fn step_of_attempt(found: &FoundClaim, attempt: &FoundAttempt) -> Step {
    let resume = match (&attempt.end, attempt.stop, attempt.leader) {
        (None, stop, _) if attempt.readings >= DEATHS_MAX => ResumeAttempt::GiveUp(stop),
        (_, Some(cause), Leader::Alive) if attempt.readable => ResumeAttempt::GoOnStopping(cause),
        (_, None, Leader::Alive) if attempt.readable => ResumeAttempt::Adopt,
        (Some(NextStep::Report), _, _) => ResumeAttempt::Follow(Follow::Report),
        (Some(NextStep::Retry { .. }), _, _) => ResumeAttempt::Follow(Follow::Retry),
        (Some(NextStep::Queue { .. }), _, _) => ResumeAttempt::Follow(Follow::Queue),
        (None, Some(cause), _) => ResumeAttempt::GoOnStopping(cause),
        (None, None, Leader::Unknown) if attempt.readable && attempt.traces => ResumeAttempt::Adopt,
        (None, None, Leader::Unknown)
            if !attempt.readable && !attempt.traces && !found.accepted =>
        {
            return Step::Discard;
        }
        // Without a readable record there is no deadline for the session: it is ended, and the
        // report says so.
        (None, None, Leader::Alive | Leader::Dead | Leader::Unknown) => ResumeAttempt::Judge,
    };
    Step::Resume(Resume::Attempt(resume))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::attempt::record::Mode;

    const RAN: FoundAttempt = FoundAttempt {
        readable: true,
        end: None,
        stop: None,
        readings: 0,
        leader: Leader::Dead,
        traces: false,
    };

    fn found(attempt: Option<FoundAttempt>) -> FoundClaim {
        FoundClaim {
            accepted: true,
            started: attempt.is_some(),
            report: false,
            answered: false,
            attempt,
        }
    }

    #[test]
    fn each_state_has_its_step() {
        use ResumeAttempt::{Adopt, GiveUp, GoOnStopping, Judge};
        use StopCause::Ttl;
        let attempt = |resume| Step::Resume(Resume::Attempt(resume));
        let follow = |what| attempt(ResumeAttempt::Follow(what));
        let retry =
            || NextStep::Retry { mode: Mode::AsIs, retries: 1, not_before_ms: 0, delay_ms: 0 };
        let queue = || NextStep::Queue { mode: Mode::AsIs, retries: 0, waits: 1 };
        let rows = [
            ("nothing valid", FoundClaim { accepted: false, ..found(None) }, Step::Discard),
            ("accepted only", found(None), Step::Queue),
            ("committed", FoundClaim { report: true, ..found(Some(RAN)) }, Step::Publish),
            (
                "leader alive",
                found(Some(FoundAttempt { leader: Leader::Alive, ..RAN })),
                attempt(Adopt),
            ),
            ("leader dead", found(Some(RAN)), attempt(Judge)),
            ("dead, child left", found(Some(FoundAttempt { traces: true, ..RAN })), attempt(Judge)),
            (
                "killed between fork and child.json, alive",
                found(Some(FoundAttempt { leader: Leader::Unknown, traces: true, ..RAN })),
                attempt(Adopt),
            ),
            (
                "killed between attempt.json and fork",
                found(Some(FoundAttempt { leader: Leader::Unknown, ..RAN })),
                attempt(Judge),
            ),
            (
                "torn attempt.json of an agent that was never started",
                FoundClaim {
                    started: false,
                    ..found(Some(FoundAttempt { readable: false, leader: Leader::Unknown, ..RAN }))
                },
                attempt(Judge),
            ),
            (
                "unreadable, and started",
                found(Some(FoundAttempt { readable: false, leader: Leader::Unknown, ..RAN })),
                Step::Resume(Resume::Gone),
            ),
            (
                "started, and no attempt is left",
                FoundClaim { started: true, ..found(None) },
                Step::Resume(Resume::Gone),
            ),
            (
                "nothing is left but that it started",
                FoundClaim { accepted: false, started: true, ..found(None) },
                Step::Resume(Resume::Gone),
            ),
            (
                "answered from memory",
                FoundClaim { answered: true, ..found(Some(RAN)) },
                Step::Resume(Resume::Stands),
            ),
            (
                "a living agent, and an answer that cannot be ours",
                FoundClaim {
                    report: true,
                    answered: true,
                    ..found(Some(FoundAttempt { leader: Leader::Alive, end: Some(retry()), ..RAN }))
                },
                attempt(Adopt),
            ),
            (
                "torn attempt.json, and nothing else that says what it was",
                FoundClaim {
                    accepted: false,
                    started: false,
                    ..found(Some(FoundAttempt { readable: false, leader: Leader::Unknown, ..RAN }))
                },
                Step::Discard,
            ),
            (
                "the same, but the agent left something",
                FoundClaim {
                    accepted: false,
                    started: false,
                    ..found(Some(FoundAttempt {
                        readable: false,
                        leader: Leader::Unknown,
                        traces: true,
                        ..RAN
                    }))
                },
                attempt(Judge),
            ),
            (
                "we were stopping it",
                found(Some(FoundAttempt { stop: Some(Ttl), leader: Leader::Alive, ..RAN })),
                attempt(GoOnStopping(Ttl)),
            ),
            (
                "ended, report due",
                found(Some(FoundAttempt { end: Some(NextStep::Report), stop: Some(Ttl), ..RAN })),
                follow(Follow::Report),
            ),
            (
                "ended, retry due",
                found(Some(FoundAttempt { end: Some(retry()), ..RAN })),
                follow(Follow::Retry),
            ),
            (
                "ended, to wait for a hold",
                found(Some(FoundAttempt { end: Some(queue()), ..RAN })),
                follow(Follow::Queue),
            ),
            ("read once before", found(Some(FoundAttempt { readings: 2, ..RAN })), attempt(Judge)),
            (
                "poison",
                found(Some(FoundAttempt { readings: DEATHS_MAX, stop: Some(Ttl), ..RAN })),
                attempt(GiveUp(Some(Ttl))),
            ),
            (
                "read three times, and the end is known",
                found(Some(FoundAttempt {
                    readings: DEATHS_MAX,
                    end: Some(NextStep::Report),
                    ..RAN
                })),
                follow(Follow::Report),
            ),
        ];
        for (name, state, want) in rows {
            assert_eq!(step(&state), want, "{name}");
        }
    }
}
