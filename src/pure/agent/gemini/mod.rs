//! Gemini CLI's driver: its arguments, where it is, its environment, what its exit code adds to its
//! words. Its stream is read in `stream`, the meaning of its errors is in `errors`.
//!
//! Written against 0.61.0, whose behaviour was measured on the real program. Must not take an exit
//! code for a success: it exits with 0 after SIGTERM, and after a loop that it cut. It reads the
//! prompt from a file on stdin; on a pipe without data it gives up after a second.

mod errors;
mod items;
mod stream;

use super::environment::Variables;
use super::permission::allowed_command;
use super::{Checkup, Driver, Launch, OwnState, SessionRef, Summary};

pub const DRIVER: Driver = Driver {
    name: "gemini",
    program: "gemini",
    places: &[
        "~/.local/bin",
        "~/.npm-global/bin",
        "~/.bun/bin",
        "/usr/local/bin",
        "/opt/homebrew/bin",
    ],
    named: |_| None,
    variables: VARIABLES,
    hides_git_identity: true,
    argv,
    reader: || Box::new(stream::EventReader::default()),
    items: || Box::new(items::EventItems::default()),
    takes_session_id: true,
    start_lines: 0,
    start_failure: |_| None,
    exit_failure: errors::exit_failure,
    session_is_gone,
    resume_words: |id| ["--resume", id].map(String::from).to_vec(),
    homes: &["GEMINI_CLI_HOME"],
    own_record: None,
    self_check: None,
    own_state: &[OwnState {
        moved_by: Some(("GEMINI_CLI_HOME", ".gemini")),
        usual: ".gemini",
        is_folder: true,
    }],
    mode_when_confined: None,
    permission_modes: &[AUTO_EDIT, "default", "plan", "yolo"],
    ask_nobody: None,
    checkup: Checkup {
        login_files: &[OwnState {
            moved_by: Some(("GEMINI_CLI_HOME", ".gemini/oauth_creds.json")),
            usual: ".gemini/oauth_creds.json",
            is_folder: false,
        }],
        login_variables: &[
            "GEMINI_API_KEY",
            "GOOGLE_API_KEY",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GOOGLE_GENAI_USE_VERTEXAI",
            "GOOGLE_GENAI_USE_GCA",
        ],
        unlisted_options: &[],
    },
    template: None,
};

/// It edits files and runs no commands but those that are allowed.
const AUTO_EDIT: &str = "auto_edit";

const VARIABLES: Variables = Variables {
    // Without it a launcher process stands above the agent and swallows SIGTERM.
    set: &[("GEMINI_CLI_NO_RELAUNCH", "1")],
    // It tells this to its own shell commands.
    withheld: &["GEMINI_CLI"],
    kept: &[],
};

/// The tool that runs commands; `auto_edit` has none but for those that are allowed by name.
const SHELL: &str = "run_shell_command";

fn argv(launch: &Launch) -> Vec<String> {
    let terms = launch.terms;
    let fixed = [
        "--output-format",
        "stream-json",
        // In a folder that is not trusted it exits with 55. With this it starts all the same, and
        // runs no hooks and servers of the repository.
        "--skip-trust",
        "--approval-mode",
        terms.permission_mode.as_deref().unwrap_or(AUTO_EDIT),
    ];
    let mut args: Vec<String> = fixed.map(String::from).to_vec();
    for tool in terms.allow_tools.iter().filter_map(|permission| shell_tool(permission)) {
        args.extend(["--allowed-tools".to_string(), tool]);
    }
    if let Some(model) = &terms.model {
        args.extend(["--model".to_string(), model.clone()]);
    }
    args.extend_from_slice(&terms.extra_args);
    let (option, id) = match &launch.session {
        SessionRef::New(id) => ("--session-id", id),
        SessionRef::Resume(id) => ("--resume", id),
    };
    args.extend([option.to_string(), id.clone()]);
    args
}

/// What allows the same commands here as a permission of Claude Code does there. A comma would
/// split it, and a pattern that is no beginning has no counterpart: those are left out.
fn shell_tool(permission: &str) -> Option<String> {
    if permission.contains(',') {
        return None;
    }
    match allowed_command(permission) {
        Some("") => Some(SHELL.to_string()),
        Some(command) => Some(format!("{SHELL}({command})")),
        None => permission.starts_with(SHELL).then(|| permission.to_string()),
    }
}

/// It says so on stderr, with exit code 42 and before any event.
fn session_is_gone(summary: &Summary, error: &str) -> bool {
    summary.lines == 0 && error.contains(errors::NO_SESSION)
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
