//! What intake answers itself, here and now, since nobody works on it (any more): dispatches that
//! are cancelled or withdrawn, whose wait is over, or that no agent can take.
//!
//! Such an answer waits for nothing: one that fails is parked. A dispatch leaves the queue only
//! after its files have been read, so that one that cannot be read now is tried again.

use std::ffi::OsString;

use super::Intake;
use crate::effects::clock;
use crate::effects::store::{Claim, Contents, Room};
use crate::pure::attempt::build_report;
use crate::pure::attempt::record::AttemptEnd;
use crate::pure::audit_event::AuditEvent;
use crate::pure::dispatch::DispatchId;
use crate::pure::report::{ErrorType, Status};
use crate::pure::upkeep::health::Subsystem;
use crate::threads::conclude::{Answering, earlier_attempts};
use crate::threads::recover::{contents_in, in_inbox};
use crate::threads::recover_pending::CHANGED;
use crate::threads::shared::gate::tell_refused;

impl Intake<'_> {
    /// Cancels an open dispatch: one that runs is asked to end, one that waits is answered.
    pub(super) fn cancel(&mut self, id: &DispatchId) {
        self.requests.forget(id.as_str());
        if let Some(active) = self.ledger.active(id) {
            if !active.cancel.is_asked() {
                let event = AuditEvent::CancelRequested { running: true };
                self.context.audit.tell(id.as_str(), &event);
                active.cancel.ask();
            }
            return;
        }
        if self.halt.is_on() {
            // Its answer could not be written. The cancel file stays, and is looked at when the
            // pause is over.
            return;
        }
        let Some((claim, contents, last)) = self.take_out(id) else { return };
        self.context.audit.tell(id.as_str(), &AuditEvent::CancelRequested { running: false });
        let (status, kind) = (Status::Cancelled, ErrorType::Cancelled);
        self.answer_now(claim, contents, last, (status, kind, "cancelled before it ran"));
    }

    /// Answers the first dispatch whose time to wait is over.
    pub(super) fn answer_overdue(&mut self) {
        let Some((seq, id)) = self.ledger.overdue.take_first() else { return };
        let Some((claim, contents, last)) = self.take_out(&id) else {
            if self.ledger.is_open(&id) {
                self.ledger.overdue.look_again(seq, id);
            }
            return;
        };
        let limit = self.context.settings().queue_timeout.unwrap_or_default().as_secs_f64();
        let error = format!("it waited {limit} seconds for its turn, and was not started");
        let told = (Status::Failed, ErrorType::QueueTimeout, error.as_str());
        self.answer_now(claim, contents, last, told);
    }

    /// Answers a dispatch whose files are all gone.
    pub(super) fn withdraw(&mut self, id: &DispatchId) {
        let Some((claim, contents, last)) = self.take_out(id) else { return };
        // A directory that was deleted and made again withdraws nothing, and not knowing withdraws
        // nothing either.
        let is_same = self.context.store.is_drop_zone(&contents.accepted.inbox_dir);
        if !matches!(is_same, Ok(true)) {
            return self.enqueue(claim);
        }
        self.context.audit.tell(id.as_str(), &AuditEvent::Withdrawn);
        let error = "withdrawn: its file was removed before it ran";
        self.answer_now(claim, contents, last, (Status::Cancelled, ErrorType::Cancelled, error));
    }

    /// Takes a waiting dispatch out of the queue, to be answered. Also gives how the newest of its
    /// attempts ended, if it had any.
    pub(super) fn take_out(
        &mut self,
        id: &DispatchId,
    ) -> Option<(Claim, Contents, Option<AttemptEnd>)> {
        self.take_out_telling(id, true)
    }

    /// The same; false: that the dispatch may not run has been told.
    pub(super) fn take_out_telling(
        &mut self,
        id: &DispatchId,
        tells: bool,
    ) -> Option<(Claim, Contents, Option<AttemptEnd>)> {
        let room = self.ledger.open(id)?.room;
        let read = contents_in(self.context, id, room);
        let read = read.and_then(|contents| Ok((contents, self.context.store.last_end(id)?)));
        let (contents, last) = match read {
            Err(e) if e.fault().is_everywhere() => {
                self.halt.inbox_failed(Subsystem::Inbox, &e);
                return None;
            }
            Err(e) => {
                log::error!("{e}");
                (None, None)
            }
            Ok(read) => read,
        };
        let mut claim = self.ledger.take_out(id)?;
        self.ledger.hand_on(&mut claim, &self.inbox.names);
        // The folder may say nothing any more; what was accepted just now is in memory.
        let contents = contents.or(claim.contents.take().map(|contents| *contents));
        let Some(contents) = contents.or_else(|| in_inbox(self.context, &claim)) else {
            log::error!("{id}: its folder cannot be read");
            self.answer_remains(claim, tells);
            return None;
        };
        Some((claim, contents, last))
    }

    /// Answers a dispatch that is in nobody's hands. `last` is how the newest of its attempts
    /// ended, if there were any.
    pub(super) fn answer_now(
        &mut self,
        claim: Claim,
        contents: Contents,
        last: Option<AttemptEnd>,
        told: (Status, ErrorType, &str),
    ) {
        let names: Vec<_> = claim.names.iter().map(|of| of.name.clone()).collect();
        let (id, room) = (claim.id.clone(), claim.room);
        let number = last.as_ref().map_or(1, |end| end.attempt.attempt);
        let earlier = earlier_attempts(self.context, &id, number).unwrap_or_else(|e| {
            log::warn!("{e}: its earlier attempts are not known");
            Vec::new()
        });
        let mut answering =
            Answering::without_session(self.context, claim, contents, earlier, last, told);
        if !answering.is_ours(self.context) {
            return;
        }
        match answering.advance(self.context) {
            Ok(()) => {
                self.ledger.close(&id);
                self.requests.remove_cancel(id.as_str());
                if room == Room::Pending {
                    self.forget_verdict(&id);
                }
                self.inbox.look_again_at(names);
            }
            Err(e) => {
                if e.fault().is_everywhere() {
                    self.halt.begin(Subsystem::Answer, &e.to_string());
                }
                self.park(answering, e.to_string());
            }
        }
    }

    /// Answers a dispatch of which nothing is left but what is in memory. One that waited to be
    /// allowed may not run.
    fn answer_remains(&mut self, claim: Claim, tells: bool) {
        let (id, now_ms) = (claim.id.clone(), clock::unix_ms());
        if self.context.store.is_cancel_asked(id.as_str()) {
            let event = AuditEvent::CancelRequested { running: false };
            self.context.audit.tell(id.as_str(), &event);
        }
        let told = match claim.room {
            Room::Active => (
                ErrorType::Interrupted,
                "cancelled, or out of time, when its records were gone or damaged already",
            ),
            Room::Pending => (ErrorType::NotAuthorized, CHANGED),
        };
        if claim.room == Room::Pending && tells {
            tell_refused(self.context, &id, &CHANGED.into());
        }
        let report = build_report::to_remains(&id, claim.agent, &claim.project, told, now_ms);
        let mut answering = Answering::new(claim, None, report);
        if !answering.is_ours(self.context) {
            return;
        }
        match answering.advance(self.context) {
            Ok(()) => {
                self.forget_verdict(&id);
                self.requests.remove_cancel(id.as_str());
                let names: Vec<OsString> =
                    self.ledger.close(&id).map(|open| open.names).unwrap_or_default();
                self.inbox.look_again_at(names);
            }
            Err(e) => self.park(answering, e.to_string()),
        }
    }
}
