//! Whether a daemon runs, by its lock, and what its heartbeat says.
//!
//! The lock is only touched: a shared lock on a descriptor of our own, let go at once, so that a
//! daemon that starts at this moment still gets it.

use std::fs::TryLockError;
use std::os::unix::fs::MetadataExt;

use super::View;
use super::names::json_ids_of;
use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::store::Store;
use crate::effects::store::disk::files;
use crate::pure::record::condition::{DaemonCondition, DaemonFacts, LockHolder};
use crate::pure::text::time::parse_rfc3339;

/// What a daemon does whose heartbeat does not say how many sessions a project may have.
const MAX_PER_LANE_DEFAULT: usize = 1;
/// A pause request holds nothing or a time.
const PAUSE_BYTES_MAX: u64 = 100;

impl Store {
    /// Who holds the lock. `None`: nobody does.
    pub fn who_holds_lock(&self) -> Option<LockHolder> {
        let file = files::open_plain(&self.own.join("lock")).ok()?;
        match file.try_lock_shared() {
            Ok(()) => {
                let _ = file.unlock();
                None
            }
            Err(TryLockError::WouldBlock) => {
                let meta = file.metadata().ok();
                let since_ms = meta.map(|meta| meta.mtime() * 1000 + meta.mtime_nsec() / 1_000_000);
                Some(LockHolder { pid: self.lock_holder(), since_ms })
            }
            Err(TryLockError::Error(_)) => None,
        }
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

    /// Whether nothing new starts, and until when: the request's file is empty or holds the end.
    fn pause(&self, now_ms: i64) -> (bool, Option<i64>) {
        if !self.store.is_paused() {
            return (false, None);
        }
        let bytes = files::read(&self.store.control_dir().join("pause"), PAUSE_BYTES_MAX);
        let bytes = bytes.ok().and_then(files::Record::into_read).unwrap_or_default();
        let until_ms = parse_rfc3339(String::from_utf8_lossy(&bytes).trim());
        (until_ms.is_none_or(|until| until > now_ms), until_ms)
    }

    /// How many callbacks are not delivered: those that wait, and those that were given up.
    pub fn count_undelivered(&self) -> Result<usize> {
        let waiting = json_ids_of(&self.store.outbox)?.len();
        Ok(waiting + json_ids_of(&self.store.outbox.join("dead"))?.len())
    }
}
