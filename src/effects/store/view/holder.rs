//! Whether a daemon runs, by its lock, and what its heartbeat says.
//!
//! A beat may be older than the daemon that holds the lock by now.

use super::View;
use super::names::json_ids_of;
use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::store::Store;
use crate::effects::store::disk::identity;
use crate::pure::record::condition::{DaemonCondition, DaemonFacts, LockHolder};
use crate::pure::schedule::pause::Pause;

/// What a daemon does whose heartbeat does not say how many sessions a project may have.
const MAX_PER_LANE_DEFAULT: usize = 1;

impl Store {
    /// Who holds the lock. `None`: nobody does, as far as can be told.
    pub fn who_holds_lock(&self) -> Option<LockHolder> {
        if !self.is_locked().unwrap_or(false) {
            return None;
        }
        let taken = identity::of_path(&self.lock_path()).ok();
        let since_ms = taken.map(|stamp| stamp.mtime_ns / 1_000_000);
        Some(LockHolder { pid: self.lock_holder(), since_ms })
    }
}

impl View<'_> {
    /// The daemon of this directory, now.
    pub fn daemon(&self) -> DaemonFacts {
        let now_ms = clock::unix_ms();
        let mut holder = self.store.who_holds_lock();
        let mut beat = self.store.read_heartbeat();
        let mut condition = DaemonCondition::new(holder, beat.as_ref(), now_ms);
        if condition == DaemonCondition::Dead {
            // One that started or ended between the two looks is not dead.
            holder = self.store.who_holds_lock();
            beat = self.store.read_heartbeat();
            condition = DaemonCondition::new(holder, beat.as_ref(), now_ms);
        }
        let beat = beat.unwrap_or_default();
        let (is_paused, paused_until_ms) = self.pause(now_ms);
        let max_per_lane = beat.max_per_project.unwrap_or(MAX_PER_LANE_DEFAULT);
        DaemonFacts { condition, holder, beat, now_ms, is_paused, paused_until_ms, max_per_lane }
    }

    /// Whether nothing new starts, and until when.
    fn pause(&self, now_ms: i64) -> (bool, Option<i64>) {
        let pause = self.store.pause().ok().flatten();
        // An end that was asked for is heeded by the next daemon, if none runs.
        let pause = pause.filter(|pause| !pause.is_over(now_ms) && !self.store.is_resume_asked());
        (pause.is_some(), pause.and_then(Pause::until_ms))
    }

    /// How many callbacks are not delivered: those that wait, and those that were given up.
    pub fn count_undelivered(&self) -> Result<usize> {
        let waiting = json_ids_of(&self.store.outbox)?.len();
        Ok(waiting + json_ids_of(&self.store.outbox.join("dead"))?.len())
    }
}
