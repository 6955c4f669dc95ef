//! What an open dispatch waits for that is not at work: the first of the reasons that apply, in the
//! order in which they would have to go.
//!
//! Owns that order and the sentence for each. Must not guess: what only the daemon knows comes from
//! its heartbeat.

use std::collections::HashMap;

use serde::Serialize;

use super::DispatchState;
use super::condition::DaemonFacts;
use super::facts::{DispatchFacts, OpenFacts, Stage};
use crate::pure::attempt::record::NextStep;
use crate::pure::dispatch::{DispatchId, Lane};
use crate::pure::heartbeat::HeartbeatHold;
use crate::pure::liveness::Liveness;
use crate::pure::schedule::hold::HoldKind;
use crate::pure::text::time::{parse_rfc3339, rfc3339};

/// How many ids one is told of that stand in its way.
const IDS_MAX: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    Approval,
    /// None runs, or it stops; also for a session that nobody watches.
    Daemon,
    Acceptance,
    /// The daemon is degraded, or the dispatch is parked.
    Trouble,
    Pause,
    /// It backs off in its slot.
    Retry,
    Hold,
    Budget,
    /// Others run in its project.
    Project,
    Slot,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct WaitsFor {
    pub what: WaitReason,
    /// All of it in one sentence.
    pub text: String,
    /// In RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// The other open dispatches, as far as one waits for them.
#[derive(Clone, Debug, Default)]
pub struct Peers {
    /// Those that have a slot, with their lanes, longest first.
    running: Vec<(DispatchId, Option<Lane>)>,
    /// The place of each in order of turn, from 1.
    queue: HashMap<DispatchId, usize>,
}

impl Peers {
    pub fn new<'a>(open: impl Iterator<Item = &'a DispatchFacts>) -> Peers {
        let (mut running, mut queue) = (Vec::new(), Vec::new());
        for facts in open {
            let (Some(id), Stage::Active(open)) = (&facts.id, &facts.stage) else { continue };
            match facts.state() {
                DispatchState::Queued => queue.push((facts.seq, id.clone())),
                _ => running.push((open.first_started_ms, id.clone(), open.lane.clone())),
            }
        }
        running.sort();
        queue.sort();
        Peers {
            running: running.into_iter().map(|(_, id, lane)| (id, lane)).collect(),
            queue: queue.into_iter().zip(1..).map(|((_, id), place)| (id, place)).collect(),
        }
    }

    /// 1 is the next.
    pub fn position(&self, id: &DispatchId) -> Option<usize> {
        self.queue.get(id).copied()
    }

    fn in_lane(&self, lane: Option<&Lane>) -> Vec<String> {
        let same =
            |(_, other): &&(DispatchId, Option<Lane>)| lane.is_some() && other.as_ref() == lane;
        self.running.iter().filter(same).map(|(id, _)| id.to_string()).take(IDS_MAX).collect()
    }

    fn all(&self) -> Vec<String> {
        self.running.iter().map(|(id, _)| id.to_string()).take(IDS_MAX).collect()
    }
}

/// `None`: it is at work, or it has ended.
pub fn waits_for(facts: &DispatchFacts, daemon: &DaemonFacts, peers: &Peers) -> Option<WaitsFor> {
    match &facts.stage {
        Stage::Ended(_) | Stage::Rejected(_) => None,
        Stage::Pending(_) => Some(approval(facts, daemon)),
        Stage::Inbox { .. } => without_daemon(daemon, true).or_else(|| Some(acceptance(daemon))),
        Stage::Active(open) => active(facts, open, daemon, peers),
    }
}

fn active(
    facts: &DispatchFacts,
    open: &OpenFacts,
    daemon: &DaemonFacts,
    peers: &Peers,
) -> Option<WaitsFor> {
    let next = open.last.as_ref().map(|last| last.next());
    let is_queued = open.is_queued();
    let is_at_work = matches!(next, Some(None | Some(NextStep::Report))) || open.is_bare;
    // A daemon that drains still watches what runs; what is due later is for the next one.
    if let Some(waits) = without_daemon(daemon, !is_at_work) {
        return Some(waits);
    }
    if let Some(waits) = parked(facts, daemon) {
        return Some(waits);
    }
    if is_at_work {
        return None;
    }
    let retry = match next {
        Some(Some(next @ NextStep::Retry { .. })) => Some(next),
        Some(_) | None => None,
    };
    degraded(daemon)
        .or_else(|| paused(daemon))
        .or_else(|| retry.map(|next| backs_off(next, daemon)))
        .or_else(|| {
            is_queued
                .then(|| held(facts, open, daemon).unwrap_or_else(|| turn(open, daemon, peers)))
        })
}

fn waits(what: WaitReason, text: impl Into<String>) -> WaitsFor {
    WaitsFor { what, text: text.into(), until: None, ids: Vec::new(), agent: None, kind: None }
}

fn approval(facts: &DispatchFacts, daemon: &DaemonFacts) -> WaitsFor {
    let id = facts.id.as_ref().map(DispatchId::as_str).unwrap_or_default();
    let why = match &facts.stage {
        Stage::Pending(why) => *why,
        Stage::Inbox { .. } | Stage::Active(_) | Stage::Ended(_) | Stage::Rejected(_) => None,
    };
    let beat = daemon.beat.pending.iter().find(|pending| pending.id == id);
    let until = beat.map(|pending| pending.expires_at.clone());
    let kind = why.map(|why| why.name().to_string());
    let because = kind.as_deref().map(|kind| format!(" ({kind})")).unwrap_or_default();
    let till = until.as_deref().map(|until| format!(", until {until}")).unwrap_or_default();
    let text = if why.is_none_or(|why| why.ends_by_approval()) {
        format!("waits for approval{because}{till}: approve {id}, or deny {id}")
    } else {
        format!("waits for Clawvisor{because}{till}")
    };
    WaitsFor { until, kind, ..waits(WaitReason::Approval, text) }
}

/// `is_new`: a daemon that stops is none for it.
fn without_daemon(daemon: &DaemonFacts, is_new: bool) -> Option<WaitsFor> {
    let text = match daemon.liveness {
        Liveness::Run | Liveness::Hung => return None,
        Liveness::Drain if !is_new => return None,
        Liveness::Drain => "waits for the next daemon: this one stops, and begins nothing new",
        Liveness::Stopped | Liveness::None if is_new => "waits for a daemon: none runs",
        Liveness::Dead if is_new => "waits for a daemon: the last one died",
        Liveness::Stopped | Liveness::None | Liveness::Dead => {
            "nobody watches its session: no daemon runs; the next one takes it up"
        }
    };
    Some(waits(WaitReason::Daemon, text))
}

fn acceptance(daemon: &DaemonFacts) -> WaitsFor {
    let why = daemon.beat.degraded.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    waits(WaitReason::Acceptance, format!("waits until the daemon accepts it{why}"))
}

fn parked(facts: &DispatchFacts, daemon: &DaemonFacts) -> Option<WaitsFor> {
    let id = facts.id.as_ref()?.as_str();
    let parked = daemon.beat.parked.iter().find(|parked| parked.id == id)?;
    Some(waits(WaitReason::Trouble, format!("is parked: {}", parked.reason)))
}

fn degraded(daemon: &DaemonFacts) -> Option<WaitsFor> {
    let why = daemon.beat.degraded.as_deref()?;
    Some(waits(WaitReason::Trouble, format!("waits until the daemon's trouble is over: {why}")))
}

fn paused(daemon: &DaemonFacts) -> Option<WaitsFor> {
    let until = daemon.pause?.until_ms().map(rfc3339);
    let text = match &until {
        Some(until) => format!("waits for the end of the pause, at {until} or by `resume`"),
        None => "waits for the end of the pause: resume".into(),
    };
    Some(WaitsFor { until, ..waits(WaitReason::Pause, text) })
}

fn backs_off(next: &NextStep, daemon: &DaemonFacts) -> WaitsFor {
    let until_ms = daemon.now_ms.saturating_add_unsigned(next.wait_ms(daemon.now_ms));
    let until = rfc3339(until_ms);
    let text = format!("waits for its next attempt, at {until}");
    WaitsFor { until: Some(until), ..waits(WaitReason::Retry, text) }
}

fn held(facts: &DispatchFacts, open: &OpenFacts, daemon: &DaemonFacts) -> Option<WaitsFor> {
    let agent = facts.fields.as_ref().and_then(|fields| fields.target_agent.as_deref())?;
    let holds = daemon.beat.holds.iter().filter(|hold| covers(hold, agent, open.lane.as_deref()));
    let hold = holds.max_by(|one, two| one.until.cmp(&two.until))?;
    let is_budget = hold.kind == HoldKind::Budget;
    let what = if is_budget { WaitReason::Budget } else { WaitReason::Hold };
    let is_ahead = parse_rfc3339(&hold.until).is_some_and(|until| until > daemon.now_ms);
    let kind = serde_json::to_value(hold.kind).ok();
    let kind = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default().to_string();
    let who = if hold.agent.is_empty() { "every agent" } else { hold.agent.as_str() };
    let when = match &hold.probe {
        _ if is_ahead => format!("until {}", hold.until),
        Some(probe) => format!("until {probe} shows that it is over"),
        None => "until the next look".into(),
    };
    let text = format!("waits: {who} is held ({kind}) {when}: {}", hold.reason);
    Some(WaitsFor {
        until: is_ahead.then(|| hold.until.clone()),
        agent: Some(hold.agent.clone()).filter(|agent| !agent.is_empty()),
        kind: Some(kind),
        ids: hold.probe.clone().into_iter().collect(),
        ..waits(what, text)
    })
}

/// The heartbeat has no more of a hold than people need.
fn covers(hold: &HeartbeatHold, agent: &str, lane: Option<&str>) -> bool {
    let is_of_agent = hold.agent.is_empty() || hold.agent == agent;
    let is_of_place = match (&hold.project_dir, lane) {
        (None, _) => true,
        (Some(dir), Some(lane)) => {
            let below = lane.strip_prefix(dir.as_str());
            below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
        }
        (Some(_), None) => false,
    };
    is_of_agent && is_of_place
}

fn turn(open: &OpenFacts, daemon: &DaemonFacts, peers: &Peers) -> WaitsFor {
    let in_lane = peers.in_lane(open.lane.as_ref());
    if daemon.max_per_lane > 0 && in_lane.len() >= daemon.max_per_lane {
        let text = format!("waits for {} in this project", in_lane.join(", "));
        return WaitsFor { ids: in_lane, ..waits(WaitReason::Project, text) };
    }
    let ids = peers.all();
    let is_full = daemon.beat.max_concurrent.is_none_or(|max| ids.len() >= max);
    let text = match ids.len() {
        1.. if is_full => format!("waits for a slot: {} run", ids.len()),
        _ => "waits for its turn, which is next".into(),
    };
    WaitsFor { ids, ..waits(WaitReason::Slot, text) }
}
