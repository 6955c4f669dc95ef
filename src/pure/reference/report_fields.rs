//! The fields of a report, and of an attempt in it. A test holds them to
//! [`crate::pure::report::Report`].

use super::field::{FieldKind, FieldRow};
use super::words::{APPROVED_BY, ERROR_TYPES, SIGNATURE_FORMS, STATUSES};

const fn row(name: &'static str, kind: FieldKind, help: &'static str) -> FieldRow {
    FieldRow::new(name, kind, help)
}

pub const REPORT: &[FieldRow] = &[
    row("dispatch_id", FieldKind::Text, "as dispatched (seed)").required(),
    row(
        "status",
        FieldKind::Choice(STATUSES),
        "`completed`, `failed`, `cancelled`, `timeout` (seed)",
    )
    .required(),
    row("duration", FieldKind::Count, "whole seconds from the first start to the last end (seed)")
        .required(),
    row("target_agent", FieldKind::Text, "as dispatched (seed)").required(),
    row("output_length", FieldKind::Count, "bytes that the last attempt wrote on stdout (seed)"),
    row("error", FieldKind::Text, "one line of at most 500 characters (seed)"),
    row("error_type", FieldKind::Choice(ERROR_TYPES), "its kind: see below (seed)"),
    row("retry_count", FieldKind::Count, "0 or 1 (seed)"),
    row("project", FieldKind::Text, "as dispatched"),
    row("retry_of", FieldKind::Id, "the dispatch that this one ran again"),
    row(
        "approval",
        FieldKind::Object(APPROVAL),
        "whose word it came in on, where anybody's is asked for",
    ),
    row("started_at", FieldKind::Time, "when the first attempt started"),
    row("finished_at", FieldKind::Time, "when the last attempt ended"),
    row("attempts", FieldKind::Objects(ATTEMPT), "each session"),
    row("exit_code", FieldKind::Integer, "of the last attempt"),
    row("signal", FieldKind::Integer, "that ended the last attempt"),
    row("session_id", FieldKind::Text, "of the last attempt, as its agent calls it"),
    row(
        "resume",
        FieldKind::Text,
        "the line that a person types into a shell to go on with the last attempt's session: \
         `cd /git/shop && claude --resume …`. Absent where the session never told its id, its \
         agent cannot be resumed by a person, or the line would show a control character or what \
         looks like a secret",
    ),
    row("result", FieldKind::Text, "the agent's last message, at most 16 KiB; the last attempt's"),
    row("num_turns", FieldKind::Count, "of the last attempt"),
    row(
        "total_cost_usd",
        FieldKind::Number,
        "of all attempts together, as far as it is known; newer versions of Claude Code tell the \
         cost of a resumed session as a whole",
    ),
    row(
        "input_tokens",
        FieldKind::Count,
        "of all attempts together, cached ones too, also of a session that was cut off",
    ),
    row("output_tokens", FieldKind::Count, "likewise"),
    row("usage", FieldKind::Anything, "the last attempt's tokens as its agent counts them"),
    row("permission_denials", FieldKind::Objects(DENIAL), "tools that the agent was refused"),
    row("confined", FieldKind::Object(CONFINED), "the wall, where there was one"),
    row(
        "git",
        FieldKind::Object(GIT),
        "the project before and after; absent outside of a repository",
    ),
    row("commits", FieldKind::Count, "how many there are more than before"),
    row(
        "pr",
        FieldKind::Text,
        "the pull request (on github.com) that the agent opened: what `gh pr create`, or a tool \
         `…create_pull_request`, answered it. Of Claude Code, Codex and Gemini",
    ),
    row("verify", FieldKind::Object(VERIFY), "what came of the acceptance command"),
    row(
        "leftover_processes",
        FieldKind::Objects(LEFTOVER),
        "processes of the session that outlived its agent",
    ),
    row(
        "warnings",
        FieldKind::Texts,
        "what a reader should know although the status is what it is: unknown fields, denials, a \
         working tree that was dirty before, a left `.git/index.lock`, …",
    ),
    row("logs", FieldKind::Text, "the folder with each attempt's prompt, stream and stderr"),
];

const APPROVAL: &[FieldRow] = &[
    row(
        "by",
        FieldKind::Choice(APPROVED_BY),
        "`trusted_project`, `person`, `clawvisor`, or `signature` where `signed_is_approved` is on",
    ),
    row("at", FieldKind::Time, "when that was decided"),
    row("signature", FieldKind::Choice(SIGNATURE_FORMS), "`strong`, `seed`, `unchecked`"),
    row("kid", FieldKind::Text, "the key by which the signature is right"),
    row("clawvisor_task_id", FieldKind::Text, "the task in Clawvisor that covers the dispatch"),
];

pub const ATTEMPT: &[FieldRow] = &[
    row("attempt", FieldKind::Count, "its number, from 1").required(),
    row("started_at", FieldKind::Time, "when it started"),
    row("duration", FieldKind::Number, "seconds, to the millisecond"),
    row("session_id", FieldKind::Text, "as its agent calls it"),
    row("resumed", FieldKind::Flag, "it went on with the session before it"),
    row("exit_code", FieldKind::Integer, "of the agent"),
    row("signal", FieldKind::Integer, "that ended it"),
    row("error_type", FieldKind::Choice(ERROR_TYPES), "why it failed"),
    row("error", FieldKind::Text, "the same in words"),
    row("num_turns", FieldKind::Count, "its turns"),
    row("total_cost_usd", FieldKind::Number, "its cost"),
    row("input_tokens", FieldKind::Count, "of the session itself, cached ones too"),
    row("output_tokens", FieldKind::Count, "of the session itself"),
    row("pr", FieldKind::Text, "the pull request that it opened"),
];

const DENIAL: &[FieldRow] = &[
    row("tool_name", FieldKind::Text, "which tool").required(),
    row("input", FieldKind::Text, "its command, path or input, at most 200 characters"),
];

const CONFINED: &[FieldRow] = &[
    row("abi", FieldKind::Count, "the kernel's version of Landlock").required(),
    row("write", FieldKind::Texts, "where it could write, besides its own `TMPDIR`").required(),
    row("connect", FieldKind::Counts, "the TCP ports that it could connect to; absent: all"),
    row(
        "refused",
        FieldKind::Objects(DENIAL),
        "calls of tools whose answers say that the system refused something, the first 50",
    ),
];

const GIT: &[FieldRow] = &[
    row("branch", FieldKind::Text, "that is checked out afterwards"),
    row("head_before", FieldKind::Text, "the commit before"),
    row("head_after", FieldKind::Text, "the commit afterwards"),
    row("commits", FieldKind::Count, "how many there are more"),
    row("dirty_files", FieldKind::Count, "with uncommitted changes; absent: no sign of change"),
    row(
        "dirty_before",
        FieldKind::Count,
        "where tools were used: how many files at least had uncommitted changes when the session \
         started",
    ),
    row("dirty_committed", FieldKind::Count, "how many of these are in its commits"),
];

const VERIFY: &[FieldRow] = &[
    row("exit_code", FieldKind::Integer, "0 passes"),
    row("signal", FieldKind::Integer, "that ended it"),
    row("timed_out", FieldKind::Flag, "it took longer than it may"),
    row("duration", FieldKind::Number, "seconds, to the millisecond").required(),
    row("output", FieldKind::Text, "its last lines, at most 20"),
];

const LEFTOVER: &[FieldRow] = &[
    row("pid", FieldKind::Integer, "its number").required(),
    row("name", FieldKind::Text, "its program").required(),
    row("ended", FieldKind::Flag, "false: spared, or could not be ended").required(),
];
