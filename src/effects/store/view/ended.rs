//! What has ended, newest first, without opening every report: the audit log's tail tells what
//! ended last, the folders decide whether that is so.
//!
//! Where the log tells less than there is (it was removed, cut, or pruned, or its last lines were
//! lost), the folders are asked for all their times.

use std::collections::HashSet;

use rustix::fs::{AtFlags, Mode, OFlags};

use super::View;
use super::audit_tail::AuditTail;
use super::names::{ids_of, json_ids_of};
use crate::effects::error::Result;
use crate::effects::store::Room;
use crate::effects::store::claims::publish::REPORT;
use crate::effects::store::disk::identity;
use crate::pure::audit_event::AuditLine;
use crate::pure::dispatch::DispatchId;
use crate::pure::record::facts::{DispatchFacts, Stage};
use crate::pure::text::time::parse_rfc3339;

/// A dispatch reaches `finished/` within this, in milliseconds, after its last line in the log.
const LINE_BEFORE_FOLDER_MS: i64 = 2000;

/// Yields what ended and what was rejected, newest first, each id once.
pub struct EndedWalk<'v> {
    view: &'v View<'v>,
    seen: HashSet<DispatchId>,
    source: Source,
    meanwhile: Vec<DispatchFacts>,
    next_ended: Option<DispatchFacts>,
    /// The folders of `rejected/`, newest last.
    rejected: Vec<String>,
    next_rejected: Option<DispatchFacts>,
}

enum Source {
    /// The lines of the log; the first of them tells whether it can be believed.
    Tail { tail: AuditTail, is_first: bool },
    /// Ids, newest last.
    Folders(Vec<DispatchId>),
}

impl View<'_> {
    /// `meanwhile`: what was found to have ended as the open ones were read. The log may not tell
    /// of it yet.
    pub fn ended(&self, meanwhile: &[DispatchFacts]) -> Result<EndedWalk<'_>> {
        let mut rejected = self.rejected_names()?;
        rejected.reverse();
        let tail = AuditTail::new(self.store);
        Ok(EndedWalk {
            view: self,
            seen: HashSet::new(),
            source: Source::Tail { tail, is_first: true },
            meanwhile: meanwhile.to_vec(),
            next_ended: None,
            rejected,
            next_rejected: None,
        })
    }

    /// A dispatch that has ended, wherever its answer stands.
    pub fn if_ended(&self, id: &DispatchId) -> Result<Option<DispatchFacts>> {
        let found = match self.claim(id, Room::Active)? {
            None => self.finished(id)?,
            found => found,
        };
        let found = match found {
            None => self.published(id)?,
            found => found,
        };
        Ok(found.filter(|facts| matches!(facts.stage, Stage::Ended(_))))
    }

    /// Every id that has an answer, newest last.
    fn all_answered(&self) -> Result<Vec<DispatchId>> {
        let finished = ids_of(&self.store.finished)?;
        let known: HashSet<&DispatchId> = finished.iter().collect();
        let mut times = times_in(&self.store.finished, finished.iter(), &format!("/{REPORT}"));
        let published = json_ids_of(self.store.completed.path())?;
        let others = published.iter().filter(|id| !known.contains(id));
        times.extend(times_in(self.store.completed.path(), others, ".json"));
        times.sort_unstable();
        Ok(times.into_iter().map(|(_, id)| id.clone()).collect())
    }

    /// When `finished/` last gained or lost an entry, in milliseconds since 1970.
    fn finished_changed_ms(&self) -> Option<i64> {
        identity::of_path(&self.store.finished).ok().map(|stamp| stamp.mtime_ns / 1_000_000)
    }
}

/// When each of these was written. One open folder serves all, since there may be many.
fn times_in<'i>(
    folder: &std::path::Path,
    ids: impl Iterator<Item = &'i DispatchId>,
    ending: &str,
) -> Vec<((i64, i64), &'i DispatchId)> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(dir) = rustix::fs::open(folder, flags, Mode::empty()) else { return Vec::new() };
    let mut name = String::new();
    let time = |id: &'i DispatchId| {
        name.clear();
        name.push_str(id.as_str());
        name.push_str(ending);
        let stat = rustix::fs::statat(&dir, &name, AtFlags::SYMLINK_NOFOLLOW);
        // What cannot be looked at comes last.
        let at = stat.map_or((0, 0), |stat| (stat.st_mtime, stat.st_mtime_nsec as i64));
        (at, id)
    };
    ids.map(time).collect()
}

impl EndedWalk<'_> {
    fn ended(&mut self) -> Result<Option<DispatchFacts>> {
        if let Some(facts) = self.meanwhile.pop() {
            return Ok(Some(facts));
        }
        while let Some(id) = self.next_id()? {
            if !self.seen.contains(&id)
                && let Some(facts) = self.view.if_ended(&id)?
            {
                return Ok(Some(facts));
            }
        }
        Ok(None)
    }

    fn next_id(&mut self) -> Result<Option<DispatchId>> {
        let Source::Tail { tail, is_first } = &mut self.source else {
            return Ok(match &mut self.source {
                Source::Folders(ids) => ids.pop(),
                Source::Tail { .. } => None,
            });
        };
        let last = tail.by_ref().find_map(|line| end_in(&line));
        let was_first = std::mem::replace(is_first, false);
        let behind_ms = self.view.finished_changed_ms().filter(|_| was_first);
        match last {
            // The log has all that the folders have.
            Some((at_ms, id))
                if behind_ms.is_none_or(|changed| changed - at_ms <= LINE_BEFORE_FOLDER_MS) =>
            {
                Ok(Some(id))
            }
            Some(_) | None => {
                self.source = Source::Folders(self.view.all_answered()?);
                self.next_id()
            }
        }
    }

    fn refused(&mut self) -> Option<DispatchFacts> {
        while let Some(name) = self.rejected.pop() {
            let Some(facts) = self.view.rejection(&name) else { continue };
            let is_known = |id: &DispatchId| self.seen.contains(id) || self.is_dispatched(id);
            if !facts.id.as_ref().is_some_and(is_known) {
                return Some(facts);
            }
        }
        None
    }

    /// Whether a dispatch of that id was accepted: then the file only brought the id again.
    fn is_dispatched(&self, id: &DispatchId) -> bool {
        let found = self.view.find(id).ok().flatten();
        found.is_some_and(|facts| !matches!(facts.stage, Stage::Rejected(_)))
    }
}

impl Iterator for EndedWalk<'_> {
    type Item = Result<DispatchFacts>;

    fn next(&mut self) -> Option<Result<DispatchFacts>> {
        if self.next_ended.is_none() {
            self.next_ended = match self.ended() {
                Ok(found) => found,
                Err(e) => return Some(Err(e)),
            };
        }
        if self.next_rejected.is_none() {
            self.next_rejected = self.refused();
        }
        let ended_at = self.next_ended.as_ref().and_then(end_of);
        let refused_at = self.next_rejected.as_ref().and_then(end_of);
        let is_refused_newer = self.next_ended.is_none() || refused_at > ended_at;
        let next = match is_refused_newer {
            true if self.next_rejected.is_some() => self.next_rejected.take(),
            true | false => self.next_ended.take(),
        };
        let next = next?;
        self.seen.extend(next.id.clone());
        Some(Ok(next))
    }
}

/// When it ended, in milliseconds since 1970.
fn end_of(facts: &DispatchFacts) -> Option<i64> {
    let at = match &facts.stage {
        Stage::Ended(report) => report.finished_at.as_deref(),
        Stage::Rejected(why) => why.at.as_deref(),
        Stage::Inbox { .. } | Stage::Pending(_) | Stage::Active(_) => None,
    };
    at.and_then(parse_rfc3339)
}

/// Which dispatch a line says has ended, and when.
fn end_in(line: &str) -> Option<(i64, DispatchId)> {
    // Most lines tell of something else, and are not parsed.
    let ends = ["\"completed\"", "\"failed\"", "\"cancelled\""];
    if !ends.iter().any(|word| line.contains(word)) {
        return None;
    }
    let line = AuditLine::read(line);
    let is_end = ["completed", "failed", "cancelled"].contains(&line.word.as_str());
    let at_ms = parse_rfc3339(&line.ts).filter(|_| is_end)?;
    Some((at_ms, DispatchId::parse(&line.dispatch_id)?))
}
