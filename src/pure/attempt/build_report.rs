//! Puts the report together: from the dispatch and the ends of its attempts, or from the dispatch
//! alone where no session ran.
//!
//! Must not use anything but what stands on disk, so that a report which is made again after a
//! crash is the same report.

use super::record::AttemptEnd;
use crate::pure::agent::cost;
use crate::pure::dispatch::{Dispatch, DispatchId, KNOWN_FIELDS};
use crate::pure::report::{AttemptReport, ERROR_CHARS_MAX, ErrorType, GitFacts, Report, Status};
use crate::pure::text::nearest::nearest;
use crate::pure::text::redact::redact;
use crate::pure::text::time::rfc3339;

/// This stands in an answer that could not be made from records.
pub const FROM_MEMORY: &str =
    "records of this dispatch were gone or damaged: this is what the daemon remembered of it";

/// The answer to a dispatch whose last attempt ended with `last`. `earlier` are the attempts before
/// it, `logs` the folder that will hold their files.
pub fn from_attempts(
    dispatch: &Dispatch,
    earlier: Vec<AttemptReport>,
    last: AttemptEnd,
    logs: String,
) -> Report {
    let blank = blank(dispatch, last.ending.status);
    let mut warnings = last.ending.warnings;
    if !last.leftovers.is_empty() {
        let processes = match last.leftovers.len() {
            1 => "1 process".to_string(),
            count => format!("{count} processes"),
        };
        warnings.push(format!("{processes} outlived the agent: see leftover_processes"));
    }
    let mut attempts = earlier;
    attempts.push(last.attempt.clone());
    let pr = attempts.iter().rev().find_map(|attempt| attempt.pr.clone());
    let commits = last.git.commits;
    let total_cost_usd = cost::in_all(&attempts, last.cost_tokens);
    let tokens = cost::tokens(&attempts);
    Report {
        duration: last.elapsed_ms.saturating_add(500) / 1000,
        output_length: Some(last.output_length),
        error: last.ending.error.map(|e| short(&e)),
        error_type: last.ending.error_type,
        retry_count: Some(last.retries),
        started_at: Some(rfc3339(last.first.at_ms)),
        finished_at: Some(rfc3339(last.finished_at_ms)),
        exit_code: last.attempt.exit_code,
        signal: last.attempt.signal,
        session_id: last.attempt.session_id,
        resume: last.resume,
        result: last.result.map(|text| redact(&text)),
        num_turns: last.attempt.num_turns,
        total_cost_usd,
        input_tokens: tokens.map(|tokens| tokens.input),
        output_tokens: tokens.map(|tokens| tokens.output),
        attempts,
        usage: last.usage,
        permission_denials: last.permission_denials,
        confined: last.confined,
        approval: last.approval,
        git: Some(last.git).filter(|git| *git != GitFacts::default()),
        commits,
        pr,
        verify: last.verify,
        leftover_processes: last.leftovers,
        warnings: [&blank.warnings[..], &redacted(&warnings)].concat(),
        logs: Some(logs),
        ..blank
    }
}

/// The answer to a dispatch that ended without a session.
pub fn without_session(
    dispatch: &Dispatch,
    status: Status,
    error_type: ErrorType,
    error: &str,
    now_ms: i64,
) -> Report {
    without_attempts(blank(dispatch, status), error_type, error, now_ms)
}

/// The answer to a dispatch of which only its name is left, and what the daemon remembers.
pub fn to_remains(
    id: &DispatchId,
    agent: &str,
    project: &str,
    (kind, error): (ErrorType, &str),
    now_ms: i64,
) -> Report {
    let remains = Report {
        dispatch_id: id.to_string(),
        target_agent: agent.to_string(),
        project: Some(project.to_string()).filter(|project| !project.is_empty()),
        ..Report::empty(Status::Failed)
    };
    without_attempts(remains, kind, error, now_ms)
}

/// The answer to a file that is no valid dispatch, under the id that it names.
pub fn to_rejection(id: &DispatchId, error: &str, now_ms: i64) -> Report {
    let rejected = Report { dispatch_id: id.to_string(), ..Report::empty(Status::Failed) };
    without_attempts(rejected, ErrorType::InvalidDispatch, error, now_ms)
}

/// Completes a report in which no attempt is told of.
fn without_attempts(report: Report, error_type: ErrorType, error: &str, now_ms: i64) -> Report {
    Report {
        error: Some(short(error)),
        error_type: Some(error_type),
        retry_count: Some(0),
        finished_at: Some(rfc3339(now_ms)),
        ..report
    }
}

fn blank(dispatch: &Dispatch, status: Status) -> Report {
    Report {
        dispatch_id: dispatch.id.to_string(),
        target_agent: dispatch.target_agent.to_string(),
        project: Some(dispatch.project.clone()),
        retry_of: dispatch.retry_of.as_ref().map(DispatchId::to_string),
        warnings: redacted(&warnings_of_file(dispatch)),
        ..Report::empty(status)
    }
}

/// What is wrong with a dispatch that is run all the same.
fn warnings_of_file(dispatch: &Dispatch) -> Vec<String> {
    let unknown = dispatch.unknown_fields.iter();
    let unknown = unknown.map(|name| match nearest(name, KNOWN_FIELDS).filter(|it| it != name) {
        Some(known) => format!("unknown field {name}: did you mean {known}?"),
        None => format!("unknown field {name}: it is ignored"),
    });
    unknown.collect()
}

fn redacted(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| redact(text)).collect()
}

fn short(text: &str) -> String {
    redact(text).chars().take(ERROR_CHARS_MAX).collect()
}
