//! `.daemon-heartbeat`: one JSON object, replaced whole, so that a reader never sees half of it.

use serde_json::Value;

use super::Store;
use super::files::{self, Durable};
use crate::effects::error::Result;
use crate::pure::time::parse_rfc3339;

const NAME: &str = ".daemon-heartbeat";
const BYTES_MAX: u64 = 1024 * 1024;

impl Store {
    pub fn write_heartbeat(&self, beat: &Value) -> Result<()> {
        files::replace(&self.dispatch, NAME, beat.to_string().as_bytes(), Durable::No)
    }

    /// When the last beat was written, in milliseconds since 1970, as the beat itself says.
    pub fn heartbeat_at_ms(&self) -> Option<i64> {
        let bytes = files::read(&self.dispatch.join(NAME), BYTES_MAX).ok()??;
        let beat: Value = serde_json::from_slice(&bytes).ok()?;
        parse_rfc3339(beat.get("ts")?.as_str()?)
    }
}
