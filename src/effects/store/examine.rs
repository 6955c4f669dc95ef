//! Looks at what is ours without changing it, for `doctor`: which folders are there and whose they
//! are, what waits to be delivered, what was rejected, which stamps are ahead of the clock.
//!
//! Must not mend anything, nor judge: the daemon does the one at its start, and `pure` the other.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::Store;
use super::disk::files;
use super::ownership::me;
use crate::effects::error::Result;
use crate::pure::dispatch::DispatchId;
use crate::pure::upkeep::ownership::{Guarded, Verdict, judge};

/// A folder of ours, or what stands in its place.
#[derive(Debug)]
pub struct FolderState {
    pub path: PathBuf,
    /// `None`: the daemon can work with it.
    pub flaw: Option<FolderFlaw>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FolderFlaw {
    Missing,
    NoFolder,
    NotWritable,
}

impl Store {
    /// `$GSTACK_HOME` and every folder of ours in it.
    pub fn look_at_folders(&self) -> Vec<FolderState> {
        let all = [self.home.as_path()].into_iter().chain(self.folders());
        all.map(|path| FolderState { path: path.to_path_buf(), flaw: flaw_of(path) }).collect()
    }

    /// What of ours others can reach, and what belongs to others: each with its mode and what to
    /// type. Folders that the settings open to others are left out.
    pub fn look_at_rights(&self, is_shared: bool) -> Vec<(PathBuf, u32, Verdict)> {
        let above = self.home.ancestors().skip(1).map(|dir| (dir.to_path_buf(), Guarded::Above));
        let shared = [self.dispatch.as_path(), self.completed.path()];
        let private = self.folders().into_iter().chain([self.keys.as_path()]);
        let private = private.filter(|dir| !is_shared || !shared.contains(dir));
        let private = private.map(|dir| (dir.to_path_buf(), Guarded::Private));
        let config = (self.config_path(), Guarded::Config);
        let keys = fs::read_dir(&self.keys).into_iter().flatten().flatten();
        let keys =
            keys.map(|key| key.path()).filter(|key| key.extension().is_some_and(|e| e == "key"));
        let keys = keys.map(|key| (key, Guarded::Secret));
        let home = (self.home.clone(), Guarded::Home);
        let all = above.chain([home]).chain(private).chain([config]).chain(keys);
        let looked_at = all.filter_map(|(path, place)| {
            let meta = fs::metadata(&path).ok()?;
            let verdict = judge(place, meta.uid(), meta.mode(), me());
            (verdict != Verdict::Fine).then_some((path, meta.mode() & 0o7777, verdict))
        });
        looked_at.collect()
    }

    /// The callbacks that were tried and are not delivered, and how many were given up.
    pub fn look_at_callbacks(&self) -> Result<(Vec<DispatchId>, usize)> {
        let waiting = match self.list_outbox() {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            listed => listed?,
        };
        let is_tried = |id: &DispatchId| {
            self.read_outbox(id).is_ok_and(|entry| entry.is_some_and(|entry| entry.tries > 0))
        };
        let tried = waiting.into_iter().filter(is_tried).collect();
        Ok((tried, self.count_dead_callbacks().unwrap_or_default()))
    }

    /// How many files were rejected since then (milliseconds since 1970), and the folder of the
    /// last one.
    pub fn look_at_rejected(&self, since_ms: i64) -> (usize, Option<PathBuf>) {
        let Ok(entries) = files::list(&self.rejected) else { return (0, None) };
        let since = |dir: &Path| fs::metadata(dir).is_ok_and(|m| m.mtime() * 1000 >= since_ms);
        let dirs = entries.flatten().map(|entry| entry.path());
        let mut recent: Vec<PathBuf> = dirs.filter(|dir| since(dir)).collect();
        recent.sort();
        (recent.len(), recent.pop())
    }

    /// How far ahead of the clock the newest stamp of ours is, in milliseconds, and whose.
    pub fn look_at_stamps(&self, now_ms: i64) -> Option<(i64, PathBuf)> {
        let beat = self.dispatch.join(".daemon-heartbeat");
        let said = self.heartbeat_at_ms().map(|at_ms| (at_ms - now_ms, beat.clone()));
        let paths = [beat, self.dispatch.join("audit.jsonl"), self.finished.clone()];
        let written = paths.into_iter().filter_map(|path| {
            let written_ms = fs::metadata(&path).ok()?.mtime() * 1000;
            Some((written_ms - now_ms, path))
        });
        said.into_iter().chain(written).max_by_key(|(ahead_ms, _)| *ahead_ms)
    }
}

fn flaw_of(path: &Path) -> Option<FolderFlaw> {
    match fs::metadata(path) {
        Err(_) => Some(FolderFlaw::Missing),
        Ok(meta) if !meta.is_dir() => Some(FolderFlaw::NoFolder),
        Ok(_) => {
            let is_writable = access(path, Access::WRITE_OK | Access::EXEC_OK).is_ok();
            (!is_writable).then_some(FolderFlaw::NotWritable)
        }
    }
}
