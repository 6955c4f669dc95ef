//! Which files of the drop zone are dealt with, and whose they are.
//!
//! A dispatch that waits may have several names. One that has none any more is withdrawn, and one
//! whose file holds something else by now is detached from it. [`super::inbox::Inbox`] keeps the
//! names here and those in the ledger in step.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};

use crate::effects::store::{InboxName, Stamp};
use crate::pure::dispatch::DispatchId;

/// Files of the drop zone that are still there, as far as is known.
#[derive(Default)]
pub(super) struct Names(HashMap<OsString, KnownFile>);

#[derive(Default)]
struct KnownFile {
    /// The file's stamp when it was last dealt with. `None` if it has to be looked at.
    seen: Option<Stamp>,
    /// The open dispatch that has these bytes.
    of: Option<DispatchId>,
}

impl Names {
    /// Whether a file has been dealt with and nothing says that it has changed since.
    pub fn is_seen(&self, name: &OsStr, stamp: &Stamp) -> bool {
        self.seen(name).is_some_and(|seen| seen.is_unchanged(stamp))
    }

    /// Whether a file with that inode has been dealt with, for whoever does not look closer.
    pub fn has_inode(&self, name: &OsStr, inode: u64) -> bool {
        self.seen(name).is_some_and(|seen| seen.identity.ino == inode)
    }

    pub fn seen(&self, name: &OsStr) -> Option<&Stamp> {
        self.0.get(name)?.seen.as_ref()
    }

    pub fn of(&self, name: &OsStr) -> Option<&DispatchId> {
        self.0.get(name)?.of.as_ref()
    }

    /// A name for a claim to take along.
    pub fn inbox_name(&self, name: &OsStr) -> InboxName {
        InboxName { name: name.into(), seen: self.seen(name).copied() }
    }

    /// A file has been dealt with. Whose it is does not change.
    pub fn note(&mut self, name: OsString, stamp: Stamp) {
        self.0.entry(name).or_default().seen = Some(stamp);
    }

    /// A file has to be looked at again.
    pub fn doubt(&mut self, name: &OsStr) {
        if let Some(known) = self.0.get_mut(name) {
            known.seen = None;
        }
    }

    /// Nothing is known of that name any more. Gives whose it was.
    pub fn forget(&mut self, name: &OsStr) -> Option<DispatchId> {
        self.0.remove(name)?.of
    }

    /// The file has the bytes of that dispatch. Gives who had the name before.
    pub fn give(
        &mut self,
        name: OsString,
        seen: Option<Stamp>,
        id: &DispatchId,
    ) -> Option<DispatchId> {
        self.0.insert(name, KnownFile { seen, of: Some(id.clone()) })?.of
    }
}
