//! `audit.jsonl`: what happened, one JSON object a line, appended with one write each and never rewritten.
//!
//! Losing a line must not cost a dispatch: a failed write is logged and the work goes on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;
use serde_json::Value;

use super::{Store, identity};
use crate::effects::clock;
use crate::effects::error::{At, Result};

/// The one writer of the audit log. The mutex is for [`Audit::follow`] only; a line is one write.
pub struct Audit {
    path: PathBuf,
    file: Mutex<File>,
}

/// The fields of a line after `ts`, `event` and `dispatch_id`, in order.
pub type Details<'a> = &'a [(&'a str, Value)];

impl Store {
    pub fn open_audit(&self) -> Result<Audit> {
        let path = self.dispatch.join("audit.jsonl");
        let (file, torn) = open(&path).at("open", &path)?;
        let audit = Audit { path, file: Mutex::new(file) };
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
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(e) = file.write_all(line.as_bytes()) {
            log::error!("cannot append to {}: {e}; lost: {}", self.path.display(), line.trim_end());
        }
    }

    /// Opens the file anew if another one stands under its name, or none (somebody rotated or removed it).
    pub fn follow(&self) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let ours = identity::of_file(&file).map(|s| s.identity).ok();
        if identity::of_path(&self.path).map(|s| s.identity).ok() == ours {
            return;
        }
        match open(&self.path) {
            Ok((opened, _)) => *file = opened,
            Err(e) => log::error!("cannot open {}: {e}", self.path.display()),
        }
    }
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
