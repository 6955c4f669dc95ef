//! What stands where we must write: it is never followed, opened, or waited for.
//!
//! Files, links and FIFOs are replaced by the rename that puts our own file in place. A folder
//! cannot be, so it is renamed beside itself, and kept: it is not ours to remove. Whoever does such
//! a step goes on; that it happened is told by the threads ([`Store::take_moved_aside`]), since
//! only they know the audit log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::files::{self, Durable};
use super::identity::{self, Kind};
use crate::effects::error::{At, Error, Result};
use crate::effects::store::Store;

/// Names that are tried for one thing in the way.
const NAMES_MAX: u32 = 1000;
/// Moves that nobody has told of yet; more are not remembered.
const UNTOLD_MAX: usize = 100;

/// Something was in the way, and has another name now.
#[derive(Clone, Debug)]
pub struct MovedAside {
    /// The dispatch for whose sake it was moved; another name where there is none.
    pub id: String,
    pub from: PathBuf,
    pub to: PathBuf,
}

/// Moves aside that nobody has told of yet. Cheap to share.
#[derive(Clone, Debug, Default)]
pub(in crate::effects::store) struct Asides(Arc<Mutex<Vec<MovedAside>>>);

impl Store {
    /// What was moved aside since the last call, to be told.
    pub fn take_moved_aside(&self) -> Vec<MovedAside> {
        std::mem::take(&mut *self.asides.lock())
    }
}

impl Asides {
    /// [`files::replace`], whatever stands there.
    pub fn replace(
        &self,
        dir: &Path,
        name: &str,
        id: &str,
        bytes: &[u8],
        durable: Durable,
    ) -> Result<()> {
        let replaced = files::replace(dir, name, bytes, durable);
        let Err(e) = &replaced else { return replaced };
        let mut folders = vec![files::temporary(dir, name), dir.join(name)];
        // A rename replaces anything else.
        folders.retain(|path| identity::of_path(path).is_ok_and(|s| s.kind == Kind::Directory));
        let moved = folders.iter().filter(|path| self.makes_way(path, id, e)).count();
        if moved > 0 { files::replace(dir, name, bytes, durable) } else { replaced }
    }

    /// A folder that is ours alone and empty, whatever stands there.
    pub fn make_dir_anew(&self, path: &Path, id: &str) -> Result<()> {
        match files::make_dir_anew(path) {
            Err(e) if self.makes_way(path, id, &e) => files::make_dir_anew(path),
            made => made,
        }
    }

    /// Moves a folder or a file to a name that must be its own.
    pub fn rename_over(&self, from: &Path, to: &Path, id: &str) -> Result<()> {
        match files::rename(from, to).at("put in place", to) {
            Err(e) if self.makes_way(to, id, &e) => files::rename(from, to).at("put in place", to),
            renamed => renamed,
        }
    }

    /// Whether the error may be due to what stands under that name, and that has been moved.
    pub fn makes_way(&self, path: &Path, id: &str, e: &Error) -> bool {
        let may_be_due = !e.fault().is_everywhere() && e.kind() != io::ErrorKind::NotFound;
        may_be_due && identity::of_path(path).is_ok() && self.move_aside(path, id)
    }

    /// True: what stood there has another name now.
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
