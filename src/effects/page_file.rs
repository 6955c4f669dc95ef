//! A file that somebody asked for, wherever they want it: it appears whole or not at all.
//!
//! Must not replace what is no plain file: a device or a FIFO is written to instead.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::Path;

use super::error::{At, Result};

pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    // This follows links: what counts is where they lead.
    let is_plain = fs::metadata(path).map_or(true, |meta| meta.is_file());
    let Some(name) = path.file_name().filter(|_| is_plain) else {
        let opened = OpenOptions::new().write(true).open(path);
        return opened.and_then(|mut file| file.write_all(bytes)).at("write", path);
    };
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
    let beside = format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id());
    let beside = target.with_file_name(beside);
    let mut options = OpenOptions::new();
    let made = options.write(true).create_new(true).open(&beside);
    let written = made.and_then(|mut file| file.write_all(bytes));
    let placed = written.and_then(|()| fs::rename(&beside, &target));
    if placed.is_err() {
        let _ = fs::remove_file(&beside);
    }
    placed.at("write", path)
}
