//! Intake: the one thread that looks at the drop zone, accepts dispatches, owns the queue and hands
//! claims out.
//!
//! Intake reacts to nothing directly: events only say what to look at, everything to look at stands
//! in one backlog, and each turn of the loop does one piece of work, so that a hundred thousand
//! files delay neither a free worker nor a cancel. A claim is handed over at a rendezvous: there is
//! no second queue behind this one. Each part of intake owns what it knows; the loop sequences
//! them, and only what needs several of them is a method of [`Intake`] (`rescan`, `accept`,
//! `reject`, `answers`, `workers`, and the ends of `requests` and `parked`).

mod accept;
mod answers;
mod gate;
mod halt;
mod holds;
mod ignored;
mod inbox;
mod judged;
mod ledger;
mod nameless;
mod names;
mod once;
mod overdue;
mod parked;
mod pending;
mod reject;
mod requests;
mod rescan;
mod settling;
mod signatures;
mod watcher;
mod watching;
mod workers;

use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select_biased, tick};

use self::watcher::FileEvent;
use super::events::{Cancel, Event, Job};
use super::shared::board::{Changed, Snapshot};
use super::shared::context::Context;
use super::shared::level::DrainSignal;
use crate::effects::store::{Claim, InboxName};
use crate::pure::heartbeat::PENDING_SHOWN_MAX;
use crate::pure::schedule::hold::Notice;
use crate::pure::schedule::queue::Seq;
use crate::pure::upkeep::health::Subsystem;
use gate::GateDesk;
use halt::{Halt, PauseChange};
use holds::HoldKeeper;
use inbox::Inbox;
use ledger::{Ledger, NamelessFate};
use parked::Parked;
use requests::Requests;
use signatures::Signatures;
use watching::Watching;

pub struct Intake<'c> {
    context: &'c Context,
    changed: Changed,
    events: Receiver<Event>,
    drain: DrainSignal,
    settings_changed: Receiver<()>,
    /// Dropped when the daemon drains: that ends the idle workers.
    jobs: Option<Sender<Job>>,
    watching: Watching<'c>,
    inbox: Inbox<'c>,
    ledger: Ledger<'c>,
    holds: HoldKeeper<'c>,
    requests: Requests<'c>,
    halt: Halt<'c>,
    parked: Parked<'c>,
    gate: GateDesk,
    signatures: Signatures<'c>,
    /// The board is behind for another reason than the ledger and the holds tell.
    is_news: bool,
    /// The wall clock when it was last asked whether something may start. Holds are judged by this
    /// until it is asked again.
    asked_at_ms: i64,
}

/// The ends of intake's channels that are not its own.
pub struct Wires {
    pub jobs: Sender<Job>,
    pub events: Receiver<Event>,
    pub drain: DrainSignal,
    pub changed: Changed,
}

/// Whether a turn found work that nobody waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pace {
    /// One piece of it is done, and there may be more.
    Busy,
    Idle,
}

impl<'c> Intake<'c> {
    pub fn new(context: &'c Context, wires: Wires) -> Intake<'c> {
        // Listening comes first, so that a change in between is told of.
        let settings_changed = context.live.listen();
        Intake {
            context,
            changed: wires.changed,
            events: wires.events,
            drain: wires.drain,
            settings_changed,
            jobs: Some(wires.jobs),
            watching: Watching::new(context),
            inbox: Inbox::new(context),
            ledger: Ledger::new(context),
            holds: HoldKeeper::restore(context),
            requests: Requests::new(context),
            halt: Halt::new(context),
            parked: Parked::new(context),
            gate: GateDesk::default(),
            signatures: Signatures::new(context),
            is_news: true,
            asked_at_ms: 0,
        }
    }

    /// Learns what attempts that ended before this start said about their agents.
    pub fn learn_earlier(&mut self, notices: Vec<(i64, Notice)>) {
        self.holds.learn_earlier(notices);
    }

    /// A dispatch that has been accepted, now or by an earlier daemon, waits for its turn.
    pub fn enqueue(&mut self, mut claim: Claim) {
        self.enter(&mut claim);
        self.ledger.enqueue(claim);
    }

    /// Somebody already works on a dispatch of an earlier daemon. Gives the flag by which it can be
    /// cancelled.
    pub fn adopt(&mut self, claim: &mut Claim) -> Cancel {
        self.enter(claim);
        self.ledger.adopt(claim)
    }

    /// What an earlier daemon accepted keeps its order, and what comes next comes after it.
    pub fn count_on_from(&mut self, seqs: impl Iterator<Item = Seq>) {
        self.ledger.count_on_from(seqs);
    }

    fn enter(&mut self, claim: &mut Claim) {
        claim.seq = self.ledger.enter(claim);
        self.enter_names(claim);
    }

    fn enter_names(&mut self, claim: &Claim) {
        for InboxName { name, seen } in &claim.names {
            self.inbox.belongs(&mut self.ledger, name, *seen, &claim.id);
        }
    }

    /// The loop: it goes on until the daemon drains and nothing is running any more.
    pub fn run(mut self, ready: Sender<()>) {
        self.rescan();
        self.tell();
        let _ = ready.send(());
        // A channel that nobody ever reads from, for turns in which nothing may be handed out.
        let (nowhere, _unread) = bounded(0);
        let watchdog = self.context.service_manager.watchdog().map_or_else(never, tick);
        while !(self.context.level.is_drain() && self.ledger.active_count() == 0) {
            self.start_to_drain();
            self.update_halt();
            self.holds.expire(&self.ledger.queue);
            self.expire_pause();
            // Nothing else may happen for a long time now.
            self.tell();
            let pace = self.step();
            let may_hand_out = self.may_hand_out();
            self.stop_if_worked_off(pace, may_hand_out);
            let jobs = self.jobs.as_ref().filter(|_| may_hand_out).cloned();
            let timer = match pace {
                Pace::Busy => at(Instant::now()),
                Pace::Idle => self.timer(),
            };
            select_biased! {
                recv(self.drain.receiver()) -> _ => continue,
                recv(watchdog) -> _ => self.context.service_manager.tell_alive(),
                recv(self.events) -> event => match event {
                    Ok(event) => self.take_in(event),
                    Err(_) => return,
                },
                send(jobs.as_ref().unwrap_or(&nowhere), self.next_job()) -> sent => {
                    if let Err(unsent) = sent {
                        log::error!("no worker is left for {}", unsent.into_inner().claim.id);
                    }
                }
                recv(self.watching.events()) -> event => match event {
                    // A pause ends with a scan.
                    Ok(FileEvent::Inbox(_)) if self.halt.is_on() => {}
                    Ok(FileEvent::Inbox(name)) => self.inbox.backlog.push_back(name),
                    // Requests to another daemon must not be taken away from it.
                    Ok(FileEvent::Cancel(_) | FileEvent::Control(_))
                        if !self.context.has_lock() => {}
                    Ok(FileEvent::Cancel(name)) => self.look_at_cancel(&name),
                    Ok(FileEvent::Control(name)) => self.look_at_request(&name),
                    Ok(FileEvent::Rescan) | Err(_) => self.inbox.scan_soon(),
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
            let (running, queued) = (self.ledger.active_count(), self.ledger.queue.len());
            log::info!("{running} running, {queued} queued");
        }
    }

    fn update_halt(&mut self) {
        match self.halt.update(self.ledger.queue.is_empty()) {
            PauseChange::None => {}
            PauseChange::Over => {
                if self.context.health.is_open(Subsystem::Heartbeat) {
                    let _ = self.changed.try_send(());
                }
                self.inbox.scan_soon();
            }
        }
    }

    /// The settings have been replaced. The pause of a halt, the time that cancels are kept and the
    /// free space that is asked for follow with the next scan.
    fn follow_settings(&mut self) {
        self.ledger.follow_settings(&self.context.settings());
        self.holds.follow_settings();
        self.judge_pending_anew();
        self.look_at_held_back();
        self.inbox.scan_soon();
        self.is_news = true;
    }

    /// Does one piece of work that nobody waits for.
    fn step(&mut self) -> Pace {
        if self.jobs.is_none() {
            return Pace::Idle;
        }
        if !self.halt.is_on() && self.take_in_next() == Pace::Busy {
            return Pace::Busy;
        }
        self.expire_cancel()
    }

    fn take_in_next(&mut self) -> Pace {
        if self.watching.take_overflow() {
            self.inbox.scan_soon();
        }
        if self.ledger.overdue.is_due() {
            self.answer_overdue();
            return Pace::Busy;
        }
        if self.context.has_lock() && self.take_gate_due() {
            return Pace::Busy;
        }
        self.inbox.take_settled();
        if !self.inbox.backlog.is_empty() {
            let has_room = self.halt.has_room();
            let may_look = has_room && self.context.has_lock();
            if !may_look {
                return Pace::Idle;
            }
            if let Some(name) = self.inbox.backlog.pop_front() {
                self.look(&name);
            }
            return Pace::Busy;
        }
        if self.take_held_back() {
            return Pace::Busy;
        }
        self.halt.end_pass();
        match self.ledger.settle_nameless(&self.inbox.names) {
            NamelessFate::NoneWaited => {}
            NamelessFate::Waits => return Pace::Busy,
            NamelessFate::Withdrawn(id) => {
                self.withdraw(&id);
                return Pace::Busy;
            }
        }
        if Instant::now() >= self.inbox.next_scan {
            self.rescan();
            return Pace::Busy;
        }
        if self.ledger.nameless.next_scan().is_some_and(|due| Instant::now() >= due) {
            self.look_for_names();
            return Pace::Busy;
        }
        Pace::Idle
    }

    fn expire_cancel(&mut self) -> Pace {
        let Some(text) = self.requests.overdue_cancel() else { return Pace::Idle };
        self.look_at_cancel_of(&text);
        // A cancel that cannot be removed is found again by the next scan.
        self.requests.forget(&text);
        Pace::Busy
    }

    /// Fires when there is something to do although nothing happens.
    fn timer(&self) -> Receiver<Instant> {
        if self.jobs.is_none() {
            return never();
        }
        let (cancels, holds) = (self.requests.next_due(), self.holds.next_due(&self.ledger.queue));
        let pause = self.requests.pause_end();
        let due = match self.halt.until() {
            Some(until) => [Some(until), cancels, holds, pause, None, None, None, None, None],
            None => {
                let settling = self.inbox.settling.next_due();
                let (overdue, names) =
                    (self.ledger.overdue.next_due(), self.ledger.nameless.next_scan());
                let (pending, verdicts) = (self.ledger.pending.next_due(), self.next_verdict_due());
                let scan = Some(self.inbox.next_scan);
                [scan, cancels, holds, pause, settling, overdue, names, pending, verdicts]
            }
        };
        due.into_iter().flatten().min().map_or_else(never, at)
    }

    /// Puts on the board what the heartbeat tells, if it changed.
    fn tell(&mut self) {
        let ours = std::mem::take(&mut self.is_news);
        let others = [self.ledger.take_news(), self.holds.take_news()];
        if !ours && others == [false, false] {
            return;
        }
        let (pending_count, pending) = self.pending_snapshot(PENDING_SHOWN_MAX);
        self.context.board.put(Snapshot {
            pending_count,
            pending,
            queued: self.ledger.waiting_count(),
            paused: self.context.is_paused(),
            paused_until_ms: self.requests.paused_until_ms(),
            sessions: self.ledger.sessions(),
            parked: self.parked.list(),
            holds: self.holds.list(&self.ledger.queue),
        });
        let _ = self.changed.try_send(());
    }
}
