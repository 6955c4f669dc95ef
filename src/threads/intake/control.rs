//! Requests as files: cancel, pause, resume, release. A cancel file stays until its dispatch is answered, so that a crash
//! repeats it; one whose dispatch never came goes after a while.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde_json::json;

use super::Intake;
use crate::effects::clock;
use crate::effects::store::{Claim, ClaimFiles, IdOwner, Request, cancel_request};
use crate::pure::answer;
use crate::pure::claim::AttemptEnd;
use crate::pure::dispatch::{self, DispatchId};
use crate::pure::report::{ErrorType, Status};
use crate::pure::trouble::Place;
use crate::threads::conclude::{Answering, Dossier};

/// Since when a cancel stands there whose dispatch is not known. Whether it still does, the disk says.
#[derive(Default)]
pub(super) struct Cancels {
    waiting: HashMap<String, Instant>,
    keep: Duration,
}

impl Cancels {
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.values().min().map(|since| *since + self.keep)
    }

    /// Whether one came before its dispatch. No need to ask the disk: requests are looked at before the files that came after.
    pub(super) fn is_waiting(&self, id: &DispatchId) -> bool {
        self.waiting.contains_key(id.as_str())
    }
}

impl Intake<'_> {
    /// Looks at every request that stands on disk.
    pub(super) fn look_at_requests(&mut self) {
        self.cancels.keep = self.context.settings().cancel_keep;
        let (mut cancels, mut releases) = (Vec::new(), Vec::new());
        let store = &self.context.store;
        let scanned = store
            .scan_control(&mut |request| match request {
                Request::Cancel(id) => cancels.push(id),
                Request::Release(agent) => releases.push(agent),
                Request::Pause | Request::Resume => {}
            })
            .and_then(|()| {
                store.scan_drop_zone(&mut |name, _| {
                    if let Some(Request::Cancel(id)) = cancel_request(&name) {
                        cancels.push(id);
                    }
                })
            });
        if let Err(e) = scanned {
            self.inbox_failed(Place::Inbox, &e);
        }
        self.look_at_pause();
        for agent in releases {
            self.release(agent.as_deref());
        }
        // One that stands in both places is one.
        let asked: BTreeMap<String, Option<DispatchId>> = cancels
            .into_iter()
            .map(|id| id.map_or_else(|text| (text, None), |id| (id.to_string(), Some(id))))
            .collect();
        self.cancels.waiting.retain(|id, _| asked.contains_key(id));
        for (text, id) in asked {
            match id {
                Some(id) => self.asked_to_cancel(&id),
                None => self.keep_for_a_while(text),
            }
        }
    }

    fn look_at_pause(&mut self) {
        let store = &self.context.store;
        if store.is_resume_asked()
            && let Err(e) = store.resume()
        {
            log::error!("{e}");
        }
        let paused = store.is_paused();
        if paused != self.paused {
            self.paused = paused;
            self.is_news = true;
            let word = if paused { "paused" } else { "resumed" };
            self.context.audit.record(word, "", &[]);
            log::info!("{word}");
        }
    }

    fn asked_to_cancel(&mut self, id: &DispatchId) {
        if self.open.contains_key(id) {
            return self.cancel(id);
        }
        let answered = matches!(self.context.store.owner(id), Ok(IdOwner::Dispatch { .. }));
        if answered {
            self.context.audit.record("cancel_ignored", id.as_str(), &[]);
            return self.forget_cancel(id.as_str());
        }
        self.keep_for_a_while(id.to_string());
    }

    /// Its dispatch may still come.
    fn keep_for_a_while(&mut self, id: String) {
        let since = *self.cancels.waiting.entry(id.clone()).or_insert_with(Instant::now);
        if since.elapsed() >= self.cancels.keep {
            self.context.audit.record("cancel_ignored", &id, &[]);
            self.forget_cancel(&id);
        }
    }

    fn forget_cancel(&mut self, id: &str) {
        self.cancels.waiting.remove(id);
        self.remove_cancel(id);
    }

    /// It is on record, or its time is over.
    pub(super) fn remove_cancel(&self, id: &str) {
        if let Err(e) = self.context.store.remove_cancel(id) {
            log::error!("{e}");
        }
    }

    /// Cancels an open dispatch: running, it is asked to; waiting, it is answered here and now.
    pub(super) fn cancel(&mut self, id: &DispatchId) {
        self.cancels.waiting.remove(id.as_str());
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
            // Its answer could not be written; the file stands, and is looked at when the pause is over.
            return;
        }
        let Some((dossier, last)) = self.take_out(id) else { return };
        self.context.audit.record("cancel_requested", id.as_str(), &[("running", json!(false))]);
        let (status, kind) = (Status::Cancelled, ErrorType::Cancelled);
        self.answer_now(dossier, last, (status, kind, "cancelled before it ran"));
    }

    /// Takes a waiting dispatch out of the queue, to be answered; and how the newest of its attempts ended, if it had any.
    pub(super) fn take_out(&mut self, id: &DispatchId) -> Option<(Dossier, Option<AttemptEnd>)> {
        let open = self.open.get(id)?;
        // Read before it leaves the queue: what cannot be read now is asked for again.
        let store = &self.context.store;
        let read = store.read_claim(id).and_then(|files| Ok((files, store.last_end(id)?)));
        let (files, last) = match read {
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
        let mut claim = self.queue.remove(seq, &lane)?;
        if claim.resume.is_some() {
            // It may still run: whoever takes it up is asked instead.
            self.queue.push(seq, &lane, claim.agent, claim);
            return None;
        }
        self.hand_on(&claim);
        self.overdue.forget(claim.seq);
        self.is_news = true;
        // What stands in the folder may be gone; what was accepted just now is in hand.
        let in_hand = claim.in_hand.take().map(|in_hand| in_hand.files);
        let parsed = files.or(in_hand).and_then(|files| {
            let dispatch = dispatch::parse(&files.bytes, 0).ok()?;
            Some((files, dispatch))
        });
        let Some((ClaimFiles { accepted, bytes }, dispatch)) = parsed else {
            log::error!("{id}: its folder cannot be read");
            self.answer_remains(claim);
            return None;
        };
        Some((Dossier { claim, accepted, bytes, dispatch }, last))
    }

    /// For one of which nothing is left but what is in memory.
    fn answer_remains(&mut self, claim: Claim) {
        let (id, now_ms) = (claim.id.clone(), clock::unix_ms());
        let error = "cancelled, or out of time, when its records were gone or damaged already";
        let report = answer::to_remains(&id, claim.agent, &claim.project, error, now_ms);
        let mut answering = Answering::of_remains(claim, None, None, report);
        match answering.advance(self.context) {
            Ok(()) => drop(self.open.remove(&id)),
            Err(e) => self.park(answering, e.to_string()),
        }
    }
}
