//! What the attempts of a dispatch left, for a command that shows it: wherever the claim is now,
//! and while a daemon and a session go on with it.
//!
//! Owns where to look: a claim moves from `active/` to `finished/` in one rename, so that what is
//! looked for first in the one and then in the other is always found. Must change nothing and block
//! on nothing: a session can put anything in place of its own files.

use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::attempts::numbers;
use super::output;
use super::stream::Stream;
use crate::effects::error::{At, Result};
use crate::effects::store::Store;
use crate::effects::store::disk::files::{self, Record};
use crate::effects::store::disk::identity;
use crate::pure::attempt::record::{AttemptEnd, AttemptStart};
use crate::pure::dispatch::DispatchId;
use crate::pure::report::Report;

/// How much of the end of stderr is read.
const STDERR_TAIL_BYTES: u64 = 16 * 1024;

/// The attempts of one dispatch.
pub struct AttemptLogs {
    /// Where its folder is, may be by now, or was put when it was of no use.
    places: [PathBuf; 3],
}

impl Store {
    pub fn attempt_logs(&self, id: &DispatchId) -> AttemptLogs {
        let finished = self.finished_dir(id);
        let remains = finished.join("remains");
        AttemptLogs { places: [self.claim_dir(id), finished, remains] }
    }
}

impl AttemptLogs {
    /// The numbers of the attempts that began, ascending. What a session may have made up is among
    /// them until the report stands, which counts its attempts.
    pub fn numbers(&self) -> Result<Vec<u32>> {
        let mut found = Vec::new();
        for place in &self.places {
            found.extend(numbers(place)?);
        }
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// The answer, once it stands.
    pub fn report(&self) -> Result<Option<Report>> {
        self.first(|place| Ok(read::<Report>(&place.join("report.json"))))
    }

    pub fn is_answered(&self) -> Result<bool> {
        let stands = |place: &Path| Ok(identity::find(&place.join("report.json"))?.map(drop));
        Ok(self.first(stands)?.is_some())
    }

    pub fn start(&self, number: u32) -> Result<Option<AttemptStart>> {
        self.first(|place| Ok(read(&dir(place, number).join("attempt.json"))))
    }

    pub fn end(&self, number: u32) -> Result<Option<AttemptEnd>> {
        self.first(|place| Ok(read(&dir(place, number).join("end.json"))))
    }

    /// The attempt's stream from its beginning. `None`: it is not there. The error says that
    /// something else stands in its place.
    pub fn stream(&self, number: u32) -> Result<Option<Stream>> {
        self.first(|place| {
            let path = dir(place, number).join("stdout.jsonl");
            match files::open_plain(&path) {
                Err(e) if is_missing(&e) => Ok(None),
                opened => Ok(Some(Stream::of_file(opened.at("open", &path)?, path))),
            }
        })
    }

    /// The last lines of stderr, at most so many.
    pub fn stderr_lines(&self, number: u32, lines_max: usize) -> Vec<String> {
        let tail = self.first(|place| {
            let file = files::open_plain(&dir(place, number).join("stderr.log")).ok();
            Ok(file.map(|file| output::tail(&file, STDERR_TAIL_BYTES)))
        });
        let tail = tail.ok().flatten().unwrap_or_default();
        let lines: Vec<&str> = tail.lines().filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(lines_max)..].iter().map(|line| line.to_string()).collect()
    }

    fn first<T>(&self, look: impl Fn(&Path) -> Result<Option<T>>) -> Result<Option<T>> {
        for place in &self.places {
            if let Some(found) = look(place)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn dir(place: &Path, number: u32) -> PathBuf {
    place.join(format!("attempt-{number}"))
}

/// A record that cannot be read is none.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    match files::read_record(path) {
        Ok(Record::Read(record)) => Some(record),
        Ok(Record::Absent | Record::Unreadable) | Err(_) => None,
    }
}

fn is_missing(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
