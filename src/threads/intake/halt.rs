//! When intake takes nothing on: the disk or the machine refuses, or too little room is left. Files
//! stay in the inbox and claims in the queue, so that nothing is lost by waiting; after a pause the
//! next piece of work is the test whether it is over. Cancels are heeded meanwhile.

use std::time::{Duration, Instant};

use super::Intake;
use crate::effects::error::Error;
use crate::pure::trouble::Place;

/// Free space is not looked at more often.
const LOOK_AT_ROOM_EVERY: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Halt {
    /// Nothing is taken on before.
    pub until: Option<Instant>,
    room_seen: Option<Instant>,
    /// Something of the inbox could not be dealt with since the last scan.
    failed: bool,
    /// That has been told.
    told: bool,
}

impl Intake<'_> {
    pub(super) fn is_halted(&self) -> bool {
        self.halt.until.is_some()
    }

    /// Once a turn: ends a pause that is over, begins one where something that was begun cannot be
    /// written.
    pub(super) fn update_halt(&mut self) {
        let is_over = self.halt.until.is_some_and(|until| Instant::now() >= until);
        if is_over {
            self.halt.until = None;
            self.context.audit.write_waiting();
            self.context.look_at_audit();
            if self.context.health.is_open(Place::Lock) {
                self.context.has_lock();
            }
            if self.context.health.is_open(Place::Room) {
                self.look_at_room();
            }
            if self.queue.is_empty() {
                self.context.works(Place::Start);
            }
            if self.context.health.is_open(Place::Heartbeat) {
                let _ = self.changed.try_send(());
            }
            // Events of this time were not kept.
            self.next_scan = Instant::now();
        }
        if !self.is_halted() && self.context.health.stops_work() {
            self.rest();
        }
    }

    fn rest(&mut self) {
        self.halt.until = Some(Instant::now() + self.context.settings().trouble_pause);
    }

    /// Work that was tried could not be done for a reason that has nothing to do with it.
    pub(super) fn halt(&mut self, place: Place, reason: &str) {
        self.context.held_up(place, reason);
        self.rest();
    }

    /// The inbox could not be dealt with, which is tried again with the next scan, soon.
    pub(super) fn inbox_failed(&mut self, place: Place, e: &Error) {
        self.halt.failed = true;
        self.halt.told = true;
        if e.fault().is_everywhere() {
            self.halt(place, &e.to_string());
        } else {
            self.context.held_up(place, &e.to_string());
        }
    }

    pub(super) fn begin_pass(&mut self) {
        self.halt.failed = false;
    }

    /// Everything that the last scan found has been looked at.
    pub(super) fn end_pass(&mut self) {
        if self.halt.told && !self.halt.failed {
            self.halt.told = false;
            self.context.works(Place::Inbox);
            self.context.works(Place::File);
        }
    }

    /// Whether the disk has room for new work. Asked only when there is some.
    pub(super) fn has_room(&mut self) -> bool {
        let is_fresh = self.halt.room_seen.is_some_and(|at| at.elapsed() < LOOK_AT_ROOM_EVERY);
        self.context.settings().min_free_bytes == 0 || is_fresh || self.look_at_room()
    }

    fn look_at_room(&mut self) -> bool {
        match self.context.store.want_of_room(self.context.settings().min_free_bytes) {
            Ok(None) => {
                self.halt.room_seen = Some(Instant::now());
                self.context.works(Place::Room);
                true
            }
            Ok(Some(want)) => {
                self.halt.room_seen = None;
                self.halt(Place::Room, &want);
                false
            }
            // Whatever is wrong there, the work itself will meet it.
            Err(e) => {
                log::debug!("{e}");
                true
            }
        }
    }
}
