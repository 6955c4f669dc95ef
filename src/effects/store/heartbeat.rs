//! `.daemon-heartbeat`: one JSON object, replaced whole, so that a reader never sees half of it.
//!
//! A full disk has no room for a second file, and just then the beat has something to tell: the old
//! one is written over, in one write within its first block, which it has already.

use serde_json::Value;

use super::Store;
use super::files::{self, Durable};
use crate::effects::error::Result;
use crate::pure::time::parse_rfc3339;
use crate::pure::trouble::Fault;

const NAME: &str = ".daemon-heartbeat";
const BYTES_MAX: u64 = 1024 * 1024;
/// What every file with something in it has on every disk.
const BLOCK_BYTES: usize = 4096;

impl Store {
    pub fn write_heartbeat(&self, beat: &Value) -> Result<()> {
        let mut bytes = beat.to_string().into_bytes();
        match self.asides.replace(&self.dispatch, NAME, "heartbeat", &bytes, Durable::No) {
            Err(e) if e.fault() == Fault::Disk && bytes.len() <= BLOCK_BYTES => {
                // Blanks, so that nothing of the old beat stands behind this one.
                bytes.resize(BLOCK_BYTES, b' ');
                files::overwrite(&self.dispatch.join(NAME), &bytes).map_err(|_| e)
            }
            replaced => replaced,
        }
    }

    /// When the last beat was written, in milliseconds since 1970, as the beat itself says.
    pub fn heartbeat_at_ms(&self) -> Option<i64> {
        parse_rfc3339(self.read_heartbeat()?.get("ts")?.as_str()?)
    }

    /// Whose beat it is.
    pub fn heartbeat_pid(&self) -> Option<u32> {
        self.read_heartbeat()?.get("pid")?.as_u64()?.try_into().ok()
    }

    fn read_heartbeat(&self) -> Option<Value> {
        let bytes = files::read(&self.dispatch.join(NAME), BYTES_MAX).ok()?.into_read()?;
        serde_json::from_slice(&bytes).ok()
    }
}
