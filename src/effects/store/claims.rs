//! Accepted dispatches: `active/<id>/`, from the rename that accepts to the rename that retires.
//!
//! A [`Claim`] is the right to work on one of them. It is made when the folder is accepted or found at start, it moves
//! through queue and channel, and it cannot be copied: two threads never work on one dispatch.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::files::{self, Record};
use super::inbox::{Dropped, Inspected};
use super::{Store, identity};
use crate::effects::clock;
use crate::effects::error::{At, Result};
use crate::pure::claim::{Accepted, AttemptStart, Identity, name_from_text, name_to_text};
use crate::pure::digest::sha256_hex;
use crate::pure::dispatch::{Dispatch, DispatchId, FILE_BYTES_MAX};
use crate::pure::queue::{Agent, Lane, Seq};
use crate::pure::recovery::Step;
use crate::pure::report::{ErrorType, Report};
use crate::pure::time::parse_rfc3339;

/// The one right to work on an accepted dispatch. Not `Clone`.
#[derive(Debug)]
pub struct Claim {
    pub id: DispatchId,
    pub seq: Seq,
    pub lane: Lane,
    pub agent: Agent,
    pub inbox_name: OsString,
    /// As the dispatch names it: for people.
    pub project: Box<str>,
    /// In milliseconds since 1970: a wait may outlast the daemon, and the boot.
    pub accepted_at_ms: i64,
    /// Which folder is its own, once a session of it may have run: one that has another one's place says nothing.
    pub folder: Option<Identity>,
    /// Not of all, when many wait.
    pub in_hand: Option<Box<InHand>>,
    /// It was found in the middle of this; only of one that could not be read when the daemon started.
    pub resume: Option<Step>,
}

/// What the folder of a claim says that this daemon accepted: it need not be read back, and no attempt can have begun.
#[derive(Debug)]
pub struct InHand {
    pub files: ClaimFiles,
    pub dispatch: Dispatch,
}

/// What an accepted dispatch's folder says of it.
#[derive(Debug)]
pub struct ClaimFiles {
    pub accepted: Accepted,
    pub bytes: Vec<u8>,
}

/// A dispatch that is about to be accepted.
pub struct Prepared {
    accepted: Accepted,
    building: PathBuf,
    place: PathBuf,
}

/// Who has a dispatch's id.
pub enum IdOwner {
    Nobody,
    /// The report of a rejection, which does not count: a rejected id is not spent.
    Rejection,
    Dispatch {
        /// Of its bytes, if it is known.
        sha256: Option<String>,
        is_answered: bool,
    },
}

impl Accepted {
    pub fn inbox_name(&self) -> OsString {
        OsString::from_vec(name_from_text(&self.inbox_name))
    }

    pub fn at_ms(&self) -> i64 {
        parse_rfc3339(&self.accepted_at).unwrap_or_else(clock::unix_ms)
    }
}

impl AttemptStart {
    /// Where the session works.
    pub fn dir(&self) -> PathBuf {
        OsString::from_vec(name_from_text(&self.project_dir)).into()
    }
}

impl Store {
    pub(super) fn claim_dir(&self, id: &DispatchId) -> PathBuf {
        self.active.path().join(id.as_str())
    }

    fn building_dir(&self, id: &DispatchId) -> PathBuf {
        self.active.path().join(format!(".tmp.{id}"))
    }

    /// Our own copy of the dispatch, which the session may read.
    pub fn copy_path(&self, id: &DispatchId) -> PathBuf {
        self.claim_dir(id).join("dispatch.json")
    }

    /// Builds the folder of a dispatch that is to be accepted, aside. Nothing is durable yet, and need not be: the inbox file
    /// stays until the dispatch is answered, and a folder that does not match its digest counts for nothing at the next
    /// start.
    pub fn prepare(
        &self,
        dropped: &Dropped,
        dispatch: &Dispatch,
        seq: Seq,
        dir: Identity,
    ) -> Result<Prepared> {
        let accepted = Accepted {
            seq,
            accepted_at: clock::stamp(),
            sha256: dropped.sha256.clone(),
            inbox_name: name_to_text(dropped.name.as_bytes()),
            inbox_file: dropped.stamp.identity,
            inbox_dir: dir,
        };
        let building = self.building_dir(&dispatch.id);
        self.asides.make_dir_anew(&building, dispatch.id.as_str())?;
        files::create(&building.join("dispatch.json"), &dropped.bytes)?;
        let record = building.join("accepted.json");
        files::create(&record, &files::to_json(&accepted, &record)?)?;
        Ok(Prepared { accepted, building, place: self.claim_dir(&dispatch.id) })
    }

    /// THE ACCEPTANCE, by one rename. Where a dispatch of that id is already, it fails with `AlreadyExists`.
    pub fn accept(&self, prepared: Prepared) -> Result<Accepted> {
        let Prepared { accepted, building, place } = prepared;
        if let Err(e) = files::rename_to_free(&building, &place) {
            let _ = files::remove_tree(&building);
            return Err(e).at("accept into", &place);
        }
        Ok(accepted)
    }

    /// Puts an accepted dispatch's folder back that was removed or replaced before anything of it ran: somebody else's session
    /// can reach it too.
    pub fn restore(&self, id: &DispatchId, accepted: &Accepted, bytes: &[u8]) -> Result<()> {
        let (building, place) = (self.building_dir(id), self.claim_dir(id));
        self.asides.make_dir_anew(&building, id.as_str())?;
        files::create(&building.join("dispatch.json"), bytes)?;
        files::create(&building.join("accepted.json"), &files::to_json(accepted, &building)?)?;
        if identity::find(&place)?.is_some() {
            files::open_up(&place).at("open up", &place)?;
            files::remove_tree(&place)?;
        }
        self.asides.rename_over(&building, &place, id.as_str())
    }

    /// Makes an acceptance durable that rests on its inbox file no longer.
    pub fn keep_acceptance(&self, id: &DispatchId) -> Result<()> {
        let dir = self.claim_dir(id);
        for path in [dir.join("accepted.json"), dir.join("dispatch.json")] {
            // Once a power cut took it, an attempt's record holds it.
            if identity::find(&path)?.is_some() {
                files::sync(&path)?;
            }
        }
        files::sync_dir(&dir)?;
        self.active.sync()
    }

    /// Who has this id.
    pub fn owner(&self, id: &DispatchId) -> Result<IdOwner> {
        match owner_in(self.active.path(), id, false)? {
            Some(owner) => Ok(owner),
            None => self.owner_elsewhere(id),
        }
    }

    /// Who has this id, if no dispatch in `active/` has it: that one the acceptance meets.
    pub fn owner_elsewhere(&self, id: &DispatchId) -> Result<IdOwner> {
        for (parent, is_answered) in [(&self.pending, false), (&self.finished, true)] {
            if let Some(owner) = owner_in(parent, id, is_answered)? {
                return Ok(owner);
            }
        }
        let read = files::read(&self.answer_path(id), files::RECORD_BYTES_MAX)?;
        let Some(bytes) = read.into_read() else { return Ok(IdOwner::Nobody) };
        let report = serde_json::from_slice::<Report>(&bytes);
        let rejected = report.is_ok_and(|r| r.error_type == Some(ErrorType::InvalidDispatch));
        let dispatch = IdOwner::Dispatch { sha256: None, is_answered: true };
        Ok(if rejected { IdOwner::Rejection } else { dispatch })
    }

    /// The report of an earlier rejection goes when a valid dispatch takes the id.
    pub fn remove_rejection_report(&self, id: &DispatchId) -> Result<()> {
        files::remove(&self.answer_path(id))
    }

    /// Opens a claim's folders up that a session shut, so that they can be read. Gives which folder it is.
    pub fn open_up_claim(&self, id: &DispatchId) -> Result<Option<Identity>> {
        let dir = self.claim_dir(id);
        if !files::open_up(&dir).at("open up", &dir)? {
            return Ok(None);
        }
        for entry in files::list(&dir)? {
            let path = entry.at("read", &dir)?.path();
            files::open_up(&path).at("open up", &path)?;
        }
        Ok(identity::find(&dir)?.map(|stamp| stamp.identity))
    }

    /// Ids in `active/`, in no order. Folders that were being built are removed.
    pub fn list_active(&self) -> Result<Vec<DispatchId>> {
        let mut ids = Vec::new();
        for entry in files::list(self.active.path())? {
            let name = entry.at("read", self.active.path())?.file_name();
            match name.to_str().and_then(DispatchId::parse) {
                Some(id) => ids.push(id),
                None if name.as_bytes().starts_with(b".tmp.") => {
                    let path = self.active.path().join(&name);
                    if let Err(e) = files::remove_tree(&path) {
                        log::warn!("{e}");
                    }
                }
                None if name.as_bytes().starts_with(b".aside-") => {}
                None => log::warn!("{} is not ours", self.active.path().join(&name).display()),
            }
        }
        Ok(ids)
    }

    /// Reads an accepted dispatch back. `None`: the folder holds no acceptance (a power cut took it).
    pub fn read_claim(&self, id: &DispatchId) -> Result<Option<ClaimFiles>> {
        let dir = self.claim_dir(id);
        let accepted = files::read_record::<Accepted>(&dir.join("accepted.json"))?;
        let bytes = files::read(&dir.join("dispatch.json"), FILE_BYTES_MAX)?;
        if let (Record::Read(accepted), Record::Read(bytes)) = (accepted, bytes)
            && sha256_hex(&bytes) == accepted.sha256
        {
            return Ok(Some(ClaimFiles { accepted, bytes }));
        }
        // Once an attempt began, its durable record holds both.
        let files = |start: AttemptStart| ClaimFiles {
            accepted: start.accepted,
            bytes: start.dispatch.into_bytes(),
        };
        Ok(newest_start(&dir)?.map(files))
    }

    /// What the inbox file of a claim says whose own folder says nothing any more.
    pub fn find_in_inbox(&self, claim: &Claim) -> Result<Option<ClaimFiles>> {
        let Some(seen) = self.stamp_inbox(&claim.inbox_name)? else { return Ok(None) };
        let Inspected::Read(dropped) = self.inspect(&claim.inbox_name, seen)? else {
            return Ok(None);
        };
        let accepted = Accepted {
            seq: claim.seq,
            accepted_at: clock::stamp(),
            sha256: dropped.sha256,
            inbox_name: name_to_text(dropped.name.as_bytes()),
            inbox_file: dropped.stamp.identity,
            inbox_dir: self.drop_zone_identity()?,
        };
        Ok(Some(ClaimFiles { accepted, bytes: dropped.bytes }))
    }

    /// Removes a folder that turned out to be no acceptance.
    pub fn discard(&self, id: &DispatchId) -> Result<()> {
        files::remove_tree(&self.claim_dir(id))
    }
}

fn owner_in(parent: &Path, id: &DispatchId, is_answered: bool) -> Result<Option<IdOwner>> {
    let dir = parent.join(id.as_str());
    if identity::find(&dir)?.is_none() {
        return Ok(None);
    }
    let sha256 = read_accepted(&dir)?.map(|accepted| accepted.sha256);
    Ok(Some(IdOwner::Dispatch { sha256, is_answered }))
}

pub(super) fn read_accepted(dir: &Path) -> Result<Option<Accepted>> {
    match files::read_record::<Accepted>(&dir.join("accepted.json"))? {
        Record::Read(accepted) => Ok(Some(accepted)),
        Record::Absent | Record::Unreadable => Ok(newest_start(dir)?.map(|start| start.accepted)),
    }
}

fn newest_start(dir: &Path) -> Result<Option<AttemptStart>> {
    for number in super::attempts::numbers(dir)?.into_iter().rev() {
        let path = dir.join(format!("attempt-{number}")).join("attempt.json");
        if let Record::Read(start) = files::read_record::<AttemptStart>(&path)? {
            return Ok(Some(start));
        }
    }
    Ok(None)
}
