//! Which files of the drop zone are dealt with, and whose they are. A dispatch that waits may have
//! several names; one that has none any more is withdrawn, and one whose file holds something else
//! by now is detached from it.
//!
//! Removing and renaming look alike until the whole drop zone has been looked through: so a claim
//! that comes back because its names are gone waits here for a scan that began after that. A scan
//! serves all that wait, and comes at most once a second.

use std::collections::{HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::time::{Duration, Instant};

use serde_json::json;

use super::inbox::Look;
use super::{Intake, Seq};
use crate::effects::error::Result;
use crate::effects::store::{Claim, Dropped, InboxName, Stamp};
use crate::pure::claim::hex;
use crate::pure::dispatch::DispatchId;
use crate::pure::report::{ErrorType, Status};
use crate::pure::trouble::Place;

/// Scans that look for nothing but other names are no more frequent.
const SCAN_EVERY: Duration = Duration::from_secs(1);

/// Files of the drop zone that are still there, as far as is known.
#[derive(Default)]
pub(super) struct Names(HashMap<OsString, Known>);

#[derive(Default)]
struct Known {
    /// When it was last dealt with. `None`: it has to be looked at.
    seen: Option<Stamp>,
    /// The open dispatch that has these bytes.
    of: Option<DispatchId>,
}

impl Names {
    /// It has been dealt with, and nothing says that it has changed since.
    pub fn is_seen(&self, name: &OsStr, stamp: &Stamp) -> bool {
        self.seen(name).is_some_and(|seen| seen.is_unchanged(stamp))
    }

    /// The same for who does not look closer.
    pub fn has_inode(&self, name: &OsStr, inode: u64) -> bool {
        self.seen(name).is_some_and(|seen| seen.identity.ino == inode)
    }

    pub fn seen(&self, name: &OsStr) -> Option<&Stamp> {
        self.0.get(name)?.seen.as_ref()
    }

    pub fn of(&self, name: &OsStr) -> Option<&DispatchId> {
        self.0.get(name)?.of.as_ref()
    }

    /// It has been dealt with. Whose it is does not change.
    pub fn note(&mut self, name: OsString, stamp: Stamp) {
        self.0.entry(name).or_default().seen = Some(stamp);
    }

    /// It has to be looked at again.
    pub fn doubt(&mut self, name: &OsStr) {
        if let Some(known) = self.0.get_mut(name) {
            known.seen = None;
        }
    }

    pub fn forget(&mut self, name: &OsStr) -> Option<DispatchId> {
        self.0.remove(name)?.of
    }

    /// Gives who had it before.
    fn give(&mut self, name: OsString, seen: Option<Stamp>, id: &DispatchId) -> Option<DispatchId> {
        self.0.insert(name, Known { seen, of: Some(id.clone()) })?.of
    }
}

/// Claims that came back because their names are gone, in order of that.
#[derive(Default)]
pub(super) struct Nameless {
    /// With how many scans there had been by then.
    claims: VecDeque<(u64, Claim)>,
    scans: u64,
    last_scan: Option<Instant>,
}

impl Nameless {
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    fn begin_scan(&mut self) {
        self.last_scan = Some(Instant::now());
    }

    /// The names in the drop zone have been read.
    pub fn scanned(&mut self) {
        self.scans += 1;
        self.begin_scan();
    }

    pub fn next_scan(&self) -> Option<Instant> {
        let (scans, _) = self.claims.back()?;
        let is_wanted = *scans == self.scans;
        is_wanted.then(|| self.last_scan.map_or_else(Instant::now, |last| last + SCAN_EVERY))
    }

    fn add(&mut self, claim: Claim) {
        self.claims.push_back((self.scans, claim));
    }

    /// The first for which there has been a scan since.
    fn take_looked_for(&mut self) -> Option<Claim> {
        let (scans, _) = self.claims.front()?;
        if *scans == self.scans { None } else { self.claims.pop_front().map(|(_, claim)| claim) }
    }

    pub fn take(&mut self, seq: Seq) -> Option<Claim> {
        let at = self.claims.iter().position(|(_, claim)| claim.seq == seq)?;
        self.claims.remove(at).map(|(_, claim)| claim)
    }
}

impl Intake<'_> {
    /// The file under that name has the bytes of that open dispatch.
    pub(super) fn belongs(&mut self, name: &OsStr, seen: Option<Stamp>, id: &DispatchId) {
        let before = self.names.give(name.into(), seen, id);
        if let Some(before) = before.filter(|before| before != id)
            && let Some(open) = self.open.get_mut(&before)
        {
            // Two that an earlier daemon knew by one name: nobody can tell that this one was
            // withdrawn.
            open.names.retain(|other| other != name);
            open.is_detached = true;
        }
        if let Some(open) = self.open.get_mut(id)
            && !open.names.iter().any(|other| other == name)
        {
            open.names.push(name.into());
        }
    }

    /// Nothing has that name any more.
    pub(super) fn name_is_gone(&mut self, name: &OsStr) {
        if let Some(id) = self.names.forget(name)
            && let Some(open) = self.open.get_mut(&id)
        {
            open.names.retain(|other| other != name);
        }
    }

    /// For the claim that is handed on: where its file lies.
    pub(super) fn tell_names(&self, claim: &mut Claim) {
        let Some(open) = self.open.get(&claim.id) else { return };
        let name = |name: &OsString| InboxName {
            name: name.clone(),
            seen: self.names.seen(name).copied(),
        };
        claim.names = open.names.iter().map(name).collect();
        claim.is_detached = open.is_detached;
    }

    /// Whether a file that has changed still is what its dispatch accepted.
    pub(super) fn is_still_its_file(&self, dropped: &Dropped) -> bool {
        let owner = self.names.of(&dropped.name).and_then(|id| self.open.get(id));
        owner.is_some_and(|open| open.sha256.is_none_or(|known| hex(&known) == dropped.sha256))
    }

    /// Before something else under the name of an open dispatch is judged: what was accepted under
    /// it rests on that file no longer. A crash before this is done finds the claim and the other
    /// bytes, and comes here again.
    pub(super) fn detach(&mut self, name: &OsStr) -> Result<()> {
        let Some(id) = self.names.of(name).cloned() else { return Ok(()) };
        let is_kept = self.context.store.detach(&id)?;
        self.names.forget(name);
        let Some(open) = self.open.get_mut(&id) else { return Ok(()) };
        open.names.retain(|other| other != name);
        open.is_detached = true;
        if is_kept {
            let file = json!(name.to_string_lossy());
            self.context.audit.record("detached", id.as_str(), &[("file", file)]);
            let name = name.display();
            log::info!("{name} was written anew: {id} goes on as accepted, the new file is judged");
        }
        Ok(())
    }

    /// The bytes of an open dispatch under another name: renamed, copied, delivered twice. While it
    /// waits that is a name of its, and so it is while it runs and has no other; else it has served
    /// its purpose.
    pub(super) fn same_bytes_again(&mut self, dropped: Dropped, id: &DispatchId) {
        self.audit_redelivered(&dropped.name, id);
        let has_begun = self.active.get(id).is_some_and(|running| running.cancel.has_begun());
        if has_begun && self.has_another_name(id, &dropped.name) {
            let store = &self.context.store;
            // The other one may go at any moment, and a power cut take the acceptance: then this
            // one was the last.
            let kept = store.keep_acceptance(id);
            if let Err(e) = kept.and_then(|()| store.remove_redelivered(&dropped, id)) {
                self.not_taken(&dropped, &e);
            }
            return;
        }
        log::info!("{} is another name of {id}", dropped.name.display());
        self.belongs(&dropped.name, Some(dropped.stamp), id);
    }

    fn has_another_name(&self, id: &DispatchId, name: &OsStr) -> bool {
        let stands = |other: &OsString| {
            let stamp = self.context.store.stamp_inbox(other);
            matches!(stamp, Ok(Some(stamp)) if self.names.is_seen(other, &stamp))
        };
        let names = self.open.get(id).map(|open| open.names.as_slice()).unwrap_or_default();
        names.iter().any(|other| other != name && stands(other))
    }

    pub(super) fn audit_redelivered(&self, name: &OsStr, id: &DispatchId) {
        let file = json!(name.to_string_lossy());
        self.context.audit.record("redelivered", id.as_str(), &[("file", file)]);
    }

    /// It is answered, or no acceptance after all. Mostly its files are gone by now; something else
    /// may stand there.
    pub(super) fn look_again_at(&mut self, names: impl IntoIterator<Item = OsString>) {
        for name in names {
            self.names.forget(&name);
            if !matches!(self.context.store.stamp_inbox(&name), Ok(None)) {
                self.backlog.push_back(name);
            }
        }
    }

    // ----------------------------------------------------------------------------------- withdrawn

    /// A worker found none of its names: renamed or removed, a scan will tell. Its names are looked
    /// at first.
    pub(super) fn nameless(&mut self, mut claim: Claim) {
        let id = claim.id.clone();
        self.holds.gone(&id);
        let running = self.active.remove(&id);
        self.queue.release(&claim.lane);
        for InboxName { name, .. } in std::mem::take(&mut claim.names) {
            self.names.doubt(&name);
            self.backlog.push_back(name);
        }
        self.in_hand_bytes += claim.contents.as_ref().map_or(0, |contents| contents.bytes.len());
        self.nameless.add(claim);
        if running.is_some_and(|running| running.cancel.is_asked()) {
            self.cancel(&id);
        }
    }

    /// Reads the names of the drop zone, for those that lost theirs.
    pub(super) fn look_for_names(&mut self) {
        self.nameless.begin_scan();
        if let Err(e) = self.scan(Look::ForNewNames) {
            self.inbox_failed(Place::Inbox, &e);
        }
    }

    /// Everything that the last scan found has been looked at: what becomes of one claim that
    /// waited for that. False: none did.
    pub(super) fn settle_nameless(&mut self) -> bool {
        let Some(claim) = self.nameless.take_looked_for() else { return false };
        let Some(open) = self.open.get(&claim.id) else { return true };
        let is_known = |name: &OsString| self.names.seen(name).is_some();
        if open.is_detached || open.names.iter().any(is_known) {
            self.wait_again(claim);
            return true;
        }
        let (id, is_in_doubt) = (claim.id.clone(), !open.names.is_empty());
        // Where one of its names stands with something that is still being written, the next look
        // tells.
        self.nameless.add(claim);
        if !is_in_doubt {
            self.withdraw(&id);
        }
        true
    }

    fn withdraw(&mut self, id: &DispatchId) {
        let Some((claim, contents, last)) = self.take_out(id) else { return };
        // A directory that was deleted and made again withdraws nothing; and not knowing is no
        // answer.
        let is_same = self.context.store.is_drop_zone(&contents.accepted.inbox_dir);
        if !matches!(is_same, Ok(true)) {
            return self.recall(claim);
        }
        self.context.audit.record("withdrawn", id.as_str(), &[]);
        let error = "withdrawn: its file was removed before it ran";
        self.answer_now(claim, contents, last, (Status::Cancelled, ErrorType::Cancelled, error));
    }

    /// In its old place.
    fn wait_again(&mut self, claim: Claim) {
        if matches!(self.context.store.last_attempt(&claim.id), Ok(None)) {
            self.limit_wait(&claim);
        }
        self.queue.push(claim.seq, &claim.lane.clone(), claim.agent, claim);
    }
}
