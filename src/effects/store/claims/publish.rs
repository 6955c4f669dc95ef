//! Turns a finished session into an answer: the commit, and the steps after it, each of which is
//! harmless when it is done again.
//!
//! If a claim's own folder is gone or cannot be used (a session can reach it), the answer is
//! committed in a fresh `finished/<id>` instead; whoever owns the dispatch knows the answer from
//! memory.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use crate::effects::error::{Error, Result};
use crate::effects::secrets;
use crate::effects::store::disk::files::{self, Durable, Record};
use crate::effects::store::disk::identity;
use crate::effects::store::{Claim, Contents, Room, Store};
use crate::pure::attempt::record::Identity;
use crate::pure::dispatch::DispatchId;
use crate::pure::report::{ErrorType, Report};

pub(in crate::effects::store) const REPORT: &str = "report.json";
/// A folder of `finished/` that is being built.
pub(in crate::effects::store) const BUILDING: &str = ".tmp.new.";

/// A report that stands for ever, and its exact bytes.
#[derive(Debug)]
pub struct Committed {
    pub report: Report,
    pub bytes: Vec<u8>,
}

impl Store {
    /// THE COMMIT POINT: once this returns, this is the dispatch's report for ever.
    pub fn commit(&self, claim: &Claim, report: &Report) -> Result<Vec<u8>> {
        let (id, dir) = (claim.id.as_str(), self.dir_in(&claim.id, claim.room));
        let bytes = report_bytes(report)?;
        self.look_at_folder(claim)?;
        if report.attempts.is_empty() {
            // No attempt record holds the acceptance and the dispatch, and the steps after the
            // commit need both, even after a power cut. So both are durable before anything has the
            // report's name.
            self.sync_acceptance(&claim.id, claim.room)?;
        }
        self.asides.replace(&dir, REPORT, id, &bytes, Durable::AfterRename)?;
        Ok(bytes)
    }

    /// Checks that the claim's folder is the one that it was, and opens it up. Gives its identity.
    pub(in crate::effects::store) fn look_at_folder(&self, claim: &Claim) -> Result<Identity> {
        files::open_same(&self.dir_in(&claim.id, claim.room), claim.folder)
    }

    /// Commits for a claim whose folder is of no use: in a fresh `finished/<id>`, with what is
    /// known of the dispatch.
    pub fn commit_afresh(
        &self,
        id: &DispatchId,
        known: Option<&Contents>,
        report: &[u8],
    ) -> Result<()> {
        let building = self.finished.join(format!("{BUILDING}{id}"));
        // Nobody but us comes here, so what fails for this dispatch fails for all.
        let all = |e: Error| e.of_all();
        self.asides.make_dir_anew(&building, id.as_str()).map_err(all)?;
        if let Some(Contents { accepted, bytes: dispatch, .. }) = known {
            let accepted = files::to_exact_json(accepted, &building)?;
            for (name, bytes) in [("accepted.json", &accepted), ("dispatch.json", dispatch)] {
                files::replace(&building, name, bytes, Durable::FileOnly).map_err(all)?;
            }
        }
        files::replace(&building, REPORT, report, Durable::Yes).map_err(all)?;
        self.asides.rename_over(&building, &self.finished_dir(id), id.as_str()).map_err(all)?;
        files::sync_dir(&self.finished).map_err(all)?;
        self.finished_count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// The bytes of a report, as it is committed.
    pub fn encode(&self, report: &Report) -> Result<Vec<u8>> {
        report_bytes(report)
    }

    /// Whether the answer to the dispatch stands in `finished/`.
    pub fn is_kept(&self, id: &DispatchId) -> Result<bool> {
        Ok(identity::find(&self.finished_dir(id).join(REPORT))?.is_some())
    }

    /// Reads the report in the claim's folder, if it is whole: what a crash in the middle of the
    /// commit left is no report. It is durable when this returns, since what follows rests on it
    /// and its writer may have died before the fsync.
    pub fn read_committed(&self, id: &DispatchId, room: Room) -> Result<Option<Committed>> {
        read_report(&self.dir_in(id, room), id)
    }

    /// Finds the answer to a claim whose folder says nothing of it: a daemon gave it from memory
    /// and died before it was through, or the folder went after the publication.
    pub fn find_answer(&self, id: &DispatchId) -> Result<Option<Committed>> {
        if let Some(committed) = read_report(&self.finished_dir(id), id)? {
            return Ok(Some(committed));
        }
        let path = self.answer_path(id);
        let bytes = files::read(&path, files::RECORD_BYTES_MAX)?.into_read();
        let Some((bytes, report)) = bytes.and_then(|bytes| {
            let report = serde_json::from_slice::<Report>(&bytes).ok()?;
            Some((bytes, report))
        }) else {
            return Ok(None);
        };
        let is_answer = report.dispatch_id == id.as_str()
            && report.error_type != Some(ErrorType::InvalidDispatch);
        Ok(is_answer.then_some(Committed { report, bytes }))
    }

    /// Publishes a copy, never a link, since the drop zone must not reach our file. The copy is
    /// durable, since the inbox file goes next.
    pub fn publish(&self, id: &DispatchId, report: &[u8]) -> Result<()> {
        let held = self.hold_completed().map_err(Error::of_all)?;
        let dir = held.as_ref().map_or(self.completed.path(), |(_, below)| below);
        let name = format!("{id}.json");
        let how = (Durable::FileOnly, self.readers_of_reports());
        let published = self.asides.replace_for(dir, &name, id.as_str(), report, how);
        // Whatever was in the way has been moved, so what fails now is the folder, which all share.
        published.map_err(Error::of_all)?;
        self.completed.sync().map_err(Error::of_all)
    }

    /// Where the sender finds its answer.
    pub(in crate::effects::store) fn answer_path(&self, id: &DispatchId) -> PathBuf {
        self.completed.path().join(format!("{id}.json"))
    }

    /// Publishes the answer to a file that never became a dispatch.
    pub fn publish_rejection(&self, id: &DispatchId, report: &Report) -> Result<()> {
        self.publish(id, &report_bytes(report)?)
    }

    /// The last step: `active/<id>` (or `pending/<id>`) becomes `finished/<id>`.
    pub fn retire(&self, claim: &Claim) -> Result<()> {
        let (from, id) = (self.dir_in(&claim.id, claim.room), claim.id.as_str());
        self.asides.rename_over(&from, &self.finished_dir(&claim.id), id)?;
        self.finished_count.fetch_add(1, Ordering::Relaxed);
        self.forget_start(&claim.id)
    }

    /// The last step for a claim that was committed afresh: what is left of its old folder, if
    /// anything, is moved to the answer.
    pub fn retire_remains(&self, claim: &Claim) -> Result<()> {
        let id = &claim.id;
        let (from, to) = (self.dir_in(id, claim.room), self.finished_dir(id).join("remains"));
        if identity::find(&from)?.is_some() {
            files::open_up(&from)?;
            self.asides.rename_over(&from, &to, id.as_str())?;
        }
        self.forget_start(id)
    }

    /// The folder where the session's prompt, stream and stderr will stay.
    pub fn finished_dir(&self, id: &DispatchId) -> PathBuf {
        self.finished.join(id.as_str())
    }
}

fn read_report(dir: &Path, id: &DispatchId) -> Result<Option<Committed>> {
    let path = dir.join(REPORT);
    let bytes = match files::read(&path, files::RECORD_BYTES_MAX)? {
        Record::Read(bytes) => bytes,
        Record::Absent | Record::Unreadable => return Ok(None),
    };
    let report = serde_json::from_slice::<Report>(&bytes);
    let Ok(report) = report.map_err(drop).and_then(|r| of_dispatch(r, id).ok_or(())) else {
        log::warn!("{} is no report of {id}: nothing was committed", path.display());
        return Ok(None);
    };
    files::sync(&path)?;
    files::sync_dir(dir)?;
    Ok(Some(Committed { report, bytes }))
}

fn of_dispatch(report: Report, id: &DispatchId) -> Option<Report> {
    Some(report).filter(|report| report.dispatch_id == id.as_str())
}

/// Two-space JSON, as the seed wrote it.
fn report_bytes(report: &Report) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(files::RECORD_BYTES_USUAL);
    match serde_json::to_writer_pretty(&mut bytes, report) {
        Ok(()) => Ok(secrets::redact_json_bytes(bytes)),
        Err(e) => Err(Error::new("encode the report of", &report.dispatch_id, e.into())),
    }
}
