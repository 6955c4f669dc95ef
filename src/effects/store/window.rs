//! What happened in a window of time besides the dispatches that ended in it: the files that were
//! refused, and the lines of the audit log, oldest first.
//!
//! Must change nothing. What others wrote into the log is passed over.

use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::Store;
use super::disk::files;
use super::disk::identity;
use crate::effects::error::{At, Result};
use crate::pure::audit_event::AuditLine;
use crate::pure::tally::Window;
use crate::pure::text::time::read_file_stamp;

/// A hold that touches a window began at most this long before it.
const HOLD_MS_MAX: i64 = 8 * 86_400_000;
/// A longer line of the audit log is none of ours.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

impl Store {
    /// How many files were refused in the window.
    pub fn rejected_between(&self, window: Window) -> Result<u64> {
        let entries = match files::list(&self.rejected) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
            listed => listed?,
        };
        let mut count = 0;
        for entry in entries {
            let name = entry.at("read", &self.rejected)?.file_name();
            let at = name.to_str().and_then(read_file_stamp);
            count += u64::from(at.is_some_and(|at| window.has(at)));
        }
        Ok(count)
    }

    /// Hands on the lines of the audit log that may matter to a window that begins then, oldest
    /// first. `is_wanted` looks at the line before it is parsed.
    pub fn audit_lines(
        &self,
        since_ms: Option<i64>,
        is_wanted: fn(&str) -> bool,
        each: &mut dyn FnMut(AuditLine),
    ) -> Result<()> {
        let log = self.dispatch.join("audit.jsonl");
        let numbered = |number: u32| log.with_extension(format!("jsonl.{number}"));
        let old = (1..).take_while(|number| identity::of_path(&numbered(*number)).is_ok());
        let old: Vec<u32> = old.collect();
        for path in old.into_iter().rev().map(numbered).chain([log.clone()]) {
            read_lines(&path, since_ms, is_wanted, each)?;
        }
        Ok(())
    }
}

fn read_lines(
    path: &Path,
    since_ms: Option<i64>,
    is_wanted: fn(&str) -> bool,
    each: &mut dyn FnMut(AuditLine),
) -> Result<()> {
    let file = match files::open_plain(path) {
        // It may be rotated away between two looks.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.at("open", path)?,
    };
    let stamp = identity::of_file(&file).at("look at", path)?;
    let is_old = |since: i64| stamp.mtime_ns / 1_000_000 < since - HOLD_MS_MAX;
    if since_ms.is_some_and(is_old) {
        return Ok(());
    }
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if read.at("read", path)? == 0 {
            return Ok(());
        }
        if let Ok(text) = std::str::from_utf8(&line)
            && is_wanted(text)
        {
            each(AuditLine::read(text.trim_end()));
        }
    }
}
