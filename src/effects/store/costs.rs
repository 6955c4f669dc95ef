//! `costs.jsonl`: what attempts cost that ended within the window of the budget, one line each. It
//! is there only while a budget is set.
//!
//! The ends themselves stand in `finished/`, and are the truth; but tens of thousands of dispatches
//! lie there, and a start must not read them all. So each end is noted here, durably, before its
//! dispatch may leave `active/`. The first line says since when the file is complete: where it is
//! missing, damaged there or too young, it is made again from `finished/`.

use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Store;
use super::claims::publish::REPORT;
use super::disk::files::{self, Durable, Record};
use super::disk::identity;
use crate::effects::error::{At, Result};
use crate::pure::dispatch::DispatchId;
use crate::pure::report::Report;
use crate::pure::schedule::budget::Cost;

const NAME: &str = "costs.jsonl";
const BYTES_MAX: u64 = 64 * 1024 * 1024;

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CostsFile {
    /// Nothing that ended after this is missing.
    pub since_ms: i64,
    pub costs: Vec<Cost>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    since_ms: i64,
}

/// A dispatch that was answered.
pub struct Answered {
    pub id: DispatchId,
    pub report: Report,
    /// As it was dispatched; empty if that is not known any more.
    pub project_dir: String,
}

impl Store {
    fn costs_path(&self) -> PathBuf {
        self.own.join(NAME)
    }

    /// `None`: there is none that can be believed. A line that makes no sense was torn by a crash,
    /// and its attempt is still open.
    pub fn read_costs(&self) -> Option<CostsFile> {
        let bytes = files::read(&self.costs_path(), BYTES_MAX).ok()?.into_read()?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let Head { since_ms } = serde_json::from_str(lines.next()?).ok()?;
        let costs = lines.filter_map(|line| serde_json::from_str(line).ok()).collect();
        Some(CostsFile { since_ms, costs })
    }

    /// Replaces the file. Gives its length.
    pub fn write_costs(&self, since_ms: i64, spent: &[Cost]) -> Result<u64> {
        let path = self.costs_path();
        let mut bytes = files::to_json(&Head { since_ms }, &path)?;
        bytes.push(b'\n');
        for one in spent {
            bytes.extend(files::to_json(one, &path)?);
            bytes.push(b'\n');
        }
        self.asides.replace(&self.own, NAME, "spent", &bytes, Durable::Yes)?;
        Ok(bytes.len() as u64)
    }

    /// Appends a line, durably, to a file of that length. Gives the new length; `None`: the file is
    /// not the one that we wrote, since somebody else reached it.
    pub fn append_cost(&self, length: u64, one: &Cost) -> Result<Option<u64>> {
        let path = self.costs_path();
        let mut file = files::open_to_append(&path).at("open", &path)?;
        if file.metadata().at("look at", &path)?.len() != length {
            return Ok(None);
        }
        let mut line = files::to_json(one, &path)?;
        line.push(b'\n');
        files::write_all(&mut file, &line)
            .and_then(|()| file.flush())
            .and_then(|()| files::sync_file(&file, &path))
            .at("append to", &path)?;
        Ok(Some(length + line.len() as u64))
    }

    pub fn remove_costs(&self) -> Result<()> {
        files::remove(&self.costs_path())
    }

    /// The dispatches that were answered since then. It looks at each folder of `finished/`.
    pub fn answered_since(&self, since_ms: i64) -> Result<Vec<Answered>> {
        let mut answered = Vec::new();
        for entry in files::list(&self.finished)? {
            let name = entry.at("read", &self.finished)?.file_name();
            let Some(id) = name.to_str().and_then(DispatchId::parse) else { continue };
            let dir = self.finished_dir(&id);
            let is_new = |stamp: identity::Stamp| stamp.mtime_ns / 1_000_000 >= since_ms;
            if !identity::of_path(&dir.join(REPORT)).is_ok_and(is_new) {
                continue;
            }
            let Ok(Record::Read(report)) = files::read_record::<Report>(&dir.join(REPORT)) else {
                continue;
            };
            let dispatch = files::read_record::<Value>(&dir.join("dispatch.json"));
            let dispatch = dispatch.ok().and_then(Record::into_read).unwrap_or_default();
            let project_dir = dispatch["project_dir"].as_str().unwrap_or_default().to_string();
            answered.push(Answered { id, report, project_dir });
        }
        Ok(answered)
    }
}
