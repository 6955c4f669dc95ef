//! Requests as files: cancel, pause, resume, release. A cancel file stays until its dispatch is
//! answered, so that a crash repeats it; one whose dispatch never came goes after a while.
//!
//! An event is one name, and only that is looked at: thousands of requests must not cost a look at
//! all of them each.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::json;

use super::Intake;
use crate::effects::clock;
use crate::effects::store::{Claim, Contents, IdOwner, Request, cancel_request, control_request};
use crate::pure::answer;
use crate::pure::claim::AttemptEnd;
use crate::pure::dispatch::DispatchId;
use crate::pure::report::{ErrorType, Status};
use crate::pure::trouble::Place;
use crate::threads::conclude::Answering;
use crate::threads::recover::in_inbox;

/// Since when a cancel stands there whose dispatch is not known. Whether it still does, the disk
/// says.
#[derive(Default)]
pub(super) struct Cancels {
    waiting: HashMap<String, Instant>,
    /// The same, the oldest first.
    by_age: BTreeSet<(Instant, String)>,
}

impl Cancels {
    /// Gives since when.
    fn wait(&mut self, id: &str) -> Instant {
        if let Some(since) = self.waiting.get(id) {
            return *since;
        }
        let now = Instant::now();
        self.waiting.insert(id.into(), now);
        self.by_age.insert((now, id.into()));
        now
    }

    fn forget(&mut self, id: &str) {
        if let Some(since) = self.waiting.remove(id) {
            self.by_age.remove(&(since, id.to_string()));
        }
    }

    fn oldest(&self) -> Option<&(Instant, String)> {
        self.by_age.first()
    }
}

impl Intake<'_> {
    /// When the first cancel has waited long enough.
    pub(super) fn cancels_due(&self) -> Option<Instant> {
        Some(self.cancels.oldest()?.0 + self.context.settings().cancel_keep)
    }

    /// Looks at the cancel that has waited longest. False: its time is not over.
    pub(super) fn expire_cancel(&mut self) -> bool {
        let is_over = self.cancels_due().is_some_and(|due| Instant::now() >= due);
        if !is_over || !self.context.has_lock() {
            return false;
        }
        let Some((_, id)) = self.cancels.oldest().cloned() else { return false };
        self.cancel_asked(&id);
        // One that cannot be removed is found again by the next scan.
        self.cancels.forget(&id);
        true
    }

    /// Looks at every request that stands on disk.
    pub(super) fn look_at_requests(&mut self) {
        // Another daemon's: they are not to be taken away from it.
        if !self.context.has_lock() {
            return;
        }
        let (mut cancels, mut requests) = (Vec::new(), Vec::new());
        let store = &self.context.store;
        let scanned = store.scan_control(&mut |name| requests.push(name)).and_then(|()| {
            store.scan_drop_zone(&mut |name, _| {
                if let Some(Request::Cancel(id)) = cancel_request(&name) {
                    cancels.push(id.map_or_else(|text| text, |id| id.to_string()));
                }
            })
        });
        if let Err(e) = scanned {
            self.inbox_failed(Place::Inbox, &e);
        }
        self.look_at_pause();
        for name in requests {
            match control_request(&name) {
                Some(Request::Cancel(Ok(id))) => cancels.push(id.to_string()),
                Some(Request::Cancel(Err(text))) => cancels.push(text),
                Some(Request::Pause | Request::Resume) => {}
                Some(Request::Release(_)) | None => self.look_at_request(&name),
            }
        }
        // One that stands in both places is one; one that was taken back waits no longer.
        let mut asked = BTreeSet::from_iter(cancels);
        asked.extend(self.cancels.waiting.keys().cloned());
        for id in asked {
            self.cancel_asked(&id);
        }
    }

    /// Something happened to a cancel file in the drop zone.
    pub(super) fn look_at_cancel(&mut self, name: &OsStr) {
        if !self.context.has_lock() {
            return;
        }
        match cancel_request(name) {
            Some(Request::Cancel(Ok(id))) => self.cancel_asked(id.as_str()),
            Some(Request::Cancel(Err(text))) => self.cancel_asked(&text),
            _ => {}
        }
    }

    /// Something happened to that name in `control/`.
    pub(super) fn look_at_request(&mut self, name: &OsStr) {
        if !self.context.has_lock() {
            return;
        }
        match control_request(name) {
            Some(Request::Cancel(Ok(id))) => self.cancel_asked(id.as_str()),
            Some(Request::Cancel(Err(text))) => self.cancel_asked(&text),
            Some(Request::Pause | Request::Resume) => self.look_at_pause(),
            Some(Request::Release(agent))
                if self.context.store.is_release_asked(agent.as_deref()) =>
            {
                self.release(agent.as_deref());
            }
            Some(Request::Release(_)) | None => {}
        }
        self.tell_ignored_request(name);
    }

    fn look_at_pause(&mut self) {
        let store = &self.context.store;
        if store.is_resume_asked()
            && let Err(e) = store.resume()
        {
            log::error!("{e}");
        }
        let paused = store.is_paused();
        if self.context.paused.swap(paused, Ordering::AcqRel) != paused {
            self.is_news = true;
            let word = if paused { "paused" } else { "resumed" };
            self.context.audit.record(word, "", &[]);
            log::info!("{word}");
        }
    }

    /// A cancel file of that id, if there is one. What is no plain file cancels nothing.
    fn cancel_asked(&mut self, text: &str) {
        if !self.context.store.is_cancel_asked(text) {
            self.cancels.forget(text);
            let name = OsString::from(format!("cancel-{text}"));
            // What is no plain file there.
            if matches!(self.context.store.stamp_inbox(&name), Ok(Some(_))) {
                self.tell_once(name, "a request is an empty file");
            }
            return;
        }
        match DispatchId::parse(text) {
            Some(id) if self.open.contains_key(&id) => self.cancel(&id),
            Some(id) if self.is_answered(&id) => {
                self.context.audit.record("cancel_ignored", text, &[]);
                self.forget_cancel(text);
            }
            _ => self.keep_for_a_while(text),
        }
    }

    fn is_answered(&self, id: &DispatchId) -> bool {
        matches!(self.context.store.owner(id), Ok(IdOwner::Dispatch { .. }))
    }

    /// Its dispatch may still come.
    fn keep_for_a_while(&mut self, id: &str) {
        let since = self.cancels.wait(id);
        if since.elapsed() >= self.context.settings().cancel_keep {
            self.context.audit.record("cancel_ignored", id, &[]);
            self.forget_cancel(id);
        }
    }

    /// Whether a cancel came before its dispatch, and stands there still.
    pub(super) fn was_cancelled_before(&mut self, id: &DispatchId) -> bool {
        let id = id.as_str();
        if !self.cancels.waiting.contains_key(id) {
            return false;
        }
        let is_asked = self.context.store.is_cancel_asked(id);
        if !is_asked {
            self.cancels.forget(id);
        }
        is_asked
    }

    fn forget_cancel(&mut self, id: &str) {
        self.cancels.forget(id);
        self.remove_cancel(id);
    }

    /// It is on record, or its time is over.
    pub(super) fn remove_cancel(&self, id: &str) {
        if self.context.level.is_lost() {
            return;
        }
        if let Err(e) = self.context.store.remove_cancel(id) {
            log::error!("{e}");
        }
    }

    /// Cancels an open dispatch: running, it is asked to; waiting, it is answered here and now.
    pub(super) fn cancel(&mut self, id: &DispatchId) {
        self.cancels.forget(id.as_str());
        if let Some(running) = self.active.get(id) {
            if !running.cancel.is_asked() {
                self.context.audit.record(
                    "cancel_requested",
                    id.as_str(),
                    &[("running", json!(true))],
                );
                running.cancel.ask();
            }
            return;
        }
        if self.is_halted() {
            // Its answer could not be written; the file stands, and is looked at when the pause is
            // over.
            return;
        }
        let Some((claim, contents, last)) = self.take_out(id) else { return };
        self.context.audit.record("cancel_requested", id.as_str(), &[("running", json!(false))]);
        let (status, kind) = (Status::Cancelled, ErrorType::Cancelled);
        self.answer_now(claim, contents, last, (status, kind, "cancelled before it ran"));
    }

    /// Takes a waiting dispatch out of the queue, to be answered; and how the newest of its
    /// attempts ended, if it had any.
    pub(super) fn take_out(
        &mut self,
        id: &DispatchId,
    ) -> Option<(Claim, Contents, Option<AttemptEnd>)> {
        let open = self.open.get(id)?;
        // Read before it leaves the queue: what cannot be read now is asked for again.
        let store = &self.context.store;
        let read = store
            .read_claim(id, self.context.drivers.names())
            .and_then(|read| Ok((read, store.last_end(id)?)));
        let (contents, last) = match read {
            Err(e) if e.fault().is_everywhere() => {
                self.inbox_failed(Place::Inbox, &e);
                return None;
            }
            Err(e) => {
                log::error!("{e}");
                (None, None)
            }
            Ok(read) => read,
        };
        let (seq, lane) = (open.seq, open.lane.clone());
        let waiting = self.queue.remove(seq, &lane).or_else(|| self.nameless.take(seq));
        let mut claim = waiting?;
        if claim.resume.is_some() {
            // It may still run: whoever takes it up is asked instead.
            self.queue.push(seq, &lane, claim.agent, claim);
            return None;
        }
        self.hand_on(&mut claim);
        self.overdue.forget(claim.seq);
        self.is_news = true;
        // What stands in the folder may be gone; what was accepted just now is in memory.
        let contents = contents.or(claim.contents.take().map(|contents| *contents));
        let Some(contents) = contents.or_else(|| in_inbox(self.context, &claim)) else {
            log::error!("{id}: its folder cannot be read");
            self.answer_remains(claim);
            return None;
        };
        Some((claim, contents, last))
    }

    /// For one of which nothing is left but what is in memory.
    fn answer_remains(&mut self, claim: Claim) {
        let (id, now_ms) = (claim.id.clone(), clock::unix_ms());
        let error = "cancelled, or out of time, when its records were gone or damaged already";
        let report = answer::to_remains(&id, claim.agent, &claim.project, error, now_ms);
        let mut answering = Answering::new(claim, None, report);
        if !answering.is_ours(self.context) {
            return;
        }
        match answering.advance(self.context) {
            Ok(()) => {
                let open = self.open.remove(&id);
                self.look_again_at(open.map(|open| open.names).unwrap_or_default());
            }
            Err(e) => self.park(answering, e.to_string()),
        }
    }
}
