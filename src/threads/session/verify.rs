//! The acceptance command: what the operator wants to see pass before a session's work counts as
//! completed.
//!
//! The command is the operator's own program, but it runs what the agent wrote. So it is ended at
//! its time limit, on a cancel and at shutdown, carries the session's run token, and is swept after
//! like the session. It writes to a file, `verify.log`. A crash while it runs leaves no end on
//! record: the next daemon sweeps, judges, and runs it again.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::{Running, session_variables};
use crate::effects::process::{Mark, Session, SessionFiles, Spawn};
use crate::effects::store::{Claim, OutputFile, VerifyLog};
use crate::pure::attempt::limits::StopCause;
use crate::pure::attempt::outcome::{Checked, Ending, Exit, after_check, cut_check};
use crate::pure::attempt::record::ChildRecord;
use crate::pure::config::projects::Verify;
use crate::pure::report::{Status, VerifyReport};
use crate::pure::text::redact::redact;
use crate::threads::events::Cancel;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// What came of the command.
enum Verified {
    Ran(Checked),
    Cut(StopCause),
    /// The command is left to the next daemon, which runs it again.
    Left,
}

impl Running<'_> {
    /// Runs the project's command, if it has one and the session did well. `None` if the daemon
    /// leaves, so that nothing is decided.
    pub(super) fn verify(
        &self,
        claim: &Claim,
        ending: Ending,
        cancel: &Cancel,
    ) -> Option<(Ending, Option<VerifyReport>)> {
        let Some(verify) = self.verify.as_ref().filter(|_| ending.status == Status::Completed)
        else {
            return Some((ending, None));
        };
        // The stream has been read; a death from here on says nothing against it.
        if let Err(e) = self.attempt.forget_reading() {
            log::warn!("{e}");
        }
        log::info!("{}: its acceptance command runs: {}", claim.id, verify.argv.join(" "));
        let began = Instant::now();
        if !self.is_below_us {
            // An earlier daemon may have died while it ran.
            self.sweep_check(self.attempt.earlier_verify_log().as_ref(), None);
        }
        // The session may remove the log, but not the check.
        let log = self.attempt.verify_log().or_else(|_| self.context.store.scratch_log());
        let (log, verified) = match log {
            Ok((log, stdout)) => {
                let verified = self.run(claim, verify, &log, stdout, cancel);
                (Some(log), verified)
            }
            Err(e) => {
                (None, Verified::Ran(Checked { error: Some(e.to_string()), ..Checked::default() }))
            }
        };
        let checked = match verified {
            Verified::Ran(checked) => checked,
            Verified::Cut(cause) => {
                self.tell_of_task_end(&claim.id, cause);
                return Some((cut_check(ending, cause, &self.task.named), None));
            }
            Verified::Left => return None,
        };
        let output = log.map(|log| redact(&log.tail()));
        let report = VerifyReport {
            exit_code: checked.exit.and_then(|exit| exit.code),
            signal: checked.exit.and_then(|exit| exit.signal),
            timed_out: checked.timed_out,
            duration: began.elapsed().as_millis() as f64 / 1000.0,
            output: output.filter(|output| !output.is_empty()),
        };
        Some((after_check(ending, &checked, verify.timeout.as_secs_f64()), Some(report)))
    }

    /// Runs the command. `stdout` is the locked file, for the command alone.
    fn run(
        &self,
        claim: &Claim,
        verify: &Verify,
        log: &VerifyLog,
        stdout: OutputFile,
        cancel: &Cancel,
    ) -> Verified {
        let program = PathBuf::from(&verify.argv[0]);
        let copy = [self.context.store.copy_path(&claim.id)];
        let wall = self.wall.clone();
        let confinement = wall.map(|wall| wall.with_own(self.tmp.dir.clone()));
        let started = stdout.try_clone().and_then(|stderr| {
            let spawn = Spawn {
                program: &program,
                arguments: verify.argv[1..].iter().map(Into::into).collect(),
                directory: &self.start.dir(),
                variables: session_variables(self.context, claim, &self.start),
                confinement: confinement.as_ref(),
            };
            let stdin = self.attempt.empty_file()?;
            let files = SessionFiles { stdin, stdout, stderr, readable: &copy };
            Session::prepare(&self.context.processes, spawn)?.start(files)
        });
        match started {
            Ok(session) => {
                let check = session.record();
                let verified = self.watch_check(session, verify, log, cancel);
                self.sweep_check(Some(log), Some(check));
                verified
            }
            Err(e) => {
                let error = Some(format!("cannot start {}: {e}", program.display()));
                Verified::Ran(Checked { error, ..Checked::default() })
            }
        }
    }

    /// Ends what the command left: it has a group and an output of its own.
    fn sweep_check(&self, log: Option<&VerifyLog>, check: Option<ChildRecord>) {
        let settings = &self.context.settings();
        let mark = Mark { stdout: log.map(VerifyLog::file), group: check, ..self.mark() };
        self.context.processes.sweep(&mark, settings.kill_grace, &settings.spare);
    }

    fn watch_check(
        &self,
        mut session: Session,
        verify: &Verify,
        log: &VerifyLog,
        cancel: &Cancel,
    ) -> Verified {
        let settings = &self.context.settings();
        let grace = settings.kill_grace;
        let began = Instant::now();
        loop {
            let cut = self.reason_to_cut(cancel);
            if cut.is_some() || self.is_to_be_left() {
                session.stop(grace);
                return cut.map_or(Verified::Left, Verified::Cut);
            }
            let left = verify.timeout.saturating_sub(began.elapsed());
            if left.is_zero() {
                let exit: Option<Exit> = session.stop(grace);
                return Verified::Ran(Checked { exit, timed_out: true, error: None });
            }
            if let Some(exit) = session.wait(left.min(LOOK_EVERY)) {
                return Verified::Ran(Checked { exit, timed_out: false, error: None });
            }
            if let Some(max) = settings.stdout_bytes_max
                && log.bytes() > max
            {
                let error = Some(format!("it wrote more than {} MB", max as f64 / 1e6));
                return Verified::Ran(Checked {
                    exit: session.stop(grace),
                    timed_out: false,
                    error,
                });
            }
        }
    }
}
