//! The level at which the daemon works, RUN → DRAIN → KILL or LOST, and the two signals by which
//! threads learn that they may stop.
//!
//! Everybody reads the level. Whoever raises it drops the one sender behind [`DrainSignal`], which
//! wakes everybody who waits. Nothing is ended here: the owners of sessions see the level, and end
//! or leave them.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use crossbeam_channel::{Receiver, Sender, bounded, never};

/// The level only ever rises.
#[derive(Debug)]
pub struct Level {
    level: AtomicU8,
    /// The other end of every [`DrainSignal`]; the first rise drops it.
    until_drain: Mutex<Option<Sender<Infallible>>>,
}

/// Nothing new is to be begun. The signal is given by a disconnected channel on which nothing is
/// ever sent, so that it reaches everybody who waits and everybody who looks later.
#[derive(Clone, Debug)]
pub struct DrainSignal(Receiver<Infallible>);

impl DrainSignal {
    /// What a `select!` receives from.
    pub fn receiver(&self) -> &Receiver<Infallible> {
        &self.0
    }

    /// Stands in for a signal that has been heeded.
    pub fn never() -> DrainSignal {
        DrainSignal(never())
    }
}

/// All work is done, so that the threads which tell the world about it may end.
#[derive(Clone, Debug)]
pub struct ExitSignal(Receiver<Infallible>);

impl ExitSignal {
    pub fn new() -> (Sender<Infallible>, ExitSignal) {
        let (until_exit, exit) = bounded(0);
        (until_exit, ExitSignal(exit))
    }

    /// What a `select!` receives from.
    pub fn receiver(&self) -> &Receiver<Infallible> {
        &self.0
    }

    /// Stands in for a signal that has been heeded.
    pub fn never() -> ExitSignal {
        ExitSignal(never())
    }
}

const DRAIN: u8 = 1;
const KILL: u8 = 2;
/// This stands above the others: a process that is no longer the daemon of this directory has
/// nothing to end in it.
const LOST: u8 = 3;

impl Level {
    /// The level comes with the signal that its first rise gives.
    pub fn new() -> (Level, DrainSignal) {
        let (until_drain, drain) = bounded(0);
        let level = Level { level: AtomicU8::new(0), until_drain: Mutex::new(Some(until_drain)) };
        (level, DrainSignal(drain))
    }

    /// Take nothing new; let running sessions finish.
    pub fn is_drain(&self) -> bool {
        self.level.load(Ordering::Acquire) >= DRAIN
    }

    /// End running sessions now.
    pub fn is_kill(&self) -> bool {
        self.level.load(Ordering::Acquire) == KILL
    }

    /// Another daemon holds the directory: leave everything to it.
    pub fn is_lost(&self) -> bool {
        self.level.load(Ordering::Acquire) == LOST
    }

    /// What does not work now is not tried again: the next daemon goes on from what stands on disk.
    pub fn is_last_try(&self) -> bool {
        self.level.load(Ordering::Acquire) >= KILL
    }

    /// True if the level was lower before.
    pub fn raise_to_drain(&self) -> bool {
        self.raise(DRAIN)
    }

    pub fn raise_to_kill(&self) {
        self.raise(KILL);
    }

    /// True if the level was lower before.
    pub fn raise_to_lost(&self) -> bool {
        self.raise(LOST)
    }

    fn raise(&self, to: u8) -> bool {
        let before = self.level.fetch_max(to, Ordering::AcqRel);
        // The level is set first, since whoever wakes must see it.
        drop(self.until_drain.lock().unwrap_or_else(PoisonError::into_inner).take());
        before < to
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::TryRecvError;

    #[test]
    fn the_level_rises_only_and_wakes_whoever_waits() {
        let (level, drain) = Level::new();
        let seen = |l: &Level| [l.is_drain(), l.is_kill(), l.is_lost(), l.is_last_try()];
        assert_eq!(seen(&level), [false; 4]);
        assert_eq!(drain.receiver().try_recv(), Err(TryRecvError::Empty));
        assert!(level.raise_to_drain());
        assert_eq!(drain.receiver().try_recv(), Err(TryRecvError::Disconnected));
        assert!(!level.raise_to_drain());
        assert_eq!(seen(&level), [true, false, false, false]);
        level.raise_to_kill();
        assert_eq!(seen(&level), [true, true, false, true]);
        assert!(level.raise_to_lost() && !level.raise_to_lost());
        level.raise_to_kill();
        assert_eq!(seen(&level), [true, false, true, true], "its sessions are not ours to end");
    }

    #[test]
    fn a_lost_lock_wakes_whoever_waits() {
        let (level, drain) = Level::new();
        assert!(level.raise_to_lost());
        assert_eq!(drain.receiver().try_recv(), Err(TryRecvError::Disconnected));
        assert!(!level.raise_to_drain());
    }
}
