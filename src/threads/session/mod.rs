//! One attempt: a session from its start (or its adoption) to the record of how it ended. `watch`
//! sees to what lies between.
//!
//! The order of the writes is the point of this file: `attempt.json` before the agent starts, the
//! sweep before anything is concluded, `end.json` before anything follows from it.

pub mod engine;
pub mod follow;
mod resume_line;
pub mod task;
pub mod tmp;
pub mod verify;
pub mod wall;
pub mod watch;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;

use self::follow::Follower;
use self::task::SessionTask;
use self::tmp::SessionTmp;
use self::wall::{Wall, session_variable};
use super::events::Cancel;
use super::shared::context::Context;
use super::shared::persist::{Unwritten, persist};
use crate::effects::process::{Mark, PreparedSession, Session, Spawn, Swept};
use crate::effects::store::{Attempt, Claim};
use crate::effects::{agent_record, clock, git};
use crate::pure::agent::environment::{DISPATCH_FILE, DISPATCH_ID, RUN_TOKEN, TMPDIR};
use crate::pure::agent::{Driver, Summary, git_identity};
use crate::pure::attempt::build_report::FROM_MEMORY;
use crate::pure::attempt::limits::{StopCause, StopLimits};
use crate::pure::attempt::outcome::{self, Ending, EngineEnd, Evidence, Exit, classify};
use crate::pure::attempt::record::{AttemptEnd, AttemptFacts, AttemptStart, Moment, NextStep};
use crate::pure::attempt::retry::{self, Knobs, Tried};
use crate::pure::attempt::sign::{self, Sign};
use crate::pure::attempt::warnings::{warnings_of_wall, warnings_of_work};
use crate::pure::audit_event::AuditEvent;
use crate::pure::config::confine::Confine;
use crate::pure::config::launcher::Launcher;
use crate::pure::config::projects::Verify;
use crate::pure::config::terms::Terms;
use crate::pure::confine::Confinement;
use crate::pure::dispatch::DispatchId;
use crate::pure::report::{ErrorType, GitFacts, Status};

/// The warning when what would have been tried again is not.
const NOT_AGAIN: &str = "it is not tried again: the records of the attempt are gone or damaged";

/// An attempt whose end is on record.
pub struct Settled {
    pub start: AttemptStart,
    pub end: AttemptEnd,
}

/// A session that runs, ran, or may have run.
pub struct Running<'c> {
    pub context: &'c Context,
    pub driver: &'static Driver,
    pub attempt: Attempt,
    pub start: AttemptStart,
    /// The terms that it was started with; of one that an earlier daemon started, those of now.
    pub terms: Terms,
    /// The acceptance command that its work must pass, as the settings had it at its start.
    pub verify: Option<Verify>,
    /// What started it in our place, filled in for it.
    pub launcher: Option<Launcher>,
    /// What came of the engine's own command, once that was run.
    pub engine_end: Option<EngineEnd>,
    /// When its first event was seen, by the monotonic clock, if its time counts from there.
    pub begun_ms: Option<i64>,
    /// How long it may run, as its dispatch says.
    pub ttl_seconds: u64,
    /// `None` if its agent is gone already.
    pub session: Option<Session<'c>>,
    /// Why we end the session.
    pub stop: Option<StopCause>,
    /// This very process started the session, and without a launcher.
    pub is_below_us: bool,
    pub follower: Follower,
    pub tmp: SessionTmp,
    /// What runs for it runs behind the same wall.
    pub wall: Option<Wall>,
    pub task: SessionTask<'c>,
}

/// Prepares the agent, or the launcher that starts it, in the directory that `place` leads to. The
/// error says why no process came to be.
pub fn prepare<'c>(
    context: &'c Context,
    claim: &Claim,
    (program, arguments): (&Path, Vec<OsString>),
    (start, env): (&AttemptStart, &[(String, String)]),
    (place, confinement): (&Path, Option<&Confinement>),
) -> std::io::Result<PreparedSession<'c>> {
    let dir = start.dir();
    let mut variables = session_variables(context, claim, start);
    let hides_identity =
        context.agents().drivers.get(claim.agent).is_some_and(|driver| driver.hides_git_identity);
    if hides_identity
        && !env.iter().any(|(name, _)| git_identity::VARIABLES.contains(&name.as_str()))
    {
        variables.extend(git_identity(context, &dir));
    }
    let of_settings = env.iter().map(|(name, value)| (name.as_str(), value.into()));
    let variables = variables.into_iter().chain(of_settings).collect();
    let spawn = Spawn { program, arguments, directory: place, variables, confinement };
    Session::prepare(&context.processes, spawn)
}

/// Who commits, for an agent that cannot see it; what our own environment says of that stands.
fn git_identity(context: &Context, dir: &Path) -> Vec<(&'static str, OsString)> {
    if git_identity::VARIABLES.iter().any(|name| context.processes.inherited(name).is_some()) {
        return Vec::new();
    }
    let found = git::identity_variables(context.home.as_deref(), dir);
    found.into_iter().map(|(name, value)| (name, value.into())).collect()
}

/// What every program that runs for a dispatch has in its environment, by which it can be
/// recognised.
pub(super) fn session_variables(
    context: &Context,
    claim: &Claim,
    start: &AttemptStart,
) -> Vec<(&'static str, OsString)> {
    let tmp = context.store.tmp_of(&start.run_token);
    let mut variables = vec![
        (DISPATCH_ID, claim.id.as_str().into()),
        (DISPATCH_FILE, context.store.copy_path(&claim.id).into()),
        (RUN_TOKEN, start.run_token.as_str().into()),
        // The shell's idea of where it is would contradict the real one.
        ("PWD", start.dir().into()),
    ];
    variables.extend(tmp.map(|dir| (TMPDIR, dir.into())));
    let agents = context.agents();
    let fixed = agents.drivers.variables(claim.agent);
    variables.extend(fixed.map(|(name, value)| (name, value.into())));
    variables
}

/// Recognises the processes of a session whose records do not name them, or say what the session
/// wrote there: by the id and the path of our own copy in their environment.
pub(super) fn mark_by_name(context: &Context, id: &DispatchId) -> Mark {
    let copy = context.store.copy_path(id);
    Mark {
        variables: vec![
            format!("{DISPATCH_ID}={id}"),
            format!("{DISPATCH_FILE}={}", copy.display()),
        ],
        stdout: None,
        group: None,
        started_ticks: 0,
        is_below_us: false,
    }
}

impl Running<'_> {
    pub fn mark(&self) -> Mark {
        Mark {
            variables: vec![format!("{RUN_TOKEN}={}", self.start.run_token)],
            stdout: self.attempt.stdout(),
            group: self.session.as_ref().map(Session::record),
            started_ticks: self.start.started_ticks,
            is_below_us: self.is_below_us,
        }
    }

    /// Sweeps after the agent's end, reads what it left, decides, and writes that down. `None` if
    /// the daemon is being ended before that could be written.
    pub fn settle(mut self, claim: &Claim, exit: Option<Exit>, cancel: &Cancel) -> Option<Settled> {
        if !self.is_ours() {
            return None;
        }
        self.end_in_engine();
        let swept = self.sweep(claim);
        // A crash in here, while what an agent wrote is read, must not repeat for ever.
        if let Err(e) = self.attempt.note_reading() {
            log::warn!("{e}");
        }
        let (summary, mut ending) = self.judge(exit);
        let git = self.git_after(&summary);
        // The sign is that of the agent's own end, whatever its work is worth.
        let sign = sign::sign(&ending, &summary, self.start.started_at_ms, clock::unix_ms());
        // This comes before the acceptance command, since what that leaves is not the agent's.
        let index_is_locked = summary.used_tools && git::index_is_locked(&self.start.dir());
        ending.warnings.extend(warnings_of_work(&summary, &git, index_is_locked));
        let (mut ending, verify) = self.verify(claim, ending, cancel)?;
        let (now, knobs) = (clock::now(), Knobs::of(&self.context.settings()));
        let tried = Tried {
            driver: self.driver,
            start: &self.start,
            ending: &ending,
            summary: &summary,
            sign: sign.as_ref(),
        };
        let next = self.follows(retry::next(tried, &now, &knobs), &mut ending);
        let sign = retry::sign_to_tell(&self.start, sign, &next);
        let resume = self.resume_line(claim, &summary);
        let facts = AttemptFacts { resume, git, verify, ..self.facts(exit, summary) };
        self.put_on_record(claim, facts, ending, swept, (next, sign), &now)
    }

    fn facts(&self, exit: Option<Exit>, summary: Summary) -> AttemptFacts {
        let output_length = self.follower.seen.bytes;
        AttemptFacts { exit, summary, output_length, ..AttemptFacts::default() }
    }

    /// Writes the end of the attempt. `None` if the daemon is being ended before that could be
    /// written. If the attempt's own folder takes nothing, only this daemon knows its end, so that
    /// nothing may follow it but the report.
    fn put_on_record(
        self,
        claim: &Claim,
        facts: AttemptFacts,
        mut ending: Ending,
        swept: Swept,
        next: (NextStep, Option<Sign>),
        now: &Moment,
    ) -> Option<Settled> {
        if swept.unseen_holder {
            let warning = "something that the daemon cannot see still holds the session's output";
            ending.warnings.push(warning.into());
        }
        self.clear_tmp();
        let has_exited = facts.exit == Some(Exit { code: Some(0), signal: None });
        let is_clean = self.stop.is_none() && has_exited && facts.summary.result.is_some();
        ending.warnings.extend(self.warning_of_engine(is_clean));
        let facts = AttemptFacts { leftovers: swept.leftovers, ..facts };
        let mut end = AttemptEnd::new(&self.start, facts, ending, next, now);
        match persist(self.context, || self.attempt.write_end(&end)) {
            Ok(()) => {}
            Err(Unwritten::DaemonEnds) => return None,
            Err(Unwritten::Own(e)) => {
                log::warn!("{e}: how the attempt ended is known from memory only");
                end.ending.warnings.push(FROM_MEMORY.into());
                if end.next != NextStep::Report {
                    end.next = NextStep::Report;
                    end.ending.warnings.push(NOT_AGAIN.into());
                }
            }
        }
        self.context.note_cost(&claim.id, &self.start, &end);
        self.context.tell_moved_aside();
        Some(Settled { start: self.start, end })
    }

    /// Ends what is left of the session without reading a word of it, for a dispatch that kills its
    /// reader. If the session was stopped, that is what became of it.
    pub fn give_up(mut self, claim: &Claim) -> Option<Settled> {
        self.end_in_engine();
        let swept = self.sweep(claim);
        self.follower.seen.bytes = self.attempt.stdout_bytes();
        let why = "the daemon died several times while reading this session's files".to_string();
        let (summary, git) = (Summary::default(), self.start.git.clone());
        let ending = if self.stop.is_some() {
            let stopped = self.ending(None, &summary, "");
            Ending { warnings: vec![why], ..stopped }
        } else {
            let (status, error_type) = (Status::Failed, Some(ErrorType::Interrupted));
            Ending { status, error_type, error: Some(why), warnings: Vec::new() }
        };
        let facts = AttemptFacts { git, ..self.facts(None, summary) };
        self.put_on_record(claim, facts, ending, swept, (NextStep::Report, None), &clock::now())
    }

    /// Removes what the session left in its temporary directory, once no process of it is left.
    pub fn clear_tmp(&self) {
        if let Some(dir) = self.tmp.dir.clone() {
            self.context.leavings.clear(&self.context.store, dir);
        }
    }

    /// Only sweeps, for an attempt whose end is on record: nothing of it may be left when its
    /// answer appears.
    pub fn sweep_only(&self, id: &DispatchId) -> Swept {
        let (processes, settings) = (&self.context.processes, &self.context.settings());
        let end_all = |mark: &Mark| processes.sweep(mark, settings.kill_grace, &settings.spare);
        let mut swept = end_all(&self.mark());
        let told = swept.leftovers.clone();
        // Only the records know the token of an earlier daemon, and the session may have written
        // those.
        if !self.is_below_us {
            let by_name = end_all(&mark_by_name(self.context, id)).leftovers;
            swept
                .leftovers
                .extend(by_name.into_iter().filter(|one| !told.iter().any(|t| t.pid == one.pid)));
        }
        swept
    }

    fn sweep(&self, claim: &Claim) -> Swept {
        let swept = self.sweep_only(&claim.id);
        if !swept.leftovers.is_empty() {
            let names: BTreeSet<String> = swept.leftovers.iter().map(|l| l.name.clone()).collect();
            let (count, names) = (swept.leftovers.len(), names.into_iter().collect());
            let event = AuditEvent::LeftoverProcesses { count, names };
            self.context.audit.tell(claim.id.as_str(), &event);
        }
        swept
    }

    fn judge(&mut self, exit: Option<Exit>) -> (Summary, Ending) {
        let bytes_max = self.context.settings().stdout_bytes_max;
        let mut summary = self.follower.finish(&self.attempt, bytes_max);
        self.read_own_record(&mut summary);
        // The session ended by itself before a look at it could end it.
        let seen = &self.follower.seen;
        if self.stop.is_none()
            && bytes_max.is_some_and(|max| seen.bytes.max(seen.stderr_bytes) > max)
        {
            self.stop = Some(StopCause::OutputLimit);
        }
        // Of an end that we made, its exit code says nothing; nor of an agent that never ran.
        let is_agents = self.stop.is_none()
            && !outcome::launcher_failed(self.launcher.as_ref(), exit, &summary);
        if is_agents && let Some(code) = exit.and_then(|exit| exit.code) {
            self.driver.conclude(&mut summary, code);
        }
        let given_id = &self.start.session_id;
        if summary.session_id.is_none() && self.driver.keeps_session_id() && !given_id.is_empty() {
            summary.session_id = Some(given_id.clone());
        }
        let mut ending = self.ending(exit, &summary, &self.attempt.stderr_tail());
        if let Some(warning) = self.context.self_checks.warning(self.driver, &self.terms)
            && !ending.warnings.iter().any(|known| known == warning)
        {
            ending.warnings.push(warning.into());
        }
        ending.warnings.extend(self.task.warning().filter(|_| self.stop.is_none()));
        let is_wanted = self.terms.confine.confine != Confine::Off;
        let has_wall = self.start.confined.is_some();
        ending.warnings.extend(warnings_of_wall(&summary, has_wall, is_wanted));
        (summary, ending)
    }

    /// What the agent itself wrote down of the session, where that says more than its stream.
    fn read_own_record(&self, summary: &mut Summary) {
        let Some(record) = self.driver.own_record else { return };
        let places = (record.places)(summary, &|name| self.variable(name));
        if let Some(tail) = places.and_then(|places| agent_record::tail(&places)) {
            (record.read)(&tail, summary);
        }
    }

    fn limits(&self) -> StopLimits {
        StopLimits::of(&self.context.settings(), self.launcher.as_ref())
    }

    /// A variable of the session.
    fn variable(&self, name: &str) -> Option<OsString> {
        session_variable(self.context, &self.terms, name)
    }

    fn ending(&self, exit: Option<Exit>, summary: &Summary, stderr_tail: &str) -> Ending {
        classify(&Evidence {
            driver: self.driver,
            stop: self.stop,
            ttl_seconds: self.ttl_seconds,
            limits: &self.limits(),
            launcher: self.launcher.as_ref(),
            exit,
            summary,
            clawvisor_task: &self.task.named,
            stdout_bytes: self.follower.seen.bytes,
            stderr_tail,
        })
    }

    fn git_after(&self, summary: &Summary) -> GitFacts {
        let (dir, before) = (&self.start.dir(), &self.start.git);
        let (now, first) = (clock::now(), &self.start.first);
        let elapsed_ms = now.ms_since(first);
        let look = git::GitProbe {
            // A session that was cut off may have done what its stream does not say.
            may_have_changed: summary.used_tools || summary.result.is_none(),
            used_tools: summary.used_tools,
            since_ms: first.at_ms,
            // If the clock was set meanwhile, the times of files say nothing.
            clock_was_set: now.at_ms.saturating_sub(first.at_ms).abs_diff(elapsed_ms as i64) > 1000,
            timeout: self.context.settings().git_timeout,
            confinement: self.wall.as_ref().map(Wall::for_reading),
        };
        let after = git::after(&self.context.processes, &self.context.store, dir, before, &look);
        after.unwrap_or_else(|| before.clone())
    }
}
