//! `pending/<id>/`: accepted dispatches that wait until somebody allows them, and what a person
//! says to them: `approve-<id>` and `deny-<id>` in `control/`.
//!
//! A folder there holds what `active/<id>/` would, and comes and goes by one rename. It is durable,
//! unlike the folder of a queued dispatch: the wait may be long, and a copy that does not match its
//! digest must mean that somebody changed it. Only `control/` is asked, never the drop zone: who
//! may send must not be able to approve.

use std::path::{Path, PathBuf};

use super::claims::claim::{Claim, Room};
use super::disk::files::{self, Durable, Record};
use super::disk::identity;
use super::drop_zone::requests::Request;
use super::{Store, claims};
use crate::effects::error::{Error, Result};
use crate::pure::attempt::record::Accepted;
use crate::pure::dispatch::{DispatchId, FILE_BYTES_MAX};
use crate::pure::gate::{PendingRecord, PersonApproval};
use crate::pure::text::digest::sha256_hex;

const PENDING: &str = "pending.json";
const APPROVAL: &str = "approval.json";
/// More than anybody types.
const REQUEST_BYTES_MAX: u64 = 4096;
/// How much of a reason is kept, in characters.
const REASON_CHARS_MAX: usize = 200;

/// What a person asks about one dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The digest of the bytes that may run, and whose request it is.
    Approve { sha256: String, uid: u32 },
    /// The reason may be empty.
    Deny { reason: String },
}

/// A dispatch that waits, for a person to look at.
#[derive(Debug)]
pub struct WaitingDispatch {
    pub record: PendingRecord,
    pub accepted: Accepted,
    pub bytes: Vec<u8>,
    /// The digest of those bytes.
    pub sha256: String,
}

impl Store {
    pub(in crate::effects::store) fn pending_dir(&self, id: &DispatchId) -> PathBuf {
        self.pending.join(id.as_str())
    }

    /// Whether anything of that id stands in that room.
    pub fn is_in(&self, id: &DispatchId, room: Room) -> Result<bool> {
        Ok(identity::find(&self.dir_in(id, room))?.is_some())
    }

    pub(in crate::effects::store) fn write_pending_record(
        &self,
        dir: &Path,
        record: &PendingRecord,
    ) -> Result<()> {
        files::replace(dir, PENDING, &files::to_json(record, dir)?, Durable::Yes)
    }

    /// Notes anew what a dispatch in `pending/` waits for.
    pub fn note_pending(&self, id: &DispatchId, record: &PendingRecord) -> Result<()> {
        self.write_pending_record(&self.pending_dir(id), record)
    }

    /// What a dispatch waits for, as it is on record.
    pub fn pending_record(&self, id: &DispatchId) -> Result<Option<PendingRecord>> {
        let path = self.pending_dir(id).join(PENDING);
        Ok(files::read_record::<PendingRecord>(&path)?.into_read())
    }

    /// A queued dispatch of which nothing has run goes (back) to `pending/`. If a power cut takes
    /// the rename back, it is judged again at its turn.
    pub fn move_to_pending(&self, claim: &mut Claim, record: &PendingRecord) -> Result<()> {
        let (from, to) = (self.claim_dir(&claim.id), self.pending_dir(&claim.id));
        self.sync_acceptance(&claim.id, Room::Active)?;
        self.write_pending_record(&from, record)?;
        self.asides.rename_over(&from, &to, claim.id.as_str())?;
        claim.room = Room::Pending;
        Ok(())
    }

    /// A dispatch that may run now leaves `pending/` for the queue.
    pub fn move_to_active(&self, claim: &mut Claim) -> Result<()> {
        let (from, to) = (self.pending_dir(&claim.id), self.claim_dir(&claim.id));
        self.asides.rename_over(&from, &to, claim.id.as_str())?;
        claim.room = Room::Active;
        Ok(())
    }

    /// The approval that is on record with a dispatch, if there is one.
    pub fn approval(&self, id: &DispatchId, room: Room) -> Result<Option<PersonApproval>> {
        let path = self.dir_in(id, room).join(APPROVAL);
        Ok(files::read_record::<PersonApproval>(&path)?.into_read())
    }

    /// Puts an approval on record, durably: the request for it goes next.
    pub fn write_approval(&self, claim: &Claim, approval: &PersonApproval) -> Result<()> {
        let dir = self.dir_in(&claim.id, claim.room);
        let bytes = files::to_json(approval, &dir)?;
        self.asides.replace(&dir, APPROVAL, claim.id.as_str(), &bytes, Durable::Yes)?;
        files::sync_dir(&self.pending).map_err(Error::of_all)
    }

    /// Makes an approval durable that was found with a dispatch in `pending/`, since its writer may
    /// have died before the fsync, and the request for it goes next.
    pub fn sync_approval(&self, id: &DispatchId) -> Result<()> {
        let dir = self.pending_dir(id);
        let path = dir.join(APPROVAL);
        if !identity::find(&path)?.is_some_and(|stamp| stamp.is_plain_file()) {
            return Ok(());
        }
        files::sync(&path)?;
        files::sync_dir(&dir)?;
        files::sync_dir(&self.pending).map_err(Error::of_all)
    }

    /// Reads a dispatch that waits, with the very bytes that would run. `None`: none of that id
    /// waits.
    pub fn read_waiting(&self, id: &DispatchId) -> Result<Option<WaitingDispatch>> {
        let dir = self.pending_dir(id);
        let Some(record) = self.pending_record(id)? else { return Ok(None) };
        let Some(accepted) = claims::accept::read_accepted(&dir)? else { return Ok(None) };
        let bytes = files::read(&dir.join("dispatch.json"), FILE_BYTES_MAX)?;
        let Record::Read(bytes) = bytes else { return Ok(None) };
        let sha256 = sha256_hex(&bytes);
        Ok(Some(WaitingDispatch { record, accepted, bytes, sha256 }))
    }

    // ------------------------------------------------------------------------- what a person says

    /// What is asked about that dispatch. A no wins over a yes.
    pub fn asked(&self, id: &DispatchId) -> Result<Option<Asked>> {
        if let Some((text, _)) = self.read_request(&self.deny_path(id))? {
            let reason = text.chars().take(REASON_CHARS_MAX).collect();
            return Ok(Some(Asked::Deny { reason }));
        }
        let asked = self.read_request(&self.approve_path(id))?;
        Ok(asked.map(|(sha256, uid)| Asked::Approve { sha256, uid }))
    }

    /// The first line of a request that is a plain file, and whose it is.
    fn read_request(&self, path: &Path) -> Result<Option<(String, u32)>> {
        let Some(stamp) = identity::find(path)?.filter(|stamp| stamp.is_plain_file()) else {
            return Ok(None);
        };
        let Record::Read(bytes) = files::read(path, REQUEST_BYTES_MAX)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        Ok(Some((text.lines().next().unwrap_or_default().trim().to_string(), stamp.uid)))
    }

    /// Removes what was asked about that dispatch, once it is on record.
    pub fn forget_asked(&self, id: &DispatchId) -> Result<()> {
        files::remove(&self.approve_path(id)).and(files::remove(&self.deny_path(id)))
    }

    /// Asks the daemon to run these bytes.
    pub fn ask_approval(&self, id: &DispatchId, sha256: &str) -> Result<()> {
        self.request(&Request::Approve(id.clone()), &format!("{sha256}\n")).map(drop)
    }

    /// Asks the daemon never to run it. The reason is cut.
    pub fn ask_denial(&self, id: &DispatchId, reason: &str) -> Result<()> {
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        self.request(&Request::Deny(id.clone()), &format!("{reason}\n")).map(drop)
    }

    fn approve_path(&self, id: &DispatchId) -> PathBuf {
        self.control.join(format!("approve-{id}"))
    }

    fn deny_path(&self, id: &DispatchId) -> PathBuf {
        self.control.join(format!("deny-{id}"))
    }
}
