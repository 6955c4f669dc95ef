//! Layer 3, threads: small loops that call `pure` for decisions and `effects` for deeds. Each owns
//! its state; what one tells another goes through a channel, and a claim moves with it. `health` is
//! what all of them say is wrong.
//!
//! `signals` raises the level, and so does `lock` when another daemon has taken our place.
//! `watcher` turns file events into names. `intake` owns the queue: it looks, accepts and hands
//! claims out. `worker` drives one claim at a time through its attempts (`attempt`; `watch` while
//! one runs, `follow` for what it says, `verify` after it) to its answer (`conclude`). `heartbeat`
//! and `courier` tell the world, and with each beat `retention` thins out what is over. `recover`
//! runs once, at start, before the others. `live` holds the settings in force, `sources` reads
//! them, `reload` does so again.

pub mod attempt;
pub mod conclude;
pub mod courier;
pub mod follow;
pub mod health;
pub mod heartbeat;
pub mod intake;
pub mod live;
pub mod lock;
pub mod recover;
pub mod reload;
pub mod retention;
pub mod signals;
pub mod sources;
pub mod verify;
pub mod watch;
pub mod watcher;
pub mod worker;

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crossbeam_channel::Sender;

use crate::effects::callback;
use crate::effects::error::{Error, Result};
use crate::effects::process::Processes;
use crate::effects::store::{Audit, Claim, DaemonLock, MovedAside, Store};
use crate::pure::agent::Drivers;
use crate::pure::audit_event::AuditEvent;
use crate::pure::claim::AttemptEnd;
use crate::pure::dispatch::DispatchId;
use crate::pure::hold::Notice;
use crate::pure::sign::Sign;
use crate::pure::trouble::Place;
use conclude::Answering;
use health::Health;
use heartbeat::Board;
use live::LiveSettings;
use signals::Level;
use sources::Sources;

/// What every thread may use. Built once by the daemon; borrowed, never changed.
pub struct Context {
    pub store: Store,
    /// Asked for by [`Context::has_lock`].
    pub lock: DaemonLock,
    pub audit: Audit,
    pub processes: Processes,
    pub drivers: Drivers,
    pub live: LiveSettings,
    pub sources: Sources,
    /// Of callbacks.
    pub sender: callback::Sender,
    /// For `~/` in a dispatch.
    pub home: Option<OsString>,
    pub level: Level,
    /// Nothing new is started, and no retry. Intake sets it, from the control files.
    pub paused: AtomicBool,
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
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Tells what had to be moved because it stood where something of ours belongs.
    pub fn tell_moved_aside(&self) {
        for MovedAside { id, from, to } in self.store.take_moved_aside() {
            let (from, to) = (from.display().to_string(), to.display().to_string());
            log::warn!("{from} was in the way and is {to} now");
            let of_dispatch = DispatchId::parse(&id).map_or("", |_| id.as_str());
            self.audit.tell(of_dispatch, &AuditEvent::MovedAside { path: from, to });
        }
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
pub struct Cancel(Arc<Line>);

#[derive(Debug, Default)]
struct Line {
    is_asked: AtomicBool,
    has_begun: AtomicBool,
}

impl Cancel {
    pub fn ask(&self) {
        self.0.is_asked.store(true, Ordering::Release);
    }

    pub fn is_asked(&self) -> bool {
        self.0.is_asked.load(Ordering::Acquire)
    }

    /// The owner has seen that its sender still wants it: it is no longer to be withdrawn.
    pub fn begin(&self) {
        self.0.has_begun.store(true, Ordering::Release);
    }

    pub fn has_begun(&self) -> bool {
        self.0.has_begun.load(Ordering::Acquire)
    }
}

/// What whoever works on a claim tells intake. Unbounded: a worker must never wait for intake,
/// which may be waiting for it.
pub enum Event {
    /// An attempt starts, or started so long ago.
    Attempt { id: DispatchId, number: u32, elapsed: Duration },
    /// Its folder is gone from `active/`: it has its report, or it turned out to be no acceptance.
    Closed { id: DispatchId },
    /// It goes back into the queue: nothing could be started, for a reason that has nothing to do
    /// with it.
    Back { claim: Claim, error: String },
    /// To be queued, first in line: a retry of an adopted session, or one that ran into a hold.
    Again { claim: Claim },
    /// At its turn no file of its was found under a name that it is known by. Whether it has
    /// another one, intake sees.
    Nameless { claim: Claim },
    /// An attempt says something about its agent. Sent before what becomes of its claim.
    Notice(Box<Notice>),
    /// It is left as it stands on disk, for the next daemon.
    Left { id: DispatchId },
    /// Its answer cannot be seen through for a trouble of its own; intake looks at it again with
    /// the beats.
    Parked { answering: Box<Answering>, error: String },
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
/// How often is tried what fails for one dispatch alone, and the pause between.
const OWN_TRIES: u32 = 3;
const OWN_PAUSE: Duration = Duration::from_millis(50);

/// Why something about a dispatch is not on the disk.
#[derive(Debug)]
pub enum Unwritten {
    /// The daemon is told to end now; the next one takes it up from what stands there.
    DaemonEnds,
    /// It concerns this dispatch alone, and waiting does not mend it.
    Own(Error),
}

/// Does something to the disk until it works: what is known of a finished session must not be
/// dropped for a full disk. What fails for this dispatch alone gets a few tries: it must not keep a
/// slot from the others.
pub fn persist<T>(
    context: &Context,
    mut deed: impl FnMut() -> Result<T>,
) -> std::result::Result<T, Unwritten> {
    let holder = context.health.holder();
    let (mut pause, mut own_tries, mut is_told) = (PERSIST_PAUSE, 0, false);
    let done = loop {
        let failed = match deed() {
            Ok(value) => break Ok(value),
            Err(e) => e,
        };
        if failed.fault().is_everywhere() {
            is_told = true;
            context.failed_for(Place::Answer, holder, &failed);
            if context.level.is_last_try() {
                return Err(Unwritten::DaemonEnds);
            }
            let pause_max = context.settings().trouble_pause;
            thread::sleep(pause.min(pause_max));
            pause = (pause * 2).min(pause_max);
            // A folder that is gone, or was shut, comes back.
            if let Err(e) = context.store.make_directories() {
                log::debug!("{e}");
            }
            continue;
        }
        own_tries += 1;
        if own_tries >= OWN_TRIES {
            break Err(Unwritten::Own(failed));
        }
        thread::sleep(OWN_PAUSE);
    };
    if is_told {
        context.works_for(Place::Answer, holder);
    }
    done
}
