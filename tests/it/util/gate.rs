//! FIFOs at which sessions stand until a test lets them go on.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use super::waiting::{PATIENCE, wait_for};

/// A FIFO at which a session stands: `fake: block <gate>`.
pub struct Gate {
    path: PathBuf,
}

impl Gate {
    /// One that was made before.
    pub fn at(path: PathBuf) -> Gate {
        Gate { path }
    }

    /// Waits until a session stands here; it stays until the hold is released or dropped.
    #[must_use]
    pub fn held(&self) -> Hold {
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let mut options = OpenOptions::new();
        // Without a reader this fails at once (ENXIO): success means that a session has opened the
        // other end.
        let options = options.write(true).custom_flags(nonblock);
        let what = format!("a session at {}", self.path.display());
        Hold(wait_for(&what, PATIENCE, || options.open(&self.path).ok()))
    }

    pub fn display(&self) -> std::path::Display<'_> {
        self.path.display()
    }
}

pub struct Hold(File);

impl Hold {
    pub fn release(mut self) {
        // The session may be gone.
        let _ = self.0.write_all(b"go\n");
    }
}
