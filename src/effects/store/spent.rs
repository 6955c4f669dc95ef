//! `dispatchd/spent/<id>`: the id of a signed dispatch of which everything else has been pruned,
//! while its signature could still be shown again. The file holds the digest of the bytes.
//!
//! A finished dispatch keeps its id taken by its own folder, so that nothing of this is made on the
//! way of a dispatch. Only who prunes such a folder early (`reports_keep_days`) leaves this in its
//! place.

use std::path::Path;
use std::time::Duration;

use super::Store;
use super::claims::accept::read_accepted;
use super::claims::publish::REPORT;
use super::disk::files::{self, Durable, Record};
use super::disk::identity;
use crate::effects::clock;
use crate::effects::error::Result;
use crate::pure::dispatch::DispatchId;

/// A signature is valid for a day at most, from at most a day after it was accepted, and an id
/// stays taken for an hour longer: after three days no signature needs its id kept.
pub const SPENT_KEEP: Duration = Duration::from_secs(3 * 24 * 60 * 60);
/// A digest in hex.
const SHA256_DIGITS: u64 = 64;

impl Store {
    /// Whether that id is spent, and the digest of its bytes if that is known.
    pub(super) fn find_spent(&self, id: &DispatchId) -> Result<Option<Option<String>>> {
        if !self.spent.is_there() {
            return Ok(None);
        }
        let path = self.spent.dir.join(id.as_str());
        Ok(match files::read(&path, SHA256_DIGITS)? {
            Record::Absent => None,
            Record::Unreadable => Some(None),
            Record::Read(digits) => Some(String::from_utf8(digits).ok()),
        })
    }

    /// Keeps an id taken whose folder in `finished/` is about to go. This is durable when it
    /// returns. It does nothing where no signature of it can count any more.
    pub(super) fn note_spent(&self, name: &str) -> Result<()> {
        let dir = self.finished.join(name);
        let now_ms = clock::unix_ms();
        if !is_younger(&dir, now_ms, SPENT_KEEP) {
            return Ok(());
        }
        let sha256 = match read_accepted(&dir)? {
            Some(accepted) if accepted.signed.as_ref().is_some_and(|s| s.keeps_id(now_ms)) => {
                accepted.sha256
            }
            Some(_) => return Ok(()),
            // A session took its own record: perhaps it was signed.
            None if identity::find(&self.keys)?.is_some() => String::new(),
            None => return Ok(()),
        };
        self.spent.make(&self.own)?;
        files::replace(&self.spent.dir, name, sha256.as_bytes(), Durable::Yes)
    }
}

/// Whether the report in that folder is younger, or nobody can say.
fn is_younger(dir: &Path, now_ms: i64, age: Duration) -> bool {
    let stamp = identity::of_path(&dir.join(REPORT)).or_else(|_| identity::of_path(dir));
    stamp.map_or(true, |s| now_ms - s.mtime_ns / 1_000_000 < age.as_millis() as i64)
}
