//! Ctrl-C, SIGTERM and a terminal that gets another size, for a command that waits: noted by a
//! handler that only sets a flag, and looked at between two looks at the disk.
//!
//! Without this a signal ends a command at once, which is right for all that do not wait.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM, SIGWINCH};

/// The signals that came since it was made.
pub struct Interrupts {
    ended: Arc<AtomicBool>,
    resized: Arc<AtomicBool>,
}

impl Interrupts {
    pub fn listen() -> io::Result<Interrupts> {
        let listening = Interrupts { ended: Arc::default(), resized: Arc::default() };
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&listening.ended))?;
        }
        signal_hook::flag::register(SIGWINCH, Arc::clone(&listening.resized))?;
        Ok(listening)
    }

    /// Somebody wants the command to end.
    pub fn is_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    /// Whether the terminal got another size since this was asked last.
    pub fn was_resized(&self) -> bool {
        self.resized.swap(false, Ordering::Relaxed)
    }
}
