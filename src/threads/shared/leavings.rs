//! The temporary directories of sessions that are over, and their removal: at once as far as that
//! goes quickly, and the rest a little with each beat.
//!
//! Owns what is still to be removed. Must not hold up an answer: a session may have left a million
//! files, and one directory that cannot be removed must not be in the way of another.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::effects::store::{Removal, Store};

/// How long the answer to a dispatch may wait for this.
const AT_ONCE_MAX: Duration = Duration::from_millis(500);
/// How much of a beat goes into it.
const BEAT_SHARE_MAX: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
pub struct Leavings(Mutex<Vec<PathBuf>>);

impl Leavings {
    /// Removes a directory, or notes it for later.
    pub fn clear(&self, store: &Store, dir: PathBuf) {
        if !is_removed(store, &dir, AT_ONCE_MAX) {
            self.note([dir]);
        }
    }

    /// Notes what an earlier daemon left.
    pub fn note(&self, dirs: impl IntoIterator<Item = PathBuf>) {
        self.dirs().extend(dirs);
    }

    /// Does one beat's share. What cannot be removed is left for the next start.
    pub fn go_on(&self, store: &Store) {
        let until = Instant::now() + BEAT_SHARE_MAX;
        while let Some(dir) = self.next() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !is_removed(store, &dir, left) {
                return self.note([dir]);
            }
        }
    }

    fn next(&self) -> Option<PathBuf> {
        self.dirs().pop()
    }

    fn dirs(&self) -> MutexGuard<'_, Vec<PathBuf>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// False: there is more to remove.
fn is_removed(store: &Store, dir: &Path, time: Duration) -> bool {
    match store.remove_tmp(dir, time) {
        Ok(Removal::Done) => true,
        Ok(Removal::Begun) => false,
        Err(e) => {
            log::warn!("{e}: a session's temporary directory stays");
            true
        }
    }
}
