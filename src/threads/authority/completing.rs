//! Completes the tasks of dispatches that are over: each once, and again after what was no answer,
//! with the pauses of callbacks.
//!
//! What is to be done stands in the store, and outlives the daemon. A try is counted there before
//! it is made: only then can "it is completed already" be told from somebody else's doing.

use std::collections::HashMap;
use std::time::Duration;

use crate::effects::clock;
use crate::effects::error::Error;
use crate::effects::http::callback::Failure;
use crate::effects::http::clawvisor::Reply;
use crate::effects::store::CompletingEntry;
use crate::pure::audit_event::{AuditEvent, CompletionTry};
use crate::pure::callback::delivery::retry_after;
use crate::pure::callback::schedule::pause_after;
use crate::pure::dispatch::DispatchId;
use crate::pure::gate::clawvisor::TaskId;
use crate::pure::gate::completing::{Completion, completion};
use crate::pure::text::redact::redact;
use crate::pure::upkeep::health::{Holder, Subsystem};
use crate::threads::shared::context::Context;

/// A try that is over.
pub(super) struct TriedCompletion {
    pub entry: CompletingEntry,
    pub reply: Result<Reply, Failure>,
}

pub(super) struct Completing<'c> {
    context: &'c Context,
    /// When each is due, by the monotonic clock; `None`: a try is under way.
    due: HashMap<DispatchId, Option<i64>>,
    /// Whose trouble with the disk it is.
    holder: Holder,
    /// What becomes due after this is for the next daemon.
    stopped_ms: Option<i64>,
}

impl<'c> Completing<'c> {
    pub fn new(context: &'c Context) -> Completing<'c> {
        let mut completing = Completing {
            context,
            due: HashMap::new(),
            holder: context.health.holder(),
            stopped_ms: None,
        };
        completing.look();
        completing
    }

    /// Finds out what is new.
    pub fn look(&mut self) {
        if self.context.settings().clawvisor().is_none() || self.context.level.is_lost() {
            return;
        }
        let ids = match self.context.store.list_completing() {
            Ok(ids) => ids,
            Err(e) => return self.trouble(&e),
        };
        for id in ids {
            if self.due.contains_key(&id) {
                continue;
            }
            match self.context.store.read_completing(&id) {
                Ok(Some(entry)) => {
                    let left_ms = (entry.next_at_ms - clock::unix_ms()).max(0);
                    // Whatever the clock was set to meanwhile, it waits no longer than was decided.
                    let decided = self.pause_after(entry.tries).unwrap_or_default();
                    let left_ms = left_ms.min(decided.as_millis() as i64);
                    self.due.insert(id, Some(clock::monotonic_ms() + left_ms));
                }
                Ok(None) => {}
                Err(e) => self.trouble(&e),
            }
        }
    }

    pub fn stop(&mut self) {
        self.stopped_ms = Some(clock::monotonic_ms());
    }

    /// Whether something is under way, or due although the daemon stops.
    pub fn is_busy(&self) -> bool {
        self.due.values().any(|due| due.is_none_or(|due_ms| self.is_in_time(due_ms)))
    }

    fn is_in_time(&self, due_ms: i64) -> bool {
        self.stopped_ms.is_none_or(|stopped_ms| due_ms <= stopped_ms)
    }

    pub fn first_due_ms(&self) -> Option<i64> {
        self.due.values().flatten().copied().filter(|due_ms| self.is_in_time(*due_ms)).min()
    }

    pub fn next(&self, now_ms: i64) -> Option<DispatchId> {
        let is_due = |due_ms: i64| due_ms <= now_ms && self.is_in_time(due_ms);
        let mut due = self.due.iter().filter(|(_, due)| due.is_some_and(is_due));
        due.next().map(|(id, _)| id.clone())
    }

    /// Counts a try, durably, and gives what it needs.
    pub fn begin(&mut self, id: &DispatchId) -> Option<(CompletingEntry, TaskId)> {
        let store = &self.context.store;
        let found = store.read_completing(id).map(|entry| {
            entry.and_then(|entry| TaskId::parse(&entry.task).map(|task| (entry, task)))
        });
        let (mut entry, task) = match found {
            Ok(Some(found)) => found,
            Ok(None) => {
                self.due.remove(id);
                return None;
            }
            Err(e) => {
                self.put_off(id, &e);
                return None;
            }
        };
        entry.tries = entry.tries.saturating_add(1);
        if let Err(e) = store.update_completing(&entry) {
            self.put_off(id, &e);
            return None;
        }
        self.context.health.works_again_for(Subsystem::Outbox, self.holder);
        self.due.insert(id.clone(), None);
        Some((entry, task))
    }

    pub fn ended(&mut self, TriedCompletion { mut entry, reply }: TriedCompletion) {
        let Some(id) = DispatchId::parse(&entry.dispatch_id) else { return };
        let tries = entry.tries;
        let (said, status, error, asked) = match reply {
            Ok(Reply { status, retry_after: asked, body }) => {
                let asked = asked.and_then(|value| retry_after(&value, clock::unix_ms()));
                (completion(status, &body, tries > 1), Some(status), None, asked)
            }
            Err(Failure { why, .. }) => (Completion::Again, None, Some(redact(&why)), None),
        };
        let pause = self.pause_after(tries).filter(|_| said == Completion::Again);
        let pause = pause.map(|pause| pause.max(asked.unwrap_or_default()));
        let is_final = pause.is_none();
        let told = CompletionTry { status, error, tries, is_final };
        let event = match said {
            Completion::Completed => AuditEvent::ClawvisorCompleted(told),
            Completion::Skipped => AuditEvent::ClawvisorCompleteSkipped(told),
            Completion::Again | Completion::Failed => {
                log::warn!("task {} of {id} is not completed, try {tries}", entry.task);
                AuditEvent::ClawvisorCompleteFailed(told)
            }
        };
        self.context.audit.tell(id.as_str(), &event);
        let written = match pause {
            Some(pause) => {
                let pause_ms = pause.as_millis() as i64;
                self.due.insert(id.clone(), Some(clock::monotonic_ms() + pause_ms));
                entry.next_at_ms = clock::unix_ms() + pause_ms;
                self.context.store.update_completing(&entry)
            }
            None => {
                self.due.remove(&id);
                self.context.store.remove_completing(&id)
            }
        };
        if let Err(e) = written {
            self.put_off(&id, &e);
        }
    }

    fn pause_after(&self, tries: u32) -> Option<Duration> {
        pause_after(tries, &self.context.settings().callback_delays)
    }

    fn put_off(&mut self, id: &DispatchId, e: &Error) {
        self.trouble(e);
        let pause_ms = self.context.settings().trouble_pause.as_millis() as i64;
        self.due.insert(id.clone(), Some(clock::monotonic_ms() + pause_ms));
    }

    fn trouble(&self, e: &Error) {
        self.context.health.failed_for(Subsystem::Outbox, self.holder, e);
    }
}
