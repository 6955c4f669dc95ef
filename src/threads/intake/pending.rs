//! The dispatches that wait in `pending/` until somebody allows them, and when the time of each is
//! over; and those that have run, and wait for Clawvisor's word before they go on.
//!
//! They take no slot, and others pass them. The wait counts from the acceptance by the wall clock,
//! which is all that outlasts the daemon; within the daemon's life it counts by the monotonic one.
//! `gate` decides what becomes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use crate::effects::clock;
use crate::effects::store::{Claim, Room};
use crate::pure::dispatch::DispatchId;
use crate::pure::gate::PendingRecord;
use crate::pure::gate::clawvisor::TaskId;
use crate::pure::schedule::queue::Seq;
use crate::threads::shared::context::Context;
use crate::threads::shared::gate::expires_at_ms;

/// A claim that waits, and what for.
pub(super) struct PendingClaim {
    pub claim: Claim,
    pub record: PendingRecord,
    end: Instant,
}

pub(super) struct PendingClaims<'c> {
    context: &'c Context,
    /// In the order of their acceptance.
    claims: BTreeMap<Seq, PendingClaim>,
    ends: BTreeSet<(Instant, Seq)>,
}

impl<'c> PendingClaims<'c> {
    pub fn new(context: &'c Context) -> PendingClaims<'c> {
        PendingClaims { context, claims: BTreeMap::new(), ends: BTreeSet::new() }
    }

    /// How many wait in `pending/`.
    pub fn len(&self) -> usize {
        self.in_pending().count()
    }

    /// How many have run before.
    pub fn aside_count(&self) -> usize {
        self.claims.len() - self.len()
    }

    fn in_pending(&self) -> impl Iterator<Item = &PendingClaim> {
        self.claims.values().filter(|waiting| waiting.claim.room == Room::Pending)
    }

    pub fn add(&mut self, mut claim: Claim, record: PendingRecord) {
        claim.names = Vec::new();
        let left_ms = expires_at_ms(self.context, claim.accepted_at_ms) - clock::unix_ms();
        let end = Instant::now() + Duration::from_millis(left_ms.max(0).unsigned_abs());
        // Whoever has run has no time to be allowed in.
        if claim.room == Room::Pending {
            self.ends.insert((end, claim.seq));
        }
        if let Some(task) = record.task_id() {
            self.context.authority.wait_on(&task);
        }
        self.claims.insert(claim.seq, PendingClaim { claim, record, end });
    }

    pub fn get(&self, seq: Seq) -> Option<&PendingClaim> {
        self.claims.get(&seq)
    }

    pub fn take(&mut self, seq: Seq) -> Option<PendingClaim> {
        let taken = self.claims.remove(&seq)?;
        self.ends.remove(&(taken.end, seq));
        self.forget_task(&taken);
        Some(taken)
    }

    /// When the time of the first is over.
    pub fn next_due(&self) -> Option<Instant> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// The one whose time is over first, if it is.
    pub fn overdue(&self) -> Option<(DispatchId, Seq)> {
        let (_, seq) = self.ends.first().filter(|(end, _)| Instant::now() >= *end)?;
        self.claims.get(seq).map(|pending| (pending.claim.id.clone(), *seq))
    }

    /// One whose files cannot be read just now is looked at again after a pause.
    pub fn look_again(&mut self, seq: Seq) {
        let Some(pending) = self.claims.get_mut(&seq) else { return };
        self.ends.remove(&(pending.end, seq));
        pending.end = Instant::now() + self.context.settings().trouble_pause;
        self.ends.insert((pending.end, seq));
    }

    fn forget_task(&self, waiting: &PendingClaim) {
        if let Some(task) = waiting.record.task_id() {
            self.context.authority.stop_waiting(&task);
        }
    }

    /// Those that wait for that task.
    pub fn of_task(&self, task: &TaskId) -> Vec<Seq> {
        let is_of = |record: &PendingRecord| record.task.as_deref() == Some(task.as_str());
        self.claims.iter().filter(|(_, one)| is_of(&one.record)).map(|(seq, _)| *seq).collect()
    }

    /// The oldest in `pending/`, at most so many.
    pub fn oldest(&self, most: usize) -> impl Iterator<Item = &PendingClaim> {
        self.in_pending().take(most)
    }

    /// Takes all of them out, to be judged anew.
    pub fn drain(&mut self) -> Vec<PendingClaim> {
        self.ends.clear();
        let claims: Vec<_> = std::mem::take(&mut self.claims).into_values().collect();
        claims.iter().for_each(|waiting| self.forget_task(waiting));
        claims
    }
}
