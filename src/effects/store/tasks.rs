//! What is on record about tasks of Clawvisor: `dispatchd/tasks/<task>` names the dispatch that
//! has a task which is for one dispatch, and `dispatchd/completing/<id>.json` is a task that is
//! still to be completed.
//!
//! Both outlive the dispatch: its own folder is in reach of its session. A task is given once, even
//! if the machine dies; a record that cannot be read has it given to somebody whom nobody knows.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Store;
use super::disk::files::{self, Durable, Record};
use crate::effects::error::{At, Error, Result};
use crate::pure::dispatch::{DispatchId, ID_CHARS_MAX};
use crate::pure::gate::clawvisor::TaskId;

/// Whether two dispatches ask for the same task at once is decided under this lock.
static GIVING: Mutex<()> = Mutex::new(());

/// Behind the id, where the task has been put down to be completed.
const OVER: &str = " over";

/// Who has a task that is for one dispatch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskHolder {
    Nobody,
    Dispatch(DispatchId),
    /// The record is damaged.
    Unknown,
}

/// The content of `tasks/<task>`.
struct TaskRecord {
    holder: DispatchId,
    /// It has been put down to be completed.
    is_over: bool,
}

impl TaskRecord {
    fn parse(bytes: &[u8]) -> Option<TaskRecord> {
        let line = str::from_utf8(bytes).ok()?.strip_suffix('\n')?;
        let (id, is_over) = line.strip_suffix(OVER).map_or((line, false), |id| (id, true));
        Some(TaskRecord { holder: DispatchId::parse(id)?, is_over })
    }

    fn text(&self) -> String {
        let TaskRecord { holder, is_over } = self;
        format!("{holder}{}\n", if *is_over { OVER } else { "" })
    }
}

/// A task that is to be completed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompletingEntry {
    pub dispatch_id: String,
    pub task: String,
    /// Each is counted before it is made.
    pub tries: u32,
    /// Wall clock, in milliseconds since 1970.
    pub next_at_ms: i64,
}

impl Store {
    /// Looks whether an earlier daemon left any of this. Called at start where Clawvisor is asked.
    pub fn look_for_tasks(&self) -> Result<()> {
        self.tasks.look()?;
        self.completing.look()
    }

    pub fn task_holder(&self, task: &TaskId) -> Result<TaskHolder> {
        if !self.tasks.is_there() {
            return Ok(TaskHolder::Nobody);
        }
        Ok(match self.read_task(task)? {
            Record::Absent => TaskHolder::Nobody,
            Record::Unreadable => TaskHolder::Unknown,
            Record::Read(TaskRecord { holder, .. }) => TaskHolder::Dispatch(holder),
        })
    }

    fn read_task(&self, task: &TaskId) -> Result<Record<TaskRecord>> {
        let path = self.tasks.dir.join(task.as_str());
        let bytes_max = (ID_CHARS_MAX + OVER.len() + 1) as u64;
        Ok(match files::read(&path, bytes_max)? {
            Record::Absent => Record::Absent,
            Record::Unreadable => Record::Unreadable,
            Record::Read(bytes) => {
                TaskRecord::parse(&bytes).map_or(Record::Unreadable, Record::Read)
            }
        })
    }

    /// Gives a task to that dispatch, durably, unless another has it. Says who has it.
    pub fn give_task(&self, task: &TaskId, id: &DispatchId) -> Result<TaskHolder> {
        let _giving = GIVING.lock().unwrap_or_else(PoisonError::into_inner);
        let holder = self.task_holder(task)?;
        if holder != TaskHolder::Nobody {
            return Ok(holder);
        }
        let record = TaskRecord { holder: id.clone(), is_over: false };
        self.write_task(task, &record).map_err(Error::of_all)?;
        Ok(TaskHolder::Dispatch(id.clone()))
    }

    fn write_task(&self, task: &TaskId, record: &TaskRecord) -> Result<()> {
        self.tasks.make(&self.own)?;
        files::replace(&self.tasks.dir, task.as_str(), record.text().as_bytes(), Durable::Yes)
    }

    /// Takes a task from a dispatch that never ran.
    pub fn take_task_back(&self, task: &TaskId, id: &DispatchId) -> Result<()> {
        if self.task_holder(task)? != TaskHolder::Dispatch(id.clone()) {
            return Ok(());
        }
        files::remove(&self.tasks.dir.join(task.as_str()))?;
        files::sync_dir(&self.tasks.dir)
    }

    // ---------------------------------------------------------------------------- to be completed

    /// Notes durably, and once, that the task of a dispatch is to be completed. Its record, which
    /// says that this was done, is kept for as long as the dispatch's id from now on.
    pub fn put_completing(&self, task: &TaskId, id: &DispatchId) -> Result<()> {
        let record = self.read_task(task)?.into_read();
        let Some(record) = record.filter(|record| record.holder == *id && !record.is_over) else {
            return Ok(());
        };
        if self.read_completing(id)?.is_none() {
            self.completing.make(&self.own).map_err(Error::of_all)?;
            let (dispatch_id, task) = (id.to_string(), task.to_string());
            let entry = CompletingEntry { dispatch_id, task, tries: 0, next_at_ms: 0 };
            self.update_completing(&entry)?;
        }
        let record = TaskRecord { is_over: true, ..record };
        self.write_task(task, &record).map_err(Error::of_all)
    }

    /// This is durable: whether a try was made before decides what an answer means.
    pub fn update_completing(&self, entry: &CompletingEntry) -> Result<()> {
        let dir = &self.completing.dir;
        let bytes = files::to_json(entry, dir)?;
        let (id, name) = (&entry.dispatch_id, format!("{}.json", entry.dispatch_id));
        self.asides.replace(dir, &name, id, &bytes, Durable::Yes).map_err(Error::of_all)
    }

    pub fn remove_completing(&self, id: &DispatchId) -> Result<()> {
        files::remove(&self.completing.dir.join(format!("{id}.json")))
    }

    pub fn list_completing(&self) -> Result<Vec<DispatchId>> {
        let dir = &self.completing.dir;
        if !self.completing.is_there() {
            return Ok(Vec::new());
        }
        let mut ids = Vec::new();
        for entry in files::list(dir)? {
            let name = entry.at("read", dir)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            ids.extend(id.and_then(DispatchId::parse));
        }
        Ok(ids)
    }

    /// Reads an entry; `None` if it is not there, or cannot be understood.
    pub fn read_completing(&self, id: &DispatchId) -> Result<Option<CompletingEntry>> {
        if !self.completing.is_there() {
            return Ok(None);
        }
        let path = self.completing.dir.join(format!("{id}.json"));
        let read = files::read_record::<CompletingEntry>(&path)?.into_read();
        Ok(read.filter(|entry| entry.dispatch_id == id.as_str()))
    }
}
