//! A folder that many threads put files into: one fsync of it serves all who asked before it began.
//!
//! An fsync that failed is the failure of everybody who waited for it: the kernel may have dropped the entries, and a second
//! one would then report success.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::files;
use crate::effects::error::{Error, Result};

pub(super) struct Folder {
    path: PathBuf,
    rounds: Mutex<Rounds>,
    ended: Condvar,
}

/// Fsyncs of the folder, counted from 1.
#[derive(Default)]
struct Rounds {
    begun: u64,
    ended: u64,
    /// The last one that failed, and with which errno.
    failed: Option<(u64, Option<i32>)>,
}

impl Folder {
    pub fn new(path: PathBuf) -> Folder {
        Folder { path, rounds: Mutex::default(), ended: Condvar::new() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes durable what was put into it before this call.
    pub fn sync(&self) -> Result<()> {
        let mut rounds = self.lock();
        // The one under way may have missed what we put there.
        let needed = rounds.begun + 1;
        loop {
            if rounds.ended >= needed {
                return match rounds.failed {
                    Some((failed, errno)) if failed >= needed => {
                        let unknown = || io::Error::other("it failed");
                        let source = errno.map_or_else(unknown, io::Error::from_raw_os_error);
                        Err(Error::new("sync", &self.path, source))
                    }
                    _ => Ok(()),
                };
            }
            if rounds.begun == rounds.ended {
                break;
            }
            rounds = self.ended.wait(rounds).unwrap_or_else(PoisonError::into_inner);
        }
        rounds.begun += 1;
        let round = rounds.begun;
        drop(rounds);
        let synced = files::sync_dir(&self.path);
        let mut rounds = self.lock();
        rounds.ended = round;
        if let Err(e) = &synced {
            rounds.failed = Some((round, e.raw_os_error()));
        }
        self.ended.notify_all();
        synced
    }

    fn lock(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
