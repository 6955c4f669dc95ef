//! What an attempt will be, before anything of it is durable: its agent and where that is, its
//! terms, its wall, its prompt and its record; or why nothing is started.
//!
//! Must not change anything that a later start would see: whatever is found missing here, the
//! attempt has not begun.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{Course, Worker};
use crate::effects::error::Error;
use crate::effects::process::is_executable;
use crate::effects::project_dir::HeldDir;
use crate::effects::store::Claim;
use crate::effects::{clock, git, random};
use crate::pure::agent::{Driver, SessionRef};
use crate::pure::attempt::next_attempt::NextAttempt;
use crate::pure::attempt::record::{Accepted, AttemptStart, Mode};
use crate::pure::config::confine::Confine;
use crate::pure::config::launcher::Launcher;
use crate::pure::config::projects::Verify;
use crate::pure::config::terms::Terms;
use crate::pure::dispatch::prompt::{self, Learnings};
use crate::pure::dispatch::{Dispatch, Lane};
use crate::pure::gate::{GateRefusal, PendingRecord};
use crate::pure::text::digest::uuid_v4;
use crate::pure::text::hex::{hex, name_to_text};
use crate::threads::session::engine;
use crate::threads::session::wall::{self, Wall};

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

/// All that is known of an attempt before it is durable.
pub(super) struct Ready {
    pub(super) driver: &'static Driver,
    pub(super) program: PathBuf,
    pub(super) dir: PathBuf,
    /// That very directory.
    pub(super) held: HeldDir,
    pub(super) terms: Terms,
    pub(super) session: SessionRef,
    pub(super) start: AttemptStart,
    pub(super) wall: Option<Wall>,
    /// What starts it in our place, with the path of its program.
    pub(super) launcher: Option<(PathBuf, Launcher)>,
    pub(super) verify: Option<Verify>,
    pub(super) prompt: String,
}

impl Worker<'_> {
    pub(super) fn ready(
        &self,
        course: &Course,
        plan: &NextAttempt,
        probe: bool,
    ) -> Result<Ready, NotStarted> {
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
        let prompt = driver.prompt(prompt);
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
        Ok(Ready {
            driver,
            program,
            dir,
            held,
            terms,
            session,
            start,
            wall,
            launcher,
            verify,
            prompt,
        })
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

fn session_of(plan: &NextAttempt) -> SessionRef {
    match &plan.mode {
        Mode::Resume { session_id } => SessionRef::Resume(session_id.clone()),
        Mode::AsIs | Mode::WithoutLearnings => SessionRef::New(uuid_v4(random::bytes())),
    }
}
