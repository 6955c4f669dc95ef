//! The start of an attempt: what can be made ready, then its record on the disk, then the agent.
//!
//! An attempt whose agent did not start is taken back: it must not look as if it had run. What was
//! made ready has run nothing of the agent, and is ended where it is dropped.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ready::{NotStarted, Ready};
use super::{Course, Worker};
use crate::effects::error::fault;
use crate::effects::process::{PreparedSession, Session, SessionFiles};
use crate::effects::store::{Attempt, AttemptFiles, Claim, Contents};
use crate::effects::{git, project};
use crate::pure::agent::Launch;
use crate::pure::attempt::next_attempt::NextAttempt;
use crate::pure::attempt::record::AttemptStart;
use crate::pure::audit_event::AuditEvent;
use crate::pure::config::launcher::Launcher;
use crate::pure::dispatch::Dispatch;
use crate::pure::upkeep::health::{Fault, Subsystem};
use crate::threads::events::Event;
use crate::threads::session::follow::Follower;
use crate::threads::session::task::SessionTask;
use crate::threads::session::tmp::SessionTmp;
use crate::threads::session::{self, Running};

impl Worker<'_> {
    /// Makes the attempt durable, then starts the agent. `probe` says that the dispatch is let
    /// through a hold.
    pub(super) fn begin(
        &self,
        course: &mut Course,
        plan: &NextAttempt,
        probe: bool,
    ) -> Result<Running<'_>, NotStarted> {
        let ready = self.ready(course, plan, probe)?;
        let run_token = ready.start.run_token.clone();
        let begun = self.begin_ready(course, ready);
        let store = &self.context.store;
        if begun.is_err()
            && let Some(tmp) = store.tmp_of(&run_token)
        {
            self.context.leavings.clear(store, tmp);
        }
        begun
    }

    fn begin_ready(&self, course: &mut Course, ready: Ready) -> Result<Running<'_>, NotStarted> {
        let Course { claim, contents, .. } = course;
        // A wall is built while the disk is waited for. Where there is none, what is made now would
        // only be one more thing that the disk has to write first.
        let early = match ready.wall {
            Some(_) => Some(self.prepare(claim, &contents.dispatch, &ready)?),
            None => None,
        };
        let (attempt, files) = self.make_durable(claim, contents, &ready)?;
        let prepared = match early {
            Some(prepared) => Ok(prepared),
            None => self.prepare(claim, &contents.dispatch, &ready),
        };
        let started = prepared.and_then(|(prepared, tmp)| {
            let told = (claim as &Claim, &contents.dispatch);
            Ok((self.start_agent(told, &attempt, &ready, (prepared, files))?, tmp))
        });
        let (session, tmp) = started.map_err(|why| self.not_started(claim, &attempt, why))?;
        let Ready { driver, terms, start, wall, launcher, verify, .. } = ready;
        Ok(Running {
            context: self.context,
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
            task: SessionTask::of(self.context, &contents.dispatch),
        })
    }

    /// Does what needs no durable attempt, in a temporary directory of the session's own.
    fn prepare(
        &self,
        claim: &Claim,
        dispatch: &Dispatch,
        ready: &Ready,
    ) -> Result<(PreparedSession<'_>, Option<PathBuf>), NotStarted> {
        let Ready { driver, program, dir, held, terms, session, start, wall, launcher, .. } = ready;
        // The session may be on another machine, where ours is not.
        let tmp = match launcher {
            Some(_) => None,
            None => Some(self.context.store.make_tmp(&start.run_token)?),
        };
        let prompt_file = self.context.store.prompt_file(&claim.id, start.attempt);
        let arguments = driver.argv(&Launch {
            session: session.clone(),
            terms,
            git_dirs: &|| git_dirs(dir),
            dir: &dir.to_string_lossy(),
            project: &dispatch.project,
            prompt_file: &prompt_file.to_string_lossy(),
        });
        let wall = wall.clone().map(|wall| wall.with_own(tmp.clone()));
        let agent = command(program, arguments, launcher.as_ref());
        let first = agent.0;
        let (told, entry) = ((start, terms.env.as_slice()), held.entry());
        let prepared = session::prepare(self.context, claim, agent, told, (&entry, wall.as_ref()));
        Ok((prepared.map_err(|e| why_not(&e, first, dir))?, tmp))
    }

    /// Starts the agent of an attempt that is durable.
    fn start_agent<'w>(
        &'w self,
        (claim, dispatch): (&Claim, &Dispatch),
        attempt: &Attempt,
        ready: &Ready,
        (prepared, mut files): (PreparedSession<'w>, AttemptFiles),
    ) -> Result<Session<'w>, NotStarted> {
        let Ready { driver, program, dir, start, launcher, .. } = ready;
        if driver.reads_prompt_file() {
            files.empty_stdin()?;
        }
        self.audit_start(claim, dispatch, start);
        let AttemptFiles { stdin, stdout, stderr } = files;
        let readable = [
            self.context.store.copy_path(&claim.id),
            self.context.store.prompt_file(&claim.id, attempt.number),
        ];
        let first = launcher.as_ref().map_or(program, |(first, _)| first);
        let session = prepared
            .start(SessionFiles { stdin, stdout, stderr, readable: &readable })
            .map_err(|e| why_not(&e, first, dir))?;
        self.tell_start(claim, start);
        if let Err(e) = attempt.write_child(&session.record()) {
            log::warn!("{e}");
        }
        Ok(session)
    }

    /// Makes the attempt durable. From here on it may have run.
    fn make_durable(
        &self,
        claim: &mut Claim,
        contents: &Contents,
        Ready { start, prompt, .. }: &Ready,
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
