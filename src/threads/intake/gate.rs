//! The gate at the acceptance, and what becomes of the dispatches that wait behind it: approved,
//! denied, given up, judged anew.
//!
//! What a person says comes from `control/` alone: whoever may write to the drop zone must not be
//! able to approve. A request stays on disk until what it asks for is on record, so that a crash
//! repeats it.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsString;
use std::time::Instant;

use super::Intake;
use crate::effects::clock;
use crate::effects::error::{Error, Result};
use crate::effects::project;
use crate::effects::store::{Asked, Claim, Contents, Dropped, Room};
use crate::pure::audit_event::{AuditEvent, IgnoredWhy};
use crate::pure::dispatch::{Dispatch, DispatchId};
use crate::pure::gate::signature::Signed;
use crate::pure::gate::{GateRefusal, PendingRecord, PersonApproval};
use crate::pure::report::{ApprovedBy, ErrorType, Status};
use crate::pure::schedule::queue::Seq;
use crate::pure::text::digest::sha256_hex;
use crate::pure::text::hex::hex;
use crate::pure::upkeep::health::Subsystem;
use crate::threads::recover::contents_in;
use crate::threads::recover_pending::CHANGED;
use crate::threads::shared::board::PendingSnapshot;
use crate::threads::shared::gate::{self, AtGate, GateWord, expires_at_ms};

/// What the gate keeps besides the claims that wait.
#[derive(Default)]
pub(super) struct GateDesk {
    /// Files that stay in the inbox until fewer dispatches wait, the first first, each once.
    held_back: VecDeque<OsString>,
    held_names: HashSet<OsString>,
    is_full_told: bool,
    /// Requests that may be half-written, with when each is looked at again. All wait equally long.
    doubtful: VecDeque<(Instant, DispatchId)>,
}

impl Intake<'_> {
    /// Asks the gate about a dispatch that is about to be accepted.
    pub(super) fn at_acceptance(
        &self,
        dropped: &Dropped,
        dispatch: &Dispatch,
        signed: Option<&Signed>,
    ) -> Result<GateWord> {
        let dir = project::expand(&dispatch.project_dir, self.context.home.as_deref());
        let dir = project::resolve_nearest(&dir);
        AtGate::new(dispatch, (&dropped.bytes, signed), &dir, None).ask(self.context)
    }

    /// A dispatch that has just been accepted takes the task that covers it. If that fails, it does
    /// so at its turn.
    pub(super) fn take_task(&self, contents: &Contents) {
        if self.context.settings().clawvisor().is_none() {
            return;
        }
        let dir = project::expand(&contents.dispatch.project_dir, self.context.home.as_deref());
        let dir = project::resolve_nearest(&dir);
        let shown = (contents.bytes.as_slice(), contents.accepted.signed.as_ref());
        let at_gate = AtGate::new(&contents.dispatch, shown, &dir, Some(Room::Active));
        if let Err(e) = at_gate.task_word(self.context) {
            log::warn!("{e}");
        }
    }

    // ------------------------------------------------------------------------------ how many wait

    pub(super) fn is_pending_full(&self) -> bool {
        self.ledger.pending.len() >= self.context.settings().pending_max
    }

    /// The file stays in the inbox until there is room, and takes its turn then.
    pub(super) fn hold_back(&mut self, dropped: Dropped) {
        if !std::mem::replace(&mut self.gate.is_full_told, true) {
            let count = self.ledger.pending.len();
            log::warn!("{count} dispatches wait for approval: further files stay in the inbox");
            self.context.audit.tell("", &AuditEvent::PendingFull);
        }
        self.inbox.names.note(dropped.name.clone(), dropped.stamp);
        if self.gate.held_names.insert(dropped.name.clone()) {
            self.gate.held_back.push_back(dropped.name);
        }
    }

    /// Brings back the first of the files that were held back, if there is room now.
    pub(super) fn take_held_back(&mut self) -> bool {
        if self.gate.held_back.is_empty() || self.is_pending_full() {
            return false;
        }
        let Some(name) = self.gate.held_back.pop_front() else { return false };
        self.gate.is_full_told = !self.gate.held_back.is_empty();
        self.gate.held_names.remove(&name);
        self.inbox.doubt(name);
        true
    }

    /// Looks at all files that were held back: by new settings they may not have to wait.
    pub(super) fn look_at_held_back(&mut self) {
        self.gate.held_names.clear();
        for name in std::mem::take(&mut self.gate.held_back) {
            self.inbox.doubt(name);
        }
    }

    // ------------------------------------------------------------------------------------ to wait

    /// An entered dispatch waits in `pending/` from now on.
    pub(super) fn wait_in_pending(&mut self, claim: Claim, record: PendingRecord) {
        let id = claim.id.clone();
        self.ledger.pending.add(claim, record);
        self.is_news = true;
        if self.requests.was_cancelled_before(&id) {
            return self.cancel(&id);
        }
        self.look_at_verdict(&id);
    }

    /// A dispatch of an earlier daemon that still has to wait.
    pub fn enter_pending(&mut self, mut claim: Claim, record: PendingRecord) {
        self.enter(&mut claim);
        self.ledger.pending.add(claim, record);
        self.is_news = true;
    }

    /// A dispatch may run: it takes its old place in the queue. If that fails, it waits on.
    pub(super) fn release(&mut self, seq: Seq) -> Result<()> {
        let Some(mut pending) = self.ledger.pending.take(seq) else { return Ok(()) };
        if pending.claim.room == Room::Active {
            self.ledger.queue_up(pending.claim);
            self.is_news = true;
            return Ok(());
        }
        if let Err(e) = self.context.store.move_to_active(&mut pending.claim) {
            self.ledger.pending.add(pending.claim, pending.record);
            return Err(e);
        }
        let mut claim = pending.claim;
        claim.waits_since_ms = clock::unix_ms();
        log::info!("{} may run", claim.id);
        self.ledger.set_room(&claim.id, claim.room);
        self.ledger.enqueue(claim);
        self.is_news = true;
        Ok(())
    }

    // ------------------------------------------------------------------------- what a person says

    /// Looks at what is asked about that dispatch, if anything is.
    pub(super) fn look_at_verdict(&mut self, id: &DispatchId) {
        if self.halt.is_on() {
            // What follows could not be written. The request stays, and is looked at again.
            return;
        }
        let asked = match self.context.store.asked(id) {
            Ok(Some(asked)) => asked,
            Ok(None) => return,
            Err(e) => return log::error!("{e}"),
        };
        let Some((seq, record)) = self.ledger.pending_of(id) else {
            // A denial stays until its answer is through.
            if !self.parked.is_answering(id) {
                self.ignore_verdict(id, IgnoredWhy::NotPending);
            }
            return;
        };
        match asked {
            Asked::Deny { reason } if reason.is_empty() && self.may_be_half_written(id) => {}
            Asked::Deny { reason } => self.deny(id, &reason),
            Asked::Approve { .. } if !record.why.ends_by_approval() => {
                self.ignore_verdict(id, IgnoredWhy::NotPending);
            }
            Asked::Approve { sha256, .. } if !self.is_digest_of(id, &sha256) => {
                if !self.may_be_half_written(id) {
                    self.ignore_verdict(id, IgnoredWhy::Digest);
                }
            }
            Asked::Approve { sha256, uid } => {
                let approval =
                    PersonApproval { at: clock::stamp(), sha256, dir: record.dir.clone(), uid };
                if let Err(e) = self.approve(id, seq, &approval) {
                    self.verdict_failed(&e);
                }
            }
        }
    }

    fn is_digest_of(&self, id: &DispatchId, sha256: &str) -> bool {
        let known = self.ledger.open(id).and_then(|open| open.sha256);
        known.is_some_and(|known| hex(&known) == sha256)
    }

    /// Whether a request of that kind has stood there for too short a time to be judged; then it is
    /// looked at again.
    fn may_be_half_written(&mut self, id: &DispatchId) -> bool {
        let now = Instant::now();
        match self.gate.doubtful.iter().position(|(_, other)| other == id) {
            Some(at) if self.gate.doubtful[at].0 <= now => {
                self.gate.doubtful.remove(at);
                false
            }
            Some(_) => true,
            None => {
                let due = now + self.context.settings().settle;
                self.gate.doubtful.push_back((due, id.clone()));
                true
            }
        }
    }

    fn ignore_verdict(&mut self, id: &DispatchId, why: IgnoredWhy) {
        self.context.audit.tell(id.as_str(), &AuditEvent::ApprovalIgnored { why });
        let said = match why {
            IgnoredWhy::Digest => "it is for other bytes",
            IgnoredWhy::NotPending => "no such dispatch waits for a person",
        };
        log::warn!("what is asked about {id} is ignored: {said}");
        self.forget_verdict(id);
    }

    /// Removes what was asked about a dispatch, once it is on record.
    pub(super) fn forget_verdict(&self, id: &DispatchId) {
        if self.context.level.is_lost() {
            return;
        }
        if let Err(e) = self.context.store.forget_asked(id) {
            log::error!("{e}");
        }
    }

    pub(super) fn verdict_failed(&mut self, e: &Error) {
        log::error!("{e}");
        if e.fault().is_everywhere() {
            self.halt.begin(Subsystem::Inbox, &e.to_string());
        }
    }

    fn approve(&mut self, id: &DispatchId, seq: Seq, approval: &PersonApproval) -> Result<()> {
        let read = contents_in(self.context, id, Room::Pending)?;
        let is_unchanged = read.is_some_and(|read| sha256_hex(&read.bytes) == approval.sha256);
        if !is_unchanged {
            self.refuse_waiting(id, &CHANGED.into());
            return Ok(());
        }
        let (by, sha256) = (ApprovedBy::Person, approval.sha256.clone());
        self.context
            .audit
            .tell(id.as_str(), &AuditEvent::Approved { by, sha256, uid: approval.uid });
        if let Some(pending) = self.ledger.pending.get(seq) {
            self.context.store.write_approval(&pending.claim, approval)?;
        }
        self.release(seq)?;
        self.forget_verdict(id);
        Ok(())
    }

    fn deny(&mut self, id: &DispatchId, reason: &str) {
        self.context.audit.tell(id.as_str(), &AuditEvent::Denied { reason: reason.into() });
        let error = match reason {
            "" => "denied".to_string(),
            reason => format!("denied: {reason}"),
        };
        self.end_waiting(id, Status::Cancelled, &error, true);
    }

    // ------------------------------------------------------------------------- what time says

    pub(super) fn next_verdict_due(&self) -> Option<Instant> {
        self.gate.doubtful.front().map(|(due, _)| *due)
    }

    /// Looks again at a request that has stood there for a while, or gives up a dispatch that
    /// nobody allowed in time. False: there is nothing to do.
    pub(super) fn take_gate_due(&mut self) -> bool {
        let due = self.gate.doubtful.front().filter(|(due, _)| Instant::now() >= *due);
        if let Some((_, id)) = due.cloned() {
            self.look_at_verdict(&id);
            // Nothing is asked any more, or it has been heeded.
            self.gate.doubtful.retain(|(due, other)| other != &id || *due > Instant::now());
            return true;
        }
        let Some((id, seq)) = self.ledger.pending.overdue() else { return false };
        let Some(why) = self.ledger.pending.get(seq).map(|pending| pending.record.why) else {
            return true;
        };
        let seconds = self.context.settings().approval_expiry.as_secs_f64();
        let error = format!("not approved within {seconds} s: {}", why.name());
        self.ledger.pending.look_again(seq);
        self.context.audit.tell(id.as_str(), &AuditEvent::ApprovalExpired { why });
        self.end_waiting(&id, Status::Cancelled, &error, true);
        true
    }

    /// `None`: what was accepted does not stand there any more, and never runs.
    pub(super) fn ask_about(&self, claim: &Claim) -> Result<Option<(GateWord, Contents)>> {
        let Some(contents) = contents_in(self.context, &claim.id, Room::Pending)? else {
            return Ok(None);
        };
        if claim.sha256.is_some_and(|known| hex(&known) != sha256_hex(&contents.bytes)) {
            return Ok(None);
        }
        let dir = project::expand(&contents.dispatch.project_dir, self.context.home.as_deref());
        let dir = project::resolve_nearest(&dir);
        let shown = (contents.bytes.as_slice(), claim.signed.as_deref());
        let word = AtGate::new(&contents.dispatch, shown, &dir, Some(Room::Pending));
        let word = word.ask(self.context)?;
        Ok(Some((word, contents)))
    }

    // -------------------------------------------------------------------------------- the end

    /// A dispatch that waits never runs.
    pub(super) fn refuse_waiting(&mut self, id: &DispatchId, why: &GateRefusal) {
        gate::tell_refused(self.context, id, why);
        self.end_waiting(id, Status::Failed, &why.error, false);
    }

    fn end_waiting(&mut self, id: &DispatchId, status: Status, error: &str, tells: bool) {
        let Some((claim, contents, last)) = self.take_out_telling(id, tells) else { return };
        self.answer_now(claim, contents, last, (status, ErrorType::NotAuthorized, error));
    }

    /// What the heartbeat tells of those that wait.
    pub(super) fn pending_snapshot(&self, most: usize) -> (usize, Vec<PendingSnapshot>) {
        let oldest = self.ledger.pending.oldest(most).map(|waiting| PendingSnapshot {
            id: waiting.claim.id.to_string(),
            project: waiting.claim.project.to_string(),
            why: waiting.record.why,
            since_ms: waiting.claim.accepted_at_ms,
            expires_ms: expires_at_ms(self.context, waiting.claim.accepted_at_ms),
        });
        (self.ledger.pending.len(), oldest.collect())
    }
}
