//! `dispatchd/on_finish/<id>.json`: a report that the operator's program has not been given yet.
//!
//! Each is a copy of the report's exact bytes, made durable before its dispatch is retired, since
//! nothing else remembers then that somebody is still to be told. A session can reach the claim and
//! its logs, but what is told comes from here.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use super::Store;
use super::claims::output::OutputFile;
use super::disk::files::{self, Durable};
use super::disk::identity;
use crate::effects::error::{At, Error, Result};
use crate::pure::dispatch::DispatchId;

impl Store {
    fn finishing(&self) -> PathBuf {
        self.own_dir().join("on_finish")
    }

    fn finishing_path(&self, id: &DispatchId) -> PathBuf {
        self.finishing().join(format!("{id}.json"))
    }

    /// Notes durably that a report is to be given to the operator's program.
    pub fn put_finishing(&self, id: &DispatchId, report: &[u8]) -> Result<()> {
        let dir = self.finishing();
        match files::make_dir(&dir) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            made => {
                made.at("make", &dir)?;
                files::sync_dir(self.own_dir())?;
            }
        }
        let name = format!("{id}.json");
        let put = self.asides.replace(&dir, &name, id.as_str(), report, Durable::Yes);
        put.map_err(Error::of_all)
    }

    /// Lists what an earlier daemon did not see through, oldest first. What is still to be retired
    /// comes when it is.
    pub fn list_finishing(&self) -> Result<Vec<DispatchId>> {
        let dir = self.finishing();
        let entries = match files::list(&dir) {
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.at("read", &dir)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            let Some(id) = id.and_then(DispatchId::parse) else { continue };
            let places = [self.claim_dir(&id), self.pending.join(id.as_str())];
            let is_open = places.iter().any(|dir| !matches!(identity::find(dir), Ok(None)));
            let Some(stamp) = identity::find(&self.finishing_path(&id))? else { continue };
            if !is_open {
                found.push((stamp.mtime_ns, id));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, id)| id).collect())
    }

    /// Opens a report that is to be told. `None`: it has been.
    pub fn open_finishing(&self, id: &DispatchId) -> Result<Option<File>> {
        let path = self.finishing_path(id);
        match files::open_plain(&path) {
            Err(e) if identity::is_nothing(&e) => Ok(None),
            opened => opened.map(Some).at("open", &path),
        }
    }

    pub fn remove_finishing(&self, id: &DispatchId) -> Result<()> {
        files::remove(&self.finishing_path(id))
    }

    /// The empty log of the operator's program, beside the other logs of the dispatch; or one
    /// without a name, where a session left something else in its place.
    pub fn finish_log(&self, id: &DispatchId) -> Result<OutputFile> {
        let path = self.finished_dir(id).join("on_finish.log");
        let log = files::open_to_append(&path).and_then(|file| file.set_len(0).map(|()| file));
        log.or_else(|e| {
            log::warn!("cannot use {}: {e}; that output is lost", path.display());
            self.scratch_file()
        })
    }
}
