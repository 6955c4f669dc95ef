//! How well Clawvisor can be asked: told once when it changes, in the log, the audit log and the
//! heartbeat.
//!
//! A warning at most: what needs Clawvisor waits, and nothing else does. While nobody asks about a
//! task it is asked whether it is there, until it is.

use super::Inquirer;
use crate::effects::clock;
use crate::effects::http::callback::Failure;
use crate::effects::http::clawvisor::Reply;
use crate::pure::audit_event::AuditEvent;
use crate::pure::gate::clawvisor::{ClawvisorState, pause_after};
use crate::pure::text::redact::redact;

/// The question whether Clawvisor is there: at the start, and while it is not and nobody else asks.
pub(super) struct ReadyCheck {
    pub failures: u32,
    pub due_ms: Option<i64>,
    pub was_made: bool,
}

impl Inquirer<'_, '_> {
    pub(super) fn take_ready(&mut self, reply: Result<Reply, Failure>, began_ms: i64) {
        let why = match reply {
            Ok(Reply { status: 200, .. }) => None,
            Ok(Reply { status, .. }) => Some(format!("/ready answers {status}")),
            Err(Failure { why, .. }) => Some(why),
        };
        match why {
            None => {
                self.ready.failures = 0;
                // Whether it knows our token is not said here.
                let known = self.context.authority.state().map(|(state, _)| state);
                if known != Some(ClawvisorState::TokenRefused) {
                    self.is_reached(ClawvisorState::Ready, None, began_ms);
                }
            }
            Some(why) => self.is_reached(ClawvisorState::Unreachable, Some(why), began_ms),
        }
    }

    /// Takes note of how well Clawvisor could be asked. What failed while something else came
    /// through says nothing about Clawvisor.
    pub(super) fn is_reached(&mut self, state: ClawvisorState, why: Option<String>, began_ms: i64) {
        let now_ms = clock::monotonic_ms();
        if state != ClawvisorState::Unreachable {
            self.reached_ms = Some(now_ms);
            self.ready.due_ms = None;
        } else if self.reached_ms.is_some_and(|reached_ms| reached_ms >= began_ms) {
            return;
        }
        if state == ClawvisorState::Unreachable {
            self.ready.failures = self.ready.failures.saturating_add(1);
            self.ask_later_whether_ready(now_ms);
        }
        self.tell_state(state, why);
    }

    fn ask_later_whether_ready(&mut self, now_ms: i64) {
        let delays = &self.context.settings().clawvisor_delays;
        let pause = pause_after(self.ready.failures, delays, None);
        self.ready.due_ms = Some(now_ms + pause.as_millis() as i64);
    }

    /// Whether it is to be asked now if it is there. While somebody asks about a task, that tells
    /// more: a server may be there and have no answers.
    pub(super) fn is_ready_due(&mut self, now_ms: i64) -> bool {
        if self.ready.due_ms.is_none_or(|due_ms| due_ms > now_ms) {
            return false;
        }
        let known = self.context.authority.known();
        let is_asked = known.tasks.values().any(|desk| desk.waiting > 0 || desk.sessions > 0);
        drop(known);
        if is_asked && self.ready.was_made {
            self.ask_later_whether_ready(now_ms);
            return false;
        }
        self.ready.due_ms = None;
        self.ready.was_made = true;
        true
    }

    fn tell_state(&self, state: ClawvisorState, why: Option<String>) {
        let error = why.map(|why| redact(&why));
        let mut known = self.context.authority.known();
        if known.state.is_some_and(|(before, _)| before == state) {
            return;
        }
        known.state = Some((state, clock::unix_ms()));
        drop(known);
        match (&error, state) {
            (Some(error), ClawvisorState::TokenRefused) => log::error!("clawvisor: {error}"),
            (Some(error), _) => {
                log::warn!("clawvisor cannot be asked: {error}; what needs it waits");
            }
            (None, _) => log::info!("clawvisor can be asked"),
        }
        self.context.audit.tell("", &AuditEvent::ClawvisorState { state, error });
        self.context.health.wake_heartbeat();
    }
}
