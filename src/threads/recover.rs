//! What an earlier daemon left: looked at once, at start, before anything new is taken. The files alone decide
//! ([`crate::pure::recovery`]); here they are read, and what can be done at once is done.

use std::thread;
use std::time::Duration;

use serde_json::json;

use super::conclude::see_through;
use super::{Context, notice_of};
use crate::effects::error::Result;
use crate::effects::process::Mark;
use crate::effects::store::{Attempt, Claim, ClaimFiles, Committed, Put, Record};
use crate::effects::{clock, project};
use crate::pure::claim::{AttemptStart, NextStep};
use crate::pure::dispatch::{self, DispatchId};
use crate::pure::hold::Notice;
use crate::pure::recovery::{Found, FoundAttempt, FoundEnd, Leader, Step, step};

/// How often a claim is looked at before it is left as it is.
const LOOKS_MAX: u32 = 10;
const LOOK_AGAIN: Duration = Duration::from_secs(1);

#[derive(Default)]
pub struct Recovered {
    /// To be queued, each in its old place.
    pub waiting: Vec<Claim>,
    /// In the middle of an attempt: each gets a thread.
    pub taken_up: Vec<(Claim, Step)>,
    /// What attempts said that had ended, and when: it may not have reached `holds.json`.
    pub notices: Vec<(i64, Notice)>,
}

pub fn recover(context: &Context) -> Result<Recovered> {
    let mut recovered = Recovered::default();
    let boot_id = clock::boot_id();
    for id in context.store.list_active()? {
        let (files, report, found) = match look_patiently(context, &id, boot_id) {
            Ok(looked) => looked,
            Err(e) => {
                log::error!("{id} is left as it is: {e}");
                continue;
            }
        };
        let step = step(&found);
        if step != Step::Queue {
            let name = format!("{step:?}").to_lowercase();
            context.audit.record("recovered", id.as_str(), &[("step", json!(name))]);
        }
        let Some(files) = files else {
            // Without its record nothing can be redone; with a report there is one, and it is kept.
            if step == Step::Discard {
                context.store.discard(&id)?;
            } else {
                log::error!("{id}: its folder is damaged and is left as it is");
            }
            continue;
        };
        let claim = claim_of(context, id, &files);
        match step {
            Step::Discard => context.store.discard(&claim.id)?,
            Step::Publish => {
                if let Some(report) = report {
                    publish(context, claim, &files, &report);
                }
            }
            Step::Queue => recovered.waiting.push(claim),
            Step::QueueRetry | Step::QueueAgain | Step::Conclude => {
                recovered.notices.extend(last_notice(context, &claim));
                recovered.taken_up.push((claim, step));
            }
            Step::GoOnStopping(_) | Step::Adopt | Step::Judge | Step::GiveUp(_) => {
                recovered.taken_up.push((claim, step))
            }
        }
    }
    Ok(recovered)
}

type Looked = (Option<ClaimFiles>, Option<Committed>, Found);

/// A disk or a table of descriptors may be in trouble for a moment; one claim that cannot be read at all must not hold up
/// the others for ever.
fn look_patiently(context: &Context, id: &DispatchId, boot_id: &str) -> Result<Looked> {
    for _ in 1..LOOKS_MAX {
        match look(context, id, boot_id) {
            Err(e) => log::error!("{e}; trying again in {LOOK_AGAIN:?}"),
            looked => return looked,
        }
        thread::sleep(LOOK_AGAIN);
    }
    look(context, id, boot_id)
}

fn look(context: &Context, id: &DispatchId, boot_id: &str) -> Result<Looked> {
    let store = &context.store;
    let (files, report) = (store.read_claim(id)?, store.read_committed(id)?);
    let attempt = store.last_attempt(id)?;
    let attempt = attempt.map(|attempt| look_at_attempt(context, &attempt, boot_id)).transpose()?;
    let found = Found { accepted: files.is_some(), report: report.is_some(), attempt };
    Ok((files, report, found))
}

fn claim_of(context: &Context, id: DispatchId, files: &ClaimFiles) -> Claim {
    let (dir, project, agent) = match dispatch::parse(&files.bytes, 0) {
        Ok(d) => {
            let dir = project::expand(&d.project_dir, context.home.as_deref());
            (dir, d.project, d.target_agent)
        }
        Err(_) => Default::default(),
    };
    Claim {
        id,
        seq: files.accepted.seq,
        lane: project::lane(&dir),
        agent: dispatch::agent_name(&agent),
        inbox_name: files.accepted.inbox_name(),
        project: project.into(),
        accepted_at_ms: files.accepted.at_ms(),
        put: Put::default(),
        in_hand: None,
        places: None,
    }
}

fn last_notice(context: &Context, claim: &Claim) -> Option<(i64, Notice)> {
    let end = context.store.last_attempt(&claim.id).ok()??.end().ok()?;
    let end = end.read()?;
    Some((end.finished_at_ms, notice_of(claim, end)?))
}

fn publish(context: &Context, claim: Claim, files: &ClaimFiles, report: &Committed) {
    let url = dispatch::parse(&files.bytes, 0).ok().and_then(|d| d.callback_url);
    let id = claim.id.clone();
    see_through(context, claim, &files.accepted, url.as_deref(), report);
    if let Err(e) = context.store.remove_cancel(id.as_str()) {
        log::warn!("{e}");
    }
}

fn look_at_attempt(context: &Context, attempt: &Attempt, boot_id: &str) -> Result<FoundAttempt> {
    let end = match attempt.end()? {
        Record::Read(end) => Some(match end.next {
            NextStep::Report => FoundEnd::Report,
            NextStep::Retry { .. } => FoundEnd::Retry,
            NextStep::Queue { .. } => FoundEnd::Queue,
        }),
        Record::Absent | Record::Unreadable => None,
    };
    let stop = attempt.stop()?.read().map(|stop| stop.cause);
    let readings = attempt.readings()?;
    let start = attempt.start()?;
    let Record::Read(start) = &start else {
        // What is started has a durable record, so that this one never ran, unless something says otherwise.
        let traces = attempt.child()? != Record::Absent || attempt.stdout_bytes() > 0;
        let leader = Leader::Unknown;
        return Ok(FoundAttempt { readable: false, end, stop, readings, leader, traces });
    };
    let (leader, traces) = if end.is_some() || start.boot_id != boot_id {
        (Leader::Dead, false)
    } else {
        look_at_processes(context, attempt, start)?
    };
    Ok(FoundAttempt { readable: true, end, stop, readings, leader, traces })
}

fn look_at_processes(
    context: &Context,
    attempt: &Attempt,
    start: &AttemptStart,
) -> Result<(Leader, bool)> {
    let processes = &context.processes;
    let mark = Mark {
        run_token: start.run_token.clone(),
        stdout: attempt.stdout_path(),
        group: None,
        started_ticks: start.started_ticks,
        is_below_us: false,
    };
    let has_proc = cfg!(target_os = "linux");
    Ok(match attempt.child()? {
        // Without start times a pid may be anybody's by now: then the lock must say so too.
        Record::Read(child) if processes.is_alive(&child) => {
            let ours = has_proc || processes.has_traces(&mark);
            (if ours { Leader::Alive } else { Leader::Dead }, ours)
        }
        Record::Read(_) => (Leader::Dead, false),
        Record::Absent | Record::Unreadable => match processes.find_leader(&mark) {
            Some(leader) => {
                // For the next one who asks. A damaged record stays, and is as good as none.
                let _ = attempt.write_child(&leader);
                (Leader::Alive, true)
            }
            // Where there is /proc, an agent that is not found is not there.
            None if has_proc => (Leader::Dead, false),
            None => (Leader::Unknown, processes.has_traces(&mark)),
        },
    })
}
