//! Ensures one daemon per directory, by a flock on a file that we never remove.
//!
//! Others may remove that file, or put something else in its place; a lock on a file without the
//! name keeps nobody away. So the name is looked at again and again, and a lock file that is gone
//! is made and locked anew. A lock belongs to the open file, so a child between fork and exec holds
//! a copy of every lock of its parent for a moment, and a command may ask just then whether a
//! daemon runs. A lock that seems held is therefore tried again for a while before it is believed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::Store;
use super::disk::files;
use super::disk::identity::{self, Kind};
use crate::effects::error::{At, Error, Result};
use crate::effects::failpoint::{self, Effect};
use crate::pure::attempt::record::Identity;

const LOCK_TRY_EVERY: Duration = Duration::from_millis(50);
/// A lock that seems held is tried for at least this long, however short a wait was asked for.
const LOCK_TRY_MIN: Duration = Duration::from_millis(250);
/// How many names are tried for what is in the way.
const ASIDE_MAX: u32 = 1000;
/// More than any pid takes.
const PID_BYTES_MAX: u64 = 32;

/// The right to be the daemon of this directory, until it is dropped or the process ends.
pub struct DaemonLock(Mutex<Held>);

struct Held {
    file: File,
    identity: Identity,
}

/// What a look at the lock says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Held,
    /// The name was gone or belonged to another file; the lock is ours again.
    Retaken,
    /// Another daemon holds it.
    Lost,
}

enum Tried {
    Taken(Held),
    Busy,
    /// The name or its folder vanished meanwhile.
    Gone,
    /// Something other than a plain file has the name.
    InTheWay,
}

impl Store {
    fn lock_path(&self) -> PathBuf {
        self.own.join("lock")
    }

    /// Takes the lock. `None` if another daemon held it for all of `wait`.
    pub fn lock(&self, wait: Duration) -> Result<Option<DaemonLock>> {
        let held = self.take_lock(wait.max(LOCK_TRY_MIN))?;
        Ok(held.map(|held| DaemonLock(Mutex::new(held))))
    }

    /// Whether `lock` is still the lock of this directory. An error means that nobody can tell.
    pub fn look_at_lock(&self, lock: &DaemonLock) -> Result<Standing> {
        let mut held = lock.0.lock().unwrap_or_else(PoisonError::into_inner);
        let named = identity::find(&self.lock_path())?.map(|stamp| stamp.identity);
        if named == Some(held.identity) {
            return Ok(Standing::Held);
        }
        // A file system in user space may number its files anew.
        let ours = identity::of_file(&held.file).map(|stamp| stamp.identity);
        if ours.is_ok_and(|ours| named == Some(ours)) {
            return Ok(Standing::Held);
        }
        match self.take_lock(LOCK_TRY_MIN)? {
            // The old lock is held until this line replaces it.
            Some(new) => {
                *held = new;
                Ok(Standing::Retaken)
            }
            None => Ok(Standing::Lost),
        }
    }

    /// Whether a daemon holds the lock, for whoever only wants to know: nothing is made or written,
    /// and a daemon that starts at this moment gets its lock, since it tries for [`LOCK_TRY_MIN`].
    pub fn is_locked(&self) -> Result<bool> {
        let path = self.lock_path();
        let file = match files::open_plain(&path) {
            Ok(file) => file,
            Err(e) if identity::is_nothing(&e) => return Ok(false),
            // A daemon would move aside what stands there.
            Err(_) if identity::of_path(&path).is_ok_and(|named| named.kind != Kind::File) => {
                return Ok(false);
            }
            Err(e) => return Err(e).at("open", &path),
        };
        // Those who look do not keep each other away.
        match file.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(e)) => Err(e).at("lock", &path),
        }
    }

    /// The pid of the holder as the file has it, for people only.
    pub fn lock_holder(&self) -> Option<u32> {
        let bytes = files::read(&self.lock_path(), PID_BYTES_MAX).ok()?.into_read()?;
        std::str::from_utf8(&bytes).ok()?.trim().parse().ok()
    }

    fn take_lock(&self, wait: Duration) -> Result<Option<Held>> {
        let path = self.lock_path();
        let began = Instant::now();
        loop {
            let is_last = began.elapsed() >= wait;
            match try_lock(&path)? {
                Tried::Taken(held) => return Ok(Some(held)),
                Tried::Busy if is_last => return Ok(None),
                Tried::Busy => thread::sleep(LOCK_TRY_EVERY),
                Tried::Gone if is_last => {
                    return Err(Error::new("keep", path, io::ErrorKind::NotFound.into()));
                }
                Tried::Gone => drop(self.make_directories()?),
                Tried::InTheWay => self.make_way_for_lock(&path)?,
            }
        }
    }

    /// Moves aside what has the lock's name, since it is not ours to remove.
    fn make_way_for_lock(&self, path: &Path) -> Result<()> {
        let names = (1..=ASIDE_MAX).map(|number| self.own.join(format!(".aside-lock-{number}")));
        let aside = match files::rename_to_first_free(path, names) {
            // Somebody else was first.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            moved => moved.at("move aside", path)?,
        };
        // Two daemons may meet here: the lock file that the first one made is put back.
        if identity::of_path(&aside).is_ok_and(|stamp| stamp.kind == Kind::File) {
            let _ = files::rename_to_free(&aside, path);
        } else {
            let (path, aside) = (path.display(), aside.display());
            log::warn!("{path} was no plain file: it is {aside} now");
        }
        Ok(())
    }
}

fn try_lock(path: &Path) -> Result<Tried> {
    let mut file = match open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Tried::Gone),
        Err(e) => {
            let named = identity::of_path(path);
            let is_in_the_way = named.is_ok_and(|stamp| stamp.kind != Kind::File);
            return if is_in_the_way { Ok(Tried::InTheWay) } else { Err(e).at("open", path) };
        }
    };
    let ours = identity::of_file(&file).at("look at", path)?;
    if ours.kind != Kind::File {
        return Ok(Tried::InTheWay);
    }
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Tried::Busy),
        Err(TryLockError::Error(e)) => return Err(e).at("lock", path),
    }
    // Somebody who removed the file and made it again would have a lock of their own: only the lock
    // on the file with this name counts.
    if identity::find(path)?.is_none_or(|named| named.identity != ours.identity) {
        return Ok(Tried::Gone);
    }
    // The pid in the file is for people only.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    Ok(Tried::Taken(Held { file, identity: ours.identity }))
}

/// Opens the lock file, never through a link, and never waits for the other end of a FIFO.
fn open(path: &Path) -> io::Result<File> {
    failpoint::before(Effect::Create(path))?;
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits() as i32)
        .open(path)
}
