//! One hold: whom it keeps waiting, until when, and why. What starts, prolongs and ends it is for
//! [`super::hold`] to say, which keeps all of them.
//!
//! A budget is a hold of another kind: of every agent, without a probe, and shut until the costs
//! have been counted again, whatever the clock says.

use serde::{Deserialize, Serialize};

use super::budget::{BudgetScope, UsedUp, UsedUpProject};
use crate::pure::attempt::sign::is_refusal;
use crate::pure::dispatch::DispatchId;
use crate::pure::report::ErrorType;

/// A clock that is put back by more than this ends a hold: its time means nothing any more.
pub(super) const CLOCK_BACK_MS_MAX: i64 = 60_000;

/// Where a hold holds, if not everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldProject {
    pub name: String,
    /// The lane of its dispatches.
    pub dir: String,
}

/// What a hold waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldKind {
    UsageLimit,
    Auth,
    Billing,
    Config,
    /// Enough of what was spent has to leave the window of a budget ([`super::budget`]).
    Budget,
}

impl HoldKind {
    /// What an attempt that met this makes others wait for.
    pub(super) fn of(met: ErrorType) -> Option<HoldKind> {
        let refused = is_refusal(met).then_some(match met {
            ErrorType::Auth => HoldKind::Auth,
            ErrorType::Billing => HoldKind::Billing,
            _ => HoldKind::Config,
        });
        let limited = (met == ErrorType::UsageLimit).then_some(HoldKind::UsageLimit);
        limited.or(refused)
    }

    pub(super) fn is_refusal(self) -> bool {
        matches!(self, HoldKind::Auth | HoldKind::Billing | HoldKind::Config)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Empty: every agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<HeldProject>,
    pub kind: HoldKind,
    /// When the limit or refusal was last met.
    pub since_ms: i64,
    /// Nothing starts before this; then one dispatch at a time does.
    pub until_ms: i64,
    pub reason: String,
    #[serde(skip)]
    pub(super) probe: Option<DispatchId>,
    /// Which lanes the budget of a project holds. One that was saved holds none until it is found
    /// to be used up still.
    #[serde(skip)]
    pub(super) scope: Option<BudgetScope>,
}

impl Hold {
    pub(super) fn for_budget(used_up: UsedUp, now_ms: i64) -> Hold {
        let UsedUp { project, until_ms, reason } = used_up;
        let held = |UsedUpProject { name, dir, scope }| (HeldProject { name, dir }, scope);
        let (project, scope) = project.map(held).unzip();
        let (agent, kind, probe) = (String::new(), HoldKind::Budget, None);
        Hold { agent, project, kind, since_ms: now_ms, until_ms, reason, probe, scope }
    }

    pub fn covers(&self, agent: &str, lane: &str) -> bool {
        match self.kind {
            HoldKind::Budget => self.covers_lane(lane),
            _ => self.agent == agent && self.covers_lane(lane),
        }
    }

    pub fn covers_lane(&self, lane: &str) -> bool {
        match (&self.project, self.kind) {
            (None, _) => true,
            (Some(_), HoldKind::Budget) => self.scope.as_ref().is_some_and(|s| s.covers(lane)),
            (Some(project), _) => project.dir == lane,
        }
    }

    pub fn is_budget(&self) -> bool {
        self.kind == HoldKind::Budget
    }

    /// Whether it holds this agent in every project.
    pub(super) fn holds_all_of(&self, agent: &str) -> bool {
        self.project.is_none() && (self.is_budget() || self.agent == agent)
    }

    /// The dispatch that was let through, while it is under way.
    pub fn probe(&self) -> Option<&DispatchId> {
        self.probe.as_ref()
    }

    /// A budget is shut until somebody has counted again ([`Holds::follow_budgets`]).
    pub(super) fn is_shut(&self, now_ms: i64) -> bool {
        if self.is_budget() {
            return true;
        }
        let clock_was_put_back = now_ms < self.since_ms.saturating_sub(CLOCK_BACK_MS_MAX);
        self.probe.is_some() || (now_ms < self.until_ms && !clock_was_put_back)
    }

    pub(super) fn is_like(&self, agent: &str, kind: HoldKind) -> bool {
        self.agent == agent && self.kind == kind
    }
}
