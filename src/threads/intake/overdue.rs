//! Dispatches that may not wait for their first start for ever (`queue_timeout`), and when the time
//! of each is over.
//!
//! The wait counts from the acceptance (or from when somebody allowed it to run) by the wall clock,
//! which is all that outlasts the daemon;
//! within the daemon's life a dispatch waits by the monotonic one. A dispatch that has run once and
//! waits again is past this. `answers` sees what becomes of one whose time is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::effects::clock;
use crate::effects::store::Claim;
use crate::pure::dispatch::DispatchId;
use crate::pure::schedule::queue::{Queue, Seq};
use crate::threads::shared::context::Context;

pub(super) struct Overdue<'c> {
    context: &'c Context,
    /// The setting by which everything that waits is counted.
    limit: Option<Duration>,
    /// The dispatches, in order of their ends.
    waiting: BTreeMap<(Instant, Seq), DispatchId>,
    ends: BTreeMap<Seq, Instant>,
}

impl<'c> Overdue<'c> {
    pub fn new(context: &'c Context) -> Overdue<'c> {
        let limit = context.settings().queue_timeout;
        Overdue { context, limit, waiting: BTreeMap::new(), ends: BTreeMap::new() }
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.first_key_value().map(|((end, _), _)| *end)
    }

    pub fn is_due(&self) -> bool {
        self.next_due().is_some_and(|end| Instant::now() >= end)
    }

    /// Takes the dispatch whose time is over first. Only called when one is due.
    pub fn take_first(&mut self) -> Option<(Seq, DispatchId)> {
        let ((_, seq), id) = self.waiting.pop_first()?;
        self.ends.remove(&seq);
        Some((seq, id))
    }

    /// A dispatch whose files cannot be read just now is looked at again after a pause.
    pub fn look_again(&mut self, seq: Seq, id: DispatchId) {
        self.add(Instant::now() + self.context.settings().trouble_pause, seq, id);
    }

    /// A dispatch waits no longer.
    pub fn forget(&mut self, seq: Seq) {
        if let Some(end) = self.ends.remove(&seq) {
            self.waiting.remove(&(end, seq));
        }
    }

    fn add(&mut self, end: Instant, seq: Seq, id: DispatchId) {
        self.ends.insert(seq, end);
        self.waiting.insert((end, seq), id);
    }

    /// Counts the time that a dispatch which never ran may still wait.
    pub fn limit_wait(&mut self, claim: &Claim) {
        let Some(limit) = self.context.settings().queue_timeout else { return };
        let waited_ms = (clock::unix_ms() - claim.waits_since_ms).max(0) as u64;
        let left = limit.saturating_sub(Duration::from_millis(waited_ms));
        self.add(Instant::now() + left, claim.seq, claim.id.clone());
    }

    /// Counts the time of a dispatch that comes back, if it never ran.
    pub fn limit_wait_if_new(&mut self, claim: &Claim) {
        if matches!(self.context.store.last_attempt(&claim.id), Ok(None)) {
            self.limit_wait(claim);
        }
    }

    /// If the limit has changed, everything that never ran is counted anew.
    pub fn follow_settings(&mut self, queue: &Queue<Claim>) {
        let limit = self.context.settings().queue_timeout;
        if std::mem::replace(&mut self.limit, limit) == limit {
            return;
        }
        self.waiting.clear();
        self.ends.clear();
        if limit.is_none() {
            return;
        }
        let store = &self.context.store;
        let never_ran = |claim: &&Claim| matches!(store.last_attempt(&claim.id), Ok(None));
        queue.waiting().filter(never_ran).for_each(|claim| self.limit_wait(claim));
    }
}
