//! `.daemon-heartbeat`: one JSON object, replaced whole, so that a reader never sees half of it.
//!
//! A full disk has no room for a second file, and just then the heartbeat has something to tell. So
//! the old file is written over, in one write within its first block, which it has already.

use crate::effects::error::Result;
use crate::effects::store::Store;
use crate::effects::store::disk::files::{self, Durable};
use crate::pure::heartbeat::Heartbeat;
use crate::pure::upkeep::health::Fault;

const NAME: &str = ".daemon-heartbeat";
const BYTES_MAX: u64 = 1024 * 1024;
/// The block that every file with something in it has on every disk.
const BLOCK_BYTES: usize = 4096;

impl Store {
    pub fn write_heartbeat(&self, beat: &Heartbeat) -> Result<()> {
        let path = self.dispatch.join(NAME);
        let mut bytes = files::to_json(beat, &path)?;
        match self.asides.replace(&self.dispatch, NAME, "heartbeat", &bytes, Durable::No) {
            Err(e) if e.fault() == Fault::Disk && bytes.len() <= BLOCK_BYTES => {
                // The blanks leave nothing of the old beat behind this one.
                bytes.resize(BLOCK_BYTES, b' ');
                files::overwrite(&path, &bytes).map_err(|_| e)
            }
            replaced => replaced,
        }
    }

    /// The last beat that was written, by whichever daemon.
    pub fn read_heartbeat(&self) -> Option<Heartbeat> {
        let bytes = files::read(&self.dispatch.join(NAME), BYTES_MAX).ok()?.into_read()?;
        Heartbeat::read(&bytes)
    }

    /// When the last beat was written, in milliseconds since 1970, as it says itself.
    pub fn heartbeat_at_ms(&self) -> Option<i64> {
        self.read_heartbeat()?.at_ms()
    }

    /// The pid that the last beat names.
    pub fn heartbeat_pid(&self) -> Option<u32> {
        self.read_heartbeat()?.pid
    }
}
