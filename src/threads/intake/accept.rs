//! Turns a file in the drop zone into an accepted dispatch: it is read once, judged, and let in if
//! it is valid and its id is free. `reject` deals with what is not valid.
//!
//! A file is judged by the bytes that were read and by nothing else. What cannot be dealt with now
//! is left where it is and looked at again: an error of ours is no word against a file.

use std::ffi::OsStr;
use std::io;

use super::Intake;
use super::signatures::{SignatureVerdict, replayed};
use crate::effects::error::{Error, Result};
use crate::effects::project;
use crate::effects::store::{
    Claim, Contents, Dropped, IdOwner, InboxName, Inspected, Prepared, Room,
};
use crate::pure::attempt::record::Accepted;
use crate::pure::audit_event::AuditEvent;
use crate::pure::dispatch::{self, Dispatch, DispatchId, Reason, Rejection};
use crate::pure::gate::GateRefusal;
use crate::pure::gate::signature::Signed;
use crate::pure::report::{ErrorType, Status};
use crate::pure::text::clip::one_line;
use crate::pure::text::digest::sha256_of_hex;
use crate::pure::text::hex::hex;
use crate::pure::upkeep::health::{Fault, Subsystem};
use crate::threads::shared::gate::{self, GateWord};

/// How many characters of a sender's words a log line shows.
const SHOWN_CHARS_MAX: usize = 100;

impl Intake<'_> {
    /// Looks at one name once.
    pub(super) fn look(&mut self, name: &OsStr) {
        if let Err(e) = self.try_look(name) {
            self.inbox.not_taken(&mut self.halt, name, None, &e);
        }
    }

    fn try_look(&mut self, name: &OsStr) -> Result<()> {
        let Some(stamp) = self.context.store.stamp_inbox(name)? else {
            self.inbox.name_is_gone(&mut self.ledger, name);
            return Ok(());
        };
        if self.inbox.names.is_seen(name, &stamp) {
            return Ok(());
        }
        let inspected = match self.context.store.inspect(name, stamp) {
            Err(e) if e.fault() != Fault::Shortage => {
                self.inbox.leave_for_now(&mut self.halt, name, Some(stamp), &e);
                return Ok(());
            }
            inspected => inspected?,
        };
        match inspected {
            Inspected::Gone => {
                self.inbox.name_is_gone(&mut self.ledger, name);
                Ok(())
            }
            Inspected::Changing(stamp) => {
                let rejection =
                    Rejection::new(Reason::NotJson, "it kept changing while it was read");
                self.doubt(name, rejection, stamp, None)
            }
            Inspected::Refused(rejection, stamp) => self.doubt(name, rejection, stamp, None),
            Inspected::Read(dropped) => self.judge(dropped),
        }
    }

    fn judge(&mut self, dropped: Dropped) -> Result<()> {
        if self.inbox.is_still_its_file(&self.ledger, &dropped) {
            self.inbox.settling.forget(&dropped.name);
            self.inbox.names.note(dropped.name, dropped.stamp);
            return Ok(());
        }
        let ttl_seconds_min = self.context.settings().min_ttl_seconds;
        let agents = self.context.agents();
        match dispatch::parse(&dropped.bytes, ttl_seconds_min, agents.drivers.names()) {
            Ok(dispatch) => {
                self.inbox.settling.forget(&dropped.name);
                self.inbox.detach(&mut self.ledger, &dropped.name)?;
                self.admit(dropped, dispatch);
                Ok(())
            }
            Err(rejection) => {
                self.doubt(&dropped.name, rejection, dropped.stamp, Some(&dropped.sha256))
            }
        }
    }

    /// Takes a valid dispatch: a new one, a known one, or one with somebody else's id.
    fn admit(&mut self, dropped: Dropped, dispatch: Dispatch) {
        let store = &self.context.store;
        if self.parked.is_unread(&dispatch.id) {
            // Perhaps it is this very file's claim that cannot be read.
            self.inbox.keep_unmoved(dropped.name, dropped.stamp);
            return;
        }
        let Some(open) = self.ledger.open(&dispatch.id) else {
            // The ledger knows nearly all that is in `active/`; the acceptance meets the rest, and
            // then the store is asked who has the id.
            let owner = store.owner_elsewhere(&dispatch.id);
            return self.admit_or_refuse(dropped, dispatch, owner);
        };
        // What the ledger knows counts, whatever a session made of the folder, except that the
        // dispatch may be answered by now. If nothing says any more what was accepted, its answer
        // decides.
        let known = open.sha256.map_or_else(|| dropped.sha256.clone(), |sha256| hex(&sha256));
        let owner = match store.owner(&dispatch.id) {
            Ok(IdOwner::Dispatch { is_answered: true, sha256 }) => {
                Ok(IdOwner::Dispatch { is_answered: true, sha256 })
            }
            Ok(_) => Ok(IdOwner::Dispatch { sha256: Some(known), is_answered: false }),
            Err(e) => Err(e),
        };
        self.admit_or_refuse(dropped, dispatch, owner);
    }

    /// The same bytes again are known before their signature is looked at; whatever else comes must
    /// show one that is right before it learns that its id is taken.
    fn admit_or_refuse(&mut self, dropped: Dropped, dispatch: Dispatch, owner: Result<IdOwner>) {
        let owner = match owner {
            Ok(IdOwner::Dispatch { is_answered, sha256 })
                if sha256.as_ref() == Some(&dropped.sha256) =>
            {
                return self.redelivered(dropped, &dispatch.id, is_answered);
            }
            Ok(IdOwner::Spent { sha256 }) if sha256.as_ref() == Some(&dropped.sha256) => {
                return self.refuse(&dropped, &replayed(&dispatch));
            }
            Ok(owner) => owner,
            Err(e) => return self.not_taken(&dropped, &e),
        };
        let signed = match self.signatures.judge(&dropped, &dispatch) {
            Ok(SignatureVerdict::GoesOn(signed)) => signed,
            Ok(SignatureVerdict::Rejected(rejection)) => return self.refuse(&dropped, &rejection),
            Err(e) => return self.not_taken(&dropped, &e),
        };
        match owner {
            IdOwner::Nobody => self.accept(dropped, dispatch, signed, false),
            IdOwner::Rejection => self.accept(dropped, dispatch, signed, true),
            IdOwner::Spent { .. } => self.refuse(&dropped, &replayed(&dispatch)),
            IdOwner::Dispatch { .. } => {
                let error = format!("{} has been dispatched before: use a new id", dispatch.id);
                let rejection = Rejection {
                    id: Some(dispatch.id),
                    ..Rejection::new(Reason::DuplicateId, error)
                };
                self.refuse(&dropped, &rejection);
            }
        }
    }

    fn refuse(&mut self, dropped: &Dropped, rejection: &Rejection) {
        self.reject(&dropped.name, rejection, dropped.stamp, Some(&dropped.sha256));
    }

    fn not_taken(&mut self, dropped: &Dropped, e: &Error) {
        self.inbox.not_taken(&mut self.halt, &dropped.name, Some(dropped.stamp), e);
    }

    // --------------------------------------------------------------------------------- redelivered

    /// The same bytes came again: they are those of an open dispatch, or a repetition, or a power
    /// cut took their removal back.
    fn redelivered(&mut self, dropped: Dropped, id: &DispatchId, is_answered: bool) {
        if !is_answered {
            return match self.ledger.is_open(id) {
                true => self.same_bytes_again(dropped, id),
                false => self.inbox.names.note(dropped.name, dropped.stamp),
            };
        }
        self.audit_redelivered(&dropped.name, id);
        let name = dropped.name.display();
        match self.context.store.remove_redelivered(&dropped, id) {
            Ok(()) => {
                let why = "has been answered, and these are the same bytes";
                log::warn!("{name} is removed: {id} {why}; to run it again use a new id");
            }
            Err(e) => self.not_taken(&dropped, &e),
        }
    }

    /// The bytes of an open dispatch stand under another name: the file was renamed, copied or
    /// delivered twice. That is one of its names while the dispatch waits, and while it runs and
    /// has no other; else the file has served its purpose.
    fn same_bytes_again(&mut self, dropped: Dropped, id: &DispatchId) {
        self.audit_redelivered(&dropped.name, id);
        let has_begun = self.ledger.active(id).is_some_and(|active| active.cancel.has_begun());
        if has_begun && self.inbox.has_another_name(&self.ledger, id, &dropped.name) {
            return self.remove_second_name(dropped, id);
        }
        log::info!("{} is another name of {id}", dropped.name.display());
        self.inbox.belongs(&mut self.ledger, &dropped.name, Some(dropped.stamp), id);
    }

    /// The sender may remove the other file at any moment, while this one still stands: then the
    /// one that goes here is the last, and its removal withdraws nothing, through a power cut too.
    fn remove_second_name(&mut self, dropped: Dropped, id: &DispatchId) {
        let store = &self.context.store;
        // A dispatch that waits for approval has not begun, and never comes here.
        let room = Room::Active;
        let removed = store.detach(id, room).and_then(|_| store.remove_redelivered(&dropped, id));
        if let Err(e) = removed {
            return self.not_taken(&dropped, &e);
        }
        if self.inbox.has_another_name(&self.ledger, id, &dropped.name) {
            store.attach(id, room);
        } else if let Some(open) = self.ledger.open_mut(id) {
            open.is_detached = true;
        }
    }

    fn audit_redelivered(&self, name: &OsStr, id: &DispatchId) {
        let file = name.to_string_lossy().into_owned();
        self.context.audit.tell(id.as_str(), &AuditEvent::Redelivered { file });
    }

    // ------------------------------------------------------------------------------------ accepted

    fn accept(
        &mut self,
        dropped: Dropped,
        dispatch: Dispatch,
        signed: Option<Signed>,
        was_rejected: bool,
    ) {
        let store = &self.context.store;
        let is_supported = self.context.agents().programs.contains_key(dispatch.target_agent);
        let word = match is_supported {
            true => self.at_acceptance(&dropped, &dispatch, signed.as_ref()),
            false => Ok(GateWord::Runs(None)),
        };
        let may_wait = matches!(word, Ok(GateWord::Waits(_) | GateWord::Asks(_)));
        if may_wait && self.is_pending_full() {
            return self.hold_back(dropped);
        }
        let prepared = word.and_then(|word| self.prepare(&dropped, &dispatch, &signed, word));
        // The audit lines come first: after a crash here they come a second time, and never not at
        // all.
        let accepted = prepared.and_then(|(prepared, word)| {
            self.audit_received(&dropped, &dispatch, signed.as_ref());
            if let GateWord::Waits(record) = &word {
                let accepted = prepared.accepted();
                gate::tell_required(self.context, &dispatch.id, accepted, record.why);
            }
            Ok((store.accept(prepared)?, word))
        });
        let (accepted, word) = match accepted {
            Ok(accepted) => accepted,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let owner = store.owner(&dispatch.id);
                return self.admit_or_refuse(dropped, dispatch, owner);
            }
            Err(e) => return self.not_taken(&dropped, &e),
        };
        self.context.health.works_again(Subsystem::Inbox);
        if was_rejected && let Err(e) = store.remove_rejection_report(&dispatch.id) {
            log::warn!("{e}");
        }
        let mut claim = self.claim_of(&dropped, &dispatch, &accepted);
        let contents = Contents { accepted, bytes: dropped.bytes, dispatch };
        if !is_supported {
            tell_accepted(&dropped.name, &contents.dispatch, None);
            return self.answer_unsupported(claim, contents);
        }
        if !matches!(word, GateWord::Refused(_)) {
            self.take_task(&contents);
        }
        match word {
            GateWord::Runs(_) => {
                let position = 1 + self.ledger.queue.len();
                tell_accepted(&dropped.name, &contents.dispatch, Some(position));
                self.let_wait(claim, contents);
            }
            GateWord::Waits(record) | GateWord::Asks(record) => {
                tell_accepted(&dropped.name, &contents.dispatch, None);
                claim.room = Room::Pending;
                self.enter(&mut claim);
                self.wait_in_pending(claim, record);
            }
            GateWord::Refused(why) => {
                tell_accepted(&dropped.name, &contents.dispatch, None);
                self.answer_refused(claim, contents, &why);
            }
        }
    }

    fn prepare(
        &self,
        dropped: &Dropped,
        dispatch: &Dispatch,
        signed: &Option<Signed>,
        word: GateWord,
    ) -> Result<(Prepared, GateWord)> {
        let (store, seq) = (&self.context.store, self.ledger.next_seq());
        let dir = store.drop_zone_identity()?;
        let prepared = store.prepare(dropped, dispatch, seq, dir, signed.clone())?;
        Ok(match &word {
            GateWord::Waits(record) | GateWord::Asks(record) => {
                (store.prepare_pending(prepared, &dispatch.id, record)?, word)
            }
            GateWord::Runs(_) | GateWord::Refused(_) => (prepared, word),
        })
    }

    fn answer_unsupported(&mut self, mut claim: Claim, contents: Contents) {
        let name = contents.dispatch.target_agent;
        let event = AuditEvent::UnsupportedAgent { target_agent: name.to_string() };
        self.context.audit.tell(claim.id.as_str(), &event);
        let error = self.context.agents().unsupported(name);
        self.enter(&mut claim);
        let told = (Status::Failed, ErrorType::UnsupportedAgent, error.as_str());
        self.answer_now(claim, contents, None, told);
    }

    fn answer_refused(&mut self, mut claim: Claim, contents: Contents, why: &GateRefusal) {
        gate::tell_refused(self.context, &claim.id, why);
        self.enter(&mut claim);
        let told = (Status::Failed, ErrorType::NotAuthorized, why.error.as_str());
        self.answer_now(claim, contents, None, told);
    }

    /// A dispatch that has just been accepted waits, unless it was cancelled before it came.
    fn let_wait(&mut self, mut claim: Claim, contents: Contents) {
        let id = claim.id.clone();
        self.ledger.keep_contents(&mut claim, contents);
        self.enqueue(claim);
        if self.requests.was_cancelled_before(&id) {
            return self.cancel(&id);
        }
        if !self.may_hand_out() || self.ledger.queue.len() > 1 {
            let queue_depth = self.ledger.queue.len();
            self.context.audit.tell(id.as_str(), &AuditEvent::Queued { queue_depth });
            log::debug!("{id} is queued");
        }
    }

    fn claim_of(&self, dropped: &Dropped, dispatch: &Dispatch, accepted: &Accepted) -> Claim {
        let dir = project::expand(&dispatch.project_dir, self.context.home.as_deref());
        Claim {
            id: dispatch.id.clone(),
            seq: accepted.seq,
            signed: accepted.signed.clone().map(Box::new),
            lane: project::lane(&dir),
            agent: dispatch.target_agent,
            sha256: sha256_of_hex(&dropped.sha256),
            names: vec![InboxName { name: dropped.name.clone(), seen: Some(dropped.stamp) }],
            is_detached: false,
            project: dispatch.project.as_str().into(),
            accepted_at_ms: accepted.at_ms(),
            waits_since_ms: accepted.at_ms(),
            folder: None,
            room: Room::Active,
            contents: None,
            resume: None,
        }
    }

    fn audit_received(&self, dropped: &Dropped, dispatch: &Dispatch, signed: Option<&Signed>) {
        let (audit, id) = (&self.context.audit, dispatch.id.as_str());
        let file = dropped.name.to_string_lossy().into_owned();
        let (sha256, signature) = (dropped.sha256.clone(), signed.map(|signed| signed.form));
        let kid = signed.and_then(|signed| signed.kid.clone());
        let retry_of = dispatch.retry_of.as_ref().map(DispatchId::to_string);
        audit.tell(id, &AuditEvent::Received { file, sha256, signature, kid, retry_of });
        if !dispatch.unknown_fields.is_empty() {
            let fields = dispatch.unknown_fields.clone();
            audit.tell(id, &AuditEvent::UnknownFields { fields });
        }
    }
}

/// One line for people: what came, and when it is its turn.
fn tell_accepted(name: &OsStr, dispatch: &Dispatch, position: Option<usize>) {
    let Dispatch { id, target_agent, project, .. } = dispatch;
    let (name, project) = (name.display(), one_line(project, SHOWN_CHARS_MAX));
    let position = position.map(|number| format!(", number {number} in the queue"));
    let position = position.unwrap_or_default();
    log::info!("{id} is accepted from {name}: project {project}, agent {target_agent}{position}");
}
