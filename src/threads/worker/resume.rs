//! Takes up attempts of an earlier daemon where they stand, each in a thread of its own, and brings
//! them to their end.
//!
//! Nothing is started here: a retry goes back into the queue, first in line.

use std::time::Duration;

use crossbeam_channel::Sender;

use super::{Course, Opened, Worker};
use crate::effects::error::Result;
use crate::effects::process::Session;
use crate::effects::store::{Attempt, Claim, Committed, Contents, Record, Room};
use crate::effects::{clock, project};
use crate::pure::agent::Driver;
use crate::pure::attempt::limits;
use crate::pure::attempt::outcome::{EngineEnd, warning_of_engine};
use crate::pure::attempt::record::{AttemptEnd, AttemptStart, ChildRecord, NextStep};
use crate::pure::attempt::recovery::{Resume, ResumeAttempt};
use crate::pure::audit_event::AuditEvent;
use crate::pure::config::launcher::LauncherWords;
use crate::pure::config::terms::Terms;
use crate::pure::dispatch::DispatchId;
use crate::pure::report::{ErrorType, Status};
use crate::threads::conclude::Answering;
use crate::threads::events::{Cancel, Event};
use crate::threads::recover::in_inbox;
use crate::threads::session::follow::Follower;
use crate::threads::session::task::SessionTask;
use crate::threads::session::tmp::SessionTmp;
use crate::threads::session::wall::{self, Wall};
use crate::threads::session::{Running, Settled, engine, mark_by_name};
use crate::threads::shared::context::Context;
use crate::threads::shared::level::DrainSignal;
use crate::threads::shared::persist::{Unwritten, persist};

/// What the records of an attempt say.
struct FoundRecords {
    attempt: Attempt,
    start: Record<AttemptStart>,
    child: Record<ChildRecord>,
    end: Record<AttemptEnd>,
    readings: u64,
}

/// Takes up what an earlier daemon left in the middle of an attempt: one thread for each, beside
/// the workers.
pub fn take_up(
    context: &Context,
    claim: Claim,
    resume: Resume,
    cancel: &Cancel,
    events: &Sender<Event>,
    drain: &DrainSignal,
) {
    let worker = Worker { context, events, drain };
    worker.send(worker.resume(claim, resume, cancel));
}

impl Worker<'_> {
    /// Takes up a dispatch of an earlier daemon that may have run, and brings it to its end.
    pub(super) fn resume(&self, claim: Claim, resume: Resume, cancel: &Cancel) -> Event {
        match resume {
            Resume::Gone => self.answer_gone(claim),
            Resume::Stands => self.see_found_answer_through(claim),
            Resume::Publish => self.publish_committed(claim),
            Resume::Attempt(step) => match self.open(claim) {
                Opened::Course(course) => self.resume_attempt(*course, step, cancel),
                Opened::Not(event) => *event,
            },
        }
    }

    fn resume_attempt(&self, course: Course, step: ResumeAttempt, cancel: &Cancel) -> Event {
        let id = course.id().clone();
        let found = match persist(self.context, || self.find_attempt(&id)) {
            Ok(Some(found)) => found,
            Ok(None) => return Event::Again { claim: course.claim },
            Err(Unwritten::DaemonEnds) => return Event::Left { id },
            Err(Unwritten::Own(e)) => {
                log::error!("{e}");
                return self.answer_records_gone(self.end_by_name(course));
            }
        };
        let FoundRecords { attempt, start, child, end, readings } = found;
        let agent = course.contents.dispatch.target_agent;
        let drivers = &self.context.agents().drivers;
        let found = start.into_read().map(|start| {
            let driver = drivers.of_session(agent, start.dialect.as_ref());
            driver.map(|driver| (driver, start))
        });
        let (driver, start) = match found {
            Some(Some(found)) => found,
            unknown => {
                let course = self.end_by_name(course);
                let error = match unknown {
                    None => "the daemon ended while the attempt began; it may have run".into(),
                    Some(_) => format!("{agent} left the settings, and nothing says how it speaks"),
                };
                let (status, kind) = (Status::Failed, ErrorType::Interrupted);
                return self.answer_without(course, status, kind, &error);
            }
        };
        let mut running = self.found_session(driver, attempt, start, &course, readings);
        let mark = running.mark();
        let processes = &self.context.processes;
        let recorded = child.read().filter(|child| processes.is_of_session(child, &mark));
        let leader = recorded.copied().or_else(|| processes.find_leader(&mark));
        running.session = leader.and_then(|record| Session::adopt(processes, &record));
        let end = match step {
            ResumeAttempt::Adopt => {
                self.tell_adoption(&id, &running);
                self.see_to_its_end(running, &course.claim, cancel)
            }
            ResumeAttempt::GoOnStopping(cause) => {
                running.stop = Some(cause);
                self.see_to_its_end(running, &course.claim, cancel)
            }
            ResumeAttempt::Judge => running.settle(&course.claim, None, cancel),
            ResumeAttempt::GiveUp(cause) => {
                running.stop = cause;
                running.give_up(&course.claim)
            }
            // This end has been told already.
            ResumeAttempt::Follow(_) => {
                running.end_in_engine();
                running.sweep_only(&id);
                running.clear_tmp();
                let Some(mut end) = end.into_read() else { return Event::Left { id } };
                running.tell_of_engine(&mut end);
                return self.follow(course, end);
            }
        };
        let Some(Settled { end, .. }) = end else { return Event::Left { id } };
        self.tell(&course.claim, &end);
        self.follow(course, end)
    }

    fn follow(&self, course: Course, end: AttemptEnd) -> Event {
        match end.next {
            NextStep::Report => self.answer(course, end),
            NextStep::Retry { .. } | NextStep::Queue { .. } => Event::Again { claim: course.claim },
        }
    }

    /// The session as its records have it. Its processes have not been looked for. What is to be
    /// run to end it is what the settings say now; the records only bound its time, and what a
    /// session wrote there must not give it more than its dispatch has.
    fn found_session(
        &self,
        driver: &'static Driver,
        attempt: Attempt,
        mut start: AttemptStart,
        Course { claim, contents, .. }: &Course,
        readings: u64,
    ) -> Running<'_> {
        let (dispatch, dir) = (&contents.dispatch, start.dir());
        let terms = self.context.terms_in(&dir, claim.agent, &claim.id);
        let launcher = engine::launcher_of(&terms, driver, &engine::words_of(dispatch, &dir));
        let wait = launcher.as_ref().and_then(|launcher| launcher.wait);
        let wait_ms = wait.unwrap_or_default().as_millis() as i64;
        let ttl_ms = dispatch.ttl_seconds as i64 * 1000;
        start.deadline_monotonic_ms = limits::latest_of_found(
            start.deadline_monotonic_ms,
            clock::monotonic_ms(),
            ttl_ms,
            wait_ms,
        );
        let begun = attempt.begun().ok().and_then(Record::into_read);
        Running {
            context: self.context,
            driver,
            attempt,
            wall: self.found_wall(driver, &start, &terms),
            tmp: SessionTmp::new(self.context.store.tmp_of(&start.run_token)),
            terms,
            verify: self.context.verify_in(&dir, &claim.project, &claim.id),
            launcher,
            engine_end: None,
            begun_ms: begun.map(|begun| begun.monotonic_ms),
            ttl_seconds: dispatch.ttl_seconds,
            start,
            session: None,
            stop: None,
            is_below_us: false,
            follower: Follower::new(driver, readings == 0),
            task: SessionTask::of(self.context, dispatch),
        }
    }

    /// The wall that now stands around what runs for the session. It is built anew, since a record
    /// of it may be a session's.
    fn found_wall(&self, driver: &Driver, start: &AttemptStart, terms: &Terms) -> Option<Wall> {
        let built = wall::wall(self.context, &start.dir(), driver, terms);
        built.unwrap_or_else(|e| {
            log::warn!("{e}: nothing is let run for it");
            Some(Wall::shut())
        })
    }

    /// Reads the newest attempt's records. `None` if no attempt began.
    fn find_attempt(&self, id: &DispatchId) -> Result<Option<FoundRecords>> {
        let store = &self.context.store;
        let Some(mut attempt) = store.last_attempt(id)? else { return Ok(None) };
        store.sync_attempt(id, &attempt)?;
        attempt.find()?;
        let (start, child, end) = (attempt.start()?, attempt.child()?, attempt.end()?);
        let readings = attempt.readings();
        Ok(Some(FoundRecords { attempt, start, child, end, readings }))
    }

    fn tell_adoption(&self, id: &DispatchId, running: &Running) {
        let pid = running.session.as_ref().map(|session| session.record().pid);
        let number = running.start.attempt;
        self.context.audit.tell(id.as_str(), &AuditEvent::Adopted { attempt: number, pid });
        log::info!("{id} still runs and is adopted");
        let elapsed_ms = clock::monotonic_ms() - running.start.started_monotonic_ms;
        let elapsed = Duration::from_millis(elapsed_ms.max(0) as u64);
        self.send(Event::Attempt { id: id.clone(), number, elapsed });
    }

    /// Ends what lives of a session whose records do not say what it is: in the engine that the
    /// settings name for its directory, and here. Gives what its answer has to say of that.
    fn end_by_id(&self, claim: &Claim, contents: Option<&Contents>) -> Option<String> {
        let Context { processes, home, .. } = self.context;
        let settings = self.context.settings();
        // Without a directory it is the launcher for all.
        let dir = contents.map_or("/", |contents| &contents.dispatch.project_dir);
        let dir = project::resolve_nearest(&project::expand(dir, home.as_deref()));
        let launcher = self.context.terms_in(&dir, claim.agent, &claim.id).launcher;
        let words = LauncherWords {
            id: claim.id.as_str(),
            project: &claim.project,
            dir: &dir,
            ttl_seconds: contents.map_or(0, |contents| contents.dispatch.ttl_seconds),
        };
        let warning = launcher.and_then(|launcher| {
            // What would stand in place of an unknown directory may be somebody else's.
            let end = if contents.is_some() || launcher.kills_by_id() {
                engine::end_in_engine(self.context, &launcher.filled(&words))
            } else {
                Some(EngineEnd::NotRun("the session's directory is not known".into()))
            };
            warning_of_engine(&launcher, end.as_ref(), false)
        });
        let mark = mark_by_name(self.context, &claim.id);
        processes.sweep(&mark, settings.kill_grace, &settings.spare);
        warning
    }

    /// The same for a dispatch on its way to its answer.
    fn end_by_name(&self, mut course: Course) -> Course {
        course.warnings.extend(self.end_by_id(&course.claim, Some(&course.contents)));
        course
    }

    /// Answers a dispatch that was started, when nothing says how far that came.
    fn answer_gone(&self, claim: Claim) -> Event {
        match self.read_what_is_left(&claim) {
            Some(contents) => {
                let course = self.end_by_name(Course::new(claim, contents, false));
                self.answer_records_gone(course)
            }
            None => {
                let warning = self.end_by_id(&claim, None);
                self.answer_remains(claim, warning)
            }
        }
    }

    /// Reads the dispatch from the claim's folder, or from the file in the inbox.
    fn read_what_is_left(&self, claim: &Claim) -> Option<Contents> {
        let agents = self.context.agents();
        let names = agents.drivers.names_of_accepted();
        let kept = self.context.store.read_claim(&claim.id, Room::Active, names).ok().flatten();
        let kept = kept.filter(|contents| contents.dispatch.id == claim.id);
        kept.or_else(|| in_inbox(self.context, claim))
    }

    /// Sweeps the processes that live of a session whose report is committed, then publishes the
    /// report.
    fn publish_committed(&self, claim: Claim) -> Event {
        let (store, id) = (&self.context.store, claim.id.clone());
        self.end_by_id(&claim, self.read_what_is_left(&claim).as_ref());
        match persist(self.context, || store.read_committed(&id, Room::Active)) {
            Ok(Some(committed)) => self.see_committed_through(claim, committed, false),
            Err(Unwritten::DaemonEnds) => Event::Left { id },
            Ok(None) | Err(Unwritten::Own(_)) => self.answer_gone(claim),
        }
    }

    /// Sees through an answer that a daemon gave from memory before it died.
    fn see_found_answer_through(&self, claim: Claim) -> Event {
        let id = claim.id.clone();
        self.end_by_id(&claim, self.read_what_is_left(&claim).as_ref());
        match persist(self.context, || self.context.store.find_answer(&id)) {
            Ok(Some(committed)) => self.see_committed_through(claim, committed, true),
            Ok(None) => self.answer_gone(claim),
            Err(Unwritten::DaemonEnds) => Event::Left { id },
            Err(Unwritten::Own(e)) => {
                log::error!("{e}");
                self.answer_gone(claim)
            }
        }
    }

    fn see_committed_through(&self, claim: Claim, committed: Committed, is_afresh: bool) -> Event {
        let contents = self.read_what_is_left(&claim);
        let answering = Answering::of_committed(claim, contents, committed, is_afresh);
        self.see_through(answering)
    }
}
