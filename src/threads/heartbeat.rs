//! The heartbeat: tells the orchestrator that the daemon lives, and what it is doing. Every beat,
//! and on change.
//!
//! It reads a board that intake and the owners of sessions keep; it never asks anybody for
//! anything, so that it beats on while they are busy. Progress wakes nobody: it is told with the
//! next beat.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, after, select_biased, tick};
use serde_json::{Value, json};

use super::Context;
use super::retention::Retention;
use super::signals::ExitSignal;
use crate::effects::clock;
use crate::pure::agent::Tokens;
use crate::pure::dispatch::DispatchId;
use crate::pure::hold::Hold;
use crate::pure::time::rfc3339;
use crate::pure::trouble::Place;

/// At most one beat in this time, however much changes.
const CHANGE_EVERY: Duration = Duration::from_secs(1);

/// More of them are not told of.
const PARKED_MAX: usize = 100;
/// Of every name and text that somebody else chose, in characters. A beat that is too long is read
/// by nobody.
const TEXT_CHARS_MAX: usize = 200;
/// Of what has a path in it.
const PATH_CHARS_MAX: usize = 5000;

/// What there is to tell.
#[derive(Debug, Default)]
pub struct Board {
    /// Intake's.
    told: Mutex<Told>,
    /// Of the sessions that have been looked at, by the owner of each.
    progress: Mutex<HashMap<String, Progress>>,
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

#[derive(Clone, Debug, Default)]
pub struct Told {
    pub queued: usize,
    pub paused: bool,
    pub sessions: Vec<RunningSession>,
    /// Which dispatches' own troubles keep them from going on, and why.
    pub parked: Vec<(String, String)>,
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

    /// Of a session that runs.
    pub fn progress(&self, id: &DispatchId, progress: Progress) {
        self.all_progress().insert(id.to_string(), progress);
    }

    /// The session has ended.
    pub fn forget(&self, id: &DispatchId) {
        self.all_progress().remove(id.as_str());
    }

    fn all_progress(&self) -> MutexGuard<'_, HashMap<String, Progress>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ids of the sessions that run, longest first.
    pub fn running_ids(&self) -> Vec<String> {
        self.get().sessions.into_iter().map(|session| session.id).collect()
    }

    fn get(&self) -> Told {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Wakes the heartbeat. Full means that it is about to beat anyway.
pub type Changed = Sender<()>;

/// Beats until the daemon is done.
pub fn run(context: &Context, changed: Receiver<()>, exit: ExitSignal) {
    let settings_changed = context.live.listen();
    let mut every = context.settings().heartbeat;
    let mut beat = tick(every);
    let mut retention = Retention::new(context);
    loop {
        select_biased! {
            recv(exit.receiver()) -> _ => return,
            recv(beat) -> _ => {
                if !context.has_lock() {
                    continue;
                }
                context.audit.follow();
                context.processes.reap_strangers();
                write(context, state(context));
                retention.step();
            }
            recv(settings_changed) -> _ => {
                if std::mem::replace(&mut every, context.settings().heartbeat) != every {
                    beat = tick(context.settings().heartbeat);
                }
                retention.follow_settings();
                write(context, state(context));
            }
            recv(changed) -> _ => {
                // What changes within the next moment is told with this beat.
                let due = after(CHANGE_EVERY);
                write(context, state(context));
                select_biased! {
                    recv(exit.receiver()) -> _ => return,
                    recv(due) -> _ => {}
                }
            }
        }
    }
}

fn state(context: &Context) -> &'static str {
    if context.level.is_drain() { "drain" } else { "run" }
}

pub fn write(context: &Context, state: &str) {
    // That of a directory which is another daemon's is not ours to write.
    if !context.has_lock() {
        return;
    }
    context.look_at_audit();
    let board = &context.board;
    let told = board.get();
    let progress = board.all_progress().clone();
    let sessions = told.sessions.iter().map(|running| session(running, progress.get(&running.id)));
    let sessions: Vec<Value> = sessions.collect();
    let mut beat = json!({
        "ts": clock::stamp(),
        "active": sessions.len(),
        "queued": told.queued,
        "pid": std::process::id(),
        "max_concurrent": context.settings().max_concurrent,
        "version": env!("CARGO_PKG_VERSION"),
        "state": state,
        "local_only": context.settings().local_only,
        "sessions": sessions,
    });
    if told.paused {
        beat["paused"] = json!(true);
    }
    if let Some(why) = context.health.degraded() {
        beat["degraded"] = json!(bounded(&why, PATH_CHARS_MAX));
    }
    if !told.holds.is_empty() {
        beat["holds"] = told.holds.iter().map(|(hold, waiting)| held(hold, *waiting)).collect();
    }
    if !told.parked.is_empty() {
        let parked = told.parked.iter().take(PARKED_MAX);
        beat["parked"] = parked.map(|(id, why)| json!({"id": id, "reason": text(why)})).collect();
    }
    match context.store.write_heartbeat(&beat) {
        Ok(()) => context.works(Place::Heartbeat),
        Err(e) => context.failed(Place::Heartbeat, &e),
    }
}

/// What is not known is not there.
fn session(running: &RunningSession, progress: Option<&Progress>) -> Value {
    let mut told = json!({
        "id": running.id,
        "project": text(&running.project),
        "elapsed": running.since.elapsed().as_secs(),
        "attempt": running.attempt,
    });
    let Some(progress) = progress else { return told };
    told["output_bytes"] = json!(progress.output_bytes);
    told["turns"] = json!(progress.turns);
    if progress.tokens != Tokens::default() {
        told["input_tokens"] = json!(progress.tokens.input);
        told["output_tokens"] = json!(progress.tokens.output);
    }
    if let Some(tool) = &progress.last_tool {
        told["last_tool"] = json!(text(tool));
    }
    if let Some(cost) = progress.cost_usd {
        told["total_cost_usd"] = json!(cost);
    }
    if let Some(at_ms) = progress.last_activity_ms {
        told["last_activity"] = json!(rfc3339(at_ms));
    }
    told
}

fn text(text: &str) -> String {
    bounded(text, TEXT_CHARS_MAX)
}

fn bounded(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        None => text.to_string(),
        Some(_) => text.chars().take(chars_max - 1).chain(['…']).collect(),
    }
}

fn held(hold: &Hold, waiting: usize) -> Value {
    let mut held = json!({
        "agent": hold.agent,
        "kind": hold.kind,
        "until": rfc3339(hold.until_ms),
        "reason": text(&hold.reason),
        "waiting": waiting,
    });
    if let Some(project) = &hold.project {
        held["project"] = json!(text(&project.name));
        held["project_dir"] = json!(bounded(&project.dir, PATH_CHARS_MAX));
    }
    if let Some(probe) = hold.probe() {
        held["probe"] = json!(probe.as_str());
    }
    held
}
