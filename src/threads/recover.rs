//! Looks at what an earlier daemon left: once, at start, before anything new is taken. The files
//! alone decide ([`crate::pure::attempt::recovery`]); this module reads them, and does at once what
//! can be done at once.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashSet};
use std::path::PathBuf;

use super::conclude::Answering;
use super::events::notice_of;
use super::shared::context::Context;
use crate::effects::error::Result;
use crate::effects::process::Mark;
use crate::effects::store::{Attempt, Claim, Committed, Contents, InboxName, Record, Room};
use crate::effects::{clock, project};
use crate::pure::agent::environment::{DISPATCH_FILE, RUN_TOKEN};
use crate::pure::attempt::record::{AttemptStart, Identity};
use crate::pure::attempt::recovery::{
    FoundAttempt, FoundClaim, Leader, Resume, ResumeAttempt, Step, step,
};
use crate::pure::audit_event::AuditEvent;
use crate::pure::dispatch::{self, DispatchId, Lane};
use crate::pure::gate::PendingRecord;
use crate::pure::schedule::hold::Notice;
use crate::pure::text::digest::sha256_of_hex;
use crate::pure::text::time::parse_rfc3339;

#[derive(Default)]
pub struct Recovered {
    /// Claims to be queued, each in its old place.
    pub waiting: Vec<Claim>,
    /// Claims that wait until somebody allows them, and what for.
    pub pending: Vec<(Claim, PendingRecord)>,
    /// Claims in the middle of an attempt, each of which gets a thread.
    pub taken_up: Vec<(Claim, Resume)>,
    /// What ended attempts said, and when: it may not have reached `holds.json`.
    pub notices: Vec<(i64, Notice)>,
    /// Answers that could not be seen through at once, and why.
    pub parked: Vec<(Answering, String)>,
    /// Dispatches that cannot be read just now, and why.
    pub unread: Vec<(DispatchId, String)>,
    /// The run tokens of attempts that have not ended.
    open_tokens: Vec<String>,
    /// The paths of our copies that processes of this machine have in their environment, once
    /// somebody asked.
    living: OnceCell<HashSet<String>>,
}

impl Recovered {
    /// Whether a process lives that was started for that dispatch, whatever its records say.
    fn is_living(&self, context: &Context, id: &DispatchId) -> bool {
        let living = self.living.get_or_init(|| context.processes.values_of(DISPATCH_FILE));
        living.contains(&*context.store.copy_path(id).to_string_lossy())
    }
}

/// Looks at every dispatch once. One that cannot be read or answered now must not hold up the
/// others, nor the start.
pub fn recover(context: &Context) -> Result<Recovered> {
    let mut recovered = Recovered::default();
    let started = context.store.list_started()?;
    let ids: BTreeSet<DispatchId> =
        context.store.list_active()?.into_iter().chain(started).collect();
    for id in ids {
        recover_one(context, id, &mut recovered);
    }
    context.tell_moved_aside();
    Ok(recovered)
}

/// Reads an accepted dispatch back.
pub(super) fn contents_in(
    context: &Context,
    id: &DispatchId,
    room: Room,
) -> Result<Option<Contents>> {
    context.store.read_claim(id, room, context.agents().drivers.names_of_accepted())
}

/// The temporary directories that no session needs any more. Called before anything new starts.
pub fn left_behind(context: &Context, recovered: &Recovered) -> Vec<PathBuf> {
    let left = context.store.tmp_left_behind(&recovered.open_tokens);
    if left.is_empty() {
        return left;
    }
    // A session may live although its records are gone.
    let living = context.processes.values_of(RUN_TOKEN);
    context.store.tmp_left_behind(recovered.open_tokens.iter().chain(&living))
}

/// Looks at one dispatch. If it cannot be read, it is left for a later look.
pub fn recover_one(context: &Context, id: DispatchId, recovered: &mut Recovered) {
    match look(context, &id) {
        Ok(looked) => {
            recovered.open_tokens.extend(looked.open_token.clone());
            take_up(context, id, looked, recovered);
        }
        Err(e) => {
            log::error!("{id} waits: {e}");
            recovered.unread.push((id, e.to_string()));
        }
    }
}

fn take_up(context: &Context, id: DispatchId, looked: Looked, recovered: &mut Recovered) {
    let Looked { contents, report, found, folder, .. } = looked;
    let step = step(&found);
    if step != Step::Queue {
        context.audit.tell(id.as_str(), &AuditEvent::Recovered { step });
    }
    let Some(contents) = contents else {
        return take_up_remains(context, id, step, report, recovered);
    };
    let claim = claim_of(context, id, &contents, (Room::Active, folder));
    match (step, report) {
        (Step::Discard, _) => discard(context, &claim.id),
        // The session may have written this report, which must not be told while the session lives.
        (Step::Publish, _)
            if may_run_elsewhere(context, &claim, &contents)
                || recovered.is_living(context, &claim.id) =>
        {
            recovered.taken_up.push((claim, Resume::Publish));
        }
        (Step::Publish, Some(report)) => {
            publish(
                context,
                Answering::of_committed(claim, Some(contents), report, false),
                recovered,
            );
        }
        (Step::Publish, None) => {}
        (Step::Queue, _) => recovered.waiting.push(claim),
        (Step::Resume(resume), _) => {
            if matches!(resume, Resume::Attempt(ResumeAttempt::Follow(_))) {
                recovered.notices.extend(last_notice(context, &claim));
            }
            recovered.taken_up.push((claim, resume));
        }
    }
}

/// Whether only an engine can say that a session of the dispatch is over.
fn may_run_elsewhere(context: &Context, claim: &Claim, contents: &Contents) -> bool {
    let dir = project::expand(&contents.dispatch.project_dir, context.home.as_deref());
    let terms = context.terms_in(&project::resolve_nearest(&dir), claim.agent, &claim.id);
    let kill = terms.launcher.and_then(|launcher| launcher.kill);
    kill.is_some_and(|kill| !kill.is_empty())
}

/// Takes up a dispatch of which nothing says any more what was accepted.
fn take_up_remains(
    context: &Context,
    id: DispatchId,
    step: Step,
    report: Option<Committed>,
    recovered: &mut Recovered,
) {
    let mut claim = remains_of(id, Room::Active);
    match (step, report) {
        (Step::Discard, _) => discard(context, &claim.id),
        (Step::Publish, Some(report)) => {
            publish(context, Answering::of_committed(claim, None, report, false), recovered)
        }
        (step, _) => {
            // Its project is not free while anything of it is left there.
            if let Some(contents) = in_inbox(context, &claim) {
                claim = claim_of(context, claim.id, &contents, (Room::Active, None));
            }
            let stands = step == Step::Resume(Resume::Stands);
            recovered.taken_up.push((claim, if stands { Resume::Stands } else { Resume::Gone }));
        }
    }
}

/// A claim of which nothing is left but its name.
pub(super) fn remains_of(id: DispatchId, room: Room) -> Claim {
    // Senders mostly name a file by the id in it.
    let name = InboxName { name: format!("{id}.json").into(), seen: None };
    let now_ms = clock::unix_ms();
    Claim {
        sha256: None,
        signed: None,
        names: vec![name],
        is_detached: false,
        lane: Lane::from(""),
        agent: dispatch::DEFAULT_AGENT,
        project: "".into(),
        accepted_at_ms: now_ms,
        waits_since_ms: now_ms,
        seq: 0,
        folder: None,
        room,
        contents: None,
        resume: None,
        id,
    }
}

/// Reads a claim from its inbox file, when its own folder says nothing.
pub(super) fn in_inbox(context: &Context, claim: &Claim) -> Option<Contents> {
    let found = context.store.find_in_inbox(
        claim,
        context.settings().min_ttl_seconds,
        context.agents().drivers.names_of_accepted(),
    );
    found.unwrap_or_else(|e| {
        log::warn!("{e}");
        None
    })
}

fn discard(context: &Context, id: &DispatchId) {
    if let Err(e) = context.store.discard(id) {
        log::error!("{e}");
    }
}

pub(super) fn publish(context: &Context, mut answering: Answering, recovered: &mut Recovered) {
    let id = answering.id().clone();
    match answering.advance(context) {
        Ok(()) => {
            if let Err(e) = context.store.remove_cancel(id.as_str()) {
                log::warn!("{e}");
            }
        }
        Err(e) => recovered.parked.push((answering, e.to_string())),
    }
}

struct Looked {
    contents: Option<Contents>,
    report: Option<Committed>,
    found: FoundClaim,
    folder: Option<Identity>,
    /// The run token of its newest attempt, if that has not ended.
    open_token: Option<String>,
}

fn look(context: &Context, id: &DispatchId) -> Result<Looked> {
    let store = &context.store;
    let folder = store.open_up_claim(id, Room::Active)?;
    let contents = contents_in(context, id, Room::Active)?;
    let report = store.read_committed(id, Room::Active)?;
    let started = store.has_started(id)?;
    let attempt = store.last_attempt(id)?;
    let open_token = attempt.as_ref().and_then(open_token);
    let attempt = attempt.map(|attempt| look_at_attempt(context, attempt)).transpose()?;
    // A dispatch that never ran is answered nowhere else: what stands there is not ours.
    let may_have_run = started || attempt.is_some();
    let answered = report.is_none() && may_have_run && store.find_answer(id)?.is_some();
    let (accepted, is_committed) = (contents.is_some(), report.is_some());
    let found = FoundClaim { accepted, started, report: is_committed, answered, attempt };
    Ok(Looked { contents, report, found, folder, open_token })
}

/// `None` if its records cannot be read either.
fn open_token(attempt: &Attempt) -> Option<String> {
    let has_ended = attempt.end().ok()?.read().is_some();
    let start = attempt.start().ok()?.into_read().filter(|_| !has_ended)?;
    Some(start.run_token)
}

pub(super) fn claim_of(
    context: &Context,
    id: DispatchId,
    Contents { accepted, dispatch, .. }: &Contents,
    (room, folder): (Room, Option<Identity>),
) -> Claim {
    let dir = project::expand(&dispatch.project_dir, context.home.as_deref());
    let is_detached = context.store.is_detached(&id, room);
    let name = InboxName { name: accepted.inbox_name(), seen: None };
    let names = if is_detached { Vec::new() } else { vec![name] };
    Claim {
        seq: accepted.seq,
        lane: project::lane(&dir),
        agent: dispatch.target_agent,
        sha256: sha256_of_hex(&accepted.sha256),
        signed: accepted.signed.clone().map(Box::new),
        names,
        is_detached,
        project: dispatch.project.as_str().into(),
        accepted_at_ms: accepted.at_ms(),
        waits_since_ms: waits_since_ms(context, &id, accepted.at_ms()),
        folder,
        room,
        contents: None,
        resume: None,
        id,
    }
}

/// Since when it has waited for its first start. Only who limits the wait needs to know.
fn waits_since_ms(context: &Context, id: &DispatchId, accepted_at_ms: i64) -> i64 {
    let settings = context.settings();
    let is_gated = settings.trusted_projects.is_some() || settings.clawvisor().is_some();
    if settings.queue_timeout.is_none() || !is_gated {
        return accepted_at_ms;
    }
    let approval = context.store.approval(id, Room::Active).ok().flatten();
    approval.and_then(|given| parse_rfc3339(&given.at)).unwrap_or(accepted_at_ms)
}

fn last_notice(context: &Context, claim: &Claim) -> Option<(i64, Notice)> {
    let end = context.store.last_attempt(&claim.id).ok()??.end().ok()?;
    let end = end.read()?;
    Some((end.finished_at_ms, notice_of(claim, end)?))
}

fn look_at_attempt(context: &Context, mut attempt: Attempt) -> Result<FoundAttempt> {
    attempt.find()?;
    let end = match attempt.end()? {
        Record::Read(end) => Some(end.next.clone()),
        Record::Absent | Record::Unreadable => None,
    };
    let stop = attempt.stop()?.read().map(|stop| stop.cause);
    let readings = attempt.readings();
    let start = attempt.start()?;
    let Record::Read(start) = &start else {
        // A started attempt has a durable record, so that this one never ran, unless something says
        // otherwise.
        let traces = attempt.child()? != Record::Absent || attempt.stdout_bytes() > 0;
        let leader = Leader::Unknown;
        return Ok(FoundAttempt { readable: false, end, stop, readings, leader, traces });
    };
    let (leader, traces) = if start.boot_id != clock::boot_id() {
        (Leader::Dead, false)
    } else {
        look_at_processes(context, &attempt, start, end.is_some())?
    };
    Ok(FoundAttempt { readable: true, end, stop, readings, leader, traces })
}

/// If it `has_ended` according to its record, only a process that a record names is looked for.
fn look_at_processes(
    context: &Context,
    attempt: &Attempt,
    start: &AttemptStart,
    has_ended: bool,
) -> Result<(Leader, bool)> {
    let processes = &context.processes;
    let mark = Mark {
        variables: vec![format!("{RUN_TOKEN}={}", start.run_token)],
        stdout: attempt.stdout(),
        group: None,
        started_ticks: start.started_ticks,
        is_below_us: false,
    };
    let has_proc = cfg!(target_os = "linux");
    Ok(match attempt.child()? {
        // Without start times a pid may be anybody's by now, so the lock must say so too.
        Record::Read(child) if processes.is_of_session(&child, &mark) => {
            let ours = has_proc || processes.has_traces(&mark);
            (if ours { Leader::Alive } else { Leader::Dead }, ours)
        }
        Record::Absent | Record::Unreadable | Record::Read(_) if has_ended => (Leader::Dead, false),
        // If a record names another process, a session wrote it.
        Record::Read(child) if !processes.is_alive(&child) => (Leader::Dead, false),
        Record::Absent | Record::Unreadable | Record::Read(_) => {
            match processes.find_leader(&mark) {
                Some(leader) => {
                    // The record is for the next one who asks. A damaged one stays, and is as good
                    // as none.
                    let _ = attempt.write_child(&leader);
                    (Leader::Alive, true)
                }
                // Where there is /proc, an agent that is not found is not there.
                None if has_proc => (Leader::Dead, false),
                None => (Leader::Unknown, processes.has_traces(&mark)),
            }
        }
    })
}
