//! Layer 3, threads: small loops that call `pure` for decisions and `effects` for deeds. Each owns its state; what one tells
//! another goes through a channel, and a claim moves with it.
//!
//! `signals` raises the level. `watcher` turns file events into names. `intake` owns the queue: it looks, accepts and hands
//! claims out. `worker` drives one claim at a time through its attempts (`attempt`; `watch` while one runs, `follow` for what it
//! says, `verify` after it) to its answer (`conclude`). `heartbeat`
//! and `courier` tell the world. `recover` runs once, at start, before the others.

pub mod attempt;
pub mod conclude;
pub mod courier;
pub mod follow;
pub mod heartbeat;
pub mod intake;
pub mod recover;
pub mod signals;
pub mod verify;
pub mod watch;
pub mod watcher;
pub mod worker;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::effects::error::Result;
use crate::effects::process::Processes;
use crate::effects::store::{Audit, Claim, Store};
use crate::pure::config::Settings;
use crate::pure::dispatch::DispatchId;
use heartbeat::Board;
use signals::Level;

/// What every thread may use. Built once by the daemon; borrowed, never changed.
pub struct Context {
    pub store: Store,
    pub audit: Audit,
    pub processes: Processes,
    pub settings: Settings,
    /// Absolute paths of the agent programs that were found at start, by agent name.
    pub programs: HashMap<&'static str, PathBuf>,
    /// For `~/` in a dispatch.
    pub home: Option<OsString>,
    pub level: Level,
    /// What the heartbeat tells.
    pub board: Board,
    /// Pokes the courier; full means that it is awake anyway.
    pub outbox_changed: Sender<()>,
}

/// One claim on its way to a worker, with the line by which it can be told to stop.
pub struct Job {
    pub claim: Claim,
    pub cancel: Cancel,
}

/// Asks the owner of a session to end it. The owner looks about once a second.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    pub fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What whoever works on a claim tells intake. Unbounded: a worker must never wait for intake, which may be waiting for it.
pub enum Event {
    /// An attempt starts, or started so long ago.
    Attempt { id: DispatchId, number: u32, elapsed: Duration },
    /// Its folder is gone from `active/`: it has its report, or it turned out to be no acceptance.
    Closed { id: DispatchId },
    /// It goes back into the queue: nothing could be started, for a reason that has nothing to do with it.
    Back { claim: Claim, error: String },
    /// A retry of an adopted session: to be queued, first in line.
    Again { claim: Claim },
    /// It is left as it stands on disk, for the next daemon.
    Left { id: DispatchId },
}

const PERSIST_DELAY: Duration = Duration::from_secs(1);
const PERSIST_DELAY_MAX: Duration = Duration::from_secs(5);

/// Does something to the disk until it works: what is known of a finished session must not be dropped for a full disk.
/// `None`: the daemon is told to end now; the next one takes it up from what stands there.
pub fn persist<T>(context: &Context, mut deed: impl FnMut() -> Result<T>) -> Option<T> {
    let mut delay = PERSIST_DELAY;
    loop {
        match deed() {
            Ok(value) => return Some(value),
            Err(e) => log::error!("{e}; trying again in {delay:?}"),
        }
        if context.level.is_kill() {
            return None;
        }
        thread::sleep(delay);
        delay = (delay * 2).min(PERSIST_DELAY_MAX);
    }
}
