//! The ledger: every dispatch that is accepted and not answered, which of them wait and in what
//! order, and which of them somebody works on.
//!
//! The ledger is the one owner of the queue and of every waiting claim. It reads no file and
//! decides nothing about one: its callers tell it what the drop zone says. A dispatch stands in
//! `open` from its acceptance to its answer, whatever else it stands in, since its id is taken that
//! long.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use super::nameless::Nameless;
use super::names::Names;
use super::overdue::Overdue;
use super::pending::PendingClaims;
use crate::effects::store::{Claim, Contents, Room};
use crate::pure::config::Settings;
use crate::pure::dispatch::{DispatchId, Lane};
use crate::pure::gate::PendingRecord;
use crate::pure::schedule::hold::Holds;
use crate::pure::schedule::queue::{Queue, Seq, Taken};
use crate::pure::text::digest::Sha256;
use crate::threads::events::Cancel;
use crate::threads::shared::board::RunningSession;
use crate::threads::shared::context::Context;

/// How many bytes of waiting dispatches are kept in memory, so that they need not be read again.
/// With what was parsed of them they take two or three times as much.
const CONTENTS_BYTES_MAX: usize = 512 * 1024;

/// A larger number is no number of ours: a session can write what it likes into its own record.
const SEQ_MAX: Seq = 1 << 53;

pub(super) struct Ledger<'c> {
    pub queue: Queue<Claim>,
    /// Claims that wait outside the queue, because the names of their files are gone.
    pub nameless: Nameless,
    pub overdue: Overdue<'c>,
    /// Claims that wait until somebody allows them.
    pub pending: PendingClaims<'c>,
    open: HashMap<DispatchId, OpenDispatch>,
    active: HashMap<DispatchId, ActiveSession>,
    /// The places in line of all that is open, each of which is one dispatch's.
    seqs: HashSet<Seq>,
    next_seq: Seq,
    /// The size of the contents that waiting claims keep.
    contents_bytes: usize,
    /// The board is behind.
    is_news: bool,
}

/// A dispatch between acceptance and answer.
pub(super) struct OpenDispatch {
    pub lane: Lane,
    /// The digest of its bytes, if that is known.
    pub sha256: Option<Sha256>,
    /// The drop zone's files that hold its bytes.
    pub names: Vec<OsString>,
    /// The dispatch's names no longer count.
    pub is_detached: bool,
    /// Where its folder is.
    pub room: Room,
    seq: Seq,
    project: String,
}

impl OpenDispatch {
    pub fn lose_name(&mut self, name: &OsStr) {
        self.names.retain(|other| other != name);
    }

    /// That file holds, or may hold, another drop by now.
    pub fn detach(&mut self, name: &OsStr) {
        self.lose_name(name);
        self.is_detached = true;
    }
}

/// A dispatch that somebody works on.
pub(super) struct ActiveSession {
    pub cancel: Cancel,
    attempt: u32,
    since: Instant,
}

/// Whether a dispatch that comes back from its worker is still to be worked on.
#[must_use]
pub(super) enum ComesBack {
    ToWait,
    /// Its cancel was asked for, and nobody has heeded it.
    ToBeCancelled,
}

/// What has become of a claim without names.
pub(super) enum NamelessFate {
    /// No claim waited for the last scan.
    NoneWaited,
    /// The claim waits on, in its old place or for another scan.
    Waits,
    /// None of its names is left.
    Withdrawn(DispatchId),
}

impl<'c> Ledger<'c> {
    pub fn new(context: &'c Context) -> Ledger<'c> {
        Ledger {
            queue: Queue::new(context.settings().max_per_project),
            nameless: Nameless::default(),
            overdue: Overdue::new(context),
            pending: PendingClaims::new(context),
            open: HashMap::new(),
            active: HashMap::new(),
            seqs: HashSet::new(),
            next_seq: 1,
            contents_bytes: 0,
            is_news: true,
        }
    }

    pub fn follow_settings(&mut self, settings: &Settings) {
        self.queue.limit_lanes(settings.max_per_project);
        self.overdue.follow_settings(&self.queue);
    }

    // ------------------------------------------------------------------------------ what is known

    pub fn is_open(&self, id: &DispatchId) -> bool {
        self.open.contains_key(id)
    }

    pub fn open(&self, id: &DispatchId) -> Option<&OpenDispatch> {
        self.open.get(id)
    }

    pub fn open_mut(&mut self, id: &DispatchId) -> Option<&mut OpenDispatch> {
        self.open.get_mut(id)
    }

    pub fn active(&self, id: &DispatchId) -> Option<&ActiveSession> {
        self.active.get(id)
    }

    /// The place in line of a dispatch that waits to be allowed, and what it waits for.
    pub fn pending_of(&self, id: &DispatchId) -> Option<(Seq, PendingRecord)> {
        let seq = self.open.get(id)?.seq;
        Some((seq, self.pending.get(seq)?.record.clone()))
    }

    pub fn active_count(&self) -> usize {
        self.active.len()
    }

    /// How many wait, in the queue, for a name, or for Clawvisor's word to go on.
    pub fn waiting_count(&self) -> usize {
        self.queue.len() + self.nameless.len() + self.pending.aside_count()
    }

    pub fn next_seq(&self) -> Seq {
        self.next_seq
    }

    /// Whether a dispatch came, was taken up or was taken out since the last call, so that the
    /// board is behind. Intake notes the rest.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }

    /// The sessions for the board, the longest first.
    pub fn sessions(&self) -> Vec<RunningSession> {
        let session = |(id, active): (&DispatchId, &ActiveSession)| RunningSession {
            id: id.to_string(),
            project: self.open.get(id).map(|open| open.project.clone()).unwrap_or_default(),
            attempt: active.attempt,
            since: active.since,
        };
        let mut sessions: Vec<RunningSession> = self.active.iter().map(session).collect();
        sessions.sort_by_key(|session| session.since);
        sessions
    }

    // ------------------------------------------------------------------------- into the ledger

    /// What is accepted next comes after these.
    pub fn count_on_from(&mut self, seqs: impl Iterator<Item = Seq>) {
        let last = seqs.filter(|seq| *seq <= SEQ_MAX).max();
        self.next_seq = self.next_seq.max(last.unwrap_or_default() + 1);
    }

    /// Opens a dispatch. [`super::inbox::Inbox::belongs`] enters its names. Gives its place in
    /// line: what it says itself, unless another one has it.
    #[must_use]
    pub fn enter(&mut self, claim: &Claim) -> Seq {
        let is_free = claim.seq <= SEQ_MAX && !self.seqs.contains(&claim.seq);
        let seq = if is_free { claim.seq } else { self.next_seq };
        self.seqs.insert(seq);
        self.next_seq = self.next_seq.max(seq + 1);
        let open = OpenDispatch {
            lane: claim.lane.clone(),
            sha256: claim.sha256,
            names: Vec::with_capacity(claim.names.len()),
            is_detached: claim.is_detached,
            room: claim.room,
            seq,
            project: claim.project.to_string(),
        };
        if let Some(before) = self.open.insert(claim.id.clone(), open).filter(|b| b.seq != seq) {
            self.seqs.remove(&before.seq);
        }
        self.is_news = true;
        seq
    }

    /// Keeps the contents of a new dispatch with its claim, if there is room for them.
    pub fn keep_contents(&mut self, claim: &mut Claim, contents: Contents) {
        let bytes = contents.bytes.len();
        if self.contents_bytes + bytes <= CONTENTS_BYTES_MAX {
            self.contents_bytes += bytes;
            claim.contents = Some(Box::new(contents));
        }
    }

    /// An entered dispatch waits for its first turn from now on.
    pub fn enqueue(&mut self, claim: Claim) {
        self.overdue.limit_wait(&claim);
        self.queue_up(claim);
    }

    /// Puts a claim into the queue, in the place that its number of acceptance gives it.
    pub fn queue_up(&mut self, mut claim: Claim) {
        claim.names = Vec::new();
        self.queue.push(claim.seq, &claim.lane.clone(), claim.agent, claim);
    }

    /// Counts an entered dispatch that somebody works on already. Gives the flag by which it can be
    /// cancelled.
    pub fn adopt(&mut self, claim: &Claim) -> Cancel {
        self.queue.occupy(&claim.lane);
        let cancel = self.start_counting(&claim.id);
        cancel.begin();
        cancel
    }

    // ---------------------------------------------------------------------------- to a worker

    /// Takes the first claim that may run. Only called when the queue is runnable.
    pub fn take(&mut self, holds: &Holds, now_ms: i64) -> Taken<Claim> {
        let taken = self.queue.take(holds, now_ms).expect("invariant: the queue is runnable");
        self.overdue.forget(taken.seq);
        taken
    }

    /// Gives a claim that leaves the queue the names of its files. The contents that it takes along
    /// are no longer counted here.
    pub fn hand_on(&mut self, claim: &mut Claim, names: &Names) {
        if let Some(open) = self.open.get(&claim.id) {
            claim.names = open.names.iter().map(|name| names.inbox_name(name)).collect();
            claim.is_detached = open.is_detached;
        }
        self.contents_bytes -= contents_bytes(claim);
    }

    pub fn start_counting(&mut self, id: &DispatchId) -> Cancel {
        let cancel = Cancel::default();
        let active = ActiveSession { cancel: cancel.clone(), attempt: 1, since: Instant::now() };
        self.active.insert(id.clone(), active);
        self.is_news = true;
        cancel
    }

    /// Notes that an attempt started that long ago.
    pub fn attempt_started(&mut self, id: &DispatchId, number: u32, elapsed: Duration) {
        if let Some(active) = self.active.get_mut(id) {
            let now = Instant::now();
            active.attempt = number;
            active.since = now.checked_sub(elapsed).unwrap_or(now);
        }
    }

    // ------------------------------------------------------------------------ back from a worker

    /// A dispatch is done with, or left to the next daemon.
    pub fn leave(&mut self, id: &DispatchId) -> Option<OpenDispatch> {
        let open = self.close(id)?;
        if self.active.remove(id).is_some() {
            self.queue.release(&open.lane);
        }
        Some(open)
    }

    /// Nobody works on this claim any more, and it waits again, in its old place.
    pub fn put_back(&mut self, claim: Claim) -> ComesBack {
        let (id, lane) = (claim.id.clone(), claim.lane.clone());
        let active = self.active.remove(&id);
        self.queue_up(claim);
        // It may have turned out that its directory belongs to another project.
        let occupied = self.open.get_mut(&id).map(|open| std::mem::replace(&mut open.lane, lane));
        if let Some(occupied) = occupied {
            self.queue.release(&occupied);
        }
        comes_back(active)
    }

    /// Nobody works on this claim any more, and it waits until a scan finds a name for it again.
    pub fn put_aside_nameless(&mut self, claim: Claim) -> ComesBack {
        let active = self.active.remove(&claim.id);
        self.queue.release(&claim.lane);
        self.contents_bytes += contents_bytes(&claim);
        self.nameless.add(claim);
        comes_back(active)
    }

    /// Nobody works on this claim any more, and it waits until somebody allows it.
    pub fn put_aside_pending(&mut self, claim: Claim, record: PendingRecord) -> ComesBack {
        let active = self.active.remove(&claim.id);
        self.queue.release(&claim.lane);
        self.set_room(&claim.id, claim.room);
        self.pending.add(claim, record);
        comes_back(active)
    }

    /// The dispatch's folder has been moved.
    pub fn set_room(&mut self, id: &DispatchId, room: Room) {
        if let Some(open) = self.open.get_mut(id) {
            open.room = room;
        }
    }

    /// A dispatch gives its slot back, if it had one, and stays open. Gives the project that it
    /// still occupies, until [`Ledger::free_project`].
    pub fn give_slot_back(&mut self, id: &DispatchId) -> Option<Lane> {
        self.active.remove(id)?;
        self.open.get(id).map(|open| open.lane.clone())
    }

    pub fn free_project(&mut self, lane: &Lane) {
        self.queue.release(lane);
    }

    // -------------------------------------------------------------------------- out of the ledger

    /// Takes a claim out of where it waits. `None` if it does not wait, or if a session of it may
    /// still run: then whoever takes that up is asked instead.
    pub fn take_out(&mut self, id: &DispatchId) -> Option<Claim> {
        let open = self.open.get(id)?;
        let (seq, lane) = (open.seq, open.lane.clone());
        let waiting = self.queue.remove(seq, &lane).or_else(|| self.nameless.take(seq));
        let pending = || self.pending.take(seq).map(|pending| pending.claim);
        let claim = waiting.or_else(pending)?;
        if claim.resume.is_some() {
            self.queue.push(seq, &lane, claim.agent, claim);
            return None;
        }
        self.overdue.forget(seq);
        self.is_news = true;
        Some(claim)
    }

    /// A dispatch that nobody works on is answered.
    pub fn close(&mut self, id: &DispatchId) -> Option<OpenDispatch> {
        let open = self.open.remove(id)?;
        self.seqs.remove(&open.seq);
        Some(open)
    }

    /// Sees what has become of one claim that waited for the last scan, once everything that the
    /// scan found has been looked at.
    pub fn settle_nameless(&mut self, names: &Names) -> NamelessFate {
        let Some(claim) = self.nameless.take_looked_for() else { return NamelessFate::NoneWaited };
        let Some(open) = self.open.get(&claim.id) else { return NamelessFate::Waits };
        let is_known = |name: &OsString| names.seen(name).is_some();
        if open.is_detached || open.names.iter().any(is_known) {
            self.overdue.limit_wait_if_new(&claim);
            self.queue_up(claim);
            return NamelessFate::Waits;
        }
        let (id, is_in_doubt) = (claim.id.clone(), !open.names.is_empty());
        // If what stands under one of its names is still being written, the next look tells.
        self.nameless.add(claim);
        if is_in_doubt { NamelessFate::Waits } else { NamelessFate::Withdrawn(id) }
    }
}

fn comes_back(active: Option<ActiveSession>) -> ComesBack {
    match active {
        Some(active) if active.cancel.is_asked() => ComesBack::ToBeCancelled,
        Some(_) | None => ComesBack::ToWait,
    }
}

fn contents_bytes(claim: &Claim) -> usize {
    claim.contents.as_ref().map_or(0, |contents| contents.bytes.len())
}
