//! The end of a task that was for one dispatch: whether it is completed, and what came of that.
//!
//! Only what was let run by a task closes it. Must not take an answer of something in between for
//! Clawvisor's own: what is no JSON object is asked again.

use serde_json::Value;

use crate::pure::report::{ErrorType, Status};

/// What becomes of the task that a dispatch had for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskFate {
    IsCompleted,
    /// The next dispatch that it covers may have it.
    IsFree,
    /// Clawvisor ended it, or it was never for this dispatch.
    Stands,
}

/// By the dispatch's answer. A dispatch that was refused must not close a task that may be meant
/// for another, and one that was revoked is over.
pub fn fate(status: Status, error_type: Option<ErrorType>, has_run: bool) -> TaskFate {
    match (status, error_type, has_run) {
        (Status::Failed, Some(ErrorType::NotAuthorized), false) => TaskFate::IsFree,
        (Status::Failed | Status::Cancelled, Some(ErrorType::NotAuthorized), true) => {
            TaskFate::Stands
        }
        _ => TaskFate::IsCompleted,
    }
}

/// What came of completing a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Completion {
    Completed,
    /// It is the orchestrator's own to complete.
    Skipped,
    Again,
    /// No later try will do better.
    Failed,
}

/// Reads the answer to `POST /api/tasks/ID/complete`. `was_tried`: an earlier try may have come
/// through although its answer did not.
pub fn completion(status: u16, body: &[u8], was_tried: bool) -> Completion {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if !body.is_object() || matches!(status, 401 | 408 | 429 | 500..) {
        return Completion::Again;
    }
    let error = body.get("error").and_then(Value::as_str).unwrap_or_default();
    match status {
        200 => Completion::Completed,
        409 if was_tried && error.contains("(status: completed)") => Completion::Completed,
        403 => Completion::Skipped,
        _ => Completion::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_task_that_a_dispatch_was_let_run_by_is_completed() {
        use ErrorType::{Cancelled, NotAuthorized, ToolFailure};
        use TaskFate::{IsCompleted, IsFree, Stands};
        for (status, error_type, has_run, want) in [
            (Status::Completed, None, true, IsCompleted),
            (Status::Failed, Some(ToolFailure), true, IsCompleted),
            (Status::Timeout, Some(ErrorType::Timeout), true, IsCompleted),
            (Status::Cancelled, Some(Cancelled), true, IsCompleted),
            (Status::Cancelled, Some(Cancelled), false, IsCompleted),
            // Refused: before it ever ran, or before a retry.
            (Status::Failed, Some(NotAuthorized), false, IsFree),
            (Status::Failed, Some(NotAuthorized), true, Stands),
            // Revoked in mid-session; and denied by a person here, who knows of no other dispatch.
            (Status::Cancelled, Some(NotAuthorized), true, Stands),
            (Status::Cancelled, Some(NotAuthorized), false, IsCompleted),
        ] {
            assert_eq!(
                fate(status, error_type, has_run),
                want,
                "{status:?} {error_type:?} {has_run}"
            );
        }
    }

    #[test]
    fn completing_understands_each_answer() {
        use Completion::{Again, Completed, Failed, Skipped};
        let done = r#"{"code":"INVALID_STATE","error":"task is not active or expired (status: completed)"}"#;
        let denied =
            r#"{"code":"INVALID_STATE","error":"task is not active or expired (status: denied)"}"#;
        for (status, body, first, later) in [
            (200, r#"{"status":"completed","task_id":"x"}"#, Completed, Completed),
            (200, "<html>", Again, Again),
            (200, "", Again, Again),
            (409, done, Failed, Completed),
            (409, denied, Failed, Failed),
            (409, "{}", Failed, Failed),
            (403, r#"{"code":"FORBIDDEN","error":"not your task"}"#, Skipped, Skipped),
            (403, "<html>", Again, Again),
            (404, r#"{"error":"task not found"}"#, Failed, Failed),
            (400, "{}", Failed, Failed),
            (401, "{}", Again, Again),
            (408, "{}", Again, Again),
            (429, "{}", Again, Again),
            (500, "{}", Again, Again),
            (503, "{}", Again, Again),
            (302, "", Again, Again),
        ] {
            assert_eq!(completion(status, body.as_bytes(), false), first, "{status} {body}");
            assert_eq!(completion(status, body.as_bytes(), true), later, "{status} {body}");
        }
    }
}
