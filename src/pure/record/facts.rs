//! What the files say of one dispatch at one moment, as values.
//!
//! Folders decide the state; what stands in them gives the rest. Whoever reads them
//! ([`crate::effects::store`]) decides nothing.

use std::ffi::OsString;

use super::DispatchState;
use super::fields::DispatchFields;
use crate::pure::attempt::record::{AttemptEnd, NextStep};
use crate::pure::dispatch::{DispatchId, Lane};
use crate::pure::gate::PendingWhy;
use crate::pure::report::Report;

#[derive(Clone, Debug)]
pub struct DispatchFacts {
    /// `None`: none can be read from its file.
    pub id: Option<DispatchId>,
    /// What its sender wrote.
    pub fields: Option<DispatchFields>,
    /// In RFC 3339.
    pub accepted_at: Option<String>,
    /// The number of its acceptance, by which its turn comes.
    pub seq: u64,
    /// The file that its sender dropped, as it was then, and the number of that file.
    pub inbox_file: Option<(OsString, u64)>,
    pub is_cancel_asked: bool,
    /// The ids of its retries.
    pub retried_as: Vec<String>,
    pub stage: Stage,
}

/// Where it lies, and what stands there.
#[derive(Clone, Debug)]
pub enum Stage {
    /// The name of its file there.
    Inbox {
        file: Option<String>,
    },
    Pending(Option<PendingWhy>),
    Active(OpenFacts),
    Ended(Box<Report>),
    Rejected(RejectedFacts),
}

/// A dispatch in `active/`.
#[derive(Clone, Debug, Default)]
pub struct OpenFacts {
    /// Milliseconds since 1970. `None`: no attempt has started.
    pub first_started_ms: Option<i64>,
    pub last: Option<LastAttempt>,
    /// The working tree in which it works, or would work. `None`: nobody needs to know.
    pub lane: Option<Lane>,
    /// A session has removed its own folder; that it started is all that is known.
    pub is_bare: bool,
}

/// The newest attempt that has started.
#[derive(Clone, Debug)]
pub struct LastAttempt {
    pub number: u32,
    pub end: Option<Box<AttemptEnd>>,
    pub output_bytes: Option<u64>,
    /// When its output last grew, in milliseconds since 1970.
    pub last_activity_ms: Option<i64>,
}

/// A file that was refused.
#[derive(Clone, Debug, Default)]
pub struct RejectedFacts {
    /// The word of `reason.json`.
    pub reason: Option<String>,
    pub error: Option<String>,
    pub file: Option<String>,
    /// In RFC 3339.
    pub at: Option<String>,
    /// The report that says so, if there is one.
    pub report: Option<Box<Report>>,
}

impl DispatchFacts {
    pub fn new(id: Option<DispatchId>, stage: Stage) -> DispatchFacts {
        DispatchFacts {
            id,
            fields: None,
            accepted_at: None,
            seq: 0,
            inbox_file: None,
            is_cancel_asked: false,
            retried_as: Vec::new(),
            stage,
        }
    }

    pub fn state(&self) -> DispatchState {
        match &self.stage {
            Stage::Inbox { .. } => DispatchState::Inbox,
            Stage::Pending(_) => DispatchState::Pending,
            Stage::Active(open) if open.is_queued() => DispatchState::Queued,
            Stage::Active(_) => DispatchState::Running,
            Stage::Ended(report) => DispatchState::of_report(report.status, report.error_type),
            Stage::Rejected(_) => DispatchState::Rejected,
        }
    }

    /// Whether an attempt has ever started.
    pub fn has_started(&self) -> bool {
        match &self.stage {
            Stage::Inbox { .. } | Stage::Pending(_) | Stage::Rejected(_) => false,
            Stage::Active(open) => open.is_bare || open.last.is_some(),
            Stage::Ended(report) => !report.attempts.is_empty() || report.started_at.is_some(),
        }
    }

    pub fn open(&self) -> Option<&OpenFacts> {
        match &self.stage {
            Stage::Active(open) => Some(open),
            Stage::Inbox { .. } | Stage::Pending(_) | Stage::Ended(_) | Stage::Rejected(_) => None,
        }
    }

    /// Where two sightings of one dispatch differ, the one that is further on its way counts.
    pub fn progress(&self) -> u8 {
        match &self.stage {
            Stage::Rejected(_) => 0,
            Stage::Inbox { .. } => 1,
            Stage::Pending(_) => 2,
            Stage::Active(_) => 3,
            Stage::Ended(_) => 4,
        }
    }
}

impl OpenFacts {
    /// It waits for its turn: for the first time, or for a hold that its last attempt met.
    pub fn is_queued(&self) -> bool {
        match self.last.as_ref().map(|last| last.next()) {
            None => !self.is_bare,
            Some(Some(NextStep::Queue { .. })) => true,
            Some(Some(NextStep::Retry { .. } | NextStep::Report) | None) => false,
        }
    }
}

impl LastAttempt {
    /// What follows it. `None`: it has not ended.
    pub fn next(&self) -> Option<&NextStep> {
        self.end.as_ref().map(|end| &end.next)
    }
}
