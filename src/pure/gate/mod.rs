//! The gate: whether a dispatch runs, waits until somebody allows it, or is refused.
//!
//! [`decide`] is the one decision, over facts that others gathered: [`place`] says what a project
//! directory may not be, [`trust`] which ones the operator trusts, [`clawvisor`] what a task there
//! allows ([`asking`] when it is asked, [`completing`] how it ends), [`signature`] who wrote the
//! dispatch, in its [`canonical`] form and by a [`key`]. The place is asked first, since no word of
//! anybody makes a dangerous one right. Must not know where a fact comes from: what was not asked,
//! or not answered, is never a yes.

pub mod asking;
pub mod canonical;
pub mod clawvisor;
pub mod completing;
pub mod key;
pub mod place;
pub mod signature;
pub mod trust;

use serde::{Deserialize, Serialize};

use super::report::ApprovedBy;
use clawvisor::TaskId;
use trust::Trust;

/// Why a dispatch waits in `pending/`. The names are those of the audit log and the heartbeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingWhy {
    UntrustedProject,
    /// Clawvisor's task covers it, but wants to be asked each time.
    PerRequest,
    NoClawvisorTask,
    /// Nobody has decided about the task in Clawvisor yet.
    ClawvisorPending,
    ClawvisorUnreachable,
}

impl PendingWhy {
    pub fn name(self) -> &'static str {
        match self {
            PendingWhy::UntrustedProject => "untrusted_project",
            PendingWhy::PerRequest => "per_request",
            PendingWhy::NoClawvisorTask => "no_clawvisor_task",
            PendingWhy::ClawvisorPending => "clawvisor_pending",
            PendingWhy::ClawvisorUnreachable => "clawvisor_unreachable",
        }
    }

    /// Whether a person may end the wait here; otherwise only Clawvisor can.
    pub fn ends_by_approval(self) -> bool {
        match self {
            PendingWhy::UntrustedProject | PendingWhy::PerRequest | PendingWhy::NoClawvisorTask => {
                true
            }
            PendingWhy::ClawvisorPending | PendingWhy::ClawvisorUnreachable => false,
        }
    }
}

/// What Clawvisor says about a dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskWord {
    /// The task is active and covers the dispatch.
    Covers {
        /// A planned call names this very project directory, so that a person saw it.
        names_dir: bool,
        /// Some entry that covers it runs without asking each time.
        auto_execute: bool,
        /// The task is for one dispatch.
        is_for_one: bool,
    },
    /// The dispatch names no task. `required`: the settings ask for one.
    NoTask { required: bool },
    /// A person has not decided about the task, or about its scope.
    Undecided,
    /// The task allows no such dispatch.
    Denies(GateRefusal),
    /// Nothing can be said now.
    Unreachable,
    /// There is no answer yet that is young enough.
    Unasked,
}

/// Why a dispatch never runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateRefusal {
    /// The answer's error.
    pub error: String,
    /// The status of its task in Clawvisor, if that is the reason.
    pub clawvisor_status: Option<String>,
}

impl<T: Into<String>> From<T> for GateRefusal {
    fn from(error: T) -> GateRefusal {
        GateRefusal { error: error.into(), clawvisor_status: None }
    }
}

/// All that the decision rests on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateFacts {
    /// Why the project directory is refused whoever asks, if it is.
    pub misplaced: Option<String>,
    /// `None`: Clawvisor is not asked at all.
    pub clawvisor: Option<TaskWord>,
    pub trust: Trust,
    /// A person approved these bytes in this directory.
    pub has_approval: bool,
    /// The sender signed strongly, and the settings take that for an approval.
    pub has_signature: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GateDecision {
    /// It runs. `None`: no gate was configured.
    Run(Option<ApprovedBy>),
    Wait(PendingWhy),
    /// Clawvisor has to be asked before anything is decided.
    Ask,
    Refuse(GateRefusal),
}

pub fn decide(facts: &GateFacts) -> GateDecision {
    use GateDecision::{Ask, Refuse, Run, Wait};
    if let Some(why) = &facts.misplaced {
        return Refuse(why.as_str().into());
    }
    let by_clawvisor = Run(Some(ApprovedBy::Clawvisor));
    let asked = match (&facts.clawvisor, facts.trust) {
        (None, Trust::NotSet) => Run(None),
        (None, Trust::Trusted) => Run(Some(ApprovedBy::TrustedProject)),
        (None, Trust::Untrusted) => Wait(PendingWhy::UntrustedProject),
        (Some(TaskWord::Covers { auto_execute: false, .. }), _) => Wait(PendingWhy::PerRequest),
        (Some(TaskWord::Covers { names_dir: true, .. }), _) => by_clawvisor,
        (Some(TaskWord::Covers { .. }), Trust::NotSet | Trust::Trusted) => by_clawvisor,
        (Some(TaskWord::Covers { .. }), Trust::Untrusted) => Wait(PendingWhy::UntrustedProject),
        (Some(TaskWord::NoTask { required: true }), _) => {
            Refuse("it names no clawvisor_task_id, and clawvisor_require_task is on".into())
        }
        (Some(TaskWord::NoTask { required: false }), _) => Wait(PendingWhy::NoClawvisorTask),
        (Some(TaskWord::Undecided), _) => Wait(PendingWhy::ClawvisorPending),
        (Some(TaskWord::Denies(why)), _) => Refuse(why.clone()),
        (Some(TaskWord::Unreachable), _) => Wait(PendingWhy::ClawvisorUnreachable),
        (Some(TaskWord::Unasked), _) => Ask,
    };
    match asked {
        Wait(why) if why.ends_by_approval() && facts.has_approval => Run(Some(ApprovedBy::Person)),
        Wait(why) if why.ends_by_approval() && facts.has_signature => {
            Run(Some(ApprovedBy::Signature))
        }
        other => other,
    }
}

/// The content of `pending/<id>/pending.json`: what it waits for, and where it would run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRecord {
    pub why: PendingWhy,
    /// The canonical directory, as [`crate::pure::text::hex::name_to_text`] writes it.
    pub dir: String,
    /// The task that Clawvisor is asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Nobody has been told that it waits, since Clawvisor may answer at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_untold: bool,
}

impl PendingRecord {
    pub fn task_id(&self) -> Option<TaskId> {
        TaskId::parse(self.task.as_deref()?)
    }

    /// Whether somebody has to be told of this, who knows what it waited for `before`. A wait that
    /// Clawvisor alone can end is told once, whichever of the two it is.
    pub fn is_news_after(&self, before: &PendingRecord) -> bool {
        let for_person = |record: &PendingRecord| record.why.ends_by_approval();
        before.is_untold || self.why != before.why && (for_person(self) || for_person(before))
    }
}

/// The content of `approval.json` in a dispatch's folder: a person's yes, to these bytes in this
/// directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonApproval {
    /// In RFC 3339.
    pub at: String,
    pub sha256: String,
    /// The canonical directory, as [`crate::pure::text::hex::name_to_text`] writes it.
    pub dir: String,
    /// Whose the request was.
    pub uid: u32,
}

impl PersonApproval {
    /// Whether it was given for these bytes in that directory.
    pub fn holds_for(&self, sha256: &str, dir: &str) -> bool {
        self.sha256 == sha256 && self.dir == dir
    }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
