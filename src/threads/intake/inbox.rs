//! The drop zone, seen from intake: what is new, what is still being written, what is accepted,
//! what is not.
//!
//! A file is accepted once, whatever events there were: what has been dealt with is known until it
//! is gone, and looked at again only when it has changed (`names`). What is not JSON (yet) is
//! looked at again until it stands still.

use std::ffi::{OsStr, OsString};
use std::io;

use serde_json::json;

use super::names::Names;
use super::{IN_HAND_BYTES_MAX, Intake, Seq};
use crate::effects::error::{Error, Result};
use crate::effects::project;
use crate::effects::store::{
    Claim, Contents, Dropped, IdOwner, InboxName, Inspected, Stamp, ignored_in_drop_zone,
    is_inbox_name,
};
use crate::pure::claim::{AttemptEnd, hex};
use crate::pure::clip::one_line;
use crate::pure::digest::sha256_of_hex;
use crate::pure::dispatch::{self, Dispatch, DispatchId, Reason, Rejection};
use crate::pure::report::{ErrorType, Status};
use crate::pure::trouble::{Fault, Place};
use crate::threads::conclude::{Answering, earlier_attempts};

/// How much of what a sender wrote a line shows, in characters.
const SHOWN_CHARS_MAX: usize = 100;

/// How closely a scan looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// What is known is looked at too, whether it has changed: events may be missing.
    Closely,
    ForNewNames,
}

impl Intake<'_> {
    /// Puts every name that is not known into the backlog, oldest file first.
    pub(super) fn scan(&mut self, look: Look) -> Result<()> {
        for name in self.unmoved.drain(..) {
            self.names.doubt(&name);
        }
        let (mut new, mut ignored) = (Vec::new(), Vec::new());
        let (store, names) = (&self.context.store, &self.names);
        let stamp = |name: &OsString| store.stamp_inbox(name).ok().flatten();
        store.scan_drop_zone(&mut |name, inode| {
            if !is_inbox_name(&name) {
                ignored.extend(ignored_in_drop_zone(&name).map(|why| (name, why)));
                return;
            }
            let is_known = names.has_inode(&name, inode)
                && (look == Look::ForNewNames || is_unchanged(names, &name, stamp(&name)));
            if !is_known {
                new.push(name);
            }
        })?;
        let age = |name: &OsString| stamp(name).map(|stamp| stamp.mtime_ns);
        new.sort_by_cached_key(|name| (age(name), name.clone()));
        self.backlog.extend(new);
        self.nameless.scanned();
        for (name, why) in ignored {
            self.tell_ignored(name, why);
        }
        Ok(())
    }

    /// One look at one name.
    pub(super) fn look(&mut self, name: &OsStr) {
        match self.try_look(name) {
            Err(e) if e.fault().is_everywhere() => self.look_later(name, &e),
            Err(e) => self.leave_for_now(name, None, &e),
            Ok(()) => {}
        }
    }

    fn try_look(&mut self, name: &OsStr) -> Result<()> {
        let Some(stamp) = self.context.store.stamp_inbox(name)? else {
            self.name_is_gone(name);
            self.settling.forget(name);
            return Ok(());
        };
        if self.names.is_seen(name, &stamp) {
            return Ok(());
        }
        let inspected = match self.context.store.inspect(name, stamp) {
            Err(e) if e.fault() != Fault::Shortage => {
                self.leave_for_now(name, Some(stamp), &e);
                return Ok(());
            }
            inspected => inspected?,
        };
        match inspected {
            Inspected::Gone => {
                self.name_is_gone(name);
                self.settling.forget(name);
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
        if self.is_still_its_file(&dropped) {
            self.settling.forget(&dropped.name);
            self.names.note(dropped.name, dropped.stamp);
            return Ok(());
        }
        let ttl_seconds_min = self.context.settings().min_ttl_seconds;
        let names = self.context.drivers.names();
        match dispatch::parse(&dropped.bytes, ttl_seconds_min, names) {
            Ok(dispatch) => {
                self.settling.forget(&dropped.name);
                self.detach(&dropped.name)?;
                self.admit(dropped, dispatch);
                Ok(())
            }
            Err(rejection) => {
                self.doubt(&dropped.name, rejection, dropped.stamp, Some(&dropped.sha256))
            }
        }
    }

    /// A valid dispatch: new, known, or somebody else's id.
    fn admit(&mut self, dropped: Dropped, dispatch: Dispatch) {
        let store = &self.context.store;
        if self.parked.is_unread(&dispatch.id) {
            // Perhaps it is this very file's claim that cannot be read.
            self.names.note(dropped.name.clone(), dropped.stamp);
            self.unmoved.push(dropped.name);
            return;
        }
        let Some(open) = self.open.get(&dispatch.id) else {
            // Nearly all that is in `active/` is known here; the rest is met by the acceptance,
            // which then asks for all.
            let owner = store.owner_elsewhere(&dispatch.id);
            return self.admit_or_refuse(dropped, dispatch, owner);
        };
        // What is known here counts, whatever a session made of the folder, but for the news that
        // it is answered. Where nothing says any more what was accepted, its answer decides.
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

    fn admit_or_refuse(&mut self, dropped: Dropped, dispatch: Dispatch, owner: Result<IdOwner>) {
        match owner {
            Ok(IdOwner::Nobody) => self.accept(dropped, dispatch, false),
            Ok(IdOwner::Rejection) => self.accept(dropped, dispatch, true),
            Ok(IdOwner::Dispatch { sha256, is_answered })
                if sha256.as_ref() == Some(&dropped.sha256) =>
            {
                self.redelivered(dropped, &dispatch.id, is_answered);
            }
            Ok(IdOwner::Dispatch { .. }) => {
                let error = format!("{} has been dispatched before: use a new id", dispatch.id);
                let rejection = Rejection {
                    id: Some(dispatch.id),
                    ..Rejection::new(Reason::DuplicateId, error)
                };
                self.reject(&dropped.name, &rejection, dropped.stamp, Some(&dropped.sha256));
            }
            Err(e) => self.not_taken(&dropped, &e),
        }
    }

    pub(super) fn not_taken(&mut self, dropped: &Dropped, e: &Error) {
        if e.fault().is_everywhere() {
            self.look_later(&dropped.name, e);
        } else {
            self.leave_for_now(&dropped.name, Some(dropped.stamp), e);
        }
    }

    /// The disk or the machine refuses: it is the next one again, after a pause.
    pub(super) fn look_later(&mut self, name: &OsStr, e: &Error) {
        log::debug!("{} waits: {e}", name.display());
        self.backlog.push_front(name.into());
        self.inbox_failed(Place::Inbox, e);
    }

    /// It alone cannot be dealt with: it must not hold up the others, and is tried again with each
    /// beat.
    pub(super) fn leave_for_now(&mut self, name: &OsStr, stamp: Option<Stamp>, e: &Error) {
        log::warn!("{} is left for now: {e}", name.display());
        if let Some(stamp) = stamp {
            self.names.note(name.into(), stamp);
            self.unmoved.push(name.into());
        }
        self.inbox_failed(Place::File, e);
    }

    /// The same bytes again: those of an open dispatch, a repetition, or a removal that a power cut
    /// took back.
    fn redelivered(&mut self, dropped: Dropped, id: &DispatchId, is_answered: bool) {
        if !is_answered {
            return match self.open.contains_key(id) {
                true => self.same_bytes_again(dropped, id),
                false => self.names.note(dropped.name, dropped.stamp),
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

    fn accept(&mut self, dropped: Dropped, dispatch: Dispatch, was_rejected: bool) {
        let store = &self.context.store;
        let seq: Seq = self.next_seq;
        let prepared =
            store.drop_zone_identity().and_then(|dir| store.prepare(&dropped, &dispatch, seq, dir));
        // The line first: after a crash here it comes a second time, and never not at all.
        let accepted = prepared.and_then(|prepared| {
            self.audit_received(&dropped, &dispatch);
            store.accept(prepared)
        });
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                let owner = store.owner(&dispatch.id);
                return self.admit_or_refuse(dropped, dispatch, owner);
            }
            Err(e) => return self.not_taken(&dropped, &e),
        };
        self.context.works(Place::Inbox);
        if was_rejected && let Err(e) = store.remove_rejection_report(&dispatch.id) {
            log::warn!("{e}");
        }
        let dir = project::expand(&dispatch.project_dir, self.context.home.as_deref());
        let mut claim = Claim {
            id: dispatch.id.clone(),
            seq,
            lane: project::lane(&dir),
            agent: dispatch.target_agent,
            sha256: sha256_of_hex(&dropped.sha256),
            names: vec![InboxName { name: dropped.name.clone(), seen: Some(dropped.stamp) }],
            is_detached: false,
            project: dispatch.project.as_str().into(),
            accepted_at_ms: accepted.at_ms(),
            folder: None,
            contents: None,
            resume: None,
        };
        let audit = &self.context.audit;
        let id = dispatch.id.as_str();
        if !self.context.programs().contains_key(dispatch.target_agent) {
            self.next_seq += 1;
            let agent = json!(dispatch.target_agent);
            audit.record("unsupported_agent", id, &[("target_agent", agent)]);
            tell_accepted(&dropped.name, &dispatch, None);
            let error = format!("unsupported agent: {}", dispatch.target_agent);
            let kind = ErrorType::UnsupportedAgent;
            let contents = Contents { accepted, bytes: dropped.bytes, dispatch };
            self.enter(&claim);
            return self.answer_now(claim, contents, None, (Status::Failed, kind, &error));
        }
        tell_accepted(&dropped.name, &dispatch, Some(1 + self.queue.len()));
        let id = dispatch.id.clone();
        let bytes = dropped.bytes;
        if self.in_hand_bytes + bytes.len() <= IN_HAND_BYTES_MAX {
            self.in_hand_bytes += bytes.len();
            claim.contents = Some(Box::new(Contents { accepted, bytes, dispatch }));
        }
        self.recall(claim);
        if self.was_cancelled_before(&id) {
            return self.cancel(&id);
        }
        if !self.may_hand_out() || self.queue.len() > 1 {
            let depth = json!(self.queue.len());
            audit_queued(self, &id, depth);
        }
    }

    fn audit_received(&self, dropped: &Dropped, dispatch: &Dispatch) {
        let (audit, id) = (&self.context.audit, dispatch.id.as_str());
        let file = json!(dropped.name.to_string_lossy());
        audit.record("received", id, &[("file", file), ("sha256", json!(dropped.sha256))]);
        if !dispatch.unknown_fields.is_empty() {
            audit.record("unknown_fields", id, &[("fields", json!(dispatch.unknown_fields))]);
        }
    }

    /// Answers a dispatch here and now: nothing of it runs (any more). Waits for nothing: what
    /// fails is parked. `last`: how the newest of its attempts ended, if there were any.
    pub(super) fn answer_now(
        &mut self,
        claim: Claim,
        contents: Contents,
        last: Option<AttemptEnd>,
        told: (Status, ErrorType, &str),
    ) {
        let names: Vec<_> = claim.names.iter().map(|of| of.name.clone()).collect();
        let id = claim.id.clone();
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
                self.open.remove(&id);
                self.remove_cancel(id.as_str());
                self.look_again_at(names);
            }
            Err(e) => {
                if e.fault().is_everywhere() {
                    self.halt(Place::Answer, &e.to_string());
                }
                self.park(answering, e.to_string());
            }
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

fn is_unchanged(names: &Names, name: &OsStr, stamp: Option<Stamp>) -> bool {
    stamp.is_none_or(|stamp| names.is_seen(name, &stamp))
}

fn audit_queued(intake: &Intake, id: &DispatchId, depth: serde_json::Value) {
    intake.context.audit.record("queued", id.as_str(), &[("queue_depth", depth)]);
    log::debug!("{id} is queued");
}
