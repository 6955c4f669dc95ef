//! The archive of finished and rejected work: `finished/`, `rejected/`, `spent/`, `tasks/` and
//! `outbox/dead/` are looked through in small pieces and thinned out. Nothing else is touched here.
//!
//! A finished dispatch loses its logs long before its folder: while the folder stands, the id is
//! taken and the report can be read. A folder is renamed before it is removed, so that nobody ever
//! sees half of one.

use std::ffi::OsString;
use std::fs::{Metadata, ReadDir};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Store;
use super::claims::accept::read_accepted;
use super::claims::publish::BUILDING;
use super::disk::files::{self, Durable, Record};
use super::disk::{identity, tree};
use crate::effects::clock;
use crate::effects::error::{At, Result};
use crate::pure::attempt::record::Accepted;
use crate::pure::dispatch::DispatchId;
use crate::pure::upkeep::retention::Kept;

/// A folder with this prefix is being removed.
const GOING: &str = ".tmp.gone.";
/// A folder that is still being built at this age, in milliseconds, was left by a crash.
const BUILT_WITHIN_MS: i64 = 60 * 60 * 1000;
/// The unit of `st_blocks`, whatever block size the file system itself has.
const STAT_BLOCK_BYTES: u64 = 512;
/// How many files of one folder are measured; how large the rest is does not matter to anybody.
const COUNTED_FILES_MAX: usize = 1000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shelf {
    Finished,
    Rejected,
    /// The ids of signed dispatches that are kept taken.
    Spent,
    /// Which dispatch had which task of Clawvisor.
    Tasks,
    /// Callbacks that were given up.
    DeadCallbacks,
}

/// A walk through one of the shelves, which can be interrupted.
pub struct Walk {
    shelf: Shelf,
    path: PathBuf,
    entries: ReadDir,
}

impl Store {
    /// How many entries the shelf has gained since the start.
    pub fn came_to(&self, shelf: Shelf) -> u64 {
        match shelf {
            Shelf::Finished => self.finished_count.load(Ordering::Relaxed),
            Shelf::Rejected => self.rejected_count.load(Ordering::Relaxed),
            Shelf::Spent | Shelf::Tasks | Shelf::DeadCallbacks => 0,
        }
    }

    /// Whether there is such a shelf.
    pub fn has(&self, shelf: Shelf) -> bool {
        match shelf {
            Shelf::Finished | Shelf::Rejected => true,
            Shelf::Spent => self.spent.is_there(),
            Shelf::Tasks => self.tasks.is_there(),
            Shelf::DeadCallbacks => self.dead_callbacks.exists(),
        }
    }

    pub fn walk(&self, shelf: Shelf) -> Result<Walk> {
        let path = self.shelf(shelf).to_path_buf();
        let entries = files::list(&path)?;
        Ok(Walk { shelf, path, entries })
    }

    fn shelf(&self, shelf: Shelf) -> &Path {
        match shelf {
            Shelf::Finished => &self.finished,
            Shelf::Rejected => &self.rejected,
            Shelf::Spent => &self.spent.dir,
            Shelf::Tasks => &self.tasks.dir,
            Shelf::DeadCallbacks => &self.dead_callbacks,
        }
    }

    /// Removes the prompts, streams and records of a finished dispatch's attempts. The report
    /// stays, and so does what keeps the id taken.
    pub fn remove_logs(&self, name: &str) -> Result<()> {
        let dir = self.finished.join(name);
        let record = dir.join("accepted.json");
        match files::read_record::<Accepted>(&record)? {
            Record::Read(_) => files::sync(&record)?,
            // A power cut may have left only an attempt's record to know the dispatch by.
            Record::Absent | Record::Unreadable => {
                if let Some(accepted) = read_accepted(&dir)? {
                    let bytes = files::to_exact_json(&accepted, &record)?;
                    files::replace(&dir, "accepted.json", &bytes, Durable::Yes)?;
                }
            }
        }
        for entry in files::list(&dir)? {
            let name = entry.at("read", &dir)?.file_name();
            if is_attempt(&name) {
                tree::remove_tree(&dir.join(name))?;
            }
        }
        Ok(())
    }

    /// Removes an entry as a whole.
    pub fn remove_past(&self, shelf: Shelf, name: &str) -> Result<()> {
        match shelf {
            Shelf::Finished => self.note_spent(name)?,
            Shelf::Rejected => {}
            Shelf::Spent | Shelf::Tasks | Shelf::DeadCallbacks => {
                return files::remove(&self.shelf(shelf).join(name));
            }
        }
        let dir = self.shelf(shelf).join(name);
        let going = self.shelf(shelf).join(format!("{GOING}{name}"));
        tree::remove_tree(&going)?;
        match files::rename(&dir, &going) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            renamed => renamed.at("remove", &dir)?,
        }
        tree::remove_tree(&going)
    }
}

/// Yields each entry with the bytes of its logs, or of its whole folder if it was rejected, and
/// passes over what is not ours.
impl Iterator for Walk {
    type Item = Result<Kept>;

    fn next(&mut self) -> Option<Result<Kept>> {
        loop {
            let name = match self.entries.next()? {
                Ok(entry) => entry.file_name(),
                Err(e) => return Some(Err(e).at("read", &self.path)),
            };
            let Some(name) = name.to_str() else { continue };
            if name.starts_with(BUILDING) && !self.is_left_behind(name) {
                continue;
            }
            if name.starts_with(GOING) || name.starts_with(BUILDING) {
                if let Err(e) = tree::remove_tree(&self.path.join(name)) {
                    return Some(Err(e));
                }
            } else if let Some(kept) = self.look_at(name) {
                return Some(Ok(kept));
            }
        }
    }
}

impl Walk {
    /// Whether a folder has been under construction for longer than anybody builds.
    fn is_left_behind(&self, name: &str) -> bool {
        let stamp = identity::of_path(&self.path.join(name));
        stamp.is_ok_and(|s| clock::unix_ms() - s.mtime_ns / 1_000_000 > BUILT_WITHIN_MS)
    }

    fn look_at(&self, name: &str) -> Option<Kept> {
        let dir = self.path.join(name);
        let (dated, bytes) = match self.shelf {
            Shelf::Finished => {
                DispatchId::parse(name)?;
                (dir.join("report.json"), log_bytes(&dir))
            }
            Shelf::Rejected => (dir.join("reason.json"), tree_bytes(&dir)),
            Shelf::Spent | Shelf::Tasks => (dir.clone(), 0),
            Shelf::DeadCallbacks => {
                DispatchId::parse(name.strip_suffix(".json")?)?;
                (dir.clone(), 0)
            }
        };
        let stamp = identity::of_path(&dated).or_else(|_| identity::of_path(&dir)).ok()?;
        let age_ms = clock::unix_ms() - stamp.mtime_ns / 1_000_000;
        let age = Duration::from_millis(age_ms.max(0) as u64);
        Some(Kept { age, name: name.into(), bytes })
    }
}

fn is_attempt(name: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(b"attempt-")
}

fn log_bytes(dir: &Path) -> u64 {
    let Ok(entries) = files::list(dir) else { return 0 };
    let attempts = entries.flatten().filter(|entry| is_attempt(&entry.file_name()));
    attempts.map(|entry| tree_bytes(&entry.path())).sum()
}

/// The disk space that everything in a folder takes up.
fn tree_bytes(dir: &Path) -> u64 {
    let (mut bytes, mut files, mut folders) = (0, 0, vec![dir.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = files::list(&folder) else { continue };
        for entry in entries.flatten() {
            // This is the metadata of the entry itself, not of what a link leads to.
            let Ok(meta) = entry.metadata() else { continue };
            bytes += on_disk(&meta);
            files += 1;
            if files >= COUNTED_FILES_MAX {
                return bytes;
            }
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

fn on_disk(meta: &Metadata) -> u64 {
    // A file system may keep a small file in no block at all.
    (meta.blocks() * STAT_BLOCK_BYTES).max(1)
}
