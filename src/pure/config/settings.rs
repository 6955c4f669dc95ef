//! Every setting as the program uses it.
//!
//! What each is called outside, how it is read and what it is by default stands in the table beside
//! this file ([`super::SETTINGS`]), from which `Settings::default()` is made.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::agents::AgentEntries;
use super::budget::{Budget, nanos};
use super::confine::Confine;
use super::projects::{Places, Project, Verify};
use super::values::{OnInterrupt, OnShutdown};
use crate::pure::callback::destination::{AllowedHost, Origin};
use crate::pure::gate::clawvisor::{TaskScope, origin_of};
use crate::pure::gate::trust::TrustedPlace;
use crate::pure::text::log_line::LogFormat;

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
    /// Empty: Claude Code chooses.
    pub setting_sources: Vec<String>,
    pub strict: bool,
    pub model: Option<String>,
    pub max_turns: Option<u64>,
    pub max_budget_usd: Option<f64>,
    /// These two are for all sessions together, within the window.
    pub max_usd_per_day: Option<f64>,
    pub max_tokens_per_day: Option<u64>,
    pub budget_window: Duration,
    /// By name; what the settings above say of Claude Code wins.
    pub agents: AgentEntries,
    pub projects: Places<Project>,
    /// See [`super::launcher::Launcher`] for these four.
    pub launcher: Vec<String>,
    pub launcher_kill: Option<Vec<String>>,
    pub launcher_fail_codes: Vec<i32>,
    pub launcher_wait: Option<Duration>,
    /// How long an engine's own command may take, and then the launcher to end by itself.
    pub launcher_grace: Duration,
    pub verify: Places<Verify>,
    /// `None` = not set: the drop zone's 0700 is the authority. Empty = nothing is trusted.
    pub trusted_projects: Option<Vec<TrustedPlace>>,
    /// Users besides ours and root whose dropped files count as ours.
    pub allowed_uids: Vec<u32>,
    /// A strong signature stands for a person's approval.
    pub signed_is_approved: bool,
    /// From the acceptance of a dispatch.
    pub approval_expiry: Duration,
    pub pending_max: usize,
    pub confine: Confine,
    /// Places from `/` or `~/`, as they are written.
    pub confine_deny: Vec<String>,
    pub confine_write: Vec<String>,
    /// `None` = any port.
    pub confine_connect: Option<Vec<u16>>,
    pub require_signature: bool,
    pub signature_skew: Duration,
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
    /// Each of these six: `None` = no limit.
    pub stall_timeout: Option<Duration>,
    pub result_grace: Option<Duration>,
    pub start_timeout: Option<Duration>,
    pub first_answer_timeout: Option<Duration>,
    pub queue_timeout: Option<Duration>,
    pub stdout_bytes_max: Option<u64>,
    /// What the private temporary directory of a session may take up.
    pub tmp_bytes_max: Option<u64>,
    pub min_ttl_seconds: u64,
    pub settle: Duration,
    pub heartbeat: Duration,
    pub poll: Duration,
    pub cancel_keep: Duration,
    pub lock_wait: Duration,
    pub git_timeout: Duration,
    pub callback_timeout: Duration,
    pub callback_delays: Vec<Duration>,
    /// `None` = any host.
    pub callback_allow: Option<Vec<AllowedHost>>,
    /// The file with the token of each of these origins.
    pub callback_bearer: BTreeMap<Origin, String>,
    /// The proxies of the environment count.
    pub use_env_proxy: bool,
    /// A program and its arguments; empty = none.
    pub on_finish: Vec<String>,
    pub on_finish_timeout: Duration,
    /// What Clawvisor's origin is said to be; [`Settings::clawvisor`] is what counts.
    pub clawvisor_url: Option<String>,
    pub clawvisor_plain_http: bool,
    pub clawvisor_service: String,
    pub clawvisor_scope: TaskScope,
    pub clawvisor_require_task: bool,
    pub clawvisor_poll: Duration,
    pub clawvisor_wait: Duration,
    pub clawvisor_timeout: Duration,
    /// Never empty.
    pub clawvisor_delays: Vec<Duration>,
    /// PEM file of the authorities to trust for https; `None` = the built-in list.
    pub ca_file: Option<String>,
    /// Process names that a session may leave behind.
    pub spare: Vec<String>,
    /// The pause between two tries of what the disk or the machine refuses.
    pub trouble_pause: Duration,
    /// 0 = work goes on no matter how little is free.
    pub min_free_bytes: u64,
    /// 0 = the log grows for ever.
    pub audit_max_bytes: u64,
    pub audit_keep: u32,
    /// In the next five, zero = for ever, or however much.
    pub logs_keep: Duration,
    pub logs_max_bytes: u64,
    pub reports_keep: Duration,
    pub rejected_keep: Duration,
    pub rejected_max_bytes: u64,
    pub allow_network_fs: bool,
    pub log_format: LogFormat,
    /// What was written for each setting that is not the default, by key, for people to read.
    pub(super) written: BTreeMap<&'static str, Value>,
}

impl Settings {
    /// What all sessions may cost together.
    pub fn budget(&self) -> Budget {
        Budget { usd_nanos: self.max_usd_per_day.map(nanos), tokens: self.max_tokens_per_day }
    }

    pub fn budget_window_ms(&self) -> i64 {
        i64::try_from(self.budget_window.as_millis()).unwrap_or(i64::MAX)
    }

    /// Whether any budget is set.
    pub fn has_budget(&self) -> bool {
        let mut projects = self.projects.directories();
        self.budget().is_set() || projects.any(|(_, project)| project.budget.is_set())
    }

    /// Whether anything but the drop zone's mode says who may run what.
    pub fn is_gated(&self) -> bool {
        self.trusted_projects.is_some() || self.require_signature || self.clawvisor().is_some()
    }

    /// Where Clawvisor is asked. `None`: it is not.
    pub fn clawvisor(&self) -> Option<Origin> {
        let url = self.clawvisor_url.as_deref().filter(|_| !self.local_only)?;
        origin_of(url, self.clawvisor_plain_http).ok()
    }

    /// What is wrong with Clawvisor's URL, if it is to be asked.
    pub fn wrong_clawvisor_url(&self) -> Option<String> {
        let url = self.clawvisor_url.as_deref().filter(|_| !self.local_only)?;
        origin_of(url, self.clawvisor_plain_http).err()
    }
}
