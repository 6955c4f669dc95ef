//! The heartbeat: tells the orchestrator, with every beat and on change, that the daemon lives and
//! what it is doing.
//!
//! This thread reads a board that intake and the owners of sessions keep. It never asks anybody for
//! anything, so that it beats on while they are busy. Progress wakes nobody: it is told with the
//! next beat.

pub mod retention;

use std::collections::HashMap;
use std::time::Duration;

use crossbeam_channel::{Receiver, after, select_biased, tick};

use self::retention::Retention;
use super::shared::board::{PendingSnapshot, Progress, RunningSession, Snapshot};
use super::shared::context::Context;
use super::shared::level::ExitSignal;
use crate::effects::clock;
use crate::pure::agent::Tokens;
use crate::pure::dispatch::DispatchId;
use crate::pure::heartbeat::{
    DaemonState, Heartbeat, HeartbeatClawvisor, HeartbeatHold, HeartbeatParked, HeartbeatPending,
    HeartbeatSession,
};
use crate::pure::schedule::hold::Hold;
use crate::pure::text::time::rfc3339;
use crate::pure::upkeep::health::Subsystem;

/// Changes make at most one beat in this time, however many there are.
const CHANGE_EVERY: Duration = Duration::from_secs(1);

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
                // What somebody moved back into the outbox is sent anew.
                let _ = context.outbox_changed.try_send(());
                retention.step();
                context.leavings.go_on(&context.store);
            }
            recv(settings_changed) -> _ => {
                if std::mem::replace(&mut every, context.settings().heartbeat) != every {
                    beat = tick(every);
                }
                retention.follow_settings();
                write(context, state(context));
            }
            recv(changed) -> _ => {
                // What changes within the next second is told together, after it.
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

fn state(context: &Context) -> DaemonState {
    if context.level.is_drain() { DaemonState::Drain } else { DaemonState::Run }
}

pub fn write(context: &Context, state: DaemonState) {
    // The heartbeat of a directory that another daemon holds is not ours to write.
    if !context.has_lock() {
        return;
    }
    context.health.look_at_audit();
    match context.store.write_heartbeat(&beat(context, state)) {
        Ok(()) => context.health.works_again(Subsystem::Heartbeat),
        Err(e) => context.health.failed(Subsystem::Heartbeat, &e),
    }
}

fn beat(context: &Context, state: DaemonState) -> Heartbeat {
    let now = context.board.get();
    let Snapshot { queued, paused, sessions, parked, pending_count, pending, holds, .. } = now;
    let progress = context.board.all_progress().clone();
    let settings = context.settings();
    let beat = Heartbeat {
        active: sessions.len(),
        callbacks_dead: context.board.callbacks_dead(),
        clawvisor: settings.clawvisor().and_then(|_| clawvisor(context)),
        degraded: context.health.degraded(),
        holds: holds.into_iter().map(|(hold, waiting)| held(hold, waiting)).collect(),
        local_only: settings.local_only,
        max_concurrent: Some(settings.max_concurrent),
        max_per_project: Some(settings.max_per_project),
        parked: parked.into_iter().map(|(id, reason)| HeartbeatParked { id, reason }).collect(),
        paused,
        paused_until: now.paused_until_ms.map(rfc3339),
        pending: pending.into_iter().map(waits).collect(),
        pending_count: Some(pending_count).filter(|count| *count > 0),
        pid: Some(std::process::id()),
        queued,
        sessions: sessions.into_iter().map(|one| session(&progress, one)).collect(),
        state: Some(state),
        ts: clock::stamp(),
        version: Some(env!("CARGO_PKG_VERSION").into()),
    };
    beat.bounded()
}

fn clawvisor(context: &Context) -> Option<HeartbeatClawvisor> {
    let (state, since_ms) = context.authority.state()?;
    Some(HeartbeatClawvisor { since: rfc3339(since_ms), state })
}

/// What is not known is left out.
fn session(progress: &HashMap<String, Progress>, running: RunningSession) -> HeartbeatSession {
    let RunningSession { id, project, attempt, since } = running;
    let progress = progress.get(&id);
    let tokens = progress.map(|seen| seen.tokens).filter(|tokens| *tokens != Tokens::default());
    HeartbeatSession {
        attempt,
        elapsed: since.elapsed().as_secs(),
        input_tokens: tokens.map(|tokens| tokens.input),
        last_activity: progress.and_then(|seen| seen.last_activity_ms).map(rfc3339),
        last_tool: progress.and_then(|seen| seen.last_tool.clone()),
        output_bytes: progress.map(|seen| seen.output_bytes),
        output_tokens: tokens.map(|tokens| tokens.output),
        project,
        total_cost_usd: progress.and_then(|seen| seen.cost_usd),
        turns: progress.map(|seen| seen.turns),
        id,
    }
}

fn waits(pending: PendingSnapshot) -> HeartbeatPending {
    let PendingSnapshot { id, project, why, since_ms, expires_ms } = pending;
    let (since, expires_at) = (rfc3339(since_ms), rfc3339(expires_ms));
    HeartbeatPending { expires_at, id, project, since, why }
}

fn held(hold: Hold, waiting: usize) -> HeartbeatHold {
    let probe = hold.probe().map(DispatchId::to_string);
    let (project, project_dir) = hold.project.map(|project| (project.name, project.dir)).unzip();
    let (agent, kind, until) = (hold.agent, hold.kind, rfc3339(hold.until_ms));
    HeartbeatHold { agent, kind, probe, project, project_dir, reason: hold.reason, until, waiting }
}
