//! What intake and the owners of claims tell each other: a job goes one way, events come back, and
//! a claim moves with them.
//!
//! A cancel is a flag and no message: only the owner of a session ends it, when it next looks at
//! the flag.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::conclude::Answering;
use crate::effects::store::Claim;
use crate::pure::attempt::record::AttemptEnd;
use crate::pure::attempt::sign::Sign;
use crate::pure::dispatch::DispatchId;
use crate::pure::gate::PendingRecord;
use crate::pure::gate::clawvisor::TaskId;
use crate::pure::schedule::hold::Notice;

/// One claim on its way to a worker, with the flag by which it can be cancelled.
pub struct Job {
    pub claim: Claim,
    pub cancel: Cancel,
    /// The claim is let through a hold.
    pub probe: bool,
}

/// Asks the owner of a session to end it. The owner looks about once a second.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<Line>);

#[derive(Debug, Default)]
struct Line {
    is_asked: AtomicBool,
    has_begun: AtomicBool,
}

impl Cancel {
    pub fn ask(&self) {
        self.0.is_asked.store(true, Ordering::Release);
    }

    pub fn is_asked(&self) -> bool {
        self.0.is_asked.load(Ordering::Acquire)
    }

    /// The owner has seen that the sender still wants the dispatch, which can no longer be
    /// withdrawn.
    pub fn begin(&self) {
        self.0.has_begun.store(true, Ordering::Release);
    }

    pub fn has_begun(&self) -> bool {
        self.0.has_begun.load(Ordering::Acquire)
    }
}

/// What the owner of a claim tells intake. The channel is unbounded: a worker must never wait for
/// intake, which may be waiting for it.
pub enum Event {
    /// An attempt starts, or started `elapsed` ago.
    Attempt { id: DispatchId, number: u32, elapsed: Duration },
    /// The dispatch's folder is gone from `active/`: it has its report, or it turned out to be no
    /// acceptance.
    Closed { id: DispatchId },
    /// The claim goes back into the queue: nothing could be started, for a reason that has nothing
    /// to do with it.
    Back { claim: Claim, error: String },
    /// The claim goes back into the queue, first in line: it is a retry of an adopted session, or
    /// it ran into a hold.
    Again { claim: Claim },
    /// At its turn the claim turned out to need somebody's word. It is in `pending/` by now, unless
    /// it has run before.
    Waits { claim: Claim, record: PendingRecord },
    /// At its turn, no file of the dispatch was found under a name that it is known by. Intake sees
    /// whether it has another name.
    Nameless { claim: Claim },
    /// An attempt says something about its agent. This is sent before what becomes of its claim.
    Notice(Box<Notice>),
    /// Clawvisor has answered about a task that a claim waits for.
    TaskAnswered { task: TaskId },
    /// The dispatch is left as it stands on disk, for the next daemon.
    Left { id: DispatchId },
    /// The dispatch's own trouble keeps its answer from being seen through; intake looks at it
    /// again with each scan.
    Parked { answering: Box<Answering>, error: String },
}

/// What the end of an attempt says about its agent, if anything.
pub fn notice_of(claim: &Claim, end: &AttemptEnd) -> Option<Notice> {
    end.sign.as_ref().map(|sign| notice(claim, sign.clone()))
}

pub fn notice(claim: &Claim, sign: Sign) -> Notice {
    Notice {
        id: claim.id.clone(),
        agent: claim.agent,
        lane: claim.lane.clone(),
        project: claim.project.to_string(),
        sign,
    }
}
