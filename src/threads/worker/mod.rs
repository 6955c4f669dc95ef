//! A worker: takes one claim at a time and drives it through its attempts to its answer.
//!
//! What to run next is read from the claim's own files, so that a claim of this start and one of an earlier daemon go the
//! same way. A retry keeps its slot while it waits: the limit it waits for is the account's, and the next dispatch would
//! only run into it too.

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
use super::{Cancel, Context, Event, Job};
use crate::effects::clock;
use crate::effects::store::{Claim, ClaimFiles, Record};
use crate::pure::claim::{AttemptEnd, FirstStart, NextStep};
use crate::pure::dispatch::{self, DispatchId};
use crate::pure::policy::Mode;
use crate::pure::report::{ErrorType, GitFacts, Status};

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
        worker.report(|| worker.work(job.claim, &job.cancel));
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
}

impl Open {
    fn id(&self) -> &DispatchId {
        &self.dossier.claim.id
    }
}

/// What the next attempt is to be.
struct Plan {
    number: u32,
    mode: Mode,
    retries: u32,
    /// Milliseconds still to wait.
    wait_ms: u64,
    first: Option<FirstStart>,
    /// The project before the first attempt.
    git: Option<GitFacts>,
}

impl Worker<'_> {
    /// Intake is gone only when the whole process is.
    fn report(&self, work: impl FnOnce() -> Event) {
        let _ = self.events.send(work());
    }

    fn work(&self, claim: Claim, cancel: &Cancel) -> Event {
        let mut open = match self.open(claim) {
            Ok(open) => open,
            Err(event) => return event,
        };
        let mut plan = self.plan(&open);
        if plan.number == 1 && !self.context.store.is_wanted(&open.dossier.accepted) {
            self.context.audit.record("withdrawn", open.id().as_str(), &[]);
            let error = "withdrawn: its file was removed before it ran";
            return self.answer_without(open, Status::Cancelled, ErrorType::Cancelled, error);
        }
        loop {
            if let Some(event) = self.wait_for_turn(&mut open, &plan, cancel) {
                return event(open);
            }
            let running = match self.begin(&open, &plan) {
                Ok(running) => running,
                Err(NotStarted::Fault(error)) => {
                    let (status, kind) = (Status::Failed, ErrorType::SpawnFailed);
                    return self.answer_without(open, status, kind, &error);
                }
                Err(NotStarted::Trouble(error)) => {
                    return Event::Back { claim: open.dossier.claim, error };
                }
            };
            let Some(end) = self.see_to_its_end(running, &open.dossier.claim, cancel) else {
                return Event::Left { id: open.id().clone() };
            };
            if end.next == NextStep::Report {
                return self.answer(open, end);
            }
            self.audit_retry(&open.dossier.claim, &end);
            plan = self.plan(&open);
        }
    }

    fn open(&self, claim: Claim) -> Result<Open, Event> {
        let files = self.context.store.read_claim(&claim.id);
        let parsed = files.and_then(|f| Some((dispatch::parse(&f.bytes, 0).ok()?, f)));
        match parsed {
            Some((dispatch, ClaimFiles { accepted, bytes })) => {
                Ok(Open { dossier: Dossier { claim, accepted, dispatch }, bytes })
            }
            None => Err(self.drop_damaged(claim)),
        }
    }

    /// Our copy does not match its digest. If nothing of it ever ran it is no acceptance: the inbox file is looked at anew.
    fn drop_damaged(&self, claim: Claim) -> Event {
        let id = claim.id;
        log::error!("{id}: its folder is damaged");
        if self.context.store.last_attempt(&id).is_some() {
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
    fn plan(&self, open: &Open) -> Plan {
        let store = &self.context.store;
        let fresh =
            Plan { number: 1, mode: Mode::AsIs, retries: 0, wait_ms: 0, first: None, git: None };
        let Some(last) = store.last_attempt(open.id()) else { return fresh };
        let number = last.number + 1;
        let Record::Read(end) = last.end() else { return Plan { number, ..fresh } };
        let NextStep::Retry { mode, retries, not_before_ms, delay_ms } = end.next else {
            return Plan { number, ..fresh };
        };
        // Never longer than was decided, whatever the clock was set to meanwhile.
        let wait_ms = (not_before_ms - clock::unix_ms()).clamp(0, delay_ms as i64) as u64;
        let before = GitFacts { head_after: None, commits: None, dirty_files: None, ..end.git };
        Plan { number, mode, retries, wait_ms, first: Some(end.first), git: Some(before) }
    }

    /// Waits out a retry's delay. Gives what to do instead, if it is cancelled or the daemon stops meanwhile.
    fn wait_for_turn(
        &self,
        open: &mut Open,
        plan: &Plan,
        cancel: &Cancel,
    ) -> Option<Box<dyn FnOnce(Open) -> Event + '_>> {
        let due = clock::monotonic_ms() + plan.wait_ms as i64;
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

    fn audit_retry(&self, claim: &Claim, end: &AttemptEnd) {
        let NextStep::Retry { retries, delay_ms, .. } = &end.next else { return };
        let details = [
            ("error_type", json!(end.ending.error_type)),
            ("retry", json!(retries)),
            ("delay_seconds", json!(*delay_ms as f64 / 1000.0)),
        ];
        self.context.audit.record("retried", claim.id.as_str(), &details);
        let error = end.ending.error.as_deref().unwrap_or_default();
        log::info!("{} is tried again in {} s: {error}", claim.id, *delay_ms as f64 / 1000.0);
    }

    /// `None`: it goes on without us, or what is known of it could not be written.
    fn see_to_its_end(
        &self,
        mut running: Running,
        claim: &Claim,
        cancel: &Cancel,
    ) -> Option<AttemptEnd> {
        let watched = running.watch(&claim.id, cancel);
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
