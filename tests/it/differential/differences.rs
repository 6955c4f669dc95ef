//! Every difference between the seed and ours that is meant: by its row of the README's table, with
//! the cases that show it and the facts in which they differ. What is found and stands here nowhere
//! is a bug, in the daemon or in the README.
//!
//! Strict both ways: an entry of which a case or a fact is never seen fails too. In a pattern `*`
//! stands for any text.

use std::collections::{BTreeMap, BTreeSet};

use super::side::Facts;

/// `(fact, seed, ours)`
type Shown = (&'static str, &'static str, &'static str);

/// Several entries may explain one row of the README.
pub struct Difference {
    /// The first column of the README's row.
    pub key: &'static str,
    pub seed: &'static str,
    pub ours: &'static str,
    pub why: &'static str,
    cases: &'static [&'static str],
    facts: &'static [Shown],
}

/// The README's row that no case can show: with that argument the seed runs no session at all, so
/// `tests/seed.sh` takes it out (and fails if it is not there).
pub const TAKEN_OUT: &str = "`--project`";

const SEEDS_ARGUMENTS: &str =
    "--print --permission-mode acceptEdits --output-format stream-json --verbose PROMPT";
const OUR_ARGUMENTS: &str =
    "--print --permission-mode acceptEdits --output-format stream-json --verbose --session-id UUID";
const OUR_ARGUMENTS_RESUMED: &str =
    "--print --permission-mode acceptEdits --output-format stream-json --verbose --resume UUID";

/// Not run, and kept.
const KEPT: Shown = ("rejected file kept", "no", "yes");
const ANSWERED: Shown = ("report", "no", "yes");
const DIES: Shown = ("daemon", "exit 1", "runs");
const STAYS: Shown = ("inbox after", "dispatch-*.json", "-");
const RAN: [Shown; 2] =
    [("events", "received spawned completed", "schema_invalid"), ("starts", "1", "0")];

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        key: "two dispatches for one project",
        seed: "side by side in one working tree",
        ours: "one after the other",
        why: "two agents in one working tree corrupt each other's work",
        cases: &["same-project"],
        facts: &[
            ("second session in the project", "beside the first", "waits"),
            ("events", "*", "received queued spawned completed"),
        ],
    },
    Difference {
        key: "an id that was used",
        seed: "runs again, replaces the report",
        ours: "rejected, or the same bytes: removed; the first answer stays",
        why: "an answer must not change, and nothing may run twice",
        cases: &["duplicate-id", "same-bytes-again"],
        facts: &[
            ("first report kept", "no", "yes"),
            ("starts", "2", "1"),
            ("events", "*", "received spawned completed schema_invalid"),
            ("events", "*", "received spawned completed redelivered"),
        ],
    },
    Difference {
        key: "a file that is written again later",
        seed: "may run twice",
        ours: "accepted once; other bytes in it are another dispatch, or a duplicate",
        why: "nothing may run twice, and nothing that was dropped may be lost",
        cases: &["direct-write", "written-again"],
        facts: &[
            ("starts", "*", "1"),
            ("events", "*", "received spawned completed"),
            ("events", "*", "received spawned detached schema_invalid completed"),
            KEPT,
        ],
    },
    Difference {
        key: "a file that is still being written",
        seed: "read after 100 ms, deleted if that is not JSON",
        ours: "judged when it has stood still",
        why: "nothing that was dropped may be lost",
        cases: &["slow-direct-write"],
        facts: &[
            ("events", "received schema_invalid", "received spawned completed"),
            ("starts", "0", "1"),
            ANSWERED,
        ],
    },
    Difference {
        key: "TTL; shutdown",
        seed: "a session that ran out of time runs once more, then `failed`; no report",
        ours: "status `timeout`; `cancelled`",
        why: "the status must say what happened; a task that takes too long does so again",
        cases: &["ttl"],
        facts: &[
            ("report status", "completed", "timeout"),
            ("report error", "-", "there"),
            ("report error_type", "-", "timeout"),
            ("report duration", "at once", "a minute"),
            ("events", "received spawned retried spawned completed", "received spawned failed"),
            ("starts", "2", "1"),
        ],
    },
    Difference {
        key: "TTL; shutdown",
        seed: "no report, and the file stays to be run again",
        ours: "`cancelled`",
        why: "every dispatch is answered once",
        cases: &["sigterm-while-a-session-hangs"],
        facts: &[
            ANSWERED,
            ("events", "received spawned", "received spawned cancelled"),
            ("inbox after", "dispatch-*.json dispatch-waits.json", "dispatch-waits.json"),
        ],
    },
    Difference {
        key: "invalid files",
        seed: "deleted, with an audit line",
        ours: "kept with the reason, and answered under the id or the file's name",
        why: "the sender must learn of it",
        cases: &[
            "no-dispatched_by",
            "no-task",
            "no-project",
            "no-project_dir",
            "dispatched_by-number",
            "task-array",
            "task-empty",
            "project-null",
            "project_dir-object",
            "ttl-59",
            "ttl-86401",
            "ttl-string",
            "ttl-null",
            "agent-unknown",
            "agent-upper-case",
            "agent-number",
            "agent-null",
            "agent-empty",
            "no-id",
            "id-number",
            "empty-file",
            "blank-file",
            "not-json",
            "array",
            "number",
            "string",
            "empty-object",
            "truncated",
            "trailing-text",
            "bad-file-at-start",
        ],
        facts: &[("events", "received schema_invalid", "schema_invalid"), KEPT, ANSWERED],
    },
    Difference {
        key: "invalid files",
        seed: "deleted, with an audit line",
        ours: "kept with the reason",
        why: "nobody waits for an answer under an id that can be none",
        cases: &["id-empty", "id-without-prefix"],
        facts: &[("events", "received schema_invalid", "schema_invalid"), KEPT],
    },
    Difference {
        key: "what is invalid",
        seed: "only the required fields, `ttl_seconds` and `target_agent` are checked",
        ours: "the whole schema",
        why: "what is wrong must not run; of two `task`s nobody knows which one was checked",
        cases: &[
            "callback_url-number",
            "clawvisor_task_id-number",
            "constraints-number",
            "learnings-null",
            "learnings-of-numbers",
            "source_signature-number",
            "ttl-60.5",
            "task-twice",
        ],
        facts: &[
            RAN[0],
            RAN[1],
            ("events", "received spawned completed callback_failed", "schema_invalid"),
            ("report status", "completed", "failed"),
            ("report error", "-", "there"),
            ("report error_type", "-", "invalid_dispatch"),
            ("report output_length", "there", "-"),
            KEPT,
        ],
    },
    Difference {
        key: "what is invalid",
        seed: "any id; a link is followed; other bytes than UTF-8 are replaced",
        ours: "ids are safe names of at most 120 characters, files are files, and UTF-8",
        why: "an id becomes a file name: `dispatch-x/../../../escaped` writes outside of `completed/`",
        cases: &[
            "id-blank",
            "id-dotdot",
            "id-of-121",
            "id-of-300",
            "id-slash",
            "id-unicode",
            "symlink",
            "not-utf-8",
        ],
        facts: &[
            RAN[0],
            RAN[1],
            ("report", "yes", "no"),
            ("report status", "completed", "failed"),
            ("report error", "-", "there"),
            ("report error_type", "-", "invalid_dispatch"),
            ("report output_length", "there", "-"),
            ("stray files", "escaped.json", "-"),
            KEPT,
        ],
    },
    Difference {
        key: "what is invalid",
        seed: "a byte order mark is",
        ours: "a byte order mark is not",
        why: "editors put it there unasked",
        cases: &["byte-order-mark"],
        facts: &[
            ("events", "received schema_invalid", "received spawned completed"),
            ("starts", "0", "1"),
            ANSWERED,
        ],
    },
    Difference {
        key: "what cannot be run",
        seed: "ends the daemon, and again at each start, since the file stays",
        ours: "rejected, or answered with a report",
        why: "one bad file must not stop all others",
        cases: &[
            "null",
            "directory",
            "learnings-string",
            "constraints-string",
            "nul-in-task",
            "file-of-2-MB",
            "id-slash",
            "id-of-300",
            "project-missing",
            "project-is-a-file",
        ],
        facts: &[
            DIES,
            STAYS,
            KEPT,
            ANSWERED,
            ("events", "received", "schema_invalid"),
            ("events", "received spawned", "schema_invalid"),
            ("events", "received spawned", "received failed"),
        ],
    },
    Difference {
        key: "the prompt",
        seed: "an argument: over 128 kB it ends the daemon",
        ours: "on stdin",
        why: "arguments are limited, and everybody on the machine can read them",
        cases: &["*"],
        facts: &[
            ("session * arguments", SEEDS_ARGUMENTS, OUR_ARGUMENTS),
            ("session 2 arguments", SEEDS_ARGUMENTS, OUR_ARGUMENTS_RESUMED),
        ],
    },
    Difference {
        key: "the prompt",
        seed: "an argument: over 128 kB it ends the daemon",
        ours: "on stdin",
        why: "arguments are limited, and everybody on the machine can read them",
        cases: &["task-of-200-kB"],
        facts: &[
            DIES,
            STAYS,
            ANSWERED,
            ("events", "received spawned", "received spawned completed"),
            ("starts", "0", "1"),
        ],
    },
    Difference {
        key: "`project_dir`",
        seed: "the first `~` anywhere is the home directory",
        ours: "only a leading `~/` is",
        why: "a directory may have a `~` in its name",
        cases: &["project-with-a-tilde"],
        facts: &[
            DIES,
            STAYS,
            ANSWERED,
            ("events", "received spawned", "received spawned completed"),
            ("starts", "0", "1"),
        ],
    },
    Difference {
        key: "`project_dir`",
        seed: "may be relative to wherever the daemon was started",
        ours: "absolute, or with a leading `~/`",
        why: "cron, systemd and a shell start it in different places",
        cases: &["project-relative"],
        facts: &[
            ("events", "received spawned completed", "received failed"),
            ("starts", "1", "0"),
            ("report status", "completed", "failed"),
            ("report error", "-", "there"),
            ("report error_type", "-", "spawn_failed"),
            ("report output_length", "there", "-"),
        ],
    },
    Difference {
        key: "how a session ended",
        seed: "exit 0 is success",
        ours: "the stream's result says",
        why: "an agent that said nothing, or an error, did not complete",
        cases: &["exit-0-without-result", "error-then-exit-0"],
        facts: &[
            ("report status", "completed", "failed"),
            ("report error", "-", "there"),
            ("report error_type", "-", "tool_failure"),
            ("report error_type", "-", "logic_error"),
            ("events", "received spawned completed", "received spawned retried spawned failed"),
            ("events", "received spawned completed", "received spawned failed"),
            ("starts", "1", "2"),
        ],
    },
    Difference {
        key: "how a session ended",
        seed: "any other exit is a failure",
        ours: "the stream's result says",
        why: "the work was done and said to be done",
        cases: &["result-then-exit-1"],
        facts: &[
            ("report status", "failed", "completed"),
            ("report error", "there", "-"),
            ("report error_type", "tool_failure", "-"),
            ("report retry_count", "1", "0"),
            ("events", "received spawned retried spawned failed", "received spawned completed"),
            ("starts", "2", "1"),
        ],
    },
    Difference {
        key: "how a session ended",
        seed: "exit 137 and 143 are a timeout, words on stderr name the error",
        ours: "a timeout is what we ended; without a result the agent crashed",
        why: "exit codes and words mean many things",
        cases: &["exit-137", "exit-143", "words-and-exit-1"],
        facts: &[
            ("report error_type", "timeout", "tool_failure"),
            ("report error_type", "logic_error", "tool_failure"),
            ("report retry_count", "0", "1"),
            ("audit failed", "*retry_count=0*", "*error_type=tool_failure retry_count=1*"),
            ("events", "received spawned failed", "received spawned retried spawned failed"),
            ("starts", "1", "2"),
        ],
    },
    Difference {
        key: "how a session ended",
        seed: "words on stderr name the error",
        ours: "the stream does",
        why: "the words of some program need not be the agent's",
        cases: &["rate-limit-in-words-only"],
        facts: &[
            ("report error_type", "rate_limit", "tool_failure"),
            ("audit retried", "error_type=rate_limit retry=1", "error_type=tool_failure retry=1"),
            ("audit failed", "*error_type=rate_limit*", "*error_type=tool_failure*"),
        ],
    },
    Difference {
        key: "how a session ended",
        seed: "everything unknown is a `tool_failure`, and run again",
        ours: "more kinds of errors",
        why: "a login that has run out is not mended by a retry",
        cases: &["error-401"],
        facts: &[
            ("report error_type", "tool_failure", "auth"),
            ("report retry_count", "1", "0"),
            ("audit failed", "*error_type=tool_failure*", "*error_type=auth*"),
            ("events", "received spawned retried spawned failed", "received spawned failed"),
            ("starts", "2", "1"),
        ],
    },
    Difference {
        key: "a retry",
        seed: "none after `context_overflow`",
        ours: "one without learnings",
        why: "the seed's own description promises it",
        cases: &["overflow-with-learnings", "overflow-with-learnings-once"],
        facts: &[
            ("events", "received spawned failed", "received spawned retried spawned *"),
            ("starts", "1", "2"),
            ("report retry_count", "0", "1"),
            ("report status", "failed", "completed"),
            ("report error", "there", "-"),
            ("report error_type", "context_overflow", "-"),
            ("audit failed", "*retry_count=0*", "*retry_count=1*"),
        ],
    },
    Difference {
        key: "a retry",
        seed: "starts anew",
        ours: "resumes the session, if the model had answered",
        why: "what is done must not be done again",
        cases: &["error-500-after-work"],
        facts: &[(
            "session 2 prompt",
            "Load gstack. Dispatch ID: *",
            "Dispatch ID: dispatch-error-500-after-work. The session was cut off *",
        )],
    },
    Difference {
        key: "a retry",
        seed: "`duration` is that of the last attempt",
        ours: "from the first start to the last end",
        why: "the sender waited for all of it",
        cases: &["rate-limit", "rate-limit-once"],
        facts: &[("report duration", "at once", "half a minute")],
    },
    Difference {
        key: "what a session left running",
        seed: "runs on",
        ours: "ended at every end of a session, and reported",
        why: "nothing is left running",
        cases: &["leftover-process"],
        facts: &[
            ("processes left", "1", "0"),
            (
                "events",
                "received spawned completed",
                "received spawned leftover_processes completed",
            ),
        ],
    },
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

/// Facts that are only there together with another one that is always there: a report, a session,
/// an audit line.
const CONDITIONAL: [&str; 4] = ["report ", "session ", "audit ", "received "];

/// One fact in which a case differs.
struct Found<'a> {
    case: &'a str,
    fact: &'a str,
    seed: &'a str,
    ours: &'a str,
}

pub struct Comparison {
    pub facts: usize,
    pub differences: usize,
    pub wrong: Vec<String>,
}

type ByCase = BTreeMap<&'static str, Facts>;

/// Compares what was seen of all cases. `is_whole`: every case ran, so that every entry must have
/// been seen.
pub fn compare(seed: &ByCase, ours: &ByCase, is_whole: bool) -> Comparison {
    let (mut facts, mut found, mut wrong) = (0, Vec::new(), Vec::new());
    for (case, of_seed) in seed {
        let of_ours = &ours[case];
        let names: BTreeSet<&String> = of_seed.keys().chain(of_ours.keys()).collect();
        for fact in names {
            match (of_seed.get(fact), of_ours.get(fact)) {
                (Some(seed), Some(ours))
                    if fact.starts_with("audit ") && lines(seed) != lines(ours) => {}
                (Some(seed), Some(ours)) => {
                    facts += 1;
                    found.extend((seed != ours).then_some(Found { case, fact, seed, ours }));
                }
                _ if CONDITIONAL.iter().any(|start| fact.starts_with(start)) => {}
                (one, two) => {
                    wrong.push(format!("{case}: {fact} on one side only: {one:?} {two:?}"))
                }
            }
        }
    }
    let unexplained = found.iter().filter(|f| !DIFFERENCES.iter().any(|d| explains(d, f)));
    wrong
        .extend(unexplained.map(|f| {
            format!("{}: {}\n    seed: {}\n    ours: {}", f.case, f.fact, f.seed, f.ours)
        }));
    if is_whole {
        wrong.extend(DIFFERENCES.iter().flat_map(|difference| not_shown(difference, &found)));
    }
    Comparison { facts, differences: found.len(), wrong }
}

/// The audit lines that one fact tells of; that there are more of them is what `events` tells.
fn lines(details: &str) -> usize {
    details.split("; ").count()
}

fn explains(difference: &Difference, found: &Found) -> bool {
    difference.cases.iter().any(|case| fits(case, found.case))
        && difference.facts.iter().any(|shown| shows(shown, found))
}

fn shows((fact, seed, ours): &Shown, found: &Found) -> bool {
    fits(fact, found.fact) && fits(seed, found.seed) && fits(ours, found.ours)
}

/// The cases and facts of an entry that nothing was found for.
fn not_shown(difference: &Difference, found: &[Found]) -> Vec<String> {
    let key = difference.key;
    let of_it: Vec<&Found> = found.iter().filter(|f| explains(difference, f)).collect();
    let cases = difference.cases.iter().filter(|case| !of_it.iter().any(|f| fits(case, f.case)));
    let facts = difference.facts.iter().filter(|shown| !of_it.iter().any(|f| shows(shown, f)));
    let cases = cases.map(|case| format!("{key}: {case} does not show it"));
    cases.chain(facts.map(|shown| format!("{key}: no case shows {shown:?}"))).collect()
}

/// `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let cuts = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
            rest.is_empty() || cuts.into_iter().any(|at| fits(rest, &text[at..]))
        }),
    }
}

#[test]
fn patterns_fit_whole_texts() {
    for (pattern, text, wanted) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*b", "ab", true),
        ("*b", "abc", false),
        ("a*c*", "abcd", true),
        ("a*c*", "abd", false),
        ("*", "", true),
    ] {
        assert_eq!(fits(pattern, text), wanted, "{pattern} {text}");
    }
}

#[test]
fn a_difference_without_a_row_and_a_row_without_a_difference_are_found() {
    let facts = |values: &[(&str, &str)]| -> Facts {
        values.iter().map(|(fact, value)| (fact.to_string(), value.to_string())).collect()
    };
    let compare_one = |seed: &[(&str, &str)], ours: &[(&str, &str)], is_whole| {
        let of = |values| ByCase::from([("ttl", facts(values))]);
        compare(&of(seed), &of(ours), is_whole).wrong
    };
    assert_eq!(compare_one(&[("starts", "2")], &[("starts", "1")], false), [""; 0]);
    assert_eq!(compare_one(&[("starts", "2")], &[("starts", "3")], false).len(), 1);
    assert_eq!(compare_one(&[("exit", "0")], &[], false).len(), 1);
    assert_eq!(compare_one(&[("report status", "failed")], &[], false), [""; 0]);
    assert!(compare_one(&[("starts", "2")], &[("starts", "1")], true).len() > DIFFERENCES.len());
}

/// The README's table and this one are the same.
#[test]
fn every_difference_is_a_row_of_the_readme() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(readme).expect("README.md");
    let rows = rows_of(&text);
    let keys: BTreeSet<&str> = DIFFERENCES.iter().map(|difference| difference.key).collect();
    let missing = DIFFERENCES.iter().filter(|d| !rows.contains(&plain(d.key)));
    let missing: Vec<String> =
        missing.map(|d| format!("| {} | {} | {} | ({})", d.key, d.seed, d.ours, d.why)).collect();
    assert!(missing.is_empty(), "rows that README.md lacks:\n{}", missing.join("\n"));
    let shown: BTreeSet<String> = keys.into_iter().chain([TAKEN_OUT]).map(plain).collect();
    let unknown: Vec<&String> = rows.iter().filter(|row| !shown.contains(*row)).collect();
    assert!(unknown.is_empty(), "rows of README.md that no case shows: {unknown:?}");
}

/// The first column of the table under "Different from the seed on purpose".
fn rows_of(readme: &str) -> BTreeSet<String> {
    let section =
        readme.split("\n## ").find(|s| s.to_lowercase().starts_with("different from the seed"));
    let table = section.expect("the README's section").lines().filter(|l| l.starts_with('|'));
    // Below the head and its line.
    table.skip(2).filter_map(|line| line.split('|').nth(1)).map(plain).collect()
}

/// Without what is only typography.
fn plain(text: &str) -> String {
    let text = text.replace(['`', '*', '_'], "").to_lowercase();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
