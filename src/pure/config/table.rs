//! The table of settings: one row each, the only place of a setting's names, default and help.
//!
//! The defaults are read from the rows by the readers that read what an operator writes, so that a
//! row and the default in force cannot differ. The table of `help settings` is made from them.

use std::collections::BTreeMap;

use serde_json::Value;

use super::values::*;
use super::{Reload, Setting, Settings, agents, callbacks, clawvisor, confine, launcher, projects};

/// A row is the key, what `--help` shows for the value, the default, the field and its reader, when
/// a change takes effect, and then the help. `unset` marks a row without a default: its words say
/// what holds.
macro_rules! settings {
    ($(
        $key:literal, $value:literal, $($unset:ident)? $default:literal,
        $field:ident = $read:expr, $reload:ident,
        $help:literal;
    )*) => {
        pub static SETTINGS: &[Setting] = &[$(Setting {
            key: $key,
            value: $value,
            help: $help,
            default: $default,
            reload: Reload::$reload,
            set: |settings, value| {
                settings.$field = $read(value)?;
                Ok(())
            },
            is_same: |one, other| one.$field == other.$field,
            copy: |to, from| to.$field = from.$field.clone(),
        }),*];

        impl Default for Settings {
            fn default() -> Settings {
                Settings {
                    $($field: default!($read, $default $(, $unset)?),)*
                    written: BTreeMap::new(),
                }
            }
        }
    };
}

macro_rules! default {
    ($read:expr, $default:literal) => {
        $read(&Value::from($default)).expect("invariant: the default of a row is a legal value")
    };
    ($read:expr, $default:literal, unset) => {
        Default::default()
    };
}

settings! {
    "max_concurrent", "N", "2", max_concurrent = at_least_one, Restart,
        "sessions at once";
    "max_per_project", "N", "1", max_per_project = count, Live,
        "sessions at once in one project (git repository), 0 = no limit";
    "local_only", "", "off", local_only = switch, Live,
        "send no callbacks and ask no Clawvisor; reports stay on disk";
    "claude", "PATH", unset "looked up", claude = optional_text, Live,
        "the Claude Code program";
    "allow_tools", "LIST", unset "none", allow_tools = tool_list, Live,
        "what the agent may use without asking, e.g. 'Bash(cargo:*),Bash(git:*)'";
    "claude_args", "LIST", unset "none", claude_args = list, Live,
        "more arguments for Claude Code, comma separated";
    "setting_sources", "LIST", unset "its own", setting_sources = sources, Live,
        "where Claude Code takes its settings from: user, project, local";
    "strict", "", "off", strict = switch, Live,
        "projects are not trusted: their own hooks, settings and MCP servers do not run";
    "model", "NAME", unset "its own", model = word, Live,
        "the model that Claude Code uses";
    "max_turns", "N", unset "none", max_turns = positive, Live,
        "turns of a session, at most";
    "max_budget_usd", "USD", unset "none", max_budget_usd = budget, Live,
        "cost of a session, at most, as Claude Code counts it";
    "max_usd_per_day", "USD", unset "none", max_usd_per_day = budget, Live,
        "what all sessions may cost together within the window of the budget; the next ones wait";
    "max_tokens_per_day", "N", unset "none", max_tokens_per_day = positive, Live,
        "how many tokens they may use together, in and out";
    "budget_window_seconds", "S", "86400", budget_window = pause, Live,
        "the window of the budget";
    "agents", "JSON", unset "none", agents = agents::agents, Live,
        "the settings of single agents, and agents of your own (help settings)";
    "projects", "JSON", unset "none", projects = projects::projects, Live,
        "the terms of single projects, by directory (help permissions)";
    "verify", "JSON", unset "none", verify = projects::verifications, Live,
        "acceptance commands, by project directory or name (help report)";
    "trusted_projects", "LIST", unset "not set", trusted_projects = trusted_projects, Live,
        "where dispatches run without approval, e.g. '~/git/*'; set but empty: nowhere";
    "allowed_uids", "LIST", unset "none", allowed_uids = uids, Live,
        "users besides ours and root whose dropped files count as ours, as numbers";
    "signed_is_approved", "", "off", signed_is_approved = switch, Live,
        "what is strongly signed needs no approval";
    "approval_expiry_seconds", "S", "86400", approval_expiry = pause, Live,
        "how long after its acceptance a dispatch may wait for its approval";
    "pending_max", "N", "1000", pending_max = at_least_one, Live,
        "while so many wait for approval, files that might have to wait too stay in the inbox";
    "confine", "[=WHAT]", "off", confine = confine::confine, Live,
        "a wall around each session, with Landlock: on (the flag alone), off, or if-possible";
    "confine_deny", "LIST", "usual", confine_deny = confine::denied, Live,
        "what a confined session can neither read nor write; usual = the usual places of secrets";
    "confine_write", "LIST", unset "none", confine_write = confine::places, Live,
        "what it can write besides, such as ~/.cargo/registry";
    "confine_connect", "PORTS", unset "any", confine_connect = confine::ports, Live,
        "the TCP ports that it can connect to";
    "launcher", "LIST", unset "none", launcher = launcher::arguments, Live,
        "put before the agent's program, e.g. 'srun -Q --job-name={id}'; split at blanks, no shell";
    "launcher_kill", "LIST", unset "none", launcher_kill = launcher::kill, Live,
        "the engine's command that ends a session, e.g. 'scancel --name={id}'; '' = needs none";
    "launcher_fail_codes", "LIST", unset "none", launcher_fail_codes = launcher::fail_codes, Live,
        "exit codes of the launcher that mean: it failed, the agent never ran";
    "launcher_wait_seconds", "S", "0", launcher_wait = limit, Live,
        "how long the engine may let a session wait; the TTL then counts from the first output";
    "launcher_grace_seconds", "S", "30", launcher_grace = pause, Live,
        "how long launcher_kill may take, and then the launcher to end before it is signalled";
    "require_signature", "", "off", require_signature = switch, Live,
        "only dispatches with a strong signature are accepted (help dispatch)";
    "signature_skew_seconds", "S", "300", signature_skew = within_a_day, Live,
        "how far ahead of ours the clock of whoever signs may be; at most 86400";
    "drain_timeout_seconds", "S", "60", drain_timeout = seconds, Live,
        "how long a stop waits for running sessions";
    "on_shutdown", "WHAT", "end", on_shutdown = on_shutdown, Live,
        "end = end sessions at the drain timeout, leave = leave them to the next daemon";
    "on_interrupt", "WHAT", "report", on_interrupt = on_interrupt, Live,
        "a session whose end nobody saw: report = it failed, retry = run it once more";
    "kill_grace_seconds", "S", "5", kill_grace = seconds, Live,
        "from SIGTERM to SIGKILL when a session is ended";
    "rate_limit_backoff_seconds", "S", "30", rate_limit_backoff = seconds, Live,
        "wait before the retry after a rate limit";
    "hold_max_seconds", "S", "691200", hold_max = pause, Live,
        "longest hold for a usage limit, whatever reset time the agent names";
    "hold_jitter_seconds", "S", "10", hold_jitter = seconds, Live,
        "up to this much is added to a reset time, at random";
    "probe_seconds", "S", "300", probe = pause, Live,
        "while an agent is refused (auth, billing, config), one dispatch is let through this often";
    "probe_keep_seconds", "S", "86400", probe_keep = seconds, Live,
        "how long such a dispatch is queued again before it has failed";
    "start_timeout_seconds", "S", "120", start_timeout = limit, Live,
        "end a session that has put no event on its stream by then; 0 = never";
    "first_answer_timeout_seconds", "S", "900", first_answer_timeout = limit, Live,
        "end a session that began and whose model has not said a word by then; 0 = never";
    "stall_timeout_seconds", "S", "0", stall_timeout = limit, Live,
        "end a session without output and without use of the processor for so long; 0 = never";
    "result_grace_seconds", "S", "30", result_grace = limit, Live,
        "end a session that is still there so long after its final result; 0 = never";
    "stdout_max_mb", "MB", "1000", stdout_bytes_max = cap, Live,
        "end a session that writes more on stdout, in millions of bytes; 0 = no limit";
    "tmp_max_mb", "MB", "10000", tmp_bytes_max = cap, Live,
        "end a session whose TMPDIR takes up more, in millions of bytes; 0 = no limit";
    "queue_timeout_seconds", "S", "0", queue_timeout = limit, Live,
        "a dispatch that waits longer than this for its first start fails; 0 = never";
    "min_ttl_seconds", "S", "60", min_ttl_seconds = whole, Live,
        "smallest ttl_seconds that a dispatch may name";
    "settle_seconds", "S", "2", settle = seconds, Live,
        "a file that is not (yet) JSON is judged after standing still this long";
    "heartbeat_seconds", "S", "30", heartbeat = pause, Live,
        "beat, and full look at the inbox";
    "poll_seconds", "S", "2", poll = pause, Live,
        "look at the inbox this often where watching it fails";
    "cancel_keep_seconds", "S", "600", cancel_keep = seconds, Live,
        "how long a cancel file waits for its dispatch";
    "lock_wait_seconds", "S", "3", lock_wait = seconds, Restart,
        "how long a second daemon waits for the lock; at least 0.25";
    "git_timeout_seconds", "S", "10", git_timeout = pause, Live,
        "time limit of each git call";
    "callback_timeout_seconds", "S", "30", callback_timeout = pause, Live,
        "time limit of one callback";
    "callback_delays_seconds", "LIST", "0,5,30,120,600,3600", callback_delays = delays, Live,
        "waits before each try of a callback; the last repeats for a day";
    "callback_allow", "LIST", unset "any", callback_allow = callbacks::allowed_hosts, Live,
        "hosts that callbacks may go to: [SCHEME://]HOST[:PORT] or *.DOMAIN; an empty list is none";
    "callback_bearer", "JSON", unset "none", callback_bearer = callbacks::bearers, Live,
        "files with the tokens of receivers, by origin (help report)";
    "use_env_proxy", "", "off", use_env_proxy = switch, Live,
        "send callbacks, and ask Clawvisor, through the proxies of the environment, but not here";
    "on_finish", "LIST", unset "none", on_finish = callbacks::on_finish, Live,
        "a program that gets each report on stdin, with its arguments; split at blanks, no shell";
    "on_finish_timeout_seconds", "S", "60", on_finish_timeout = pause, Live,
        "time limit of one run of it";
    "clawvisor_url", "URL", unset "$CLAWVISOR_URL", clawvisor_url = optional_text, Restart,
        "Clawvisor's origin: dispatches run as its tasks allow (see README.md)";
    "clawvisor_plain_http", "", "off", clawvisor_plain_http = switch, Restart,
        "http may lead to another machine, although others can read the token then";
    "clawvisor_service", "NAME", "local.gstack-coding", clawvisor_service = clawvisor::service, Live,
        "the service that a task must authorize";
    "clawvisor_scope", "WHAT", "action", clawvisor_scope = clawvisor::scope, Live,
        "what makes a task cover a dispatch: action, bound (to its text and place), or status";
    "clawvisor_require_task", "", "off", clawvisor_require_task = switch, Live,
        "a dispatch without a task is refused, instead of waiting for approval";
    "clawvisor_poll_seconds", "S", "30", clawvisor_poll = pause, Live,
        "how often the task of a running session is looked at";
    "clawvisor_wait_seconds", "S", "60", clawvisor_wait = clawvisor::wait, Live,
        "how long one question about an undecided task may wait for the decision, 1 to 120";
    "clawvisor_timeout_seconds", "S", "10", clawvisor_timeout = pause, Live,
        "time limit of all other questions to Clawvisor";
    "clawvisor_delays_seconds", "LIST", "1,5,15,30", clawvisor_delays = delays, Live,
        "waits before Clawvisor is asked again when it has no answer; the last repeats";
    "ca_file", "PATH", unset "built in", ca_file = optional_text, Live,
        "PEM file of the authorities to trust for https, instead of the built-in list";
    "spare", "LIST", "gpg-agent,ssh-agent", spare = list, Live,
        "processes that a session may leave behind";
    "trouble_pause_seconds", "S", "5", trouble_pause = pause, Live,
        "between two tries of what a full disk or a short machine refuses";
    "min_free_mb", "MB", "64", min_free_bytes = megabytes, Live,
        "nothing new is taken on while the disk has less free than this, 0 = whatever is free";
    "audit_max_mb", "MB", "64", audit_max_bytes = megabytes, Live,
        "audit.jsonl becomes audit.jsonl.1 before it is larger than this, 0 = it just grows";
    "audit_keep", "N", "5", audit_keep = few, Live,
        "how many old audit logs are kept";
    "logs_keep_days", "DAYS", "14", logs_keep = days, Live,
        "how long prompts and outputs of finished sessions are kept, 0 = for ever";
    "logs_max_mb", "MB", "2048", logs_max_bytes = megabytes, Live,
        "how much they may take up together, the oldest go first, 0 = however much";
    "reports_keep_days", "DAYS", "90", reports_keep = days, Live,
        "how long a finished dispatch's id stays used and its report is kept, 0 = for ever";
    "rejected_keep_days", "DAYS", "30", rejected_keep = days, Live,
        "how long rejected files are kept, 0 = for ever";
    "rejected_max_mb", "MB", "256", rejected_max_bytes = megabytes, Live,
        "how much they may take up together, the oldest go first, 0 = however much";
    "allow_network_fs", "", "off", allow_network_fs = switch, Restart,
        "start although $GSTACK_HOME is on a network file system";
    "log_format", "WHAT", "text", log_format = log_format, Live,
        "the daemon's own log: text, or json with ts, level, thread and message";
}
