//! What is wrong with the daemon just now, kept for all threads: told once when it begins (log,
//! audit log, heartbeat) and once when it is over, however often something is tried again in
//! between.
//!
//! Whoever meets a trouble says so and goes on trying; nobody waits here. Intake asks whether new
//! work has to wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::board::Changed;
use crate::effects::clock;
use crate::effects::error::Error;
use crate::effects::store::Audit;
use crate::pure::audit_event::AuditEvent;
use crate::pure::upkeep::health::{Ended, Holder, Subsystem, Troubles};

/// The holder of a subsystem that one thread has to itself.
const ONLY: Holder = 0;

pub struct Health {
    audit: Arc<Audit>,
    troubles: Mutex<Troubles>,
    last_holder: AtomicU64,
    changed: Changed,
}

impl Health {
    pub fn new(audit: Arc<Audit>, changed: Changed) -> Health {
        Health { audit, troubles: Mutex::default(), last_holder: AtomicU64::new(ONLY), changed }
    }

    /// The heartbeat has something else to tell.
    pub fn wake_heartbeat(&self) {
        let _ = self.changed.try_send(());
    }

    /// A number that nobody else has.
    pub fn holder(&self) -> Holder {
        self.last_holder.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// What the heartbeat tells.
    pub fn degraded(&self) -> Option<String> {
        self.lock().reason().map(str::to_string)
    }

    pub fn stops_work(&self) -> bool {
        self.lock().stop_work()
    }

    pub fn is_open(&self, place: Subsystem) -> bool {
        self.lock().is_open(place)
    }

    fn lock(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    /// Something failed and is tried again. New work waits for it, if it would fail likewise.
    pub fn failed(&self, place: Subsystem, e: &Error) {
        self.trouble(place, ONLY, &e.to_string(), e.fault().is_everywhere());
    }

    /// Does [`Health::failed`] for a subsystem where several threads may be in trouble.
    pub fn failed_for(&self, place: Subsystem, holder: Holder, e: &Error) {
        self.trouble(place, holder, &e.to_string(), e.fault().is_everywhere());
    }

    /// Something is wrong, and intake itself measures when to go on.
    pub fn held_up(&self, place: Subsystem, reason: &str) {
        self.trouble(place, ONLY, reason, false);
    }

    /// What had failed works again, or still works.
    pub fn works_again(&self, place: Subsystem) {
        self.works_again_for(place, ONLY);
    }

    pub fn works_again_for(&self, place: Subsystem, holder: Holder) {
        let ended = self.lock().end(place, holder);
        let Some(Ended { reason, since_ms }) = ended else { return };
        let seconds = (clock::monotonic_ms() - since_ms) as f64 / 1000.0;
        self.audit.tell("", &AuditEvent::DegradedEnded { place, reason, seconds });
        log::info!("{} works again after {seconds} s", place.name());
        self.wake_heartbeat();
    }

    /// Tells whether lines of the audit log wait for free space, since nobody else would.
    pub fn look_at_audit(&self) {
        match self.audit.trouble() {
            Some((reason, fault)) => {
                self.trouble(Subsystem::Audit, ONLY, &reason, fault.is_everywhere());
            }
            None => self.works_again(Subsystem::Audit),
        }
    }

    fn trouble(&self, place: Subsystem, holder: Holder, reason: &str, stops_work: bool) {
        let now_ms = clock::monotonic_ms();
        let is_new = self.lock().begin(place, holder, reason, stops_work, now_ms);
        if !is_new {
            log::debug!("{}: {reason}", place.name());
            return;
        }
        log::error!("degraded ({}): {reason}", place.name());
        self.audit.tell("", &AuditEvent::Degraded { place, reason: reason.into() });
        self.wake_heartbeat();
    }
}
