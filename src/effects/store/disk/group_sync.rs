//! A folder that many threads put files into: one fsync of it serves all threads whose files were
//! there before it began.
//!
//! A failed fsync is the failure of everybody who waited for it: the kernel may have dropped the
//! entries, and a second fsync would then report success.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::{files, identity};
use crate::effects::error::{At, Error, Result};
use crate::pure::attempt::record::Identity;

pub(in crate::effects::store) struct GroupSync {
    path: PathBuf,
    rounds: Mutex<Rounds>,
    ended: Condvar,
    /// The open folder, kept between two rounds: a watched folder reports every open as an event.
    open: Mutex<Option<(Identity, File)>>,
}

/// Fsyncs of the folder, counted from 1.
#[derive(Default)]
struct Rounds {
    begun: u64,
    ended: u64,
    waiting: u32,
    /// The last fsync that succeeded.
    good: u64,
    /// The last fsync that failed, and with which errno.
    failed: Option<(u64, Option<i32>)>,
}

impl GroupSync {
    pub fn new(path: PathBuf) -> GroupSync {
        GroupSync { path, rounds: Mutex::default(), ended: Condvar::new(), open: Mutex::default() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Makes durable what is there now, by an fsync that begins after this call: the caller's own,
    /// or that of another thread that asked meanwhile.
    pub fn sync(&self) -> Result<()> {
        let mut rounds = lock(&self.rounds);
        let asked_at = rounds.begun;
        loop {
            if rounds.good > asked_at {
                return Ok(());
            }
            if let Some((failed, errno)) = rounds.failed
                && failed > asked_at
            {
                let unknown = || io::Error::other("it failed");
                let source = errno.map_or_else(unknown, io::Error::from_raw_os_error);
                return Err(Error::new("sync", &self.path, source));
            }
            let under_way = rounds.begun;
            if rounds.ended == under_way {
                break;
            }
            // The fsync under way may have begun before this call.
            rounds.waiting += 1;
            while rounds.ended < under_way {
                rounds = self.ended.wait(rounds).unwrap_or_else(PoisonError::into_inner);
            }
            rounds.waiting -= 1;
        }
        rounds.begun += 1;
        let round = rounds.begun;
        drop(rounds);
        let synced = self.sync_now();
        let mut rounds = lock(&self.rounds);
        rounds.ended = round;
        match &synced {
            Ok(()) => rounds.good = round,
            Err(e) => rounds.failed = Some((round, e.raw_os_error())),
        }
        if rounds.waiting > 0 {
            self.ended.notify_all();
        }
        synced
    }

    fn sync_now(&self) -> Result<()> {
        let mut open = lock(&self.open);
        let now = identity::of_path(&self.path).at("look at", &self.path)?.identity;
        // The folder may have been removed and made again.
        let (_, folder) = match open.take().filter(|(opened, _)| *opened == now) {
            Some(known) => open.insert(known),
            None => open.insert((now, files::open_to_sync(&self.path).at("open", &self.path)?)),
        };
        let synced = files::sync_file(folder, &self.path).at("sync", &self.path);
        if synced.is_err() {
            *open = None;
        }
        synced
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_round_serves_what_was_there_before_it_and_another_folder_of_the_name_is_opened_anew() {
        let path = std::env::temp_dir().join(format!("dispatch-folder-{}", std::process::id()));
        fs::create_dir(&path).expect("make it");
        let folder = GroupSync::new(path.clone());
        folder.sync().expect("it is there");
        fs::remove_dir(&path).expect("remove it");
        assert!(folder.sync().is_err(), "it is gone");
        fs::create_dir(&path).expect("make it anew");
        folder.sync().expect("another folder of the same name");
        fs::remove_dir(&path).expect("remove it");
    }
}
