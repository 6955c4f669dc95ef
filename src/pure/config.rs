//! Every setting: one row each, which gives its flag, its environment variable, its key in
//! `config.json` and its line in `--help`. Precedence: flags, then environment, then `config.json`,
//! then the defaults here.
//!
//! All durations and limits that a user may need to change live in [`Settings`]; what can never
//! sensibly change is a constant beside the code that it protects. Values come in as JSON (a flag
//! is a JSON string), so that one setter serves all three sources.

pub mod changes;
pub mod projects;
mod settings;
mod sources;
mod values;

use serde_json::Value;

pub use settings::{OnInterrupt, OnShutdown, Settings};
pub use sources::{Variable, apply_config, apply_environment};
use values::*;

use super::nearest::nearest;

/// One setting. `key` is its name in `config.json`; see [`Setting::flag`] and [`Setting::variable`]
/// for the other two.
pub struct Setting {
    pub key: &'static str,
    /// What `--help` shows for the value; empty: the flag takes none.
    pub value: &'static str,
    pub help: &'static str,
    pub default: &'static str,
    pub reload: Reload,
    set: fn(&mut Settings, &Value) -> Result<(), String>,
    is_same: fn(&Settings, &Settings) -> bool,
    copy: fn(&mut Settings, &Settings),
}

/// What becomes of a setting that is changed while the daemon runs (SIGHUP).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    Live,
    /// Slots, places and the lock are made once, at the start.
    Restart,
}

impl Setting {
    /// `max_concurrent` → `--max-concurrent`; the unit is left out: `drain_timeout_seconds` →
    /// `--drain-timeout`.
    pub fn flag(&self) -> String {
        let short = self.key.strip_suffix("_seconds").unwrap_or(self.key);
        format!("--{}", short.replace('_', "-"))
    }

    /// `GSTACK_DISPATCHD_MAX_CONCURRENT`
    pub fn variable(&self) -> String {
        format!("{VARIABLE_PREFIX}{}", self.key.to_uppercase())
    }

    pub fn apply(&self, settings: &mut Settings, value: &Value) -> Result<(), String> {
        (self.set)(settings, value)?;
        settings.written.insert(self.key, value.clone());
        Ok(())
    }
}

pub const VARIABLE_PREFIX: &str = "GSTACK_DISPATCHD_";

macro_rules! setting {
    ($key:literal, $value:literal, $default:literal, $help:literal, $field:ident = $read:expr) => {
        setting!($key, $value, $default, $help, $field = $read, Live)
    };
    ($key:literal, $value:literal, $default:literal, $help:literal, $field:ident = $read:expr, $reload:ident) => {
        Setting {
            key: $key,
            value: $value,
            default: $default,
            help: $help,
            reload: Reload::$reload,
            set: |settings, value| {
                settings.$field = $read(value)?;
                Ok(())
            },
            is_same: |one, other| one.$field == other.$field,
            copy: |to, from| to.$field = from.$field.clone(),
        }
    };
}

pub static SETTINGS: &[Setting] = &[
    setting!(
        "max_concurrent",
        "N",
        "2",
        "sessions at once",
        max_concurrent = at_least_one,
        Restart
    ),
    setting!(
        "max_per_project",
        "N",
        "1",
        "sessions at once in one project (git repository), 0 = no limit",
        max_per_project = count
    ),
    setting!(
        "local_only",
        "",
        "off",
        "send no callbacks; reports stay on disk",
        local_only = switch
    ),
    setting!("claude", "PATH", "looked up", "the Claude Code program", claude = optional_text),
    setting!(
        "allow_tools",
        "LIST",
        "none",
        "what the agent may use without asking, e.g. 'Bash(cargo:*),Bash(git:*)'",
        allow_tools = tool_list
    ),
    setting!(
        "claude_args",
        "LIST",
        "none",
        "more arguments for Claude Code, comma separated",
        claude_args = list
    ),
    setting!(
        "setting_sources",
        "LIST",
        "its own",
        "where Claude Code takes its settings from: user, project, local",
        setting_sources = sources
    ),
    setting!(
        "strict",
        "",
        "off",
        "projects are not trusted: their own hooks, settings and MCP servers do not run",
        strict = switch
    ),
    setting!("model", "NAME", "its own", "the model that Claude Code uses", model = word),
    setting!("max_turns", "N", "none", "turns of a session, at most", max_turns = positive),
    setting!(
        "max_budget_usd",
        "USD",
        "none",
        "cost of a session, at most, as Claude Code counts it",
        max_budget_usd = budget
    ),
    setting!(
        "projects",
        "JSON",
        "none",
        "the terms of single projects, by directory (see README.md)",
        projects = projects::projects
    ),
    setting!(
        "verify",
        "JSON",
        "none",
        "acceptance commands, by project directory or name (see README.md)",
        verify = projects::verifications
    ),
    setting!(
        "drain_timeout_seconds",
        "S",
        "60",
        "how long a stop waits for running sessions",
        drain_timeout = seconds
    ),
    setting!(
        "on_shutdown",
        "WHAT",
        "end",
        "end = end sessions at the drain timeout, leave = leave them to the next daemon",
        on_shutdown = on_shutdown
    ),
    setting!(
        "on_interrupt",
        "WHAT",
        "report",
        "a session whose end nobody saw: report = it failed, retry = run it once more",
        on_interrupt = on_interrupt
    ),
    setting!(
        "kill_grace_seconds",
        "S",
        "5",
        "from SIGTERM to SIGKILL when a session is ended",
        kill_grace = seconds
    ),
    setting!(
        "rate_limit_backoff_seconds",
        "S",
        "30",
        "wait before the retry after a rate limit",
        rate_limit_backoff = seconds
    ),
    setting!(
        "hold_max_seconds",
        "S",
        "691200",
        "longest hold for a usage limit, whatever reset time the agent names",
        hold_max = pause
    ),
    setting!(
        "hold_jitter_seconds",
        "S",
        "10",
        "up to this much is added to a reset time, at random",
        hold_jitter = seconds
    ),
    setting!(
        "probe_seconds",
        "S",
        "300",
        "while an agent is refused (auth, billing, config), one dispatch is let through this often",
        probe = pause
    ),
    setting!(
        "probe_keep_seconds",
        "S",
        "86400",
        "how long such a dispatch is queued again before it has failed",
        probe_keep = seconds
    ),
    setting!(
        "start_timeout_seconds",
        "S",
        "120",
        "end a session that has put no event on its stream by then; 0 = never",
        start_timeout = limit
    ),
    setting!(
        "stall_timeout_seconds",
        "S",
        "0",
        "end a session without output and without use of the processor for so long; 0 = never",
        stall_timeout = limit
    ),
    setting!(
        "result_grace_seconds",
        "S",
        "30",
        "end a session that is still there so long after its final result; 0 = never",
        result_grace = limit
    ),
    setting!(
        "stdout_max_mb",
        "MB",
        "1000",
        "end a session that writes more on stdout, in millions of bytes; 0 = no limit",
        stdout_bytes_max = cap
    ),
    setting!(
        "queue_timeout_seconds",
        "S",
        "0",
        "a dispatch that waits longer than this for its first start fails; 0 = never",
        queue_timeout = limit
    ),
    setting!(
        "min_ttl_seconds",
        "S",
        "60",
        "smallest ttl_seconds that a dispatch may name",
        min_ttl_seconds = whole
    ),
    setting!(
        "settle_seconds",
        "S",
        "2",
        "a file that is not (yet) JSON is judged after standing still this long",
        settle = seconds
    ),
    setting!("heartbeat_seconds", "S", "30", "beat, and full look at the inbox", heartbeat = pause),
    setting!(
        "poll_seconds",
        "S",
        "2",
        "look at the inbox this often where watching it fails",
        poll = pause
    ),
    setting!(
        "cancel_keep_seconds",
        "S",
        "600",
        "how long a cancel file waits for its dispatch",
        cancel_keep = seconds
    ),
    setting!(
        "lock_wait_seconds",
        "S",
        "3",
        "how long a second daemon waits for the lock",
        lock_wait = seconds,
        Restart
    ),
    setting!("git_timeout_seconds", "S", "10", "time limit of each git call", git_timeout = pause),
    setting!(
        "callback_timeout_seconds",
        "S",
        "30",
        "time limit of one callback",
        callback_timeout = pause
    ),
    setting!(
        "callback_delays_seconds",
        "LIST",
        "0,5,30,120,600,3600",
        "waits before each try of a callback; the last repeats for a day",
        callback_delays = delays
    ),
    setting!(
        "ca_file",
        "PATH",
        "built in",
        "PEM file of the authorities to trust for https callbacks, instead of the built-in list",
        ca_file = optional_text
    ),
    setting!(
        "spare",
        "LIST",
        "gpg-agent,ssh-agent",
        "processes that a session may leave behind",
        spare = list
    ),
    setting!(
        "trouble_pause_seconds",
        "S",
        "5",
        "between two tries of what a full disk or a short machine refuses",
        trouble_pause = pause
    ),
    setting!(
        "min_free_mb",
        "MB",
        "64",
        "nothing new is taken on while the disk has less free than this, 0 = whatever is free",
        min_free_bytes = megabytes
    ),
    setting!(
        "audit_max_mb",
        "MB",
        "64",
        "audit.jsonl becomes audit.jsonl.1 before it is larger than this, 0 = it just grows",
        audit_max_bytes = megabytes
    ),
    setting!("audit_keep", "N", "5", "how many old audit logs are kept", audit_keep = few),
    setting!(
        "logs_keep_days",
        "DAYS",
        "14",
        "how long prompts and outputs of finished sessions are kept, 0 = for ever",
        logs_keep = days
    ),
    setting!(
        "logs_max_mb",
        "MB",
        "2048",
        "how much they may take up together, the oldest go first, 0 = however much",
        logs_max_bytes = megabytes
    ),
    setting!(
        "reports_keep_days",
        "DAYS",
        "90",
        "how long a finished dispatch's id stays used and its report is kept, 0 = for ever",
        reports_keep = days
    ),
    setting!(
        "rejected_keep_days",
        "DAYS",
        "30",
        "how long rejected files are kept, 0 = for ever",
        rejected_keep = days
    ),
    setting!(
        "rejected_max_mb",
        "MB",
        "256",
        "how much they may take up together, the oldest go first, 0 = however much",
        rejected_max_bytes = megabytes
    ),
    setting!(
        "allow_network_fs",
        "",
        "off",
        "start although $GSTACK_HOME is on a network file system",
        allow_network_fs = switch,
        Restart
    ),
];

/// The error for a key that nobody knows.
fn unknown<'k>(key: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let meant = nearest(key, known).map(|name| format!(" (did you mean {name}?)"));
    format!("unknown setting {key}{}", meant.unwrap_or_default())
}

fn keys() -> impl Iterator<Item = &'static str> {
    SETTINGS.iter().map(|setting| setting.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_variables_follow_from_the_key() {
        let row = SETTINGS.iter().find(|s| s.key == "drain_timeout_seconds").expect("row");
        assert_eq!(row.flag(), "--drain-timeout");
        assert_eq!(row.variable(), "GSTACK_DISPATCHD_DRAIN_TIMEOUT_SECONDS");
    }
}
