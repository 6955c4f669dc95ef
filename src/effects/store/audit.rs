//! `audit.jsonl`: what happened, one JSON object a line, appended with one write each and never rewritten.
//!
//! A line that cannot be written (a full disk) waits in memory and costs no dispatch; what was written of it is cut off.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use serde_json::Value;

use super::{Store, identity};
use crate::effects::clock;
use crate::effects::error::{At, Result, fault};
use crate::pure::trouble::Fault;

/// Lines that wait for room on the disk; more than these are lost, and logged.
const WAITING_MAX: usize = 1000;

/// The one writer of the audit log.
pub struct Audit {
    path: PathBuf,
    log: Mutex<Log>,
}

struct Log {
    file: File,
    /// Lines that could not be written yet, oldest first.
    waiting: VecDeque<String>,
    /// Why they wait.
    trouble: Option<(String, Fault)>,
}

/// The fields of a line after `ts`, `event` and `dispatch_id`, in order.
pub type Details<'a> = &'a [(&'a str, Value)];

impl Store {
    pub fn open_audit(&self) -> Result<Audit> {
        let path = self.dispatch.join("audit.jsonl");
        let (file, torn) = open(&path).at("open", &path)?;
        let audit =
            Audit { path, log: Mutex::new(Log { file, waiting: VecDeque::new(), trouble: None }) };
        if torn {
            audit.record("audit_tail_repaired", "", &[]);
        }
        Ok(audit)
    }
}

impl Audit {
    /// Appends one line.
    pub fn record(&self, event: &str, dispatch_id: &str, details: Details) {
        let mut line = format!(
            "{{\"ts\":\"{}\",\"event\":{},\"dispatch_id\":{}",
            clock::stamp(),
            Value::from(event),
            Value::from(dispatch_id)
        );
        for (key, value) in details {
            line += &format!(",{}:{value}", Value::from(*key));
        }
        line += "}\n";
        let mut log = self.lock();
        if log.waiting.len() >= WAITING_MAX {
            log::error!("{} takes no more lines; lost: {}", self.path.display(), line.trim_end());
            return;
        }
        log.waiting.push_back(line);
        self.append_waiting(&mut log);
    }

    /// Why lines wait, if any do.
    pub fn trouble(&self) -> Option<(String, Fault)> {
        self.lock().trouble.clone()
    }

    /// Tries again what waits for room.
    pub fn write_waiting(&self) {
        self.append_waiting(&mut self.lock());
    }

    /// Writes what waited for room, and opens the file anew if another one stands under its name, or none (somebody rotated
    /// or removed it).
    pub fn follow(&self) {
        let mut log = self.lock();
        self.append_waiting(&mut log);
        let ours = identity::of_file(&log.file).map(|s| s.identity).ok();
        if identity::of_path(&self.path).map(|s| s.identity).ok() == ours {
            return;
        }
        match open(&self.path) {
            Ok((opened, _)) => log.file = opened,
            Err(e) => log::error!("cannot open {}: {e}", self.path.display()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append_waiting(&self, log: &mut Log) {
        while let Some(line) = log.waiting.front() {
            if let Err(e) = append(&mut log.file, line.as_bytes()) {
                let reason = format!("cannot append to {}: {e}", self.path.display());
                log.trouble = Some((reason, fault(&e)));
                return;
            }
            log.waiting.pop_front();
        }
        log.trouble = None;
    }
}

/// Appends all of it or nothing: a full disk takes a part of a line, which is cut off again.
fn append(file: &mut File, line: &[u8]) -> io::Result<()> {
    let mut written = 0;
    while written < line.len() {
        match file.write(&line[written..]) {
            Ok(n) if n > 0 => written += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            failed => {
                let length = file.metadata()?.len();
                file.set_len(length.saturating_sub(written as u64))?;
                return Err(failed.err().unwrap_or(io::ErrorKind::WriteZero.into()));
            }
        }
    }
    Ok(())
}

/// Opens for appending; true if the last line was torn (it is closed, never cut off: it is evidence).
fn open(path: &Path) -> io::Result<(File, bool)> {
    // What is planted there must not be written through.
    if fs::symlink_metadata(path).is_ok_and(|meta| !meta.is_file()) {
        let aside = path.with_extension(format!("jsonl.{}", clock::unix_ms()));
        fs::rename(path, aside)?;
    }
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    let mut file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok((file, false));
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    let torn = last != *b"\n";
    if torn {
        file.write_all(b"\n")?;
    }
    Ok((file, torn))
}
