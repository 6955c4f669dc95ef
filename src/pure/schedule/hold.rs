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

use serde::{Deserialize, Deserializer, Serialize};

use super::budget::UsedUp;
pub use super::held::{HeldProject, Hold, HoldKind};
use crate::pure::attempt::sign::Sign;
use crate::pure::dispatch::{Agent, DispatchId, Lane};

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

/// The content of `holds.json`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// When it was written. What attempts said that ended later is not in it.
    pub as_of_ms: i64,
    #[serde(deserialize_with = "those_that_are_known")]
    pub holds: Vec<Hold>,
}

/// A hold of a kind that we do not know is another daemon's, and none of ours goes with it.
fn those_that_are_known<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Hold>, D::Error> {
    let all: Vec<serde_json::Value> = Vec::deserialize(from)?;
    Ok(all.into_iter().filter_map(|hold| serde_json::from_value(hold).ok()).collect())
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
            let is_usage = hold.kind == HoldKind::UsageLimit && hold.project.is_none();
            let is_past = is_usage && hold.until_ms <= now_ms;
            let is_ours = agents.contains(&hold.agent.as_str());
            let place = holds.place(&hold.agent, hold.kind, hold.project.as_ref());
            if hold.is_budget() && place.is_none() {
                // It was told of, and is counted again before anything starts.
                holds.list.push(hold);
            } else if (is_usage || hold.kind.is_refusal()) && is_ours && !is_past && place.is_none()
            {
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
        !self.list.iter().any(|h| h.holds_all_of(agent) && h.is_shut(now_ms))
    }

    /// Whether a dispatch of this project may start with this agent.
    pub fn admits_in(&self, agent: &str, lane: &str, now_ms: i64) -> bool {
        !self.list.iter().any(|h| h.covers(agent, lane) && h.is_shut(now_ms))
    }

    /// Counts the start of a dispatch that was admitted. True: it starts as a probe.
    pub fn let_through(&mut self, id: &DispatchId, agent: &str, lane: &str, now_ms: i64) -> bool {
        let mut is_probe = false;
        let of_agent = |hold: &&mut Hold| !hold.is_budget() && hold.covers(agent, lane);
        for hold in self.list.iter_mut().filter(of_agent) {
            is_probe = true;
            hold.probe = Some(id.clone());
            if hold.kind.is_refusal() {
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
                let is_over = |h: &Hold| {
                    !h.is_budget() && h.covers(agent, lane) && h.since_ms <= *started_at_ms
                };
                self.end(Why::Probe, is_over)
            }
            Sign::Met { kind, resets_at_ms, reason } => {
                let Some(kind) = HoldKind::of(*kind) else { return Vec::new() };
                let Some(resets_at_ms) = resets_at_ms else {
                    return self.refused(notice, kind, now_ms, reason);
                };
                if *resets_at_ms <= now_ms {
                    return Vec::new();
                }
                let latest_ms = now_ms.saturating_add(self.limits.max_ms);
                let until_ms = (*resets_at_ms).min(latest_ms).saturating_add(jitter_ms);
                vec![self.put(notice, None, kind, now_ms, until_ms, reason)]
            }
        }
    }

    fn refused(
        &mut self,
        notice: &Notice,
        kind: HoldKind,
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
        kind: HoldKind,
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
                let (probe, scope) = (None, None);
                let hold = Hold { agent, project, kind, since_ms, until_ms, reason, probe, scope };
                self.list.push(hold.clone());
                HoldChange::Started(hold)
            }
        }
    }

    fn place(&self, agent: &str, kind: HoldKind, project: Option<&HeldProject>) -> Option<usize> {
        let dir = project.map(|project| &project.dir);
        self.list.iter().position(|hold| {
            hold.is_like(agent, kind) && hold.project.as_ref().map(|project| &project.dir) == dir
        })
    }

    /// Ends holds because somebody knows better: those of one `agent`, or all.
    pub fn release(&mut self, agent: Option<&str>) -> Vec<HoldChange> {
        self.end(Why::Released, |hold| {
            !hold.is_budget() && agent.is_none_or(|agent| hold.agent == agent)
        })
    }

    /// Takes over which budgets are used up now; those that are not any more end.
    pub fn follow_budgets(&mut self, used_up: Vec<UsedUp>, now_ms: i64) -> Vec<HoldChange> {
        let used_up = used_up.into_iter().map(|used_up| Hold::for_budget(used_up, now_ms));
        let used_up: Vec<Hold> = used_up.collect();
        let is_same = |one: &Hold, other: &Hold| one.is_budget() && one.project == other.project;
        let mut changes = self.end(Why::Time, |hold| {
            hold.is_budget() && !used_up.iter().any(|other| is_same(other, hold))
        });
        for new in used_up {
            match self.list.iter_mut().find(|hold| is_same(hold, &new)) {
                Some(hold) => {
                    let (since_ms, is_moved) = (hold.since_ms, hold.until_ms != new.until_ms);
                    *hold = Hold { since_ms, ..new };
                    changes.extend(is_moved.then(|| HoldChange::Prolonged(hold.clone())));
                }
                None => {
                    self.list.push(new.clone());
                    changes.push(HoldChange::Started(new));
                }
            }
        }
        changes
    }

    /// Ends the usage limits whose time is over and for which nobody waits: no probe would ever end
    /// them.
    pub fn expire(&mut self, now_ms: i64, waiting: impl Fn(&Hold) -> usize) -> Vec<HoldChange> {
        self.end(Why::Time, |hold| {
            hold.kind == HoldKind::UsageLimit && !hold.is_shut(now_ms) && waiting(hold) == 0
        })
    }

    fn end(&mut self, why: Why, is_over: impl Fn(&Hold) -> bool) -> Vec<HoldChange> {
        self.list.extract_if(.., |hold| is_over(hold)).map(|h| HoldChange::Ended(h, why)).collect()
    }

    /// In how many milliseconds the first of the holds opens.
    pub fn next_wake_ms(&self, now_ms: i64) -> Option<i64> {
        let shut = self.list.iter().filter(|h| h.probe.is_none() && h.is_shut(now_ms));
        shut.map(|hold| hold.until_ms.saturating_sub(now_ms)).min()
    }

    /// When the first budget is to be counted again, in milliseconds since 1970.
    pub fn next_count_ms(&self) -> Option<i64> {
        self.list.iter().filter(|hold| hold.is_budget()).map(|hold| hold.until_ms).min()
    }
}

#[cfg(test)]
#[path = "hold_tests.rs"]
mod tests;
