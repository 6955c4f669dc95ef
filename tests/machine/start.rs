//! The start of an attempt: what is to be run next, and everything that must be durable before the
//! agent runs.

use gstack_dispatch_daemon::pure::attempt::next_attempt::{self, Last, NextAttempt};
use gstack_dispatch_daemon::pure::attempt::record::{AttemptStart, Mode, NextStep};

use crate::disk::Id;
use crate::records::{Accepted, Record, Start};
use crate::store::*;
use crate::work::{Running, Work};
use crate::world::{Durable, Fail, Result, Without, World};

pub fn plan(w: &World, id: u32) -> NextAttempt {
    let last = attempts(w, &claim_dir(id)).pop().map(|number| Last {
        number,
        start: Running::of(w, id, number).map(|running| running.start.record),
        end: end_of_attempt(w, id, number),
    });
    let end = last.as_ref().and_then(|last| last.end.as_ref());
    let is_retry = end.is_some_and(|end| matches!(end.next, NextStep::Retry { .. }));
    let plan = next_attempt::next(last, w.wall_ms);
    let is_uncounted = is_retry && w.lacks(Without::CountOfRetries);
    NextAttempt { retries: if is_uncounted { 0 } else { plan.retries }, ..plan }
}

/// One of the names that it is known by stands with the file that is known, or at least its bytes.
pub fn is_named(w: &World, names: &[(String, Option<Id>)], accepted: &Accepted) -> bool {
    names.iter().any(|(name, known)| match w.disk.find(&format!("inbox/{name}")) {
        None => false,
        Some(file) if Some(file) == *known => true,
        Some(file) => {
            matches!(w.disk.read_node(file), Some(Record::Dispatch(b)) if b.uid == accepted.uid)
        }
    })
}

/// Makes the attempt durable, then starts the agent. `None`: it could not be started, and is taken
/// back.
pub fn begin(w: &mut World, work: &Work, plan: &NextAttempt) -> Result<Option<Running>> {
    let (id, number) = (work.claim.id, plan.number);
    let dir = attempt_dir(id, number);
    let now = w.now();
    let record = AttemptStart {
        attempt: number,
        mode: plan.mode.clone(),
        had_learnings: work.body.has_learnings && plan.mode == Mode::AsIs,
        retries: plan.retries,
        waits: plan.waits,
        probe: work.is_probe,
        first: plan.first.clone().unwrap_or_else(|| now.clone()),
        started_at_ms: now.at_ms,
        started_monotonic_ms: now.monotonic_ms,
        deadline_monotonic_ms: now.monotonic_ms + work.body.ttl_ms,
        boot_id: now.boot_id,
        ..AttemptStart::default()
    };
    let (token, accepted, body) = (w.number(), work.accepted.clone(), work.body);
    let start = Start { record, token, accepted, body };
    match write_attempt(w, &dir, &start) {
        Err(Fail::Error) => {
            w.may_fail()?;
            undo_attempt(w, &dir)?;
            return Ok(None);
        }
        written => written?,
    }
    note_start(w, id)?;
    let stdout = w.disk.find(&format!("{dir}/stdout.jsonl")).expect("just made");
    if !w.spawn(&start, stdout)? {
        if number == 1 {
            forget_start(w, id)?;
            w.sync("started")?;
        }
        undo_attempt(w, &dir)?;
        return Ok(None);
    }
    w.create(&format!("{dir}/child.json"), Record::Child(start.token))?;
    Ok(Some(Running { start, stop: None, is_ours: true }))
}

fn write_attempt(w: &mut World, dir: &str, start: &Start) -> Result<()> {
    w.make_dir_anew(dir)?;
    w.create(&format!("{dir}/prompt.txt"), Record::Plain)?;
    w.create(&format!("{dir}/stdout.jsonl"), Record::Plain)?;
    w.may_fail()?;
    w.replace(dir, "attempt.json", Record::Start(start.clone()), Durable::No)?;
    w.sync_unless(Without::SyncOfAttempt, &format!("{dir}/attempt.json"))?;
    w.may_fail()?;
    w.sync_unless(Without::SyncOfAttemptFolder, dir)?;
    w.sync_unless(Without::SyncOfClaimFolder, &claim_dir(start.body.id))?;
    w.may_fail()?;
    w.sync_unless(Without::SyncOfActive, "active")
}

/// Who wrote it may have died before its fsyncs.
pub fn sync_attempt(w: &mut World, id: u32) -> Result<()> {
    let Some(number) = attempts(w, &claim_dir(id)).pop() else { return Ok(()) };
    let dir = attempt_dir(id, number);
    if w.lacks(Without::SyncOfFoundAttempt) {
        return Ok(());
    }
    for path in [&format!("{dir}/attempt.json"), &dir, &claim_dir(id)] {
        w.sync(path)?;
    }
    w.sync("active")
}

fn undo_attempt(w: &mut World, dir: &str) -> Result<()> {
    w.remove(&format!("{dir}/attempt.json"))?;
    w.sync(dir)?;
    w.remove_tree(dir)
}
