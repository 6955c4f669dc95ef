//! What is known of the drop zone: which names are to be looked at, which files are still being
//! written, which have been dealt with and could not be moved.
//!
//! A file is dealt with once, whatever events there were: it is known until it is gone, and looked
//! at again only when it has changed. This module judges no content; `accept` sees what a file
//! holds.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::time::Instant;

use super::halt::Halt;
use super::ignored::Ignored;
use super::ledger::Ledger;
use super::names::Names;
use super::settling::Settling;
use crate::effects::error::{Error, Result};
use crate::effects::store::{Dropped, Room, Stamp, ignored_in_drop_zone, is_inbox_name};
use crate::pure::audit_event::AuditEvent;
use crate::pure::dispatch::DispatchId;
use crate::pure::text::hex::hex;
use crate::pure::upkeep::health::Subsystem;
use crate::threads::shared::context::Context;

pub(super) struct Inbox<'c> {
    context: &'c Context,
    /// Names to look at, in order.
    pub backlog: VecDeque<OsString>,
    /// Files that have been dealt with and are still there.
    pub names: Names,
    /// Those of them that should have been moved away, and could not.
    unmoved: Vec<OsString>,
    pub settling: Settling,
    pub ignored: Ignored<'c>,
    /// When the next rescan is due.
    pub next_scan: Instant,
}

/// How closely a scan looks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ScanDepth {
    /// The scan also looks whether known files have changed, since events may be missing.
    KnownFilesToo,
    NewNames,
}

impl<'c> Inbox<'c> {
    pub fn new(context: &'c Context) -> Inbox<'c> {
        Inbox {
            context,
            backlog: VecDeque::new(),
            names: Names::default(),
            unmoved: Vec::new(),
            settling: Settling::default(),
            ignored: Ignored::new(context),
            next_scan: Instant::now(),
        }
    }

    /// Asks for a rescan.
    pub fn scan_soon(&mut self) {
        self.next_scan = Instant::now();
    }

    /// Moves names that may have settled to the backlog.
    pub fn take_settled(&mut self) {
        self.settling.take_due(&mut self.backlog);
    }

    /// Puts every name that is not known into the backlog, the oldest file first.
    pub fn scan(&mut self, depth: ScanDepth) -> Result<()> {
        for name in self.unmoved.drain(..) {
            self.names.doubt(&name);
        }
        let (mut new, mut ignored) = (Vec::new(), Vec::new());
        let (store, names) = (&self.context.store, &self.names);
        let stamp = |name: &OsString| store.stamp_inbox(name).ok().flatten();
        store.scan_drop_zone(&mut |name, inode| {
            if !is_inbox_name(&name) {
                ignored.extend(ignored_in_drop_zone(&name).map(|why| (name, why)));
                return;
            }
            let is_known = names.has_inode(&name, inode)
                && (depth == ScanDepth::NewNames || is_unchanged(names, &name, stamp(&name)));
            if !is_known {
                new.push(name);
            }
        })?;
        let age = |name: &OsString| stamp(name).map(|stamp| stamp.mtime_ns);
        new.sort_by_cached_key(|name| (age(name), name.clone()));
        self.backlog.extend(new);
        for (name, why) in ignored {
            self.ignored.tell_file(name, why);
        }
        Ok(())
    }

    // --------------------------------------------------------------------- what cannot be done now

    /// The disk or the machine refuses: the file is the next one again, after a pause.
    fn look_later(&mut self, halt: &mut Halt, name: &OsStr, e: &Error) {
        log::debug!("{} waits: {e}", name.display());
        self.backlog.push_front(name.into());
        halt.inbox_failed(Subsystem::Inbox, e);
    }

    /// This file alone cannot be dealt with: it must not hold up the others, and is tried again
    /// with each beat.
    pub fn leave_for_now(
        &mut self,
        halt: &mut Halt,
        name: &OsStr,
        stamp: Option<Stamp>,
        e: &Error,
    ) {
        log::warn!("{} is left for now: {e}", name.display());
        if let Some(stamp) = stamp {
            self.keep_unmoved(name.into(), stamp);
        }
        halt.inbox_failed(Subsystem::File, e);
    }

    /// What stands under that name could not be dealt with.
    pub fn not_taken(&mut self, halt: &mut Halt, name: &OsStr, stamp: Option<Stamp>, e: &Error) {
        if e.fault().is_everywhere() {
            self.look_later(halt, name, e);
        } else {
            self.leave_for_now(halt, name, stamp, e);
        }
    }

    /// The file stays where it is, and the next scan looks at it again.
    pub fn keep_unmoved(&mut self, name: OsString, stamp: Stamp) {
        self.names.note(name.clone(), stamp);
        self.unmoved.push(name);
    }

    // -------------------------------------------------------------------------------- whose it is

    /// The file under that name has the bytes of that open dispatch.
    pub fn belongs(
        &mut self,
        ledger: &mut Ledger,
        name: &OsStr,
        seen: Option<Stamp>,
        id: &DispatchId,
    ) {
        let before = self.names.give(name.into(), seen, id);
        if let Some(before) = before.filter(|before| before != id)
            && let Some(open) = ledger.open_mut(&before)
        {
            // An earlier daemon knew two dispatches by one name, so nobody can tell that this one
            // was withdrawn.
            open.detach(name);
        }
        if let Some(open) = ledger.open_mut(id)
            && !open.names.iter().any(|other| other == name)
        {
            open.names.push(name.into());
        }
    }

    /// Nothing has that name any more.
    pub fn name_is_gone(&mut self, ledger: &mut Ledger, name: &OsStr) {
        if let Some(id) = self.names.forget(name)
            && let Some(open) = ledger.open_mut(&id)
        {
            open.lose_name(name);
        }
        self.settling.forget(name);
    }

    /// Whether a file that has changed is still what its dispatch accepted.
    pub fn is_still_its_file(&self, ledger: &Ledger, dropped: &Dropped) -> bool {
        let owner = self.names.of(&dropped.name).and_then(|id| ledger.open(id));
        owner.is_some_and(|open| open.sha256.is_none_or(|known| hex(&known) == dropped.sha256))
    }

    /// Detaches an open dispatch from that name, before something else under it is judged: what was
    /// accepted under it no longer rests on that file. After a crash before this is done, the next
    /// start finds the claim and the other bytes, and comes here again.
    pub fn detach(&mut self, ledger: &mut Ledger, name: &OsStr) -> Result<()> {
        let Some(id) = self.names.of(name).cloned() else { return Ok(()) };
        let room = ledger.open(&id).map_or(Room::Active, |open| open.room);
        let is_kept = self.context.store.detach(&id, room)?;
        self.names.forget(name);
        let Some(open) = ledger.open_mut(&id) else { return Ok(()) };
        open.detach(name);
        if is_kept {
            let file = name.to_string_lossy().into_owned();
            self.context.audit.tell(id.as_str(), &AuditEvent::Detached { file });
            let name = name.display();
            log::info!("{name} was written anew: {id} goes on as accepted, the new file is judged");
        }
        Ok(())
    }

    /// Whether the dispatch has a name besides this one, under which its file stands.
    pub fn has_another_name(&self, ledger: &Ledger, id: &DispatchId, name: &OsStr) -> bool {
        let stands = |other: &OsString| {
            let stamp = self.context.store.stamp_inbox(other);
            matches!(stamp, Ok(Some(stamp)) if self.names.is_seen(other, &stamp))
        };
        let names = ledger.open(id).map(|open| open.names.as_slice()).unwrap_or_default();
        names.iter().any(|other| other != name && stands(other))
    }

    /// The dispatch that had these names is answered, or turned out to be no acceptance. Mostly its
    /// files are gone by now, but something else may stand there.
    pub fn look_again_at(&mut self, names: impl IntoIterator<Item = OsString>) {
        for name in names {
            self.names.forget(&name);
            if !matches!(self.context.store.stamp_inbox(&name), Ok(None)) {
                self.backlog.push_back(name);
            }
        }
    }

    /// A worker found no file of its claim under this name, so that the name is looked at again.
    pub fn doubt(&mut self, name: OsString) {
        self.names.doubt(&name);
        self.backlog.push_back(name);
    }
}

fn is_unchanged(names: &Names, name: &OsStr, stamp: Option<Stamp>) -> bool {
    stamp.is_none_or(|stamp| names.is_seen(name, &stamp))
}
