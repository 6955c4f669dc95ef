//! One dispatch: where it is now, and what stands there.
//!
//! Each folder is read whole or not at all: a folder that is gone after it was read was renamed
//! meanwhile, and the dispatch is looked for anew. A session may have removed or forged any of its
//! own files; then what is left is told.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use super::View;
use super::names::{each_entry, is_dir};
use crate::effects::error::Result;
use crate::effects::project;
use crate::effects::store::Room;
use crate::effects::store::claims::accept::read_accepted;
use crate::effects::store::claims::attempts::numbers;
use crate::effects::store::claims::publish::REPORT;
use crate::effects::store::disk::files::{self, Record};
use crate::effects::store::disk::identity;
use crate::effects::store::drop_zone::inbox::is_inbox_name;
use crate::pure::attempt::record::{AttemptEnd, AttemptStart};
use crate::pure::dispatch::{DispatchId, FILE_BYTES_MAX, Lane};
use crate::pure::record::facts::{DispatchFacts, LastAttempt, OpenFacts, Stage};
use crate::pure::record::fields::DispatchFields;
use crate::pure::report::{ErrorType, Report, Status};

/// How often a dispatch that is nowhere is looked for: it may be renamed past every look.
const LOOKS_MAX: u32 = 3;
/// A dispatch with more retries than this is not told of the others.
const RETRIES_MAX: u32 = 1000;

impl View<'_> {
    /// Finds a dispatch wherever it is. `None`: there is none of that id.
    pub fn find(&self, id: &DispatchId) -> Result<Option<DispatchFacts>> {
        for _ in 0..LOOKS_MAX {
            if let Some(facts) = self.look(id)? {
                return Ok(Some(facts));
            }
        }
        Ok(None)
    }

    fn look(&self, id: &DispatchId) -> Result<Option<DispatchFacts>> {
        // Twice, since a claim can go back to `pending/` behind our back.
        for room in [Room::Pending, Room::Active, Room::Pending, Room::Active] {
            if let Some(facts) = self.claim(id, room)? {
                return Ok(Some(facts));
            }
            if room == Room::Active
                && let Some(facts) = self.finished(id)?
            {
                return Ok(Some(facts));
            }
        }
        if let Some(facts) = self.published(id)? {
            return Ok(Some(facts));
        }
        if let Some(facts) = self.in_inbox(id)? {
            return Ok(Some(facts));
        }
        if self.store.has_started(id)? {
            return Ok(Some(self.bare(id)));
        }
        self.rejected(id)
    }

    /// A dispatch in `pending/` or `active/`. `None`: it is not there, or not any more.
    pub(super) fn claim(&self, id: &DispatchId, room: Room) -> Result<Option<DispatchFacts>> {
        let dir = self.store.dir_in(id, room);
        if !is_dir(&dir) {
            return Ok(None);
        }
        let stage = match read_report(&dir) {
            Some(report) => Stage::Ended(report),
            None if room == Room::Pending => {
                let record = self.store.pending_record(id)?;
                Stage::Pending(record.map(|record| record.why))
            }
            None => Stage::Active(read_attempts(&dir)?),
        };
        let mut facts = self.in_folder(id, &dir, stage)?;
        facts.is_cancel_asked = self.store.is_cancel_asked(id.as_str());
        if let Stage::Active(open) = &mut facts.stage {
            let dir = facts.fields.as_ref().and_then(|fields| fields.project_dir.as_deref());
            open.lane = dir.map(|dir| self.lane(dir));
        }
        // Whatever was read is of this folder only if the folder still stands there.
        Ok(is_dir(&dir).then_some(facts))
    }

    /// A dispatch whose answer stands in `finished/`.
    pub(super) fn finished(&self, id: &DispatchId) -> Result<Option<DispatchFacts>> {
        let dir = self.store.finished_dir(id);
        if !is_dir(&dir) {
            return Ok(None);
        }
        let report = read_report(&dir).or_else(|| self.read_published(id));
        let report = report.unwrap_or_else(|| unreadable(id));
        self.in_folder(id, &dir, Stage::Ended(report)).map(Some)
    }

    /// A dispatch of which only the published report is left. One that refuses a file says nothing
    /// about a dispatch.
    pub(super) fn published(&self, id: &DispatchId) -> Result<Option<DispatchFacts>> {
        let is_answer = |report: &Report| {
            report.dispatch_id == id.as_str()
                && report.error_type != Some(ErrorType::InvalidDispatch)
        };
        let report = self.read_published(id).filter(|report| is_answer(report));
        let facts = report.map(|report| DispatchFacts::new(Some(id.clone()), Stage::Ended(report)));
        Ok(facts.map(|facts| self.with_retries(facts)))
    }

    pub(super) fn read_published(&self, id: &DispatchId) -> Option<Box<Report>> {
        let read = files::read_record::<Report>(&self.store.answer_path(id));
        read.ok()?.into_read().map(Box::new)
    }

    /// What its own folder could tell is gone.
    pub(super) fn bare(&self, id: &DispatchId) -> DispatchFacts {
        let open = OpenFacts { is_bare: true, ..OpenFacts::default() };
        DispatchFacts::new(Some(id.clone()), Stage::Active(open))
    }

    fn in_folder(&self, id: &DispatchId, dir: &Path, stage: Stage) -> Result<DispatchFacts> {
        let accepted = read_accepted(dir)?;
        let facts = DispatchFacts::new(Some(id.clone()), stage);
        Ok(self.with_retries(DispatchFacts {
            fields: self.read_fields(&dir.join("dispatch.json")),
            seq: accepted.as_ref().map_or(u64::MAX, |accepted| accepted.seq),
            inbox_file: accepted.as_ref().map(|one| (one.inbox_name(), one.inbox_file.ino)),
            accepted_at: accepted.map(|accepted| accepted.accepted_at),
            ..facts
        }))
    }

    pub(super) fn read_fields(&self, path: &Path) -> Option<DispatchFields> {
        let bytes = files::read(path, FILE_BYTES_MAX).ok()?.into_read()?;
        DispatchFields::read(&bytes, self.home_text())
    }

    // ----------------------------------------------------------------------------------- the inbox

    fn in_inbox(&self, id: &DispatchId) -> Result<Option<DispatchFacts>> {
        let known = self.inbox_names.borrow().get(id).cloned();
        let usual = format!("{id}.json");
        for name in known.as_deref().into_iter().chain([OsStr::new(&usual)]) {
            if let Some(facts) = self.inbox_file(name).filter(|facts| facts.id.as_ref() == Some(id))
            {
                return Ok(Some(facts));
            }
        }
        let mut names = Vec::new();
        self.each_inbox_name(&mut |name, _| names.push(name))?;
        for name in names {
            let facts = self.inbox_file(&name);
            if let Some(facts) = facts.filter(|facts| facts.id.as_ref() == Some(id)) {
                self.inbox_names.borrow_mut().insert(id.clone(), name);
                return Ok(Some(facts));
            }
        }
        Ok(None)
    }

    /// What a file of the inbox says. `None`: it is not there any more.
    pub(super) fn inbox_file(&self, name: &OsStr) -> Option<DispatchFacts> {
        let path = self.store.drop_zone().join(name);
        identity::find(&path).ok()??;
        let fields = self.read_fields(&path);
        let id = fields.as_ref().and_then(|fields| fields.id.clone());
        let is_cancel_asked = id.as_ref().is_some_and(|id| self.store.is_cancel_asked(id.as_str()));
        let stage = Stage::Inbox { file: Some(name.to_string_lossy().into_owned()) };
        Some(DispatchFacts { fields, is_cancel_asked, ..DispatchFacts::new(id, stage) })
    }

    /// Calls `each` with every name of the inbox, and the number of the file there.
    pub(super) fn each_inbox_name(&self, each: &mut dyn FnMut(OsString, u64)) -> Result<()> {
        each_entry(self.store.drop_zone(), &mut |name, ino| {
            if is_inbox_name(&name) {
                each(name, ino);
            }
        })
    }

    // -------------------------------------------------------------------------------- what else is

    pub(super) fn lane(&self, dir: &str) -> Lane {
        let mut lanes = self.lanes.borrow_mut();
        lanes.entry(dir.to_string()).or_insert_with(|| project::lane(Path::new(dir))).clone()
    }

    fn with_retries(&self, mut facts: DispatchFacts) -> DispatchFacts {
        if let Some(id) = &facts.id
            && !facts.state().is_open()
        {
            facts.retried_as = self.retries_of(id);
        }
        facts
    }

    /// The ids of the dispatches that are retries of this one. Theirs are BASE-r2, BASE-r3, …
    fn retries_of(&self, id: &DispatchId) -> Vec<String> {
        let base = retry_base(id.as_str());
        let mut found = Vec::new();
        for number in 2..RETRIES_MAX {
            let Some(retry) = DispatchId::parse(&format!("{base}-r{number}")) else { break };
            if retry == *id {
                continue;
            }
            match self.retry_of(&retry) {
                None => break,
                Some(of) if of.as_deref() == Some(id.as_str()) => found.push(retry.to_string()),
                Some(_) => {}
            }
        }
        found
    }

    /// The outer `None`: there is no such dispatch.
    fn retry_of(&self, retry: &DispatchId) -> Option<Option<String>> {
        let inbox = self.store.drop_zone().join(format!("{retry}.json"));
        let folders = [
            self.store.dir_in(retry, Room::Pending),
            self.store.dir_in(retry, Room::Active),
            self.store.finished_dir(retry),
        ];
        let there =
            folders.into_iter().find(|dir| is_dir(dir)).map(|dir| dir.join("dispatch.json"));
        let path = there.or_else(|| inbox.symlink_metadata().is_ok().then_some(inbox));
        match path {
            Some(path) => Some(self.read_fields(&path).and_then(|fields| fields.retry_of)),
            None => self.store.answer_path(retry).symlink_metadata().ok().map(|_| None),
        }
    }
}

/// The id without `-rN`.
fn retry_base(id: &str) -> &str {
    let Some((base, number)) = id.rsplit_once("-r") else { return id };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_number && base.len() > "dispatch-".len() { base } else { id }
}

fn read_report(dir: &Path) -> Option<Box<Report>> {
    files::read_record::<Report>(&dir.join(REPORT)).ok()?.into_read().map(Box::new)
}

/// A report that nobody can read any more.
fn unreadable(id: &DispatchId) -> Box<Report> {
    let fields = serde_json::json!({
        "dispatch_id": id.as_str(),
        "status": Status::Failed,
        "duration": 0,
        "target_agent": "",
        "error": "its report cannot be read",
    });
    let report = serde_json::from_value::<Report>(fields);
    Box::new(report.expect("invariant: these are the fields that a report needs"))
}

fn read_attempts(claim: &Path) -> Result<OpenFacts> {
    let mut open = OpenFacts::default();
    for number in numbers(claim)?.into_iter().rev() {
        let dir = claim.join(format!("attempt-{number}"));
        let start = match files::read_record::<AttemptStart>(&dir.join("attempt.json"))? {
            Record::Absent => continue,
            read => read.into_read(),
        };
        let end = files::read_record::<AttemptEnd>(&dir.join("end.json"))?.into_read();
        let output = identity::of_path(&dir.join("stdout.jsonl")).ok();
        open.first_started_ms = start.map(|start| start.first.at_ms);
        open.last = Some(LastAttempt {
            number,
            end: end.map(Box::new),
            output_bytes: output.map(|stamp| stamp.size),
            last_activity_ms: output.map(|stamp| stamp.mtime_ns / 1_000_000),
        });
        break;
    }
    Ok(open)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_retry_has_the_base_of_the_first() {
        for (id, want) in [
            ("dispatch-a", "dispatch-a"),
            ("dispatch-a-r2", "dispatch-a"),
            ("dispatch-a-r12", "dispatch-a"),
            ("dispatch-a-r", "dispatch-a-r"),
            ("dispatch-a-rx", "dispatch-a-rx"),
            ("dispatch--r2", "dispatch--r2"),
        ] {
            assert_eq!(retry_base(id), want);
        }
    }

    #[test]
    fn a_report_that_cannot_be_read_is_told_as_one() {
        let id = DispatchId::parse("dispatch-a").expect("an id");
        assert_eq!(unreadable(&id).status, Status::Failed);
    }
}
