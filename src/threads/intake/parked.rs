//! What one dispatch's own trouble keeps from going on: an answer that cannot be published, a claim
//! that cannot be read. It takes no slot and holds nobody up; it is looked at again with each scan,
//! and told meanwhile.

use std::collections::BTreeMap;

use serde_json::json;

use super::Intake;
use crate::pure::dispatch::DispatchId;
use crate::pure::trouble::Place;
use crate::threads::conclude::Answering;
use crate::threads::recover::{Recovered, recover_one};

#[derive(Default)]
pub(super) struct Parked {
    answers: BTreeMap<DispatchId, ParkedAnswer>,
    /// Claims of an earlier daemon that could not be read, and why.
    unread: BTreeMap<DispatchId, String>,
}

struct ParkedAnswer {
    answering: Answering,
    error: String,
    /// Nobody else may work in its project.
    holds_lane: bool,
}

impl Parked {
    /// For the heartbeat: which, and why.
    pub(super) fn list(&self) -> Vec<(String, String)> {
        let answers = self.answers.iter().map(|(id, parked)| (id.to_string(), &parked.error));
        let unread = self.unread.iter().map(|(id, error)| (id.to_string(), error));
        answers.chain(unread).map(|(id, error)| (id, error.clone())).collect()
    }

    /// Whether it is known that this id has a claim, and not what that says.
    pub(super) fn is_unread(&self, id: &DispatchId) -> bool {
        self.unread.contains_key(id)
    }
}

impl Intake<'_> {
    /// Its owner gives its slot back; the project only if nothing of the session is left there.
    pub(super) fn park(&mut self, answering: Answering, error: String) {
        let id = answering.id().clone();
        log::warn!("{id} is parked, and looked at again: {error}");
        self.context.audit.record("parked", id.as_str(), &[("reason", json!(error))]);
        self.is_news = true;
        self.holds.gone(&id);
        let had_slot = self.active.remove(&id).is_some();
        let holds_lane = had_slot && answering.is_project_busy();
        if had_slot
            && !holds_lane
            && let Some(open) = self.open.get(&id)
        {
            let lane = open.lane.clone();
            self.queue.release(&lane);
        }
        self.parked.answers.insert(id, ParkedAnswer { answering, error, holds_lane });
    }

    /// What could not be seen through or read at the start.
    pub fn park_recovered(
        &mut self,
        parked: Vec<(Answering, String)>,
        unread: Vec<(DispatchId, String)>,
    ) {
        for (answering, error) in parked {
            self.enter(answering.claim());
            self.park(answering, error);
        }
        self.is_news |= !unread.is_empty();
        self.parked.unread.extend(unread);
    }

    /// One try for each.
    pub(super) fn look_at_parked(&mut self) {
        // Another daemon has found them too.
        if self.context.level.is_lost() {
            return;
        }
        self.look_at_parked_answers();
        self.look_at_unread();
    }

    fn look_at_parked_answers(&mut self) {
        for (id, mut parked) in std::mem::take(&mut self.parked.answers) {
            match parked.answering.advance(self.context) {
                Ok(()) => {
                    log::info!("{id} is not parked any more");
                    self.remove_cancel(id.as_str());
                    self.is_news = true;
                    if let Some(open) = self.open.remove(&id) {
                        if parked.holds_lane {
                            self.queue.release(&open.lane);
                        }
                        self.look_again_at(open.names);
                    }
                }
                Err(e) => {
                    if e.fault().is_everywhere() {
                        self.halt(Place::Answer, &e.to_string());
                    }
                    parked.error = e.to_string();
                    self.parked.answers.insert(id, parked);
                }
            }
        }
        if self.parked.answers.is_empty() {
            self.context.works(Place::Answer);
        }
    }

    fn look_at_unread(&mut self) {
        let mut recovered = Recovered::default();
        for (id, _) in std::mem::take(&mut self.parked.unread) {
            recover_one(self.context, id, &mut recovered);
        }
        let Recovered { waiting, taken_up, notices, parked, unread, .. } = recovered;
        self.recall_notices(notices);
        for claim in waiting {
            self.recall(claim);
        }
        // A worker takes it up, as soon as one is free.
        for (mut claim, step) in taken_up {
            claim.resume = Some(step);
            self.recall(claim);
        }
        self.park_recovered(parked, unread);
    }
}
