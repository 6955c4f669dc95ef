//! After a crash the files alone decide: what the next daemon does with one claim that it finds in
//! `active/`.
//!
//! One exhaustive function over what was found; the looking is done by `store` and `process`, the
//! doing by the threads. The order of the questions is that of strength: a committed report binds
//! us most, a mere acceptance least.

use super::outcome::StopCause;

/// How often a dispatch may take the daemon down while its files are being read, before it is given
/// up.
pub const DEATHS_MAX: u64 = 3;

/// What stands in one claim's folder, and what is known of its processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The copy matches the digest in `accepted.json`, or an attempt record holds both.
    pub accepted: bool,
    /// It is noted outside of the folder that a session of it may have run.
    pub started: bool,
    pub report: bool,
    /// There is no report in the folder, and yet it was answered: from the memory of a daemon, or
    /// before its folder went.
    pub answered: bool,
    /// The newest attempt.
    pub attempt: Option<FoundAttempt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundAttempt {
    /// `attempt.json` could be read.
    pub readable: bool,
    pub end: Option<FoundEnd>,
    pub stop: Option<StopCause>,
    /// How often a daemon began to read what the session left; without an end on record it died
    /// there each time.
    pub readings: u64,
    pub leader: Leader,
    /// Some process carries the run token or holds the lock on stdout. Of an unreadable one: its
    /// agent left something.
    pub traces: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundEnd {
    Report,
    Retry,
    Queue,
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
    /// durable, and so before anything ran: remove the folder; the inbox file is looked at anew.
    Discard,
    /// The report is committed: redo what follows (publish, outbox, remove the inbox file, retire).
    Publish,
    /// It never ran: back into the queue, in its old place.
    Queue,
    /// Its last attempt ended and a retry was decided: sweep, then queue the next attempt, first in
    /// line.
    QueueRetry,
    /// Its last attempt ran into a hold: sweep, then queue the next attempt, first in line, where
    /// it waits for the hold.
    QueueAgain,
    /// Its last attempt ended and a report was decided: sweep, then report what `end.json` says.
    Conclude,
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
    /// It may have run, and nothing says how: sweep, then report it as interrupted, and never run
    /// it (again).
    Gone,
    /// Its answer stands outside of its folder: sweep, then see that answer through.
    Stands,
}

/// An agent that lives contradicts every record of its end and of its answer: both follow its end,
/// so somebody else wrote them (a session can write whatever we can).
pub fn step(found: &Found) -> Step {
    let lives = |attempt: &FoundAttempt| attempt.readable && attempt.leader == Leader::Alive;
    if !found.attempt.as_ref().is_some_and(lives) {
        if found.report {
            return Step::Publish;
        }
        if found.answered {
            return Step::Stands;
        }
    }
    let attempt = match found.attempt {
        Some(attempt) if attempt.readable || !found.started => attempt,
        _ if found.started => return Step::Gone,
        _ => return if found.accepted { Step::Queue } else { Step::Discard },
    };
    match (attempt.end, attempt.stop, attempt.leader) {
        (None, stop, _) if attempt.readings >= DEATHS_MAX => Step::GiveUp(stop),
        (_, Some(cause), Leader::Alive) if attempt.readable => Step::GoOnStopping(cause),
        (_, None, Leader::Alive) if attempt.readable => Step::Adopt,
        (Some(FoundEnd::Report), _, _) => Step::Conclude,
        (Some(FoundEnd::Retry), _, _) => Step::QueueRetry,
        (Some(FoundEnd::Queue), _, _) => Step::QueueAgain,
        (None, Some(cause), _) => Step::GoOnStopping(cause),
        (None, None, Leader::Unknown) if attempt.readable && attempt.traces => Step::Adopt,
        (None, None, Leader::Unknown)
            if !attempt.readable && !attempt.traces && !found.accepted =>
        {
            Step::Discard
        }
        // Without a readable record there is no deadline to hold it to: it is ended, and says so.
        (None, None, Leader::Alive | Leader::Dead | Leader::Unknown) => Step::Judge,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAN: FoundAttempt = FoundAttempt {
        readable: true,
        end: None,
        stop: None,
        readings: 0,
        leader: Leader::Dead,
        traces: false,
    };

    fn found(attempt: Option<FoundAttempt>) -> Found {
        Found {
            accepted: true,
            started: attempt.is_some(),
            report: false,
            answered: false,
            attempt,
        }
    }

    #[test]
    fn each_state_has_its_step() {
        use StopCause::Ttl;
        let rows = [
            ("nothing valid", Found { accepted: false, ..found(None) }, Step::Discard),
            ("accepted only", found(None), Step::Queue),
            ("committed", Found { report: true, ..found(Some(RAN)) }, Step::Publish),
            (
                "leader alive",
                found(Some(FoundAttempt { leader: Leader::Alive, ..RAN })),
                Step::Adopt,
            ),
            ("leader dead", found(Some(RAN)), Step::Judge),
            ("dead, child left", found(Some(FoundAttempt { traces: true, ..RAN })), Step::Judge),
            (
                "killed between fork and child.json, alive",
                found(Some(FoundAttempt { leader: Leader::Unknown, traces: true, ..RAN })),
                Step::Adopt,
            ),
            (
                "killed between attempt.json and fork",
                found(Some(FoundAttempt { leader: Leader::Unknown, ..RAN })),
                Step::Judge,
            ),
            (
                "torn attempt.json of an agent that was never started",
                Found {
                    started: false,
                    ..found(Some(FoundAttempt { readable: false, leader: Leader::Unknown, ..RAN }))
                },
                Step::Judge,
            ),
            (
                "unreadable, and started",
                found(Some(FoundAttempt { readable: false, leader: Leader::Unknown, ..RAN })),
                Step::Gone,
            ),
            ("started, and no attempt is left", Found { started: true, ..found(None) }, Step::Gone),
            (
                "nothing is left but that it started",
                Found { accepted: false, started: true, ..found(None) },
                Step::Gone,
            ),
            ("answered from memory", Found { answered: true, ..found(Some(RAN)) }, Step::Stands),
            (
                "a living agent, and an answer that cannot be ours",
                Found {
                    report: true,
                    answered: true,
                    ..found(Some(FoundAttempt {
                        leader: Leader::Alive,
                        end: Some(FoundEnd::Retry),
                        ..RAN
                    }))
                },
                Step::Adopt,
            ),
            (
                "torn attempt.json, and nothing else that says what it was",
                Found {
                    accepted: false,
                    started: false,
                    ..found(Some(FoundAttempt { readable: false, leader: Leader::Unknown, ..RAN }))
                },
                Step::Discard,
            ),
            (
                "the same, but the agent left something",
                Found {
                    accepted: false,
                    started: false,
                    ..found(Some(FoundAttempt {
                        readable: false,
                        leader: Leader::Unknown,
                        traces: true,
                        ..RAN
                    }))
                },
                Step::Judge,
            ),
            (
                "we were stopping it",
                found(Some(FoundAttempt { stop: Some(Ttl), leader: Leader::Alive, ..RAN })),
                Step::GoOnStopping(Ttl),
            ),
            (
                "ended, report due",
                found(Some(FoundAttempt { end: Some(FoundEnd::Report), stop: Some(Ttl), ..RAN })),
                Step::Conclude,
            ),
            (
                "ended, retry due",
                found(Some(FoundAttempt { end: Some(FoundEnd::Retry), ..RAN })),
                Step::QueueRetry,
            ),
            (
                "ended, to wait for a hold",
                found(Some(FoundAttempt { end: Some(FoundEnd::Queue), ..RAN })),
                Step::QueueAgain,
            ),
            ("read once before", found(Some(FoundAttempt { readings: 2, ..RAN })), Step::Judge),
            (
                "poison",
                found(Some(FoundAttempt { readings: DEATHS_MAX, stop: Some(Ttl), ..RAN })),
                Step::GiveUp(Some(Ttl)),
            ),
            (
                "read three times, and the end is known",
                found(Some(FoundAttempt {
                    readings: DEATHS_MAX,
                    end: Some(FoundEnd::Report),
                    ..RAN
                })),
                Step::Conclude,
            ),
        ];
        for (name, state, want) in rows {
            assert_eq!(step(&state), want, "{name}");
        }
    }
}
