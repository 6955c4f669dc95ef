//! `started/<id>`: an empty file that says that a session of this dispatch may have run. It is made
//! after the first attempt is durable and before the agent starts, and goes once the dispatch is in
//! `finished/`.
//!
//! It is there against a session that removes its own claim, so that the next start does not run it
//! again. It is not there against power cuts, and is not synced.

use std::io;
use std::path::PathBuf;

use crate::effects::error::{Error, Result};
use crate::effects::store::Store;
use crate::effects::store::disk::files;
use crate::pure::dispatch::DispatchId;

impl Store {
    /// A session of it is about to be started.
    pub fn note_start(&self, id: &DispatchId) -> Result<()> {
        match files::create(&self.start_path(id), b"") {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // A folder that all share.
            made => made.map(drop).map_err(Error::of_all),
        }
    }

    /// None was started after all. Durable: with the attempt gone it would say that the attempt's
    /// records were taken.
    pub fn take_back_start(&self, id: &DispatchId) -> Result<()> {
        self.forget_start(id)?;
        match files::sync_dir(&self.started) {
            // A folder that is gone says nothing of it.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            synced => synced.map_err(Error::of_all),
        }
    }

    /// It is answered.
    pub fn forget_start(&self, id: &DispatchId) -> Result<()> {
        let path = self.start_path(id);
        match files::remove(&path) {
            Err(e) if self.asides.makes_way(&path, id.as_str(), &e) => Ok(()),
            removed => removed,
        }
    }

    /// Whatever has that name says so.
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
