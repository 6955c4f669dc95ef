//! Files that the processes of a session write: we make them, hold them open, and read them from
//! their end.
//!
//! A lock on such a file lives as long as any process that was given it, so we open the file for
//! ourselves apart from what the processes are given.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use crate::effects::error::{At, Error, Result};
use crate::effects::failpoint::{self, Effect};
use crate::effects::store::disk::files;

/// How much of what an acceptance command wrote goes into the report.
const VERIFY_TAIL_BYTES: u64 = 4 * 1024;
const VERIFY_TAIL_LINES: usize = 20;

/// A file that is handed to a process: a thread passes it on, and has no other use for files.
pub type OutputFile = File;

/// The file that an acceptance command writes to, on stdout and on stderr. This is not the
/// descriptor that the command has, whose lock is its own.
#[derive(Clone, Debug)]
pub struct VerifyLog(Arc<File>);

impl VerifyLog {
    /// Makes the log, with the locked file that the command is to be given.
    pub(in crate::effects::store) fn create(path: &Path) -> Result<(VerifyLog, File)> {
        let log = open_output(path)?;
        log.try_lock().map_err(|e| Error::new("lock", path, e.into()))?;
        Ok((VerifyLog(Arc::new(files::open_plain(path).at("open", path)?)), log))
    }

    /// Takes the log of an earlier run.
    pub(in crate::effects::store) fn of(file: File) -> VerifyLog {
        VerifyLog(Arc::new(file))
    }

    /// The open file, to ask who holds it.
    pub fn file(&self) -> Arc<File> {
        self.0.clone()
    }

    pub fn bytes(&self) -> u64 {
        length(&self.0)
    }

    /// The last lines of the log.
    pub fn tail(&self) -> String {
        let text = tail(&self.0, VERIFY_TAIL_BYTES);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(VERIFY_TAIL_LINES)..].join("\n")
    }
}

pub(in crate::effects::store) fn length(file: &File) -> u64 {
    file.metadata().map_or(0, |meta| meta.len())
}

pub(in crate::effects::store) fn tail(file: &File, bytes: u64) -> String {
    let from = length(file).saturating_sub(bytes);
    let mut tail = vec![0; bytes as usize];
    let mut read = 0;
    while let Ok(n @ 1..) = file.read_at(&mut tail[read..], from + read as u64) {
        read += n;
    }
    String::from_utf8_lossy(&tail[..read]).into_owned()
}

pub(in crate::effects::store) fn open_output(path: &Path) -> Result<File> {
    // With O_APPEND, neither a resumed session nor a child that reopens its output can overwrite
    // what is there.
    let mut options = OpenOptions::new();
    options.append(true).create_new(true).mode(0o600);
    failpoint::before(Effect::Create(path)).and_then(|()| options.open(path)).at("create", path)
}
