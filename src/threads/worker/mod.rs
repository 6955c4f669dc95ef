//! A worker: takes one claim at a time and drives it through its attempts to its answer.
//!
//! What to run next is read from the claim's own files, so that a claim of this start and one of an earlier daemon go the
//! same way. A retry keeps its slot while it waits: the limit it waits for is the account's, and the next dispatch would
//! only run into it too. What waits for a hold goes back into the queue.

mod resume;
mod start;

use std::convert::Infallible;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, select_biased};
use serde_json::json;

use self::start::NotStarted;
use super::attempt::Running;
use super::conclude::{self, Dossier};
use super::watch::Watched;
use super::{Cancel, Context, Event, Job, notice, notice_of};
use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::store::{Attempt, Claim, ClaimFiles, InHand};
use crate::pure::claim::{AttemptEnd, NextStep};
use crate::pure::dispatch::{self, DispatchId};
use crate::pure::hold::Sign;
use crate::pure::plan::{self, Last, Plan};
use crate::pure::report::{ErrorType, Status};

pub use resume::take_up;

/// How often a wait for a retry looks whether it was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The thread's loop, until intake hangs up.
pub fn run(
    context: &Context,
    jobs: &Receiver<Job>,
    events: &Sender<Event>,
    running: &Receiver<Infallible>,
) {
    for job in jobs {
        let worker = Worker { context, events, running };
        worker.report(|| worker.work(job));
    }
}

struct Worker<'c> {
    context: &'c Context,
    events: &'c Sender<Event>,
    running: &'c Receiver<Infallible>,
}

/// An accepted dispatch in a worker's hands.
struct Open {
    dossier: Dossier,
    /// The exact bytes that were accepted.
    bytes: Vec<u8>,
    /// No attempt can have begun.
    is_new: bool,
}

impl Open {
    fn id(&self) -> &DispatchId {
        &self.dossier.claim.id
    }
}

impl Worker<'_> {
    /// Intake is gone only when the whole process is.
    fn report(&self, work: impl FnOnce() -> Event) {
        let _ = self.events.send(work());
    }

    fn work(&self, job: Job) -> Event {
        let Job { claim, cancel, probe } = job;
        let mut open = match self.open(claim) {
            Ok(open) => open,
            Err(event) => return *event,
        };
        // Not knowing is no answer: what cannot be read now is asked again.
        let planned = self.plan(&open).and_then(|plan| {
            let is_wanted =
                !plan.is_queued || self.context.store.is_wanted(&open.dossier.accepted)?;
            Ok((plan, is_wanted))
        });
        open.is_new = false;
        let (mut plan, is_wanted) = match planned {
            Ok(planned) => planned,
            Err(e) => return Event::Back { claim: open.dossier.claim, error: e.to_string() },
        };
        if !is_wanted {
            self.context.audit.record("withdrawn", open.id().as_str(), &[]);
            let error = "withdrawn: its file was removed before it ran";
            return self.answer_without(open, Status::Cancelled, ErrorType::Cancelled, error);
        }
        loop {
            if let Some(event) = self.wait_for_turn(&mut open, &plan, &cancel) {
                return event(open);
            }
            let running = match self.begin(&mut open, &plan, probe) {
                Ok(running) => running,
                Err(NotStarted::Fault(error)) => {
                    let (status, kind) = (Status::Failed, ErrorType::SpawnFailed);
                    return self.answer_without(open, status, kind, &error);
                }
                Err(NotStarted::Trouble(error)) => {
                    let mut claim = open.dossier.claim;
                    self.context.store.put_again(&mut claim);
                    return Event::Back { claim, error };
                }
            };
            let Some(end) = self.see_to_its_end(running, &mut open.dossier.claim, &cancel) else {
                return Event::Left { id: open.id().clone() };
            };
            self.tell(&open.dossier.claim, &end);
            match end.next {
                NextStep::Report => return self.answer(open, end),
                NextStep::Queue { .. } => return Event::Again { claim: open.dossier.claim },
                NextStep::Retry { .. } => {}
            }
            plan = match self.plan(&open) {
                Ok(plan) => plan,
                Err(e) => return Event::Back { claim: open.dossier.claim, error: e.to_string() },
            };
        }
    }

    fn open(&self, mut claim: Claim) -> std::result::Result<Open, Box<Event>> {
        if let Some(in_hand) = claim.in_hand.take() {
            let InHand { files: ClaimFiles { accepted, bytes }, dispatch } = *in_hand;
            return Ok(Open {
                dossier: Dossier { claim, accepted, dispatch },
                bytes,
                is_new: true,
            });
        }
        let files = match self.context.store.read_claim(&claim.id) {
            Ok(files) => files,
            Err(e) => return Err(Box::new(Event::Back { claim, error: e.to_string() })),
        };
        let parsed = files.and_then(|f| Some((dispatch::parse(&f.bytes, 0).ok()?, f)));
        match parsed {
            Some((dispatch, ClaimFiles { accepted, bytes })) => {
                Ok(Open { dossier: Dossier { claim, accepted, dispatch }, bytes, is_new: false })
            }
            None => Err(Box::new(self.drop_damaged(claim))),
        }
    }

    /// Our copy does not match its digest. If nothing of it ever ran it is no acceptance: the inbox file is looked at anew.
    fn drop_damaged(&self, claim: Claim) -> Event {
        let id = claim.id;
        log::error!("{id}: its folder is damaged");
        if !matches!(self.context.store.last_attempt(&id), Ok(None)) {
            return Event::Left { id };
        }
        self.context.audit.record("discarded", id.as_str(), &[]);
        match self.context.store.discard(&id) {
            Ok(()) => Event::Closed { id },
            Err(e) => {
                log::error!("{e}");
                Event::Left { id }
            }
        }
    }

    /// What the files say is to be run next.
    fn plan(&self, open: &Open) -> Result<Plan> {
        let last = if open.is_new { None } else { self.context.store.last_attempt(open.id())? };
        let last = last.as_ref().map(last_of).transpose()?;
        Ok(plan::next(last, clock::unix_ms()))
    }

    /// Waits out a retry's delay. Gives what to do instead, if it is cancelled or the daemon stops meanwhile.
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
            let left = due - clock::monotonic_ms();
            if left <= 0 {
                return None;
            }
            let timer = after(Duration::from_millis(left as u64).min(LOOK_EVERY));
            select_biased! {
                recv(self.running) -> _ => {}
                recv(timer) -> _ => {}
            }
        }
    }

    fn cancelled(&self, open: Open) -> Event {
        let (status, kind) = (Status::Cancelled, ErrorType::Cancelled);
        self.answer_without(open, status, kind, "cancelled before it ran")
    }

    /// Tells what follows an attempt, and of a hold that it starts or ends: that first, before anything else can start.
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
        claim: &mut Claim,
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

    fn answer(&self, open: Open, end: AttemptEnd) -> Event {
        let id = open.dossier.claim.id.clone();
        self.closed(id, conclude::after_attempts(self.context, open.dossier, end))
    }

    fn answer_without(&self, open: Open, status: Status, kind: ErrorType, error: &str) -> Event {
        let id = open.dossier.claim.id.clone();
        let dossier = open.dossier;
        self.closed(id, conclude::without_session(self.context, dossier, status, kind, error))
    }

    fn closed(&self, id: DispatchId, answered: bool) -> Event {
        if answered { Event::Closed { id } } else { Event::Left { id } }
    }
}

/// An attempt as its files have it.
fn last_of(attempt: &Attempt) -> Result<Last> {
    let end = attempt.end()?.read().map(|AttemptEnd { next, first, git, .. }| plan::End {
        next: next.clone(),
        first: first.clone(),
        git: git.clone(),
    });
    let start = attempt.start()?.read().map(|start| plan::Start {
        mode: start.mode.clone(),
        retries: start.retries,
        waits: start.waits,
        first: start.first.clone(),
        git: start.git.clone(),
    });
    Ok(Last { number: attempt.number, start, end })
}
