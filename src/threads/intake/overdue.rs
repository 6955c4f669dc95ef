//! Dispatches that may not wait for their first start for ever (`queue_timeout`): each is answered
//! when its time is over.
//!
//! The wait counts from the acceptance by the wall clock, which is all that outlasts the daemon;
//! within its life a dispatch waits by the monotonic one. What has run once, and waits again, is
//! past this.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Intake;
use crate::effects::clock;
use crate::effects::store::Claim;
use crate::pure::dispatch::DispatchId;
use crate::pure::queue::Seq;
use crate::pure::report::{ErrorType, Status};

#[derive(Default)]
pub(super) struct Overdue {
    /// In order of their ends.
    waiting: BTreeMap<(Instant, Seq), DispatchId>,
    ends: BTreeMap<Seq, Instant>,
}

impl Overdue {
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((end, _), _)| *end)
    }

    pub(super) fn is_due(&self) -> bool {
        self.next_due().is_some_and(|end| Instant::now() >= end)
    }

    /// It waits no longer.
    pub(super) fn forget(&mut self, seq: Seq) {
        if let Some(end) = self.ends.remove(&seq) {
            self.waiting.remove(&(end, seq));
        }
    }

    fn clear(&mut self) {
        self.waiting.clear();
        self.ends.clear();
    }

    fn add(&mut self, end: Instant, seq: Seq, id: DispatchId) {
        self.ends.insert(seq, end);
        self.waiting.insert((end, seq), id);
    }
}

/// Which dispatch waits, and since when.
fn waits(claim: &Claim) -> (DispatchId, Seq, i64) {
    (claim.id.clone(), claim.seq, claim.accepted_at_ms)
}

impl Intake<'_> {
    /// Counts the time that a dispatch which never ran may still wait.
    pub(super) fn limit_wait(&mut self, claim: &Claim) {
        if self.context.settings().queue_timeout.is_some() {
            let (id, seq, since_ms) = waits(claim);
            self.limit_wait_of(id, seq, since_ms);
        }
    }

    fn limit_wait_of(&mut self, id: DispatchId, seq: Seq, since_ms: i64) {
        let Some(limit) = self.context.settings().queue_timeout else { return };
        let waited_ms = (clock::unix_ms() - since_ms).max(0) as u64;
        let left = limit.saturating_sub(Duration::from_millis(waited_ms));
        self.overdue.add(Instant::now() + left, seq, id);
    }

    /// The limit has changed: everything that never ran is counted anew.
    pub(super) fn limit_waits_anew(&mut self) {
        self.overdue.clear();
        if self.context.settings().queue_timeout.is_none() {
            return;
        }
        let store = &self.context.store;
        let never_ran = |claim: &&Claim| matches!(store.last_attempt(&claim.id), Ok(None));
        let waiting: Vec<_> = self.queue.waiting().filter(never_ran).map(waits).collect();
        waiting.into_iter().for_each(|(id, seq, since_ms)| self.limit_wait_of(id, seq, since_ms));
    }

    /// Answers the first whose time is over.
    pub(super) fn answer_overdue(&mut self) {
        let Some(((_, seq), id)) = self.overdue.waiting.first_key_value() else { return };
        let (seq, id) = (*seq, id.clone());
        self.overdue.forget(seq);
        let Some((claim, contents, last)) = self.take_out(&id) else {
            // Its files cannot be read just now.
            if self.open.contains_key(&id) {
                let pause = self.context.settings().trouble_pause;
                self.overdue.add(Instant::now() + pause, seq, id);
            }
            return;
        };
        let limit = self.context.settings().queue_timeout.unwrap_or_default().as_secs_f64();
        let error = format!("it waited {limit} seconds for its turn, and was not started");
        let told = (Status::Failed, ErrorType::QueueTimeout, error.as_str());
        self.answer_now(claim, contents, last, told);
    }
}
