//! What Clawvisor says of tasks just now, kept for all threads. One thread asks
//! ([`crate::threads::authority`]); intake, workers and the owners of sessions say here what they
//! need to know, and read what is known.
//!
//! Only a worker ever waits here, and not for long. What was never asked, or not answered, is no
//! yes. Where Clawvisor is not configured nobody comes here.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};

use crate::effects::clock;
use crate::pure::gate::asking::TaskDesk;
use crate::pure::gate::clawvisor::{ClawvisorState, MidSession, TaskAnswer, TaskId, mid_session};

pub struct Authority {
    known: Mutex<KnownTasks>,
    /// Wakes the thread that asks; a full channel means that it is awake anyway.
    wake: Sender<()>,
}

#[derive(Default)]
pub struct KnownTasks {
    pub tasks: HashMap<TaskId, TaskDesk>,
    /// How well it can be asked, and since when, in milliseconds since 1970.
    pub state: Option<(ClawvisorState, i64)>,
    /// Each is dropped with the next answer: that wakes whoever waits for one.
    waiting: Vec<Sender<Infallible>>,
}

impl Authority {
    pub fn new(wake: Sender<()>) -> Authority {
        Authority { known: Mutex::default(), wake }
    }

    pub fn known(&self) -> MutexGuard<'_, KnownTasks> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the thread that asks.
    pub fn wake(&self) {
        let _ = self.wake.try_send(());
    }

    pub fn state(&self) -> Option<(ClawvisorState, i64)> {
        self.known().state
    }

    /// An answer that may start something.
    pub fn young(&self, task: &TaskId) -> Option<TaskAnswer> {
        let now_ms = clock::monotonic_ms();
        self.known().tasks.get(task)?.young(now_ms).cloned()
    }

    /// A dispatch waits for the task, which is asked about until [`Authority::stop_waiting`].
    pub fn wait_on(&self, task: &TaskId) {
        let mut known = self.known();
        let desk = known.tasks.entry(task.clone()).or_default();
        desk.waiting += 1;
        if desk.young(clock::monotonic_ms()).is_none() {
            desk.want();
        }
        drop(known);
        self.wake();
    }

    pub fn stop_waiting(&self, task: &TaskId) {
        if let Some(desk) = self.known().tasks.get_mut(task) {
            desk.waiting = desk.waiting.saturating_sub(1);
        }
    }

    /// Waits so long for an answer that may start something.
    pub fn wait_for_young(&self, task: &TaskId, timeout: Duration) {
        let end = Instant::now() + timeout;
        let mut known = self.known();
        loop {
            let desk = known.tasks.entry(task.clone()).or_default();
            if desk.young(clock::monotonic_ms()).is_some() {
                return;
            }
            desk.want();
            self.wake();
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let (answered_in, answered) = bounded(0);
            known.waiting.push(answered_in);
            drop(known);
            let _ = answered.recv_timeout(left);
            known = self.known();
        }
    }

    /// Tells those who wait that something is known.
    pub fn tell(&self) {
        self.known().waiting.clear();
    }

    /// A session runs by the task, which is looked at until the watch is dropped.
    pub fn watch(&self, id: TaskId) -> TaskWatch<'_> {
        self.known().tasks.entry(id.clone()).or_default().sessions += 1;
        self.wake();
        TaskWatch { authority: self, id }
    }
}

/// The look at the task of a session that runs.
pub struct TaskWatch<'c> {
    authority: &'c Authority,
    pub id: TaskId,
}

impl TaskWatch<'_> {
    /// What the last answer means for the session.
    pub fn word(&self) -> MidSession {
        let known = self.authority.known();
        let last = known.tasks.get(&self.id).and_then(TaskDesk::last);
        last.map_or(MidSession::GoesOn, |answer| mid_session(answer, &self.id))
    }
}

impl Drop for TaskWatch<'_> {
    fn drop(&mut self) {
        if let Some(desk) = self.authority.known().tasks.get_mut(&self.id) {
            desk.sessions = desk.sessions.saturating_sub(1);
        }
    }
}
