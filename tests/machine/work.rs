//! One dispatch in somebody's hands, from its turn to its answer: `threads::worker`, `attempt` and
//! `conclude`, cut where another thread may come in between. How a session ended and what follows
//! is asked of `pure`, with the stream as it stands.

use gstack_dispatch_daemon::pure::agent::{Summary, claude};
use gstack_dispatch_daemon::pure::attempt::limits::{self, StopCause};
use gstack_dispatch_daemon::pure::attempt::next_attempt::NextAttempt;
use gstack_dispatch_daemon::pure::attempt::outcome::{Ending, Evidence, Exit, classify};
use gstack_dispatch_daemon::pure::attempt::record::{AttemptEnd, AttemptFacts, NextStep};
use gstack_dispatch_daemon::pure::attempt::recovery::{Resume, ResumeAttempt};
use gstack_dispatch_daemon::pure::attempt::retry::{self, Knobs, Tried};
use gstack_dispatch_daemon::pure::attempt::sign::{self, Sign};
use gstack_dispatch_daemon::pure::report::{ErrorType, Status};

use crate::daemon::{Claim, Daemon, notice};
use crate::gate::{move_to_pending, must_wait};
use crate::records::{Accepted, Body, How, Record, Report, Start};
use crate::start::{begin, is_named, plan, sync_attempt};
use crate::store::*;
use crate::world::{Durable, Fail, Result, Without, World};

const KNOBS: Knobs =
    Knobs { rate_limit_backoff_ms: 30_000, retry_interrupted: false, probe_keep_ms: 7_200_000 };

pub struct Running {
    pub start: Start,
    pub stop: Option<StopCause>,
    /// Started by this very daemon, which sees its exit.
    pub is_ours: bool,
}

pub enum Stage {
    /// By a new daemon.
    TakeUp(Resume),
    Plan,
    /// Until then, by the monotonic clock.
    Wait(NextAttempt, i64),
    Watch(Running),
    Judge(Running, Option<Exit>),
    GiveUp(Running),
    /// Its end is on record, and something of it may still run.
    Sweep(Running, Box<AttemptEnd>),
    Follow(Box<AttemptEnd>),
    Fail(ErrorType),
    Commit(Report),
    SeeThrough(Report),
}

pub struct Work {
    pub claim: Claim,
    pub accepted: Accepted,
    pub body: Body,
    stage: Option<Stage>,
    pub is_probe: bool,
    pub is_cancelled: bool,
    /// By a worker, which goes on with a retry itself.
    has_slot: bool,
}

impl Stage {
    /// What a new daemon does with what the last one left.
    fn taken_up(w: &World, id: u32, resume: Resume) -> Stage {
        let Resume::Attempt(step) = resume else {
            return Stage::Fail(ErrorType::Interrupted);
        };
        let number = attempts(w, &claim_dir(id)).pop();
        let running = number.and_then(|number| Running::of(w, id, number));
        let (Some(running), end) = (running, last_end(w, id)) else {
            return Stage::Fail(ErrorType::Interrupted);
        };
        match (step, end) {
            (ResumeAttempt::Adopt, _) => Stage::Watch(running),
            (ResumeAttempt::GoOnStopping(cause), _) => {
                Stage::Watch(Running { stop: Some(cause), ..running })
            }
            (ResumeAttempt::GiveUp(stop), _) => Stage::GiveUp(Running { stop, ..running }),
            (ResumeAttempt::Follow(_), Some(end)) => Stage::Sweep(running, Box::new(end)),
            (ResumeAttempt::Judge | ResumeAttempt::Follow(_), _) => Stage::Judge(running, None),
        }
    }
}

impl Work {
    /// Its sender's word that it is wanted has been taken.
    pub fn has_begun(&self) -> bool {
        !matches!(self.stage, Some(Stage::Plan))
    }

    pub fn new(claim: Claim, accepted: Accepted, body: Body, stage: Stage, is_probe: bool) -> Work {
        let has_slot = matches!(stage, Stage::Plan);
        let (stage, is_cancelled) = (Some(stage), false);
        Work { claim, accepted, body, stage, is_probe, is_cancelled, has_slot }
    }
}

/// What becomes of a work by one step.
enum Then {
    Go(Stage),
    /// Nothing to do yet.
    Stay(Stage),
    Back,
    Nameless,
    /// Until somebody allows it.
    Waits,
    Closed,
}

impl Daemon {
    pub fn work(&mut self, w: &mut World, id: u32) -> Result<bool> {
        let Some(mut work) = self.active.remove(&id) else { return Ok(false) };
        let Some(stage) = work.stage.take() else { return Ok(false) };
        let then = self.go_on(w, &work, stage)?;
        let claim = work.claim.clone();
        match then {
            Then::Go(stage) => {
                work.stage = Some(stage);
                self.active.insert(id, work);
            }
            Then::Stay(stage) => {
                work.stage = Some(stage);
                self.active.insert(id, work);
                return Ok(false);
            }
            Then::Back => self.put_back(w, claim)?,
            Then::Nameless => self.nameless(w, claim),
            Then::Waits => self.wait_in_pending(w, claim),
            Then::Closed => self.leave(w, id, &claim),
        }
        Ok(true)
    }

    fn go_on(&mut self, w: &mut World, work: &Work, stage: Stage) -> Result<Then> {
        let id = work.claim.id;
        Ok(match stage {
            Stage::TakeUp(Resume::Stands) => match find_answer(w, id)? {
                Some(report) => Then::Go(Stage::SeeThrough(report)),
                None => Then::Go(Stage::Fail(ErrorType::Interrupted)),
            },
            Stage::TakeUp(resume) => {
                sync_attempt(w, id)?;
                Then::Go(Stage::taken_up(w, id, resume))
            }
            Stage::Plan => {
                let plan = plan(w, id);
                let is_wanted = is_detached(w, id) && !w.lacks(Without::Detached);
                if plan.is_queued && !is_wanted && !is_named(w, &self.names_of(id), &work.accepted)
                {
                    return Ok(Then::Nameless);
                }
                let due_ms = w.monotonic_ms + plan.wait_ms as i64;
                Then::Go(Stage::Wait(plan, due_ms))
            }
            Stage::Wait(..) if work.is_cancelled => Then::Go(Stage::Fail(ErrorType::Cancelled)),
            Stage::Wait(plan, due_ms) if w.monotonic_ms < due_ms => {
                Then::Stay(Stage::Wait(plan, due_ms))
            }
            Stage::Wait(plan, _)
                if plan.number == 1 && must_wait(w, &claim_dir(id), &work.body) =>
            {
                move_to_pending(w, id)?;
                Then::Waits
            }
            Stage::Wait(plan, _) => match begin(w, work, &plan) {
                Ok(Some(running)) => Then::Go(Stage::Watch(running)),
                Ok(None) | Err(Fail::Error) => Then::Back,
                Err(Fail::Died) => return Err(Fail::Died),
            },
            Stage::Watch(running) => watch(w, work, running)?,
            Stage::Judge(running, exit) => {
                let end = settle(w, id, running, exit)?;
                if let Some(sign) = &end.sign {
                    self.learn(w, &notice(&work.claim, sign))?;
                }
                Then::Go(Stage::Follow(Box::new(end)))
            }
            Stage::GiveUp(running) => {
                sweep(w, &running)?;
                let summary = Summary::default();
                let ending = classify_as(running.stop, None, &summary);
                let end = end_of(w, &running.start, summary, ending, (NextStep::Report, None));
                write_end(w, id, &end)?;
                Then::Go(Stage::Follow(Box::new(end)))
            }
            Stage::Sweep(running, end) => {
                sweep(w, &running)?;
                Then::Go(Stage::Follow(end))
            }
            Stage::Follow(end) => match end.next {
                NextStep::Retry { .. } if work.has_slot => Then::Go(Stage::Plan),
                NextStep::Retry { .. } | NextStep::Queue { .. } => Then::Back,
                NextStep::Report => Then::Go(Stage::Commit(report_of(w, work, &end))),
            },
            Stage::Fail(kind) => {
                Then::Go(Stage::Commit(report_without(w, id, &work.accepted, kind)))
            }
            Stage::Commit(report) => {
                commit(w, &report)?;
                Then::Go(Stage::SeeThrough(report))
            }
            Stage::SeeThrough(report) => {
                let names: Vec<String> = self.names_of(id).into_iter().map(|n| n.0).collect();
                see_through(w, &names, &report)?;
                Then::Closed
            }
        })
    }
}

fn watch(w: &mut World, work: &Work, running: Running) -> Result<Then> {
    let token = running.start.token;
    let is_late = w.monotonic_ms >= running.start.record.deadline_monotonic_ms;
    let cause = running.stop.or(if work.is_cancelled {
        Some(StopCause::Cancelled)
    } else {
        is_late.then_some(StopCause::Ttl)
    });
    // The exit of its own child is seen, however it came.
    let is_alive = w.leader(token).is_some();
    let Some(cause) = cause else {
        if is_alive {
            return Ok(Then::Stay(Stage::Watch(running)));
        }
        let exit = running.is_ours.then(|| exit_of(w, &running.start));
        return Ok(Then::Go(Stage::Judge(running, exit)));
    };
    let (id, dir) = (work.claim.id, attempt_dir(work.claim.id, running.start.record.attempt));
    if w.disk.find(&format!("{dir}/stop.json")).is_some() {
        w.truth.note("it was being stopped");
    } else if !w.lacks(Without::StopBeforeSignal) {
        let durable = if w.lacks(Without::SyncOfStop) { Durable::No } else { Durable::Yes };
        w.replace(&dir, "stop.json", Record::Stop(cause), durable)?;
    }
    let exit = (running.is_ours && is_alive).then_some(Exit { code: None, signal: Some(15) });
    w.end(token, false)?;
    w.truth.stops(id, cause);
    Ok(Then::Go(Stage::Judge(Running { stop: Some(cause), ..running }, exit)))
}

fn stream(w: &World, start: &Start) -> Option<How> {
    let path = format!("{}/stdout.jsonl", attempt_dir(start.body.id, start.record.attempt));
    match w.disk.read(&path) {
        Some(Record::Stream(how)) => Some(*how),
        _ => None,
    }
}

fn exit_of(w: &World, start: &Start) -> Exit {
    stream(w, start).map_or(Exit { code: None, signal: Some(9) }, How::exit)
}

fn sweep(w: &mut World, running: &Running) -> Result<()> {
    if w.lacks(Without::Sweep) { Ok(()) } else { w.end(running.start.token, true) }
}

/// After the agent's end: sweeps, reads what it left, decides, and writes that down.
fn settle(w: &mut World, id: u32, running: Running, exit: Option<Exit>) -> Result<AttemptEnd> {
    sweep(w, &running)?;
    let start = &running.start;
    if !w.lacks(Without::CountOfReadings) {
        note_reading(w, id, start.record.attempt)?;
    }
    let how = stream(w, start);
    if how == Some(How::Poison) {
        w.truth.note("it dies of what it reads");
        return Err(Fail::Died);
    }
    let summary = how.map(How::summary).unwrap_or_default();
    let ending = classify_as(running.stop, exit, &summary);
    let sign = sign::sign(&ending, &summary, start.record.started_at_ms, w.wall_ms);
    let knobs = Knobs { retry_interrupted: w.settings.retry_interrupted, ..KNOBS };
    let tried = Tried {
        driver: &claude::DRIVER,
        start: &start.record,
        ending: &ending,
        summary: &summary,
        sign: sign.as_ref(),
    };
    let next = retry::next(tried, &w.now(), &knobs);
    let sign = retry::sign_to_tell(&start.record, sign, &next);
    let end = end_of(w, start, summary, ending, (next, sign));
    write_end(w, id, &end)?;
    Ok(end)
}

fn note_reading(w: &mut World, id: u32, number: u32) -> Result<()> {
    let path = format!("{}/reading", attempt_dir(id, number));
    match (w.disk.find(&path), w.disk.read(&path).cloned()) {
        (None, _) => return w.create(&path, Record::Readings(1)),
        (Some(file), Some(Record::Readings(before))) => {
            w.disk.write(file, Record::Readings(before + 1));
        }
        (Some(file), _) => w.disk.write(file, Record::Readings(1)),
    }
    Ok(())
}

fn classify_as(stop: Option<StopCause>, exit: Option<Exit>, summary: &Summary) -> Ending {
    classify(&Evidence {
        clawvisor_task: "",
        driver: &claude::DRIVER,
        stop,
        ttl_seconds: 60,
        limits: &limits::StopLimits {
            start_ms: None,
            stall_ms: None,
            result_grace_ms: None,
            queue_ms: None,
            first_answer_ms: None,
            stdout_bytes_max: None,
            tmp_bytes_max: None,
        },
        launcher: None,
        exit,
        summary,
        stdout_bytes: summary.lines,
        stderr_tail: "",
    })
}

fn end_of(
    w: &World,
    start: &Start,
    summary: Summary,
    ending: Ending,
    next: (NextStep, Option<Sign>),
) -> AttemptEnd {
    let facts = AttemptFacts { summary, ..AttemptFacts::default() };
    AttemptEnd::new(&start.record, facts, ending, next, &w.now())
}

/// Durable if another attempt follows.
fn write_end(w: &mut World, id: u32, end: &AttemptEnd) -> Result<()> {
    let dir = attempt_dir(id, end.attempt.attempt);
    let path = format!("{dir}/end.json");
    if end.next == NextStep::Report && w.disk.find(&path).is_none() {
        return w.create(&path, Record::End(end.clone()));
    }
    let durable = if w.lacks(Without::SyncOfEnd) { Durable::No } else { Durable::Yes };
    w.replace(&dir, "end.json", Record::End(end.clone()), durable)
}

fn report_of(w: &mut World, work: &Work, end: &AttemptEnd) -> Report {
    let (id, uid) = (work.claim.id, work.accepted.uid);
    let (status, error_type): (Status, _) = (end.ending.status, end.ending.error_type);
    let attempts = reported_attempts(w, id, end.attempt.attempt);
    Report { id, uid, status, error_type, attempts, retries: end.retries, nonce: w.number() }
}
