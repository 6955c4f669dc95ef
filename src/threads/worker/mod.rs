//! A worker: takes one claim at a time and drives it through its attempts to its answer.
//!
//! What to run next is read from the claim's own files, so that a claim of this start and one of an
//! earlier daemon go the same way. A retry keeps its slot while it waits: the limit it waits for is
//! the account's, and the next dispatch would only run into it too. A claim that waits for a hold
//! goes back into the queue.

mod answer;
mod gate;
mod ready;
mod resume;
mod start;

use std::time::Duration;

use self::ready::NotStarted;
use super::events::{Cancel, Event, Job, notice, notice_of};
use super::recover::in_inbox;
use super::session::watch::Watched;
use super::session::{Running, Settled};
use super::shared::context::Context;
use super::shared::level::DrainSignal;
use crate::effects::clock;
use crate::effects::error::{Error, Result};
use crate::effects::store::{Attempt, Claim, Contents, Room, Store};
use crate::pure::attempt::next_attempt::{self, Last, NextAttempt};
use crate::pure::attempt::record::{AttemptEnd, NextStep};
use crate::pure::attempt::sign::Sign;
use crate::pure::audit_event::AuditEvent;
use crate::pure::command::run::RunUntil;
use crate::pure::dispatch::DispatchId;
use crate::pure::report::{ErrorType, Status};
use crate::pure::text::digest::sha256_hex;
use crate::pure::text::hex::hex;
use crossbeam_channel::{Receiver, Sender, after, select_biased};

pub use resume::take_up;

/// How often a wait for a retry looks whether it was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The thread's loop, until intake hangs up.
pub fn run(context: &Context, jobs: &Receiver<Job>, events: &Sender<Event>, drain: &DrainSignal) {
    for job in jobs {
        let worker = Worker { context, events, drain };
        worker.send(worker.work(job));
    }
}

struct Worker<'c> {
    context: &'c Context,
    events: &'c Sender<Event>,
    drain: &'c DrainSignal,
}

/// A dispatch on its way through its attempts to its answer.
struct Course {
    claim: Claim,
    contents: Contents,
    /// No attempt had begun when the worker took it.
    is_new: bool,
    /// How the attempts that this worker saw ended: what it knows does not depend on files that a
    /// session can reach.
    ended: Vec<AttemptEnd>,
    /// What its answer has to say besides.
    warnings: Vec<String>,
}

impl Course {
    fn new(claim: Claim, contents: Contents, is_new: bool) -> Course {
        Course { claim, contents, is_new, ended: Vec::new(), warnings: Vec::new() }
    }

    fn id(&self) -> &DispatchId {
        &self.claim.id
    }
}

/// What was found of a claim that came out of the queue.
enum Opened {
    Course(Box<Course>),
    /// Nothing can be done with the claim now.
    Not(Box<Event>),
}

/// What ends the wait for the next attempt.
enum Turn {
    Come,
    Cancelled,
    /// The daemon drains; the next one goes on.
    Left,
}

impl Worker<'_> {
    /// Tells intake, which is gone only when the whole process is.
    fn send(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn work(&self, job: Job) -> Event {
        let Job { mut claim, cancel, probe } = job;
        if !self.context.has_lock() {
            return Event::Left { id: claim.id };
        }
        if let Some(resume) = claim.resume.take() {
            cancel.begin();
            return self.resume(claim, resume, &cancel);
        }
        let course = match self.open(claim) {
            Opened::Course(course) => *course,
            Opened::Not(event) => return *event,
        };
        // Not knowing is no answer: what cannot be read now is asked again, unless only this
        // dispatch is in trouble.
        let plan = match self.plan(&course) {
            Ok(Some(plan)) => plan,
            Err(e) if e.fault().is_everywhere() => return back(course.claim, &e),
            unknown => {
                let why = unknown.map_or_else(|e| e.to_string(), |_| "they are gone".into());
                log::error!("{}: the records of its attempts: {why}", course.id());
                return self.answer_records_gone(course);
            }
        };
        let is_named = match self.is_named(&course, &plan) {
            Ok(is_named) => is_named,
            Err(e) => return back(course.claim, &e),
        };
        if !is_named {
            return nameless(course);
        }
        cancel.begin();
        self.run_attempts(course, plan, &cancel, probe)
    }

    fn is_named(&self, course: &Course, plan: &NextAttempt) -> Result<bool> {
        let Course { claim, contents, .. } = course;
        Ok(!plan.is_queued || self.context.store.is_named(claim, &contents.accepted)?)
    }

    /// One attempt after the other, until there is an answer or somebody else goes on.
    fn run_attempts(
        &self,
        mut course: Course,
        mut plan: NextAttempt,
        cancel: &Cancel,
        probe: bool,
    ) -> Event {
        loop {
            match self.wait_for_turn(&plan, cancel) {
                Turn::Come => {}
                Turn::Cancelled => return self.cancelled(course),
                Turn::Left => {
                    log::info!("{} waits for the next daemon", course.id());
                    return Event::Left { id: course.claim.id };
                }
            }
            // The budget may be used up by now: then it waits in the queue, first in line, and its
            // slot is free for others.
            if !course.ended.is_empty() && self.context.is_used_up_for(&course.claim.lane) {
                log::info!("{} waits for the budget", course.id());
                return Event::Again { claim: course.claim };
            }
            let running = match self.begin(&mut course, &plan, probe) {
                Ok(running) => running,
                Err(why) => return self.not_begun(course, why),
            };
            let Some(Settled { start, end }) = self.see_to_its_end(running, &course.claim, cancel)
            else {
                return Event::Left { id: course.claim.id };
            };
            self.tell(&course.claim, &end);
            match end.next {
                NextStep::Report => return self.answer(course, end),
                NextStep::Queue { .. } => return Event::Again { claim: course.claim },
                NextStep::Retry { .. } => {}
            }
            plan = next_attempt::after(&end, Some(&start), clock::unix_ms());
            course.ended.push(end);
        }
    }

    fn not_begun(&self, mut course: Course, why: NotStarted) -> Event {
        match why {
            NotStarted::Fault(error) => {
                let (status, kind) = (Status::Failed, ErrorType::SpawnFailed);
                self.answer_without(course, status, kind, &error)
            }
            NotStarted::Damaged(e) => self.answer_damaged(course, &e),
            NotStarted::Trouble(error) => Event::Back { claim: course.claim, error },
            NotStarted::Waits(record) => self.wait_for_approval(course, record),
            NotStarted::AsksAgain(record) => Event::Waits { claim: course.claim, record },
            NotStarted::Refused(why) => self.refuse(course, why),
            NotStarted::OtherProject(lane) => {
                course.claim.lane = lane;
                Event::Again { claim: course.claim }
            }
        }
    }

    fn open(&self, mut claim: Claim) -> Opened {
        let course = |claim, contents, is_new| {
            Opened::Course(Box::new(Course::new(claim, contents, is_new)))
        };
        if let Some(contents) = claim.contents.take() {
            return course(claim, *contents, true);
        }
        let agents = self.context.agents();
        let names = agents.drivers.names_of_accepted();
        match self.ask(&claim.id, |store| store.read_claim(&claim.id, Room::Active, names)) {
            Ok(Some(contents)) if is_what_was_accepted(&claim, &contents) => {
                course(claim, contents, false)
            }
            Err(e) if e.fault().is_everywhere() => Opened::Not(Box::new(back(claim, &e))),
            Err(e) => {
                log::error!("{e}");
                self.open_damaged(claim)
            }
            Ok(Some(_) | None) => self.open_damaged(claim),
        }
    }

    /// Our copy is gone, or is not what was accepted. If nothing of the dispatch ever ran, the
    /// inbox file is as good, and the dispatch keeps its place in line.
    fn open_damaged(&self, claim: Claim) -> Opened {
        let (store, id) = (&self.context.store, claim.id.clone());
        log::error!("{id}: its folder is gone or damaged");
        let not = |event| Opened::Not(Box::new(event));
        match self.may_have_run(&id) {
            Err(e) if e.fault().is_everywhere() => return not(back(claim, &e)),
            Ok(false) => {}
            Err(_) | Ok(true) => return not(self.answer_remains(claim, None)),
        }
        let Some(contents) = in_inbox(self.context, &claim) else {
            return not(self.answer_remains(claim, None));
        };
        let restored = store.restore(&id, &contents.accepted, &contents.bytes);
        let course = Course::new(claim, contents, true);
        match restored {
            Ok(()) => Opened::Course(Box::new(course)),
            Err(e) if e.fault().is_everywhere() => not(back(course.claim, &e)),
            Err(e) => not(self.answer_damaged(course, &e)),
        }
    }

    fn may_have_run(&self, id: &DispatchId) -> Result<bool> {
        self.ask(id, |store| Ok(store.has_started(id)? || store.last_attempt(id)?.is_some()))
    }

    /// Asks a claim's own files, which somebody else's session may have shut.
    fn ask<T>(&self, id: &DispatchId, question: impl Fn(&Store) -> Result<T>) -> Result<T> {
        let store = &self.context.store;
        match question(store) {
            Err(e) if !e.fault().is_everywhere() => {
                store.open_up_claim(id, Room::Active)?;
                question(store)
            }
            asked => asked,
        }
    }

    /// What is to be run next, as the files say. `None` if it was started, and they do not say how
    /// far that came.
    fn plan(&self, course: &Course) -> Result<Option<NextAttempt>> {
        let (id, now_ms) = (course.id(), clock::unix_ms());
        if course.is_new {
            return Ok(Some(next_attempt::next(None, now_ms)));
        }
        let last = self.ask(id, |store| store.last_attempt(id)?.map(last_of).transpose())?;
        if last.is_none() && self.context.store.has_started(id)? {
            return Ok(None);
        }
        Ok(Some(next_attempt::next(last, now_ms)))
    }

    /// Waits out a retry's delay, and a pause.
    fn wait_for_turn(&self, plan: &NextAttempt, cancel: &Cancel) -> Turn {
        let due = clock::monotonic_ms().saturating_add_unsigned(plan.wait_ms);
        loop {
            if cancel.is_asked() {
                return Turn::Cancelled;
            }
            if self.context.level.is_drain() {
                return Turn::Left;
            }
            let left_ms = (due - clock::monotonic_ms()).max(0).unsigned_abs();
            let wait = match (self.context.is_paused(), left_ms) {
                // A process that is not the daemon any more starts nothing: the level says so by
                // now.
                (false, 0) if plan.wait_ms > 0 && !self.context.has_lock() => continue,
                (false, 0) => return Turn::Come,
                (true, 0) if self.context.until == RunUntil::WorkedOff => return Turn::Left,
                (true, 0) => LOOK_EVERY,
                (_, left_ms) => Duration::from_millis(left_ms).min(LOOK_EVERY),
            };
            let timer = after(wait);
            select_biased! {
                recv(self.drain.receiver()) -> _ => {}
                recv(timer) -> _ => {}
            }
        }
    }

    /// Tells what follows an attempt. A hold that the attempt starts or ends is told first, before
    /// anything else can start.
    fn tell(&self, claim: &Claim, end: &AttemptEnd) {
        if let Some(notice) = notice_of(claim, end) {
            self.send(Event::Notice(Box::new(notice)));
        }
        let error_type = end.ending.error_type;
        match &end.next {
            NextStep::Report => {}
            NextStep::Queue { waits, .. } => {
                let event = AuditEvent::QueuedAgain { error_type, waits: *waits };
                self.context.audit.tell(claim.id.as_str(), &event);
                log::info!("{} waits in the queue, first in line", claim.id);
            }
            NextStep::Retry { retries, delay_ms, .. } => {
                let (retry, delay_seconds) = (*retries, *delay_ms as f64 / 1000.0);
                let event = AuditEvent::Retried { error_type, retry, delay_seconds };
                self.context.audit.tell(claim.id.as_str(), &event);
                let error = end.ending.error.as_deref().unwrap_or_default();
                log::info!("{} is tried again in {delay_seconds} s: {error}", claim.id);
            }
        }
    }

    /// Watches the session and settles it. `None` if it goes on without us, or what is known of it
    /// could not be written.
    fn see_to_its_end(
        &self,
        mut running: Running,
        claim: &Claim,
        cancel: &Cancel,
    ) -> Option<Settled> {
        let started_at_ms = running.start.started_at_ms;
        let on_work = || {
            let notice = notice(claim, Sign::Clear { started_at_ms });
            self.send(Event::Notice(Box::new(notice)));
        };
        let watched = running.watch(&claim.id, cancel, &on_work);
        self.context.board.forget(&claim.id);
        match watched {
            Watched::Ended(exit) => running.settle(claim, exit, cancel),
            Watched::Left => {
                log::info!("{} is left running for the next daemon", claim.id);
                None
            }
        }
    }
}

/// Whether a copy is what was accepted, as far as the daemon knows that itself. Somebody else's
/// session can change both the copy and the record beside it.
fn is_what_was_accepted(claim: &Claim, contents: &Contents) -> bool {
    claim.sha256.is_none_or(|known| hex(&known) == sha256_hex(&contents.bytes))
}

/// The claim goes back into the queue: its files cannot be read just now, which is nobody's fault.
fn back(claim: Claim, e: &Error) -> Event {
    Event::Back { claim, error: e.to_string() }
}

/// The claim goes back to intake with its contents, since its folder may be gone when they are
/// asked for.
fn nameless(course: Course) -> Event {
    let Course { mut claim, contents, is_new, .. } = course;
    if is_new {
        claim.contents = Some(Box::new(contents));
    }
    Event::Nameless { claim }
}

/// An attempt as its files have it.
fn last_of(attempt: Attempt) -> Result<Last> {
    let (start, end) = (attempt.start()?.into_read(), attempt.end()?.into_read());
    Ok(Last { number: attempt.number, start, end })
}
