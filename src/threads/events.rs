//! What intake and the owners of claims tell each other: a job goes one way, events come back, and
//! a claim moves with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::conclude::{Answering, Conclusion};
use crate::effects::store::Claim;
use crate::pure::attempt::record::AttemptEnd;
use crate::pure::attempt::sign::Sign;
use crate::pure::dispatch::DispatchId;
use crate::pure::schedule::hold::Notice;

/// One claim on its way to a worker, with the line by which it can be told to stop.
pub struct Job {
    pub claim: Claim,
    pub cancel: Cancel,
    /// It is let through a hold.
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

    /// The owner has seen that its sender still wants it: it is no longer to be withdrawn.
    pub fn begin(&self) {
        self.0.has_begun.store(true, Ordering::Release);
    }

    pub fn has_begun(&self) -> bool {
        self.0.has_begun.load(Ordering::Acquire)
    }
}

/// What whoever works on a claim tells intake. Unbounded: a worker must never wait for intake,
/// which may be waiting for it.
pub enum Event {
    /// An attempt starts, or started so long ago.
    Attempt { id: DispatchId, number: u32, elapsed: Duration },
    /// Its folder is gone from `active/`: it has its report, or it turned out to be no acceptance.
    Closed { id: DispatchId },
    /// It goes back into the queue: nothing could be started, for a reason that has nothing to do
    /// with it.
    Back { claim: Claim, error: String },
    /// To be queued, first in line: a retry of an adopted session, or one that ran into a hold.
    Again { claim: Claim },
    /// At its turn no file of its was found under a name that it is known by. Whether it has
    /// another one, intake sees.
    Nameless { claim: Claim },
    /// An attempt says something about its agent. Sent before what becomes of its claim.
    Notice(Box<Notice>),
    /// It is left as it stands on disk, for the next daemon.
    Left { id: DispatchId },
    /// Its answer cannot be seen through for a trouble of its own; intake looks at it again with
    /// the beats.
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

impl From<Conclusion> for Event {
    fn from(conclusion: Conclusion) -> Event {
        match conclusion {
            Conclusion::Closed { id } => Event::Closed { id },
            Conclusion::Left { id } => Event::Left { id },
            Conclusion::Parked { answering, error } => Event::Parked { answering, error },
        }
    }
}
