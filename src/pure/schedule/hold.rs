//! Holds: which agent waits, until when, and why. They keep a closed usage window from being burnt.
//!
//! They are a value with one owner (intake) and no clock; the queue asks it whether something may
//! start now. A hold is shut until a time; then it is half-open: one dispatch is let through as a
//! probe, and how that one ends decides for all. What an attempt says about its agent is a
//! [`Sign`].
//!
//! A usage limit is the account's and holds the agent everywhere. A refusal (credentials, credit,
//! model) may be one project's settings and holds that project, until a second project is refused
//! alike.

use serde::{Deserialize, Serialize};

use crate::pure::attempt::sign::{Sign, is_refusal};
use crate::pure::dispatch::{Agent, DispatchId, Lane};
use crate::pure::report::ErrorType;

/// A clock that is put back by more than this ends a hold: its time means nothing any more.
const CLOCK_BACK_MS_MAX: i64 = 60_000;

/// A [`Sign`], and whom it concerns.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub id: DispatchId,
    pub agent: Agent,
    pub lane: Lane,
    /// The project as the dispatch names it, for people to read.
    pub project: String,
    pub sign: Sign,
}

/// Where a hold holds, if not everywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldProject {
    pub name: String,
    /// The lane of its dispatches.
    pub dir: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub agent: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<HeldProject>,
    pub kind: ErrorType,
    /// When the limit or refusal was last met.
    pub since_ms: i64,
    /// Nothing starts before this; then one dispatch at a time does.
    pub until_ms: i64,
    pub reason: String,
    #[serde(skip)]
    probe: Option<DispatchId>,
}

impl Hold {
    pub fn covers(&self, agent: &str, lane: &str) -> bool {
        self.agent == agent && self.project.as_ref().is_none_or(|project| project.dir == lane)
    }

    /// The dispatch that was let through, while it is under way.
    pub fn probe(&self) -> Option<&DispatchId> {
        self.probe.as_ref()
    }

    fn is_shut(&self, now_ms: i64) -> bool {
        let clock_was_put_back = now_ms < self.since_ms.saturating_sub(CLOCK_BACK_MS_MAX);
        self.probe.is_some() || (now_ms < self.until_ms && !clock_was_put_back)
    }

    fn is_like(&self, agent: &str, kind: ErrorType) -> bool {
        self.agent == agent && self.kind == kind
    }
}

/// The content of `holds.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// When it was written. What attempts said that ended later is not in it.
    pub as_of_ms: i64,
    pub holds: Vec<Hold>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HoldLimits {
    /// Longest hold for a usage limit.
    pub max_ms: i64,
    /// The pause between two probes while an agent is refused.
    pub probe_ms: i64,
}

/// Why a hold ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// A probe found that the agent works.
    Probe,
    /// Its time is over and nobody waits for it.
    Time,
    /// Somebody asked for it.
    Released,
    /// It became a hold for all projects.
    AllProjects,
}

impl Why {
    pub fn name(self) -> &'static str {
        match self {
            Why::Probe => "probe",
            Why::Time => "time",
            Why::Released => "released",
            Why::AllProjects => "all_projects",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldChange {
    Started(Hold),
    Prolonged(Hold),
    Ended(Hold, Why),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holds {
    limits: HoldLimits,
    /// The list is short: it has at most one hold for each agent and kind, and one for a project of
    /// each.
    list: Vec<Hold>,
}

impl Holds {
    pub fn new(limits: HoldLimits) -> Holds {
        Holds { limits, list: Vec::new() }
    }

    /// Sets the limits for what is met from now on.
    pub fn limit(&mut self, limits: HoldLimits) {
        self.limits = limits;
    }

    /// Takes what an earlier daemon saved, as far as it can be believed. `agents`: those that there
    /// are.
    pub fn restore(limits: HoldLimits, saved: Saved, agents: &[Agent], now_ms: i64) -> Holds {
        let mut holds = Holds::new(limits);
        for mut hold in saved.holds {
            let is_usage = hold.kind == ErrorType::UsageLimit && hold.project.is_none();
            let is_past = is_usage && hold.until_ms <= now_ms;
            let is_ours = agents.contains(&hold.agent.as_str());
            let place = holds.place(&hold.agent, hold.kind, hold.project.as_ref());
            if (is_usage || is_refusal(hold.kind)) && is_ours && !is_past && place.is_none() {
                let longest_ms = if is_usage { limits.max_ms } else { limits.probe_ms };
                hold.until_ms = hold.until_ms.min(now_ms.saturating_add(longest_ms));
                hold.since_ms = hold.since_ms.min(now_ms);
                holds.list.push(hold);
            }
        }
        holds
    }

    pub fn save(&self, now_ms: i64) -> Saved {
        Saved { as_of_ms: now_ms, holds: self.list.clone() }
    }

    pub fn list(&self) -> &[Hold] {
        &self.list
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether this agent may start in some project: no hold on all projects is shut.
    pub fn admits(&self, agent: &str, now_ms: i64) -> bool {
        !self.list.iter().any(|h| h.agent == agent && h.project.is_none() && h.is_shut(now_ms))
    }

    /// Whether a dispatch of this project may start with this agent.
    pub fn admits_in(&self, agent: &str, lane: &str, now_ms: i64) -> bool {
        !self.list.iter().any(|h| h.covers(agent, lane) && h.is_shut(now_ms))
    }

    /// Counts the start of a dispatch that was admitted. True: it starts as a probe.
    pub fn let_through(&mut self, id: &DispatchId, agent: &str, lane: &str, now_ms: i64) -> bool {
        let mut is_probe = false;
        for hold in self.list.iter_mut().filter(|hold| hold.covers(agent, lane)) {
            is_probe = true;
            hold.probe = Some(id.clone());
            if is_refusal(hold.kind) {
                // If this probe tells nothing, the next one waits as long as this one did.
                hold.until_ms = now_ms.saturating_add(self.limits.probe_ms);
            }
        }
        is_probe
    }

    /// Nobody works on this dispatch any more. True: it was a probe that told nothing.
    pub fn gone(&mut self, id: &DispatchId) -> bool {
        let mut was_probe = false;
        for hold in self.list.iter_mut().filter(|hold| hold.probe.as_ref() == Some(id)) {
            hold.probe = None;
            was_probe = true;
        }
        was_probe
    }

    /// Takes in what an attempt says. `jitter_ms` is added to a reset time, so that not all who
    /// share an account come back at once.
    pub fn learn(&mut self, notice: &Notice, now_ms: i64, jitter_ms: i64) -> Vec<HoldChange> {
        match &notice.sign {
            Sign::Clear { started_at_ms } => {
                let (agent, lane) = (notice.agent, &notice.lane);
                let is_over = |h: &Hold| h.covers(agent, lane) && h.since_ms <= *started_at_ms;
                self.end(Why::Probe, is_over)
            }
            Sign::Met { kind, resets_at_ms: Some(resets_at_ms), reason } => {
                if *resets_at_ms <= now_ms {
                    return Vec::new();
                }
                let latest_ms = now_ms.saturating_add(self.limits.max_ms);
                let until_ms = (*resets_at_ms).min(latest_ms).saturating_add(jitter_ms);
                vec![self.put(notice, None, *kind, now_ms, until_ms, reason)]
            }
            Sign::Met { kind, resets_at_ms: None, reason } => {
                self.refused(notice, *kind, now_ms, reason)
            }
        }
    }

    fn refused(
        &mut self,
        notice: &Notice,
        kind: ErrorType,
        now_ms: i64,
        reason: &str,
    ) -> Vec<HoldChange> {
        let agent = notice.agent;
        let is_elsewhere = |h: &Hold| {
            let dir = h.project.as_ref().map(|project| project.dir.as_str());
            h.is_like(agent, kind) && dir != Some(&*notice.lane)
        };
        let project = HeldProject { name: notice.project.clone(), dir: notice.lane.to_string() };
        let project = (!self.list.iter().any(is_elsewhere)).then_some(project);
        let is_everywhere = project.is_none();
        let until_ms = now_ms.saturating_add(self.limits.probe_ms);
        let mut changes = Vec::new();
        if is_everywhere {
            changes = self.end(Why::AllProjects, |h| h.is_like(agent, kind) && h.project.is_some());
        }
        changes.push(self.put(notice, project, kind, now_ms, until_ms, reason));
        changes
    }

    fn put(
        &mut self,
        notice: &Notice,
        project: Option<HeldProject>,
        kind: ErrorType,
        now_ms: i64,
        until_ms: i64,
        reason: &str,
    ) -> HoldChange {
        match self.place(notice.agent, kind, project.as_ref()) {
            Some(at) => {
                let hold = &mut self.list[at];
                // If two windows are closed, the one that opens later counts.
                hold.until_ms = hold.until_ms.max(until_ms);
                hold.since_ms = now_ms;
                hold.reason = reason.into();
                hold.probe = None;
                HoldChange::Prolonged(hold.clone())
            }
            None => {
                let (agent, reason) = (notice.agent.to_string(), reason.to_string());
                let since_ms = now_ms;
                let hold = Hold { agent, project, kind, since_ms, until_ms, reason, probe: None };
                self.list.push(hold.clone());
                HoldChange::Started(hold)
            }
        }
    }

    fn place(&self, agent: &str, kind: ErrorType, project: Option<&HeldProject>) -> Option<usize> {
        let dir = project.map(|project| &project.dir);
        self.list.iter().position(|hold| {
            hold.is_like(agent, kind) && hold.project.as_ref().map(|project| &project.dir) == dir
        })
    }

    /// Ends holds because somebody knows better: those of one `agent`, or all.
    pub fn release(&mut self, agent: Option<&str>) -> Vec<HoldChange> {
        self.end(Why::Released, |hold| agent.is_none_or(|agent| hold.agent == agent))
    }

    /// Ends the usage limits whose time is over and for which nobody waits: no probe would ever end
    /// them.
    pub fn expire(&mut self, now_ms: i64, waiting: impl Fn(&Hold) -> usize) -> Vec<HoldChange> {
        self.end(Why::Time, |hold| {
            hold.kind == ErrorType::UsageLimit && !hold.is_shut(now_ms) && waiting(hold) == 0
        })
    }

    fn end(&mut self, why: Why, is_over: impl Fn(&Hold) -> bool) -> Vec<HoldChange> {
        self.list.extract_if(.., |hold| is_over(hold)).map(|h| HoldChange::Ended(h, why)).collect()
    }

    /// In how many milliseconds the first of the holds opens.
    pub fn next_wake_ms(&self, now_ms: i64) -> Option<i64> {
        let shut = self.list.iter().filter(|h| h.probe.is_none() && h.is_shut(now_ms));
        shut.map(|hold| hold.until_ms - now_ms).min()
    }
}

#[cfg(test)]
#[path = "hold_tests.rs"]
mod tests;
