//! Holds what was spent within the window of the budget, for all threads: a lock around it, and a
//! number by which one sees that there is more. [`super::budget`] fills it and asks it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::pure::schedule::budget::Spending;

#[derive(Default)]
pub struct SpendingKeeper {
    known: Mutex<Option<Known>>,
    /// Counts what was noted.
    news: AtomicU64,
}

pub(super) struct Known {
    pub spending: Spending,
    /// From here on nothing is missing.
    pub since_ms: i64,
    /// The file's length in bytes, if it holds all of this.
    pub file_bytes: Option<u64>,
    pub file_lines: usize,
}

impl SpendingKeeper {
    /// `None`: no budget is set.
    pub(super) fn known(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was noted.
    pub(super) fn tell(&self) {
        self.news.fetch_add(1, Ordering::Release);
    }

    /// Changes when something was noted.
    pub fn news(&self) -> u64 {
        self.news.load(Ordering::Acquire)
    }
}
