//! The words that stand in documents for one of several cases. Tests hold them to the types that
//! serde writes and reads.

pub const STATUSES: &[&str] = &["completed", "failed", "cancelled", "timeout"];

pub const ERROR_TYPES: &[&str] = &[
    "rate_limit",
    "context_overflow",
    "logic_error",
    "tool_failure",
    "timeout",
    "usage_limit",
    "auth",
    "billing",
    "config",
    "interrupted",
    "shutdown",
    "cancelled",
    "invalid_dispatch",
    "unsupported_agent",
    "spawn_failed",
    "stalled",
    "start_timeout",
    "output_limit",
    "verify_failed",
    "queue_timeout",
    "not_authorized",
];

pub const APPROVED_BY: &[&str] = &["trusted_project", "person", "signature", "clawvisor"];

pub const SIGNATURE_FORMS: &[&str] = &["strong", "seed", "unchecked"];

pub const STATES: &[&str] = &[
    "inbox",
    "pending",
    "queued",
    "running",
    "completed",
    "failed",
    "timeout",
    "cancelled",
    "rejected",
];

pub const DAEMON_CONDITIONS: &[&str] = &["run", "drain", "stopped", "dead", "hung", "none"];

pub const WAIT_REASONS: &[&str] = &[
    "approval",
    "daemon",
    "acceptance",
    "trouble",
    "pause",
    "retry",
    "hold",
    "budget",
    "project",
    "slot",
];

pub const HOLD_KINDS: &[&str] = &["usage_limit", "auth", "billing", "config", "budget"];
