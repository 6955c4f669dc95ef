//! What ended, for the commands that count it: the reports of a window of time, the files that were
//! refused in it, and the lines of the audit log.
//!
//! Must change nothing, and must not fail at what cannot be read of one dispatch: it is left out.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use serde::Deserialize;

use super::Store;
use super::disk::files;
use super::disk::identity;
use crate::effects::error::{At, Result};
use crate::effects::secrets;
use crate::pure::attempt::record::Accepted;
use crate::pure::audit_event::AuditLine;
use crate::pure::dispatch::DispatchId;
use crate::pure::report::Report;
use crate::pure::tally::{EndedDispatch, Window};
use crate::pure::text::time::{parse_rfc3339, read_file_stamp};

/// A hold that touches a window began at most this long before it.
const HOLD_MS_MAX: i64 = 8 * 86_400_000;
/// A longer line of the audit log is none of ours.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// What the dispatch itself says, as far as it is counted.
#[derive(Default, Deserialize)]
struct DispatchWords {
    #[serde(default)]
    task: String,
    #[serde(default)]
    project_dir: String,
}

impl Store {
    /// All dispatches whose reports were written since then (milliseconds since 1970; `None`:
    /// ever), in no order. `home` is what a leading `~` stands for.
    pub fn ended_since(
        &self,
        since_ms: Option<i64>,
        home: Option<&str>,
    ) -> Result<Vec<EndedDispatch>> {
        let mut ended = Vec::new();
        let mut seen = BTreeSet::new();
        // One that has its report and was not moved yet is found in either place, or in both.
        for place in [self.active.path(), self.finished.as_path()] {
            let entries = match files::list(place) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                listed => listed?,
            };
            for entry in entries {
                let name = entry.at("read", place)?.file_name();
                let Some(id) = name.to_str().and_then(DispatchId::parse) else { continue };
                if let Some(one) = read_ended(&place.join(&name), &id, since_ms, home)
                    && seen.insert(id)
                {
                    ended.push(one);
                }
            }
        }
        Ok(ended)
    }

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

fn read_ended(
    dir: &Path,
    id: &DispatchId,
    since_ms: Option<i64>,
    home: Option<&str>,
) -> Option<EndedDispatch> {
    let path = dir.join("report.json");
    let stamp = identity::of_path(&path).ok()?;
    // A report is written when its dispatch has ended, and never again.
    if since_ms.is_some_and(|since| stamp.mtime_ns / 1_000_000 < since) {
        return None;
    }
    let report = files::read_record::<Report>(&path).ok()?.into_read()?;
    if report.dispatch_id != id.as_str() {
        return None;
    }
    let words = files::read_record::<DispatchWords>(&dir.join("dispatch.json"));
    let words = words.ok().and_then(files::Record::into_read).unwrap_or_default();
    let accepted = files::read_record::<Accepted>(&dir.join("accepted.json"));
    let accepted = accepted.ok().and_then(files::Record::into_read);
    let expanded = match (words.project_dir.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => format!("{home}/{rest}"),
        _ => words.project_dir,
    };
    Some(EndedDispatch {
        report,
        project_dir: Some(expanded).filter(|dir| !dir.is_empty()),
        task: secrets::redact(&words.task),
        accepted_at_ms: accepted.and_then(|accepted| parse_rfc3339(&accepted.accepted_at)),
    })
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
