//! The rows of the comparison: what the daemon makes of its directory, its signals, its callbacks
//! and its log.

use super::Difference;

pub const ROWS: &[Difference] = &[
    Difference {
        key: "the drop zone",
        seed: "as umask has it",
        ours: "tightened to 0700",
        why: "who can write into it runs code as us",
        cases: &["directories"],
        facts: &[("mode of the drop zone", "755", "700")],
    },
    Difference {
        key: "shutdown while a session runs",
        seed: "always 60 s, then exit 1",
        ours: "as soon as the last one has ended, exit 0",
        why: "nothing is gained by waiting, and nothing went wrong",
        cases: &["sigterm-while-a-session-runs"],
        facts: &[("exit", "exit 1", "exit 0"), ("exit came", "after a minute", "at once")],
    },
    Difference {
        key: "a second daemon",
        seed: "runs beside the first, and both run every dispatch",
        ours: "exits 0",
        why: "nothing may run twice; cron can make sure that one runs",
        cases: &["second-daemon"],
        facts: &[("second daemon", "runs", "exit 0")],
    },
    Difference {
        key: "callbacks",
        seed: "one try; any answer counts as sent; redirects followed",
        ours: "tried for a day; only 2xx counts; none followed",
        why: "an answer of 500 was not taken; a redirect leads where nobody allowed it",
        cases: &["callback-500", "callback-redirect"],
        facts: &[
            ("events", "*completed callback_sent", "*completed callback_failed"),
            ("callback requests elsewhere", "1", "0"),
        ],
    },
    Difference {
        key: "audit log",
        seed: "read and rewritten for each line, which loses lines",
        ours: "append only",
        why: "every event must be there",
        cases: &["burst"],
        facts: &[("audit log", "lines are lost", "complete")],
    },
    Difference {
        key: "more in reports and audit log",
        seed: "`output_length` only of what completed, `retry_count` only of what failed",
        ours: "both in every report of a session; `received` stands under the id, not the file's name",
        why: "new fields are minor changes; an id finds all lines of its dispatch",
        cases: &["*"],
        facts: &[
            ("report output_length", "-", "there"),
            ("report retry_count", "-", "0"),
            ("report retry_count", "-", "1"),
            ("received names", "the file", "the id"),
        ],
    },
    Difference {
        key: "more in reports and audit log",
        seed: "no `error_type` for an agent that is not supported, no `failed` in the audit log",
        ours: "both",
        why: "a reader that looks only for these finds it too",
        cases: &["agent-codex", "agent-cursor", "agent-gemini"],
        facts: &[
            ("report error_type", "-", "unsupported_agent"),
            ("events", "received unsupported_agent", "received unsupported_agent failed"),
        ],
    },
    Difference {
        key: "more in reports and audit log",
        seed: "a file that waits at the start is not `received`; unknown fields are not noticed",
        ours: "both are told",
        why: "each dispatch begins with one line; a misspelt field is seen",
        cases: &["file-at-start", "unknown-field"],
        facts: &[
            ("events", "spawned completed", "received spawned completed"),
            ("events", "received spawned completed", "received unknown_fields spawned completed"),
        ],
    },
];
