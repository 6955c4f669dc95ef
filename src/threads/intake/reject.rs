//! Deals with what is no dispatch: it is waited for as long as it may be half-written, then kept
//! with the reason, and answered where its sender can be told.
//!
//! The reason comes first, then the answer, then the file moves: a crash in between repeats it.

use std::ffi::OsStr;

use super::Intake;
use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::store::{IdOwner, Stamp};
use crate::pure::attempt::build_report;
use crate::pure::audit_event::AuditEvent;
use crate::pure::dispatch::{DispatchId, Rejection};

impl Intake<'_> {
    /// A file is no dispatch, or not yet: it is rejected once it has stood still for a while.
    pub(super) fn doubt(
        &mut self,
        name: &OsStr,
        rejection: Rejection,
        stamp: Stamp,
        sha256: Option<&str>,
    ) -> Result<()> {
        let settle = self.context.settings().settle;
        if rejection.reason.may_be_half_written()
            && !self.inbox.settling.has_settled(name, &stamp, settle)
        {
            return Ok(());
        }
        self.inbox.settling.forget(name);
        self.inbox.detach(&mut self.ledger, name)?;
        self.reject(name, &rejection, stamp, sha256);
        Ok(())
    }

    /// Writes the reason, answers the sender, moves the file: a crash in between repeats it.
    pub(super) fn reject(
        &mut self,
        name: &OsStr,
        rejection: &Rejection,
        stamp: Stamp,
        sha256: Option<&str>,
    ) {
        let file = name.to_string_lossy();
        match self.put_aside(name, rejection, &stamp, sha256) {
            Ok(()) => log::warn!("{file} is rejected: {}", rejection.error),
            Err(e) => return self.inbox.not_taken(&mut self.halt, name, Some(stamp), &e),
        }
        let id = rejection.id.as_ref().map_or(file.as_ref(), DispatchId::as_str);
        let event = AuditEvent::SchemaInvalid {
            error: rejection.error.clone(),
            reason: rejection.reason,
            file: file.to_string(),
        };
        self.context.audit.tell(id, &event);
    }

    fn put_aside(
        &self,
        name: &OsStr,
        rejection: &Rejection,
        stamp: &Stamp,
        sha256: Option<&str>,
    ) -> Result<()> {
        let store = &self.context.store;
        let dir = store.note_rejection(name, rejection, sha256)?;
        let moved = self
            .answer_rejection(name, rejection)
            .and_then(|()| store.move_rejected(name, stamp, &dir));
        if moved.is_err()
            && let Err(e) = store.remove_rejection(&dir)
        {
            log::warn!("{e}");
        }
        moved
    }

    fn answer_rejection(&self, name: &OsStr, rejection: &Rejection) -> Result<()> {
        let store = &self.context.store;
        let Some(id) = rejection.answered_id(&name.to_string_lossy()) else { return Ok(()) };
        let is_open = self.ledger.is_open(&id);
        if is_open || matches!(store.owner(&id)?, IdOwner::Dispatch { .. } | IdOwner::Spent { .. })
        {
            return Ok(());
        }
        let report = build_report::to_rejection(&id, &rejection.error, clock::unix_ms());
        store.publish_rejection(&id, &report)
    }
}
