//! The level at which the daemon works, RUN → DRAIN → KILL or LOST, and the signals: SIGTERM and
//! SIGINT raise it, SIGHUP reads the settings again.
//!
//! Everybody reads the level. Whoever raises it drops the one sender behind [`DrainSignal`], which
//! wakes everybody who waits. This module owns no session: the owners of sessions see the level and
//! end or leave them.

use std::convert::Infallible;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, never};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::{Context, reload};
use crate::pure::config::OnShutdown;

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

/// All work is done: what tells the world about it may end. The signal is given like a
/// [`DrainSignal`], by dropping the sender.
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

    /// True: it was not before.
    pub fn raise_to_drain(&self) -> bool {
        self.raise(DRAIN)
    }

    pub fn raise_to_kill(&self) {
        self.raise(KILL);
    }

    /// True: it was not before.
    pub fn raise_to_lost(&self) -> bool {
        self.raise(LOST)
    }

    fn raise(&self, to: u8) -> bool {
        let before = self.level.fetch_max(to, Ordering::AcqRel);
        // The level is set before: whoever wakes must see it.
        drop(self.until_drain.lock().unwrap_or_else(PoisonError::into_inner).take());
        before < to
    }
}

/// Registered before any thread or child is started.
pub fn register() -> io::Result<Signals> {
    // Whoever started us may have SIGCHLD ignored: our children's ends would be lost, and
    // wait-timeout, which calls the handler before its own, would jump to address 1
    // (alexcrichton/wait-timeout#44). The flag itself is not read.
    signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
    // So that a file of ours that may not grow is an error of that write, and no death. A handler
    // and not SIG_IGN, which a session would inherit: a handler is gone with its exec.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Signals::new([SIGTERM, SIGINT, SIGHUP])
}

/// The thread's loop.
pub fn run(mut signals: Signals, context: &Context) {
    for signal in signals.forever() {
        match signal {
            SIGINT => stop(context, "SIGINT"),
            SIGTERM => stop(context, "SIGTERM"),
            SIGHUP => reload::reload(context),
            _ => {}
        }
    }
}

/// The first one lets running sessions finish, the next one ends them.
fn stop(context: &Context, signal: &str) {
    let running = context.board.running_ids();
    if context.level.raise_to_drain() {
        let settings = context.settings();
        let wait = Some(settings.drain_timeout);
        let wait = wait.filter(|_| settings.on_shutdown != OnShutdown::Leave);
        log::info!("{signal}: {}", what_follows(&running, wait));
    } else if !context.level.is_last_try() {
        log::info!("{signal} again: ending running sessions now");
        context.level.raise_to_kill();
    }
}

/// Ids that a line names.
const NAMED_MAX: usize = 3;

/// For whoever pressed Ctrl-C. `wait`: how long sessions may go on, unless they are left running.
fn what_follows(running: &[String], wait: Option<Duration>) -> String {
    let mut names = running.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if running.len() > NAMED_MAX {
        names += &format!(" and {} more", running.len() - NAMED_MAX);
    }
    let (count, sessions) = match running.len() {
        0 => return "stopping".into(),
        1 => (1, "session"),
        count => (count, "sessions"),
    };
    match wait {
        Some(wait) => {
            let seconds = wait.as_secs_f64();
            format!(
                "taking nothing new, waiting up to {seconds} s for {count} running {sessions} ({names}); \
                 again: end them now"
            )
        }
        None => format!("stopping; {count} {sessions} left running for the next daemon ({names})"),
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

    #[test]
    fn whoever_stops_it_is_told_what_follows() {
        let ids = |n: usize| -> Vec<String> { (1..=n).map(|n| format!("dispatch-{n}")).collect() };
        let minute = Some(Duration::from_secs(60));
        for (running, wait, want) in [
            (0, minute, "stopping"),
            (0, None, "stopping"),
            (
                1,
                minute,
                "taking nothing new, waiting up to 60 s for 1 running session (dispatch-1); again: end them now",
            ),
            (
                5,
                Some(Duration::from_millis(500)),
                "taking nothing new, waiting up to 0.5 s for 5 running sessions \
                 (dispatch-1, dispatch-2, dispatch-3 and 2 more); again: end them now",
            ),
            (
                2,
                None,
                "stopping; 2 sessions left running for the next daemon (dispatch-1, dispatch-2)",
            ),
        ] {
            assert_eq!(what_follows(&ids(running), wait), want);
        }
    }
}
