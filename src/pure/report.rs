//! The report: the one answer to a dispatch, as it stands in `completed/<id>.json` and goes out in
//! the callback.
//!
//! The first eight fields are the seed's, with the seed's meaning; all others are additive. Absent
//! means unknown: no field is ever `null`. Nothing here decides; [`super::attempt::outcome`] and
//! [`super::attempt::retry`] do.

use serde::{Deserialize, Serialize};

/// Longest `error` text, in characters (the seed's limit).
pub const ERROR_CHARS_MAX: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Completed,
    Failed,
    Cancelled,
    Timeout,
}

/// Why a dispatch did not complete. The first four names are the seed's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorType {
    RateLimit,
    ContextOverflow,
    LogicError,
    ToolFailure,
    Timeout,
    UsageLimit,
    Auth,
    Billing,
    Config,
    /// The daemon or the machine died while the session ran, and its end is unknown.
    Interrupted,
    Shutdown,
    Cancelled,
    InvalidDispatch,
    UnsupportedAgent,
    SpawnFailed,
    /// There was no output and no use of the processor for `stall_timeout_seconds`.
    Stalled,
    /// There was no event by `start_timeout_seconds`.
    StartTimeout,
    /// There was more on stdout than `stdout_max_mb`, or more in `TMPDIR` than `tmp_max_mb`.
    OutputLimit,
    /// The project's acceptance command did not pass.
    VerifyFailed,
    /// The dispatch waited longer than `queue_timeout_seconds`, or in its launcher's engine longer
    /// than `launcher_wait_seconds`, and never ran.
    QueueTimeout,
    /// Nobody allowed it to run, or somebody forbade it.
    NotAuthorized,
}

/// Who or what let a dispatch run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovedBy {
    TrustedProject,
    Person,
    Signature,
    Clawvisor,
}

/// One session: what was started, how it ended, what it used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttemptReport {
    pub attempt: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// Seconds, to the millisecond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<ErrorType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_turns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_cost_usd: Option<f64>,
    /// Tokens of all requests of the session itself, cached ones included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// The pull request that the session opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pr: Option<String>,
}

/// What came of a project's acceptance command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed_out: bool,
    /// Seconds, to the millisecond.
    pub duration: f64,
    /// The last lines that it wrote, on stdout or stderr.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// What git says of the project before and after. Absent outside a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitFacts {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dirty_files: Option<u64>,
    /// At least this many files had uncommitted changes before the session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty_before: Option<u64>,
    /// How many of those are in the session's commits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dirty_committed: Option<u64>,
}

impl GitFacts {
    pub fn is_empty(&self) -> bool {
        *self == GitFacts::default()
    }
}

/// A tool call that the agent was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    pub tool_name: String,
    /// The command, path or input, at most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
}

/// The wall that a session ran behind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confined {
    /// The kernel's version of Landlock: signals and abstract sockets are held back from 6 on.
    pub abi: u32,
    /// The places where it could write; `$TMPDIR` is its own.
    pub write: Vec<String>,
    /// The TCP ports that it could connect to. Absent: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Vec<u16>>,
    /// Calls of tools whose answers say that the system refused something: the first 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<Denial>,
}

/// Whose word a dispatch came in on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<ApprovedBy>,
    /// When that was decided, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<SignatureForm>,
    /// The key by which the signature is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The task of Clawvisor that covers the dispatch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clawvisor_task_id: Option<String>,
}

/// What a dispatch's signature showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignatureForm {
    /// It covers every field, and was valid when the dispatch was accepted.
    Strong,
    /// The seed's form covers the task alone.
    Seed,
    /// There was no key to check it by.
    Unchecked,
}

/// A process of the session that outlived its agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leftover {
    pub pid: i32,
    pub name: String,
    /// False: it is on the `spare` list and was left alone, or could not be ended.
    pub ended: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub dispatch_id: String,
    pub status: Status,
    /// Whole seconds from the first start to the last end.
    pub duration: u64,
    pub target_agent: String,
    /// Bytes on the last attempt's stdout.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_length: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_type: Option<ErrorType>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_count: Option<u32>,

    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The dispatch that this one ran again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_of: Option<String>,
    /// Absent: no gate was configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// What a person types into a shell to go on with the last attempt's session.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// The agent's last message, bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_turns: Option<u64>,
    /// The cost of all attempts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_cost_usd: Option<f64>,
    /// Tokens of all attempts, including cached ones and those of sessions that were cut off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub permission_denials: Vec<Denial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confined: Option<Confined>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<GitFacts>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commits: Option<u64>,
    /// The pull request that the last attempt to open one opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pr: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify: Option<VerifyReport>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub leftover_processes: Vec<Leftover>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The folder that holds the session's prompt, stream and stderr.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<String>,
}

impl Report {
    /// A report that says nothing but its status, to be filled in.
    pub(in crate::pure) fn empty(status: Status) -> Report {
        Report {
            dispatch_id: String::new(),
            status,
            duration: 0,
            target_agent: "claude".into(),
            output_length: None,
            error: None,
            error_type: None,
            retry_count: None,
            project: None,
            retry_of: None,
            approval: None,
            started_at: None,
            finished_at: None,
            attempts: Vec::new(),
            exit_code: None,
            signal: None,
            session_id: None,
            resume: None,
            result: None,
            num_turns: None,
            total_cost_usd: None,
            input_tokens: None,
            output_tokens: None,
            usage: None,
            permission_denials: Vec::new(),
            confined: None,
            git: None,
            commits: None,
            pr: None,
            verify: None,
            leftover_processes: Vec::new(),
            warnings: Vec::new(),
            logs: None,
        }
    }
}
