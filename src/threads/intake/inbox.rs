//! The drop zone, seen from intake: what is new, what is still being written, what is accepted, what is not.
//!
//! A file is accepted once, whatever events there were and whatever is written to it later: what has been dealt with is
//! known by its identity until it is gone. What is not JSON (yet) is looked at again until it stands still.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{IN_HAND_BYTES_MAX, Intake, Seq};
use crate::effects::error::{Error, Result};
use crate::effects::store::{
    Claim, ClaimFiles, Dropped, IdOwner, InHand, Inspected, Stamp, is_inbox_name,
};
use crate::effects::{clock, project};
use crate::pure::answer;
use crate::pure::claim::AttemptEnd;
use crate::pure::dispatch::{self, Dispatch, DispatchId, Reason, Rejection};
use crate::pure::report::{ErrorType, Status};
use crate::pure::trouble::{Fault, Place};
use crate::threads::conclude::{Answering, Dossier, earlier_attempts};

/// Files that may be half-written: when they were last seen to change, in order of when they are due.
#[derive(Default)]
pub(super) struct Settling {
    files: HashMap<OsString, (Stamp, Instant)>,
    due: VecDeque<(Instant, OsString)>,
}

impl Settling {
    /// True once the file has stood still for `settle`.
    fn has_settled(&mut self, name: &OsStr, stamp: &Stamp, settle: Duration) -> bool {
        let now = Instant::now();
        match self.files.get(name) {
            Some((seen, since)) if is_same(seen, stamp) => {
                if now >= *since + settle {
                    self.files.remove(name);
                    return true;
                }
            }
            _ => {
                self.files.insert(name.into(), (*stamp, now));
                self.due.push_back((now + settle, name.into()));
            }
        }
        false
    }

    fn forget(&mut self, name: &OsStr) {
        self.files.remove(name);
    }

    /// Moves what is due to the backlog. All wait equally long, so that the first in line is due first.
    pub(super) fn take_due(&mut self, backlog: &mut VecDeque<OsString>) {
        let now = Instant::now();
        while self.due.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, name)) = self.due.pop_front() else { return };
            if self.files.contains_key(&name) {
                backlog.push_back(name);
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.front().map(|(due, _)| *due)
    }
}

fn is_same(a: &Stamp, b: &Stamp) -> bool {
    (a.identity, a.size, a.mtime_ns) == (b.identity, b.size, b.mtime_ns)
}

impl Intake<'_> {
    /// Looks at everything: directories first, then the watch, then what is there. In this order nothing can slip through.
    pub(super) fn rescan(&mut self) {
        let settings = &self.context.settings();
        self.next_scan = Instant::now() + settings.poll;
        self.begin_pass();
        match self.context.store.make_directories() {
            Ok(mended) => {
                for dir in mended {
                    log::warn!("{dir}");
                }
            }
            Err(e) => return self.inbox_failed(Place::Inbox, &e),
        }
        let drop_zone = self.context.store.drop_zone_identity().ok();
        if !self.is_watching || drop_zone != self.drop_zone {
            self.watch();
            self.drop_zone = drop_zone;
            self.context.audit.follow();
        }
        match self.scan() {
            Ok(()) if self.is_watching => self.next_scan = Instant::now() + settings.heartbeat,
            Ok(()) => {}
            Err(e) => self.inbox_failed(Place::Inbox, &e),
        }
        if !self.holds_are_saved {
            self.save_holds();
        }
        self.look_at_requests();
        self.look_at_parked();
    }

    /// Said once when it stops to work, and once when it works again.
    fn watch(&mut self) {
        let was_watching = self.drop_zone.is_none() || self.is_watching;
        let watched = self.watcher.watch();
        self.is_watching = watched.is_ok();
        match watched {
            Err(e) if was_watching => {
                log::warn!("{e}; looking every {:?} instead", self.context.settings().poll);
            }
            Ok(()) if !was_watching => log::info!("watching works again"),
            Ok(()) | Err(_) => {}
        }
    }

    /// Puts every name that is not known into the backlog, oldest file first.
    fn scan(&mut self) -> Result<()> {
        for name in self.unmoved.drain(..) {
            self.known.remove(&name);
        }
        let mut new = Vec::new();
        self.context.store.scan_drop_zone(&mut |name, inode| {
            let is_known = self.known.get(&name).is_some_and(|known| known.ino == inode);
            if is_inbox_name(&name) && !is_known {
                new.push(name);
            }
        })?;
        let stamp = |name: &OsString| self.context.store.stamp_inbox(name).ok().flatten();
        let age = |name: &OsString| stamp(name).map(|stamp| stamp.mtime_ns);
        new.sort_by_cached_key(|name| (age(name), name.clone()));
        self.backlog.extend(new);
        Ok(())
    }

    /// One look at one name.
    pub(super) fn look(&mut self, name: &OsStr) {
        if let Err(e) = self.try_look(name) {
            self.look_later(name, &e);
        }
    }

    fn try_look(&mut self, name: &OsStr) -> Result<()> {
        let Some(stamp) = self.context.store.stamp_inbox(name)? else {
            self.known.remove(name);
            self.settling.forget(name);
            return Ok(());
        };
        if self.known.get(name) == Some(&stamp.identity) {
            return Ok(());
        }
        let inspected = match self.context.store.inspect(name, stamp) {
            Err(e) if e.fault() != Fault::Shortage => {
                self.leave_for_now(name, &stamp, &e);
                return Ok(());
            }
            inspected => inspected?,
        };
        match inspected {
            Inspected::Gone => self.settling.forget(name),
            Inspected::Changing(stamp) => {
                let rejection =
                    Rejection::new(Reason::NotJson, "it kept changing while it was read");
                self.doubt(name, rejection, stamp, None);
            }
            Inspected::Refused(rejection, stamp) => self.doubt(name, rejection, stamp, None),
            Inspected::Read(dropped) => {
                match dispatch::parse(&dropped.bytes, self.context.settings().min_ttl_seconds) {
                    Ok(dispatch) => {
                        self.settling.forget(name);
                        self.admit(dropped, dispatch);
                    }
                    Err(rejection) => {
                        self.doubt(name, rejection, dropped.stamp, Some(&dropped.sha256));
                    }
                }
            }
        }
        Ok(())
    }

    /// An answered dispatch's name: something else may stand under it by now.
    pub(super) fn look_again_at(&mut self, name: OsString) {
        self.known.remove(&name);
        if !matches!(self.context.store.stamp_inbox(&name), Ok(None)) {
            self.backlog.push_back(name);
        }
    }

    fn doubt(&mut self, name: &OsStr, rejection: Rejection, stamp: Stamp, sha256: Option<&str>) {
        let settle = self.context.settings().settle;
        if rejection.reason.may_be_half_written()
            && !self.settling.has_settled(name, &stamp, settle)
        {
            return;
        }
        self.settling.forget(name);
        self.reject(name, &rejection, &stamp, sha256);
    }

    /// The reason first, then the answer to the sender, then the file: a crash in between repeats it.
    fn reject(&mut self, name: &OsStr, rejection: &Rejection, stamp: &Stamp, sha256: Option<&str>) {
        let file = name.to_string_lossy();
        match self.put_aside(name, rejection, stamp, sha256) {
            Ok(()) => log::warn!("{file} is rejected: {}", rejection.error),
            Err(e) if e.fault().is_everywhere() => return self.look_later(name, &e),
            Err(e) => return self.leave_for_now(name, stamp, &e),
        }
        let id = rejection.id.as_ref().map_or(file.as_ref(), DispatchId::as_str);
        let details = [
            ("error", json!(rejection.error)),
            ("reason", json!(rejection.reason.name())),
            ("file", json!(file)),
        ];
        self.context.audit.record("schema_invalid", id, &details);
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
            .answer_rejection(rejection)
            .and_then(|()| store.move_rejected(name, &stamp.identity, &dir));
        if moved.is_err()
            && let Err(e) = store.remove_rejection(&dir)
        {
            log::warn!("{e}");
        }
        moved
    }

    fn answer_rejection(&self, rejection: &Rejection) -> Result<()> {
        let store = &self.context.store;
        let Some(id) = rejection.id.as_ref().filter(|_| rejection.reason.answers_sender()) else {
            return Ok(());
        };
        if matches!(store.owner(id)?, IdOwner::Dispatch { .. }) {
            return Ok(());
        }
        let report = answer::to_rejection(id, &rejection.error, clock::unix_ms());
        store.publish_rejection(id, &report)
    }

    /// A valid dispatch: new, known, or somebody else's id.
    fn admit(&mut self, dropped: Dropped, dispatch: Dispatch) {
        let store = &self.context.store;
        if self.parked.is_unread(&dispatch.id) {
            // Perhaps it is this very file's claim that cannot be read.
            self.known.insert(dropped.name.clone(), dropped.stamp.identity);
            self.unmoved.push(dropped.name);
            return;
        }
        // Nearly all that is in `active/` is known here; the rest is met by the acceptance, which then asks for all.
        let owner = if self.open.contains_key(&dispatch.id) {
            store.owner(&dispatch.id)
        } else {
            store.owner_elsewhere(&dispatch.id)
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
                let error = format!("{} has been dispatched before", dispatch.id);
                let rejection = Rejection {
                    id: Some(dispatch.id),
                    ..Rejection::new(Reason::DuplicateId, error)
                };
                self.reject(&dropped.name, &rejection, &dropped.stamp, Some(&dropped.sha256));
            }
            Err(e) => self.not_taken(&dropped, &e),
        }
    }

    fn not_taken(&mut self, dropped: &Dropped, e: &Error) {
        if e.fault().is_everywhere() {
            self.look_later(&dropped.name, e);
        } else {
            self.leave_for_now(&dropped.name, &dropped.stamp, e);
        }
    }

    /// The disk or the machine refuses: it is the next one again, after a pause.
    fn look_later(&mut self, name: &OsStr, e: &Error) {
        log::debug!("{} waits: {e}", name.display());
        self.backlog.push_front(name.into());
        self.inbox_failed(Place::Inbox, e);
    }

    /// It alone cannot be dealt with: it must not hold up the others, and is tried again with each beat.
    fn leave_for_now(&mut self, name: &OsStr, stamp: &Stamp, e: &Error) {
        log::warn!("{} is left for now: {e}", name.display());
        self.known.insert(name.into(), stamp.identity);
        self.unmoved.push(name.into());
        self.inbox_failed(Place::File, e);
    }

    /// The same bytes again. Under the name of a dispatch that is still open it has become that dispatch's file; otherwise it
    /// is a repetition, or a removal that a power cut took back.
    fn redelivered(&mut self, dropped: Dropped, id: &DispatchId, is_answered: bool) {
        let has_other_name = self.open.get(id).is_some_and(|open| open.inbox_name != dropped.name);
        if !is_answered && !has_other_name {
            self.known.insert(dropped.name, dropped.stamp.identity);
            return;
        }
        let file = json!(dropped.name.to_string_lossy());
        self.context.audit.record("redelivered", id.as_str(), &[("file", file)]);
        let store = &self.context.store;
        // The first file may be gone (a sender renamed it), and a power cut take the acceptance: then this one is the last.
        let kept = if is_answered { Ok(()) } else { store.keep_acceptance(id) };
        if let Err(e) = kept.and_then(|()| store.remove_redelivered(&dropped, id)) {
            log::error!("{e}");
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
            agent: dispatch::agent_name(&dispatch.target_agent),
            inbox_name: dropped.name.clone(),
            project: dispatch.project.as_str().into(),
            accepted_at_ms: accepted.at_ms(),
            folder: None,
            in_hand: None,
            resume: None,
        };
        let audit = &self.context.audit;
        let id = dispatch.id.as_str();
        self.known.insert(dropped.name, dropped.stamp.identity);
        if !self.context.programs().contains_key(dispatch.target_agent.as_str()) {
            self.next_seq += 1;
            let agent = json!(dispatch.target_agent);
            audit.record("unsupported_agent", id, &[("target_agent", agent)]);
            let error = format!("unsupported agent: {}", dispatch.target_agent);
            let kind = ErrorType::UnsupportedAgent;
            let dossier = Dossier { claim, accepted, bytes: dropped.bytes, dispatch };
            self.enter(&dossier.claim);
            return self.answer_now(dossier, None, (Status::Failed, kind, &error));
        }
        let id = dispatch.id.clone();
        let bytes = dropped.bytes;
        if self.in_hand_bytes + bytes.len() <= IN_HAND_BYTES_MAX {
            self.in_hand_bytes += bytes.len();
            claim.in_hand =
                Some(Box::new(InHand { files: ClaimFiles { accepted, bytes }, dispatch }));
        }
        self.recall(claim);
        if self.cancels.is_waiting(&id) {
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

    /// Answers a dispatch here and now: nothing of it runs (any more). Waits for nothing: what fails is parked. `last`: how the
    /// newest of its attempts ended, if there were any.
    pub(super) fn answer_now(
        &mut self,
        dossier: Dossier,
        last: Option<AttemptEnd>,
        told: (Status, ErrorType, &str),
    ) {
        let name = dossier.claim.inbox_name.clone();
        let id = dossier.claim.id.clone();
        let number = last.as_ref().map_or(1, |end| end.attempt.attempt);
        let earlier = earlier_attempts(self.context, &id, number).unwrap_or_else(|e| {
            log::warn!("{e}: its earlier attempts are not known");
            Vec::new()
        });
        let mut answering = Answering::without_session(self.context, dossier, earlier, last, told);
        match answering.advance(self.context) {
            Ok(()) => {
                self.open.remove(&id);
                self.remove_cancel(id.as_str());
                self.look_again_at(name);
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

fn audit_queued(intake: &Intake, id: &DispatchId, depth: serde_json::Value) {
    intake.context.audit.record("queued", id.as_str(), &[("queue_depth", depth)]);
    log::debug!("{id} is queued");
}
