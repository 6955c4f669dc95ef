//! How much a running session's temporary directory takes up.
//!
//! Looking means looking at every file in it. So the dearer a look was, the longer the next one
//! waits, and a look that takes too long is given up: what it saw by then is a lower bound, which
//! is all that the limit needs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::effects::store::Store;

/// No look takes longer.
const LOOK_MAX: Duration = Duration::from_millis(200);
/// The pause after a look is this many times as long as the look.
const REST_FACTOR: u32 = 100;

/// The private temporary directory of a session.
#[derive(Debug)]
pub struct SessionTmp {
    /// `None`: it has none.
    pub dir: Option<PathBuf>,
    due: Instant,
    pub bytes: u64,
}

impl SessionTmp {
    pub fn new(dir: Option<PathBuf>) -> SessionTmp {
        SessionTmp { dir, due: Instant::now(), bytes: 0 }
    }

    /// Looks at it, if that is due.
    pub fn look(&mut self, store: &Store) {
        let began = Instant::now();
        if let Some(dir) = self.dir.as_ref().filter(|_| began >= self.due) {
            self.bytes = store.tmp_bytes(dir, LOOK_MAX);
            let ended = Instant::now();
            self.due = ended + (ended - began) * REST_FACTOR;
        }
    }
}
