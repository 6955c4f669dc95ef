//! Finds out which files were uncommitted before a session. It looks only after the session,
//! because nothing may stand in the way of a start.
//!
//! A file was changed before the session if git lists it as changed now, or the session committed
//! it, and both of its times of change are from before the session: a session can set a file's time
//! of modification, but not that of its last change of state. A file that the session changed again
//! is not counted, so that the number says "at least". No file is opened.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// At most this many files are looked at.
const LOOKS_MAX: usize = 10_000;

#[derive(Debug, PartialEq, Eq)]
pub(super) struct DirtyFiles {
    /// How many files were dirty before the session.
    pub before: u64,
    /// How many of those are in the session's commits.
    pub committed: u64,
}

/// What git printed.
pub(super) struct Answers<'a> {
    /// The output of `status --porcelain=v1 --no-renames -z`.
    pub status: &'a [u8],
    /// What the session's commits changed, as `diff-tree --name-status -z` prints it.
    pub committed: &'a [u8],
}

/// Looks at the files below `root`. What has changed since `since_ms` may be the session's work.
pub(super) fn look(root: &Path, answers: &Answers, since_ms: i64, timeout: Duration) -> DirtyFiles {
    let mut looker = Looker { root, since_ms, left: LOOKS_MAX, until: Instant::now() + timeout };
    let listed = entries(answers.status);
    let committed = committed(answers.committed);
    let all = listed.iter().chain(&committed);
    // A file that a session took out of the index, or no longer ignores, was there and not dirty.
    let is_rule = |path: &[u8]| path == b".gitignore" || path.ends_with(b"/.gitignore");
    let rules: Vec<&[u8]> = all.map(|entry| entry.path).filter(|path| is_rule(path)).collect();
    let rules_changed = rules.into_iter().any(|path| !looker.is_old(&looker.path(path)));
    let taken_out: HashSet<&[u8]> =
        listed.iter().filter(|e| e.code[0] == b'D').map(|e| e.path).collect();
    let mut dirty: HashSet<&[u8]> = HashSet::new();
    for entry in &listed {
        let was_there = entry.is_untracked() && (rules_changed || taken_out.contains(entry.path));
        if !was_there && looker.was_dirty(entry) {
            dirty.insert(entry.path);
        }
    }
    let mut taken_along: HashSet<&[u8]> = HashSet::new();
    for entry in &committed {
        let was_there = entry.is_new() && rules_changed;
        if !was_there && looker.was_dirty(entry) {
            taken_along.insert(entry.path);
        }
    }
    DirtyFiles {
        before: dirty.union(&taken_along).count() as u64,
        committed: taken_along.len() as u64,
    }
}

struct Entry<'a> {
    /// The state in the index, then that in the working tree. For a commit both are the same
    /// letter.
    code: [u8; 2],
    path: &'a [u8],
}

impl Entry<'_> {
    fn is_untracked(&self) -> bool {
        self.code == *b"??"
    }

    fn is_new(&self) -> bool {
        self.code[0] == b'A'
    }

    fn is_gone(&self) -> bool {
        self.code[1] == b'D' || self.code == *b"D "
    }
}

/// Splits `XY path\0…`.
fn entries(status: &[u8]) -> Vec<Entry<'_>> {
    let entry = |line: &'_ [u8]| Some((*line.first_chunk::<2>()?, line.len()));
    let lines = status.split(|byte| *byte == 0);
    lines
        .filter_map(|line| {
            let (code, length) = entry(line)?;
            (length > 3 && line[2] == b' ').then(|| Entry { code, path: &line[3..] })
        })
        .collect()
}

/// Splits `X\0path\0…`.
fn committed(changes: &[u8]) -> Vec<Entry<'_>> {
    let mut words = changes.split(|byte| *byte == 0);
    let mut entries = Vec::new();
    while let (Some([code]), Some(path)) = (words.next(), words.next()) {
        entries.push(Entry { code: [*code; 2], path });
    }
    entries
}

struct Looker<'a> {
    root: &'a Path,
    since_ms: i64,
    left: usize,
    until: Instant,
}

impl Looker<'_> {
    fn path(&self, name: &[u8]) -> PathBuf {
        self.root.join(OsStr::from_bytes(name))
    }

    fn was_dirty(&mut self, entry: &Entry) -> bool {
        let path = self.path(entry.path);
        if entry.is_gone() {
            return self.was_gone(&path);
        }
        let Some(meta) = self.metadata(&path) else { return false };
        match (meta.is_dir(), entry.is_untracked()) {
            (true, true) => self.has_old_file(&path),
            // This is a submodule: what changed in it has times of its own.
            (true, false) => false,
            (false, _) => self.is_before(&meta),
        }
    }

    /// Whether the file was gone already. A folder changes when something in it is removed.
    fn was_gone(&mut self, path: &Path) -> bool {
        if self.metadata(path).is_some() {
            return false;
        }
        let folders = path.ancestors().skip(1).take_while(|folder| folder.starts_with(self.root));
        let folders: Vec<&Path> = folders.collect();
        let folder = folders.into_iter().find_map(|folder| self.metadata(folder));
        folder.is_some_and(|meta| self.is_before(&meta))
    }

    fn has_old_file(&mut self, folder: &Path) -> bool {
        let mut folders = vec![folder.to_path_buf()];
        while let Some(folder) = folders.pop() {
            let Ok(listed) = fs::read_dir(&folder) else { continue };
            for entry in listed.flatten() {
                if self.left == 0 {
                    return false;
                }
                let path = entry.path();
                let Some(meta) = self.metadata(&path) else { continue };
                if meta.is_dir() {
                    folders.push(path);
                } else if self.is_before(&meta) {
                    return true;
                }
            }
        }
        false
    }

    fn is_old(&mut self, path: &Path) -> bool {
        self.metadata(path).is_some_and(|meta| self.is_before(&meta))
    }

    /// `None` is also given once the limit on looks or on time is reached.
    fn metadata(&mut self, path: &Path) -> Option<Metadata> {
        if self.left == 0 || Instant::now() > self.until {
            self.left = 0;
            return None;
        }
        self.left -= 1;
        fs::symlink_metadata(path).ok()
    }

    fn is_before(&self, meta: &Metadata) -> bool {
        let ms = |seconds: i64, nanos: i64| seconds.saturating_mul(1000) + nanos / 1_000_000;
        ms(meta.mtime(), meta.mtime_nsec()) < self.since_ms
            && ms(meta.ctime(), meta.ctime_nsec()) < self.since_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_taken_apart() {
        let status = b" M a b\0?? new/\0D  gone\0R\0\0x";
        let read: Vec<_> = entries(status).iter().map(|e| (e.code, e.path.to_vec())).collect();
        assert_eq!(
            read,
            [(*b" M", b"a b".to_vec()), (*b"??", b"new/".to_vec()), (*b"D ", b"gone".to_vec())]
        );
        let changes = b"M\0a b\0D\0gone\0";
        let read: Vec<_> = committed(changes).iter().map(|e| (e.code, e.path.to_vec())).collect();
        assert_eq!(read, [(*b"MM", b"a b".to_vec()), (*b"DD", b"gone".to_vec())]);
        assert!(entries(b"").is_empty() && committed(b"").is_empty() && committed(b"x").is_empty());
    }
}
