//! One daemon per directory, by flock on a file that is never removed.
//!
//! A lock belongs to the open file, so a child between fork and exec holds a copy of every lock of its parent for a moment.
//! A lock that seems held is therefore tried again for a while before it is believed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::{Store, identity};
use crate::effects::error::{At, Result};
use crate::effects::failpoint::{self, Effect};

const LOCK_TRY_EVERY: Duration = Duration::from_millis(50);

/// The right to be the daemon of this directory, until it is dropped or the process ends.
pub struct DaemonLock {
    _file: File,
}

impl Store {
    /// `None`: another daemon held it for all of `wait`.
    pub fn lock(&self, wait: Duration) -> Result<Option<DaemonLock>> {
        let path = self.own.join("lock");
        let began = Instant::now();
        loop {
            if let Some(lock) = try_lock(&path)? {
                return Ok(Some(lock));
            }
            if began.elapsed() >= wait {
                return Ok(None);
            }
            thread::sleep(LOCK_TRY_EVERY);
        }
    }
}

fn try_lock(path: &Path) -> Result<Option<DaemonLock>> {
    failpoint::before(Effect::Create(path)).at("open", path)?;
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits() as i32)
        .open(path)
        .at("open", path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(e)) => return Err(e).at("lock", path),
    }
    // Somebody who removed the file and made it again would have a lock of his own: only the one under the name counts.
    let same = |a: identity::Stamp, b: identity::Stamp| a.identity == b.identity;
    match (identity::of_file(&file), identity::of_path(path)) {
        (Ok(ours), Ok(named)) if same(ours, named) => {}
        _ => return Ok(None),
    }
    // For people only.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Some(DaemonLock { _file: file }))
}
