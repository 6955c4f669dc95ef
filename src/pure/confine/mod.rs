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
    /// What is granted, each with all that lies beneath it. `list` gives what lies in a folder.
    pub fn grants(&self, list: &mut dyn FnMut(&Path) -> Vec<Entry>) -> Vec<(PathBuf, Access)> {
        let mut grants = Vec::new();
        self.cover(Path::new("/"), Access::Read, list, &mut grants);
        for place in &self.writable {
            self.cover(place, Access::Write, list, &mut grants);
        }
        let own = |paths: &[PathBuf], access| {
            paths.iter().map(move |path| (path.clone(), access)).collect::<Vec<_>>()
        };
        grants.extend(own(&self.own_writable, Access::Write));
        grants.extend(own(&self.own_readable, Access::Read));
        grants
    }

    /// Grants a place, or what lies in it and is not denied. The way down to something denied is
    /// as long as its path, so that this ends.
    fn cover(
        &self,
        place: &Path,
        access: Access,
        list: &mut dyn FnMut(&Path) -> Vec<Entry>,
        grants: &mut Vec<(PathBuf, Access)>,
    ) {
        if self.denier(place).is_some() {
            return;
        }
        if !self.denied.iter().any(|denied| denied.starts_with(place)) {
            return grants.push((place.to_path_buf(), access));
        }
        for Entry { path, kind } in list(place) {
            match kind {
                EntryKind::Folder => self.cover(&path, access, list, grants),
                EntryKind::Other if self.denier(&path).is_none() => grants.push((path, access)),
                EntryKind::Other | EntryKind::Link => {}
            }
        }
    }

    /// The denied place that it lies in, or is.
    pub fn denier(&self, place: &Path) -> Option<&Path> {
        self.denied.iter().map(PathBuf::as_path).find(|denied| place.starts_with(denied))
    }
}

#[cfg(test)]
#[path = "confine_tests.rs"]
mod tests;
