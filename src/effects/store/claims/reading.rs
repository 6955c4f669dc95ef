//! How often a session's stream was begun to be read: a byte in the attempt's file `reading`, set
//! before and taken back after.
//!
//! What is read is an agent's own, so a byte of it may be what takes the daemon down. Marks that
//! stayed are deaths at reading.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::effects::error::{At, Result};
use crate::effects::store::disk::aside::Asides;
use crate::effects::store::disk::files;

/// The file that counts the readings.
const READING: &str = "reading";

/// Says that somebody reads, before it, and that it went well, after it.
pub(in crate::effects::store) struct ReadingMark {
    file: File,
    path: PathBuf,
}

impl ReadingMark {
    /// Whatever stands there: what is not counted could take down one daemon after the other.
    pub fn open(dir: &Path, id: &str, asides: &Asides) -> Result<ReadingMark> {
        let path = dir.join(READING);
        let open = || files::open_to_append(&path).at("mark", &path);
        let file = match open() {
            Err(e) if asides.makes_way(&path, id, &e) => open()?,
            opened => opened?,
        };
        Ok(ReadingMark { file, path })
    }

    pub fn set(&mut self) -> Result<()> {
        files::write_all(&mut self.file, b"\n").at("mark", &self.path)
    }

    /// Whoever takes it back has read all that earlier ones died at.
    pub fn take_back(&mut self) -> Result<()> {
        self.file.set_len(0).at("mark", &self.path)
    }
}

/// How often a daemon began to read what the session left, and did not live to say that it had.
pub(in crate::effects::store) fn readings(attempt: &Path) -> u64 {
    files::open_plain(&attempt.join(READING)).map_or(0, |file| super::output::length(&file))
}
