//! The wall around a confined session: what it may read, write and connect to, and which single
//! grants that comes to.
//!
//! Landlock (landlock(7)) grants what lies beneath a path, and has no exceptions. So what is denied
//! is left out by granting its siblings instead, all the way down to it: the folders above a denied
//! place are not granted themselves, and what is made in them later is not either. Must not look at
//! the disk: whoever asks brings the lists of the folders on that way.

use std::ffi::{OsStr, OsString};
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
    pub name: OsString,
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
        let denied = || self.denied.iter().map(PathBuf::as_path).collect();
        let root = named(Path::new("/"), Access::Read);
        cover(root, denied(), &self.writable, list, &mut grants);
        for place in &self.writable {
            cover(named(place, Access::Write), denied(), &[], list, &mut grants);
        }
        grants.extend(self.own_writable.iter().map(|path| named(path, Access::Write)));
        grants.extend(self.own_readable.iter().map(|path| named(path, Access::Read)));
        grants
    }

    /// The denied place that it lies in, or is.
    pub fn denier(&self, place: &Path) -> Option<&Path> {
        self.denied.iter().map(PathBuf::as_path).find(|denied| place.starts_with(denied))
    }
}

/// Grants a place, or what lies in it, but for what is denied. The way down to something denied is
/// as long as its path, so that this ends. Nothing is granted in `seen_to`: a grant to write is one
/// to read, and each costs time at a session's start.
fn cover(
    grant: Grant,
    denied: Vec<&Path>,
    seen_to: &[PathBuf],
    list: &mut dyn FnMut(&Path) -> Vec<Entry>,
    grants: &mut Vec<Grant>,
) {
    if denied.iter().any(|denied| grant.path.starts_with(denied)) {
        return;
    }
    // By the name that leads there, so that each entry of a large folder costs a comparison.
    let way = |denied| Some((next_name(denied, &grant.path)?, denied));
    let ways: Vec<(&OsStr, &Path)> = denied.into_iter().filter_map(way).collect();
    if ways.is_empty() {
        return grants.push(grant);
    }
    let here = seen_to.iter().filter(|place| place.parent() == Some(&grant.path));
    let seen_to_here: Vec<&OsStr> = here.filter_map(|place| place.file_name()).collect();
    for Entry { name, kind } in list(&grant.path) {
        if kind == EntryKind::Link || seen_to_here.contains(&name.as_os_str()) {
            continue;
        }
        let inner = Grant { path: grant.path.join(&name), access: grant.access, kind: Some(kind) };
        let denied = ways.iter().filter(|(way, _)| *way == name).map(|(_, denied)| *denied);
        cover(inner, denied.collect(), seen_to, list, grants);
    }
}

/// The name in the folder by which a path beneath it begins.
fn next_name<'p>(path: &'p Path, folder: &Path) -> Option<&'p OsStr> {
    Some(path.strip_prefix(folder).ok()?.components().next()?.as_os_str())
}

#[cfg(test)]
#[path = "confine_tests.rs"]
mod tests;
