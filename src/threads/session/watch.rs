//! Watches a running session until it ends: by itself, or by us, at one of its limits, on a cancel
//! or at shutdown.
//!
//! Its owner looks at it once a second: what it wrote ([`super::follow`]), and whether that says
//! that it must end ([`crate::pure::attempt::limits`]). `stop.json` is written before our first
//! signal, so that a crash between the two leads to the same answer. An adopted session is watched
//! like one of our own.

use std::time::Duration;

use super::Running;
use crate::effects::clock;
use crate::effects::store::Record;
use crate::pure::attempt::limits::{self, Observation, StopCause};
use crate::pure::attempt::outcome::Exit;
use crate::pure::attempt::record::{BegunRecord, StopRecord};
use crate::pure::audit_event::AuditEvent;
use crate::pure::config::OnShutdown;
use crate::pure::dispatch::DispatchId;
use crate::threads::events::Cancel;
use crate::threads::shared::context::Context;

/// How often a running session is looked at. Its end is seen at once all the same.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What [`Running::watch`] came to.
pub enum Watched {
    Ended(Option<Exit>),
    /// The session goes on without us.
    Left,
}

impl Running<'_> {
    /// Watches the session to its end. `on_work` is called once for a probe, when its model has
    /// answered, since others need not wait for its end.
    pub fn watch(&mut self, id: &DispatchId, cancel: &Cancel, on_work: &dyn Fn()) -> Watched {
        let mut is_probe = self.start.probe;
        loop {
            if self.stop.is_none() {
                if self.is_to_be_left() {
                    return Watched::Left;
                }
                self.stop = self.reason_to_stop(cancel);
            }
            if let Some(cause) = self.stop {
                return Watched::Ended(self.end(id, cause));
            }
            let left_ms = self.deadline_ms().saturating_sub(clock::monotonic_ms());
            let Some(session) = &mut self.session else { return Watched::Ended(None) };
            let left = Duration::from_millis(left_ms.max(1) as u64);
            if let Some(exit) = session.wait(left.min(LOOK_EVERY)) {
                return Watched::Ended(exit);
            }
            self.follow(id);
            if is_probe && self.follower.progress().turns > 0 {
                is_probe = false;
                on_work();
            }
        }
    }

    pub(super) fn is_to_be_left(&self) -> bool {
        let Context { level, .. } = self.context;
        if level.is_lost() {
            return !self.is_gone();
        }
        self.context.settings().on_shutdown == OnShutdown::Leave
            && level.is_drain()
            && !level.is_kill()
    }

    /// Whether the session is still ours to conclude. Another daemon that holds the directory goes
    /// on with what stands there; nobody but us knows of what does not.
    pub(super) fn is_ours(&self) -> bool {
        self.context.has_lock() || self.is_gone()
    }

    /// Whether its records are not in the directory any more. What cannot be read is there.
    fn is_gone(&self) -> bool {
        match self.attempt.start() {
            Ok(Record::Read(start)) => start.run_token != self.start.run_token,
            Ok(Record::Absent) => true,
            Ok(Record::Unreadable) | Err(_) => false,
        }
    }

    /// Why the session must end whatever it does, if somebody wants that.
    pub(super) fn reason_to_cut(&self, cancel: &Cancel) -> Option<StopCause> {
        if cancel.is_asked() {
            return Some(StopCause::Cancelled);
        }
        let Context { level, .. } = self.context;
        if level.is_kill() || level.is_lost() && self.is_gone() {
            return Some(StopCause::Shutdown);
        }
        self.task.end()
    }

    fn reason_to_stop(&self, cancel: &Cancel) -> Option<StopCause> {
        if let Some(cause) = self.reason_to_cut(cancel) {
            return Some(cause);
        }
        let seen = &self.follower.seen;
        let look = Observation {
            now_ms: clock::monotonic_ms(),
            started_ms: self.start.started_monotonic_ms,
            deadline_ms: self.deadline_ms(),
            output_bytes: seen.bytes.max(seen.stderr_bytes),
            tmp_bytes: self.tmp.bytes,
            has_begun: seen.has_begun,
            final_since_ms: seen.final_since_ms,
            unanswered_since_ms: seen.unanswered_since_ms,
            still_since_ms: seen.still_since_ms,
        };
        limits::due(&look, &self.limits())
    }

    fn deadline_ms(&self) -> i64 {
        let ttl_ms = (self.ttl_seconds as i64).saturating_mul(1000);
        limits::deadline(self.start.deadline_monotonic_ms, ttl_ms, self.begun_ms)
    }

    /// Looks at what the session wrote since the last look, and tells the heartbeat.
    fn follow(&mut self, id: &DispatchId) {
        let limits = self.limits();
        let (stall_ms, mark) = (limits.stall_ms, limits.stall_ms.map(|_| self.mark()));
        if limits.tmp_bytes_max.is_some() {
            self.tmp.look(&self.context.store);
        }
        let processes = &self.context.processes;
        let news = self.follower.look(&self.attempt, stall_ms, || processes.cpu(mark.as_ref()?));
        if news {
            self.context.board.progress(id, self.follower.progress());
        }
        let is_queued = self.limits().queue_ms.is_some() && self.begun_ms.is_none();
        if is_queued && self.follower.has_begun() {
            self.note_begin();
        }
    }

    /// Its time to live counts from now on, for the next daemon too.
    fn note_begin(&mut self) {
        let monotonic_ms = clock::monotonic_ms();
        self.begun_ms = Some(monotonic_ms);
        if let Err(e) = self.attempt.write_begun(&BegunRecord { monotonic_ms }) {
            log::warn!("{e}");
        }
    }

    /// Tells that Clawvisor's word ends it, if that is the cause.
    pub(super) fn tell_of_task_end(&self, id: &DispatchId, cause: StopCause) {
        let Some(end) = cause.task_end() else { return };
        let (attempt, clawvisor_status) = (self.start.attempt, end.name().into());
        let event = AuditEvent::SessionRevoked { attempt, clawvisor_status };
        self.context.audit.tell(id.as_str(), &event);
    }

    /// Records why, then ends it.
    fn end(&mut self, id: &DispatchId, cause: StopCause) -> Option<Exit> {
        log::info!("ending attempt {} of {id}: {}", self.attempt.number, cause.words());
        self.tell_of_task_end(id, cause);
        // The limits hold even on a disk that takes nothing; a crash before the end is then judged
        // by the stream.
        if let Err(e) = self.attempt.write_stop(&StopRecord { cause, at: clock::stamp() }) {
            log::error!("{e}");
        }
        self.stop()
    }
}
