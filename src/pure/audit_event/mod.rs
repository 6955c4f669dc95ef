//! The events of `audit.jsonl`, and its lines as values: the daemon writes them, the commands read
//! them.
//!
//! One variant is one event. Its fields are the line's fields after `ts`, `event` and
//! `dispatch_id`, in the order in which they are written; words and names are the log's interface
//! and must not change. What is unknown is `null` where the field always stands, else absent. A
//! line of another daemon (the seed's, or a newer one's) is read as far as it is understood, and
//! its text is kept.

mod step_word;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::attempt::recovery::Step;
use super::dispatch::Reason;
use super::gate::PendingWhy;
use super::gate::clawvisor::ClawvisorState;
use super::report::{ApprovedBy, ErrorType, Report, SignatureForm, Status};
use super::schedule::hold::{Hold, HoldChange, HoldKind, Why};
use super::text::time::rfc3339;
use super::upkeep::health::Subsystem;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum AuditEvent {
    /// A dispatch is accepted.
    Received {
        file: String,
        sha256: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<SignatureForm>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kid: Option<String>,
        /// The dispatch that this one runs again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_of: Option<String>,
    },
    /// A file is rejected, for whatever reason.
    SchemaInvalid {
        error: String,
        reason: Reason,
        file: String,
    },
    UnsupportedAgent {
        target_agent: String,
    },
    UnknownFields {
        fields: Vec<String>,
    },
    /// A dispatch waits for somebody to allow it.
    ApprovalRequired {
        why: PendingWhy,
        sha256: String,
        /// In RFC 3339.
        expires_at: String,
    },
    Approved {
        by: ApprovedBy,
        sha256: String,
        /// Whose the request was.
        uid: u32,
    },
    Denied {
        reason: String,
    },
    ApprovalExpired {
        why: PendingWhy,
    },
    /// A request to approve or deny changed nothing.
    ApprovalIgnored {
        why: IgnoredWhy,
    },
    /// So many wait for approval that files stay in the inbox.
    PendingFull,
    /// A dispatch may not run.
    NotAuthorized {
        error: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clawvisor_status: Option<String>,
    },
    /// Clawvisor's word ended a session that ran.
    SessionRevoked {
        attempt: u32,
        clawvisor_status: String,
    },
    /// A dispatch cannot start at once.
    Queued {
        queue_depth: usize,
    },
    Spawned {
        project: String,
        retry: u32,
        attempt: u32,
        /// Empty where only the agent knows it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        session_id: String,
    },
    Retried {
        error_type: Option<ErrorType>,
        retry: u32,
        delay_seconds: f64,
    },
    /// A dispatch met a hold, and waits for it.
    QueuedAgain {
        error_type: Option<ErrorType>,
        waits: u32,
    },
    Completed {
        duration: u64,
        #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
        exit_code: Option<Option<i32>>,
    },
    Failed(NotCompleted),
    Cancelled(NotCompleted),
    CallbackSent {
        status: u16,
    },
    CallbackFailed {
        /// What the receiver answered, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// 0: it was never tried.
        #[serde(rename = "try")]
        tries: u32,
        #[serde(rename = "final")]
        is_final: bool,
    },
    /// No callback is sent, on purpose.
    CallbackSkipped {
        why: String,
    },
    /// A dispatch is over, and its task in Clawvisor too.
    ClawvisorCompleted(CompletionTry),
    /// The task is the orchestrator's own to complete.
    ClawvisorCompleteSkipped(CompletionTry),
    ClawvisorCompleteFailed(CompletionTry),
    /// The operator's program was given a report.
    OnFinish {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<i32>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        timed_out: bool,
        /// Why it could not be started.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
        /// Seconds, to the millisecond.
        duration: f64,
    },
    CancelRequested {
        running: bool,
    },
    CancelIgnored,
    Withdrawn,
    Redelivered {
        file: String,
    },
    Detached {
        file: String,
    },
    LeftoverProcesses {
        count: usize,
        names: Vec<String>,
    },
    /// What a daemon does at its start with a dispatch that it finds.
    Recovered {
        #[serde(with = "step_word")]
        step: Step,
    },
    Adopted {
        attempt: u32,
        pid: Option<i32>,
    },
    HoldStarted(HoldBegun),
    HoldProlonged(HoldBegun),
    HoldEnded {
        /// Absent: every agent.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        agent: String,
        kind: HoldKind,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        project_dir: Option<String>,
        why: Why,
    },
    Parked {
        reason: String,
    },
    MovedAside {
        path: String,
        to: String,
    },
    DaemonStarted {
        pid: u32,
        version: String,
    },
    DaemonStopped {
        pid: u32,
    },
    /// What a SIGHUP changed, by the keys of the settings.
    ConfigReloaded {
        changed: Vec<String>,
        needs_restart: Vec<String>,
    },
    ConfigRefused {
        error: String,
    },
    /// Clawvisor can be asked now, or not any more.
    ClawvisorState {
        state: ClawvisorState,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    Paused,
    Resumed,
    LockRetaken {
        pid: u32,
    },
    LockLost {
        pid: u32,
        holder: Option<u32>,
    },
    Degraded {
        #[serde(rename = "where")]
        place: Subsystem,
        reason: String,
    },
    DegradedEnded {
        #[serde(rename = "where")]
        place: Subsystem,
        reason: String,
        seconds: f64,
    },
    AuditTailRepaired,
    /// The first line of a new log.
    AuditRotated {
        previous: String,
    },
}

/// Why a request to approve or deny changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IgnoredWhy {
    /// It is for other bytes than those that wait.
    Digest,
    /// No such dispatch waits for a person.
    NotPending,
}

/// A try to complete a task in Clawvisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompletionTry {
    /// What Clawvisor answered, if it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(rename = "try")]
    pub tries: u32,
    #[serde(rename = "final")]
    pub is_final: bool,
}

/// The end of a dispatch that was not completed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotCompleted {
    pub duration: u64,
    /// Absent: nothing ran. `null`: the exit code is not known, or there was a signal instead.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<Option<i32>>,
    pub error_type: Option<ErrorType>,
    pub retry_count: u32,
    pub status: Status,
}

/// A hold that begins now, or now lasts longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldBegun {
    /// Absent: every agent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub agent: String,
    pub kind: HoldKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_dir: Option<String>,
    /// When it ends, in RFC 3339.
    pub until: String,
    pub reason: String,
}

impl AuditEvent {
    /// The last event of a dispatch, as the seed writes it.
    pub fn of_report(report: &Report) -> AuditEvent {
        let duration = report.duration;
        let exit_code = (!report.attempts.is_empty()).then_some(report.exit_code);
        let not_completed = NotCompleted {
            duration,
            exit_code,
            error_type: report.error_type,
            retry_count: report.retry_count.unwrap_or(0),
            status: report.status,
        };
        match report.status {
            Status::Completed => AuditEvent::Completed { duration, exit_code },
            Status::Cancelled => AuditEvent::Cancelled(not_completed),
            Status::Failed | Status::Timeout => AuditEvent::Failed(not_completed),
        }
    }

    pub fn of_hold(change: HoldChange) -> AuditEvent {
        match change {
            HoldChange::Started(hold) => AuditEvent::HoldStarted(begun(hold)),
            HoldChange::Prolonged(hold) => AuditEvent::HoldProlonged(begun(hold)),
            HoldChange::Ended(hold, why) => {
                let HoldBegun { agent, kind, project, project_dir, .. } = begun(hold);
                AuditEvent::HoldEnded { agent, kind, project, project_dir, why }
            }
        }
    }

    /// The event's line in the log. `dispatch_id` is empty for the daemon's own events.
    pub fn line(&self, ts: &str, dispatch_id: &str) -> String {
        let event = serde_json::to_string(self).expect("invariant: every key is a text");
        // The word of the event is its first field, and has no comma.
        let (word, fields) = event.split_at(event.find([',', '}']).unwrap_or(event.len()));
        let id = Value::from(dispatch_id);
        format!("{{\"ts\":\"{ts}\",{},\"dispatch_id\":{id}{fields}\n", &word[1..])
    }
}

fn begun(hold: Hold) -> HoldBegun {
    let (project, project_dir) = hold.project.map(|project| (project.name, project.dir)).unzip();
    let (agent, kind, until) = (hold.agent, hold.kind, rfc3339(hold.until_ms));
    HoldBegun { agent, kind, project, project_dir, until, reason: hold.reason }
}

/// Tells a field that is `null` from one that is absent.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<i32>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A line that somebody wrote.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditLine {
    pub ts: String,
    /// The id is empty for the daemon's own events.
    pub dispatch_id: String,
    /// The event's name, even if the event is not known.
    pub word: String,
    /// `None`: the event is not known, or lacks a field.
    pub event: Option<AuditEvent>,
    /// The line itself, without its newline.
    pub text: String,
}

impl AuditLine {
    /// Reads any line. A field that is not there, or is no text, is empty.
    pub fn read(text: &str) -> AuditLine {
        let fields: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
        let field = |key| fields.get(key).and_then(Value::as_str).unwrap_or_default().to_string();
        let (ts, dispatch_id, word) = (field("ts"), field("dispatch_id"), field("event"));
        let event = serde_json::from_value(Value::Object(fields)).ok();
        AuditLine { ts, dispatch_id, word, event, text: text.into() }
    }
}

#[cfg(test)]
#[path = "audit_event_tests.rs"]
mod tests;
