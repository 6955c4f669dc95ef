//! Attempts of an earlier daemon: taken up where they stand, each in a thread of its own, and brought to their end.
//!
//! Nothing is started here: a retry goes back into the queue, first in line.

use std::convert::Infallible;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender};
use serde_json::json;

use super::Worker;
use crate::effects::clock;
use crate::effects::process::Session;
use crate::effects::store::{Claim, Record};
use crate::pure::agent;
use crate::pure::claim::NextStep;
use crate::pure::recovery::Step;
use crate::pure::report::{ErrorType, Status};
use crate::threads::attempt::Running;
use crate::threads::follow::Follower;
use crate::threads::{Cancel, Context, Event, persist};

/// Takes up what an earlier daemon left in the middle of an attempt: one thread for each, beside the workers.
pub fn take_up(
    context: &Context,
    claim: Claim,
    step: Step,
    cancel: &Cancel,
    events: &Sender<Event>,
    running: &Receiver<Infallible>,
) {
    let worker = Worker { context, events, running };
    worker.report(|| worker.resume(claim, step, cancel));
}

impl Worker<'_> {
    /// An attempt of an earlier daemon, from where it stands to its end.
    fn resume(&self, claim: Claim, step: Step, cancel: &Cancel) -> Event {
        let mut open = match self.open(claim) {
            Ok(open) => open,
            Err(event) => return *event,
        };
        let context = self.context;
        let id = open.id().clone();
        let read = || {
            let Some(attempt) = context.store.last_attempt(&id)? else { return Ok(None) };
            context.store.keep_attempt(&id, &attempt)?;
            let (start, child, end) = (attempt.start()?, attempt.child()?, attempt.end()?);
            let was_read_in_peace = attempt.readings()? == 0;
            Ok(Some((attempt, start, child, end, was_read_in_peace)))
        };
        let Some(found) = persist(context, read) else { return Event::Left { id } };
        let Some((attempt, start, child, recorded, was_read_in_peace)) = found else {
            return Event::Again { claim: open.dossier.claim };
        };
        let (driver, start) = match (agent::driver(&open.dossier.dispatch.target_agent), start) {
            (Some(driver), Record::Read(start)) => (driver, start),
            _ => {
                let error = "the daemon ended while the attempt began; it may have run";
                return self.answer_without(open, Status::Failed, ErrorType::Interrupted, error);
            }
        };
        let follower = Follower::new(driver, was_read_in_peace);
        let mut running = Running {
            context,
            driver,
            attempt,
            start,
            session: None,
            stop: None,
            is_below_us: false,
            follower,
        };
        let leader = child.read().copied();
        let leader = leader.or_else(|| context.processes.find_leader(&running.mark()));
        running.session = leader.and_then(|record| Session::adopt(&context.processes, &record));
        let details = |session: &Option<Session>| {
            let pid = session.as_ref().map(|session| session.record().pid);
            [("attempt", json!(running.start.attempt)), ("pid", json!(pid))]
        };
        let end = match step {
            Step::Adopt => {
                context.audit.record("adopted", id.as_str(), &details(&running.session));
                log::info!("{id} still runs and is adopted");
                let elapsed_ms = clock::monotonic_ms() - running.start.started_monotonic_ms;
                let elapsed = Duration::from_millis(elapsed_ms.max(0) as u64);
                let number = running.start.attempt;
                let _ = self.events.send(Event::Attempt { id: id.clone(), number, elapsed });
                self.see_to_its_end(running, &mut open.dossier.claim, cancel)
            }
            Step::GoOnStopping(cause) => {
                running.stop = Some(cause);
                self.see_to_its_end(running, &mut open.dossier.claim, cancel)
            }
            Step::Judge => running.settle(&mut open.dossier.claim, None, cancel),
            Step::GiveUp(cause) => {
                running.stop = cause;
                running.give_up(&open.dossier.claim)
            }
            Step::Conclude | Step::QueueRetry | Step::QueueAgain => {
                running.sweep_only();
                recorded.read().cloned()
            }
            Step::Discard | Step::Publish | Step::Queue => None,
        };
        match end {
            None => Event::Left { id },
            Some(end) => {
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
        }
    }
}
