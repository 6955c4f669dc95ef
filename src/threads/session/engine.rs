//! The engine behind a launcher: what runs there is ended by the engine's own command, which alone
//! reaches it.
//!
//! The command comes before our signals: SIGTERM to `srun` gives the agent no grace, and SIGKILL to
//! its group leaves the agent running for ever. It also comes before every answer, since nothing
//! else tells that nothing is left. It is taken from the settings, never from a record: a session
//! can write records, and would have the daemon run a command of its choice.

use std::path::Path;
use std::process::Stdio;

use super::Running;
use crate::effects::process::{Helper, HelperEnd};
use crate::pure::agent::Driver;
use crate::pure::attempt::outcome::{Ending, EngineEnd, Exit, exit_in_words, warning_of_engine};
use crate::pure::attempt::record::{AttemptEnd, NextStep};
use crate::pure::config::launcher::{Launcher, LauncherWords};
use crate::pure::config::terms::Terms;
use crate::pure::dispatch::Dispatch;
use crate::pure::text::clip::one_line;
use crate::threads::shared::context::Context;

/// The warning when what would have been tried again is not.
const NOT_BESIDE: &str = "it is not tried again: it may still run in the launcher's engine";
/// How much of a program's name in a record is shown, in characters.
const SHOWN_CHARS_MAX: usize = 100;

/// What the placeholders stand for in a session of that dispatch.
pub fn words_of<'d>(dispatch: &'d Dispatch, dir: &'d Path) -> LauncherWords<'d> {
    LauncherWords {
        id: dispatch.id.as_str(),
        project: &dispatch.project,
        dir,
        ttl_seconds: dispatch.ttl_seconds,
    }
}

/// The launcher of one session on these terms. Of an agent that may be silent nobody can tell when
/// it began, so that its time counts from its start.
pub fn launcher_of(terms: &Terms, driver: &Driver, words: &LauncherWords) -> Option<Launcher> {
    let launcher = terms.launcher.as_ref()?.filled(words);
    let wait = launcher.wait.filter(|_| !driver.may_be_silent());
    Some(Launcher { wait, ..launcher })
}

/// Runs the engine's command for a session. `None`: there is none to be run.
pub fn end_in_engine(context: &Context, launcher: &Launcher) -> Option<EngineEnd> {
    let (program, arguments) = launcher.kill.as_ref()?.split_first()?;
    let ended = context.sources.find_program(program).and_then(|program| {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let helper = Helper {
            program: &program.to_string_lossy(),
            arguments: &arguments,
            // The project's directory may be gone by now.
            directory: Path::new("/"),
            variables: &[],
            removed_prefix: "GSTACK_DISPATCHD_",
            stdout: Stdio::null(),
            timeout: context.settings().launcher_grace,
        };
        context.processes.run_to_end(helper).map_err(|e| e.to_string())
    });
    let end = match ended {
        Ok(HelperEnd::Exited(Exit { code: Some(0), signal: None })) => EngineEnd::Done,
        Ok(HelperEnd::Exited(exit)) => EngineEnd::Refused(exit_in_words(exit)),
        Ok(HelperEnd::TimedOut) => EngineEnd::TimedOut,
        Err(why) => EngineEnd::NotRun(why),
    };
    log::debug!("launcher_kill ({program}): {end:?}");
    Some(end)
}

impl Running<'_> {
    /// Ends what runs of the session in its engine, unless that was done.
    pub fn end_in_engine(&mut self) {
        if let (Some(launcher), None) = (&self.launcher, &self.engine_end) {
            self.engine_end = end_in_engine(self.context, launcher);
        }
    }

    /// Ends the session: in its engine first, so that the launcher ends by itself, and then by the
    /// kill ladder. After that the engine's command is due again: a launcher that was killed told
    /// its engine nothing, and what the command came too early for may have begun since.
    pub(super) fn stop(&mut self) -> Option<Exit> {
        self.end_in_engine();
        let settings = self.context.settings();
        let session = self.session.as_mut()?;
        let ends_itself =
            self.engine_end == Some(EngineEnd::Done) && !self.start.launcher.is_empty();
        if ends_itself && let Some(exit) = session.wait(settings.launcher_grace) {
            return exit;
        }
        let exit = session.stop(settings.kill_grace);
        self.engine_end = None;
        exit
    }

    /// What follows the attempt. Nothing is tried again while it may still run: two sessions would
    /// work in one project.
    pub(super) fn follows(&self, next: NextStep, ending: &mut Ending) -> NextStep {
        let is_unknown =
            matches!(self.engine_end, Some(EngineEnd::TimedOut | EngineEnd::NotRun(_)));
        if !is_unknown || next == NextStep::Report {
            return next;
        }
        ending.warnings.push(NOT_BESIDE.into());
        NextStep::Report
    }

    /// Adds to an end that is on record what became of the engine since.
    pub fn tell_of_engine(&self, end: &mut AttemptEnd) {
        let told = &mut end.ending.warnings;
        // It was asked before that end, so that a refusal means that nothing was left.
        let warning = self.warning_of_engine(true);
        told.extend(warning.filter(|warning| !told.contains(warning)));
    }

    /// What the report has to say of the engine. `is_clean`: it ended by itself, with a result.
    pub(super) fn warning_of_engine(&self, is_clean: bool) -> Option<String> {
        let recorded = self.start.launcher.as_str();
        let now = self.launcher.as_ref();
        if !recorded.is_empty() && now.and_then(|now| now.programs().next()) != Some(recorded) {
            let recorded = one_line(recorded, SHOWN_CHARS_MAX);
            return Some(format!(
                "whether anything is left in the launcher's engine is not known: the settings do not name {recorded} any more"
            ));
        }
        // Of a session that was started without it, only a command that went wrong is worth a word.
        let launcher = now.filter(|_| !recorded.is_empty() || self.engine_end.is_some())?;
        warning_of_engine(launcher, self.engine_end.as_ref(), is_clean)
    }
}
