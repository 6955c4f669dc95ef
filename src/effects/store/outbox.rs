//! `outbox/<id>.json`: a callback that has not been answered with 2xx yet. It outlives restarts;
//! the courier empties it.

use serde::{Deserialize, Serialize};

use super::Store;
use super::disk::files::{self, Durable, Record};
use crate::effects::error::{At, Error, Result};
use crate::pure::dispatch::DispatchId;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OutboxEntry {
    pub dispatch_id: String,
    pub url: String,
    /// The same for every try, so that a receiver can tell a repetition.
    pub idempotency_key: String,
    /// The exact bytes to send: ASCII JSON.
    pub body: String,
    pub tries: u32,
    /// Wall clock, in milliseconds since 1970.
    pub created_at_ms: i64,
    pub next_at_ms: i64,
}

impl Store {
    /// Durable: the dispatch is retired next, and the callback must not be lost with a power cut.
    pub fn put_outbox(&self, entry: &OutboxEntry) -> Result<()> {
        self.write_outbox(entry, Durable::Yes)
    }

    /// After a failed try. Not durable: an entry that goes back to its earlier state is tried once
    /// more.
    pub fn update_outbox(&self, entry: &OutboxEntry) -> Result<()> {
        self.write_outbox(entry, Durable::No)
    }

    fn write_outbox(&self, entry: &OutboxEntry, durable: Durable) -> Result<()> {
        let bytes = files::to_json(entry, &self.outbox)?;
        let (id, name) = (&entry.dispatch_id, format!("{}.json", entry.dispatch_id));
        // Whatever was in the way has been moved: what is left is the folder, which all share.
        self.asides.replace(&self.outbox, &name, id, &bytes, durable).map_err(Error::of_all)
    }

    pub fn remove_outbox(&self, entry: &OutboxEntry) -> Result<()> {
        files::remove(&self.outbox.join(format!("{}.json", entry.dispatch_id)))
    }

    /// Of everything that waits.
    pub fn list_outbox(&self) -> Result<Vec<DispatchId>> {
        let mut ids = Vec::new();
        for entry in files::list(&self.outbox)? {
            let name = entry.at("read", &self.outbox)?.file_name();
            let id = name.to_str().and_then(|n| n.strip_suffix(".json"));
            ids.extend(id.and_then(DispatchId::parse));
        }
        Ok(ids)
    }

    /// `None`: it is not there (any more). A damaged entry is set aside: it can be read by people,
    /// not by us. So is one that is not the entry its name says: it is written and removed under
    /// the id that it holds, and would be sent for ever.
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
