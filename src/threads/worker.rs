//! A worker: takes one claim at a time and drives it through its attempts to its answer.
//!
//! What to run next is read from the claim's own files, so that a claim of this start and one of an earlier daemon go the
//! same way. A retry keeps its slot while it waits: the limit it waits for is the account's, and the next dispatch would
//! only run into it too.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, select_biased};
use serde_json::json;

use super::attempt::{self, Running, Watched};
use super::conclude::conclude;
use super::{Cancel, Context, Event, Job};
use crate::effects::process::{Session, is_executable};
use crate::effects::store::{Claim, ClaimFiles, Record};
use crate::effects::{clock, git, project, random};
use crate::pure::agent::{self, Driver, Launch, SessionRef};
use crate::pure::claim::{AttemptEnd, AttemptStart, FirstStart, NextStep};
use crate::pure::digest::uuid_v4;
use crate::pure::dispatch::{self, Dispatch};
use crate::pure::outcome::Ending;
use crate::pure::policy::Mode;
use crate::pure::prompt::{self, Learnings};
use crate::pure::recovery::Step;
use crate::pure::report::{AttemptReport, ErrorType, GitFacts, Report, Status};
use crate::pure::{answer, claim};

/// How often a wait for a retry looks whether it was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The thread's loop, until intake hangs up.
pub fn run(
    context: &Context,
    jobs: &Receiver<Job>,
    events: &Sender<Event>,
    running: &Receiver<Infallible>,
) {
    for job in jobs {
        let worker = Worker { context, events, running };
        worker.report(|| worker.work(job.claim, &job.cancel));
    }
}

/// Takes up what an earlier daemon left in the middle of an attempt: one thread for each, beside the workers.
pub fn take_up(
    context: &Context,
    claim: Claim,
    step: Step,
    cancel: &Cancel,
    events: &Sender<Event>,
    running: &Receiver<Infallible>,
) {
    let worker = Worker { context, events, running };
    worker.report(|| worker.resume(claim, step, cancel));
}

struct Worker<'c> {
    context: &'c Context,
    events: &'c Sender<Event>,
    running: &'c Receiver<Infallible>,
}

/// A claim with what its files say.
struct Open {
    claim: Claim,
    files: ClaimFiles,
    dispatch: Dispatch,
}

/// What the next attempt is to be.
struct Plan {
    number: u32,
    mode: Mode,
    retries: u32,
    /// Milliseconds still to wait.
    wait_ms: u64,
    first: Option<FirstStart>,
    /// The project before the first attempt.
    git: Option<GitFacts>,
}

/// Why nothing was started: the dispatch's own fault, or not.
enum NotStarted {
    Fault(String),
    Trouble(String),
}

impl Worker<'_> {
    /// Intake is gone only when the whole process is.
    fn report(&self, work: impl FnOnce() -> Event) {
        let _ = self.events.send(work());
    }

    fn work(&self, claim: Claim, cancel: &Cancel) -> Event {
        let mut open = match self.open(claim) {
            Ok(open) => open,
            Err(event) => return *event,
        };
        let mut plan = self.plan(&open);
        if plan.number == 1 && !self.context.store.is_wanted(&open.files.accepted) {
            self.context.audit.record("withdrawn", open.claim.id.as_str(), &[]);
            let error = "withdrawn: its file was removed before it ran";
            return self.answer_without(open, Status::Cancelled, ErrorType::Cancelled, error, 0);
        }
        loop {
            if let Some(event) = self.wait_for_turn(&mut open, &plan, cancel) {
                return event(open);
            }
            let running = match self.begin(&open, &plan) {
                Ok(running) => running,
                Err(NotStarted::Fault(error)) => {
                    let (status, kind) = (Status::Failed, ErrorType::SpawnFailed);
                    return self.answer_without(open, status, kind, &error, plan.retries);
                }
                Err(NotStarted::Trouble(error)) => return Event::Back { claim: open.claim, error },
            };
            let Some(end) = self.see_to_its_end(running, &open.claim, cancel) else {
                return Event::Left { id: open.claim.id };
            };
            if end.next == NextStep::Report {
                return self.answer(open, end);
            }
            self.audit_retry(&open.claim, &end);
            plan = self.plan(&open);
        }
    }

    fn open(&self, claim: Claim) -> Result<Open, Box<Event>> {
        let files = self.context.store.read_claim(&claim.id);
        let parsed = files.map(|files| {
            let dispatch = dispatch::parse(&files.bytes, 0);
            (files, dispatch)
        });
        match parsed {
            Some((files, Ok(dispatch))) => Ok(Open { claim, files, dispatch }),
            Some((_, Err(rejection))) => {
                let error = format!("our copy is damaged: {}", rejection.error);
                Err(Box::new(Event::Back { claim, error }))
            }
            None => {
                let error = "its folder cannot be read".to_string();
                Err(Box::new(Event::Back { claim, error }))
            }
        }
    }

    /// What the files say is to be run next.
    fn plan(&self, open: &Open) -> Plan {
        let store = &self.context.store;
        let fresh =
            Plan { number: 1, mode: Mode::AsIs, retries: 0, wait_ms: 0, first: None, git: None };
        let Some(last) = store.last_attempt(&open.claim.id) else { return fresh };
        let number = last.number + 1;
        let Record::Read(end) = last.end() else { return Plan { number, ..fresh } };
        let NextStep::Retry { mode, retries, not_before_ms, delay_ms } = end.next else {
            return Plan { number, ..fresh };
        };
        // Never longer than was decided, whatever the clock was set to meanwhile.
        let wait_ms = (not_before_ms - clock::unix_ms()).clamp(0, delay_ms as i64) as u64;
        let before = GitFacts { head_after: None, commits: None, dirty_files: None, ..end.git };
        Plan { number, mode, retries, wait_ms, first: Some(end.first), git: Some(before) }
    }

    /// Waits out a retry's delay. Gives what to do instead, if it is cancelled or the daemon stops meanwhile.
    fn wait_for_turn(
        &self,
        open: &mut Open,
        plan: &Plan,
        cancel: &Cancel,
    ) -> Option<Box<dyn FnOnce(Open) -> Event + '_>> {
        let due = clock::monotonic_ms() + plan.wait_ms as i64;
        loop {
            if cancel.is_asked() {
                let retries = plan.retries;
                return Some(Box::new(move |open| self.cancelled(open, retries)));
            }
            if self.context.level.is_drain() {
                log::info!("{} waits for the next daemon", open.claim.id);
                return Some(Box::new(|open| Event::Left { id: open.claim.id }));
            }
            let left = due - clock::monotonic_ms();
            if left <= 0 {
                return None;
            }
            let timer = after(Duration::from_millis(left as u64).min(LOOK_EVERY));
            select_biased! {
                recv(self.running) -> _ => {}
                recv(timer) -> _ => {}
            }
        }
    }

    fn cancelled(&self, open: Open, retries: u32) -> Event {
        let (status, kind) = (Status::Cancelled, ErrorType::Cancelled);
        self.answer_without(open, status, kind, "cancelled before it ran", retries)
    }

    /// Makes the attempt durable, then starts the agent.
    fn begin(&self, open: &Open, plan: &Plan) -> Result<Running<'_>, NotStarted> {
        let context = self.context;
        let Open { claim, files, dispatch } = open;
        let fault = |error: String| NotStarted::Fault(error);
        let (driver, program) = self.agent(dispatch).map_err(fault)?;
        let dir = project::expand(&dispatch.project_dir, context.home.as_deref());
        let dir = project::resolve(&dir).map_err(fault)?;
        let launch = self.launch_of(plan);
        let (prompt, had_learnings) = prompt_of(dispatch, &plan.mode);
        let (started_at_ms, started_monotonic_ms) = (clock::unix_ms(), clock::monotonic_ms());
        let boot_id = clock::boot_id();
        let here_first = FirstStart {
            at_ms: started_at_ms,
            monotonic_ms: started_monotonic_ms,
            boot_id: boot_id.clone(),
        };
        let start = AttemptStart {
            attempt: plan.number,
            run_token: claim::hex(&random::bytes()),
            session_id: match &launch.session {
                SessionRef::New(id) | SessionRef::Resume(id) => id.clone(),
            },
            mode: plan.mode.clone(),
            had_learnings,
            retries: plan.retries,
            started_at_ms,
            first: plan.first.clone().unwrap_or(here_first),
            started_monotonic_ms,
            deadline_monotonic_ms: started_monotonic_ms + dispatch.ttl_seconds as i64 * 1000,
            boot_id,
            started_ticks: clock::ticks_since_boot(),
            git: plan.git.clone().or_else(|| git::before(&dir)).unwrap_or_default(),
            project_dir: dir.to_string_lossy().into_owned(),
            accepted: files.accepted.clone(),
            dispatch: String::from_utf8_lossy(&files.bytes).into_owned(),
        };
        let begun = context.store.begin_attempt(&claim.id, &start, &prompt);
        let (attempt, session_files) = begun.map_err(|e| NotStarted::Trouble(e.to_string()))?;
        self.audit_start(claim, dispatch, &start);
        let arguments = (driver.argv)(&launch);
        match attempt::launch(context, claim, program, arguments, &start, session_files) {
            Ok(session) => {
                if let Err(e) = attempt.write_child(&session.record()) {
                    log::warn!("{e}");
                }
                let session = Some(session);
                Ok(Running {
                    context,
                    driver,
                    attempt,
                    start,
                    session,
                    stop: None,
                    is_below_us: true,
                })
            }
            Err(e) => {
                // Nothing ran, and this attempt must not look as if it had.
                if let Err(e) = context.store.undo_attempt(&attempt) {
                    return Err(NotStarted::Trouble(e.to_string()));
                }
                let error = format!("cannot start {}: {e}", program.display());
                let trouble = is_shortage(&e);
                Err(if trouble { NotStarted::Trouble(error) } else { NotStarted::Fault(error) })
            }
        }
    }

    fn agent(&self, dispatch: &Dispatch) -> Result<(&'static Driver, &std::path::Path), String> {
        let name = dispatch.target_agent.as_str();
        let found = agent::driver(name).zip(self.context.programs.get(name));
        let (driver, program) = found.ok_or_else(|| format!("unsupported agent: {name}"))?;
        if !is_executable(program) {
            return Err(format!(
                "cannot start {}: it is not there any more, or not executable",
                program.display()
            ));
        }
        Ok((driver, program))
    }

    fn launch_of(&self, plan: &Plan) -> Launch<'_> {
        let settings = &self.context.settings;
        let session = match &plan.mode {
            Mode::Resume { session_id } => SessionRef::Resume(session_id.clone()),
            Mode::AsIs | Mode::WithoutLearnings => SessionRef::New(uuid_v4(random::bytes())),
        };
        Launch { session, allow_tools: &settings.allow_tools, extra_args: &settings.claude_args }
    }

    fn audit_start(&self, claim: &Claim, dispatch: &Dispatch, start: &AttemptStart) {
        let details = [
            ("project", json!(dispatch.project)),
            ("retry", json!(start.retries)),
            ("attempt", json!(start.attempt)),
            ("session_id", json!(start.session_id)),
        ];
        self.context.audit.record("spawned", claim.id.as_str(), &details);
        log::info!("{} starts (attempt {}) in {}", claim.id, start.attempt, start.project_dir);
        let _ = self.events.send(Event::Attempt { id: claim.id.clone(), number: start.attempt });
    }

    fn audit_retry(&self, claim: &Claim, end: &AttemptEnd) {
        let NextStep::Retry { retries, delay_ms, .. } = &end.next else { return };
        let details = [
            ("error_type", json!(end.ending.error_type)),
            ("retry", json!(retries)),
            ("delay_seconds", json!(*delay_ms as f64 / 1000.0)),
        ];
        self.context.audit.record("retried", claim.id.as_str(), &details);
        let error = end.ending.error.as_deref().unwrap_or_default();
        log::info!("{} is tried again in {} s: {error}", claim.id, *delay_ms as f64 / 1000.0);
    }

    /// `None`: it goes on without us, or what is known of it could not be written.
    fn see_to_its_end(
        &self,
        mut running: Running,
        claim: &Claim,
        cancel: &Cancel,
    ) -> Option<AttemptEnd> {
        match running.watch(cancel) {
            Watched::Ended(exit) => running.settle(claim, exit),
            Watched::Left => {
                log::info!("{} is left running for the next daemon", claim.id);
                None
            }
        }
    }

    fn answer(&self, open: Open, end: AttemptEnd) -> Event {
        let logs = self.context.store.finished_dir(&open.claim.id).display().to_string();
        let earlier = self.earlier_attempts(&open.claim, end.attempt.attempt);
        let report = answer::from_attempts(&open.dispatch, earlier, end, logs);
        self.finish(open, &report)
    }

    fn earlier_attempts(&self, claim: &Claim, last: u32) -> Vec<AttemptReport> {
        let attempts = self.context.store.attempts(&claim.id).into_iter();
        let before = attempts.filter(|attempt| attempt.number < last);
        before.filter_map(|attempt| attempt.end().read().map(|end| end.attempt.clone())).collect()
    }

    fn answer_without(
        &self,
        open: Open,
        status: Status,
        kind: ErrorType,
        error: &str,
        retries: u32,
    ) -> Event {
        // A retry that could not start: the attempts before it are part of the answer.
        let last = self.context.store.last_attempt(&open.claim.id);
        if let Some(Record::Read(mut end)) = last.map(|attempt| attempt.end()) {
            end.ending = Ending {
                status,
                error_type: Some(kind),
                error: Some(error.to_string()),
                warnings: end.ending.warnings,
            };
            end.retries = retries;
            return self.answer(open, end);
        }
        let now = clock::unix_ms();
        let report = answer::without_session(&open.dispatch, status, kind, error, retries, now);
        self.finish(open, &report)
    }

    fn finish(&self, open: Open, report: &Report) -> Event {
        let Open { claim, files, dispatch } = open;
        let id = claim.id.clone();
        if conclude(self.context, claim, &files.accepted, &dispatch, report) {
            Event::Answered { id }
        } else {
            Event::Left { id }
        }
    }

    /// An attempt of an earlier daemon, from where it stands to its end.
    fn resume(&self, claim: Claim, step: Step, cancel: &Cancel) -> Event {
        let open = match self.open(claim) {
            Ok(open) => open,
            Err(event) => return *event,
        };
        let context = self.context;
        let id = open.claim.id.clone();
        let Some(attempt) = context.store.last_attempt(&id) else {
            return Event::Again { claim: open.claim };
        };
        let (driver, start) = match (agent::driver(&open.dispatch.target_agent), attempt.start()) {
            (Some(driver), Record::Read(start)) => (driver, start),
            _ => {
                let error = "the daemon ended while the attempt began; it may have run";
                return self.answer_without(open, Status::Failed, ErrorType::Interrupted, error, 0);
            }
        };
        let recorded = attempt.end();
        let mut running = Running {
            context,
            driver,
            attempt,
            start,
            session: None,
            stop: None,
            is_below_us: false,
        };
        let leader = running.attempt.child().read().copied();
        let leader = leader.or_else(|| context.processes.find_leader(&running.mark()));
        running.session = leader.and_then(|record| Session::adopt(&context.processes, &record));
        let details = |session: &Option<Session>| {
            let pid = session.as_ref().map(|session| session.record().pid);
            [("attempt", json!(running.start.attempt)), ("pid", json!(pid))]
        };
        let end = match step {
            Step::Adopt => {
                context.audit.record("adopted", id.as_str(), &details(&running.session));
                log::info!("{id} still runs and is adopted");
                let _ = self
                    .events
                    .send(Event::Attempt { id: id.clone(), number: running.start.attempt });
                self.see_to_its_end(running, &open.claim, cancel)
            }
            Step::GoOnStopping(cause) => {
                running.stop = Some(cause);
                self.see_to_its_end(running, &open.claim, cancel)
            }
            Step::Judge => running.settle(&open.claim, None),
            Step::GiveUp => running.give_up(&open.claim),
            Step::Conclude | Step::QueueRetry => {
                running.sweep_only();
                recorded.read().cloned()
            }
            Step::Discard | Step::Publish | Step::Queue => None,
        };
        match end {
            None => Event::Left { id },
            Some(end) if end.next == NextStep::Report => self.answer(open, end),
            Some(end) => {
                if step != Step::QueueRetry {
                    self.audit_retry(&open.claim, &end);
                }
                Event::Again { claim: open.claim }
            }
        }
    }
}

/// The prompt, and whether it holds learnings.
fn prompt_of(dispatch: &Dispatch, mode: &Mode) -> (String, bool) {
    match mode {
        Mode::AsIs => {
            let text = prompt::first(dispatch, Learnings::Include);
            (text, !dispatch.learnings.is_empty())
        }
        Mode::WithoutLearnings => (prompt::first(dispatch, Learnings::Omit), false),
        Mode::Resume { .. } => (prompt::resume(dispatch), false),
    }
}

/// The machine has no room for a process just now; the dispatch is not to blame.
fn is_shortage(e: &io::Error) -> bool {
    use rustix::io::Errno;
    let shortages = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::TXTBSY];
    shortages.iter().any(|errno| e.raw_os_error() == Some(errno.raw_os_error()))
}
