//! The outbox: `outbox/<id>.json` is a callback that has not been answered with 2xx yet, and
//! `outbox/dead/<id>.json` one that was given up.
//!
//! An entry outlives restarts, since nothing else remembers the callback once its dispatch is
//! retired. This module only reads and writes entries; the courier sends them and empties the
//! folder.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Store;
use super::disk::files::{self, Durable, Record};
use crate::effects::error::{At, Error, Result};
use crate::pure::dispatch::DispatchId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxEntry {
    pub dispatch_id: String,
    pub url: String,
    /// It is the same for every try, so that a receiver can tell a repetition.
    pub idempotency_key: String,
    /// The exact bytes to send: ASCII JSON.
    pub body: String,
    pub tries: u32,
    /// Wall clock, in milliseconds since 1970.
    pub created_at_ms: i64,
    pub next_at_ms: i64,
    /// The pause that the receiver asked for after the last try, in milliseconds; 0 = none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub asked_pause_ms: i64,
    /// Of one that was given up: when, after how many tries, and why, for people to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Store {
    /// Adds an entry, durably: the dispatch is retired next, and the callback must not be lost with
    /// a power cut.
    pub fn put_outbox(&self, entry: &OutboxEntry) -> Result<()> {
        self.write_outbox(entry, Durable::Yes)
    }

    /// Rewrites an entry after a failed try. This is not durable: an entry that falls back to its
    /// earlier state is tried once more.
    pub fn update_outbox(&self, entry: &OutboxEntry) -> Result<()> {
        self.write_outbox(entry, Durable::No)
    }

    fn write_outbox(&self, entry: &OutboxEntry, durable: Durable) -> Result<()> {
        // The URL is the receiver's, and goes nowhere else; the body was redacted as a report.
        let bytes = files::to_exact_json(entry, &self.outbox)?;
        let (id, name) = (&entry.dispatch_id, format!("{}.json", entry.dispatch_id));
        // Whatever was in the way has been moved, so what fails now is the folder, which all share.
        self.asides.replace(&self.outbox, &name, id, &bytes, durable).map_err(Error::of_all)
    }

    pub fn remove_outbox(&self, entry: &OutboxEntry) -> Result<()> {
        files::remove(&self.outbox.join(format!("{}.json", entry.dispatch_id)))
    }

    /// Gives an entry up: it lies among the dead from here on, as one that was never tried. Whoever
    /// moves it back has it sent anew.
    pub fn bury_outbox(&self, entry: &OutboxEntry) -> Result<()> {
        self.update_outbox(entry)?;
        let (dead, name) = (&self.dead_callbacks, format!("{}.json", entry.dispatch_id));
        match files::make_dir(dead) {
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            made => made.at("make", dead)?,
        }
        let (from, to) = (self.outbox.join(&name), dead.join(&name));
        self.asides.rename_over(&from, &to, &entry.dispatch_id)
    }

    /// Counts the callbacks that were given up.
    pub fn count_dead_callbacks(&self) -> Result<usize> {
        match ids_in(&self.dead_callbacks) {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(0),
            found => Ok(found?.len()),
        }
    }

    /// Lists the ids of all callbacks that wait.
    pub fn list_outbox(&self) -> Result<Vec<DispatchId>> {
        ids_in(&self.outbox)
    }

    /// Reads an entry; `None` if it is not there (any more). A damaged entry is set aside: people
    /// can read it, we cannot. So is an entry whose id is not the one in its name: it is written
    /// and removed under the id that it holds, so it would be sent for ever.
    pub fn read_outbox(&self, id: &DispatchId) -> Result<Option<OutboxEntry>> {
        let path = self.outbox.join(format!("{id}.json"));
        match files::read_record::<OutboxEntry>(&path)? {
            Record::Read(entry) if entry.dispatch_id == id.as_str() => Ok(Some(entry)),
            Record::Absent => Ok(None),
            Record::Read(_) | Record::Unreadable => {
                let aside = path.with_extension("damaged");
                files::rename(&path, &aside).at("set aside", &path)?;
                Ok(None)
            }
        }
    }
}

/// The dispatches that a folder holds an entry of.
fn ids_in(folder: &Path) -> Result<Vec<DispatchId>> {
    let mut ids = Vec::new();
    for entry in files::list(folder)? {
        let name = entry.at("read", folder)?.file_name();
        let id = name.to_str().and_then(|n| n.strip_suffix(".json"));
        ids.extend(id.and_then(DispatchId::parse));
    }
    Ok(ids)
}
