//! The files, as `effects::store` reads, writes and syncs them: a claim, its attempts' ends, the
//! commit and what follows it, the removal from the inbox.

use gstack_dispatch_daemon::pure::attempt::record::{AttemptEnd, NextStep};
use gstack_dispatch_daemon::pure::report::{ErrorType, Status};

use crate::records::{Accepted, Body, Record, Report};
use crate::work::Running;
use crate::world::{Durable, Result, Without, World};

pub fn claim_dir(id: u32) -> String {
    format!("active/{id}")
}

pub fn pending_dir(id: u32) -> String {
    format!("pending/{id}")
}

/// Where the folder of an open dispatch is.
pub fn home_of(w: &World, id: u32) -> String {
    let pending = pending_dir(id);
    if w.disk.find(&pending).is_some() { pending } else { claim_dir(id) }
}

pub fn attempt_dir(id: u32, number: u32) -> String {
    format!("active/{id}/attempt-{number}")
}

/// Attempts that have an `attempt.json`, first to last.
pub fn attempts(w: &World, dir: &str) -> Vec<u32> {
    let names = w.disk.list(dir).into_iter();
    let number = |name: String| name.strip_prefix("attempt-")?.parse().ok();
    let began = |number: &u32| w.disk.find(&format!("{dir}/attempt-{number}/attempt.json"));
    let mut numbers: Vec<u32> = names.filter_map(number).filter(|n| began(n).is_some()).collect();
    numbers.sort_unstable();
    numbers
}

/// The acceptance, and the bytes: as they stand, or as the newest attempt holds them.
pub fn read_claim(w: &World, dir: &str) -> Option<(Accepted, Body)> {
    let accepted = w.disk.read(&format!("{dir}/accepted.json"));
    let copy = w.disk.read(&format!("{dir}/dispatch.json"));
    if let (Some(Record::Accepted(accepted)), Some(Record::Dispatch(body))) = (accepted, copy)
        && (accepted.uid == body.uid || w.lacks(Without::Digest))
    {
        return Some((accepted.clone(), *body));
    }
    let starts = attempts(w, dir).into_iter().rev();
    starts.into_iter().find_map(|number| {
        match w.disk.read(&format!("{dir}/attempt-{number}/attempt.json")) {
            Some(Record::Start(start)) => Some((start.accepted.clone(), start.body)),
            _ => None,
        }
    })
}

/// Whose bytes have that id, as far as it is known, and whether they are answered.
pub fn taken(w: &World, id: u32) -> Option<(Option<u64>, bool)> {
    for (parent, is_answered) in [("active", false), ("pending", false), ("finished", true)] {
        let dir = format!("{parent}/{id}");
        if w.disk.find(&dir).is_some() {
            let accepted = match w.disk.read(&format!("{dir}/accepted.json")) {
                Some(Record::Accepted(accepted)) => Some(accepted.uid),
                _ => read_claim(w, &dir).map(|(accepted, _)| accepted.uid),
            };
            return Some((accepted, is_answered));
        }
    }
    w.disk.find(&format!("completed/{id}")).map(|_| (None, true))
}

pub fn last_end(w: &World, id: u32) -> Option<AttemptEnd> {
    end_of_attempt(w, id, attempts(w, &claim_dir(id)).pop()?)
}

pub fn end_of_attempt(w: &World, id: u32, number: u32) -> Option<AttemptEnd> {
    match w.disk.read(&format!("{}/end.json", attempt_dir(id, number))) {
        Some(Record::End(end)) => Some(end.clone()),
        _ => None,
    }
}

pub fn read_committed(w: &mut World, dir: &str) -> Result<Option<Report>> {
    let path = format!("{dir}/report.json");
    let Some(Record::Report(report)) = w.disk.read(&path).cloned() else { return Ok(None) };
    w.sync_unless(Without::SyncOfCommittedAgain, &path)?;
    w.sync_unless(Without::SyncOfCommittedAgain, dir)?;
    Ok(Some(report))
}

/// The answer where no session ran, or none any more.
pub fn report_without(w: &mut World, id: u32, accepted: &Accepted, kind: ErrorType) -> Report {
    let status = if kind == ErrorType::Cancelled { Status::Cancelled } else { Status::Failed };
    let nonce = w.number();
    let (uid, error_type) = (accepted.uid, Some(kind));
    let ends = attempts(w, &claim_dir(id)).into_iter().rev();
    let Some(end) = ends.into_iter().find_map(|number| end_of_attempt(w, id, number)) else {
        return Report { id, uid, status, error_type, attempts: Vec::new(), retries: 0, nonce };
    };
    let retries = match end.next {
        NextStep::Retry { retries, .. } => retries,
        NextStep::Report | NextStep::Queue { .. } => end.retries,
    };
    let attempts = reported_attempts(w, id, end.attempt.attempt);
    Report { id, uid, status, error_type, attempts, retries, nonce }
}

/// Those of its attempts whose end is known, and the last one.
pub fn reported_attempts(w: &World, id: u32, last: u32) -> Vec<u32> {
    let has_end = |number: &u32| {
        let end = w.disk.read(&format!("{}/end.json", attempt_dir(id, *number)));
        matches!(end, Some(Record::End(_)))
    };
    let mut numbers = attempts(w, &claim_dir(id));
    numbers.retain(|number| *number < last && has_end(number));
    numbers.push(last);
    numbers
}

pub fn sync_acceptance(w: &mut World, id: u32) -> Result<()> {
    let dir = home_of(w, id);
    for path in ["/accepted.json", "/dispatch.json", ""] {
        w.sync(&format!("{dir}{path}"))?;
    }
    w.sync(dir.split('/').next().unwrap_or_default())
}

/// THE COMMIT.
pub fn commit(w: &mut World, report: &Report) -> Result<()> {
    let dir = home_of(w, report.id);
    if report.attempts.is_empty() && !w.lacks(Without::SyncOfCopyBeforeReport) {
        sync_acceptance(w, report.id)?;
    }
    if w.lacks(Without::CommitBeforePublish) {
        publish(w, report)?;
    }
    let durable = if w.lacks(Without::SyncOfReport) { Durable::No } else { Durable::AfterRename };
    w.replace(&dir, "report.json", Record::Report(report.clone()), durable)?;
    w.truth.commits(report, &w.sessions);
    Ok(())
}

pub fn publish(w: &mut World, report: &Report) -> Result<()> {
    let name = report.id.to_string();
    w.replace("completed", &name, Record::Report(report.clone()), Durable::FileOnly)?;
    w.truth.publishes(report);
    w.sync_unless(Without::SyncOfPublished, "completed")
}

pub fn has_started(w: &World, id: u32) -> bool {
    w.disk.find(&format!("started/{id}")).is_some()
}

pub fn note_start(w: &mut World, id: u32) -> Result<()> {
    if has_started(w, id) { Ok(()) } else { w.create(&format!("started/{id}"), Record::Plain) }
}

pub fn forget_start(w: &mut World, id: u32) -> Result<()> {
    if has_started(w, id) { w.remove(&format!("started/{id}")) } else { Ok(()) }
}

/// The answer that stands although the claim's folder says nothing of it.
pub fn find_answer(w: &mut World, id: u32) -> Result<Option<Report>> {
    if let Some(report) = read_committed(w, &format!("finished/{id}"))? {
        return Ok(Some(report));
    }
    Ok(match w.disk.read(&format!("completed/{id}")) {
        Some(Record::Report(report)) => Some(report.clone()),
        _ => None,
    })
}

/// The steps after the commit.
pub fn see_through(w: &mut World, names: &[String], report: &Report) -> Result<()> {
    if w.lacks(Without::PublishBeforeRemoval) {
        remove_answered(w, names, report)?;
    }
    publish(w, report)?;
    remove_answered(w, names, report)?;
    let cancel = format!("inbox/cancel-{}", report.id);
    if w.disk.find(&cancel).is_some() {
        w.remove(&cancel)?;
    }
    w.rename(&home_of(w, report.id), &format!("finished/{}", report.id))?;
    forget_start(w, report.id)
}

/// Each of its names, if it has the same bytes.
pub fn remove_answered(w: &mut World, names: &[String], report: &Report) -> Result<()> {
    for name in names {
        match w.disk.read(&format!("inbox/{name}")).cloned() {
            Some(Record::Dispatch(body)) if body.uid == report.uid => {
                remove_inbox(w, name, &body, false)?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What was accepted rests on its file no longer, and nobody can withdraw it.
pub fn detach(w: &mut World, id: u32) -> Result<()> {
    if w.lacks(Without::Detached) {
        return Ok(());
    }
    let marker = detached(w, id);
    if w.disk.find(&marker).is_none() {
        w.create(&marker, Record::Plain)?;
    }
    if w.lacks(Without::SyncOfDetached) { Ok(()) } else { sync_acceptance(w, id) }
}

pub fn attach(w: &mut World, id: u32) -> Result<()> {
    let marker = detached(w, id);
    if w.disk.find(&marker).is_some() { w.remove(&marker) } else { Ok(()) }
}

fn detached(w: &World, id: u32) -> String {
    format!("{}/detached", home_of(w, id))
}

pub fn is_detached(w: &World, id: u32) -> bool {
    w.disk.find(&detached(w, id)).is_some()
}

pub fn remove_inbox(w: &mut World, name: &str, body: &Body, is_second: bool) -> Result<()> {
    let aside = format!("inbox/.answered.{}", body.id);
    let is_it = |w: &World, path: &str| {
        let moved = w.disk.read(path);
        matches!(moved, Some(Record::Dispatch(moved)) if moved.uid == body.uid)
    };
    if take_away(w, name, &aside, is_it)? {
        let moved = w.disk.read(&aside).cloned();
        w.remove(&aside)?;
        if let Some(Record::Dispatch(moved)) = moved {
            w.truth.removes(&moved, is_second, &w.disk);
        }
    }
    Ok(())
}

/// Moved first and looked at after: the sender may have given the name to a new one.
pub fn take_away(
    w: &mut World,
    name: &str,
    to: &str,
    is_it: impl Fn(&World, &str) -> bool,
) -> Result<bool> {
    let from = format!("inbox/{name}");
    if w.disk.find(to).is_some() {
        return Ok(false);
    }
    if !w.rename(&from, to)? {
        return Ok(false);
    }
    if is_it(w, to) || w.lacks(Without::LookAfterMove) {
        return Ok(true);
    }
    put_back(w, to, &from)?;
    Ok(false)
}

fn put_back(w: &mut World, from: &str, to: &str) -> Result<()> {
    let free = format!("inbox/dispatch-returned-{}", w.number());
    w.rename_to_free(from, to, &free)?;
    w.sync("inbox")
}

pub fn put_back_answered(w: &mut World) -> Result<()> {
    for name in w.disk.list("inbox") {
        let Some(id) = name.strip_prefix(".answered.") else { continue };
        put_back(w, &format!("inbox/{name}"), &format!("inbox/dispatch-{id}"))?;
    }
    Ok(())
}

impl Running {
    pub fn of(w: &World, id: u32, number: u32) -> Option<Running> {
        match w.disk.read(&format!("{}/attempt.json", attempt_dir(id, number))) {
            Some(Record::Start(start)) => {
                Some(Running { start: start.clone(), stop: None, is_ours: false })
            }
            _ => None,
        }
    }
}
