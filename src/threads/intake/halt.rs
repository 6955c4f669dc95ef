//! Decides when intake takes nothing on: the disk or the machine refuses, or too little free space
//! is left. Files stay in the inbox and claims in the queue, so that nothing is lost by waiting;
//! after a pause the next piece of work tests whether it is over. Cancels are heeded meanwhile.

use std::time::{Duration, Instant};

use crate::effects::error::Error;
use crate::pure::upkeep::health::Subsystem;
use crate::threads::shared::context::Context;

/// Free space is not looked at more often.
const LOOK_AT_ROOM_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Halt<'c> {
    context: &'c Context,
    /// Nothing is taken on before this time.
    until: Option<Instant>,
    room_seen: Option<Instant>,
    /// Something of the inbox could not be dealt with since the last scan.
    failed: bool,
    /// A failure of the inbox has been told, and its end has not.
    told: bool,
}

/// What the passing of time did to a pause.
#[must_use]
pub(super) enum PauseChange {
    None,
    /// A pause is over, though the next one may have begun at once. The file events of that time
    /// were not kept.
    Over,
}

impl<'c> Halt<'c> {
    pub fn new(context: &'c Context) -> Halt<'c> {
        Halt { context, until: None, room_seen: None, failed: false, told: false }
    }

    /// Whether nothing is taken on now.
    pub fn is_on(&self) -> bool {
        self.until.is_some()
    }

    /// When the pause is over, if there is one.
    pub fn until(&self) -> Option<Instant> {
        self.until
    }

    /// Ends a pause that is over, and begins one where something that was begun cannot be written.
    /// This is called once a turn. If `is_queue_empty`, no start will show whether starts work
    /// again.
    pub fn update(&mut self, is_queue_empty: bool) -> PauseChange {
        let is_over = self.until.is_some_and(|until| Instant::now() >= until);
        if is_over {
            self.until = None;
            self.look_whether_it_works(is_queue_empty);
        }
        if !self.is_on() && self.context.health.stops_work() {
            self.rest();
        }
        if is_over { PauseChange::Over } else { PauseChange::None }
    }

    fn look_whether_it_works(&mut self, is_queue_empty: bool) {
        self.context.audit.write_waiting();
        self.context.health.look_at_audit();
        if self.context.health.is_open(Subsystem::Lock) {
            self.context.has_lock();
        }
        if self.context.health.is_open(Subsystem::Room) {
            self.look_at_room();
        }
        if is_queue_empty {
            self.context.health.works_again(Subsystem::Start);
        }
    }

    fn rest(&mut self) {
        self.until = Some(Instant::now() + self.context.settings().trouble_pause);
    }

    /// Begins a pause: work could not be done, for a reason that has nothing to do with it.
    pub fn begin(&mut self, place: Subsystem, reason: &str) {
        self.context.health.held_up(place, reason);
        self.rest();
    }

    /// The inbox could not be dealt with; the next scan, which comes soon, tries again.
    pub fn inbox_failed(&mut self, place: Subsystem, e: &Error) {
        self.failed = true;
        self.told = true;
        if e.fault().is_everywhere() {
            self.begin(place, &e.to_string());
        } else {
            self.context.health.held_up(place, &e.to_string());
        }
    }

    /// A scan begins.
    pub fn begin_pass(&mut self) {
        self.failed = false;
    }

    /// Everything that the last scan found has been looked at.
    pub fn end_pass(&mut self) {
        if self.told && !self.failed {
            self.told = false;
            self.context.health.works_again(Subsystem::Inbox);
            self.context.health.works_again(Subsystem::File);
        }
    }

    /// Whether the disk has free space for new work. This is asked only when there is some.
    pub fn has_room(&mut self) -> bool {
        let is_fresh = self.room_seen.is_some_and(|at| at.elapsed() < LOOK_AT_ROOM_EVERY);
        self.context.settings().min_free_bytes == 0 || is_fresh || self.look_at_room()
    }

    fn look_at_room(&mut self) -> bool {
        match self.context.store.want_of_room(self.context.settings().min_free_bytes) {
            Ok(None) => {
                self.room_seen = Some(Instant::now());
                self.context.health.works_again(Subsystem::Room);
                true
            }
            Ok(Some(want)) => {
                self.room_seen = None;
                self.begin(Subsystem::Room, &want);
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
