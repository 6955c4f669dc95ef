//! Turns a decided report into an answered dispatch. Everything after the commit is harmless when
//! it is done again, which is what the next start does if we die in between.
//!
//! Whoever drives an [`Answering`] decides how long: a worker gives it some tries, intake one. An
//! answer that cannot go on then is parked, so that one dispatch's trouble takes nobody else's
//! slot.

use serde_json::json;

use super::shared::context::Context;
use crate::effects::clock;
use crate::effects::error::Result;
use crate::effects::store::{Claim, Committed, Contents, IdOwner, OutboxEntry};
use crate::pure::attempt::build_report::{self, FROM_MEMORY};
use crate::pure::attempt::record::{AttemptEnd, NextStep};
use crate::pure::audit_event::AuditEvent;
use crate::pure::callback::body::body;
use crate::pure::callback::destination::{destination, is_task_of};
use crate::pure::dispatch::Dispatch;
use crate::pure::dispatch::DispatchId;
use crate::pure::gate::clawvisor::TaskId;
use crate::pure::gate::completing::{TaskFate, fate};
use crate::pure::gate::signature::Signed;
use crate::pure::report::{Approval, AttemptReport, ErrorType, Report, Status};
use crate::pure::text::digest::sha256_hex;

/// A dispatch on its way from its report to its end.
#[derive(Debug)]
pub struct Answering {
    claim: Claim,
    /// What was accepted, if that is known. A fresh folder, the inbox file and the callback need
    /// it.
    contents: Option<Contents>,
    report: Report,
    /// The report's exact bytes, once it is committed.
    bytes: Vec<u8>,
    step: Step,
    /// The report was committed in a fresh folder, since the claim's own is of no use.
    is_afresh: bool,
}

/// The steps stand in an order in which each can be repeated after a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Commit,
    Publish,
    Callback,
    /// The operator's program is to be given the report.
    Finishing,
    Tell,
    RemoveFile,
    Retire,
    Done,
}

impl Answering {
    /// Begins with a report that has to be committed. `contents` is what was accepted, if that is
    /// known.
    pub fn new(claim: Claim, contents: Option<Contents>, mut report: Report) -> Answering {
        let signed = contents.as_ref().and_then(|contents| contents.accepted.signed.as_ref());
        if let Some(shown) = signed.and_then(Signed::approval) {
            let Approval { by, at, clawvisor_task_id, .. } = report.approval.unwrap_or_default();
            report.approval = Some(Approval { by, at, clawvisor_task_id, ..shown });
        }
        let (bytes, step) = (Vec::new(), Step::Commit);
        Answering { claim, contents, report, bytes, step, is_afresh: false }
    }

    /// Begins with how the last attempt ended; `earlier` are the attempts before it.
    pub fn of_attempts(
        context: &Context,
        claim: Claim,
        contents: Contents,
        earlier: Vec<AttemptReport>,
        last: AttemptEnd,
    ) -> Answering {
        let logs = context.store.finished_dir(&claim.id).display().to_string();
        let report = build_report::from_attempts(&contents.dispatch, earlier, last, logs);
        Answering::new(claim, Some(contents), report)
    }

    /// Begins with a dispatch that gets no (other) session: it was cancelled, withdrawn, or could
    /// not be started. `last` is how the newest attempt ended, which is a part of the answer.
    pub fn without_session(
        context: &Context,
        claim: Claim,
        contents: Contents,
        earlier: Vec<AttemptReport>,
        last: Option<AttemptEnd>,
        (status, kind, error): (Status, ErrorType, &str),
    ) -> Answering {
        let Some(mut end) = last else {
            let now = clock::unix_ms();
            let report =
                build_report::without_session(&contents.dispatch, status, kind, error, now);
            return Answering::new(claim, Some(contents), report);
        };
        if let NextStep::Retry { retries, .. } = end.next {
            end.retries = retries;
        }
        end.ending.status = status;
        end.ending.error_type = Some(kind);
        end.ending.error = Some(error.to_string());
        Answering::of_attempts(context, claim, contents, earlier, end)
    }

    /// Adds warnings to a report that has to be committed.
    pub fn with(mut self, warnings: impl IntoIterator<Item = String>) -> Answering {
        self.report.warnings.extend(warnings);
        self
    }

    /// Begins with a report that is committed already, in the claim's folder or (`is_afresh`)
    /// outside of it.
    pub fn of_committed(
        claim: Claim,
        contents: Option<Contents>,
        committed: Committed,
        is_afresh: bool,
    ) -> Answering {
        let (Committed { report, bytes }, step) = (committed, Step::Publish);
        Answering { claim, contents, report, bytes, step, is_afresh }
    }

    pub fn id(&self) -> &DispatchId {
        &self.claim.id
    }

    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Whether the answer is ours to give. Another daemon that holds the directory answers what
    /// stands there, or has done so; only we can answer what does not stand there.
    pub fn is_ours(&self, context: &Context) -> bool {
        let is_unknown = || matches!(context.store.owner(self.id()), Ok(IdOwner::Nobody));
        context.has_lock() || is_unknown()
    }

    /// Whether something of its session could not be ended, so that nobody else may work in that
    /// project meanwhile.
    pub fn is_project_busy(&self) -> bool {
        self.report.leftover_processes.iter().any(|leftover| !leftover.ended)
    }

    /// Goes on from where it stands, to the end or to the first step that fails. The next call
    /// tries that step again.
    pub fn advance(&mut self, context: &Context) -> Result<()> {
        let advanced = self.try_to_advance(context);
        context.tell_moved_aside();
        advanced
    }

    fn try_to_advance(&mut self, context: &Context) -> Result<()> {
        let store = &context.store;
        loop {
            self.step = match self.step {
                Step::Commit => {
                    self.commit(context)?;
                    Step::Publish
                }
                Step::Publish => {
                    store.publish(&self.claim.id, &self.bytes)?;
                    Step::Callback
                }
                Step::Callback => {
                    self.put_callback(context)?;
                    self.see_to_task(context)?;
                    Step::Finishing
                }
                Step::Finishing => {
                    if !context.settings().on_finish.is_empty() {
                        store.put_finishing(&self.claim.id, &self.bytes)?;
                    }
                    Step::Tell
                }
                Step::Tell => {
                    self.tell(context);
                    Step::RemoveFile
                }
                Step::RemoveFile => {
                    self.remove_file(context);
                    Step::Retire
                }
                Step::Retire => {
                    self.retire(context)?;
                    if !context.settings().on_finish.is_empty() {
                        // Its logs have their place from here on.
                        let _ = context.retired.send(self.claim.id.clone());
                    }
                    Step::Done
                }
                Step::Done => return Ok(()),
            };
        }
    }

    fn commit(&mut self, context: &Context) -> Result<()> {
        self.warn_of_callback(context);
        match context.store.commit(&self.claim, &self.report) {
            Err(e) if !e.fault().is_everywhere() => {
                if !self.is_afresh {
                    log::warn!("{e}: {} is answered from memory", self.claim.id);
                }
                if !self.report.warnings.iter().any(|warning| warning == FROM_MEMORY) {
                    self.report.warnings.push(FROM_MEMORY.into());
                }
                self.bytes = context.store.encode(&self.report)?;
                self.commit_afresh(context)
            }
            committed => {
                self.bytes = committed?;
                Ok(())
            }
        }
    }

    fn commit_afresh(&mut self, context: &Context) -> Result<()> {
        context.store.commit_afresh(&self.claim.id, self.contents.as_ref(), &self.bytes)?;
        self.is_afresh = true;
        Ok(())
    }

    /// A callback that the URL itself shows to lead nowhere is told of in the report.
    fn warn_of_callback(&mut self, context: &Context) {
        let settings = context.settings();
        let allow = settings.callback_allow.as_deref().filter(|_| !settings.local_only);
        let url = self.contents.as_ref().and_then(|known| known.dispatch.callback_url.as_deref());
        let Some(Err(refusal)) = url.map(|url| destination(url, allow)) else { return };
        let warning = format!("callback_url cannot be used: {refusal}");
        if !self.report.warnings.contains(&warning) {
            self.report.warnings.push(warning);
        }
    }

    /// The dispatch and its URL, if its answer is to be sent.
    fn callback(&self, context: &Context) -> Option<(&Dispatch, &String)> {
        let dispatch = &self.contents.as_ref()?.dispatch;
        let url = dispatch.callback_url.as_ref();
        Some((dispatch, url.filter(|_| !context.settings().local_only)?))
    }

    fn put_callback(&self, context: &Context) -> Result<()> {
        let Some((dispatch, url)) = self.callback(context) else { return Ok(()) };
        if is_relayed_to_nobody(context, url) {
            return Ok(());
        }
        let (id, now) = (&self.claim.id, clock::unix_ms());
        let task = dispatch.clawvisor_task_id.as_deref();
        context.store.put_outbox(&OutboxEntry {
            dispatch_id: id.to_string(),
            url: url.clone(),
            idempotency_key: format!("{id}:{}", &sha256_hex(&self.bytes)[..16]),
            body: body(id, task, &self.bytes).unwrap_or_default(),
            tries: 0,
            created_at_ms: now,
            next_at_ms: now,
            asked_pause_ms: 0,
            given_up: None,
        })
    }

    /// Puts the task that the dispatch has down to be completed, or lets it go. The store knows
    /// whose it is.
    fn see_to_task(&self, context: &Context) -> Result<()> {
        let (store, id) = (&context.store, &self.claim.id);
        let named =
            self.contents.as_ref().and_then(|known| known.dispatch.clawvisor_task_id.as_deref());
        let Some(task) = named.and_then(TaskId::parse) else { return Ok(()) };
        if context.settings().clawvisor().is_none() {
            return Ok(());
        }
        let Report { status, error_type, attempts, .. } = &self.report;
        // A session may have written what is found committed.
        let has_run = !attempts.is_empty() || store.has_started(id)?;
        match fate(*status, *error_type, has_run) {
            TaskFate::IsCompleted => store.put_completing(&task, id),
            TaskFate::IsFree => store.take_task_back(&task, id),
            TaskFate::Stands => Ok(()),
        }
    }

    fn tell(&self, context: &Context) {
        audit_end(context, self.claim.id.as_str(), &self.report);
        context.authority.wake();
        let Some((_, url)) = self.callback(context) else { return };
        if is_relayed_to_nobody(context, url) {
            let why = "callback_url is a task of Clawvisor, which relays no report".into();
            context.audit.tell(self.claim.id.as_str(), &AuditEvent::CallbackSkipped { why });
        } else {
            // The courier is woken after the dispatch's audit line: a callback that fails at once
            // must not be told of first.
            let _ = context.outbox_changed.try_send(());
        }
    }

    /// A failure here leaves a file behind that the next start removes.
    fn remove_file(&self, context: &Context) {
        let Some(Contents { accepted, .. }) = &self.contents else { return };
        if let Err(e) = context.store.remove_answered(&self.claim, accepted) {
            log::warn!("{e}");
        }
    }

    fn retire(&mut self, context: &Context) -> Result<()> {
        if !self.is_afresh {
            match context.store.retire(&self.claim) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                    log::warn!("{e}: {} is kept from memory", self.claim.id);
                    self.commit_afresh(context)?;
                }
                retired => return retired,
            }
        }
        if !context.store.is_kept(&self.claim.id)? {
            // The answer was found published, and nothing else of the dispatch is left.
            self.commit_afresh(context)?;
        }
        context.store.retire_remains(&self.claim)
    }
}

fn is_relayed_to_nobody(context: &Context, url: &str) -> bool {
    context.settings().clawvisor().is_some_and(|clawvisor| is_task_of(url, &clawvisor))
}

/// How the attempts before that number ended, as their records have it.
pub fn earlier_attempts(
    context: &Context,
    id: &DispatchId,
    number: u32,
) -> Result<Vec<AttemptReport>> {
    let mut reports = Vec::new();
    for attempt in context.store.attempts_before(id, number)? {
        reports.extend(attempt.end()?.read().map(|end| end.attempt.clone()));
    }
    Ok(reports)
}

/// The last audit line of a dispatch, and one log line for people.
fn audit_end(context: &Context, id: &str, report: &Report) {
    context.audit.tell(id, &AuditEvent::of_report(report));
    let (event, level) = match report.status {
        Status::Completed => ("completed", log::Level::Info),
        Status::Cancelled => ("cancelled", log::Level::Info),
        Status::Failed | Status::Timeout => ("failed", log::Level::Warn),
    };
    let kind = json!(report.error_type);
    let why = match (kind.as_str().filter(|kind| *kind != event), &report.error) {
        (Some(kind), Some(error)) => format!(": {kind}: {error}"),
        (None, Some(error)) => format!(": {error}"),
        (_, None) => String::new(),
    };
    log::log!(level, "{id} {event} after {} s{why}", report.duration);
}
