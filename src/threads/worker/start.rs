//! The start of an attempt: everything that must be known and durable before the agent runs, then
//! the agent.
//!
//! An attempt whose agent did not start is taken back: it must not look as if it had run.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Course, Worker};
use crate::effects::error::{Error, fault};
use crate::effects::process::{Session, is_executable};
use crate::effects::project_dir::HeldDir;
use crate::effects::store::{Attempt, AttemptFiles, Claim, Contents};
use crate::effects::{clock, git, project, random};
use crate::pure::agent::{Driver, Launch, SessionRef};
use crate::pure::attempt::next_attempt::NextAttempt;
use crate::pure::attempt::record::{Accepted, AttemptStart, Mode};
use crate::pure::audit_event::AuditEvent;
use crate::pure::config::confine::Confine;
use crate::pure::config::launcher::Launcher;
use crate::pure::config::terms::Terms;
use crate::pure::dispatch::prompt::{self, Learnings};
use crate::pure::dispatch::{Dispatch, Lane};
use crate::pure::gate::{GateRefusal, PendingRecord};
use crate::pure::text::digest::uuid_v4;
use crate::pure::text::hex::{hex, name_to_text};
use crate::pure::upkeep::health::{Fault, Subsystem};
use crate::threads::events::Event;
use crate::threads::session::follow::Follower;
use crate::threads::session::task::SessionTask;
use crate::threads::session::tmp::SessionTmp;
use crate::threads::session::wall::{self, Wall};
use crate::threads::session::{self, Running, engine};

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
    /// It has to wait until somebody allows it.
    Waits(PendingRecord),
    /// It has run, and Clawvisor does not say now whether it may go on.
    AsksAgain(PendingRecord),
    /// It may not run.
    Refused(GateRefusal),
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

/// All that is known of an attempt before its agent starts.
struct Ready {
    driver: &'static Driver,
    program: PathBuf,
    dir: PathBuf,
    /// That very directory.
    held: HeldDir,
    terms: Terms,
    session: SessionRef,
    start: AttemptStart,
    wall: Option<Wall>,
    /// What starts it in our place, with the path of its program.
    launcher: Option<(PathBuf, Launcher)>,
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
        let held = self.directory(claim, dispatch)?;
        let approval = self.pass_gate((claim, contents), plan, &held)?;
        let dir = held.path.clone();
        let terms = self.terms(claim, &dir, driver, &program);
        let wall = wall::wall(context, &dir, driver, &terms).map_err(NotStarted::Fault)?;
        let launcher = self.launcher(dispatch, driver, &dir, &terms).map_err(NotStarted::Fault)?;
        let verify = context.verify_in(&dir, &claim.project, &claim.id);
        let session = session_of(plan);
        let (prompt, had_learnings) = prompt_of(dispatch, &plan.mode);
        let start = AttemptStart {
            session_id: given_id(driver, &session),
            dialect: driver.template.map(|template| template.dialect.clone()),
            had_learnings,
            probe,
            dispatch: String::from_utf8_lossy(&contents.bytes).into_owned(),
            confined: wall.as_ref().map(|wall| wall.confined.clone()),
            approval,
            ..start_now(plan, &dir, &contents.accepted)
        }
        .within(dispatch.ttl_seconds, launcher.as_ref().map(|(_, launcher)| launcher));
        let (attempt, files) =
            self.make_durable(claim, contents, &start, &driver.prompt(prompt))?;
        let ready = Ready { driver, program, dir, held, terms, session, start, wall, launcher };
        match self.start_agent(claim, &contents.dispatch, &attempt, &ready, files) {
            Ok((session, tmp)) => {
                let Ready { terms, start, wall, launcher, .. } = ready;
                Ok(Running {
                    context,
                    driver,
                    attempt,
                    start,
                    terms,
                    verify,
                    is_below_us: launcher.is_none(),
                    launcher: launcher.map(|(_, launcher)| launcher),
                    engine_end: None,
                    begun_ms: None,
                    ttl_seconds: contents.dispatch.ttl_seconds,
                    session: Some(session),
                    stop: None,
                    follower: Follower::new(driver, true),
                    tmp: SessionTmp::new(tmp),
                    wall,
                    task: SessionTask::of(context, &contents.dispatch),
                })
            }
            Err(why) => Err(self.not_started(claim, &attempt, &ready.start, why)),
        }
    }

    /// Starts the agent of an attempt that is durable, in a temporary directory of its own.
    fn start_agent(
        &self,
        claim: &Claim,
        dispatch: &Dispatch,
        attempt: &Attempt,
        ready: &Ready,
        mut files: AttemptFiles,
    ) -> Result<(Session<'_>, Option<PathBuf>), NotStarted> {
        let Ready { driver, program, dir, held, terms, session, start, wall, launcher } = ready;
        if driver.reads_prompt_file() {
            files.empty_stdin()?;
        }
        // The session may be on another machine, where ours is not.
        let tmp = match launcher {
            Some(_) => None,
            None => Some(self.context.store.make_tmp(&start.run_token)?),
        };
        self.audit_start(claim, dispatch, start);
        let (dir_text, prompt_file) = (dir.to_string_lossy(), attempt.prompt_file());
        let arguments = driver.argv(&Launch {
            session: session.clone(),
            terms,
            git_dirs: &|| git_dirs(dir),
            dir: &dir_text,
            project: &dispatch.project,
            prompt_file: &prompt_file.to_string_lossy(),
        });
        let told = (start, terms.env.as_slice());
        let own_files = vec![self.context.store.copy_path(&claim.id), prompt_file.clone()];
        let wall = wall.clone().map(|wall| wall.with_own(tmp.clone(), own_files));
        let (first, arguments) = command(program, arguments, launcher.as_ref());
        let agent = (first, arguments);
        let entry = held.entry();
        let place = (entry.as_path(), wall.as_ref());
        let session = session::launch(self.context, claim, agent, told, place, files)
            .map_err(|e| why_not(&e, first, dir))?;
        self.tell_start(claim, start);
        if let Err(e) = attempt.write_child(&session.record()) {
            log::warn!("{e}");
        }
        Ok((session, tmp))
    }

    /// What starts the session in our place, with the path of its program.
    fn launcher(
        &self,
        dispatch: &Dispatch,
        driver: &Driver,
        dir: &Path,
        terms: &Terms,
    ) -> Result<Option<(PathBuf, Launcher)>, String> {
        let Some(launcher) = engine::launcher_of(terms, driver, &engine::words_of(dispatch, dir))
        else {
            return Ok(None);
        };
        let found = self.context.sources.find_program(&launcher.argv[0]);
        let program = found.map_err(|e| format!("cannot start the launcher: {e}"))?;
        Ok(Some((program, launcher)))
    }

    /// The terms follow from the directory, which is all of a dispatch that bears on them, and from
    /// what the program can do.
    fn terms(&self, claim: &Claim, dir: &Path, driver: &Driver, program: &Path) -> Terms {
        let context = self.context;
        let mut terms = context.terms_in(dir, claim.agent, &claim.id);
        // Where a launcher runs it, the program may be another version.
        terms.can_ask_nobody =
            terms.launcher.is_none() && context.can_ask_nobody(driver, program, &terms.env);
        if terms.confine.confine != Confine::Off && terms.permission_mode.is_none() {
            terms.permission_mode = driver.mode_when_confined.map(str::to_string);
        }
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
            Err(e) => {
                let why = NotStarted::from(e);
                Err(self.not_started(claim, &attempt, start, why))
            }
        }
    }

    /// Takes the attempt back: nothing ran, and it must not look as if it had.
    fn not_started(
        &self,
        claim: &Claim,
        attempt: &Attempt,
        start: &AttemptStart,
        why: NotStarted,
    ) -> NotStarted {
        let store = &self.context.store;
        if let Some(tmp) = store.tmp_of(&start.run_token) {
            self.context.leavings.clear(store, tmp);
        }
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
fn start_now(plan: &NextAttempt, dir: &Path, accepted: &Accepted) -> AttemptStart {
    let now = clock::now();
    AttemptStart {
        attempt: plan.number,
        run_token: hex(&random::bytes::<16>()),
        mode: plan.mode.clone(),
        retries: plan.retries,
        waits: plan.waits,
        first: plan.first.clone().unwrap_or_else(|| now.clone()),
        started_at_ms: now.at_ms,
        started_monotonic_ms: now.monotonic_ms,
        relaunched: plan.relaunched,
        boot_id: now.boot_id,
        started_ticks: clock::ticks_since_boot(),
        git: plan.git.clone().or_else(|| git::before(dir)).unwrap_or_default(),
        project_dir: name_to_text(dir.as_os_str().as_bytes()),
        accepted: accepted.clone(),
        ..AttemptStart::default()
    }
}

/// The id that the agent is told to give its session, if it can be told.
fn given_id(driver: &Driver, session: &SessionRef) -> String {
    match session {
        SessionRef::New(_) if !driver.takes_session_id => String::new(),
        SessionRef::New(id) | SessionRef::Resume(id) => id.clone(),
    }
}

/// What is run: the agent, or the launcher with the agent behind it.
fn command<'p>(
    program: &'p Path,
    arguments: Vec<String>,
    launcher: Option<&'p (PathBuf, Launcher)>,
) -> (&'p Path, Vec<OsString>) {
    let arguments = arguments.into_iter().map(OsString::from);
    let Some((first, launcher)) = launcher else { return (program, arguments.collect()) };
    let before = launcher.argv[1..].iter().map(OsString::from).chain([program.into()]);
    (first, before.chain(arguments).collect())
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
