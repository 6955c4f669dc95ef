//! Files that may be half-written: what is not JSON yet is looked at again until it stands still,
//! by our own clock. A sender's clock, or one that is set, must not make a file look finished.
//!
//! This module keeps only what it has seen of a file; `reject` decides what becomes of that.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use crate::effects::store::Stamp;

/// Files that may be half-written, with when they were last seen to change, in order of when they
/// are due.
#[derive(Default)]
pub(super) struct Settling {
    files: HashMap<OsString, (Stamp, Instant)>,
    due: VecDeque<(Instant, OsString)>,
}

impl Settling {
    /// Whether the file has stood still for `settle` by now.
    pub fn has_settled(&mut self, name: &OsStr, stamp: &Stamp, settle: Duration) -> bool {
        let now = Instant::now();
        match self.files.get(name) {
            Some((seen, since)) if seen.is_unchanged(stamp) => {
                if now >= *since + settle {
                    self.files.remove(name);
                    return true;
                }
            }
            _ => {
                self.files.insert(name.into(), (*stamp, now));
                self.due.push_back((now + settle, name.into()));
            }
        }
        false
    }

    pub fn forget(&mut self, name: &OsStr) {
        self.files.remove(name);
    }

    /// Moves what is due to the backlog. All wait equally long, so that the first in line is due
    /// first.
    pub fn take_due(&mut self, backlog: &mut VecDeque<OsString>) {
        let now = Instant::now();
        while self.due.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, name)) = self.due.pop_front() else { return };
            if self.files.contains_key(&name) {
                backlog.push_back(name);
            }
        }
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.due.front().map(|(due, _)| *due)
    }
}
