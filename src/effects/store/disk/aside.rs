//! Makes way where something stands that we must replace: it is never followed, opened, or waited
//! for.
//!
//! Files, links and FIFOs are replaced by the rename that puts our own file in place. A folder
//! cannot be replaced like that, so it gets another name beside its own and is kept, since it is
//! not ours to remove. The caller goes on; the threads tell of the move
//! ([`Store::take_moved_aside`]), since only they know the audit log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{self, Durable, Readers};
use super::identity::{self, Kind};
use super::tree;
use crate::effects::error::{At, Error, Result};
use crate::effects::store::Store;

/// How many names are tried for one thing in the way.
const NAMES_MAX: u32 = 1000;
/// How many moves are remembered until somebody tells of them.
const UNTOLD_MAX: usize = 100;

/// Something was in the way, and has another name now.
#[derive(Clone, Debug)]
pub struct MovedAside {
    /// The dispatch for whose sake it was moved, or another name if there is none.
    pub id: String,
    pub from: PathBuf,
    pub to: PathBuf,
}

/// The moves that nobody has told of yet. Sharing this is cheap.
#[derive(Clone, Debug, Default)]
pub(in crate::effects::store) struct Asides(Arc<Mutex<Vec<MovedAside>>>);

impl Store {
    /// Takes the moves since the last call, for the caller to tell of.
    pub fn take_moved_aside(&self) -> Vec<MovedAside> {
        std::mem::take(&mut *self.asides.lock())
    }
}

impl Asides {
    /// Does [`files::replace`], whatever stands there.
    pub fn replace(
        &self,
        dir: &Path,
        name: &str,
        id: &str,
        bytes: &[u8],
        durable: Durable,
    ) -> Result<()> {
        self.replace_for(dir, name, id, bytes, (durable, Readers::Us))
    }

    /// Does the same with a file that these may read.
    pub fn replace_for(
        &self,
        dir: &Path,
        name: &str,
        id: &str,
        bytes: &[u8],
        (durable, readers): (Durable, Readers),
    ) -> Result<()> {
        let replace = || files::replace_for(dir, name, bytes, durable, readers);
        let replaced = replace();
        let Err(e) = &replaced else { return replaced };
        let mut folders = vec![files::temporary(dir, name), dir.join(name)];
        // A rename replaces anything else.
        folders.retain(|path| identity::of_path(path).is_ok_and(|s| s.kind == Kind::Directory));
        let moved = folders.iter().filter(|path| self.makes_way(path, id, e)).count();
        if moved > 0 { replace() } else { replaced }
    }

    /// Makes a folder that is ours alone and empty, whatever stands there.
    pub fn make_dir_anew(&self, path: &Path, id: &str) -> Result<()> {
        match tree::make_dir_anew(path) {
            Err(e) if self.makes_way(path, id, &e) => tree::make_dir_anew(path),
            made => made,
        }
    }

    /// Moves a folder or a file to the name that it must have, whatever stands there.
    pub fn rename_over(&self, from: &Path, to: &Path, id: &str) -> Result<()> {
        match files::rename(from, to).at("put in place", to) {
            Err(e) if self.makes_way(to, id, &e) => files::rename(from, to).at("put in place", to),
            renamed => renamed,
        }
    }

    /// True if the error may be due to what has that name, and that has been moved aside.
    pub fn makes_way(&self, path: &Path, id: &str, e: &Error) -> bool {
        let may_be_due = !e.fault().is_everywhere() && e.kind() != io::ErrorKind::NotFound;
        may_be_due && identity::of_path(path).is_ok() && self.move_aside(path, id)
    }

    /// True if what stood there has another name now.
    fn move_aside(&self, path: &Path, id: &str) -> bool {
        let dir = path.parent().unwrap_or(Path::new("/"));
        let names = (1..=NAMES_MAX).map(|number| dir.join(format!(".aside-{id}-{number}")));
        let to = match files::rename_to_first_free(path, names) {
            Ok(to) => to,
            Err(e) => {
                log::warn!("cannot move {} out of the way: {e}", path.display());
                return false;
            }
        };
        let (id, from) = (id.to_string(), path.to_path_buf());
        let mut untold = self.lock();
        if untold.len() < UNTOLD_MAX {
            untold.push(MovedAside { id, from, to });
        }
        true
    }

    fn lock(&self) -> MutexGuard<'_, Vec<MovedAside>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
