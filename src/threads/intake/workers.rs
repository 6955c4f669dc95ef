//! Claims on their way to the workers, and back: what may start, and what follows from each event
//! that a worker sends.
//!
//! A claim is handed over at a rendezvous, so that it is chosen only when a worker stands ready.
//! No event looks at a dropped file here: names go to the backlog, for a turn of the loop.

use super::Intake;
use super::ledger::{ComesBack, OpenDispatch};
use crate::effects::clock;
use crate::effects::store::{Claim, InboxName};
use crate::pure::dispatch::DispatchId;
use crate::pure::gate::PendingRecord;
use crate::pure::schedule::queue::Taken;
use crate::pure::upkeep::health::Subsystem;
use crate::threads::events::{Event, Job};

impl Intake<'_> {
    /// Whether there is something that may start now.
    pub(super) fn may_hand_out(&mut self) -> bool {
        self.asked_at_ms = clock::unix_ms();
        !self.context.is_paused()
            && !self.halt.is_on()
            && !self.ledger.overdue.is_due()
            && self.ledger.active_count() < self.context.settings().max_concurrent
            && self.ledger.queue.is_runnable(self.holds.in_force(), self.asked_at_ms)
            && self.halt.has_room()
    }

    /// Only called when a worker stands ready and [`Intake::may_hand_out`] was true.
    pub(super) fn next_job(&mut self) -> Job {
        let Taken { lane, agent, item: mut claim, .. } =
            self.ledger.take(self.holds.in_force(), self.asked_at_ms);
        self.ledger.hand_on(&mut claim, &self.inbox.names);
        let probe = self.holds.let_through(&claim.id, agent, &lane);
        let cancel = self.ledger.start_counting(&claim.id);
        Job { claim, cancel, probe }
    }

    pub(super) fn take_in(&mut self, event: Event) {
        self.is_news = true;
        match event {
            Event::Attempt { id, number, elapsed } => {
                self.context.health.works_again(Subsystem::Start);
                self.ledger.attempt_started(&id, number, elapsed);
            }
            Event::Closed { id } => {
                if self.ledger.active(&id).is_some_and(|active| active.cancel.is_asked()) {
                    self.requests.remove_cancel(id.as_str());
                }
                if let Some(open) = self.leave(&id) {
                    self.inbox.look_again_at(open.names);
                }
            }
            Event::Left { id } => {
                self.leave(&id);
            }
            Event::Back { claim, error } => {
                log::warn!("{} waits: {error}", claim.id);
                self.halt.begin(Subsystem::Start, &error);
                self.ledger.overdue.limit_wait_if_new(&claim);
                self.put_back(claim);
            }
            Event::Waits { claim, record } => self.put_aside_pending(claim, record),
            Event::TaskAnswered { task } => self.look_at_task(&task),
            Event::Again { claim } => self.put_back(claim),
            Event::Parked { answering, error } => self.park(*answering, error),
            Event::Nameless { claim } => self.put_aside_nameless(claim),
            Event::Notice(notice) => self.holds.learn(&notice),
        }
    }

    /// A dispatch is done with, or left to the next daemon.
    fn leave(&mut self, id: &DispatchId) -> Option<OpenDispatch> {
        self.holds.forget_probe(id);
        self.ledger.leave(id)
    }

    /// Nobody works on this claim any more, and it waits again, in its old place.
    fn put_back(&mut self, claim: Claim) {
        let id = claim.id.clone();
        self.holds.forget_probe(&id);
        let comes_back = self.ledger.put_back(claim);
        self.cancel_if_asked(&id, comes_back);
    }

    /// A worker found that the claim has to be allowed by somebody.
    fn put_aside_pending(&mut self, mut claim: Claim, record: PendingRecord) {
        let id = claim.id.clone();
        self.holds.forget_probe(&id);
        claim.names = Vec::new();
        let comes_back = self.ledger.put_aside_pending(claim, record);
        self.cancel_if_asked(&id, comes_back);
        self.look_at_verdict(&id);
    }

    /// A worker found none of its names: the file was renamed or removed, which a scan will tell.
    fn put_aside_nameless(&mut self, mut claim: Claim) {
        let id = claim.id.clone();
        self.holds.forget_probe(&id);
        for InboxName { name, .. } in std::mem::take(&mut claim.names) {
            self.inbox.doubt(name);
        }
        let comes_back = self.ledger.put_aside_nameless(claim);
        self.cancel_if_asked(&id, comes_back);
    }

    /// A cancel that its worker did not heed is heeded here.
    fn cancel_if_asked(&mut self, id: &DispatchId, comes_back: ComesBack) {
        match comes_back {
            ComesBack::ToWait => {}
            ComesBack::ToBeCancelled => self.cancel(id),
        }
    }
}
