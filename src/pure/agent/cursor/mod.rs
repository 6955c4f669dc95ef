//! Cursor's driver, by its documentation only: <https://cursor.com/docs/cli/headless> and
//! <https://cursor.com/docs/cli/reference/output-format>. No real session was seen.
//!
//! Its command is documented as `agent`, a name that anybody's program may have; so it is looked
//! for under its older one, which its installer still makes. Must not guess a kind of failure where
//! the stream has none: on failure it only exits with another code than 0, with words on stderr.

mod items;
mod stream;

use super::environment::Variables;
use super::permission::allowed_command;
use super::{Checkup, Driver, Failure, Launch, OwnState, SessionRef};
use crate::pure::report::{ERROR_CHARS_MAX, ErrorType};
use crate::pure::text::clip::one_line;

pub const DRIVER: Driver = Driver {
    name: "cursor",
    program: "cursor-agent",
    places: &["~/.local/bin", "~/.cursor/bin", "/usr/local/bin", "/opt/homebrew/bin"],
    named: |_| None,
    variables: Variables { set: &[], withheld: &[], kept: &[] },
    hides_git_identity: false,
    argv,
    reader: || Box::new(stream::CursorReader::default()),
    items: || Box::new(items::CursorItems),
    takes_session_id: false,
    start_lines: 0,
    start_failure,
    exit_failure: |_, _, _| None,
    // What it says of a session that it does not know is not documented.
    session_is_gone: |_, _| false,
    resume_words: |id| ["--resume", id].map(String::from).to_vec(),
    homes: &[],
    own_record: None,
    self_check: None,
    // Its `--mode`; none of them lets it change anything.
    own_state: &[
        OwnState { moved_by: None, usual: ".cursor", is_folder: true },
        OwnState { moved_by: None, usual: ".config/cursor", is_folder: true },
    ],
    mode_when_confined: None,
    permission_modes: &["ask", "plan"],
    ask_nobody: None,
    checkup: Checkup {
        login_files: &[OwnState {
            moved_by: None,
            usual: ".config/cursor/auth.json",
            is_folder: false,
        }],
        login_variables: &["CURSOR_API_KEY"],
        unlisted_options: &[],
    },
    template: None,
};

/// The prompt comes on stdin, as for all agents: no field of a dispatch becomes an argument.
fn argv(launch: &Launch) -> Vec<String> {
    // Without trust it exits at once; in print mode nobody can be asked.
    let mut args =
        ["--print", "--output-format", "stream-json", "--trust"].map(String::from).to_vec();
    let terms = launch.terms;
    // It edits files in the workspace without this, and refuses what needs an approval. There is
    // nothing in between on its command line; rules for single commands stand in its own settings.
    if let Some(mode) = &terms.permission_mode {
        args.extend(["--mode".to_string(), mode.clone()]);
    } else if terms.allow_tools.iter().any(|permission| allowed_command(permission) == Some("")) {
        args.push("--force".to_string());
    }
    if let Some(model) = &terms.model {
        args.extend(["--model".to_string(), model.clone()]);
    }
    args.extend_from_slice(&terms.extra_args);
    // The id of a new session is its own to choose.
    if let SessionRef::Resume(id) = &launch.session {
        args.extend(["--resume".to_string(), id.clone()]);
    }
    args
}

/// Before any event there are only words.
fn start_failure(stderr_tail: &str) -> Option<Failure> {
    let kinds = [
        ("Authentication required", ErrorType::Auth),
        ("Workspace Trust Required", ErrorType::Config),
        ("error: unknown option", ErrorType::Config),
    ];
    let mut lines = stderr_tail.lines();
    lines.find_map(|line| {
        let (_, error_type) = kinds.iter().find(|(words, _)| line.contains(words))?;
        Some(Failure { error_type: *error_type, message: one_line(line, ERROR_CHARS_MAX) })
    })
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
