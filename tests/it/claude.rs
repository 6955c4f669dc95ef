//! The real Claude Code, driven by the real daemon, against a Messages API of our own (`api.rs`) on
//! 127.0.0.1.
//!
//! Every scenario runs with each pinned version of the CLI, which `tests/claude-cli.sh` installs
//! once; where it cannot be had, the tests say SKIPPED: on stderr, and in a file that `make test`
//! shows. `latest` runs only when it is asked for. Each session has a scratch home and a dummy key,
//! and talks to nothing but its test.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Condvar, Mutex, Once, OnceLock};
use std::time::Duration;

use serde_json::Value;

use crate::api::Api;
use crate::util::*;

mod confined;
mod outcome;
mod processes;

use confined::*;
use outcome::*;
use processes::*;

/// A real session takes about a second, and more on a loaded machine. Only failures wait for this.
const SESSION_MAX: Duration = Duration::from_secs(60);
/// A session needs a whole core and 300 MB while it starts.
const SESSIONS_AT_ONCE: usize = 4;

macro_rules! test_of {
    ([$($attribute:tt)*] $version:literal $scenario:ident) => {
        #[test]
        $($attribute)*
        fn $scenario() {
            super::with_cli($version, super::$scenario);
        }
    };
}

macro_rules! scenarios {
    (@ $module:ident $version:literal $attributes:tt $($scenario:ident)*) => {
        mod $module {
            $(test_of! { $attributes $version $scenario })*
        }
    };
    ($($scenario:ident)*) => {
        scenarios! { @ v2_1_197 "2.1.197" [] $($scenario)* }
        scenarios! { @ v2_1_330 "2.1.330" [] $($scenario)* }
        scenarios! { @ latest "latest" [#[ignore = "the newest release: make test-latest"]] $($scenario)* }
    };
}

scenarios! {
    a_task_that_writes_a_file
    a_task_that_is_denied_its_tools
    a_task_that_may_use_bash_commits
    an_untrusted_project_whose_hooks_do_not_run
    a_rate_limit_that_passes
    a_rate_limit_that_ends_the_session_which_is_then_resumed
    a_prompt_that_is_too_long_with_learnings
    a_prompt_that_is_too_long_without_learnings
    a_refusal
    an_authentication_failure
    a_connection_that_is_reset
    a_connection_that_is_reset_after_some_work
    other_failures_of_the_api
    a_task_that_starts_with_a_dash
    a_task_of_300_kb
    a_command_in_the_background
    two_sessions_at_once
    a_session_cut_at_its_ttl_while_its_tool_has_children
    a_session_that_ends_well_and_leaves_a_child
    a_running_session_is_adopted
    a_running_session_does_not_notice_an_upgrade
    a_running_session_is_cancelled
    a_confined_task_commits_and_reaches_nothing_else
    a_confined_session_is_resumed_after_a_failure
    a_session_whose_api_never_answers
    the_line_of_the_report_goes_on_with_the_session
}

// ----------------------------------------------------------------------------------------- the CLI

/// Runs a scenario with that version; says so where there is none.
fn with_cli(version: &'static str, scenario: fn(&Path)) {
    let Some(program) = program(version) else { return };
    let _turn = Turn::take();
    scenario(&program);
}

/// The CLI's program. None: it cannot be had here, and that was said aloud.
fn program(version: &'static str) -> Option<PathBuf> {
    static FOUND: [OnceLock<Result<PathBuf, String>>; 3] = [const { OnceLock::new() }; 3];
    let place = ["2.1.197", "2.1.330", "latest"].iter().position(|known| *known == version);
    let found = FOUND[place.expect("a known version")].get_or_init(|| {
        let found = install(version);
        found.inspect_err(|why| note_skipped(&format!("Claude Code {version}"), why))
    });
    let shout = |why: &String| {
        // Past the capturing of a passed test's output.
        let test = std::thread::current().name().unwrap_or("a test").to_string();
        let _ = writeln!(io::stderr(), "SKIPPED: {test}: {why}");
    };
    found.as_ref().inspect_err(|why| shout(why)).ok().cloned()
}

/// The error says why the tests of this version are skipped. What is broken is no reason to skip
/// anything.
fn install(version: &str) -> Result<PathBuf, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/claude-cli.sh");
    let run = Command::new(script).arg(version).output().expect("run tests/claude-cli.sh");
    let said = String::from_utf8_lossy(&run.stderr).trim().to_string();
    match run.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&run.stdout).trim().into()),
        Some(77) => Err(said.trim_start_matches("SKIPPED: ").to_string()),
        _ => panic!("tests/claude-cli.sh {version}: {}: {said}", run.status),
    }
}

/// For `make test`, which shows this file at its end.
pub fn note_skipped(program: &str, why: &str) {
    static FIRST: Once = Once::new();
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped.txt");
    FIRST.call_once(|| drop(fs::remove_file(&path))); // of an earlier run
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let line = format!("SKIPPED: all tests with {program}: {why}\n");
    file.and_then(|mut file| file.write_all(line.as_bytes())).expect("write skipped.txt");
}

/// The right to run a session.
struct Turn;

static TURNS: (Mutex<usize>, Condvar) = (Mutex::new(SESSIONS_AT_ONCE), Condvar::new());

impl Turn {
    fn take() -> Turn {
        let free = TURNS.0.lock().expect("the turns");
        *TURNS.1.wait_while(free, |free| *free == 0).expect("the turns") -= 1;
        Turn
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *TURNS.0.lock().expect("the turns") += 1;
        TURNS.1.notify_one();
    }
}

// ------------------------------------------------------------------------------- daemon and report

/// A daemon whose agent is the real one, and whose sessions ask our API.
fn daemon<'a>(lab: &'a Lab, api: &Api, program: &Path) -> Start<'a> {
    let temporary = lab.path("tmp");
    fs::create_dir_all(&temporary).expect("create the session's temporary directory");
    lab.daemon()
        .set("--claude", program.display())
        .set("--max-concurrent", 1)
        .set("--kill-grace", 2)
        .set("--rate-limit-backoff", 0.2)
        .env("ANTHROPIC_BASE_URL", api.url())
        .env("ANTHROPIC_API_KEY", "sk-ant-api03-dummy")
        .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", 1)
        .env("TMPDIR", temporary.display())
}

/// The same without the CLI's own retries.
fn impatient_daemon<'a>(lab: &'a Lab, api: &Api, program: &Path) -> Start<'a> {
    daemon(lab, api, program).env("CLAUDE_CODE_MAX_RETRIES", 0)
}

/// Waits for the report and checks it as all are; it must have that status.
fn report(lab: &Lab, name: &str, status: &str) -> Value {
    let path = lab.report_path(name);
    wait_until(&format!("the report of {name}"), SESSION_MAX, || path.exists());
    let report = lab.settled(name);
    assert_eq!(report["status"], status, "{report:#}");
    assert_eq!(report["retry_count"], attempts(&report).len() - 1, "{report:#}");
    report
}

fn completed(lab: &Lab, name: &str) -> Value {
    report(lab, name, "completed")
}

fn failed(lab: &Lab, name: &str, error_type: &str) -> Value {
    let report = report(lab, name, "failed");
    assert_eq!(report["error_type"], error_type, "{report:#}");
    report
}

fn attempts(report: &Value) -> &[Value] {
    report["attempts"].as_array().map_or(&[], Vec::as_slice)
}

/// The agent's stream of an answered dispatch.
fn stream(lab: &Lab, name: &str, attempt: usize) -> String {
    text_file(lab.finished(name).join(format!("attempt-{attempt}/stdout.jsonl")))
}
