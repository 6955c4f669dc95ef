//! `rejected/`: files that were refused, each in a folder named after the time, with its reason.

use std::path::Path;

use serde_json::Value;

use super::View;
use super::names::each_entry;
use crate::effects::error::Result;
use crate::effects::store::disk::files;
use crate::pure::dispatch::DispatchId;
use crate::pure::record::facts::{DispatchFacts, RejectedFacts, Stage};
use crate::pure::report::ErrorType;

impl View<'_> {
    /// The names of what was rejected, newest first.
    pub(super) fn rejected_names(&self) -> Result<Vec<String>> {
        let mut names = Vec::new();
        each_entry(&self.store.rejected, &mut |name, _| {
            names.extend(name.into_string().ok().filter(|name| !name.starts_with('.')));
        })?;
        names.sort_unstable_by(|one, two| two.cmp(one));
        Ok(names)
    }

    /// How many refused files are kept.
    pub fn count_rejected(&self) -> Result<usize> {
        self.rejected_names().map(|names| names.len())
    }

    /// What was refused under that id, or the report that says so.
    pub(super) fn rejected(&self, id: &DispatchId) -> Result<Option<DispatchFacts>> {
        for name in self.rejected_names()? {
            if self.rejected_id(&name).as_ref() == Some(id) {
                return Ok(self.rejection(&name));
            }
        }
        let report = self.read_published(id);
        let report = report.filter(|report| report.error_type == Some(ErrorType::InvalidDispatch));
        Ok(report.map(|report| {
            let why = RejectedFacts { report: Some(report), ..RejectedFacts::default() };
            DispatchFacts::new(Some(id.clone()), Stage::Rejected(why))
        }))
    }

    pub(super) fn rejected_id(&self, name: &str) -> Option<DispatchId> {
        let reason = read_reason(&self.store.rejected.join(name))?;
        DispatchId::parse(reason["dispatch_id"].as_str()?)
    }

    /// `None`: its reason cannot be read, or it is not there any more.
    pub(super) fn rejection(&self, name: &str) -> Option<DispatchFacts> {
        let dir = self.store.rejected.join(name);
        let reason = read_reason(&dir)?;
        let text = |key: &str| reason[key].as_str().map(str::to_string);
        let id = text("dispatch_id").as_deref().and_then(DispatchId::parse);
        let file = text("file");
        let fields = file.as_deref().filter(|file| !file.contains('/'));
        let fields = fields.and_then(|file| self.read_fields(&dir.join(file)));
        let report = id.as_ref().and_then(|id| self.read_published(id));
        let report = report.filter(|report| report.error_type == Some(ErrorType::InvalidDispatch));
        let (reason, error, at) = (text("reason"), text("error"), text("at"));
        let why = RejectedFacts { reason, error, file, at, report };
        Some(DispatchFacts { fields, ..DispatchFacts::new(id, Stage::Rejected(why)) })
    }
}

fn read_reason(dir: &Path) -> Option<Value> {
    files::read_record::<Value>(&dir.join("reason.json")).ok()?.into_read()
}
