//! What Clawvisor's answers about a task mean: whether it lets a dispatch run, and whether it ends
//! a session that runs.
//!
//! A task is what a person agreed to elsewhere. Only an `active` one whose scope covers the
//! dispatch is a yes; what cannot be understood is never one, but "not now", since a proxy may have
//! answered in Clawvisor's place. Must not know how an answer came here.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{GateRefusal, TaskWord};
use crate::pure::callback::destination::Origin;
use crate::pure::dispatch::{Dispatch, KNOWN_FIELDS};
use crate::pure::text::clip::one_line;
use crate::pure::text::digest::sha256_hex;

/// The action of a task that lets a session start.
const ACTION: &str = "spawn-session";
const TASK_ID_CHARS_MAX: usize = 128;
/// How much of an unknown status is shown, in characters.
const STATUS_CHARS_MAX: usize = 40;

/// A task's id that may stand in a path: `[A-Za-z0-9_-]{1,128}`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(String);

impl TaskId {
    pub fn parse(text: &str) -> Option<TaskId> {
        let is_legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let fits = (1..=TASK_ID_CHARS_MAX).contains(&text.len());
        (fits && text.bytes().all(is_legal)).then(|| TaskId(text.to_string()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How much of a task's scope is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskScope {
    /// An authorized action names the service.
    Action,
    /// A planned call names this very task and directory besides.
    Bound,
    /// An active task is enough.
    Status,
}

/// How well Clawvisor can be asked just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClawvisorState {
    Ready,
    Unreachable,
    /// It does not know our token (any more).
    TokenRefused,
}

/// Where Clawvisor is. The error says what is wrong with the URL, without showing it.
pub fn origin_of(url: &str, allows_plain_http: bool) -> Result<Origin, String> {
    let origin = Origin::of_url(url).map_err(|e| e.to_string())?;
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err("it must end behind its host and port, as in http://127.0.0.1:25297".into());
    }
    if !origin.is_https && !origin.is_loopback() && !allows_plain_http {
        return Err(
            "http leads elsewhere than this machine, where others could read the token: use https, or take the risk with clawvisor_plain_http"
                .into(),
        );
    }
    Ok(origin)
}

// ------------------------------------------------------------------------------------- the answer

/// An answer about a task.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskAnswer {
    Found(ClawvisorTask),
    /// 401, 403 or 404.
    Refused(u16),
    /// It says nothing about the task, for this reason.
    NotNow(String),
}

/// The statuses that there are, in the names that Clawvisor has for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum TaskStatus {
    PendingApproval,
    Active,
    PendingScopeExpansion,
    Completed,
    Expired,
    Denied,
    Cancelled,
    Revoked,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ClawvisorTask {
    /// As it stands in the answer.
    said: String,
    /// `None`: nobody knows what that means.
    status: Option<TaskStatus>,
    /// It is for one dispatch. A lifetime that is not known is taken for that.
    pub is_for_one: bool,
    actions: Vec<AuthorizedAction>,
    planned: Vec<PlannedCall>,
}

#[derive(Clone, Debug, PartialEq)]
struct AuthorizedAction {
    service: String,
    action: String,
    auto_execute: bool,
}

#[derive(Clone, Debug, PartialEq)]
struct PlannedCall {
    service: String,
    action: String,
    params: Map<String, Value>,
}

/// Reads the answer to `GET /api/tasks/ID`.
pub fn read_task(status: u16, body: &[u8], asked: &TaskId) -> TaskAnswer {
    match status {
        200 => {}
        401 | 403 | 404 => return TaskAnswer::Refused(status),
        other => return TaskAnswer::NotNow(format!("it answers {other}")),
    }
    let Ok(Value::Object(task)) = serde_json::from_slice(body) else {
        return TaskAnswer::NotNow("its answer is no JSON object".into());
    };
    let text = |key: &str| task.get(key).and_then(Value::as_str);
    if text("id") != Some(asked.as_str()) {
        return TaskAnswer::NotNow("its answer is about another task".into());
    }
    let Some(status) = text("status") else {
        return TaskAnswer::NotNow("its answer has no status".into());
    };
    let list = |key: &str| task.get(key).and_then(Value::as_array).into_iter().flatten();
    TaskAnswer::Found(ClawvisorTask {
        said: status.to_string(),
        status: serde_json::from_value(Value::from(status)).ok(),
        is_for_one: !matches!(text("lifetime"), Some("sliding" | "standing")),
        actions: list("authorized_actions").map(authorized_action).collect(),
        planned: list("planned_calls").map(planned_call).collect(),
    })
}

fn text_in(entry: &Value, key: &str) -> String {
    entry.get(key).and_then(Value::as_str).unwrap_or_default().to_string()
}

fn authorized_action(entry: &Value) -> AuthorizedAction {
    AuthorizedAction {
        service: text_in(entry, "service"),
        action: text_in(entry, "action"),
        auto_execute: entry.get("auto_execute") == Some(&Value::Bool(true)),
    }
}

fn planned_call(entry: &Value) -> PlannedCall {
    PlannedCall {
        service: text_in(entry, "service"),
        action: text_in(entry, "action"),
        params: entry.get("params").and_then(Value::as_object).cloned().unwrap_or_default(),
    }
}

impl TaskAnswer {
    /// What the answer says of Clawvisor itself.
    pub fn state(&self) -> ClawvisorState {
        match self {
            TaskAnswer::Refused(401) => ClawvisorState::TokenRefused,
            TaskAnswer::Found(_) | TaskAnswer::Refused(_) => ClawvisorState::Ready,
            TaskAnswer::NotNow(_) => ClawvisorState::Unreachable,
        }
    }

    /// Whether a person has still to decide, so that it is worth waiting for.
    pub fn is_undecided(&self) -> bool {
        matches!(self, TaskAnswer::Found(task) if task.is_undecided())
    }
}

impl ClawvisorTask {
    fn is_undecided(&self) -> bool {
        let undecided = [TaskStatus::PendingApproval, TaskStatus::PendingScopeExpansion];
        self.status.is_some_and(|status| undecided.contains(&status))
    }
}

// --------------------------------------------------------------------------------- may it run

/// A dispatch that is held against a task.
pub struct HeldAgainst<'a> {
    pub dispatch: &'a Dispatch,
    /// The bytes of its file.
    pub bytes: &'a [u8],
    /// The canonical directory of its project.
    pub dir: &'a Path,
    /// What `~/` means.
    pub home: Option<&'a OsStr>,
    pub service: &'a str,
    pub scope: TaskScope,
}

/// What an answer says of a dispatch that names the task.
pub fn word(answer: &TaskAnswer, id: &TaskId, held: &HeldAgainst) -> TaskWord {
    let task = match answer {
        TaskAnswer::NotNow(_) => return TaskWord::Unreachable,
        TaskAnswer::Refused(status) => {
            let error = match status {
                401 => "clawvisor refuses our token (401)".to_string(),
                403 => format!("clawvisor does not show us task {id} (403)"),
                _ => format!("clawvisor knows no task {id} (404)"),
            };
            return TaskWord::Denies(GateRefusal::from(error));
        }
        TaskAnswer::Found(task) => task,
    };
    match task.status {
        Some(TaskStatus::Active) => covers(task, held).unwrap_or_else(|| {
            let error = format!("clawvisor task {id} does not cover {} {ACTION}", held.service);
            TaskWord::Denies(GateRefusal { error, clawvisor_status: Some("active".into()) })
        }),
        Some(TaskStatus::PendingApproval | TaskStatus::PendingScopeExpansion) => {
            TaskWord::Undecided
        }
        Some(
            TaskStatus::Completed
            | TaskStatus::Expired
            | TaskStatus::Denied
            | TaskStatus::Cancelled
            | TaskStatus::Revoked,
        )
        | None => TaskWord::Denies(of_status(id, &task.said)),
    }
}

fn of_status(id: &TaskId, status: &str) -> GateRefusal {
    let status = one_line(status, STATUS_CHARS_MAX);
    let error = format!("clawvisor task {id} is {status}");
    GateRefusal { error, clawvisor_status: Some(status) }
}

/// `None`: it does not cover the dispatch.
fn covers(task: &ClawvisorTask, held: &HeldAgainst) -> Option<TaskWord> {
    let of_action = |action: &str| action == ACTION || action == "*";
    let mut actions = task.actions.iter().filter(|entry| entry.service == held.service);
    let covering: Vec<_> = actions.by_ref().filter(|entry| of_action(&entry.action)).collect();
    let planned: Vec<&PlannedCall> =
        task.planned.iter().filter(|call| call.service == held.service).collect();
    // A planned call of another action says nothing about a session, unless it is all there is.
    let of_session = |call: &&PlannedCall| call.action.is_empty() || of_action(&call.action);
    let to_hold: Vec<&PlannedCall> = match planned.iter().any(of_session) {
        true => planned.into_iter().filter(of_session).collect(),
        false => planned,
    };
    let raw: Value = match to_hold.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(without_mark(held.bytes)).unwrap_or_default(),
    };
    let holding: Vec<&&PlannedCall> =
        to_hold.iter().filter(|call| holds(&call.params, &raw, held)).collect();
    let names = |call: &PlannedCall, key: &str| call.params.contains_key(key);
    let names_dir = holding.iter().any(|call| names(call, "project_dir"));
    let is_bound =
        holding.iter().any(|call| names(call, "task_sha256") && names(call, "project_dir"));
    let is_planned = to_hold.is_empty() || !holding.is_empty();
    let is_covered = match held.scope {
        TaskScope::Status => true,
        TaskScope::Action => !covering.is_empty() && is_planned,
        TaskScope::Bound => !covering.is_empty() && is_bound,
    };
    let auto_execute =
        held.scope == TaskScope::Status || covering.iter().any(|entry| entry.auto_execute);
    is_covered.then_some(TaskWord::Covers { names_dir, auto_execute, is_for_one: task.is_for_one })
}

fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Whether everything that a planned call says of the dispatch is so.
fn holds(params: &Map<String, Value>, raw: &Value, held: &HeldAgainst) -> bool {
    params.iter().all(|(key, planned)| {
        let dispatch = held.dispatch;
        match key.as_str() {
            "dispatch_id" | "id" => planned == dispatch.id.as_str(),
            "task_sha256" => {
                let digest = sha256_hex(dispatch.task.as_bytes());
                planned.as_str().is_some_and(|planned| planned.eq_ignore_ascii_case(&digest))
            }
            "project_dir" => planned.as_str().is_some_and(|dir| is_dir(dir, held)),
            // What a dispatch does not name has a value all the same.
            "target_agent" => planned == dispatch.target_agent,
            "ttl_seconds" => planned.as_f64() == Some(dispatch.ttl_seconds as f64),
            key if KNOWN_FIELDS.contains(&key) => raw.get(key) == Some(planned),
            key => raw.get(key).is_none_or(|value| value == planned),
        }
    })
}

/// A link is not followed: who changes it would change what a person agreed to.
fn is_dir(planned: &str, held: &HeldAgainst) -> bool {
    let planned = match (planned.strip_prefix("~/"), held.home) {
        (Some(below), Some(home)) => Path::new(home).join(below),
        _ => PathBuf::from(planned),
    };
    planned == held.dir
}

// ----------------------------------------------------------------------------- while it runs

/// What an answer means to a session that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MidSession {
    GoesOn,
    /// It goes on, and its report says this.
    Warns(String),
    Ends(TaskEnd),
}

/// The word that ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    Revoked,
    Denied,
    Cancelled,
}

impl TaskEnd {
    pub fn name(self) -> &'static str {
        match self {
            TaskEnd::Revoked => "revoked",
            TaskEnd::Denied => "denied",
            TaskEnd::Cancelled => "cancelled",
        }
    }
}

/// Only a task that is found says anything here.
pub fn mid_session(answer: &TaskAnswer, id: &TaskId) -> MidSession {
    let TaskAnswer::Found(task) = answer else { return MidSession::GoesOn };
    match task.status {
        Some(TaskStatus::Revoked) => MidSession::Ends(TaskEnd::Revoked),
        Some(TaskStatus::Denied) => MidSession::Ends(TaskEnd::Denied),
        Some(TaskStatus::Cancelled) => MidSession::Ends(TaskEnd::Cancelled),
        Some(TaskStatus::Expired | TaskStatus::Completed) => MidSession::Warns(format!(
            "clawvisor task {id} became {} while the session ran",
            task.said
        )),
        Some(
            TaskStatus::Active | TaskStatus::PendingApproval | TaskStatus::PendingScopeExpansion,
        )
        | None => MidSession::GoesOn,
    }
}

// --------------------------------------------------------------------------- asking again

/// How long it takes until it is asked again, after so many answers in a row that were none.
/// `asked`: the pause that the last one named.
pub fn pause_after(failures: u32, delays: &[Duration], asked: Option<Duration>) -> Duration {
    let at = (failures.saturating_sub(1) as usize).min(delays.len().saturating_sub(1));
    let delay = delays.get(at).copied().unwrap_or_default();
    delay.max(asked.unwrap_or_default())
}

#[cfg(test)]
#[path = "clawvisor_tests.rs"]
mod tests;
