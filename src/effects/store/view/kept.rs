//! What the commands that steer ask of a dispatch beside its record: the bytes that it was accepted
//! with, where a refused file is kept, and whether the daemon has heeded a cancel.

use std::path::PathBuf;

use super::View;
use super::audit_tail::AuditTail;
use crate::effects::error::Result;
use crate::effects::store::claims::accept::read_accepted;
use crate::effects::store::disk::files;
use crate::effects::store::disk::identity;
use crate::effects::store::{Request, Room};
use crate::pure::dispatch::{DispatchId, FILE_BYTES_MAX};
use crate::pure::text::digest::sha256_hex;
use crate::pure::text::time::parse_rfc3339;

/// A line of the audit log may be this much older than the request that it answers, since a clock
/// may be set back.
const CLOCK_SLACK_MS: i64 = 60_000;

/// What a dispatch was accepted with.
pub enum AcceptedBytes {
    Kept(Vec<u8>),
    /// They are not those that were accepted: somebody, such as its own session, changed them.
    Changed,
    Gone,
}

impl View<'_> {
    /// The bytes of a dispatch that has ended.
    pub fn accepted_bytes(&self, id: &DispatchId) -> Result<AcceptedBytes> {
        let store = self.store;
        for dir in [
            store.finished_dir(id),
            store.dir_in(id, Room::Active),
            store.dir_in(id, Room::Pending),
            // It may have been retired between two looks.
            store.finished_dir(id),
        ] {
            let bytes = files::read(&dir.join("dispatch.json"), FILE_BYTES_MAX)?;
            let (Some(bytes), Some(accepted)) = (bytes.into_read(), read_accepted(&dir)?) else {
                continue;
            };
            return Ok(match sha256_hex(&bytes) == accepted.sha256 {
                true => AcceptedBytes::Kept(bytes),
                false => AcceptedBytes::Changed,
            });
        }
        Ok(AcceptedBytes::Gone)
    }

    /// The folder in which the newest file is kept that was refused under that id.
    pub fn rejected_dir(&self, id: &DispatchId) -> Result<Option<PathBuf>> {
        let names = self.rejected_names()?.into_iter();
        let mut named = names.filter(|name| self.rejected_id(name).as_ref() == Some(id));
        Ok(named.next().map(|name| self.store.rejected.join(name)))
    }

    /// Whether the audit log says that the standing cancel of that dispatch was heeded.
    pub fn is_cancel_on_record(&self, id: &DispatchId) -> Result<bool> {
        let name = Request::Cancel(Ok(id.clone())).name();
        let mut asked_ms = None;
        for dir in [self.store.drop_zone(), self.store.control_dir()] {
            let stamp = identity::find(&dir.join(&name))?;
            asked_ms = asked_ms.max(stamp.map(|stamp| stamp.mtime_ns / 1_000_000));
        }
        let since_ms = asked_ms.map(|asked_ms| asked_ms - CLOCK_SLACK_MS);
        for line in AuditTail::new(self.store) {
            let Ok(line) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            let at_ms = line["ts"].as_str().and_then(parse_rfc3339);
            if at_ms.zip(since_ms).is_some_and(|(at_ms, since_ms)| at_ms < since_ms) {
                break;
            }
            if line["dispatch_id"] == id.as_str() {
                match line["event"].as_str() {
                    Some("cancel_requested") => return Ok(true),
                    Some("received") => break,
                    _ => {}
                }
            }
        }
        Ok(false)
    }
}
