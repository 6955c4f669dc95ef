//! SIGHUP reloads the settings. SIGTERM and SIGINT raise the level: RUN → DRAIN → KILL. Everybody reads the level; dropping the one sender wakes everybody
//! who waits.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crossbeam_channel::Sender;
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

/// Only ever rises.
#[derive(Debug, Default)]
pub struct Level(AtomicU8);

const DRAIN: u8 = 1;
const KILL: u8 = 2;

impl Level {
    /// Take nothing new; let running sessions finish.
    pub fn is_drain(&self) -> bool {
        self.0.load(Ordering::Acquire) >= DRAIN
    }

    /// End running sessions now.
    pub fn is_kill(&self) -> bool {
        self.0.load(Ordering::Acquire) >= KILL
    }

    pub fn raise_to_drain(&self) {
        self.0.fetch_max(DRAIN, Ordering::AcqRel);
    }

    pub fn raise_to_kill(&self) {
        self.0.fetch_max(KILL, Ordering::AcqRel);
    }
}

/// Registered before any thread or child is started.
pub fn register() -> io::Result<Signals> {
    // Whoever started us may have SIGCHLD ignored: our children's ends would be lost, and wait-timeout, which calls the
    // handler before its own, would jump to address 1 (alexcrichton/wait-timeout#44). The flag itself is not read.
    signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
    // So that a file of ours that may not grow is an error of that write, and no death. A handler and not SIG_IGN, which a
    // session would inherit: a handler is gone with its exec.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Signals::new([SIGTERM, SIGINT, SIGHUP])
}

/// The thread's loop. `running` is dropped with the first signal.
pub fn run(mut signals: Signals, level: &Level, running: Sender<Infallible>, reload: impl Fn()) {
    let mut running = Some(running);
    for signal in signals.forever() {
        if signal == SIGHUP {
            reload();
            continue;
        }
        let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
        if let Some(running) = running.take() {
            log::info!("{name}: taking nothing new, waiting for running sessions");
            // In this order: who wakes must see the level.
            level.raise_to_drain();
            drop(running);
        } else {
            log::info!("{name} again: ending running sessions now");
            level.raise_to_kill();
        }
    }
}
