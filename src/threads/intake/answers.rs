//! What intake answers itself, here and now, since nobody works on it (any more): dispatches that
//! are cancelled or withdrawn, whose wait is over, or that no agent can take.
//!
//! Such an answer waits for nothing: one that fails is parked. A dispatch leaves the queue only
//! after its files have been read, so that what cannot be read now is asked for again.

use std::ffi::OsString;

use serde_json::json;

use super::Intake;
use crate::effects::clock;
use crate::effects::store::{Claim, ClaimFiles};
use crate::pure::answer;
use crate::pure::claim::AttemptEnd;
use crate::pure::dispatch::{self, DispatchId};
use crate::pure::report::{ErrorType, Status};
use crate::pure::trouble::Place;
use crate::threads::conclude::{Answering, Dossier, earlier_attempts};
use crate::threads::recover::in_inbox;

impl Intake<'_> {
    /// Cancels an open dispatch: one that runs is asked to end, one that waits is answered.
    pub(super) fn cancel(&mut self, id: &DispatchId) {
        self.requests.forget(id.as_str());
        if let Some(active) = self.ledger.active(id) {
            if !active.cancel.is_asked() {
                self.context.audit.record(
                    "cancel_requested",
                    id.as_str(),
                    &[("running", json!(true))],
                );
                active.cancel.ask();
            }
            return;
        }
        if self.halt.is_on() {
            // Its answer could not be written; the file stands, and is looked at when the pause is
            // over.
            return;
        }
        let Some((dossier, last)) = self.take_out(id) else { return };
        self.context.audit.record("cancel_requested", id.as_str(), &[("running", json!(false))]);
        let (status, kind) = (Status::Cancelled, ErrorType::Cancelled);
        self.answer_now(dossier, last, (status, kind, "cancelled before it ran"));
    }

    /// Answers the first dispatch whose time to wait is over.
    pub(super) fn answer_overdue(&mut self) {
        let Some((seq, id)) = self.ledger.overdue.take_first() else { return };
        let Some((dossier, last)) = self.take_out(&id) else {
            if self.ledger.is_open(&id) {
                self.ledger.overdue.look_again(seq, id);
            }
            return;
        };
        let limit = self.context.settings().queue_timeout.unwrap_or_default().as_secs_f64();
        let error = format!("it waited {limit} seconds for its turn, and was not started");
        let told = (Status::Failed, ErrorType::QueueTimeout, error.as_str());
        self.answer_now(dossier, last, told);
    }

    /// Answers a dispatch whose files are all gone.
    pub(super) fn withdraw(&mut self, id: &DispatchId) {
        let Some((dossier, last)) = self.take_out(id) else { return };
        // A directory that was deleted and made again withdraws nothing; and not knowing is no
        // answer.
        let is_same = self.context.store.is_drop_zone(&dossier.accepted.inbox_dir);
        if !matches!(is_same, Ok(true)) {
            return self.enqueue(dossier.claim);
        }
        self.context.audit.record("withdrawn", id.as_str(), &[]);
        let error = "withdrawn: its file was removed before it ran";
        self.answer_now(dossier, last, (Status::Cancelled, ErrorType::Cancelled, error));
    }

    /// Takes a waiting dispatch out of the queue, to be answered; and how the newest of its
    /// attempts ended, if it had any.
    fn take_out(&mut self, id: &DispatchId) -> Option<(Dossier, Option<AttemptEnd>)> {
        if !self.ledger.is_open(id) {
            return None;
        }
        let store = &self.context.store;
        let read = store.read_claim(id).and_then(|files| Ok((files, store.last_end(id)?)));
        let (files, last) = match read {
            Err(e) if e.fault().is_everywhere() => {
                self.halt.inbox_failed(Place::Inbox, &e);
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
        // What stands in the folder may be gone; what was accepted just now is in hand.
        let in_hand = claim.in_hand.take().map(|in_hand| in_hand.files);
        let parsed = files.or(in_hand).and_then(|files| {
            let dispatch = dispatch::parse(&files.bytes, 0).ok()?;
            Some((files, dispatch))
        });
        let parsed = parsed.or_else(|| in_inbox(self.context, &claim));
        let Some((ClaimFiles { accepted, bytes }, dispatch)) = parsed else {
            log::error!("{id}: its folder cannot be read");
            self.answer_remains(claim);
            return None;
        };
        Some((Dossier { claim, accepted, bytes, dispatch }, last))
    }

    /// Answers a dispatch that is in nobody's hands. `last`: how the newest of its attempts ended,
    /// if there were any.
    pub(super) fn answer_now(
        &mut self,
        dossier: Dossier,
        last: Option<AttemptEnd>,
        told: (Status, ErrorType, &str),
    ) {
        let names: Vec<_> = dossier.claim.names.iter().map(|of| of.name.clone()).collect();
        let id = dossier.claim.id.clone();
        let number = last.as_ref().map_or(1, |end| end.attempt.attempt);
        let earlier = earlier_attempts(self.context, &id, number).unwrap_or_else(|e| {
            log::warn!("{e}: its earlier attempts are not known");
            Vec::new()
        });
        let mut answering = Answering::without_session(self.context, dossier, earlier, last, told);
        if !answering.is_ours(self.context) {
            return;
        }
        match answering.advance(self.context) {
            Ok(()) => {
                self.ledger.close(&id);
                self.requests.remove_cancel(id.as_str());
                self.inbox.look_again_at(names);
            }
            Err(e) => {
                if e.fault().is_everywhere() {
                    self.halt.begin(Place::Answer, &e.to_string());
                }
                self.park(answering, e.to_string());
            }
        }
    }

    /// Answers a dispatch of which nothing is left but what is in memory.
    fn answer_remains(&mut self, claim: Claim) {
        let (id, now_ms) = (claim.id.clone(), clock::unix_ms());
        let error = "cancelled, or out of time, when its records were gone or damaged already";
        let report = answer::to_remains(&id, claim.agent, &claim.project, error, now_ms);
        let mut answering = Answering::of_remains(claim, None, None, report);
        if !answering.is_ours(self.context) {
            return;
        }
        match answering.advance(self.context) {
            Ok(()) => {
                let names: Vec<OsString> =
                    self.ledger.close(&id).map(|open| open.names).unwrap_or_default();
                self.inbox.look_again_at(names);
            }
            Err(e) => self.park(answering, e.to_string()),
        }
    }
}
