//! Intake: the one thread that looks at the drop zone, accepts dispatches, owns the queue and hands
//! claims out.
//!
//! It reacts to nothing directly: events only say what to look at, everything to look at stands in
//! one backlog, and each turn of the loop does one piece of work, so that a hundred thousand files
//! delay neither a free worker nor a cancel. A claim is handed over at a rendezvous: there is no
//! second queue behind this one.

mod control;
mod halt;
mod holds;
mod ignored;
mod inbox;
mod names;
mod overdue;
mod parked;
mod reject;
mod rescan;
mod settings;
mod settling;

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select_biased};

use super::heartbeat::{Changed, RunningSession, Told};
use super::signals::DrainSignal;
use super::watcher::{Seen, Watcher};
use super::{Cancel, Context, Event, Job};
use crate::effects::clock;
use crate::effects::store::{Claim, InboxName};
use crate::pure::claim::Identity;
use crate::pure::digest::Sha256;
use crate::pure::dispatch::DispatchId;
use crate::pure::hold::Holds;
use crate::pure::queue::{Lane, Queue, Seq, Taken};
use crate::pure::trouble::Place;
use control::Cancels;
use halt::Halt;
use ignored::Ignored;
use names::{Nameless, Names};
use overdue::Overdue;
use parked::Parked;
use settings::QueueTimeout;
use settling::Settling;

/// What waiting dispatches may hold in memory of their files, in bytes, so that they need not be
/// read again. Twice or three times as much is what it takes.
const IN_HAND_BYTES_MAX: usize = 512 * 1024;

pub struct Intake<'c> {
    context: &'c Context,
    changed: Changed,
    events: Receiver<Event>,
    drain: DrainSignal,
    /// Dropped when the daemon drains: it ends the idle workers.
    jobs: Option<Sender<Job>>,
    watcher: Watcher,
    is_watching: bool,
    /// The drop zone and `control/` that are being watched.
    watched: Option<[Identity; 2]>,
    /// They were taken away a moment ago, and whoever does that may not be through.
    unquiet_until: Instant,

    queue: Queue<Claim>,
    /// Every dispatch that is accepted and not answered.
    open: HashMap<DispatchId, Open>,
    /// Those that somebody works on.
    active: HashMap<DispatchId, Running>,
    /// The board is behind.
    is_news: bool,
    next_seq: Seq,
    /// Of waiting dispatches.
    in_hand_bytes: usize,
    halt: Halt,
    /// Which agent waits until when.
    holds: Holds,
    /// When what was found at the start had been written.
    holds_as_of_ms: i64,
    holds_are_saved: bool,
    /// The wall clock when it was last asked whether something may start: holds are judged by this
    /// until it is asked again.
    asked_at_ms: i64,

    /// Names to look at, in order.
    backlog: VecDeque<OsString>,
    /// Files in the drop zone that have been dealt with and are still there.
    names: Names,
    /// Claims that lost theirs.
    nameless: Nameless,
    /// Those of the files that should have been moved away, and could not.
    unmoved: Vec<OsString>,
    settling: Settling,
    /// What has been told once.
    ignored: Ignored,
    cancels: Cancels,
    overdue: Overdue,
    parked: Parked,
    queue_timeout: QueueTimeout,
    settings_changed: Receiver<()>,
    next_scan: Instant,
}

/// A dispatch between acceptance and answer.
struct Open {
    seq: Seq,
    lane: Lane,
    /// Of its bytes, if that is known.
    sha256: Option<Sha256>,
    /// Of the drop zone's files that hold them.
    names: Vec<OsString>,
    /// It does not count any more whether there are any.
    is_detached: bool,
    project: String,
}

struct Running {
    cancel: Cancel,
    attempt: u32,
    since: Instant,
}

/// The ends of intake's channels that are not its own.
pub struct Wires {
    pub jobs: Sender<Job>,
    pub events: Receiver<Event>,
    pub drain: DrainSignal,
    pub changed: Changed,
}

impl<'c> Intake<'c> {
    pub fn new(context: &'c Context, wires: Wires) -> Intake<'c> {
        // First: a change that comes in between is told of.
        let settings_changed = context.live.listen();
        let (holds, holds_as_of_ms) = holds::restore(context);
        Intake {
            context,
            changed: wires.changed,
            events: wires.events,
            drain: wires.drain,
            jobs: Some(wires.jobs),
            watcher: Watcher::new(&context.store),
            is_watching: false,
            watched: None,
            unquiet_until: Instant::now(),
            queue: Queue::new(context.settings().max_per_project),
            open: HashMap::new(),
            active: HashMap::new(),
            is_news: true,
            next_seq: 1,
            in_hand_bytes: 0,
            halt: Halt::default(),
            holds,
            holds_as_of_ms,
            holds_are_saved: true,
            asked_at_ms: 0,
            backlog: VecDeque::new(),
            names: Names::default(),
            nameless: Nameless::default(),
            unmoved: Vec::new(),
            settling: Settling::default(),
            ignored: Ignored::default(),
            cancels: Cancels::default(),
            overdue: Overdue::default(),
            parked: Parked::default(),
            queue_timeout: context.settings().queue_timeout,
            settings_changed,
            next_scan: Instant::now(),
        }
    }

    /// A dispatch of an earlier daemon that waits.
    pub fn recall(&mut self, mut claim: Claim) {
        self.enter(&claim);
        claim.names = Vec::new();
        self.limit_wait(&claim);
        self.queue.push(claim.seq, &claim.lane.clone(), claim.agent, claim);
    }

    /// A dispatch of an earlier daemon that somebody works on already. Gives the line by which it
    /// can be cancelled.
    pub fn occupy(&mut self, claim: &Claim) -> Cancel {
        self.enter(claim);
        self.queue.occupy(&claim.lane);
        let cancel = self.start_counting(&claim.id);
        cancel.begin();
        cancel
    }

    fn enter(&mut self, claim: &Claim) {
        self.next_seq = self.next_seq.max(claim.seq + 1);
        let open = Open {
            seq: claim.seq,
            lane: claim.lane.clone(),
            sha256: claim.sha256,
            names: Vec::with_capacity(claim.names.len()),
            is_detached: claim.is_detached,
            project: claim.project.to_string(),
        };
        self.open.insert(claim.id.clone(), open);
        for InboxName { name, seen } in &claim.names {
            self.belongs(name, *seen, &claim.id);
        }
        self.is_news = true;
    }

    fn start_counting(&mut self, id: &DispatchId) -> Cancel {
        let cancel = Cancel::default();
        let running = Running { cancel: cancel.clone(), attempt: 1, since: Instant::now() };
        self.active.insert(id.clone(), running);
        self.is_news = true;
        cancel
    }

    /// The loop: until the daemon drains and nothing is running any more.
    pub fn run(mut self, ready: Sender<()>) {
        self.rescan();
        self.tell();
        let _ = ready.send(());
        // A channel that nobody ever reads from, for turns in which nothing may be handed out.
        let (nowhere, _unread) = bounded(0);
        while !(self.context.level.is_drain() && self.active.is_empty()) {
            self.start_to_drain();
            self.update_halt();
            self.expire_holds();
            let is_busy = self.jobs.is_some() && self.step();
            let may_hand_out = self.may_hand_out();
            let jobs = self.jobs.as_ref().filter(|_| may_hand_out).cloned();
            let timer = if is_busy { at(Instant::now()) } else { self.timer() };
            select_biased! {
                recv(self.drain.receiver()) -> _ => continue,
                recv(self.events) -> event => match event {
                    Ok(event) => self.take_in(event),
                    Err(_) => return,
                },
                send(jobs.as_ref().unwrap_or(&nowhere), self.next_job()) -> sent => {
                    if let Err(unsent) = sent {
                        log::error!("no worker is left for {}", unsent.into_inner().claim.id);
                    }
                }
                recv(self.watcher.seen()) -> seen => match seen {
                    // A pause ends with a scan.
                    Ok(Seen::Inbox(_)) if self.is_halted() => {}
                    Ok(Seen::Inbox(name)) => self.backlog.push_back(name),
                    // Another daemon's: they are not to be taken away from it.
                    Ok(Seen::Cancel(_) | Seen::Control(_)) if !self.context.has_lock() => {}
                    Ok(Seen::Cancel(name)) => self.look_at_cancel(&name),
                    Ok(Seen::Control(name)) => self.look_at_request(&name),
                    Ok(Seen::Rescan) | Err(_) => self.next_scan = Instant::now(),
                },
                recv(self.settings_changed) -> _ => self.follow_settings(),
                recv(timer) -> _ => {}
            }
            self.tell();
        }
    }

    fn start_to_drain(&mut self) {
        if self.context.level.is_drain() && self.jobs.take().is_some() {
            self.drain = DrainSignal::never();
            self.is_news = true;
            log::info!("{} running, {} queued", self.active.len(), self.queue.len());
        }
    }

    /// One piece of work that nobody waits for. False: there is none.
    fn step(&mut self) -> bool {
        if !self.is_halted() && self.take_in_next() {
            return true;
        }
        self.expire_cancel()
    }

    fn take_in_next(&mut self) -> bool {
        if self.watcher.take_overflow() {
            self.next_scan = Instant::now();
        }
        if self.overdue.is_due() {
            self.answer_overdue();
            return true;
        }
        self.settling.take_due(&mut self.backlog);
        if !self.backlog.is_empty() {
            let has_room = self.has_room();
            let may_look = has_room && self.context.has_lock();
            if may_look && let Some(name) = self.backlog.pop_front() {
                self.look(&name);
            }
            return may_look;
        }
        self.end_pass();
        if self.settle_nameless() {
            return true;
        }
        if Instant::now() >= self.next_scan {
            self.rescan();
            return true;
        }
        let is_due = self.nameless.next_scan().is_some_and(|due| Instant::now() >= due);
        if is_due {
            self.look_for_names();
        }
        is_due
    }

    /// When there is something to do although nothing happens.
    fn timer(&self) -> Receiver<Instant> {
        if self.jobs.is_none() {
            return never();
        }
        let (cancels, holds) = (self.cancels_due(), self.holds_due());
        let due = match self.halt.until {
            Some(until) => [Some(until), cancels, holds, None, None, None],
            None => {
                let (settling, overdue) = (self.settling.next_due(), self.overdue.next_due());
                let names = self.nameless.next_scan();
                [Some(self.next_scan), cancels, holds, settling, overdue, names]
            }
        };
        due.into_iter().flatten().min().map_or_else(never, at)
    }

    fn may_hand_out(&mut self) -> bool {
        self.asked_at_ms = clock::unix_ms();
        !self.context.is_paused()
            && !self.is_halted()
            && !self.overdue.is_due()
            && self.active.len() < self.context.settings().max_concurrent
            && self.queue.is_runnable(&self.holds, self.asked_at_ms)
            && self.has_room()
    }

    /// Only called when a worker stands ready and [`Intake::may_hand_out`] was true.
    fn next_job(&mut self) -> Job {
        let taken = self.queue.take(&self.holds, self.asked_at_ms);
        let Taken { lane, agent, item: mut claim, .. } =
            taken.expect("invariant: the queue is runnable");
        self.overdue.forget(claim.seq);
        self.hand_on(&mut claim);
        let probe = self.holds.let_through(&claim.id, agent, &lane, clock::unix_ms());
        if probe {
            log::info!("{} is let through, to see whether {agent} works again", claim.id);
            self.save_holds();
        }
        let cancel = self.start_counting(&claim.id);
        Job { claim, cancel, probe }
    }

    /// It leaves the queue, with what is in hand of it.
    fn hand_on(&mut self, claim: &mut Claim) {
        self.tell_names(claim);
        self.in_hand_bytes -= claim.in_hand.as_ref().map_or(0, |held| held.files.bytes.len());
    }

    fn take_in(&mut self, event: Event) {
        self.is_news = true;
        match event {
            Event::Attempt { id, number, elapsed } => {
                self.context.works(Place::Start);
                if let Some(running) = self.active.get_mut(&id) {
                    let now = Instant::now();
                    running.attempt = number;
                    running.since = now.checked_sub(elapsed).unwrap_or(now);
                }
            }
            Event::Closed { id } => {
                if self.active.get(&id).is_some_and(|running| running.cancel.is_asked()) {
                    self.remove_cancel(id.as_str());
                }
                if let Some(open) = self.leave(&id) {
                    self.look_again_at(open.names);
                }
            }
            Event::Left { id } => {
                self.leave(&id);
            }
            Event::Back { claim, error } => {
                log::warn!("{} waits: {error}", claim.id);
                self.halt(Place::Start, &error);
                if matches!(self.context.store.last_attempt(&claim.id), Ok(None)) {
                    self.limit_wait(&claim);
                }
                self.put_back(claim);
            }
            Event::Again { claim } => self.put_back(claim),
            Event::Parked { answering, error } => self.park(*answering, error),
            Event::Nameless { claim } => self.nameless(claim),
            Event::Notice(notice) => self.learn(&notice),
        }
    }

    /// It is done with, or left to the next daemon.
    fn leave(&mut self, id: &DispatchId) -> Option<Open> {
        self.holds.gone(id);
        let open = self.open.remove(id)?;
        if self.active.remove(id).is_some() {
            self.queue.release(&open.lane);
        }
        Some(open)
    }

    /// Nobody works on it any more, and it waits again, in its old place.
    fn put_back(&mut self, mut claim: Claim) {
        claim.names = Vec::new();
        let (id, seq, lane) = (claim.id.clone(), claim.seq, claim.lane.clone());
        self.holds.gone(&id);
        let running = self.active.remove(&id);
        self.queue.push(seq, &lane, claim.agent, claim);
        // It may have turned out that its directory belongs to another project.
        let occupied = self.open.get_mut(&id).map(|open| std::mem::replace(&mut open.lane, lane));
        if let Some(occupied) = occupied {
            self.queue.release(&occupied);
        }
        if running.is_some_and(|running| running.cancel.is_asked()) {
            self.cancel(&id);
        }
    }

    /// Puts on the board what the heartbeat tells, if it changed.
    fn tell(&mut self) {
        if !std::mem::take(&mut self.is_news) {
            return;
        }
        let session = |(id, running): (&DispatchId, &Running)| RunningSession {
            id: id.to_string(),
            project: self.open.get(id).map(|open| open.project.clone()).unwrap_or_default(),
            attempt: running.attempt,
            since: running.since,
        };
        let parked = self.parked.list();
        let mut sessions: Vec<RunningSession> = self.active.iter().map(session).collect();
        sessions.sort_by_key(|session| session.since);
        self.context.board.put(Told {
            queued: self.queue.len() + self.nameless.len(),
            paused: self.context.is_paused(),
            sessions,
            parked,
            holds: self.holds.list().iter().map(|h| (h.clone(), self.queue.held_by(h))).collect(),
        });
        let _ = self.changed.try_send(());
    }
}
