//! Every setting as the program uses it, with its default. What can be set from outside, and how,
//! is the table beside it ([`super::SETTINGS`]).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::projects::{Places, Project, Verify};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnShutdown {
    /// Wait for running sessions, end them at the drain timeout.
    End,
    /// Leave them running for the next daemon.
    Leave,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInterrupt {
    Report,
    Retry,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub max_concurrent: usize,
    /// 0 = no limit.
    pub max_per_project: usize,
    pub local_only: bool,
    /// Path or name of the Claude Code program; `None` = look it up.
    pub claude: Option<String>,
    pub allow_tools: Vec<String>,
    pub claude_args: Vec<String>,
    /// Empty: those of Claude Code's own choice.
    pub setting_sources: Vec<String>,
    pub strict: bool,
    pub model: Option<String>,
    pub max_turns: Option<u64>,
    pub max_budget_usd: Option<f64>,
    pub projects: Places<Project>,
    pub verify: Places<Verify>,
    pub on_shutdown: OnShutdown,
    pub on_interrupt: OnInterrupt,
    pub drain_timeout: Duration,
    pub kill_grace: Duration,
    pub rate_limit_backoff: Duration,
    /// Longest hold for a usage limit.
    pub hold_max: Duration,
    /// At most this much is added to a reset time.
    pub hold_jitter: Duration,
    pub probe: Duration,
    pub probe_keep: Duration,
    /// Each of these five: `None` = no limit.
    pub stall_timeout: Option<Duration>,
    pub result_grace: Option<Duration>,
    pub start_timeout: Option<Duration>,
    pub queue_timeout: Option<Duration>,
    pub stdout_bytes_max: Option<u64>,
    pub min_ttl_seconds: u64,
    pub settle: Duration,
    pub heartbeat: Duration,
    pub poll: Duration,
    pub cancel_keep: Duration,
    pub lock_wait: Duration,
    pub git_timeout: Duration,
    pub callback_timeout: Duration,
    pub callback_delays: Vec<Duration>,
    /// PEM file of the authorities to trust for callbacks; `None` = the built-in list.
    pub ca_file: Option<String>,
    /// Process names that a session may leave behind.
    pub spare: Vec<String>,
    /// Between two tries of what the disk or the machine refuses.
    pub trouble_pause: Duration,
    /// 0 = no matter how little is free.
    pub min_free_bytes: u64,
    /// 0 = it grows for ever.
    pub audit_max_bytes: u64,
    pub audit_keep: u32,
    /// Of what is kept: zero = for ever, and however much.
    pub logs_keep: Duration,
    pub logs_max_bytes: u64,
    pub reports_keep: Duration,
    pub rejected_keep: Duration,
    pub rejected_max_bytes: u64,
    pub allow_network_fs: bool,
    /// What was written for each that is not the default, by key: for people.
    pub(super) written: BTreeMap<&'static str, Value>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            max_concurrent: 2,
            max_per_project: 1,
            local_only: false,
            claude: None,
            allow_tools: Vec::new(),
            claude_args: Vec::new(),
            setting_sources: Vec::new(),
            strict: false,
            model: None,
            max_turns: None,
            max_budget_usd: None,
            projects: Places::default(),
            verify: Places::default(),
            on_shutdown: OnShutdown::End,
            on_interrupt: OnInterrupt::Report,
            drain_timeout: Duration::from_secs(60),
            kill_grace: Duration::from_secs(5),
            rate_limit_backoff: Duration::from_secs(30),
            hold_max: Duration::from_secs(8 * 24 * 3600),
            hold_jitter: Duration::from_secs(10),
            probe: Duration::from_secs(300),
            probe_keep: Duration::from_secs(24 * 3600),
            stall_timeout: None,
            result_grace: Some(Duration::from_secs(30)),
            start_timeout: Some(Duration::from_secs(120)),
            queue_timeout: None,
            stdout_bytes_max: Some(1_000_000_000),
            min_ttl_seconds: 60,
            settle: Duration::from_secs(2),
            heartbeat: Duration::from_secs(30),
            poll: Duration::from_secs(2),
            cancel_keep: Duration::from_secs(600),
            lock_wait: Duration::from_secs(3),
            git_timeout: Duration::from_secs(10),
            callback_timeout: Duration::from_secs(30),
            callback_delays: [0, 5, 30, 120, 600, 3600].map(Duration::from_secs).to_vec(),
            ca_file: None,
            spare: ["gpg-agent", "ssh-agent"].map(String::from).to_vec(),
            trouble_pause: Duration::from_secs(5),
            min_free_bytes: 64_000_000,
            audit_max_bytes: 64_000_000,
            audit_keep: 5,
            logs_keep: 14 * DAY,
            logs_max_bytes: 2_048_000_000,
            reports_keep: 90 * DAY,
            rejected_keep: 30 * DAY,
            rejected_max_bytes: 256_000_000,
            allow_network_fs: false,
            written: BTreeMap::new(),
        }
    }
}
