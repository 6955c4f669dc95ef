//! The daemon: its files in the order in which `effects::store` writes and syncs them, its steps as
//! `threads` make them, its decisions from `pure` and from nowhere else. Where this and the real
//! code differ, this is wrong.
//!
//! One step of one thread at a time, in any order; within a step each effect may be the last one.

use std::collections::BTreeMap;

use gstack_dispatch_daemon::pure::attempt::recovery::{
    FoundAttempt, FoundClaim, Leader, Resume, Step, step as decide,
};
use gstack_dispatch_daemon::pure::attempt::sign::Sign;
use gstack_dispatch_daemon::pure::dispatch::{AGENTS, Agent, Lane};
use gstack_dispatch_daemon::pure::report::ErrorType;
use gstack_dispatch_daemon::pure::schedule::hold::{
    HoldChange, HoldKind, HoldLimits, Holds, Notice, Saved,
};
use gstack_dispatch_daemon::pure::schedule::queue::{Queue, Seq};

use crate::disk::Id;
use crate::gate::{must_wait, prepare_pending, recover_pending};
use crate::records::{Accepted, Body, Record};
use crate::store::*;
use crate::work::{Stage, Work};
use crate::world::{Durable, Result, Without, World};

const LIMITS: HoldLimits = HoldLimits { max_ms: 8 * 86_400_000, probe_ms: 300_000 };

#[derive(Clone)]
pub struct Claim {
    pub id: u32,
    pub seq: Seq,
    pub lane: Lane,
    pub agent: Agent,
    pub name: String,
    pub uid: u64,
}

/// What a daemon has in its memory.
pub struct Daemon {
    pub queue: Queue<Claim>,
    pub holds: Holds,
    pub open: BTreeMap<u32, Claim>,
    pub active: BTreeMap<u32, Work>,
    /// Claims whose names are gone.
    nameless: Vec<Claim>,
    /// Claims that wait until somebody allows them.
    pub pending: BTreeMap<u32, Claim>,
    next_seq: Seq,
    known: BTreeMap<String, Known>,
}

/// A file of the inbox that was dealt with: which one, with which bytes, and whose. `None`: it has
/// to be looked at.
struct Known {
    seen: Option<(Id, u64)>,
    of: Option<u32>,
}

pub fn claim_of(accepted: &Accepted, body: &Body) -> Claim {
    let (id, seq, name) = (body.id, accepted.seq, accepted.name.clone());
    let (lane, agent, uid) = (Lane::from(body.lane), body.agent, accepted.uid);
    Claim { id, seq, lane, agent, name, uid }
}

impl Daemon {
    /// Recovery, then all that waits.
    pub fn start(w: &mut World) -> Result<Daemon> {
        let mut waiting = Vec::new();
        let mut taken_up = Vec::new();
        let mut notices = Vec::new();
        let mut names = w.disk.list("active");
        names.extend(w.disk.list("started"));
        names.sort_unstable();
        names.dedup();
        for name in names {
            let dir = format!("active/{name}");
            let Ok(id) = name.parse::<u32>() else {
                w.remove_tree(&dir)?;
                continue;
            };
            let files = read_claim(w, &dir);
            let report = read_committed(w, &dir)?;
            let attempt = attempts(w, &dir).pop();
            let attempt = attempt.map(|number| look_at_attempt(w, id, number)).transpose()?;
            let started = has_started(w, id);
            let may_have_run = started || attempt.is_some();
            let answered = report.is_none() && may_have_run && find_answer(w, id)?.is_some();
            let accepted = files.is_some();
            let found =
                FoundClaim { accepted, started, report: report.is_some(), answered, attempt };
            let step = decide(&found);
            w.truth.note(format!("{id}: {step:?}"));
            let Some((accepted, body)) = files else {
                match step {
                    Step::Discard => w.remove_tree(&dir)?,
                    // Nothing but its mark is left of an answered one.
                    Step::Resume(Resume::Stands) => forget_start(w, id)?,
                    _ => w.truth.wrong(format!("{id}: {step:?}, and nothing says what it was")),
                }
                continue;
            };
            let claim = claim_of(&accepted, &body);
            match (step, report) {
                (Step::Discard, _) => w.remove_tree(&dir)?,
                (Step::Publish, Some(report)) => {
                    see_through(w, std::slice::from_ref(&accepted.name), &report)?
                }
                (Step::Publish, None) => {}
                (Step::Queue, _) => waiting.push(claim),
                (Step::Resume(resume), _) => {
                    let end = last_end(w, id);
                    if let Some(end) = end {
                        let sign = end.sign.as_ref().map(|sign| notice(&claim, sign));
                        notices.extend(sign.map(|sign| (end.finished_at_ms, sign)));
                    }
                    taken_up.push((claim, accepted, body, resume));
                }
            }
        }
        let (allowed, pending) = recover_pending(w)?;
        waiting.extend(allowed);
        put_back_answered(w)?;
        let mut daemon = Daemon::new(w);
        for claim in pending {
            daemon.enter(w, &claim);
            daemon.bring_name(w, &claim);
            daemon.pending.insert(claim.id, claim);
        }
        daemon.take_over(w, notices, waiting, taken_up)
    }

    fn new(w: &World) -> Daemon {
        Daemon {
            queue: Queue::new(w.settings.per_lane_max),
            holds: Holds::new(LIMITS),
            open: BTreeMap::new(),
            active: BTreeMap::new(),
            nameless: Vec::new(),
            pending: BTreeMap::new(),
            next_seq: 1,
            known: BTreeMap::new(),
        }
    }

    fn take_over(
        mut self,
        w: &mut World,
        notices: Vec<(i64, Notice)>,
        waiting: Vec<Claim>,
        taken_up: Vec<(Claim, Accepted, Body, Resume)>,
    ) -> Result<Daemon> {
        let saved = match w.disk.read("holds.json") {
            Some(Record::Holds(text)) => serde_json::from_str(text).expect("our own"),
            _ => Saved::default(),
        };
        let as_of_ms = saved.as_of_ms;
        self.holds = Holds::restore(LIMITS, saved, &AGENTS, w.wall_ms);
        for (ended_ms, notice) in notices {
            if ended_ms > as_of_ms {
                self.learn(w, &notice)?;
            }
        }
        for claim in waiting {
            self.enter(w, &claim);
            self.bring_name(w, &claim);
            self.push(w, claim);
        }
        for (claim, accepted, body, resume) in taken_up {
            if w.lacks(Without::TakingUp) {
                continue;
            }
            self.enter(w, &claim);
            self.bring_name(w, &claim);
            if !w.lacks(Without::Occupied) {
                self.queue.occupy(&claim.lane);
            }
            w.truth.is_in_hand(claim.id, &claim.lane);
            let work = Work::new(claim, accepted, body, Stage::TakeUp(resume), false);
            self.active.insert(work.claim.id, work);
        }
        w.truth.is_recovered(&w.sessions);
        Ok(self)
    }

    fn enter(&mut self, w: &World, claim: &Claim) {
        if !w.lacks(Without::RecoveredSeq) {
            self.next_seq = self.next_seq.max(claim.seq + 1);
        }
        self.open.insert(claim.id, claim.clone());
    }

    pub fn push(&mut self, w: &mut World, claim: Claim) {
        w.truth.waits(claim.id, &claim.lane, claim.agent);
        self.queue.push(claim.seq, &claim.lane.clone(), claim.agent, claim);
    }

    /// One step of somebody. False: there was nothing to do.
    pub fn step(&mut self, w: &mut World) -> Result<bool> {
        let works: Vec<u32> = self.active.keys().copied().collect();
        let begin = w.random.below(6 + works.len() as u64) as usize;
        for turn in (begin..6 + works.len()).chain(0..begin) {
            let is_done = match turn {
                0 => self.look_at_inbox(w)?,
                1 => self.hand_out(w)?,
                2 => self.look_at_cancels(w)?,
                3 => {
                    let queue = &self.queue;
                    let changes = self.holds.expire(w.wall_ms, |hold| queue.held_by(hold));
                    self.holds_changed(w, changes)?
                }
                4 => self.settle_nameless(w)?,
                5 => self.look_at_verdicts(w)?,
                work => self.work(w, works[work - 6])?,
            };
            if is_done {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn look_at_inbox(&mut self, w: &mut World) -> Result<bool> {
        for name in w.disk.list("inbox") {
            let path = format!("inbox/{name}");
            let Some(file) = w.disk.find(&path) else { continue };
            if !name.starts_with("dispatch-") {
                continue;
            }
            let Some(Record::Dispatch(body)) = w.disk.read_node(file).cloned() else { continue };
            let known = self.known.get(&name);
            if known.and_then(|known| known.seen) == Some((file, body.uid)) {
                continue;
            }
            let owner = known.and_then(|known| self.open.get(&known.of?)).cloned();
            match owner {
                Some(owner) if owner.uid == body.uid => {
                    self.belongs(&name, Some((file, body.uid)), owner.id);
                }
                Some(owner) => {
                    detach(w, owner.id)?;
                    w.truth.is_overwritten(owner.uid);
                    self.known.remove(&name);
                    self.admit(w, &name, file, body)?;
                }
                None => self.admit(w, &name, file, body)?,
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn belongs(&mut self, name: &str, seen: Option<(Id, u64)>, id: u32) {
        self.known.insert(name.into(), Known { seen, of: Some(id) });
    }

    /// What an earlier daemon has on record of its file.
    fn bring_name(&mut self, w: &World, claim: &Claim) {
        if !is_detached(w, claim.id) {
            self.belongs(&claim.name, None, claim.id);
        }
    }

    /// Each with the file that is known to be its.
    pub fn names_of(&self, id: u32) -> Vec<(String, Option<Id>)> {
        let known = self.known.iter().filter(|(_, known)| known.of == Some(id));
        known.map(|(name, known)| (name.clone(), known.seen.map(|seen| seen.0))).collect()
    }

    /// It waits for a look at the whole inbox.
    pub fn nameless(&mut self, w: &mut World, claim: Claim) {
        self.holds.gone(&notice_id(claim.id));
        self.active.remove(&claim.id);
        self.queue.release(&claim.lane);
        w.truth.is_gone(claim.id);
        for known in self.known.values_mut().filter(|known| known.of == Some(claim.id)) {
            known.seen = None;
        }
        self.nameless.push(claim);
    }

    /// Once everything in the inbox has been looked at.
    fn settle_nameless(&mut self, w: &mut World) -> Result<bool> {
        if self.nameless.is_empty() || self.look_at_inbox(w)? {
            return Ok(!self.nameless.is_empty());
        }
        let claim = self.nameless.remove(0);
        let names = self.names_of(claim.id).into_iter();
        let stands = |(name, _): (String, Option<Id>)| w.disk.find(&format!("inbox/{name}"));
        let is_named = names.filter_map(stands).next().is_some();
        if is_named || (is_detached(w, claim.id) && !w.lacks(Without::Detached)) {
            self.push(w, claim);
            return Ok(true);
        }
        w.truth.withdraws(claim.uid, &w.disk);
        let Some((accepted, _)) = read_claim(w, &claim_dir(claim.id)) else { return Ok(true) };
        self.answer_now(w, &claim, &accepted)?;
        Ok(true)
    }

    fn answer_now(&mut self, w: &mut World, claim: &Claim, accepted: &Accepted) -> Result<()> {
        self.answer_with(w, claim, accepted, ErrorType::Cancelled)
    }

    pub fn answer_with(
        &mut self,
        w: &mut World,
        claim: &Claim,
        accepted: &Accepted,
        kind: ErrorType,
    ) -> Result<()> {
        let report = report_without(w, claim.id, accepted, kind);
        commit(w, &report)?;
        let names: Vec<String> = self.names_of(claim.id).into_iter().map(|n| n.0).collect();
        see_through(w, &names, &report)?;
        self.open.remove(&claim.id);
        self.forget_names(claim.id);
        Ok(())
    }

    fn forget_names(&mut self, id: u32) {
        self.known.retain(|_, known| known.of != Some(id));
    }

    fn admit(&mut self, w: &mut World, name: &str, file: Id, body: Body) -> Result<()> {
        match taken(w, body.id).filter(|_| !w.lacks(Without::KnownIds)) {
            None => self.accept(w, name, file, body),
            Some((Some(uid), is_answered)) if uid == body.uid => {
                let is_open = self.open.contains_key(&body.id);
                let runs = self.active.get(&body.id).is_some_and(|work| work.has_begun());
                let is_second = is_open && runs;
                if is_answered || (is_second && self.has_another_name(w, &body, name)) {
                    if is_answered {
                        return remove_inbox(w, name, &body, true);
                    }
                    if !w.lacks(Without::SyncBeforeSecondGoes) {
                        detach(w, body.id)?;
                    }
                    remove_inbox(w, name, &body, true)?;
                    if self.has_another_name(w, &body, name) {
                        attach(w, body.id)?;
                    }
                    return Ok(());
                }
                let of = is_open.then_some(body.id);
                self.known.insert(name.into(), Known { seen: Some((file, body.uid)), of });
                Ok(())
            }
            Some(_) => {
                let dir = format!("rejected/{}", w.number());
                w.make_dir_anew(&dir)?;
                w.replace(&dir, "reason.json", Record::Plain, Durable::Yes)?;
                w.sync("rejected")?;
                let is_it = |w: &World, path: &str| {
                    w.disk.read(path) == Some(&Record::Dispatch(body))
                        && w.disk.find(path) == Some(file)
                };
                take_away(w, name, &format!("{dir}/{name}"), is_it).map(drop)
            }
        }
    }

    fn has_another_name(&self, w: &World, body: &Body, name: &str) -> bool {
        let stands = |(other, _): &(String, Option<Id>)| {
            let there = w.disk.read(&format!("inbox/{other}"));
            other != name && matches!(there, Some(Record::Dispatch(b)) if b.uid == body.uid)
        };
        self.names_of(body.id).iter().any(stands)
    }

    fn accept(&mut self, w: &mut World, name: &str, file: Id, body: Body) -> Result<()> {
        let (id, seq) = (body.id, self.next_seq);
        let building = format!("active/.tmp.{id}");
        let accepted = Accepted { seq, uid: body.uid, name: name.into(), file };
        w.make_dir_anew(&building)?;
        w.create(&format!("{building}/dispatch.json"), Record::Dispatch(body))?;
        w.create(&format!("{building}/accepted.json"), Record::Accepted(accepted.clone()))?;
        let waits = must_wait(w, &building, &body);
        if waits {
            prepare_pending(w, &building)?;
        }
        w.rename(&building, &if waits { pending_dir(id) } else { claim_dir(id) })?;
        w.truth.accepts(id);
        self.belongs(name, Some((file, body.uid)), id);
        let claim = claim_of(&accepted, &body);
        self.next_seq = self.next_seq.max(seq + 1);
        self.open.insert(id, claim.clone());
        if waits {
            self.pending.insert(id, claim);
        } else {
            self.push(w, claim);
        }
        Ok(())
    }

    fn hand_out(&mut self, w: &mut World) -> Result<bool> {
        let now_ms = w.wall_ms;
        let is_full = self.active.len() >= w.settings.max_concurrent;
        if is_full || !self.queue.is_runnable(&self.holds, now_ms) {
            return Ok(false);
        }
        let taken = self.queue.take(&self.holds, now_ms).expect("runnable");
        let claim = taken.item;
        w.truth.is_taken(claim.id, &self.holds, now_ms);
        let id = notice_id(claim.id);
        let is_probe = self.holds.let_through(&id, claim.agent, &claim.lane, now_ms);
        if is_probe {
            self.save_holds(w)?;
        }
        let (id, files) = (claim.id, read_claim(w, &claim_dir(claim.id)));
        match files {
            Some((accepted, body)) => {
                let work = Work::new(claim, accepted, body, Stage::Plan, is_probe);
                self.active.insert(id, work);
            }
            None => {
                w.remove_tree(&claim_dir(id))?;
                self.leave(w, id, &claim);
            }
        }
        Ok(true)
    }

    /// It has its report.
    pub fn leave(&mut self, w: &mut World, id: u32, claim: &Claim) {
        self.holds.gone(&notice_id(id));
        self.active.remove(&id);
        self.open.remove(&id);
        self.queue.release(&claim.lane);
        self.forget_names(id);
        w.truth.is_gone(id);
    }

    /// Nobody works on it any more, and it waits for nothing that the queue knows.
    pub fn give_back(&mut self, w: &mut World, claim: &Claim) {
        self.holds.gone(&notice_id(claim.id));
        self.active.remove(&claim.id);
        self.queue.release(&claim.lane);
        w.truth.is_gone(claim.id);
    }

    pub fn put_back(&mut self, w: &mut World, claim: Claim) -> Result<()> {
        self.holds.gone(&notice_id(claim.id));
        self.active.remove(&claim.id);
        let lane = claim.lane.clone();
        self.push(w, claim);
        self.queue.release(&lane);
        Ok(())
    }

    fn look_at_cancels(&mut self, w: &mut World) -> Result<bool> {
        for name in w.disk.list("inbox") {
            let asked = name.strip_prefix("cancel-").and_then(|id| id.parse::<u32>().ok());
            let Some(id) = asked else { continue };
            if let Some(work) = self.active.get_mut(&id) {
                let is_news = !work.is_cancelled;
                work.is_cancelled = true;
                if is_news {
                    return Ok(true);
                }
            } else if let Some(claim) = self.open.get(&id).cloned() {
                let Some((accepted, _)) = read_claim(w, &home_of(w, id)) else { continue };
                self.pending.remove(&id);
                self.queue.remove(claim.seq, &claim.lane);
                self.nameless.retain(|other| other.id != id);
                w.truth.is_gone(id);
                self.answer_now(w, &claim, &accepted)?;
                return Ok(true);
            } else if taken(w, id).is_some() {
                w.remove(&format!("inbox/{name}"))?;
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn learn(&mut self, w: &mut World, notice: &Notice) -> Result<()> {
        let changes = self.holds.learn(notice, w.wall_ms, 0);
        self.holds_changed(w, changes).map(drop)
    }

    fn holds_changed(&mut self, w: &mut World, changes: Vec<HoldChange>) -> Result<bool> {
        if changes.is_empty() {
            return Ok(false);
        }
        self.save_holds(w)?;
        for change in changes {
            match change {
                HoldChange::Started(hold) | HoldChange::Prolonged(hold) => {
                    if hold.kind == HoldKind::UsageLimit {
                        let agent = ["claude", "codex"].into_iter().find(|a| *a == hold.agent);
                        w.truth.closes(agent.expect("ours"), hold.since_ms, hold.until_ms);
                    }
                }
                HoldChange::Ended(hold, _) if hold.kind == HoldKind::UsageLimit => {
                    w.truth.opens(&hold.agent)
                }
                HoldChange::Ended(..) => {}
            }
        }
        Ok(true)
    }

    fn save_holds(&mut self, w: &mut World) -> Result<()> {
        if w.lacks(Without::SavedHolds) {
            return Ok(());
        }
        let text = serde_json::to_string(&self.holds.save(w.wall_ms)).expect("plain values");
        w.replace("", "holds.json", Record::Holds(text), Durable::Yes)
    }
}

pub fn notice_id(id: u32) -> gstack_dispatch_daemon::pure::dispatch::DispatchId {
    let id = gstack_dispatch_daemon::pure::dispatch::DispatchId::parse(&format!("dispatch-{id}"));
    id.expect("an id")
}

pub fn notice(claim: &Claim, sign: &Sign) -> Notice {
    let (id, lane, project) = (notice_id(claim.id), claim.lane.clone(), claim.lane.to_string());
    Notice { id, agent: claim.agent, lane, project, sign: sign.clone() }
}

fn look_at_attempt(w: &mut World, id: u32, number: u32) -> Result<FoundAttempt> {
    let dir = attempt_dir(id, number);
    let end = last_end(w, id).map(|end| end.next);
    let stop = match w.disk.read(&format!("{dir}/stop.json")) {
        Some(Record::Stop(cause)) if !w.lacks(Without::Stop) => Some(*cause),
        _ => None,
    };
    let readings = match w.disk.read(&format!("{dir}/reading")) {
        Some(Record::Readings(readings)) => *readings,
        _ => 0,
    };
    let child = format!("{dir}/child.json");
    let Some(Record::Start(start)) = w.disk.read(&format!("{dir}/attempt.json")) else {
        let stdout = w.disk.read(&format!("{dir}/stdout.jsonl"));
        let has_output = matches!(stdout, Some(Record::Stream(_)));
        let traces = w.disk.find(&child).is_some() || has_output;
        let leader = Leader::Unknown;
        return Ok(FoundAttempt { readable: false, end, stop, readings, leader, traces });
    };
    let token = start.token;
    let is_alive = start.record.boot_id == w.boot.to_string() && w.leader(token).is_some();
    if is_alive && w.disk.find(&child).is_none() {
        w.create(&child, Record::Child(token))?;
    }
    let leader = if is_alive { Leader::Alive } else { Leader::Dead };
    Ok(FoundAttempt { readable: true, end, stop, readings, leader, traces: is_alive })
}
