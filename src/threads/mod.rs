//! Layer 3, threads: small loops that call `pure` for decisions and `effects` for deeds. Each owns its state; what one tells
//! another goes through a channel, and a claim moves with it. `health` is what all of them say is wrong.
//!
//! `signals` raises the level. `watcher` turns file events into names. `intake` owns the queue: it looks, accepts and hands
//! claims out. `worker` drives one claim at a time through its attempts (`attempt`; `watch` while one runs, `follow` for what
//! it says, `verify` after it) to its answer (`conclude`). `heartbeat` and `courier` tell the world, and with each beat
//! `retention` thins out what is over. `recover` runs once, at start, before the others.

pub mod attempt;
pub mod conclude;
pub mod courier;
pub mod follow;
pub mod health;
pub mod heartbeat;
pub mod intake;
pub mod recover;
pub mod retention;
pub mod signals;
pub mod verify;
pub mod watch;
pub mod watcher;
pub mod worker;

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::effects::error::Result;
use crate::effects::process::Processes;
use crate::effects::store::{Audit, Claim, Store};
use crate::pure::claim::AttemptEnd;
use crate::pure::config::Settings;
use crate::pure::dispatch::DispatchId;
use crate::pure::hold::{Notice, Sign};
use crate::pure::trouble::Place;
use health::Health;
use heartbeat::Board;
use signals::Level;

/// What every thread may use. Built once by the daemon; borrowed, never changed.
pub struct Context {
    pub store: Store,
    pub audit: Audit,
    pub processes: Processes,
    pub live: LiveSettings,
    /// Absolute paths of the agent programs that were found at start, by agent name.
    pub programs: HashMap<&'static str, PathBuf>,
    /// For `~/` in a dispatch.
    pub home: Option<OsString>,
    pub level: Level,
    /// What is wrong just now.
    pub health: Health,
    /// What the heartbeat tells.
    pub board: Board,
    /// When an earlier daemon beat last, in milliseconds since 1970.
    pub last_beat_ms: Option<i64>,
    /// Pokes the courier; full means that it is awake anyway.
    pub outbox_changed: Sender<()>,
}

impl Context {
    /// The settings that are in force now. Whoever needs several of them together takes them once.
    pub fn settings(&self) -> Arc<Settings> {
        self.live.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The settings in force. They are replaced as a whole when the operator has changed them (SIGHUP).
pub struct LiveSettings(RwLock<Arc<Settings>>);

impl LiveSettings {
    pub fn new(settings: Settings) -> LiveSettings {
        LiveSettings(RwLock::new(Arc::new(settings)))
    }

    pub fn replace(&self, settings: Settings) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(settings);
    }
}

/// One claim on its way to a worker, with the line by which it can be told to stop.
pub struct Job {
    pub claim: Claim,
    pub cancel: Cancel,
    /// It is let through a hold.
    pub probe: bool,
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
    /// To be queued, first in line: a retry of an adopted session, or one that ran into a hold.
    Again { claim: Claim },
    /// An attempt says something about its agent. Sent before what becomes of its claim.
    Notice(Box<Notice>),
    /// It is left as it stands on disk, for the next daemon.
    Left { id: DispatchId },
}

/// What the end of an attempt says about its agent, if anything.
fn notice_of(claim: &Claim, end: &AttemptEnd) -> Option<Notice> {
    end.sign.as_ref().map(|sign| notice(claim, sign.clone()))
}

fn notice(claim: &Claim, sign: Sign) -> Notice {
    Notice {
        id: claim.id.clone(),
        agent: claim.agent,
        lane: claim.lane.clone(),
        project: claim.project.to_string(),
        sign,
    }
}

/// The first pause; it doubles up to the setting.
const PERSIST_PAUSE: Duration = Duration::from_secs(1);

/// Does something to the disk until it works: what is known of a finished session must not be dropped for a full disk.
/// `None`: the daemon is told to end now; the next one takes it up from what stands there.
pub fn persist<T>(context: &Context, mut deed: impl FnMut() -> Result<T>) -> Option<T> {
    let mut failed = match deed() {
        Ok(value) => return Some(value),
        Err(e) => e,
    };
    let (holder, pause_max) = (context.health.holder(), context.settings().trouble_pause);
    let mut pause = PERSIST_PAUSE.min(pause_max);
    let done = loop {
        context.failed_for(Place::Answer, holder, &failed);
        if context.level.is_kill() {
            break None;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(pause_max);
        match deed() {
            Ok(value) => break Some(value),
            Err(e) => failed = e,
        }
    };
    context.works_for(Place::Answer, holder);
    done
}
