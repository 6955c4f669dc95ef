//! Claude Code's driver: its arguments, where it is, its environment, and what it says when it
//! cannot start or resume. Its stream is read in `stream`, the meaning of its errors is in
//! `errors`.
//!
//! Written against 2.1.197 and 2.1.330. Must not let words decide where a structured field exists:
//! words are read only where no event came, or where a version has no field for what it says.

mod errors;
mod items;
mod repair;
#[cfg(test)]
mod samples;
mod stream;

use super::environment::Variables;
use super::{Checkup, Driver, Failure, Launch, OwnState, SessionRef, Summary};
use crate::pure::config::terms::Terms;
use crate::pure::report::{ERROR_CHARS_MAX, ErrorType};
use crate::pure::text::clip::one_line;

pub const DRIVER: Driver = Driver {
    name: "claude",
    program: "claude",
    places: &[
        "~/.local/bin",
        "~/.claude/local",
        "~/bin",
        "~/.npm-global/bin",
        "~/.bun/bin",
        "/usr/local/bin",
        "/opt/homebrew/bin",
    ],
    named: |settings| settings.claude.as_deref(),
    variables: VARIABLES,
    hides_git_identity: false,
    argv,
    reader: || Box::new(stream::StreamReader::default()),
    items: || Box::new(items::MessageItems),
    takes_session_id: true,
    start_lines: 0,
    start_failure,
    // Its exit code is 1 for every error, and its result says which.
    exit_failure: |_, _, _| None,
    session_is_gone,
    resume_words: |id| ["--resume", id].map(String::from).to_vec(),
    homes: &["CLAUDE_CONFIG_DIR"],
    own_record: None,
    self_check: None,
    own_state: &[
        OwnState { moved_by: Some(("CLAUDE_CONFIG_DIR", "")), usual: ".claude", is_folder: true },
        OwnState {
            moved_by: Some(("CLAUDE_CONFIG_DIR", ".claude.json")),
            usual: ".claude.json",
            is_folder: false,
        },
    ],
    mode_when_confined: None,
    permission_modes: &[
        "acceptEdits",
        "auto",
        "bypassPermissions",
        "default",
        "dontAsk",
        "manual",
        "plan",
    ],
    ask_nobody: Some(ASK_NOBODY),
    checkup: Checkup {
        login_files: &[OwnState {
            moved_by: Some(("CLAUDE_CONFIG_DIR", ".credentials.json")),
            usual: ".claude/.credentials.json",
            is_folder: false,
        }],
        login_variables: &[
            "ANTHROPIC_API_KEY",
            "ANTHROPIC_AUTH_TOKEN",
            "CLAUDE_CODE_OAUTH_TOKEN",
            "CLAUDE_CODE_USE_BEDROCK",
            "CLAUDE_CODE_USE_VERTEX",
            "CLAUDE_CODE_USE_FOUNDRY",
        ],
        unlisted_options: &["--max-turns"],
    },
    template: None,
};

/// Newer versions know it: what is not allowed is denied at once.
const ASK_NOBODY: &str = "--permission-prompts";

/// Most of what is withheld is set by an outer session for its children (seen with 2.1.330). Other
/// variables break an inner session: `NODE_OPTIONS=--inspect` ends it without a word, `CLAUDECODE`
/// makes some versions refuse to start.
const VARIABLES: Variables = Variables {
    // An agent that nobody watches must not replace itself in the middle of its work.
    set: &[("DISABLE_AUTOUPDATER", "1")],
    withheld: &[
        "CLAUDECODE",
        "CLAUDE_PID",
        "CLAUDE_EFFORT",
        "CLAUDE_SESSION_ID",
        "CLAUDE_CODE_*",
        "AI_AGENT",
        "GIT_EDITOR",
        "COREPACK_ENABLE_AUTO_PIN",
        "NoDefaultCurrentDirectoryInExePath",
        "NODE_OPTIONS",
        "NODE_CHANNEL_FD",
    ],
    kept: &[
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_MAX_RETRIES",
        "CLAUDE_CODE_MAX_OUTPUT_TOKENS",
        "CLAUDE_CODE_TMPDIR",
        "CLAUDE_CODE_SHELL",
        "CLAUDE_CODE_API_KEY_HELPER_TTL_MS",
        "CLAUDE_CODE_SUBAGENT_MODEL",
        "CLAUDE_CODE_USE_*",
        "CLAUDE_CODE_SKIP_*",
        "CLAUDE_CODE_DISABLE_*",
        "CLAUDE_CODE_ENABLE_*",
        "CLAUDE_CODE_CLIENT_*",
        "CLAUDE_CODE_RETRY_*",
    ],
};

/// Claude Code says this when it does not know the session that it should resume.
const NO_SESSION: &str = "No conversation found";

fn argv(launch: &Launch) -> Vec<String> {
    let terms = launch.terms;
    let fixed = [
        "--print",
        "--permission-mode",
        terms.permission_mode.as_deref().unwrap_or("acceptEdits"),
        "--output-format",
        "stream-json",
        // Without it, stream-json is refused.
        "--verbose",
    ];
    let mut args: Vec<String> = fixed.map(String::from).to_vec();
    if terms.can_ask_nobody {
        args.extend([ASK_NOBODY, "none"].map(String::from));
    }
    if !terms.allow_tools.is_empty() {
        // This option takes every argument up to the next option, which is the session's at the
        // latest.
        args.push("--allowedTools".to_string());
        args.extend_from_slice(&terms.allow_tools);
    }
    let mut set = |option: &str, value: Option<String>| {
        args.extend(value.into_iter().flat_map(|value| [option.to_string(), value]));
    };
    set("--model", terms.model.clone());
    set("--max-turns", terms.max_turns.map(|turns| turns.to_string()));
    set("--max-budget-usd", terms.max_budget_usd.map(|usd| usd.to_string()));
    set("--setting-sources", setting_sources(terms));
    if terms.strict {
        args.push("--strict-mcp-config".to_string());
    }
    args.extend_from_slice(&terms.extra_args);
    let (option, id) = match &launch.session {
        SessionRef::New(id) => ("--session-id", id),
        SessionRef::Resume(id) => ("--resume", id),
    };
    args.extend([option.to_string(), id.clone()]);
    args
}

/// Where settings may come from. Headless, Claude Code runs the hooks that a repository brings
/// along without asking anybody; under `strict` only the user's own settings stay.
fn setting_sources(terms: &Terms) -> Option<String> {
    let is_trusted = |source: &&String| !terms.strict || *source == "user";
    let sources: Vec<&str> =
        terms.setting_sources.iter().filter(is_trusted).map(String::as_str).collect();
    match (sources.is_empty(), terms.strict) {
        (false, _) => Some(sources.join(",")),
        (true, true) => Some("user".to_string()),
        (true, false) => None,
    }
}

/// Why a session did not start: a bad option, session id or prompt; root with bypassPermissions; a
/// session within a session. API errors never come this way.
fn start_failure(stderr_tail: &str) -> Option<Failure> {
    let is_start_error = |line: &&str| {
        let line = line.trim_start();
        line.get(..6).is_some_and(|begin| begin.eq_ignore_ascii_case("error:"))
            || line.starts_with(NO_SESSION)
            || line.contains("cannot be used with root/sudo privileges")
            || line.contains("cannot be launched inside another Claude Code session")
    };
    let line = stderr_tail.lines().find(is_start_error)?;
    let message = one_line(line, ERROR_CHARS_MAX);
    Some(Failure { error_type: ErrorType::Config, message })
}

/// A result says this; older versions say it only on stderr.
fn session_is_gone(summary: &Summary, error: &str) -> bool {
    match &summary.result {
        Some(result) => result.failure.as_ref().is_some_and(|failure| {
            failure.error_type == ErrorType::ToolFailure && failure.message.contains(NO_SESSION)
        }),
        None => summary.lines == 0 && error.contains(NO_SESSION),
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
