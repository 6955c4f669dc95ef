//! Keeps what one dispatch's own trouble stops: an answer that cannot be published, a claim that
//! cannot be read. A parked dispatch takes no slot and holds nobody up; it is looked at again with
//! each scan, and told meanwhile.

use std::collections::BTreeMap;

use super::Intake;
use crate::effects::error::Error;
use crate::effects::store::Room;
use crate::pure::audit_event::AuditEvent;
use crate::pure::dispatch::{DispatchId, Lane};
use crate::pure::upkeep::health::Subsystem;
use crate::threads::conclude::Answering;
use crate::threads::recover::{Recovered, recover_one};
use crate::threads::recover_pending::recover_pending_one;
use crate::threads::shared::context::Context;

pub(super) struct Parked<'c> {
    context: &'c Context,
    answers: BTreeMap<DispatchId, ParkedAnswer>,
    /// Claims of an earlier daemon that could not be read, and why.
    unread: BTreeMap<DispatchId, String>,
}

struct ParkedAnswer {
    answering: Answering,
    error: String,
    /// The project in which nobody else may work meanwhile.
    busy_project: Option<Lane>,
}

/// What one more try did for a parked answer.
enum Retried {
    /// The answer is through. Its project is free from now on, if it was not.
    Answered {
        freed_project: Option<Lane>,
        room: Room,
    },
    StaysParked(Error),
}

impl<'c> Parked<'c> {
    pub fn new(context: &'c Context) -> Parked<'c> {
        Parked { context, answers: BTreeMap::new(), unread: BTreeMap::new() }
    }

    /// Which dispatches are parked, and why: for the heartbeat.
    pub fn list(&self) -> Vec<(String, String)> {
        let answers = self.answers.iter().map(|(id, parked)| (id.to_string(), &parked.error));
        let unread = self.unread.iter().map(|(id, error)| (id.to_string(), error));
        answers.chain(unread).map(|(id, error)| (id, error.clone())).collect()
    }

    /// Whether this id is known to have a claim that could not be read.
    pub fn is_unread(&self, id: &DispatchId) -> bool {
        self.unread.contains_key(id)
    }

    /// Whether the answer to this dispatch could not be seen through yet.
    pub fn is_answering(&self, id: &DispatchId) -> bool {
        self.answers.contains_key(id)
    }

    /// Tries every answer once.
    fn retry_answers(&mut self) -> Vec<(DispatchId, Retried)> {
        let mut retried = Vec::new();
        for (id, mut parked) in std::mem::take(&mut self.answers) {
            match parked.answering.advance(self.context) {
                Ok(()) => {
                    log::info!("{id} is not parked any more");
                    let room = parked.answering.claim().room;
                    let freed_project = parked.busy_project;
                    retried.push((id, Retried::Answered { freed_project, room }));
                }
                Err(e) => {
                    parked.error = e.to_string();
                    self.answers.insert(id.clone(), parked);
                    retried.push((id, Retried::StaysParked(e)));
                }
            }
        }
        retried
    }

    /// Reads once more every claim that could not be read.
    fn read_again(&mut self) -> Recovered {
        let mut recovered = Recovered::default();
        for (id, _) in std::mem::take(&mut self.unread) {
            match self.context.store.is_in(&id, Room::Pending) {
                Ok(true) => recover_pending_one(self.context, id, &mut recovered),
                Ok(false) | Err(_) => recover_one(self.context, id, &mut recovered),
            }
        }
        recovered
    }
}

impl Intake<'_> {
    /// Parks an answer. Its owner gives its slot back, and the project only if nothing of the
    /// session is left there.
    pub(super) fn park(&mut self, answering: Answering, error: String) {
        let id = answering.id().clone();
        log::warn!("{id} is parked, and looked at again: {error}");
        self.context.audit.tell(id.as_str(), &AuditEvent::Parked { reason: error.clone() });
        self.is_news = true;
        self.holds.forget_probe(&id);
        let busy_project = match self.ledger.give_slot_back(&id) {
            Some(lane) if answering.is_project_busy() => Some(lane),
            Some(lane) => {
                self.ledger.free_project(&lane);
                None
            }
            None => None,
        };
        self.parked.answers.insert(id, ParkedAnswer { answering, error, busy_project });
    }

    /// Parks what recovery could not see through or read.
    pub fn park_recovered(
        &mut self,
        parked: Vec<(Answering, String)>,
        unread: Vec<(DispatchId, String)>,
    ) {
        for (answering, error) in parked {
            // It has been in line.
            let _ = self.ledger.enter(answering.claim());
            self.enter_names(answering.claim());
            self.park(answering, error);
        }
        self.is_news |= !unread.is_empty();
        self.parked.unread.extend(unread);
    }

    /// Tries once to go on with everything that is parked.
    pub(super) fn look_at_parked(&mut self) {
        // The daemon that holds the directory now has found them too.
        if self.context.level.is_lost() {
            return;
        }
        self.look_at_parked_answers();
        self.look_at_unread();
    }

    fn look_at_parked_answers(&mut self) {
        for (id, retried) in self.parked.retry_answers() {
            match retried {
                Retried::Answered { freed_project, room } => {
                    self.requests.remove_cancel(id.as_str());
                    if room == Room::Pending {
                        self.forget_verdict(&id);
                    }
                    self.is_news = true;
                    if let Some(lane) = freed_project {
                        self.ledger.free_project(&lane);
                    }
                    if let Some(open) = self.ledger.close(&id) {
                        self.inbox.look_again_at(open.names);
                    }
                }
                Retried::StaysParked(e) if e.fault().is_everywhere() => {
                    self.halt.begin(Subsystem::Answer, &e.to_string());
                }
                Retried::StaysParked(_) => {}
            }
        }
        if self.parked.answers.is_empty() {
            self.context.health.works_again(Subsystem::Answer);
        }
    }

    fn look_at_unread(&mut self) {
        let recovered = self.parked.read_again();
        let Recovered { waiting, pending, taken_up, notices, parked, unread, .. } = recovered;
        self.holds.learn_earlier(notices);
        for claim in waiting {
            self.enqueue(claim);
        }
        for (claim, record) in pending {
            self.enter_pending(claim, record);
        }
        // A worker takes each up, as soon as one is free.
        for (mut claim, step) in taken_up {
            claim.resume = Some(step);
            self.enqueue(claim);
        }
        self.park_recovered(parked, unread);
    }
}
