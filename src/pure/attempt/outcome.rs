//! How a session ended: one function of what we did, what its stream said and how its process
//! exited.
//!
//! Owns the order of evidence; each agent's driver owns the meaning of its words. Must not guess
//! our own actions from an exit status: an agent that we ended exits 0, 1, 143 or by signal, and so
//! does one that we did not. Exit 0 is no success without a result event, and words on stderr name
//! a cause only where no event can exist.

use super::limits::{StopCause, StopLimits, has_begun};
use super::warnings::{count, warnings_of_stream};
use crate::pure::agent::{Driver, Failure, ResultEvent, Summary};
use crate::pure::config::launcher::Launcher;
use crate::pure::gate::clawvisor::TaskEnd;
use crate::pure::report::{ERROR_CHARS_MAX, ErrorType, Status};
use crate::pure::text::clip::one_line;
use serde::{Deserialize, Serialize};

const STDERR_LINE_CHARS_MAX: usize = 200;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    pub code: Option<i32>,
    pub signal: Option<i32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ending {
    pub status: Status,
    pub error_type: Option<ErrorType>,
    /// The error is one line of at most [`ERROR_CHARS_MAX`] characters.
    pub error: Option<String>,
    pub warnings: Vec<String>,
}

pub struct Evidence<'a> {
    pub driver: &'static Driver,
    pub stop: Option<StopCause>,
    pub ttl_seconds: u64,
    pub limits: &'a StopLimits,
    /// What started the agent, if the daemon did not. It writes to the same stderr, which is then
    /// no evidence of the agent.
    pub launcher: Option<&'a Launcher>,
    /// `None`: we did not see it (an adopted session).
    pub exit: Option<Exit>,
    pub summary: &'a Summary,
    /// The task of Clawvisor that lets it run; empty if none does.
    pub clawvisor_task: &'a str,
    pub stdout_bytes: u64,
    pub stderr_tail: &'a str,
}

pub fn classify(e: &Evidence) -> Ending {
    // A result stands, whatever our signal made of the exit after it.
    let may_have_answered = matches!(e.stop, Some(StopCause::ResultGrace | StopCause::Unanswered));
    let had_answered = may_have_answered && e.summary.result.is_some();
    if let Some(stop) = e.stop.filter(|_| !had_answered) {
        return stopped(e, stop);
    }
    let mut ending = match &e.summary.result {
        None => without_result(e),
        Some(ResultEvent { failure: Some(failure), .. }) => {
            failed_as(&by_exit(e).unwrap_or_else(|| failure.clone()))
        }
        Some(ResultEvent { failure: None, .. }) => succeeded(e),
    };
    if had_answered && e.stop == Some(StopCause::ResultGrace) {
        let (agent, grace) = (e.driver.name, seconds(e.limits.result_grace_ms));
        let warning = format!("{agent} did not exit within {grace} of its result, and was ended");
        ending.warnings.push(warning);
    }
    ending.warnings.extend(warnings_of_stream(e.summary));
    ending
}

fn stopped(e: &Evidence, stop: StopCause) -> Ending {
    let (status, error_type, error) = match stop {
        StopCause::Ttl => {
            let error = format!("timed out after {} seconds{}", e.ttl_seconds, last_retry(e));
            (Status::Timeout, ErrorType::Timeout, error)
        }
        StopCause::Cancelled => {
            (Status::Cancelled, ErrorType::Cancelled, "cancelled while it ran".to_string())
        }
        StopCause::TaskRevoked | StopCause::TaskDenied | StopCause::TaskCancelled => {
            let status = stop.task_end().map_or("", TaskEnd::name);
            let error = format!("clawvisor task {} is {status}", e.clawvisor_task);
            (Status::Cancelled, ErrorType::NotAuthorized, error)
        }
        StopCause::Shutdown => {
            let error = "ended because the daemon was shut down".to_string();
            (Status::Cancelled, ErrorType::Shutdown, error)
        }
        StopCause::Stalled => {
            let span = seconds(e.limits.stall_ms);
            let error = format!("ended: no output and no work for {span}{}", last_retry(e));
            (Status::Failed, ErrorType::Stalled, error)
        }
        StopCause::StartTimeout => {
            let span = seconds(e.limits.start_ms);
            let error = format!("ended: nothing on its stream within {span} of its start");
            (Status::Failed, ErrorType::StartTimeout, error)
        }
        // Somewhere between the agent and its model something hangs, as when a connection breaks.
        StopCause::Unanswered => {
            let span = seconds(e.limits.first_answer_ms);
            let error = format!("ended: no word of its model for {span}{}", last_retry(e));
            (Status::Failed, ErrorType::ToolFailure, error)
        }
        StopCause::OutputLimit => {
            let bytes_max = e.limits.stdout_bytes_max.unwrap_or_default();
            let stream = if e.stdout_bytes > bytes_max { "stdout" } else { "stderr" };
            let megabytes = bytes_max as f64 / 1e6;
            let error = format!("ended: it wrote more than {megabytes} MB on {stream}");
            (Status::Failed, ErrorType::OutputLimit, error)
        }
        StopCause::TmpLimit => {
            let megabytes = e.limits.tmp_bytes_max.unwrap_or_default() as f64 / 1e6;
            let error = format!("ended: its TMPDIR took up more than {megabytes} MB");
            (Status::Failed, ErrorType::OutputLimit, error)
        }
        StopCause::QueueTimeout => {
            let span = seconds(e.limits.queue_ms);
            let error =
                format!("ended: its engine let it wait for {span} without a sign of the agent");
            (Status::Failed, ErrorType::QueueTimeout, error)
        }
        StopCause::ResultGrace => {
            let error = "ended after a result that is not there any more".to_string();
            (Status::Failed, ErrorType::ToolFailure, error)
        }
    };
    // Nothing is said about broken lines: our own signal cut the last one.
    let had_succeeded = e.summary.result.as_ref().is_some_and(|result| result.failure.is_none());
    let warnings = if had_succeeded {
        vec!["the session had reported success before it was ended".to_string()]
    } else {
        Vec::new()
    };
    let error = Some(one_line(&error, ERROR_CHARS_MAX));
    Ending { status, error_type: Some(error_type), error, warnings }
}

fn without_result(e: &Evidence) -> Ending {
    let agent = e.driver.name;
    let Some(exit) = known(e.exit) else {
        let why = if e.driver.may_be_silent() && e.summary.last_text.is_some() {
            // Half an answer looks like a whole one.
            ": only its exit code says whether what it wrote is its answer, and nobody saw that"
        } else {
            ", without a result"
        };
        let error = format!("{agent} ended unseen{why}{}", last_retry(e));
        return failed(ErrorType::Interrupted, &error);
    };
    if launcher_failed(e.launcher, e.exit, e.summary) {
        let (how, stderr) = (exit_in_words(exit), stderr_line(e));
        let error = format!("the launcher failed ({how}): the agent never ran{stderr}");
        return failed(ErrorType::SpawnFailed, &error);
    }
    let may_be_start = e.stdout_bytes == 0 || (1..=e.driver.start_lines).contains(&e.summary.lines);
    let is_start = may_be_start && e.launcher.is_none() && exit.code.is_some_and(|code| code != 0);
    if is_start && let Some(failure) = (e.driver.start_failure)(e.stderr_tail) {
        return failed_as(&failure);
    }
    if let Some(failure) = by_exit(e) {
        return failed_as(&failure);
    }
    let error = format!(
        "{agent} ended without a result ({}){}{}",
        exit_in_words(exit),
        last_retry(e),
        stderr_line(e)
    );
    failed(ErrorType::ToolFailure, &error)
}

/// The first line on stderr, for people to read.
fn stderr_line(e: &Evidence) -> String {
    let mut lines = e.stderr_tail.lines().map(|line| one_line(line, STDERR_LINE_CHARS_MAX));
    let line = lines.find(|line| !line.is_empty());
    line.map(|line| format!("; stderr: {line}")).unwrap_or_default()
}

/// Whether the exit code says that the launcher failed, and nothing says that the agent ran.
pub fn launcher_failed(launcher: Option<&Launcher>, exit: Option<Exit>, summary: &Summary) -> bool {
    let code = exit.and_then(|exit| exit.code);
    let is_named = |launcher: &Launcher, code| launcher.fail_codes.contains(&code);
    let is_fail_code = launcher.zip(code).is_some_and(|(launcher, code)| is_named(launcher, code));
    is_fail_code && !has_begun(summary)
}

/// What the agent's driver makes of the exit code.
fn by_exit(e: &Evidence) -> Option<Failure> {
    let stderr_tail = if e.launcher.is_none() { e.stderr_tail } else { "" };
    (e.driver.exit_failure)(e.summary, known(e.exit)?.code?, stderr_tail)
}

/// The ending of a session with a good result. It counts even if the process did not exit cleanly
/// afterwards, unless work was still going on.
fn succeeded(e: &Evidence) -> Ending {
    let exit = known(e.exit);
    let tasks = e.summary.outstanding_tasks;
    let work = if e.summary.working_after_result {
        Some("another turn was running".to_string())
    } else {
        (tasks > 0).then(|| format!("{} outstanding", count(tasks, "background task was")))
    };
    let how = exit.map_or("end not seen".to_string(), exit_in_words);
    if let Some(work) = work.as_ref().filter(|_| died(exit)) {
        let error = format!("{} ended after a result, but {work} ({how})", e.driver.name);
        let error_type =
            if exit.is_none() { ErrorType::Interrupted } else { ErrorType::ToolFailure };
        return failed(error_type, &error);
    }
    let mut warnings = Vec::new();
    if e.stop.is_none() && exit.is_some_and(|exit| exit.code != Some(0)) {
        warnings.push(format!("{} did not exit cleanly after its result ({how})", e.driver.name));
    }
    if let Some(work) = work {
        warnings.push(format!("{work} when the session ended"));
    }
    if let Some(error) = &e.summary.assistant_error {
        warnings.push(format!("the last message before the result was an error ({error})"));
    }
    Ending { status: Status::Completed, error_type: None, error: None, warnings }
}

/// What came of an engine's own command that ends a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EngineEnd {
    Done,
    /// It said no, in these words. After a clean end it may only mean that nothing was left.
    Refused(String),
    TimedOut,
    /// It could not be run, for this reason.
    NotRun(String),
}

/// The warning if a session may have left something in its engine. `is_clean`: it ended by itself,
/// with a result. `end`: `None` if no command was to be run.
pub fn warning_of_engine(
    launcher: &Launcher,
    end: Option<&EngineEnd>,
    is_clean: bool,
) -> Option<String> {
    let program = launcher.kill.as_ref().and_then(|kill| kill.first());
    let why = match (end, program) {
        (None, None) if launcher.kill.is_none() => "launcher_kill is not set".to_string(),
        (None, _) | (Some(EngineEnd::Done), _) => return None,
        (Some(EngineEnd::Refused(_)), _) if is_clean => return None,
        (Some(EngineEnd::Refused(why) | EngineEnd::NotRun(why)), program) => {
            format!("launcher_kill ({}) failed: {why}", program.map_or("", String::as_str))
        }
        (Some(EngineEnd::TimedOut), program) => {
            format!("launcher_kill ({}) took too long", program.map_or("", String::as_str))
        }
    };
    Some(format!("whether anything is left in the launcher's engine is not known: {why}"))
}

/// How a project's acceptance command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    pub exit: Option<Exit>,
    pub timed_out: bool,
    /// The command could not be started, or was ended for something else.
    pub error: Option<String>,
}

/// The ending of a session that did well, after its check: only a check that exits with 0 passes.
pub fn after_check(ending: Ending, checked: &Checked, timeout_seconds: f64) -> Ending {
    let why = match (&checked.error, checked.exit) {
        (Some(error), _) => error.clone(),
        (None, _) if checked.timed_out => format!("it took over {timeout_seconds} seconds"),
        (None, Some(Exit { code: Some(0), signal: None })) => return ending,
        (None, exit) => exit_in_words(exit.unwrap_or_default()),
    };
    let error = format!("the acceptance command did not pass: {why}");
    Ending { warnings: ending.warnings, ..failed(ErrorType::VerifyFailed, &error) }
}

/// The ending where a cancel, the daemon's end or Clawvisor's word cut off the check, and the
/// dispatch with it.
pub fn cut_check(ending: Ending, cause: StopCause, clawvisor_task: &str) -> Ending {
    let (error_type, why) = match (cause, cause.task_end()) {
        (StopCause::Cancelled, _) => (ErrorType::Cancelled, "cancelled".to_string()),
        (_, Some(end)) => {
            let why = format!("clawvisor task {clawvisor_task} is {}", end.name());
            (ErrorType::NotAuthorized, why)
        }
        (_, None) => (ErrorType::Shutdown, "the daemon was shut down".to_string()),
    };
    let error = format!("{why} while the finished work was verified");
    let failed = failed(error_type, &error);
    Ending { status: Status::Cancelled, warnings: ending.warnings, ..failed }
}

fn failed_as(failure: &Failure) -> Ending {
    failed(failure.error_type, &failure.message)
}

fn failed(error_type: ErrorType, error: &str) -> Ending {
    Ending {
        status: Status::Failed,
        error_type: Some(error_type),
        error: Some(one_line(error, ERROR_CHARS_MAX)),
        warnings: Vec::new(),
    }
}

/// An exit that has neither code nor signal says nothing.
fn known(exit: Option<Exit>) -> Option<Exit> {
    exit.filter(|exit| exit.code.is_some() || exit.signal.is_some())
}

/// Whether the agent died: by a signal, even one that it caught and passed on as 128 + n, or in a
/// way that nobody knows.
fn died(exit: Option<Exit>) -> bool {
    exit.is_none_or(|exit| exit.signal.is_some() || exit.code.is_some_and(|code| code > 128))
}

fn seconds(ms: Option<i64>) -> String {
    format!("{} seconds", ms.unwrap_or_default() as f64 / 1000.0)
}

/// The exit as a report words it.
pub fn exit_in_words(exit: Exit) -> String {
    match (exit.signal, exit.code) {
        (Some(signal), _) => format!("killed by signal {signal}"),
        (None, Some(code)) => format!("exit code {code}"),
        (None, None) => "exit unknown".to_string(),
    }
}

fn last_retry(e: &Evidence) -> String {
    let Some(retry) = &e.summary.api_retry else {
        let last = e.summary.last_error.as_ref();
        return last.map(|error| format!("; its last error: {error}")).unwrap_or_default();
    };
    let status = retry.error_status.map(|status| format!(" {status}")).unwrap_or_default();
    let error = retry.error.as_deref().unwrap_or("an error");
    format!("; it was repeating an API request after {error}{status} (attempt {})", retry.attempt)
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
