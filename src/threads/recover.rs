//! What an earlier daemon left: looked at once, at start, before anything new is taken. The files
//! alone decide ([`crate::pure::recovery`]); here they are read, and what can be done at once is
//! done.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashSet};

use serde_json::json;

use super::conclude::Answering;
use super::{Context, notice_of};
use crate::effects::error::Result;
use crate::effects::process::Mark;
use crate::effects::store::{Attempt, Claim, ClaimFiles, Committed, InboxName, Record};
use crate::effects::{clock, project};
use crate::pure::claim::{AttemptStart, Identity, NextStep};
use crate::pure::digest::sha256_of_hex;
use crate::pure::dispatch::{self, Dispatch, DispatchId};
use crate::pure::environment::{DISPATCH_FILE, RUN_TOKEN};
use crate::pure::hold::Notice;
use crate::pure::queue::Lane;
use crate::pure::recovery::{Found, FoundAttempt, FoundEnd, Leader, Step, step};

#[derive(Default)]
pub struct Recovered {
    /// To be queued, each in its old place.
    pub waiting: Vec<Claim>,
    /// In the middle of an attempt: each gets a thread.
    pub taken_up: Vec<(Claim, Step)>,
    /// What attempts said that had ended, and when: it may not have reached `holds.json`.
    pub notices: Vec<(i64, Notice)>,
    /// Answers that could not be seen through at once, and why.
    pub parked: Vec<(Answering, String)>,
    /// What cannot be read just now, and why.
    pub unread: Vec<(DispatchId, String)>,
    /// Which copies of dispatches processes of this machine were told of, once somebody asked.
    living: OnceCell<HashSet<String>>,
}

impl Recovered {
    /// Whether some process was started for that dispatch, whatever its records say.
    fn is_living(&self, context: &Context, id: &DispatchId) -> bool {
        let living = self.living.get_or_init(|| context.processes.values_of(DISPATCH_FILE));
        living.contains(&*context.store.copy_path(id).to_string_lossy())
    }
}

/// Looks at everything once: one that cannot be read or answered now must not hold up the others,
/// nor the start.
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

/// One of them. What cannot be read is for a later look.
pub fn recover_one(context: &Context, id: DispatchId, recovered: &mut Recovered) {
    match look(context, &id) {
        Ok(looked) => take_up(context, id, looked, recovered),
        Err(e) => {
            log::error!("{id} waits: {e}");
            recovered.unread.push((id, e.to_string()));
        }
    }
}

fn take_up(context: &Context, id: DispatchId, looked: Looked, recovered: &mut Recovered) {
    let Looked { files, report, found, folder } = looked;
    let step = step(&found);
    if step != Step::Queue {
        let name = format!("{step:?}").to_lowercase();
        context.audit.record("recovered", id.as_str(), &[("step", json!(name))]);
    }
    let Some(files) = files else {
        return take_up_remains(context, id, step, report, recovered);
    };
    let dispatch = dispatch::parse(&files.bytes, 0, context.drivers.names()).ok();
    let claim = claim_of(context, id, &files, dispatch.as_ref(), folder);
    match step {
        Step::Discard => discard(context, &claim.id),
        // A report that a session wrote must not be told as long as that lives.
        Step::Publish if recovered.is_living(context, &claim.id) => {
            recovered.taken_up.push((claim, step));
        }
        Step::Publish => {
            let url = dispatch.and_then(|dispatch| dispatch.callback_url);
            if let Some(report) = report {
                publish(
                    context,
                    Answering::of_committed(claim, Some(files), url, report, false),
                    recovered,
                );
            }
        }
        Step::Queue => recovered.waiting.push(claim),
        Step::QueueRetry | Step::QueueAgain | Step::Conclude => {
            recovered.notices.extend(last_notice(context, &claim));
            recovered.taken_up.push((claim, step));
        }
        Step::GoOnStopping(_)
        | Step::Adopt
        | Step::Judge
        | Step::GiveUp(_)
        | Step::Gone
        | Step::Stands => recovered.taken_up.push((claim, step)),
    }
}

/// For one of which nothing says any more what was accepted.
fn take_up_remains(
    context: &Context,
    id: DispatchId,
    step: Step,
    report: Option<Committed>,
    recovered: &mut Recovered,
) {
    // Senders mostly name a file by its id.
    let name = InboxName { name: format!("{id}.json").into(), seen: None };
    let mut claim = Claim {
        sha256: None,
        names: vec![name],
        is_detached: false,
        lane: Lane::from(""),
        agent: dispatch::DEFAULT_AGENT,
        project: "".into(),
        accepted_at_ms: clock::unix_ms(),
        seq: 0,
        folder: None,
        in_hand: None,
        resume: None,
        id,
    };
    match (step, report) {
        (Step::Discard, _) => discard(context, &claim.id),
        (Step::Publish, Some(report)) => {
            publish(context, Answering::of_committed(claim, None, None, report, false), recovered)
        }
        _ => {
            // Its project is not free before nothing of it is left there.
            if let Some((files, dispatch)) = in_inbox(context, &claim) {
                claim = claim_of(context, claim.id, &files, Some(&dispatch), None);
            }
            let step = if step == Step::Stands { step } else { Step::Gone };
            recovered.taken_up.push((claim, step));
        }
    }
}

/// What the inbox file says of one whose own folder says nothing.
pub(super) fn in_inbox(context: &Context, claim: &Claim) -> Option<(ClaimFiles, Dispatch)> {
    let files = context.store.find_in_inbox(claim).unwrap_or_else(|e| {
        log::warn!("{e}");
        None
    })?;
    let ttl_seconds_min = context.settings().min_ttl_seconds;
    let names = context.drivers.names();
    let dispatch = dispatch::parse(&files.bytes, ttl_seconds_min, names).ok()?;
    (dispatch.id == claim.id).then_some((files, dispatch))
}

fn discard(context: &Context, id: &DispatchId) {
    if let Err(e) = context.store.discard(id) {
        log::error!("{e}");
    }
}

fn publish(context: &Context, mut answering: Answering, recovered: &mut Recovered) {
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
    files: Option<ClaimFiles>,
    report: Option<Committed>,
    found: Found,
    folder: Option<Identity>,
}

fn look(context: &Context, id: &DispatchId) -> Result<Looked> {
    let store = &context.store;
    let folder = store.open_up_claim(id)?;
    let (files, report) = (store.read_claim(id)?, store.read_committed(id)?);
    let started = store.has_started(id)?;
    let attempt = store.last_attempt(id)?;
    let attempt = attempt.map(|attempt| look_at_attempt(context, attempt)).transpose()?;
    // One that never ran is answered nowhere else: what stands there is not ours.
    let may_have_run = started || attempt.is_some();
    let answered = report.is_none() && may_have_run && store.find_answer(id)?.is_some();
    let found =
        Found { accepted: files.is_some(), started, report: report.is_some(), answered, attempt };
    Ok(Looked { files, report, found, folder })
}

fn claim_of(
    context: &Context,
    id: DispatchId,
    files: &ClaimFiles,
    dispatch: Option<&Dispatch>,
    folder: Option<Identity>,
) -> Claim {
    let (dir, project, agent) = match dispatch {
        Some(d) => {
            let dir = project::expand(&d.project_dir, context.home.as_deref());
            (dir, d.project.as_str(), d.target_agent)
        }
        None => (Default::default(), "", dispatch::DEFAULT_AGENT),
    };
    let is_detached = context.store.is_detached(&id);
    let name = InboxName { name: files.accepted.inbox_name(), seen: None };
    let names = if is_detached { Vec::new() } else { vec![name] };
    Claim {
        id,
        seq: files.accepted.seq,
        lane: project::lane(&dir),
        agent,
        sha256: sha256_of_hex(&files.accepted.sha256),
        names,
        is_detached,
        project: project.into(),
        accepted_at_ms: files.accepted.at_ms(),
        folder,
        in_hand: None,
        resume: None,
    }
}

fn last_notice(context: &Context, claim: &Claim) -> Option<(i64, Notice)> {
    let end = context.store.last_attempt(&claim.id).ok()??.end().ok()?;
    let end = end.read()?;
    Some((end.finished_at_ms, notice_of(claim, end)?))
}

fn look_at_attempt(context: &Context, mut attempt: Attempt) -> Result<FoundAttempt> {
    attempt.find()?;
    let end = match attempt.end()? {
        Record::Read(end) => Some(match end.next {
            NextStep::Report => FoundEnd::Report,
            NextStep::Retry { .. } => FoundEnd::Retry,
            NextStep::Queue { .. } => FoundEnd::Queue,
        }),
        Record::Absent | Record::Unreadable => None,
    };
    let stop = attempt.stop()?.read().map(|stop| stop.cause);
    let readings = attempt.readings();
    let start = attempt.start()?;
    let Record::Read(start) = &start else {
        // What is started has a durable record, so that this one never ran, unless something says
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

/// `has_ended`: its record says so, and nobody need be looked for whom none names.
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
        // Without start times a pid may be anybody's by now: then the lock must say so too.
        Record::Read(child) if processes.is_of_session(&child, &mark) => {
            let ours = has_proc || processes.has_traces(&mark);
            (if ours { Leader::Alive } else { Leader::Dead }, ours)
        }
        Record::Absent | Record::Unreadable | Record::Read(_) if has_ended => (Leader::Dead, false),
        // A record of another process is one that a session wrote.
        Record::Read(child) if !processes.is_alive(&child) => (Leader::Dead, false),
        Record::Absent | Record::Unreadable | Record::Read(_) => {
            match processes.find_leader(&mark) {
                Some(leader) => {
                    // For the next one who asks. A damaged record stays, and is as good as none.
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
