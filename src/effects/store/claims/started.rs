//! `started/<id>` is an empty file that says that a session of this dispatch may have run. It is
//! made after the first attempt is durable and before the agent starts, and removed once the
//! dispatch is in `finished/`.
//!
//! The file guards against a session that removes its own claim, so that the next start does not
//! run it again. It does not guard against power cuts, and is not synced.

use std::io;
use std::path::PathBuf;

use crate::effects::error::{Error, Result};
use crate::effects::store::Store;
use crate::effects::store::disk::files;
use crate::pure::dispatch::DispatchId;

impl Store {
    /// Notes that a session of the dispatch is about to be started.
    pub fn note_start(&self, id: &DispatchId) -> Result<()> {
        match files::create(&self.start_path(id), b"") {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // All dispatches share this folder.
            made => made.map(drop).map_err(Error::of_all),
        }
    }

    /// Takes the note back: no session was started after all. This is durable, since with the
    /// attempt gone the note would say that the attempt's records were taken.
    pub fn take_back_start(&self, id: &DispatchId) -> Result<()> {
        self.forget_start(id)?;
        match files::sync_dir(&self.started) {
            // A folder that is gone says nothing about the dispatch.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced.map_err(Error::of_all),
        }
    }

    /// Removes the note of a dispatch that is answered.
    pub fn forget_start(&self, id: &DispatchId) -> Result<()> {
        let path = self.start_path(id);
        match files::remove(&path) {
            Err(e) if self.asides.makes_way(&path, id.as_str(), &e) => Ok(()),
            removed => removed,
        }
    }

    /// Whether a session may have run. Whatever has that name says so.
    pub fn has_started(&self, id: &DispatchId) -> Result<bool> {
        Ok(crate::effects::store::disk::identity::find(&self.start_path(id))?.is_some())
    }

    /// Every dispatch that may have been started, in no order.
    pub fn list_started(&self) -> Result<Vec<DispatchId>> {
        let mut ids = Vec::new();
        for entry in files::list(&self.started)? {
            let name = entry.map_err(|e| Error::new("read", &self.started, e))?.file_name();
            ids.extend(name.to_str().and_then(DispatchId::parse));
        }
        Ok(ids)
    }

    fn start_path(&self, id: &DispatchId) -> PathBuf {
        self.started.join(id.as_str())
    }
}
