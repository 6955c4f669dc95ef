//! Counts how often a reading of a session's stream was begun and not finished: each reading adds a
//! byte to the attempt's file `reading` first and empties the file afterwards.
//!
//! An agent wrote what is read, so a byte of it may be what takes the daemon down. Each mark that
//! stayed is a daemon that died while it read.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::effects::error::{At, Result};
use crate::effects::store::disk::aside::Asides;
use crate::effects::store::disk::files;

/// The file that counts the readings.
const READING: &str = "reading";

/// Marks that somebody reads, and takes the mark back once that went well.
pub(in crate::effects::store) struct ReadingMark {
    file: File,
    path: PathBuf,
}

impl ReadingMark {
    /// Opens the file, whatever stands there: a death that is not counted could take down one
    /// daemon after the other.
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

    /// Takes back all marks: whoever gets here has read everything that earlier daemons died at.
    pub fn take_back(&mut self) -> Result<()> {
        self.file.set_len(0).at("mark", &self.path)
    }
}

/// How often a daemon began to read what the session left and did not live to finish.
pub(in crate::effects::store) fn readings(attempt: &Path) -> u64 {
    files::open_plain(&attempt.join(READING)).map_or(0, |file| super::output::length(&file))
}
