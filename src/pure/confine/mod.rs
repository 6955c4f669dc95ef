//! The wall around a confined session: what it may read, write and connect to, and which single
//! grants that comes to.
//!
//! Landlock (landlock(7)) grants what lies beneath a path, and has no exceptions. So what is denied
//! is left out by granting its siblings instead, all the way down to it: the folders above a denied
//! place are not granted themselves, and what is made in them later is not either. Must not look at
//! the disk: whoever asks brings the lists of the folders on that way.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Neither read nor written, whatever else is allowed. All paths here are absolute, and lead
    /// through no link.
    pub denied: Vec<PathBuf>,
    /// Written, with all beneath, but for what is denied.
    pub writable: Vec<PathBuf>,
    /// The session's own, and written although something denied lies above.
    pub own_writable: Vec<PathBuf>,
    /// The session's own, and read although something denied lies above.
    pub own_readable: Vec<PathBuf>,
    /// The TCP ports that it may connect to. `None`: all of them.
    pub connect: Option<Vec<u16>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    /// Reading, too.
    Write,
}

/// A place, with all that lies beneath it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    pub path: PathBuf,
    pub access: Access,
    /// As it was listed. `None`: the place is known by its name only.
    pub kind: Option<EntryKind>,
}

/// Something that lies in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub path: PathBuf,
    pub kind: EntryKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    Folder,
    /// It is never granted: where it leads is granted or denied by its own place.
    Link,
    Other,
}

impl Confinement {
    /// What is granted. `list` gives what lies in a folder.
    pub fn grants(&self, list: &mut dyn FnMut(&Path) -> Vec<Entry>) -> Vec<Grant> {
        let mut grants = Vec::new();
        let named = |path: &Path, access| Grant { path: path.into(), access, kind: None };
        let read = named(Path::new("/"), Access::Read);
        for grant in
            std::iter::once(read).chain(self.writable.iter().map(|at| named(at, Access::Write)))
        {
            if self.denier(&grant.path).is_none() {
                let below = beneath(self.denied.iter().map(PathBuf::as_path), &grant.path);
                self.cover(grant, &below, list, &mut grants);
            }
        }
        grants.extend(self.own_writable.iter().map(|path| named(path, Access::Write)));
        grants.extend(self.own_readable.iter().map(|path| named(path, Access::Read)));
        grants
    }

    /// Grants a place, or what lies in it and is not denied. `denied`: what of that lies in the
    /// place, so that an entry of a large folder is compared with little. The way down to something
    /// denied is as long as its path, so that this ends.
    fn cover(
        &self,
        grant: Grant,
        denied: &[&Path],
        list: &mut dyn FnMut(&Path) -> Vec<Entry>,
        grants: &mut Vec<Grant>,
    ) {
        // What is granted for writing is read too; granting it twice costs time at each start.
        let is_written = |place: &PathBuf| grant.path.starts_with(place);
        if grant.access == Access::Read && self.writable.iter().any(is_written) {
            return;
        }
        if denied.is_empty() {
            return grants.push(grant);
        }
        for Entry { path, kind } in list(&grant.path) {
            let below = beneath(denied.iter().copied(), &path);
            if below.contains(&path.as_path()) {
                continue;
            }
            let inner = Grant { path, access: grant.access, kind: Some(kind) };
            match kind {
                EntryKind::Folder | EntryKind::Other => self.cover(inner, &below, list, grants),
                EntryKind::Link => {}
            }
        }
    }

    /// The denied place that it lies in, or is.
    pub fn denier(&self, place: &Path) -> Option<&Path> {
        self.denied.iter().map(PathBuf::as_path).find(|denied| place.starts_with(denied))
    }
}

/// Those that are the place, or lie in it.
fn beneath<'p>(all: impl Iterator<Item = &'p Path>, place: &Path) -> Vec<&'p Path> {
    all.filter(|path| path.starts_with(place)).collect()
}

#[cfg(test)]
#[path = "confine_tests.rs"]
mod tests;
