//! Attempts of an earlier daemon: taken up where they stand, each in a thread of its own, and
//! brought to their end.
//!
//! Nothing is started here: a retry goes back into the queue, first in line.

use std::time::Duration;

use crossbeam_channel::Sender;
use serde_json::json;

use super::{Open, Opened, Worker};
use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::process::Session;
use crate::effects::store::{Attempt, Claim, ClaimFiles, Record};
use crate::pure::agent;
use crate::pure::claim::{AttemptEnd, AttemptStart, ChildRecord, NextStep};
use crate::pure::dispatch::{self, DispatchId};
use crate::pure::recovery::Step;
use crate::pure::report::{ErrorType, Status};
use crate::threads::attempt::{Running, mark_by_name};
use crate::threads::conclude::{Answering, Dossier, see_through};
use crate::threads::follow::Follower;
use crate::threads::recover::in_inbox;
use crate::threads::signals::DrainSignal;
use crate::threads::{Cancel, Context, Event, Unwritten, persist};

/// What the records of an attempt say.
struct FoundRecords {
    attempt: Attempt,
    start: Record<AttemptStart>,
    child: Record<ChildRecord>,
    end: Record<AttemptEnd>,
    readings: u64,
}

/// Takes up what an earlier daemon left in the middle of an attempt: one thread for each, beside
/// the workers.
pub fn take_up(
    context: &Context,
    claim: Claim,
    step: Step,
    cancel: &Cancel,
    events: &Sender<Event>,
    drain: &DrainSignal,
) {
    let worker = Worker { context, events, drain };
    worker.report(|| worker.resume(claim, step, cancel));
}

impl Worker<'_> {
    /// An attempt of an earlier daemon, from where it stands to its end.
    pub(super) fn resume(&self, claim: Claim, step: Step, cancel: &Cancel) -> Event {
        match step {
            Step::Gone => return self.answer_gone(claim),
            Step::Stands => return self.see_found_answer_through(claim),
            Step::Publish => return self.publish_committed(claim),
            _ => {}
        }
        let open = match self.open(claim) {
            Opened::Open(open) => *open,
            Opened::Not(event) => return *event,
        };
        let context = self.context;
        let id = open.id().clone();
        let found = match persist(context, || self.find_attempt(&id)) {
            Ok(found) => found,
            Err(Unwritten::DaemonEnds) => return Event::Left { id },
            Err(Unwritten::Own(e)) => {
                log::error!("{e}");
                self.sweep_by_name(&id);
                return self.answer_records_gone(open);
            }
        };
        let Some(found) = found else { return Event::Again { claim: open.dossier.claim } };
        let (driver, start) =
            match (agent::driver(&open.dossier.dispatch.target_agent), found.start) {
                (Some(driver), Record::Read(start)) => (driver, start),
                _ => {
                    self.sweep_by_name(&id);
                    let error =
                        "the daemon ended while the attempt began; it may have run".to_string();
                    let kind = ErrorType::Interrupted;
                    return self.answer_without(open, Status::Failed, kind, &error);
                }
            };
        // What a session wrote there must not give it more time than its dispatch has.
        let ttl_ms = open.dossier.dispatch.ttl_seconds as i64 * 1000;
        let latest_ms = clock::monotonic_ms().saturating_add(ttl_ms);
        let deadline_monotonic_ms = start.deadline_monotonic_ms.min(latest_ms);
        let claim = &open.dossier.claim;
        let verify = context.verify_in(&start.dir(), &claim.project, &id);
        let mut running = Running {
            context,
            driver,
            attempt: found.attempt,
            start: AttemptStart { deadline_monotonic_ms, ..start },
            verify,
            session: None,
            stop: None,
            is_below_us: false,
            follower: Follower::new(driver, found.readings == 0),
        };
        let mark = running.mark();
        let recorded =
            found.child.read().filter(|child| context.processes.is_of_session(child, &mark));
        let leader = recorded.copied().or_else(|| context.processes.find_leader(&mark));
        running.session = leader.and_then(|record| Session::adopt(&context.processes, &record));
        let end = match step {
            Step::Adopt => {
                self.tell_adoption(&id, &running);
                self.see_to_its_end(running, &open.dossier.claim, cancel)
            }
            Step::GoOnStopping(cause) => {
                running.stop = Some(cause);
                self.see_to_its_end(running, &open.dossier.claim, cancel)
            }
            Step::Judge => running.settle(&open.dossier.claim, None, cancel),
            Step::GiveUp(cause) => {
                running.stop = cause;
                running.give_up(&open.dossier.claim)
            }
            Step::Conclude | Step::QueueRetry | Step::QueueAgain => {
                running.sweep_only(&id);
                found.end.read().cloned()
            }
            Step::Discard | Step::Publish | Step::Queue | Step::Gone | Step::Stands => None,
        };
        let Some(end) = end else { return Event::Left { id } };
        // An end that was on record has been told of.
        if !matches!(step, Step::Conclude | Step::QueueRetry | Step::QueueAgain) {
            self.tell(&open.dossier.claim, &end);
        }
        match end.next {
            NextStep::Report => self.answer(open, end),
            NextStep::Retry { .. } | NextStep::Queue { .. } => {
                Event::Again { claim: open.dossier.claim }
            }
        }
    }

    /// `None`: nothing of it began.
    fn find_attempt(&self, id: &DispatchId) -> Result<Option<FoundRecords>> {
        let store = &self.context.store;
        let Some(mut attempt) = store.last_attempt(id)? else { return Ok(None) };
        store.keep_attempt(id, &attempt)?;
        attempt.find()?;
        let (start, child, end) = (attempt.start()?, attempt.child()?, attempt.end()?);
        let readings = attempt.readings();
        Ok(Some(FoundRecords { attempt, start, child, end, readings }))
    }

    fn tell_adoption(&self, id: &DispatchId, running: &Running) {
        let pid = running.session.as_ref().map(|session| session.record().pid);
        let number = running.start.attempt;
        let details = [("attempt", json!(number)), ("pid", json!(pid))];
        self.context.audit.record("adopted", id.as_str(), &details);
        log::info!("{id} still runs and is adopted");
        let elapsed_ms = clock::monotonic_ms() - running.start.started_monotonic_ms;
        let elapsed = Duration::from_millis(elapsed_ms.max(0) as u64);
        let _ = self.events.send(Event::Attempt { id: id.clone(), number, elapsed });
    }

    fn sweep_by_name(&self, id: &DispatchId) {
        let Context { processes, .. } = self.context;
        let settings = self.context.settings();
        processes.sweep(&mark_by_name(self.context, id), settings.kill_grace, &settings.spare);
    }

    /// It was started, and nothing says how far that came.
    fn answer_gone(&self, claim: Claim) -> Event {
        self.sweep_by_name(&claim.id);
        match self.open_what_is_left(claim) {
            Ok(dossier) => {
                self.answer_records_gone(Open { dossier, is_new: false, ended: Vec::new() })
            }
            Err(claim) => self.answer_remains(*claim),
        }
    }

    /// From the claim's folder, or from the file in the inbox.
    fn open_what_is_left(&self, claim: Claim) -> std::result::Result<Dossier, Box<Claim>> {
        let store = &self.context.store;
        let kept = store.read_claim(&claim.id).ok().flatten().and_then(|files| {
            let dispatch = dispatch::parse(&files.bytes, 0).ok()?;
            (dispatch.id == claim.id).then_some((files, dispatch))
        });
        match kept.or_else(|| in_inbox(self.context, &claim)) {
            Some((ClaimFiles { accepted, bytes }, dispatch)) => {
                Ok(Dossier { claim, accepted, bytes, dispatch })
            }
            None => Err(Box::new(claim)),
        }
    }

    /// Its report is committed, and processes of it live.
    fn publish_committed(&self, claim: Claim) -> Event {
        let (store, id) = (&self.context.store, claim.id.clone());
        self.sweep_by_name(&id);
        let committed = match persist(self.context, || store.read_committed(&id)) {
            Ok(Some(committed)) => committed,
            Err(Unwritten::DaemonEnds) => return Event::Left { id },
            Ok(None) | Err(Unwritten::Own(_)) => return self.answer_gone(claim),
        };
        let (claim, files, url) = self.what_is_left(claim);
        let answering = Answering::of_committed(claim, files, url, committed, false);
        see_through(self.context, answering)
    }

    /// A daemon answered it from memory, and died before it was through.
    fn see_found_answer_through(&self, claim: Claim) -> Event {
        let id = claim.id.clone();
        self.sweep_by_name(&id);
        let found = match persist(self.context, || self.context.store.find_answer(&id)) {
            Ok(found) => found,
            Err(Unwritten::DaemonEnds) => return Event::Left { id },
            Err(Unwritten::Own(e)) => {
                log::error!("{e}");
                None
            }
        };
        let Some(committed) = found else { return self.answer_gone(claim) };
        let (claim, files, url) = self.what_is_left(claim);
        let answering = Answering::of_committed(claim, files, url, committed, true);
        see_through(self.context, answering)
    }

    /// For an answer that stands: the claim, what was accepted, and where a callback goes.
    fn what_is_left(&self, claim: Claim) -> (Claim, Option<ClaimFiles>, Option<String>) {
        match self.open_what_is_left(claim) {
            Ok(Dossier { claim, accepted, bytes, dispatch }) => {
                (claim, Some(ClaimFiles { accepted, bytes }), dispatch.callback_url)
            }
            Err(claim) => (*claim, None, None),
        }
    }
}
