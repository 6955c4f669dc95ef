//! What only `show` tells of a dispatch: its attempts, its lines of the audit log, its callback,
//! and where its files lie.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::View;
use super::names::is_dir;
use crate::effects::error::Result;
use crate::effects::store::claims::attempts::numbers;
use crate::effects::store::claims::publish::REPORT;
use crate::effects::store::disk::files;
use crate::effects::store::{OutboxEntry, Room};
use crate::pure::attempt::record::{AttemptEnd, AttemptStart};
use crate::pure::dispatch::DispatchId;
use crate::pure::report::AttemptReport;
use crate::pure::text::time::{parse_rfc3339, rfc3339};

/// How long before its acceptance, in milliseconds, a line of a dispatch may stand: the file was
/// seen, and refused at first.
const BEFORE_MS: i64 = 60_000;
/// How long after its end, in milliseconds, a line of its callback may come.
const AFTER_MS: i64 = 26 * 3_600_000;
/// A line of the log that is longer is nobody's.
const LINE_BYTES_MAX: u64 = 1024 * 1024;

/// What became of a dispatch's callback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallbackFacts {
    Pending { tries: u32, next_try_ms: i64 },
    GivenUp { tries: u32 },
}

impl View<'_> {
    /// The report of a dispatch as it stands on disk.
    pub fn report_as_it_stands(&self, id: &DispatchId) -> Option<Value> {
        let read = |path: PathBuf| files::read_record::<Value>(&path).ok()?.into_read();
        let mut places = self.folders(id).map(|dir| dir.join(REPORT)).to_vec();
        places.push(self.store.answer_path(id));
        places.into_iter().find_map(read)
    }

    fn folders(&self, id: &DispatchId) -> [PathBuf; 3] {
        let room = |room| self.store.dir_in(id, room);
        [room(Room::Active), room(Room::Pending), self.store.finished_dir(id)]
    }

    /// The folder that has its files.
    pub fn folder(&self, id: &DispatchId) -> Option<PathBuf> {
        self.folders(id).into_iter().find(|dir| is_dir(dir))
    }

    /// Its attempts as far as they are known, for one that has no report yet.
    pub fn attempts_so_far(&self, id: &DispatchId) -> Result<Vec<AttemptReport>> {
        let Some(claim) = self.folder(id) else { return Ok(Vec::new()) };
        let mut attempts = Vec::new();
        for number in numbers(&claim)? {
            attempts.extend(read_attempt(&claim.join(format!("attempt-{number}")))?);
        }
        Ok(attempts)
    }

    /// A callback that is not delivered.
    pub fn callback(&self, id: &DispatchId) -> Option<CallbackFacts> {
        let name = format!("{id}.json");
        let read = |path: &Path| files::read_record::<OutboxEntry>(path).ok()?.into_read();
        if let Some(entry) = read(&self.store.outbox.join(&name)) {
            let next_try_ms = entry.next_at_ms;
            return Some(CallbackFacts::Pending { tries: entry.tries, next_try_ms });
        }
        let entry = read(&self.store.outbox.join("dead").join(&name))?;
        Some(CallbackFacts::GivenUp { tries: entry.tries })
    }

    /// Its lines of the audit log, oldest first. `accepted_at`, `finished_at`: in RFC 3339.
    pub fn events(
        &self,
        id: &DispatchId,
        accepted_at: Option<&str>,
        finished_at: Option<&str>,
    ) -> Vec<Value> {
        let log = self.store.drop_zone().join("audit.jsonl");
        let stamp = |at: Option<&str>, by: i64| Some(rfc3339(parse_rfc3339(at?)? + by));
        let from = stamp(accepted_at, -BEFORE_MS);
        let until = stamp(finished_at, AFTER_MS);
        let aside = (1..).map(|number| log.with_extension(format!("jsonl.{number}")));
        let mut logs: Vec<PathBuf> = vec![log.clone()];
        logs.extend(aside.take_while(|path| path.symlink_metadata().is_ok()));
        let mut events = Vec::new();
        for log in logs {
            let Some(found) = events_in(&log, id, from.as_deref(), until.as_deref()) else { break };
            events.splice(0..0, found.events);
            if found.is_whole {
                break;
            }
        }
        events
    }
}

fn read_attempt(dir: &Path) -> Result<Option<AttemptReport>> {
    if let Some(end) = files::read_record::<AttemptEnd>(&dir.join("end.json"))?.into_read() {
        return Ok(Some(end.attempt));
    }
    let start = files::read_record::<AttemptStart>(&dir.join("attempt.json"))?.into_read();
    Ok(start.map(|start| AttemptReport {
        attempt: start.attempt,
        started_at: Some(rfc3339(start.started_at_ms)),
        resumed: start.is_resumed(),
        session_id: Some(start.session_id).filter(|id| !id.is_empty()),
        ..AttemptReport::default()
    }))
}

struct FoundEvents {
    events: Vec<Value>,
    /// The log begins before the first of them, so that no older one is needed.
    is_whole: bool,
}

/// `None`: there is no such log.
fn events_in(
    log: &Path,
    id: &DispatchId,
    from: Option<&str>,
    until: Option<&str>,
) -> Option<FoundEvents> {
    let mut file = files::open_plain(log).ok()?;
    let start = from.and_then(|from| line_at(&mut file, from)).unwrap_or(0);
    file.seek(SeekFrom::Start(start)).ok()?;
    let needle = format!("\"dispatch_id\":\"{id}\"");
    let mut events = Vec::new();
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line);
        if !read.is_ok_and(|read| read > 0) {
            break;
        }
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        if until.is_some_and(|until| stamp_of(text).is_some_and(|at| at > until)) {
            break;
        }
        if text.contains(&needle) {
            let event = serde_json::from_str::<Value>(text).ok();
            events.extend(event.filter(|event| event["dispatch_id"] == json!(id.as_str())));
        }
    }
    Some(FoundEvents { events, is_whole: start > 0 })
}

/// Where the first line begins that is not older than that. The log is in order of time, but for
/// what others wrote into it.
fn line_at(file: &mut File, from: &str) -> Option<u64> {
    let (mut low, mut high) = (0, file.metadata().ok()?.len());
    while high - low > 64 * 1024 {
        let middle = low + (high - low) / 2;
        file.seek(SeekFrom::Start(middle)).ok()?;
        let mut reader = BufReader::new(&mut *file);
        let mut line = Vec::new();
        let torn = (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()? as u64;
        line.clear();
        (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line).ok()?;
        let text = String::from_utf8_lossy(&line);
        match stamp_of(&text) {
            Some(at) if at < from => low = middle + torn,
            Some(_) | None => high = middle,
        }
    }
    Some(low)
}

/// `{"ts":"2026-04-03T14:30:00.000Z",…`
fn stamp_of(line: &str) -> Option<&str> {
    let stamp = line.strip_prefix("{\"ts\":\"")?.get(..24)?;
    stamp.ends_with('Z').then_some(stamp)
}
