//! Whether a daemon runs, by its lock, and what its heartbeat says.
//!
//! A daemon that started or ended between the looks at the two is looked at again.

use super::View;
use super::names::json_ids_of;
use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::store::Store;
use crate::effects::store::disk::identity;
use crate::pure::liveness::Liveness;
use crate::pure::record::condition::{DaemonFacts, LockHolder, liveness};

/// What a daemon does whose heartbeat does not say how many sessions a project may have.
const MAX_PER_LANE_DEFAULT: usize = 1;

impl Store {
    /// Who holds the lock. `None`: nobody does.
    pub fn who_holds_lock(&self) -> Option<LockHolder> {
        // Where nobody can tell, the heartbeat has the word.
        if !self.is_locked().unwrap_or(false) {
            return None;
        }
        let stamp = identity::of_path(&self.own.join("lock")).ok();
        let since_ms = stamp.map(|stamp| stamp.mtime_ns / 1_000_000);
        Some(LockHolder { pid: self.lock_holder(), since_ms })
    }
}

impl View<'_> {
    /// The daemon of this directory, now.
    pub fn daemon(&self) -> DaemonFacts {
        let now_ms = clock::unix_ms();
        let mut holder = self.store.who_holds_lock();
        let mut beat = self.store.read_heartbeat();
        let mut is = liveness(holder, beat.as_ref(), now_ms);
        if is == Liveness::Dead {
            // One that started or ended between the two looks is not dead.
            holder = self.store.who_holds_lock();
            beat = self.store.read_heartbeat();
            is = liveness(holder, beat.as_ref(), now_ms);
        }
        let beat = beat.unwrap_or_default();
        let pause = self.store.pause().ok().flatten().filter(|pause| !pause.is_over(now_ms));
        let max_per_lane = beat.max_per_project.unwrap_or(MAX_PER_LANE_DEFAULT);
        DaemonFacts { liveness: is, holder, beat, now_ms, pause, max_per_lane }
    }

    /// How many callbacks are not delivered: those that wait, and those that were given up.
    pub fn count_undelivered(&self) -> Result<usize> {
        let waiting = json_ids_of(&self.store.outbox)?.len();
        Ok(waiting + json_ids_of(&self.store.outbox.join("dead"))?.len())
    }
}
