//! The start of an attempt: everything that must be known and durable before the agent runs, then
//! the agent.
//!
//! An attempt whose agent did not start is taken back: it must not look as if it had run.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Course, Worker};
use crate::effects::error::{Error, fault};
use crate::effects::process::is_executable;
use crate::effects::store::{Attempt, AttemptFiles, Claim, Contents};
use crate::effects::{clock, git, project, random};
use crate::pure::agent::{Driver, Launch, SessionRef};
use crate::pure::attempt::next_attempt::NextAttempt;
use crate::pure::attempt::record::{Accepted, AttemptStart, Mode};
use crate::pure::audit_event::AuditEvent;
use crate::pure::config::terms::Terms;
use crate::pure::dispatch::prompt::{self, Learnings};
use crate::pure::dispatch::{Dispatch, Lane};
use crate::pure::text::digest::uuid_v4;
use crate::pure::text::hex::{hex, name_to_text};
use crate::pure::upkeep::health::{Fault, Subsystem};
use crate::threads::events::Event;
use crate::threads::session::follow::Follower;
use crate::threads::session::{self, Running};

/// Why nothing was started.
pub(super) enum NotStarted {
    /// The dispatch asks for what is not there.
    Fault(String),
    /// The disk or the machine refuses: any other dispatch would fare likewise.
    Trouble(String),
    /// The dispatch's own folder cannot be used.
    Damaged(Error),
    /// The dispatch's directory belongs to this working tree by now, in which others may work or
    /// for which they may wait.
    OtherProject(Lane),
}

impl From<Error> for NotStarted {
    fn from(e: Error) -> NotStarted {
        if e.fault().is_everywhere() {
            NotStarted::Trouble(e.to_string())
        } else {
            NotStarted::Damaged(e)
        }
    }
}

impl Worker<'_> {
    /// Makes the attempt durable, then starts the agent. `probe` says that the dispatch is let
    /// through a hold.
    pub(super) fn begin(
        &self,
        course: &mut Course,
        plan: &NextAttempt,
        probe: bool,
    ) -> Result<Running<'_>, NotStarted> {
        let context = self.context;
        let Course { claim, contents, .. } = course;
        let dispatch = &contents.dispatch;
        let (driver, program) = self.agent(dispatch).map_err(NotStarted::Fault)?;
        let dir = project::expand(&dispatch.project_dir, context.home.as_deref());
        let dir = project::resolve(&dir).map_err(NotStarted::Fault)?;
        let lane = project::lane_of_resolved(&dir);
        if lane != claim.lane {
            return Err(NotStarted::OtherProject(lane));
        }
        let terms = self.terms(claim, &dir, driver, &program);
        let verify = context.verify_in(&dir, &claim.project, &claim.id);
        let session = session_of(plan);
        let (prompt, had_learnings) = prompt_of(dispatch, &plan.mode);
        let start = AttemptStart {
            session_id: match &session {
                SessionRef::New(_) if !driver.takes_session_id => String::new(),
                SessionRef::New(id) | SessionRef::Resume(id) => id.clone(),
            },
            dialect: driver.template.map(|template| template.dialect.clone()),
            had_learnings,
            probe,
            dispatch: String::from_utf8_lossy(&contents.bytes).into_owned(),
            ..start_now(plan, &dir, dispatch.ttl_seconds, &contents.accepted)
        };
        let prompt = driver.prompt(prompt);
        let (attempt, mut files) = self.make_durable(claim, contents, &start, &prompt)?;
        if driver.reads_prompt_file() {
            let emptied = files.empty_stdin();
            emptied.map_err(|e| self.not_started(claim, &attempt, NotStarted::from(e)))?;
        }
        self.audit_start(claim, &contents.dispatch, &start);
        let (dir_text, prompt_file) = (dir.to_string_lossy(), attempt.prompt_file());
        let arguments = driver.argv(&Launch {
            session,
            terms: &terms,
            git_dirs: &|| git_dirs(&dir),
            dir: &dir_text,
            project: &contents.dispatch.project,
            prompt_file: &prompt_file.to_string_lossy(),
        });
        let told = (&start, terms.env.as_slice());
        match session::launch(context, claim, &program, arguments, told, files) {
            Ok(session) => {
                self.tell_start(claim, &start);
                if let Err(e) = attempt.write_child(&session.record()) {
                    log::warn!("{e}");
                }
                Ok(Running {
                    context,
                    driver,
                    attempt,
                    start,
                    terms,
                    verify,
                    session: Some(session),
                    stop: None,
                    is_below_us: true,
                    follower: Follower::new(driver, true),
                })
            }
            Err(e) => Err(self.not_started(claim, &attempt, why_not(&e, &program, &dir))),
        }
    }

    /// The terms follow from the directory, which is all of a dispatch that bears on them, and from
    /// what the program can do.
    fn terms(&self, claim: &Claim, dir: &Path, driver: &Driver, program: &Path) -> Terms {
        let context = self.context;
        let mut terms = context.terms_in(dir, claim.agent, &claim.id);
        terms.can_ask_nobody = context.can_ask_nobody(driver, program, &terms.env);
        context.self_checks.ask_once(&context.asker(), driver, program, (dir, &terms));
        terms
    }

    /// Makes the attempt durable. From here on it may have run.
    fn make_durable(
        &self,
        claim: &mut Claim,
        contents: &Contents,
        start: &AttemptStart,
        prompt: &str,
    ) -> Result<(Attempt, AttemptFiles), NotStarted> {
        let context = self.context;
        let (attempt, files) = match context.store.begin_attempt(claim, start, prompt) {
            // Nothing of the dispatch ran yet, so what somebody else's session took is put back.
            Err(e) if start.attempt == 1 && !e.fault().is_everywhere() => {
                log::warn!("{e}: the folder of {} is made anew", claim.id);
                context.store.restore(&claim.id, &contents.accepted, &contents.bytes)?;
                claim.folder = None;
                context.store.begin_attempt(claim, start, prompt)?
            }
            begun => begun?,
        };
        context.tell_moved_aside();
        match context.store.note_start(&claim.id) {
            Ok(()) => Ok((attempt, files)),
            Err(e) => Err(self.not_started(claim, &attempt, NotStarted::from(e))),
        }
    }

    /// Takes the attempt back: nothing ran, and it must not look as if it had.
    fn not_started(&self, claim: &Claim, attempt: &Attempt, why: NotStarted) -> NotStarted {
        let store = &self.context.store;
        let forgotten = if attempt.number == 1 { store.take_back_start(&claim.id) } else { Ok(()) };
        match forgotten.and_then(|()| store.undo_attempt(attempt)) {
            Ok(()) => why,
            Err(e) => NotStarted::from(e),
        }
    }

    fn agent(&self, dispatch: &Dispatch) -> Result<(&'static Driver, PathBuf), String> {
        let name = dispatch.target_agent;
        let agents = self.context.agents();
        let found = agents.drivers.get(name).zip(agents.programs.get(name).cloned());
        let (driver, program) = found.ok_or_else(|| agents.unsupported(name))?;
        if !is_executable(&program) {
            return Err(format!(
                "cannot start {}: it is not there any more, or not executable",
                program.display()
            ));
        }
        Ok((driver, program))
    }

    fn audit_start(&self, claim: &Claim, dispatch: &Dispatch, start: &AttemptStart) {
        let event = AuditEvent::Spawned {
            project: dispatch.project.clone(),
            retry: start.retries,
            attempt: start.attempt,
            session_id: start.session_id.clone(),
        };
        self.context.audit.tell(claim.id.as_str(), &event);
    }

    /// Tells of the start once it is done, so that the start waits for nobody.
    fn tell_start(&self, claim: &Claim, start: &AttemptStart) {
        log::info!("{} starts (attempt {}) in {}", claim.id, start.attempt, start.project_dir);
        // Intake knows that it handed this out to start its first attempt.
        if start.attempt == 1 && !self.context.health.is_open(Subsystem::Start) {
            return;
        }
        self.send(Event::Attempt {
            id: claim.id.clone(),
            number: start.attempt,
            elapsed: Duration::ZERO,
        });
    }
}

/// The record of an attempt that starts now, but for what the dispatch itself says.
fn start_now(
    plan: &NextAttempt,
    dir: &Path,
    ttl_seconds: u64,
    accepted: &Accepted,
) -> AttemptStart {
    let now = clock::now();
    AttemptStart {
        attempt: plan.number,
        run_token: hex(&random::bytes()),
        mode: plan.mode.clone(),
        retries: plan.retries,
        waits: plan.waits,
        first: plan.first.clone().unwrap_or_else(|| now.clone()),
        started_at_ms: now.at_ms,
        started_monotonic_ms: now.monotonic_ms,
        deadline_monotonic_ms: now.monotonic_ms + ttl_seconds as i64 * 1000,
        boot_id: now.boot_id,
        started_ticks: clock::ticks_since_boot(),
        git: plan.git.clone().or_else(|| git::before(dir)).unwrap_or_default(),
        project_dir: name_to_text(dir.as_os_str().as_bytes()),
        accepted: accepted.clone(),
        ..AttemptStart::default()
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

/// Why no process came to be.
fn why_not(e: &io::Error, program: &Path, dir: &Path) -> NotStarted {
    let error = match project::resolve(dir) {
        Ok(_) => format!("cannot start {}: {e}", program.display()),
        Err(gone) => gone,
    };
    if is_shortage(e) { NotStarted::Trouble(error) } else { NotStarted::Fault(error) }
}

/// The machine has no room for a process just now; the dispatch is not to blame.
fn is_shortage(e: &io::Error) -> bool {
    // The agent's program is busy while it is being replaced.
    fault(e) == Fault::Shortage || e.kind() == io::ErrorKind::ExecutableFileBusy
}

/// Those that arguments can name.
fn git_dirs(dir: &Path) -> Vec<String> {
    git::own_dirs(dir)
        .into_iter()
        .filter_map(|dir| dir.into_os_string().into_string().ok())
        .collect()
}

fn session_of(plan: &NextAttempt) -> SessionRef {
    match &plan.mode {
        Mode::Resume { session_id } => SessionRef::Resume(session_id.clone()),
        Mode::AsIs | Mode::WithoutLearnings => SessionRef::New(uuid_v4(random::bytes())),
    }
}
