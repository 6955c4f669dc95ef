//! The board that the heartbeat reads: intake puts up what there is, and the owner of each session
//! how far it has come.
//!
//! Nobody waits for the board, and progress wakes nobody.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::Sender;

use crate::pure::agent::Tokens;
use crate::pure::dispatch::DispatchId;
use crate::pure::gate::PendingWhy;
use crate::pure::schedule::hold::Hold;

/// What the heartbeat tells of dispatches.
#[derive(Debug, Default)]
pub struct Board {
    /// Intake keeps it.
    snapshot: Mutex<Snapshot>,
    /// The owner of each session keeps its own, by the dispatch's id.
    progress: Mutex<HashMap<String, Progress>>,
    /// How many callbacks were given up. The courier keeps it.
    callbacks_dead: AtomicUsize,
}

/// What a running session's stream has said so far.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    pub output_bytes: u64,
    /// Milliseconds since 1970.
    pub last_activity_ms: Option<i64>,
    pub turns: u64,
    pub last_tool: Option<String>,
    pub tokens: Tokens,
    pub cost_usd: Option<f64>,
}

/// What intake knows at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub queued: usize,
    pub paused: bool,
    /// Milliseconds since 1970.
    pub paused_until_ms: Option<i64>,
    /// Longest first.
    pub sessions: Vec<RunningSession>,
    /// The dispatches that their own trouble keeps from going on, and why.
    pub parked: Vec<(String, String)>,
    pub pending_count: usize,
    /// The oldest of those that wait for approval.
    pub pending: Vec<PendingSnapshot>,
    /// Each hold, with how many dispatches wait for it.
    pub holds: Vec<(Hold, usize)>,
}

/// A dispatch that waits for approval. Times are in milliseconds since 1970.
#[derive(Clone, Debug)]
pub struct PendingSnapshot {
    pub id: String,
    pub project: String,
    pub why: PendingWhy,
    pub since_ms: i64,
    pub expires_ms: i64,
}

#[derive(Clone, Debug)]
pub struct RunningSession {
    pub id: String,
    pub project: String,
    pub attempt: u32,
    pub since: Instant,
}

impl Board {
    pub fn put(&self, snapshot: Snapshot) {
        *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }

    /// Notes how far a running session has come.
    pub fn progress(&self, id: &DispatchId, progress: Progress) {
        self.all_progress().insert(id.to_string(), progress);
    }

    /// Forgets a session that has ended.
    pub fn forget(&self, id: &DispatchId) {
        self.all_progress().remove(id.as_str());
    }

    pub fn all_progress(&self) -> MutexGuard<'_, HashMap<String, Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids of the sessions that run, longest first.
    pub fn running_ids(&self) -> Vec<String> {
        self.get().sessions.into_iter().map(|session| session.id).collect()
    }

    pub fn callbacks_dead(&self) -> usize {
        self.callbacks_dead.load(Ordering::Relaxed)
    }

    /// True: that is another number than before.
    pub fn put_callbacks_dead(&self, count: usize) -> bool {
        self.callbacks_dead.swap(count, Ordering::Relaxed) != count
    }

    pub fn get(&self) -> Snapshot {
        self.snapshot.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Wakes the heartbeat. Full means that it is about to beat anyway.
pub type Changed = Sender<()>;
