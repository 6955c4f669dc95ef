//! The record of one dispatch, as every command gives it: what it is, how far it is, what it waits
//! for, how it ended. One type serves `list`, `status`, `show`, `wait` and whatever else tells of a
//! dispatch, so that all of them say the same.
//!
//! Must not read anything: [`facts`] are what the files said.

pub mod advice;
pub mod condition;
pub mod facts;
pub mod fields;
pub mod waits;

use serde::Serialize;

use super::heartbeat::HeartbeatSession;
use super::report::{ErrorType, Report, Status};
use super::text::time::{parse_rfc3339, rfc3339};
use condition::DaemonFacts;
use facts::{DispatchFacts, OpenFacts, Stage};
use waits::{Peers, WaitsFor};

/// Where a dispatch is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
#[serde(rename_all = "snake_case")]
pub enum DispatchState {
    /// Dropped, and not accepted yet.
    Inbox,
    /// It waits for approval.
    Pending,
    Queued,
    /// Also between two attempts.
    Running,
    Completed,
    Failed,
    Timeout,
    Cancelled,
    /// Refused; also where there is a report that says so.
    Rejected,
}

impl DispatchState {
    pub const ALL: [DispatchState; 9] = [
        DispatchState::Inbox,
        DispatchState::Pending,
        DispatchState::Queued,
        DispatchState::Running,
        DispatchState::Completed,
        DispatchState::Failed,
        DispatchState::Timeout,
        DispatchState::Cancelled,
        DispatchState::Rejected,
    ];

    pub fn name(self) -> &'static str {
        match self {
            DispatchState::Inbox => "inbox",
            DispatchState::Pending => "pending",
            DispatchState::Queued => "queued",
            DispatchState::Running => "running",
            DispatchState::Completed => "completed",
            DispatchState::Failed => "failed",
            DispatchState::Timeout => "timeout",
            DispatchState::Cancelled => "cancelled",
            DispatchState::Rejected => "rejected",
        }
    }

    pub fn is_open(self) -> bool {
        match self {
            DispatchState::Inbox
            | DispatchState::Pending
            | DispatchState::Queued
            | DispatchState::Running => true,
            DispatchState::Completed
            | DispatchState::Failed
            | DispatchState::Timeout
            | DispatchState::Cancelled
            | DispatchState::Rejected => false,
        }
    }

    /// The state that a report tells.
    pub fn of_report(status: Status, error_type: Option<ErrorType>) -> DispatchState {
        match (status, error_type) {
            (_, Some(ErrorType::InvalidDispatch)) => DispatchState::Rejected,
            (Status::Completed, _) => DispatchState::Completed,
            (Status::Failed, _) => DispatchState::Failed,
            (Status::Cancelled, _) => DispatchState::Cancelled,
            (Status::Timeout, _) => DispatchState::Timeout,
        }
    }
}

/// One dispatch. What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(serde::Deserialize))]
pub struct Record {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<DispatchState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Absolute; links in it are not followed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project_dir: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_agent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatched_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<String>,
    /// When the first attempt started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// Seconds since the first attempt started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed: Option<u64>,
    /// Seconds, as the report has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub turns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_activity: Option<String>,
    /// 1 is the next in order of turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<WaitsFor>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cancel_requested: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<ErrorType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_turns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_cost_usd: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retried_as: Vec<String>,
    /// Why it was rejected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The name of the file that was rejected, or that no id can be read from yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Record {
    /// `peers`: the others, as far as it waits for them.
    pub fn new(facts: &DispatchFacts, daemon: &DaemonFacts, peers: &Peers) -> Record {
        let mut record = named(facts);
        record.state = Some(facts.state());
        match &facts.stage {
            Stage::Inbox { file } => {
                record.file = file.clone().filter(|_| record.id.is_none());
            }
            Stage::Pending(_) => {}
            Stage::Active(open) => tell_open(&mut record, facts, open, daemon, peers),
            Stage::Ended(report) => tell_report(&mut record, report),
            Stage::Rejected(why) => {
                if let Some(report) = &why.report {
                    tell_report(&mut record, report);
                }
                record.reason = why.reason.clone();
                record.file = why.file.clone();
                record.error = why.error.clone().or(record.error);
                record.finished_at = why.at.clone().or(record.finished_at);
            }
        }
        record.waits_for = waits::waits_for(facts, daemon, peers);
        record
    }

    /// How it is called where people read it.
    pub fn shown_id(&self) -> &str {
        self.id.as_deref().or(self.file.as_deref()).unwrap_or("-")
    }

    pub fn shown_state(&self) -> DispatchState {
        self.state.unwrap_or(DispatchState::Inbox)
    }

    /// What kind of end it was, where its state does not say so.
    pub fn shown_kind(&self) -> Option<String> {
        let kind = self.error_type.and_then(|kind| serde_json::to_value(kind).ok());
        let kind = kind.as_ref().and_then(|kind| kind.as_str()).map(str::to_string);
        // The reason of a rejection says more than that it is one.
        self.reason.clone().or(kind).filter(|kind| kind != self.shown_state().name())
    }

    /// When it ended, in milliseconds since 1970.
    pub fn ended_ms(&self) -> Option<i64> {
        parse_rfc3339(self.finished_at.as_deref()?)
    }
}

/// What its sender wrote, and who knows it.
fn named(facts: &DispatchFacts) -> Record {
    let fields = facts.fields.clone().unwrap_or_default();
    let title = fields.title();
    Record {
        id: facts.id.as_ref().map(ToString::to_string),
        project: fields.project,
        project_dir: fields.project_dir,
        target_agent: fields.target_agent,
        dispatched_by: fields.dispatched_by,
        title,
        accepted_at: facts.accepted_at.clone(),
        cancel_requested: facts.is_cancel_asked && facts.state().is_open(),
        retry_of: fields.retry_of,
        retried_as: facts.retried_as.clone(),
        ..Record::default()
    }
}

fn tell_open(
    record: &mut Record,
    facts: &DispatchFacts,
    open: &OpenFacts,
    daemon: &DaemonFacts,
    peers: &Peers,
) {
    record.started_at = open.first_started_ms.map(rfc3339);
    record.position = facts.id.as_ref().and_then(|id| peers.position(id));
    let beat = facts.id.as_ref().and_then(|id| daemon.session(id));
    if record.project.is_none() {
        record.project = beat.map(|beat| beat.project.clone());
    }
    if facts.state() != DispatchState::Running {
        return;
    }
    let since_ms = open.first_started_ms.map(|started| daemon.now_ms - started);
    record.elapsed = since_ms.map(|ms| ms.max(0).unsigned_abs() / 1000);
    record.attempt = open.last.as_ref().map(|last| last.number).or(beat.map(|beat| beat.attempt));
    // The beat of an attempt before this one says nothing of it.
    let of_this = beat.filter(|beat| record.attempt.is_none_or(|number| number == beat.attempt));
    if let Some(beat) = of_this {
        tell_progress(record, beat);
    }
    if let Some(last) = &open.last {
        record.output_bytes = last.output_bytes.or(record.output_bytes);
        record.last_activity = last.last_activity_ms.map(rfc3339).or(record.last_activity.take());
    }
}

fn tell_progress(record: &mut Record, beat: &HeartbeatSession) {
    record.turns = beat.turns;
    record.last_tool = beat.last_tool.clone();
    record.input_tokens = beat.input_tokens;
    record.output_tokens = beat.output_tokens;
    record.output_bytes = beat.output_bytes;
    record.last_activity = beat.last_activity.clone();
    record.total_cost_usd = beat.total_cost_usd;
}

fn tell_report(record: &mut Record, report: &Report) {
    record.project = record.project.take().or_else(|| report.project.clone());
    let agent = Some(report.target_agent.clone()).filter(|agent| !agent.is_empty());
    record.target_agent = record.target_agent.take().or(agent);
    record.started_at = report.started_at.clone();
    record.finished_at = report.finished_at.clone();
    record.duration = Some(report.duration);
    record.input_tokens = report.input_tokens;
    record.output_tokens = report.output_tokens;
    record.error_type = report.error_type;
    record.error = report.error.clone();
    record.retry_count = report.retry_count;
    record.num_turns = report.num_turns;
    record.total_cost_usd = report.total_cost_usd;
    record.exit_code = report.exit_code;
    record.commits = report.commits;
    record.pr = report.pr.clone();
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
