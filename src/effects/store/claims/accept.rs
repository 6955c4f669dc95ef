//! Acceptance: how a dispatch comes into `active/<id>/` by one rename, how it is read back from
//! there, and who has an id.
//!
//! Nothing need be durable before the first attempt: the inbox file is still there, and a folder
//! that does not match its digest counts for nothing at the next start.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::claim::{Claim, Contents, InboxName, Room};
use crate::effects::clock;
use crate::effects::error::{At, Error, Result};
use crate::effects::store::Store;
use crate::effects::store::disk::files::{self, Record};
use crate::effects::store::disk::identity::{self, Kind};
use crate::effects::store::disk::tree;
use crate::effects::store::drop_zone::inbox::{Dropped, Inspected};
use crate::pure::attempt::record::{Accepted, AttemptStart, Identity};
use crate::pure::dispatch::{self, Agent, Dispatch, DispatchId, FILE_BYTES_MAX};
use crate::pure::gate::PendingRecord;
use crate::pure::gate::signature::Signed;
use crate::pure::report::ErrorType;
use crate::pure::schedule::queue::Seq;
use crate::pure::text::digest::{sha256_hex, sha256_of_hex};
use crate::pure::text::hex::name_to_text;
use crate::pure::text::time::rfc3339;

/// What was accepted once stays accepted, whatever the setting says now.
const ANY_TTL: u64 = 0;

/// A dispatch that is about to be accepted.
pub struct Prepared {
    accepted: Accepted,
    building: PathBuf,
    place: PathBuf,
}

impl Prepared {
    pub fn accepted(&self) -> &Accepted {
        &self.accepted
    }
}

/// Who has a dispatch's id.
pub enum IdOwner {
    Nobody,
    /// The report of a rejection, which does not count: a rejected id is not spent.
    Rejection,
    /// A signed dispatch of which nothing else is left.
    Spent {
        /// The digest of its bytes, if that is known.
        sha256: Option<String>,
    },
    Dispatch {
        /// The digest of its bytes, if that is known.
        sha256: Option<String>,
        is_answered: bool,
    },
}

impl Store {
    pub(in crate::effects::store) fn claim_dir(&self, id: &DispatchId) -> PathBuf {
        self.active.path().join(id.as_str())
    }

    /// The folder of a dispatch that is in that room.
    pub(in crate::effects::store) fn dir_in(&self, id: &DispatchId, room: Room) -> PathBuf {
        match room {
            Room::Active => self.claim_dir(id),
            Room::Pending => self.pending_dir(id),
        }
    }

    fn building_dir(&self, id: &DispatchId) -> PathBuf {
        self.active.path().join(format!(".tmp.{id}"))
    }

    /// Our own copy of the dispatch, which the session may read.
    pub fn copy_path(&self, id: &DispatchId) -> PathBuf {
        self.claim_dir(id).join("dispatch.json")
    }

    /// Builds the folder of a dispatch that is to be accepted, beside its place. Nothing need be
    /// durable yet: the inbox file stays until the dispatch is answered, and a folder that does not
    /// match its digest counts for nothing at the next start.
    pub fn prepare(
        &self,
        dropped: &Dropped,
        dispatch: &Dispatch,
        seq: Seq,
        dir: Identity,
        signed: Option<Signed>,
    ) -> Result<Prepared> {
        let accepted = Accepted {
            seq,
            accepted_at: clock::stamp(),
            sha256: dropped.sha256.clone(),
            inbox_name: name_to_text(dropped.name.as_bytes()),
            inbox_file: dropped.stamp.identity,
            inbox_dir: dir,
            signed,
        };
        let building = self.building_dir(&dispatch.id);
        self.make_building(&building, &dispatch.id)?;
        files::create(&building.join("dispatch.json"), &dropped.bytes)?;
        let record = building.join("accepted.json");
        files::create(&record, &files::to_exact_json(&accepted, &record)?)?;
        Ok(Prepared { accepted, building, place: self.claim_dir(&dispatch.id) })
    }

    /// Prepares it to wait in `pending/` instead. Unlike that of a queued one its folder is durable
    /// before it has its name, so that a copy which does not match its digest was changed, and not
    /// torn.
    pub fn prepare_pending(
        &self,
        prepared: Prepared,
        id: &DispatchId,
        record: &PendingRecord,
    ) -> Result<Prepared> {
        let building = &prepared.building;
        for name in ["dispatch.json", "accepted.json"] {
            files::sync(&building.join(name))?;
        }
        self.write_pending_record(building, record)?;
        if identity::find(&prepared.place)?.is_some() {
            let taken = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(Error::new("accept into", &prepared.place, taken));
        }
        Ok(Prepared { place: self.pending_dir(id), ..prepared })
    }

    /// Makes the folder to build in. Nobody but us comes there, so what fails for this dispatch
    /// fails for all.
    fn make_building(&self, building: &Path, id: &DispatchId) -> Result<()> {
        self.asides.make_dir_anew(building, id.as_str()).map_err(Error::of_all)
    }

    /// THE ACCEPTANCE, by one rename. It fails with `AlreadyExists` if a dispatch of that id is
    /// there already.
    pub fn accept(&self, prepared: Prepared) -> Result<Accepted> {
        let Prepared { accepted, building, place } = prepared;
        if let Err(e) = files::rename_to_free(&building, &place) {
            let _ = tree::remove_tree(&building);
            return Err(e).at("accept into", &place);
        }
        Ok(accepted)
    }

    /// Puts back the folder of an accepted dispatch that was removed or replaced before anything of
    /// it ran: somebody else's session can reach it too.
    pub fn restore(&self, id: &DispatchId, accepted: &Accepted, bytes: &[u8]) -> Result<()> {
        let (building, place) = (self.building_dir(id), self.claim_dir(id));
        self.make_building(&building, id)?;
        files::create(&building.join("dispatch.json"), bytes)?;
        files::create(
            &building.join("accepted.json"),
            &files::to_exact_json(accepted, &building)?,
        )?;
        // What is no folder, or cannot be removed, is moved out of the way.
        if matches!(files::open_up(&place), Ok(Some(_)))
            && let Err(e) = tree::remove_tree(&place)
        {
            log::debug!("{e}");
        }
        self.asides.rename_over(&building, &place, id.as_str())
    }

    /// Makes durable an acceptance that no longer rests on its inbox file.
    pub fn sync_acceptance(&self, id: &DispatchId, room: Room) -> Result<()> {
        let dir = self.dir_in(id, room);
        for path in [dir.join("accepted.json"), dir.join("dispatch.json")] {
            // If a power cut took the file, an attempt's record holds the same. Whatever a session
            // put in its place must not make us wait.
            if identity::find(&path)?.is_some_and(|stamp| stamp.is_plain_file()) {
                files::sync(&path)?;
            }
        }
        files::sync_dir(&dir)?;
        match room {
            Room::Active => self.active.sync(),
            Room::Pending => files::sync_dir(&self.pending),
        }
    }

    /// Who has this id.
    pub fn owner(&self, id: &DispatchId) -> Result<IdOwner> {
        let dir = self.claim_dir(id);
        // Whatever stands there, nothing can be accepted under that id.
        if identity::find(&dir)?.is_some() {
            return Ok(IdOwner::Dispatch { sha256: sha256_in(&dir)?, is_answered: false });
        }
        self.owner_elsewhere(id)
    }

    /// Who has this id, if no dispatch in `active/` has it; the acceptance itself meets one that
    /// does.
    pub fn owner_elsewhere(&self, id: &DispatchId) -> Result<IdOwner> {
        let pending = self.pending_dir(id);
        // Whatever stands there, nothing can come to wait under that id.
        if identity::find(&pending)?.is_some() {
            return Ok(IdOwner::Dispatch { sha256: sha256_in(&pending)?, is_answered: false });
        }
        let finished = self.finished_dir(id);
        // Without a report it is no answered dispatch, but something that somebody put there.
        if identity::find(&finished)?.is_some_and(|stamp| stamp.kind == Kind::Directory)
            && identity::find(&finished.join("report.json"))?.is_some_and(|s| s.is_plain_file())
        {
            return Ok(IdOwner::Dispatch { sha256: sha256_in(&finished)?, is_answered: true });
        }
        if let Some(sha256) = self.find_spent(id)? {
            return Ok(IdOwner::Spent { sha256 });
        }
        Ok(match self.read_answer(id)?.as_deref().map(answer_in) {
            None | Some(Answer::None) => IdOwner::Nobody,
            Some(Answer::Rejection) => IdOwner::Rejection,
            Some(Answer::Report) => IdOwner::Dispatch { sha256: None, is_answered: true },
        })
    }

    /// Reads the published report of that id, if a plain file has its name. Whatever else stands
    /// there says nothing: a link is not followed, and a FIFO is not waited for.
    fn read_answer(&self, id: &DispatchId) -> Result<Option<Vec<u8>>> {
        let path = self.answer_path(id);
        if !identity::find(&path)?.is_some_and(|stamp| stamp.is_plain_file()) {
            return Ok(None);
        }
        Ok(files::read(&path, files::RECORD_BYTES_MAX)?.into_read())
    }

    /// Removes the report of an earlier rejection, when a valid dispatch takes the id.
    pub fn remove_rejection_report(&self, id: &DispatchId) -> Result<()> {
        files::remove(&self.answer_path(id))
    }

    /// Opens up those of a claim's folders that a session shut, so that they can be read. Gives the
    /// identity of the claim's own.
    pub fn open_up_claim(&self, id: &DispatchId, room: Room) -> Result<Option<Identity>> {
        let dir = self.dir_in(id, room);
        let Some(stamp) = files::open_up(&dir)? else { return Ok(None) };
        // Before a session runs there are no folders in the claim's.
        if self.has_started(id)? {
            for entry in files::list(&dir)? {
                files::open_up(&entry.at("read", &dir)?.path())?;
            }
        }
        Ok(Some(stamp.identity))
    }

    /// Lists the ids in `active/`, in no order, and removes folders that were being built.
    pub fn list_active(&self) -> Result<Vec<DispatchId>> {
        list_claims(self.active.path())
    }

    /// Lists the ids in `pending/`, in no order.
    pub fn list_pending(&self) -> Result<Vec<DispatchId>> {
        list_claims(&self.pending)
    }

    /// Reads an accepted dispatch back. `None` if the folder holds no acceptance (a power cut took
    /// it). `agents` are those that a dispatch may name.
    pub fn read_claim(
        &self,
        id: &DispatchId,
        room: Room,
        agents: &[Agent],
    ) -> Result<Option<Contents>> {
        let dir = self.dir_in(id, room);
        let accepted = files::read_record::<Accepted>(&dir.join("accepted.json"))?;
        let bytes = files::read(&dir.join("dispatch.json"), FILE_BYTES_MAX)?;
        if let (Record::Read(accepted), Record::Read(bytes)) = (accepted, bytes)
            && sha256_hex(&bytes) == accepted.sha256
        {
            return Ok(self.parse_accepted(accepted, bytes, agents));
        }
        // Once an attempt began, its durable record holds both.
        let start = newest_start(&dir)?;
        Ok(start.and_then(|start| {
            self.parse_accepted(start.accepted, start.dispatch.into_bytes(), agents)
        }))
    }

    /// Its agent may have left the settings since it was accepted.
    fn parse_accepted(
        &self,
        accepted: Accepted,
        bytes: Vec<u8>,
        agents: &[Agent],
    ) -> Option<Contents> {
        let parse = |agents: &[Agent]| dispatch::parse(&bytes, ANY_TTL, agents).ok();
        let by_past_agent = || {
            let name = dispatch::agent_of_accepted(&bytes)?;
            parse(&[self.past_agents.keep(&name)?])
        };
        let dispatch = parse(agents).or_else(by_past_agent)?;
        Some(Contents { accepted, bytes, dispatch })
    }

    /// Reads from its inbox file a claim whose own folder says nothing any more.
    pub fn find_in_inbox(
        &self,
        claim: &Claim,
        ttl_seconds_min: u64,
        agents: &[Agent],
    ) -> Result<Option<Contents>> {
        for InboxName { name, .. } in &claim.names {
            let Some(seen) = self.stamp_inbox(name)? else { continue };
            let Inspected::Read(dropped) = self.inspect(name, seen)? else { continue };
            let digest = sha256_of_hex(&dropped.sha256);
            if claim.sha256.is_some() && digest != claim.sha256 {
                continue;
            }
            let accepted = Accepted {
                seq: claim.seq,
                accepted_at: rfc3339(claim.accepted_at_ms),
                sha256: dropped.sha256,
                inbox_name: name_to_text(dropped.name.as_bytes()),
                inbox_file: dropped.stamp.identity,
                inbox_dir: self.drop_zone_identity()?,
                signed: claim.signed.as_deref().cloned(),
            };
            let contents = Contents::parse(accepted, dropped.bytes, ttl_seconds_min, agents);
            return Ok(contents.filter(|contents| contents.dispatch.id == claim.id));
        }
        Ok(None)
    }

    /// Removes a folder that turned out to be no acceptance.
    pub fn discard(&self, id: &DispatchId) -> Result<()> {
        tree::remove_tree(&self.claim_dir(id))
    }
}

fn list_claims(room: &Path) -> Result<Vec<DispatchId>> {
    let mut ids = Vec::new();
    for entry in files::list(room)? {
        let name = entry.at("read", room)?.file_name();
        match name.to_str().and_then(DispatchId::parse) {
            Some(id) => ids.push(id),
            None if name.as_bytes().starts_with(b".tmp.") => {
                if let Err(e) = tree::remove_tree(&room.join(&name)) {
                    log::warn!("{e}");
                }
            }
            None if name.as_bytes().starts_with(b".aside-") => {}
            None => log::warn!("{} is not ours", room.join(&name).display()),
        }
    }
    Ok(ids)
}

/// The digest of the bytes that were accepted. It is also `None` where nothing can be read although
/// the disk is well.
fn sha256_in(dir: &Path) -> Result<Option<String>> {
    match read_accepted(dir) {
        Err(e) if !e.fault().is_everywhere() => Ok(None),
        read => Ok(read?.map(|accepted| accepted.sha256)),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// It is no report.
    None,
    Rejection,
    Report,
}

fn answer_in(bytes: &[u8]) -> Answer {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(fields)) if fields.contains_key("status") => {
            let kind = fields.get("error_type").map(ErrorType::deserialize);
            let is_rejection = matches!(kind, Some(Ok(ErrorType::InvalidDispatch)));
            if is_rejection { Answer::Rejection } else { Answer::Report }
        }
        _ => Answer::None,
    }
}

pub(in crate::effects::store) fn read_accepted(dir: &Path) -> Result<Option<Accepted>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_report_takes_an_id() {
        for (bytes, want) in [
            (&b""[..], Answer::None),
            (b"{\"status\": ", Answer::None),
            (b"null", Answer::None),
            (b"[{\"status\": \"completed\"}]", Answer::None),
            (b"{}", Answer::None),
            (b"{\"status\": \"completed\"}", Answer::Report),
            (b"{\"status\": 7, \"error_type\": null}", Answer::Report),
            (b"{\"status\": \"failed\", \"error_type\": \"timeout\"}", Answer::Report),
            (b"{\"status\": \"failed\", \"error_type\": \"invalid_dispatch\"}", Answer::Rejection),
            (b"{\"error_type\": \"invalid_dispatch\"}", Answer::None),
        ] {
            assert_eq!(answer_in(bytes), want, "{}", bytes.escape_ascii());
        }
    }
}
