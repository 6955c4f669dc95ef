//! Answers whether we are still the one daemon of the directory. Whoever is about to begin, tell or
//! conclude something asks.
//!
//! Others can remove the lock, or the whole directory. If nobody took our place, the lock is taken
//! again and work goes on: one `rm` must not end everybody's sessions. If another daemon holds the
//! lock, everything that stands there is its own.

use super::context::Context;
use crate::effects::store::Standing;
use crate::pure::audit_event::AuditEvent;
use crate::pure::upkeep::health::Subsystem;

impl Context {
    /// False if another daemon holds the directory, and nothing there may be touched any more. If
    /// that is not known, it is true.
    pub fn has_lock(&self) -> bool {
        if self.level.is_lost() {
            return false;
        }
        match self.store.look_at_lock(&self.lock) {
            Ok(Standing::Held) => self.health.works_again(Subsystem::Lock),
            Ok(Standing::Retaken) => {
                self.health.works_again(Subsystem::Lock);
                self.retaken();
            }
            Ok(Standing::Lost) => {
                self.lose();
                return false;
            }
            Err(e) => self.health.failed(Subsystem::Lock, &e),
        }
        true
    }

    fn retaken(&self) {
        log::warn!("the lock of {} was gone, and is taken again", self.store.home().display());
        self.audit.follow();
        self.audit.tell("", &AuditEvent::LockRetaken { pid: std::process::id() });
    }

    fn lose(&self) {
        if !self.level.raise_to_lost() {
            return;
        }
        let is_other = |pid: &u32| *pid != std::process::id();
        let holder =
            self.store.lock_holder().or_else(|| self.store.heartbeat_pid()).filter(is_other);
        let who = holder
            .map_or("another daemon".to_string(), |pid| format!("another daemon (pid {pid})"));
        log::error!(
            "{who} holds {} now: its sessions are left to it, and this one ends",
            self.store.home().display()
        );
        self.audit.follow();
        self.audit.tell("", &AuditEvent::LockLost { pid: std::process::id(), holder });
    }
}
