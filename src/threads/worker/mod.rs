//! A worker: takes one claim at a time and drives it through its attempts to its answer.
//!
//! What to run next is read from the claim's own files, so that a claim of this start and one of an
//! earlier daemon go the same way. A retry keeps its slot while it waits: the limit it waits for is
//! the account's, and the next dispatch would only run into it too. What waits for a hold goes back
//! into the queue.

mod answer;
mod resume;
mod start;

use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, select_biased};
use serde_json::json;

use self::start::NotStarted;
use super::attempt::Running;
use super::conclude::Dossier;
use super::recover::in_inbox;
use super::signals::DrainSignal;
use super::watch::Watched;
use super::{Cancel, Context, Event, Job, notice, notice_of};
use crate::effects::clock;
use crate::effects::error::{Error, Result};
use crate::effects::store::{Attempt, Claim, ClaimFiles, InHand, Store};
use crate::pure::claim::{AttemptEnd, AttemptStart, NextStep};
use crate::pure::dispatch::{self, DispatchId};
use crate::pure::hold::Sign;
use crate::pure::plan::{self, Last, Plan};
use crate::pure::report::{ErrorType, Status};

pub use resume::take_up;

/// How often a wait for a retry looks whether it was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The thread's loop, until intake hangs up.
pub fn run(context: &Context, jobs: &Receiver<Job>, events: &Sender<Event>, drain: &DrainSignal) {
    for job in jobs {
        let worker = Worker { context, events, drain };
        worker.report(|| worker.work(job));
    }
}

struct Worker<'c> {
    context: &'c Context,
    events: &'c Sender<Event>,
    drain: &'c DrainSignal,
}

/// An accepted dispatch in a worker's hands.
struct Open {
    dossier: Dossier,
    /// No attempt can have begun.
    is_new: bool,
    /// How the attempts ended that this worker saw: what it knows does not depend on files that a
    /// session can reach.
    ended: Vec<AttemptEnd>,
}

impl Open {
    fn id(&self) -> &DispatchId {
        &self.dossier.claim.id
    }
}

/// What was found of a claim that comes out of the queue.
enum Opened {
    Open(Box<Open>),
    /// Nothing can be done with it now.
    Not(Box<Event>),
}

impl Worker<'_> {
    /// Intake is gone only when the whole process is.
    fn report(&self, work: impl FnOnce() -> Event) {
        let _ = self.events.send(work());
    }

    fn work(&self, job: Job) -> Event {
        let Job { mut claim, cancel, probe } = job;
        if !self.context.has_lock() {
            return Event::Left { id: claim.id };
        }
        if let Some(step) = claim.resume.take() {
            cancel.begin();
            return self.resume(claim, step, &cancel);
        }
        let mut open = match self.open(claim) {
            Opened::Open(open) => *open,
            Opened::Not(event) => return *event,
        };
        // Not knowing is no answer: what cannot be read now is asked again, unless that is only
        // this one's trouble.
        let plan = match self.plan(&open) {
            Ok(Some(plan)) => plan,
            Err(e) if e.fault().is_everywhere() => return self.back(open.dossier.claim, &e),
            unknown => {
                let why = unknown.map_or_else(|e| e.to_string(), |_| "they are gone".into());
                log::error!("{}: the records of its attempts: {why}", open.id());
                return self.answer_records_gone(open);
            }
        };
        let is_named = match self.is_named(&open.dossier, &plan) {
            Ok(is_named) => is_named,
            Err(e) => return self.back(open.dossier.claim, &e),
        };
        let was_new = open.is_new;
        open.is_new = false;
        if !is_named {
            return nameless(open.dossier, was_new);
        }
        cancel.begin();
        self.run_attempts(open, plan, &cancel, probe)
    }

    fn is_named(&self, dossier: &Dossier, plan: &Plan) -> Result<bool> {
        Ok(!plan.is_queued || self.context.store.is_named(&dossier.claim, &dossier.accepted)?)
    }

    /// One attempt after the other, until there is an answer or somebody else goes on.
    fn run_attempts(&self, mut open: Open, mut plan: Plan, cancel: &Cancel, probe: bool) -> Event {
        loop {
            if let Some(event) = self.wait_for_turn(&mut open, &plan, cancel) {
                return event(open);
            }
            let running = match self.begin(&mut open, &plan, probe) {
                Ok(running) => running,
                Err(NotStarted::Fault(error)) => {
                    let (status, kind) = (Status::Failed, ErrorType::SpawnFailed);
                    return self.answer_without(open, status, kind, &error);
                }
                Err(NotStarted::Damaged(e)) => return self.answer_damaged(open, &e),
                Err(NotStarted::Trouble(error)) => {
                    return Event::Back { claim: open.dossier.claim, error };
                }
                Err(NotStarted::OtherProject(lane)) => {
                    open.dossier.claim.lane = lane;
                    return Event::Again { claim: open.dossier.claim };
                }
            };
            let start = start_of(&running.start);
            let Some(end) = self.see_to_its_end(running, &open.dossier.claim, cancel) else {
                return Event::Left { id: open.id().clone() };
            };
            self.tell(&open.dossier.claim, &end);
            match end.next {
                NextStep::Report => return self.answer(open, end),
                NextStep::Queue { .. } => return Event::Again { claim: open.dossier.claim },
                NextStep::Retry { .. } => {}
            }
            let last = Last { number: plan.number, start: Some(start), end: Some(end_of(&end)) };
            plan = plan::next(Some(last), clock::unix_ms());
            open.ended.push(end);
        }
    }

    fn open(&self, mut claim: Claim) -> Opened {
        let open = |claim, files: ClaimFiles, dispatch, is_new| {
            let ClaimFiles { accepted, bytes } = files;
            let dossier = Dossier { claim, accepted, bytes, dispatch };
            Opened::Open(Box::new(Open { dossier, is_new, ended: Vec::new() }))
        };
        if let Some(in_hand) = claim.in_hand.take() {
            let InHand { files, dispatch } = *in_hand;
            return open(claim, files, dispatch, true);
        }
        let files = match self.ask(&claim.id, |store| store.read_claim(&claim.id)) {
            Err(e) if e.fault().is_everywhere() => {
                return Opened::Not(Box::new(self.back(claim, &e)));
            }
            Err(e) => {
                log::error!("{e}");
                None
            }
            Ok(files) => files,
        };
        let parsed = files.and_then(|files| Some((dispatch::parse(&files.bytes, 0).ok()?, files)));
        match parsed {
            Some((dispatch, files)) => open(claim, files, dispatch, false),
            None => self.open_damaged(claim),
        }
    }

    /// Its files cannot be read just now, which is nobody's fault.
    fn back(&self, claim: Claim, e: &Error) -> Event {
        Event::Back { claim, error: e.to_string() }
    }

    /// Our copy is gone, or does not match its digest. If nothing of it ever ran, the inbox file is
    /// as good, and it keeps its place in line.
    fn open_damaged(&self, claim: Claim) -> Opened {
        let (store, id) = (&self.context.store, claim.id.clone());
        log::error!("{id}: its folder is gone or damaged");
        let not = |event| Opened::Not(Box::new(event));
        match self.may_have_run(&id) {
            Err(e) if e.fault().is_everywhere() => return not(self.back(claim, &e)),
            Ok(false) => {}
            Err(_) | Ok(true) => return not(self.answer_remains(claim)),
        }
        let Some((files, dispatch)) = in_inbox(self.context, &claim) else {
            return not(self.answer_remains(claim));
        };
        let restored = store.restore(&id, &files.accepted, &files.bytes);
        let ClaimFiles { accepted, bytes } = files;
        let dossier = Dossier { claim, accepted, bytes, dispatch };
        let open = Open { dossier, is_new: true, ended: Vec::new() };
        match restored {
            Ok(()) => Opened::Open(Box::new(open)),
            Err(e) if e.fault().is_everywhere() => not(self.back(open.dossier.claim, &e)),
            Err(e) => not(self.answer_damaged(open, &e)),
        }
    }

    fn may_have_run(&self, id: &DispatchId) -> Result<bool> {
        self.ask(id, |store| Ok(store.has_started(id)? || store.last_attempt(id)?.is_some()))
    }

    /// Asks a claim's own files, which somebody else's session may have shut.
    fn ask<T>(&self, id: &DispatchId, question: impl Fn(&Store) -> Result<T>) -> Result<T> {
        let store = &self.context.store;
        match question(store) {
            Err(e) if !e.fault().is_everywhere() => {
                store.open_up_claim(id)?;
                question(store)
            }
            asked => asked,
        }
    }

    /// What the files say is to be run next. `None`: it was started, and they do not say how far
    /// that came.
    fn plan(&self, open: &Open) -> Result<Option<Plan>> {
        let (id, now_ms) = (open.id(), clock::unix_ms());
        if open.is_new {
            return Ok(Some(plan::next(None, now_ms)));
        }
        let last = self.ask(id, |store| store.last_attempt(id)?.as_ref().map(last_of).transpose());
        let last = last?;
        if last.is_none() && self.context.store.has_started(id)? {
            return Ok(None);
        }
        Ok(Some(plan::next(last, now_ms)))
    }

    /// Waits out a retry's delay, and a pause. Gives what to do instead, if it is cancelled or the
    /// daemon stops meanwhile.
    fn wait_for_turn(
        &self,
        open: &mut Open,
        plan: &Plan,
        cancel: &Cancel,
    ) -> Option<Box<dyn FnOnce(Open) -> Event + '_>> {
        let due = clock::monotonic_ms().saturating_add_unsigned(plan.wait_ms);
        loop {
            if cancel.is_asked() {
                return Some(Box::new(|open| self.cancelled(open)));
            }
            if self.context.level.is_drain() {
                log::info!("{} waits for the next daemon", open.id());
                return Some(Box::new(|open| Event::Left { id: open.id().clone() }));
            }
            let left_ms = (due - clock::monotonic_ms()).max(0).unsigned_abs();
            let wait = match (self.context.is_paused(), left_ms) {
                // Whoever is not the daemon any more starts nothing: the level says so by now.
                (false, 0) if plan.wait_ms > 0 && !self.context.has_lock() => continue,
                (false, 0) => return None,
                (true, 0) => LOOK_EVERY,
                (_, left_ms) => Duration::from_millis(left_ms).min(LOOK_EVERY),
            };
            let timer = after(wait);
            select_biased! {
                recv(self.drain.receiver()) -> _ => {}
                recv(timer) -> _ => {}
            }
        }
    }

    /// Tells what follows an attempt, and of a hold that it starts or ends: that first, before
    /// anything else can start.
    fn tell(&self, claim: &Claim, end: &AttemptEnd) {
        if let Some(notice) = notice_of(claim, end) {
            let _ = self.events.send(Event::Notice(Box::new(notice)));
        }
        let (retries, delay_ms) = match &end.next {
            NextStep::Report => return,
            NextStep::Queue { waits, .. } => return self.audit_wait(claim, end, *waits),
            NextStep::Retry { retries, delay_ms, .. } => (retries, delay_ms),
        };
        let details = [
            ("error_type", json!(end.ending.error_type)),
            ("retry", json!(retries)),
            ("delay_seconds", json!(*delay_ms as f64 / 1000.0)),
        ];
        self.context.audit.record("retried", claim.id.as_str(), &details);
        let error = end.ending.error.as_deref().unwrap_or_default();
        log::info!("{} is tried again in {} s: {error}", claim.id, *delay_ms as f64 / 1000.0);
    }

    fn audit_wait(&self, claim: &Claim, end: &AttemptEnd, waits: u32) {
        let details = [("error_type", json!(end.ending.error_type)), ("waits", json!(waits))];
        self.context.audit.record("queued_again", claim.id.as_str(), &details);
        log::info!("{} waits in the queue, first in line", claim.id);
    }

    /// `None`: it goes on without us, or what is known of it could not be written.
    fn see_to_its_end(
        &self,
        mut running: Running,
        claim: &Claim,
        cancel: &Cancel,
    ) -> Option<AttemptEnd> {
        let started_at_ms = running.start.started_at_ms;
        let on_work = || {
            let notice = notice(claim, Sign::Clear { started_at_ms });
            let _ = self.events.send(Event::Notice(Box::new(notice)));
        };
        let watched = running.watch(&claim.id, cancel, &on_work);
        self.context.board.forget(&claim.id);
        match watched {
            Watched::Ended(exit) => running.settle(claim, exit, cancel),
            Watched::Left => {
                log::info!("{} is left running for the next daemon", claim.id);
                None
            }
        }
    }
}

/// Back to intake, with what is known of it: its folder may be gone when that is asked for.
fn nameless(dossier: Dossier, is_new: bool) -> Event {
    let Dossier { mut claim, accepted, bytes, dispatch } = dossier;
    if is_new {
        let files = ClaimFiles { accepted, bytes };
        claim.in_hand = Some(Box::new(InHand { files, dispatch }));
    }
    Event::Nameless { claim }
}

/// An attempt as its files have it.
fn last_of(attempt: &Attempt) -> Result<Last> {
    let end = attempt.end()?.read().map(end_of);
    let start = attempt.start()?.read().map(start_of);
    Ok(Last { number: attempt.number, start, end })
}

fn start_of(start: &AttemptStart) -> plan::Start {
    plan::Start {
        mode: start.mode.clone(),
        retries: start.retries,
        waits: start.waits,
        first: start.first.clone(),
        git: start.git.clone(),
    }
}

fn end_of(end: &AttemptEnd) -> plan::End {
    plan::End { next: end.next.clone(), first: end.first.clone(), git: end.git.clone() }
}
