//! From a finished session to an answer: the commit, and the steps after it, each harmless when it is done again.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use super::files::{self, Durable};
use super::place::{self, COPY, REPORT};
use super::{Claim, Store};
use crate::effects::error::{At, Error, Result};
use crate::pure::dispatch::DispatchId;
use crate::pure::report::Report;

/// A report that stands for ever, and its exact bytes.
pub struct Committed {
    pub report: Report,
    pub bytes: Vec<u8>,
}

impl Store {
    /// THE COMMIT POINT: once this returns, this is the dispatch's report for ever.
    pub fn commit(&self, claim: &mut Claim, report: &Report) -> Result<Vec<u8>> {
        let dir = self.claim_dir(&claim.id);
        let bytes = report_bytes(report)?;
        if report.attempts.is_empty() {
            // No attempt record holds them: the steps after the commit need both, through a power cut too. So they are there
            // for good before anything has the report's name.
            self.keep_acceptance(&claim.id)?;
        } else {
            let place = claim.places.as_mut().and_then(|places| places.report.take());
            if place::fill(place, &dir.join(REPORT), &bytes)? {
                return Ok(bytes);
            }
        }
        files::replace(&dir, REPORT, &bytes, Durable::AfterRename)?;
        Ok(bytes)
    }

    /// The report that stands there, if it is whole: one that is blank, or that a crash in the middle of the commit left, is
    /// none. Durable when this returns, for what follows rests on it, and who wrote it may have died before its fsync.
    pub fn read_committed(&self, id: &DispatchId) -> Result<Option<Committed>> {
        let dir = self.claim_dir(id);
        let path = dir.join(REPORT);
        let Some(bytes) = files::read(&path, files::RECORD_BYTES_MAX)? else { return Ok(None) };
        if place::is_blank(&bytes) {
            return Ok(None);
        }
        let Ok(report) = serde_json::from_slice(&bytes) else {
            log::warn!("{} is not whole: nothing was committed", path.display());
            return Ok(None);
        };
        files::sync(&path)?;
        files::sync_dir(&dir)?;
        Ok(Some(Committed { report, bytes }))
    }

    /// Publishes a copy, never a link: the drop zone must not reach our file. Durable, since the inbox file goes next.
    pub fn publish(&self, claim: &mut Claim, report: &[u8]) -> Result<()> {
        let copy = self.claim_dir(&claim.id).join(COPY);
        let place = claim.places.as_mut().and_then(|places| places.copy.take());
        // A drop zone may be a file system of its own.
        let is_moved = place::fill(place, &copy, report)?
            && files::rename(&copy, &self.answer_path(&claim.id)).is_ok();
        if is_moved {
            return self.completed.sync();
        }
        files::remove(&copy)?;
        self.publish_anew(&claim.id, report)
    }

    fn publish_anew(&self, id: &DispatchId, report: &[u8]) -> Result<()> {
        let name = format!("{id}.json");
        files::replace(self.completed.path(), &name, report, Durable::FileOnly)?;
        self.completed.sync()
    }

    /// Where the sender finds its answer.
    pub(super) fn answer_path(&self, id: &DispatchId) -> PathBuf {
        self.completed.path().join(format!("{id}.json"))
    }

    /// The answer to a file that never became a dispatch.
    pub fn publish_rejection(&self, id: &DispatchId, report: &Report) -> Result<()> {
        self.publish_anew(id, &report_bytes(report)?)
    }

    /// The last step: `active/<id>` becomes `finished/<id>`.
    pub fn retire(&self, claim: &Claim) -> Result<()> {
        let from = self.claim_dir(&claim.id);
        files::rename(&from, &self.finished_dir(&claim.id)).at("retire", &from)?;
        self.finished_count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Where the session's prompt, stream and stderr will stay.
    pub fn finished_dir(&self, id: &DispatchId) -> PathBuf {
        self.finished.join(id.as_str())
    }
}

/// Two-space JSON, as the seed wrote it.
fn report_bytes(report: &Report) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(files::RECORD_BYTES_USUAL);
    match serde_json::to_writer_pretty(&mut bytes, report) {
        Ok(()) => Ok(bytes),
        Err(e) => Err(Error::new("encode the report of", &report.dispatch_id, e.into())),
    }
}
