//! The heartbeat: tells the orchestrator that the daemon lives, and what it is doing. Every beat, and on change.
//!
//! It reads a board that intake keeps; it never asks intake for anything, so that it beats on while intake is busy.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, select_biased, tick};
use serde_json::{Value, json};

use super::Context;
use super::retention::Retention;
use crate::effects::clock;
use crate::pure::hold::Hold;
use crate::pure::time::rfc3339;
use crate::pure::trouble::Place;

/// At most one beat in this time, however much changes.
const CHANGE_EVERY: Duration = Duration::from_secs(1);

/// What there is to tell. One writer (intake), one reader (the heartbeat).
#[derive(Debug, Default)]
pub struct Board {
    told: Mutex<Told>,
}

#[derive(Clone, Debug, Default)]
pub struct Told {
    pub queued: usize,
    pub paused: bool,
    pub sessions: Vec<RunningSession>,
    /// With how many dispatches wait for each.
    pub holds: Vec<(Hold, usize)>,
}

#[derive(Clone, Debug)]
pub struct RunningSession {
    pub id: String,
    pub project: String,
    pub attempt: u32,
    pub since: Instant,
}

impl Board {
    pub fn put(&self, told: Told) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }

    fn get(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Wakes the heartbeat. Full means that it is about to beat anyway.
pub type Changed = Sender<()>;

/// Beats until `running` is disconnected.
pub fn run(context: &Context, board: &Board, changed: Receiver<()>, running: Receiver<Infallible>) {
    let beat = tick(context.settings.heartbeat);
    let mut retention = Retention::new(context);
    loop {
        select_biased! {
            recv(running) -> _ => return,
            recv(beat) -> _ => {
                context.audit.follow();
                context.processes.reap_strangers();
                write(context, board, state(context));
                retention.step();
            }
            recv(changed) -> _ => {
                // What changes within the next moment is told with this beat.
                let due = after(CHANGE_EVERY);
                write(context, board, state(context));
                select_biased! {
                    recv(running) -> _ => return,
                    recv(due) -> _ => {}
                }
            }
        }
    }
}

fn state(context: &Context) -> &'static str {
    if context.level.is_drain() { "drain" } else { "run" }
}

pub fn write(context: &Context, board: &Board, state: &str) {
    context.look_at_audit();
    let told = board.get();
    let sessions: Vec<Value> = told.sessions.iter().map(session).collect();
    let mut beat = json!({
        "ts": clock::stamp(),
        "active": sessions.len(),
        "queued": told.queued,
        "pid": std::process::id(),
        "max_concurrent": context.settings.max_concurrent,
        "version": env!("CARGO_PKG_VERSION"),
        "state": state,
        "local_only": context.settings.local_only,
        "sessions": sessions,
    });
    if told.paused {
        beat["paused"] = json!(true);
    }
    if let Some(why) = context.health.degraded() {
        beat["degraded"] = json!(why);
    }
    if !told.holds.is_empty() {
        beat["holds"] = told.holds.iter().map(|(hold, waiting)| held(hold, *waiting)).collect();
    }
    match context.store.write_heartbeat(&beat) {
        Ok(()) => context.works(Place::Heartbeat),
        Err(e) => context.failed(Place::Heartbeat, &e),
    }
}

fn session(running: &RunningSession) -> Value {
    json!({
        "id": running.id,
        "project": running.project,
        "elapsed": running.since.elapsed().as_secs(),
        "attempt": running.attempt,
    })
}

fn held(hold: &Hold, waiting: usize) -> Value {
    let mut held = json!({
        "agent": hold.agent,
        "kind": hold.kind,
        "until": rfc3339(hold.until_ms),
        "reason": hold.reason,
        "waiting": waiting,
    });
    if let Some(project) = &hold.project {
        held["project"] = json!(project.name);
        held["project_dir"] = json!(project.dir);
    }
    if let Some(probe) = hold.probe() {
        held["probe"] = json!(probe.as_str());
    }
    held
}
