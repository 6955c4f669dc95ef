//! Codex's driver: its arguments, where it is, its environment, what it says when it cannot start
//! or resume. Its stream is read in `stream`, its own record of a session in `rollout`, and the
//! meaning of its errors is in `errors`.
//!
//! Written against 0.169.0. Must not let `error` lines decide: most of them tell of a reconnection.
//! Tools and limits that are set for Claude Code mean nothing to it and become no argument.

mod errors;
mod items;
mod rollout;
#[cfg(test)]
mod samples;
mod stream;

use super::environment::Variables;
use super::{
    Checkup, Driver, Failure, Launch, OwnRecord, OwnState, SelfCheck, SessionRef, Summary,
};
use crate::pure::report::{ERROR_CHARS_MAX, ErrorType};
use crate::pure::text::clip::one_line;

pub const DRIVER: Driver = Driver {
    name: "codex",
    program: "codex",
    places: &[
        "~/.local/bin",
        "~/bin",
        "~/.npm-global/bin",
        "~/.bun/bin",
        "/usr/local/bin",
        "/opt/homebrew/bin",
    ],
    named: |_| None,
    variables: VARIABLES,
    hides_git_identity: false,
    argv,
    reader: || Box::new(stream::ThreadReader::default()),
    items: || Box::new(items::ThreadItems::default()),
    takes_session_id: false,
    // It tells the thread's id before it looks at the prompt.
    start_lines: 1,
    start_failure,
    exit_failure: |_, _, _| None,
    session_is_gone,
    resume_words: |id| ["resume", id].map(String::from).to_vec(),
    homes: &["CODEX_HOME"],
    own_record: Some(OwnRecord { places: rollout::places, read: rollout::read }),
    self_check: Some(SelfCheck {
        arguments: &["sandbox", "--", "true"],
        warning: NO_SANDBOX,
        unneeded_in: &[NO_WALLS],
    }),
    own_state: &[OwnState { moved_by: Some(("CODEX_HOME", "")), usual: ".codex", is_folder: true }],
    mode_when_confined: Some(NO_WALLS),
    permission_modes: &[NO_WALLS, "read-only", WORKSPACE],
    ask_nobody: None,
    checkup: Checkup {
        login_files: &[OwnState {
            moved_by: Some(("CODEX_HOME", "auth.json")),
            usual: ".codex/auth.json",
            is_folder: false,
        }],
        login_variables: &["CODEX_API_KEY", "OPENAI_API_KEY"],
        unlisted_options: &[],
    },
    template: None,
};

/// Its sandbox modes, which is what it has of permissions.
const WORKSPACE: &str = "workspace-write";
const NO_WALLS: &str = "danger-full-access";

/// A session sets these for its commands (seen with 0.169.0). `OPENAI_…` stays: it is no setting
/// of this agent, and a project may need it.
const VARIABLES: Variables = Variables {
    set: &[],
    withheld: &[
        "CODEX_CI",
        "CODEX_THREAD_ID",
        "CODEX_SESSION_ID",
        "CODEX_TOOL_CALL_ID",
        "CODEX_SANDBOX",
        "CODEX_SANDBOX_NETWORK_DISABLED",
        "CODEX_MANAGED_*",
        "CODEX_VERSION",
    ],
    kept: &[],
};

/// Without user namespaces its turn still "completes".
const NO_SANDBOX: &str =
    "codex cannot run commands or change files here: its sandbox needs user namespaces";

/// How it says that it does not know the thread that it should resume.
const NO_THREAD: &str = "no rollout found for thread id";

/// The options of `exec` stand before `resume`: behind it `-s` is refused, and a thread does not
/// remember its sandbox.
fn argv(launch: &Launch) -> Vec<String> {
    let terms = launch.terms;
    let sandbox = terms.permission_mode.as_deref().unwrap_or(WORKSPACE);
    let fixed = ["exec", "--json", "--skip-git-repo-check", "-s", sandbox];
    let mut args: Vec<String> = fixed.map(String::from).to_vec();
    // `.git` is read-only in this sandbox, so that without them nothing can be committed.
    if sandbox == WORKSPACE {
        args.extend((launch.git_dirs)().into_iter().flat_map(|dir| ["--add-dir".to_string(), dir]));
    }
    if let Some(model) = &terms.model {
        args.extend(["-m".to_string(), model.clone()]);
    }
    args.extend_from_slice(&terms.extra_args);
    if let SessionRef::Resume(id) = &launch.session {
        args.extend(["resume".to_string(), id.clone()]);
    }
    // The prompt comes on stdin.
    args.push("-".to_string());
    args
}

/// A bad option, configuration, home or session id. API errors never come this way.
fn start_failure(stderr_tail: &str) -> Option<Failure> {
    let line = stderr_tail.lines().map(str::trim_start).find(|line| {
        let begins = |word: &str| {
            line.get(..word.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(word))
        };
        begins("error:") || begins("error ") || begins("no prompt provided")
    })?;
    let error_type = if line.contains("exceeds the maximum length") {
        ErrorType::ContextOverflow
    } else if line.contains("already has an active writer") {
        ErrorType::ToolFailure
    } else {
        ErrorType::Config
    };
    Some(Failure { error_type, message: one_line(line, ERROR_CHARS_MAX) })
}

/// Said on stderr alone.
fn session_is_gone(summary: &Summary, error: &str) -> bool {
    summary.result.is_none() && summary.lines == 0 && error.contains(NO_THREAD)
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
