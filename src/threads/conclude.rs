//! From a decided report to an answered dispatch. Everything after the commit is harmless when it is done again, which is
//! what the next start does if we die in between.

use serde_json::{Value, json};

use super::{Context, persist};
use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::store::{Claim, Committed, OutboxEntry};
use crate::pure::answer::{self, ascii_json};
use crate::pure::claim::{Accepted, AttemptEnd, NextStep};
use crate::pure::digest::sha256_hex;
use crate::pure::dispatch::{Dispatch, DispatchId};
use crate::pure::report::{AttemptReport, ErrorType, Report, Status};

/// A claim with what its files say: all that an answer needs.
pub struct Dossier {
    pub claim: Claim,
    pub accepted: Accepted,
    pub dispatch: Dispatch,
}

/// Answers with how the last attempt ended. False: the daemon is being ended, and the next one goes on from what stands.
pub fn after_attempts(context: &Context, dossier: Dossier, last: AttemptEnd) -> bool {
    let id = &dossier.claim.id;
    let logs = context.store.finished_dir(id).display().to_string();
    let Some(earlier) = persist(context, || earlier(context, id, last.attempt.attempt)) else {
        return false;
    };
    let report = answer::from_attempts(&dossier.dispatch, earlier, last, logs);
    conclude(context, dossier, report)
}

/// How the attempts before that one ended.
fn earlier(context: &Context, id: &DispatchId, number: u32) -> Result<Vec<AttemptReport>> {
    let mut reports = Vec::new();
    for attempt in context.store.attempts_before(id, number)? {
        reports.extend(attempt.end()?.read().map(|end| end.attempt.clone()));
    }
    Ok(reports)
}

/// Answers without (another) session: it was cancelled, withdrawn, or could not be started.
pub fn without_session(
    context: &Context,
    dossier: Dossier,
    status: Status,
    kind: ErrorType,
    error: &str,
) -> bool {
    let look = || context.store.last_end(&dossier.claim.id);
    let Some(last) = persist(context, look) else { return false };
    let Some(mut end) = last else {
        let now = clock::unix_ms();
        let report = answer::without_session(&dossier.dispatch, status, kind, error, now);
        return conclude(context, dossier, report);
    };
    // A retry that did not start: the attempts before it are part of the answer.
    if let NextStep::Retry { retries, .. } = end.next {
        end.retries = retries;
    }
    end.ending.status = status;
    end.ending.error_type = Some(kind);
    end.ending.error = Some(error.to_string());
    after_attempts(context, dossier, end)
}

fn conclude(context: &Context, dossier: Dossier, report: Report) -> bool {
    let Dossier { mut claim, accepted, dispatch } = dossier;
    let Some(bytes) = persist(context, || context.store.commit(&mut claim, &report)) else {
        return false;
    };
    let answer = Committed { report, bytes };
    see_through(context, claim, &accepted, dispatch.callback_url.as_deref(), &answer)
}

/// The steps after the commit, in the order that makes each crash between them repeatable.
pub fn see_through(
    context: &Context,
    mut claim: Claim,
    accepted: &Accepted,
    callback_url: Option<&str>,
    answer: &Committed,
) -> bool {
    let store = &context.store;
    let id = claim.id.clone();
    if persist(context, || store.publish(&mut claim, &answer.bytes)).is_none() {
        return false;
    }
    let callback = callback_url.filter(|_| !context.settings().local_only);
    let put = |url| persist(context, || put_callback(context, &claim, url, &answer.bytes));
    if callback.is_some_and(|url| put(url).is_none()) {
        return false;
    }
    audit_end(context, id.as_str(), &answer.report);
    // Not before: a callback that fails at once must not be told of first.
    if callback.is_some() {
        let _ = context.outbox_changed.try_send(());
    }
    // What fails here leaves something behind that the next start removes.
    if let Err(e) = store.remove_answered(&claim, accepted, !answer.report.attempts.is_empty()) {
        log::warn!("{e}");
    }
    persist(context, || store.retire(&claim)).is_some()
}

fn put_callback(context: &Context, claim: &Claim, url: &str, report: &[u8]) -> Result<()> {
    let now = clock::unix_ms();
    let entry = OutboxEntry {
        dispatch_id: claim.id.to_string(),
        url: url.to_string(),
        idempotency_key: format!("{}:{}", claim.id, &sha256_hex(report)[..16]),
        body: ascii_json(report).unwrap_or_default(),
        tries: 0,
        created_at_ms: now,
        next_at_ms: now,
    };
    context.store.put_outbox(&entry)
}

/// The seed's last audit line of a dispatch, and one log line for people.
fn audit_end(context: &Context, id: &str, report: &Report) {
    let error_type = json!(report.error_type);
    let event = match report.status {
        Status::Completed => "completed",
        Status::Cancelled => "cancelled",
        Status::Failed | Status::Timeout => "failed",
    };
    let mut details = vec![("duration", json!(report.duration))];
    if !report.attempts.is_empty() {
        details.push(("exit_code", json!(report.exit_code)));
    }
    if report.status != Status::Completed {
        details.push(("error_type", error_type.clone()));
        details.push(("retry_count", json!(report.retry_count.unwrap_or(0))));
        details.push(("status", json!(report.status)));
    }
    context.audit.record(event, id, &details);
    let why = match (&error_type, &report.error) {
        (Value::String(kind), Some(error)) => format!(": {kind}: {error}"),
        _ => String::new(),
    };
    log::info!("{id} {event} after {} s{why}", report.duration);
}
