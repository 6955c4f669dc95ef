//! The fields of what `status --json` says, of the heartbeat, which it is made from, and of the
//! record of one dispatch, which all commands give. Tests hold them to the types.

use super::field::{FieldKind, FieldRow};
use super::words::{DAEMON_CONDITIONS, ERROR_TYPES, HOLD_KINDS, STATES, WAIT_REASONS};

const fn row(name: &'static str, kind: FieldKind, help: &'static str) -> FieldRow {
    FieldRow::new(name, kind, help)
}

/// What the heartbeat and the status have in common.
pub const BOTH: &[FieldRow] = &[
    row("ts", FieldKind::Time, "when it was written; of the status: now").required(),
    row("active", FieldKind::Count, "how many sessions run").required(),
    row("queued", FieldKind::Count, "how many wait for their turn").required(),
    row("pid", FieldKind::Count, "the daemon's process (these four are the seed's)"),
    row("max_concurrent", FieldKind::Count, "how many sessions may run at once"),
    row("max_per_project", FieldKind::Count, "how many of them in one project; 0: no limit"),
    row("version", FieldKind::Text, "the daemon's"),
    row("local_only", FieldKind::Flag, "no callbacks are sent"),
    row("paused", FieldKind::Flag, "true: nothing new starts; the heartbeat has it only then"),
    row("paused_until", FieldKind::Time, "when the pause ends by itself"),
    row("degraded", FieldKind::Text, "what is wrong with the daemon: see `help recovery`"),
    row("holds", FieldKind::Objects(HOLD), "agents that are held, only when there are any"),
    row("callbacks_dead", FieldKind::Count, "how many callbacks were given up, if any were"),
    row(
        "parked",
        FieldKind::Objects(PARKED),
        "dispatches that a trouble of their own keeps from going on: see `help recovery`",
    ),
];

/// What the heartbeat alone has, or has otherwise.
pub const HEARTBEAT: &[FieldRow] = &[
    row("state", FieldKind::Choice(&["run", "drain", "stopped"]), "`run`, `drain`, `stopped`"),
    row("sessions", FieldKind::Objects(SESSION), "the running sessions, longest first"),
    row("pending_count", FieldKind::Count, "how many dispatches wait for approval, if any do"),
    row("pending", FieldKind::Objects(PENDING), "the 50 oldest of these"),
    row("clawvisor", FieldKind::Object(CLAWVISOR), "how well Clawvisor can be asked, where it is"),
];

/// What the status alone has, or has otherwise.
pub const STATUS: &[FieldRow] = &[
    row(
        "state",
        FieldKind::Choice(DAEMON_CONDITIONS),
        "`run`, `drain`, `stopped`, `dead` (it says that it runs, but nobody holds the lock), \
         `hung` (held, last beat over 5 minutes ago), `none`",
    )
    .required(),
    row("home", FieldKind::Text, "the directory `$GSTACK_HOME`").required(),
    row("heartbeat_at", FieldKind::Time, "when the heartbeat was written"),
    row("sessions", FieldKind::Records, "what runs, longest first").required(),
    row("queue", FieldKind::Records, "what waits for its turn, in order").required(),
    row("inbox", FieldKind::Records, "what was dropped and not accepted yet").required(),
    row("pending", FieldKind::Records, "what waits for approval").required(),
    row("pending_count", FieldKind::Count, "how many of these there are"),
    row("finished", FieldKind::Records, "the 10 newest that have ended").required(),
    row("undelivered", FieldKind::Count, "callbacks that are not delivered yet").required(),
    row("rejected", FieldKind::Count, "rejected files that are kept").required(),
];

const CLAWVISOR: &[FieldRow] = &[
    row(
        "state",
        FieldKind::Choice(&["ready", "unreachable", "token_refused"]),
        "`ready`, `unreachable`, `token_refused`",
    )
    .required(),
    row("since", FieldKind::Time, "since when").required(),
];

const HOLD: &[FieldRow] = &[
    row("agent", FieldKind::Text, "which agent; absent of a budget, which holds all"),
    row("kind", FieldKind::Choice(HOLD_KINDS), "an `error_type`, or `budget`").required(),
    row("until", FieldKind::Time, "when it ends").required(),
    row("reason", FieldKind::Text, "what was said, at most 200 characters").required(),
    row("waiting", FieldKind::Count, "how many dispatches wait for it").required(),
    row("project", FieldKind::Text, "if it is for one project"),
    row("project_dir", FieldKind::Text, "of that project"),
    row("probe", FieldKind::Text, "the dispatch that is let through to see whether it is over"),
];

const SESSION: &[FieldRow] = &[
    row("id", FieldKind::Text, "the dispatch").required(),
    row("project", FieldKind::Text, "as dispatched, at most 200 characters").required(),
    row("elapsed", FieldKind::Count, "seconds since this daemon took it up").required(),
    row("attempt", FieldKind::Count, "its number, from 1").required(),
    row("turns", FieldKind::Count, "so far; like all that follows from its second second on"),
    row("last_tool", FieldKind::Text, "that the agent called"),
    row("input_tokens", FieldKind::Count, "so far"),
    row("output_tokens", FieldKind::Count, "so far"),
    row("total_cost_usd", FieldKind::Number, "so far"),
    row("output_bytes", FieldKind::Count, "so far"),
    row("last_activity", FieldKind::Time, "when it last wrote something"),
];

const PARKED: &[FieldRow] = &[
    row("id", FieldKind::Text, "the dispatch").required(),
    row("reason", FieldKind::Text, "what is wrong").required(),
];

const PENDING: &[FieldRow] = &[
    row("id", FieldKind::Text, "the dispatch").required(),
    row("project", FieldKind::Text, "as dispatched").required(),
    row("why", FieldKind::Text, "why it may not run yet").required(),
    row("since", FieldKind::Time, "when it was accepted").required(),
    row("expires_at", FieldKind::Time, "when it is given up").required(),
];

/// One dispatch, as all commands give it.
pub const RECORD: &[FieldRow] = &[
    row("id", FieldKind::Text, "the dispatch; absent where none could be read"),
    row(
        "state",
        FieldKind::Choice(STATES),
        "`inbox` (dropped, not accepted yet), `pending` (waits for approval), `queued`, \
         `running` (also between two attempts), `completed`, `failed`, `timeout`, `cancelled`, \
         `rejected`",
    )
    .required(),
    row("project", FieldKind::Text, "as dispatched"),
    row("project_dir", FieldKind::Text, "absolute; links in it are not followed"),
    row("target_agent", FieldKind::Text, "as dispatched"),
    row("dispatched_by", FieldKind::Text, "as dispatched"),
    row("title", FieldKind::Text, "the task's first line, at most 80 characters"),
    row("accepted_at", FieldKind::Time, "when it was accepted"),
    row("started_at", FieldKind::Time, "when the first attempt started"),
    row("finished_at", FieldKind::Time, "when it ended"),
    row("elapsed", FieldKind::Count, "running: seconds since `started_at`"),
    row("duration", FieldKind::Count, "ended: seconds, as in the report"),
    row("attempt", FieldKind::Count, "running: its number, from 1"),
    row("turns", FieldKind::Count, "running: so far"),
    row("last_tool", FieldKind::Text, "running: that the agent called"),
    row("input_tokens", FieldKind::Count, "so far; ended: of all attempts"),
    row("output_tokens", FieldKind::Count, "so far; ended: of all attempts"),
    row("output_bytes", FieldKind::Count, "running: so far"),
    row("last_activity", FieldKind::Time, "running: when it last wrote something"),
    row("position", FieldKind::Count, "queued: 1 is the next in order of turn"),
    row("waits_for", FieldKind::Object(WAITS_FOR), "open, and not at work: why"),
    row("cancel_requested", FieldKind::Flag, "true: somebody has asked for its end"),
    row("error_type", FieldKind::Choice(ERROR_TYPES), "ended: the report's"),
    row("error", FieldKind::Text, "ended: the report's"),
    row("retry_count", FieldKind::Count, "ended: the report's"),
    row("num_turns", FieldKind::Count, "ended: the report's"),
    row("total_cost_usd", FieldKind::Number, "so far; ended: the report's"),
    row("exit_code", FieldKind::Integer, "ended: the report's"),
    row("commits", FieldKind::Count, "ended: the report's"),
    row("pr", FieldKind::Text, "ended: the report's"),
    row("retry_of", FieldKind::Text, "the dispatch that this one runs again"),
    row("retried_as", FieldKind::Texts, "the dispatches that run this one again"),
    row("reason", FieldKind::Text, "rejected: as in `reason.json`"),
    row("file", FieldKind::Text, "rejected, or without an id: the file's name"),
];

const WAITS_FOR: &[FieldRow] = &[
    row(
        "what",
        FieldKind::Choice(WAIT_REASONS),
        "the first that applies of `approval`, `daemon` (none runs, or it stops), `acceptance`, \
         `trouble` (degraded, or parked), `pause`, `retry` (backs off in its slot), `hold`, \
         `budget`, `project` (another runs there), `slot`",
    )
    .required(),
    row("text", FieldKind::Text, "all of it in a sentence").required(),
    row("until", FieldKind::Time, "when that ends, as far as it is known"),
    row("ids", FieldKind::Texts, "the dispatches that stand in its way"),
    row("agent", FieldKind::Text, "the agent that is held"),
    row("kind", FieldKind::Text, "of the hold"),
];
