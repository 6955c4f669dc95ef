//! One dispatch's way from its turn to its report: who runs when, with which arguments, environment
//! and prompt; how a session is ended and what is left of it (nothing); retries; and that the
//! report says what really happened.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::util::*;

fn block(gate: &Gate) -> String {
    format!("fake: block {}", gate.display())
}

fn lines(path: impl AsRef<Path>) -> Vec<String> {
    text_file(path).lines().map(String::from).collect()
}

fn attempts(report: &Value) -> &Vec<Value> {
    report["attempts"].as_array().unwrap_or_else(|| panic!("no attempts: {report:#}"))
}

// ----------------------------------------------------------------------------------- the usual way

#[test]
fn a_dispatch_becomes_a_report() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: turn working on it\nfake: result success All done."));
    let report = lab.settled("a");
    lab.completed("a");
    assert_eq!(report["target_agent"], "claude");
    assert_eq!(report["project"], "project-a");
    assert_eq!(report["result"], "All done.");
    assert_eq!(report["exit_code"], 0);
    assert_eq!(report["num_turns"], 1);
    assert_eq!(report["total_cost_usd"], 0.01);
    assert_eq!(report["usage"]["output_tokens"], 5);
    assert_eq!(report.get("retry_count").unwrap_or(&json!(0)), 0);
    assert!(is_stamp(&report["started_at"]) && is_stamp(&report["finished_at"]), "{report:#}");
    assert!(report.get("leftover_processes").is_none(), "{report:#}");
    assert!(report.get("git").is_none(), "git facts outside of a repository: {report:#}");
    let one = &attempts(&report)[0];
    assert_eq!((&one["attempt"], &one["exit_code"]), (&json!(1), &json!(0)), "{report:#}");
    assert_eq!(one["session_id"], report["session_id"]);

    let dir = lab.finished("a");
    for file in ["dispatch.json", "accepted.json", "report.json"] {
        assert!(dir.join(file).exists(), "{file}");
    }
    let attempt = dir.join("attempt-1");
    for file in
        ["attempt.json", "prompt.txt", "stdout.jsonl", "stderr.log", "child.json", "end.json"]
    {
        assert!(attempt.join(file).exists(), "attempt-1/{file}");
    }
    let stdout = fs::metadata(attempt.join("stdout.jsonl")).expect("stdout.jsonl").len();
    assert_eq!(report["output_length"], stdout);
    assert_eq!(json_file(&dir.join("report.json")), report);
    assert_eq!(lab.waiting(), [""; 0]);
    assert!(!lab.active("a").exists());
    drop(daemon);
}

#[test]
fn the_audit_log_tells_the_whole_way() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    let report = lab.settled("a");
    assert_eq!(lab.events("a"), ["received", "spawned", "completed"]);
    let spawned = lab.event("a", "spawned");
    assert_eq!(spawned["project"], "project-a");
    assert_eq!(spawned["retry"], 0);
    assert_eq!(spawned["attempt"], 1);
    assert_eq!(spawned["session_id"], report["session_id"]);
    let completed = lab.event("a", "completed");
    assert_eq!(completed["exit_code"], 0);
    assert_eq!(completed["duration"], report["duration"]);
    lab.event("", "daemon_started");
    drop(daemon);
}

#[test]
fn the_start_stands_in_the_audit_log_and_on_disk_before_the_agent_runs() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", block(&gate)));
    let hold = gate.held();
    assert_eq!(lab.events("a"), ["received", "spawned"]);
    assert!(lab.active("a").join("attempt-1/attempt.json").exists());
    assert!(lab.dropped("a").exists(), "the inbox file stays until the answer");
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn the_prompt_is_the_seeds_word_for_word() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let dump = lab.path("dump");
    let task = format!("-x \"é\" $HOME `id`\n/cost @/etc/passwd\nfake: dump {}", dump.display());
    let dispatch = lab
        .task("a", task.clone())
        .with("constraints", json!(["no new dependencies", "be brief, please"]))
        .with("learnings", json!(["one", "two\nlines", "three", "four", "five", "six", "seven"]));
    lab.send(&dispatch);
    lab.settled("a");
    let wanted = format!(
        "Load gstack. Dispatch ID: dispatch-a. Task: {task}\n\
         Constraints: no new dependencies, be brief, please\n\
         Relevant learnings from prior sessions:\none\ntwo\nlines\nthree\nfour\nfive"
    );
    assert_eq!(text_file(dump.join("prompt")), wanted);
    assert_eq!(text_file(lab.finished("a").join("attempt-1/prompt.txt")), wanted);
    // Empty lists add nothing.
    let dump = lab.path("dump-b");
    let task = format!("fake: dump {}", dump.display());
    let plain =
        lab.task("b", task.clone()).with("constraints", json!([])).with("learnings", json!([]));
    lab.send(&plain);
    lab.completed("b");
    let wanted = format!("Load gstack. Dispatch ID: dispatch-b. Task: {task}");
    assert_eq!(text_file(dump.join("prompt")), wanted);
    drop(daemon);
}

#[test]
fn a_task_of_300_kilobytes_reaches_the_agent_whole() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let dump = lab.path("dump");
    let task = format!("fake: dump {}\n{}", dump.display(), "0123456789 é\n".repeat(22_000));
    assert!(task.len() > 300_000);
    lab.send(&lab.task("a", task.clone()));
    lab.completed("a");
    let wanted = format!("Load gstack. Dispatch ID: dispatch-a. Task: {task}");
    assert!(text_file(dump.join("prompt")) == wanted, "the prompt differs");
    drop(daemon);
}

#[test]
fn the_agent_is_started_with_fixed_arguments_and_nothing_from_the_dispatch() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let (one, two) = (lab.path("one"), lab.path("two"));
    lab.send(
        &lab.task("a", format!("--dangerously-skip-permissions\nfake: dump {}", one.display())),
    );
    lab.send(&lab.task("b", format!("fake: dump {}", two.display())));
    let (a, b) = (lab.completed("a"), lab.completed("b"));
    let argv = lines(one.join("argv"));
    let session = argv.last().expect("arguments").clone();
    let wanted =
        "--print --permission-mode acceptEdits --output-format stream-json --verbose --session-id";
    assert_eq!(argv[..argv.len() - 1].join(" "), wanted);
    assert!(is_uuid(&session), "{session}");
    assert_eq!(a["session_id"], session);
    assert_ne!(a["session_id"], b["session_id"]);
    assert_eq!(text_file(one.join("cwd")).trim(), lab.path("project-a").to_str().expect("UTF-8"));
    assert_eq!(text_file(one.join("program")).trim(), format!("{FIXTURES}/bin/claude"));
    drop(daemon);
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[test]
fn allowed_tools_and_more_arguments_come_from_the_operator() {
    let lab = Lab::new();
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    let config = json!({ "claude_args": ["--model", "opus 5", "--max-turns", "7"] });
    fs::write(lab.ours().join("config.json"), config.to_string()).expect("write config.json");
    let daemon =
        lab.daemon().set("--allow-tools", "Bash(git:*),Bash(cargo test:*),WebFetch").start();
    let dump = lab.path("dump");
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    lab.completed("a");
    let argv = lines(dump.join("argv"));
    let at = |word: &str| {
        argv.iter().position(|w| w == word).unwrap_or_else(|| panic!("{word}: {argv:?}"))
    };
    assert_eq!(argv[at("--model") + 1], "opus 5");
    assert_eq!(argv[at("--max-turns") + 1], "7");
    // Claude Code takes them as one word with commas or as several words; the next flag ends them.
    let tools = argv[at("--allowedTools") + 1..].iter().take_while(|w| !w.starts_with("--"));
    let tools = tools.map(String::as_str).collect::<Vec<_>>().join(",");
    assert_eq!(tools, "Bash(git:*),Bash(cargo test:*),WebFetch");
    assert!(argv.contains(&"--session-id".to_string()), "{argv:?}");
    drop(daemon);
}

#[test]
fn the_session_has_our_marks_and_neither_our_secrets_nor_those_of_an_outer_session() {
    let lab = Lab::new();
    let dump = lab.path("dump");
    let removed = [
        "CLAUDECODE",
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_CODE_SESSION_ID",
        "CLAUDE_CODE_CHILD_SESSION",
        "CLAUDE_CODE_MESSAGING_TOKEN",
        "CLAUDE_PID",
        "NODE_OPTIONS",
        "NODE_CHANNEL_FD",
        "AI_AGENT",
        "CLAWVISOR_URL",
        "CLAWVISOR_AGENT_TOKEN",
        "GSTACK_DISPATCHD_CALLBACK_TIMEOUT_SECONDS",
        "CONDUCTOR_PORT",
        "CONDUCTOR_WORKSPACE_PATH",
        "CLAUDE_PLAN_FILE",
        "GSTACK_PLAN_MODE",
        "GSTACK_PLAN_MODE_FORCE",
        "OPENCLAW_GATEWAY_TOKEN",
        "OPENCLAW_GATEWAY_PASSWORD",
        "ACPX_AUTH_OPENAI",
    ];
    let kept = [
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CODE_USE_VERTEX",
        "CLAUDE_CODE_MAX_RETRIES",
        "CLAUDE_CODE_TMPDIR",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "HTTPS_PROXY",
        "LANG",
        "SOMETHING_ELSE",
    ];
    let start =
        removed.iter().chain(&kept).fold(lab.daemon(), |start, key| start.env(key, "some-value"));
    let start = start.env("GSTACK_DISPATCHD_CALLBACK_TIMEOUT_SECONDS", 7);
    let start = start.env("OPENCLAW_SESSION", "outer").env("GSTACK_RUN_LEADER", "outer");
    let daemon = start.word("--local-only").start();
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    lab.settled("a");
    lab.completed("a");
    let env = lines(dump.join("env"));
    let value = |key: &str| env.iter().find_map(|line| line.strip_prefix(&format!("{key}=")));
    for key in removed {
        assert_eq!(value(key), None, "{key}");
    }
    for key in kept {
        assert_eq!(value(key), Some("some-value"), "{key}");
    }
    assert!(!env.iter().any(|line| line.starts_with("GSTACK_DISPATCHD_")), "{env:?}");
    assert_eq!(value("GSTACK_DISPATCH_ID"), Some("dispatch-a"));
    assert_eq!(value("DISABLE_AUTOUPDATER"), Some("1"));
    assert_ne!(value("GSTACK_RUN_LEADER"), Some("outer"));
    // gstack's skills take the recommended option then, and ask nobody.
    assert_eq!(value("OPENCLAW_SESSION"), Some("1"));
    assert_eq!(value("HOME"), lab.home.to_str());
    let copy = lab.active("a").join("dispatch.json");
    assert_eq!(value("GSTACK_DISPATCH_FILE"), copy.to_str());
    let token = value("GSTACK_RUN_TOKEN").expect("a run token");
    assert!(token.len() == 32 && token.chars().all(|c| c.is_ascii_hexdigit()), "{token}");
    drop(daemon);
}

#[test]
fn the_session_inherits_no_descriptor_of_the_daemon() {
    let lab = Lab::new();
    let (gate, dump) = (lab.gate("gate"), lab.path("dump"));
    let daemon = lab.daemon().start();
    // Another session runs meanwhile, so that its files are open in the daemon, too.
    lab.send(&lab.task("other", block(&gate)));
    let hold = gate.held();
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    lab.completed("a");
    hold.release();
    lab.completed("other");
    let of_ours = |line: &String| {
        line.contains(lab.gstack.to_str().expect("UTF-8"))
            || ["anon_inode", "socket:"].iter().any(|kind| line.contains(kind))
    };
    let open: Vec<_> = lines(dump.join("fds")).into_iter().filter(of_ours).collect();
    let attempt = lab.active("a").join("attempt-1");
    for line in &open {
        let (_, target) = line.split_once(" -> ").expect("a link");
        let named = ["prompt.txt", "stdout.jsonl", "stderr.log"].map(|name| attempt.join(name));
        assert!(named.contains(&PathBuf::from(target)), "inherited: {line}");
    }
    assert!(open.len() >= 2, "the session's files: {open:?}");
    drop(daemon);
}

#[test]
fn a_leading_tilde_is_the_home_directory_and_no_other_tilde_is() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let (home, odd) = (lab.home.join("in-home"), lab.project("odd~name"));
    fs::create_dir(&home).expect("create");
    lab.send(&lab.task("a", "fake: mark ran").with("project_dir", "~/in-home"));
    lab.send(&lab.task("b", "fake: mark ran").in_dir(&odd));
    lab.completed("a");
    lab.completed("b");
    assert!(home.join("ran").exists() && odd.join("ran").exists());
    drop(daemon);
}

// -------------------------------------------------------------------------------- whose turn it is

#[test]
fn dispatches_run_in_the_order_of_their_acceptance() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    let mark = format!("fake: mark {}", ran.display());
    lab.send(&lab.task("first", format!("{mark}\n{}", block(&gate))));
    let hold = gate.held();
    // Neither by name nor by any other order than that in which they came.
    let names = ["m", "z", "a", "q", "b", "y", "c"];
    for (n, name) in names.into_iter().enumerate() {
        lab.send(&lab.task(name, mark.as_str()));
        lab.accepted(name);
        assert_eq!(lab.event(name, "queued")["queue_depth"], n + 1);
    }
    let beat = lab.heartbeat("all of them wait", |b| b["queued"] == names.len());
    assert_eq!(beat["active"], 1);
    hold.release();
    names.iter().for_each(|name| drop(lab.settled(name)));
    assert_eq!(starts(&ran)[1..], names);
    assert!(!lab.events("first").contains(&"queued".to_string()));
    drop(daemon);
}

#[test]
fn never_more_than_the_allowed_number_run_at_once() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 3).start();
    let gates: Vec<_> = (0..3).map(|n| lab.gate(&format!("gate-{n}"))).collect();
    let ran = lab.path("ran");
    let task = |n: usize, middle: String| {
        let mark = format!("fake: mark {}", ran.display());
        lab.task(&n.to_string(), format!("{mark}\n{middle}\n{mark} end"))
    };
    for (n, gate) in gates.iter().enumerate() {
        lab.send(&task(n, block(gate)));
    }
    let holds: Vec<_> = gates.iter().map(Gate::held).collect(); // three at once, then
    for n in 3..24 {
        lab.send(&task(n, "fake: sleep 0.01".into()));
    }
    (3..24).for_each(|n| lab.accepted(&n.to_string()));
    assert_eq!(starts(&ran).len(), 3);
    holds.into_iter().for_each(Hold::release);
    (0..24).for_each(|n| drop(lab.completed(&n.to_string())));
    let mut running = 0;
    for (word, id, _) in marks(&ran) {
        running += if word == "start" { 1 } else { -1 };
        assert!((0..=3).contains(&running), "{running} at once at {id}");
    }
    drop(daemon);
}

/// `a` runs in `first`; `b` waits for it in `second` though a slot is free; `c`, of another
/// project, overtakes.
fn second_waits_for_first(lab: &Lab, first: &Path, second: Value) {
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().set("--max-concurrent", 3).start();
    let mark = format!("fake: mark {}", ran.display());
    lab.send(&lab.task("a", format!("{mark}\n{}", block(&gate))).in_dir(first));
    let hold = gate.held();
    lab.send(&lab.task("b", mark.as_str()).with("project_dir", second));
    lab.accepted("b");
    lab.send(&lab.task("c", mark.as_str()));
    lab.completed("c");
    assert_eq!(starts(&ran), ["a", "c"]);
    hold.release();
    lab.completed("a");
    lab.completed("b");
    assert_eq!(starts(&ran), ["a", "c", "b"]);
    drop(daemon);
}

#[test]
fn one_session_at_a_time_in_one_directory_and_others_overtake() {
    let lab = Lab::new();
    let dir = lab.project("shared");
    second_waits_for_first(&lab, &dir, json!(dir));
}

#[test]
fn other_spellings_of_a_directory_are_the_same_project() {
    let lab = Lab::new();
    let dir = lab.project("shared");
    second_waits_for_first(&lab, &dir, json!(format!("{}/../shared//./", dir.display())));
}

#[test]
fn a_tilde_spells_the_same_project() {
    let lab = Lab::new();
    let dir = lab.home.join("shared");
    fs::create_dir(&dir).expect("create");
    second_waits_for_first(&lab, &dir, json!("~/shared"));
}

#[test]
fn a_symlink_to_a_directory_is_the_same_project() {
    let lab = Lab::new();
    let (dir, link) = (lab.project("shared"), lab.path("link"));
    symlink(&dir, &link).expect("symlink");
    second_waits_for_first(&lab, &dir, json!(link));
}

#[test]
fn two_directories_of_one_repository_are_the_same_project() {
    let lab = Lab::new();
    let top = lab.repository("repository");
    let deep = top.join("crates/one");
    fs::create_dir_all(&deep).expect("create");
    second_waits_for_first(&lab, &top, json!(deep));
}

#[test]
fn two_plain_directories_side_by_side_are_two_projects() {
    let lab = Lab::new();
    let (one, two) = (lab.gate("one"), lab.gate("two"));
    let top = lab.project("top");
    let daemon = lab.daemon().start();
    for (name, gate) in [("a", &one), ("b", &two)] {
        fs::create_dir(top.join(name)).expect("create");
        lab.send(&lab.task(name, block(gate)).in_dir(&top.join(name)));
    }
    let holds = [one.held(), two.held()]; // both at once
    holds.into_iter().for_each(Hold::release);
    lab.completed("a");
    lab.completed("b");
    drop(daemon);
}

#[test]
fn without_a_limit_two_sessions_run_in_one_project() {
    let lab = Lab::new();
    let (one, two) = (lab.gate("one"), lab.gate("two"));
    let dir = lab.project("shared");
    let daemon = lab.daemon().set("--max-per-project", 0).start();
    lab.send(&lab.task("a", block(&one)).in_dir(&dir));
    lab.send(&lab.task("b", block(&two)).in_dir(&dir));
    let holds = [one.held(), two.held()];
    holds.into_iter().for_each(Hold::release);
    lab.completed("a");
    lab.completed("b");
    drop(daemon);
}

#[test]
fn a_project_limit_of_two_lets_two_run_and_the_third_wait() {
    let lab = Lab::new();
    let (one, two, ran) = (lab.gate("one"), lab.gate("two"), lab.path("ran"));
    let dir = lab.project("shared");
    let daemon = lab.daemon().set("--max-per-project", 2).set("--max-concurrent", 4).start();
    lab.send(&lab.task("a", block(&one)).in_dir(&dir));
    lab.send(&lab.task("b", block(&two)).in_dir(&dir));
    let holds = [one.held(), two.held()];
    lab.send(&lab.task("c", format!("fake: mark {}", ran.display())).in_dir(&dir));
    lab.accepted("c");
    lab.send(&lab.task("other", "hello"));
    lab.completed("other");
    assert!(!ran.exists());
    holds.into_iter().for_each(Hold::release);
    lab.completed("c");
    drop(daemon);
}

// ---------------------------------------------------------------------------- the end of a session

/// Children of every kind that a group kill misses; their pids go into `file`.
fn children(file: &Path) -> String {
    let kinds = ["setsid-child", "nohup-child", "double-fork-child", "holder-child"];
    kinds.map(|kind| format!("fake: {kind} {}\n", file.display())).concat()
}

pub fn all_gone(file: &Path) -> Vec<i32> {
    let pids = pids_in(file);
    let left: Vec<_> = pids.iter().copied().filter(|pid| alive(*pid)).collect();
    // One of them has no mark by which the harness would find it.
    left.iter().for_each(|pid| signal(*pid, Signal::KILL));
    assert!(left.is_empty(), "children alive at the report: {left:?}");
    pids
}

#[test]
fn a_session_past_its_ttl_is_gone_with_all_its_children_when_the_report_appears() {
    let lab = Lab::new();
    let pids = lab.path("pids");
    let daemon = lab.daemon().start();
    let task = format!("fake: ignore-term\n{}fake: sleep 7777", children(&pids));
    lab.send(&lab.task("a", task).with("ttl_seconds", 1));
    let report = lab.ended("a", "timeout", "timeout");
    assert_eq!(all_gone(&pids).len(), 4);
    assert!((1..20).contains(&report["duration"].as_u64().unwrap_or(0)), "{report:#}");
    assert_eq!(attempts(&report).len(), 1);
    let line = lab.event("a", "failed");
    assert_eq!(
        (&line["error_type"], &line["status"]),
        (&json!("timeout"), &json!("timeout")),
        "{line}"
    );
    drop(daemon);
}

#[test]
fn a_session_past_its_ttl_that_heeds_sigterm_is_a_timeout_too() {
    let lab = Lab::new();
    // The grace is far longer than anybody waits here.
    let daemon = lab.daemon().set("--kill-grace", 600).start();
    lab.send(&lab.task("a", "fake: turn so far\nfake: sleep 7777").with("ttl_seconds", 1));
    let report = lab.ended("a", "timeout", "timeout");
    assert_eq!(attempts(&report).len(), 1);
    assert_eq!(report.get("retry_count").unwrap_or(&json!(0)), 0);
    drop(daemon);
}

#[test]
fn a_session_that_was_stopped_is_no_end_and_its_ttl_is_kept() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: kill-self STOP").with("ttl_seconds", 1));
    let report = lab.ended("a", "timeout", "timeout");
    assert_eq!(attempts(&report).len(), 1);
    drop(daemon);
}

#[test]
fn what_a_session_that_ended_well_left_behind_is_ended_and_named() {
    let lab = Lab::new();
    let pids = lab.path("pids");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", children(&pids)));
    let report = lab.completed("a");
    let mut pids = all_gone(&pids);
    let left = report["leftover_processes"].as_array().expect("leftover_processes");
    let mut named: Vec<i32> =
        left.iter().filter_map(|p| p["pid"].as_i64()).map(|p| p as i32).collect();
    named.sort();
    pids.sort();
    assert_eq!(named, pids, "{report:#}");
    assert!(left.iter().all(|p| p["ended"] == true), "{report:#}");
    lab.event("a", "leftover_processes");
    drop(daemon);
}

#[test]
fn children_that_ignore_sigterm_are_ended_after_a_clean_end_too() {
    let lab = Lab::new();
    let pids = lab.path("pids");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: ignore-term\n{}", children(&pids))));
    lab.completed("a");
    assert_eq!(all_gone(&pids).len(), 4);
    drop(daemon);
}

#[test]
fn a_background_task_is_waited_for_and_the_last_result_counts() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: background {}", gate.display())));
    let hold = gate.held(); // the first result is out
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    assert!(!lab.report_path("a").exists(), "reported at the first result");
    hold.release();
    assert_eq!(lab.completed("a")["result"], "second");
    drop(daemon);
}

#[test]
fn an_agent_that_ends_well_without_a_result_has_failed() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: turn I began\nfake: remember\nfake: no-result"));
    let report = lab.failed("a", "tool_failure");
    assert_eq!(report["exit_code"], 0);
    assert_eq!(report["retry_count"], 1);
    drop(daemon);
}

#[test]
fn an_agent_that_is_killed_is_tried_once_more() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: once kill-self KILL\nfake: result success at last"));
    let report = lab.completed("a");
    assert_eq!(report["result"], "at last");
    assert_eq!(report["retry_count"], 1);
    assert_eq!(attempts(&report)[0]["signal"], 9);
    assert_eq!(attempts(&report)[0]["error_type"], "tool_failure");
    lab.send(&lab.task("b", "fake: mark ran\nfake: kill-self KILL"));
    let report = lab.failed("b", "tool_failure");
    assert_eq!((&report["signal"], &report["retry_count"]), (&json!(9), &json!(1)), "{report:#}");
    assert_eq!(starts(&lab.path("project-b/ran")).len(), 2);
    drop(daemon);
}

#[test]
fn an_agent_that_refuses_its_arguments_is_not_tried_again() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let task = "fake: silent\nfake: mark ran\nfake: stderr error: unknown option '--permission-mode'\nfake: exit 1";
    lab.send(&lab.task("a", task));
    let report = lab.failed("a", "config");
    assert_eq!(report["exit_code"], 1);
    assert_eq!(starts(&lab.path("project-a/ran")).len(), 1);
    assert!(report["error"].as_str().is_some_and(|e| e.contains("unknown option")), "{report:#}");
    drop(daemon);
}

#[test]
fn words_on_stderr_or_in_prose_decide_nothing() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let words = "429 rate limit: too many requests, context too long, I can't, unable to";
    lab.send(&lab.task("a", format!("fake: stderr {words}\nfake: result success {words}")));
    assert_eq!(lab.completed("a")["result"], words);
    lab.send(&lab.task(
        "b",
        format!("fake: once turn {words}\nfake: once kill-self KILL\nfake: result success ok"),
    ));
    let report = lab.completed("b");
    assert_eq!(attempts(&report)[0]["error_type"], "tool_failure", "{report:#}");
    drop(daemon);
}

#[test]
fn noise_broken_lines_and_endless_lines_hide_no_result() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let task = "fake: broken-line\nfake: raw plain text\nfake: raw [1,2]\nfake: raw null\nfake: one-line 3000000\n\
                fake: print-bytes 2000000\nfake: result success Found.\nfake: raw \nfake: broken-line";
    lab.send(&lab.task("a", task));
    let report = lab.settled("a");
    lab.completed("a");
    assert_eq!(report["result"], "Found.");
    let stdout =
        fs::metadata(lab.finished("a").join("attempt-1/stdout.jsonl")).expect("stdout").len();
    assert!(stdout > 5_000_000 && report["output_length"] == stdout, "{stdout}: {report:#}");
    drop(daemon);
}

#[test]
fn denied_tools_are_reported_with_the_success() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(
        &lab.task("a", "fake: deny Bash\nfake: deny Write\nfake: result success I could not push."),
    );
    let report = lab.completed("a");
    let denials = report["permission_denials"].as_array().expect("permission_denials");
    let tools: Vec<_> = denials.iter().map(|d| &d["tool_name"]).collect();
    assert_eq!(tools, ["Bash", "Write"], "{report:#}");
    drop(daemon);
}

#[test]
fn secrets_do_not_reach_the_report() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let key = "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCdEfGhIjKlMnOpQr";
    let token = "ghp_AbCdEfGhIjKlMnOpQrStUvWxYz0123456789";
    lab.send(&lab.task("a", format!("fake: result success keys: {key} and {token} end")));
    lab.completed("a");
    lab.send(
        &lab.task("b", format!("fake: result error 401 authentication_failed bad key {key} end")),
    );
    lab.failed("b", "auth");
    for name in ["a", "b"] {
        let text = text_file(lab.report_path(name));
        assert!(!text.contains(key) && !text.contains(token), "{text}");
    }
    drop(daemon);
}

// ----------------------------------------------------------------------------------------- retries

/// What the second attempt of a dispatch got: (arguments, prompt).
fn second_attempt(lab: &Lab, name: &str, dump: &Path) -> (String, String) {
    let argv = lines(dump.join("argv")).join(" ");
    let prompt = text_file(lab.finished(name).join("attempt-2/prompt.txt"));
    (argv, prompt)
}

#[test]
fn after_a_server_error_the_session_is_taken_up_again() {
    let lab = Lab::new();
    let (ran, dump) = (lab.path("ran"), lab.path("dump"));
    let daemon = lab.daemon().start();
    let task = format!(
        "fake: remember\nfake: mark {}\nfake: dump {}\nfake: turn half of it\nfake: once result error 500 server_error\n\
         fake: once exit 1\nfake: result success the rest",
        ran.display(),
        dump.display()
    );
    lab.send(&lab.task("a", task));
    let report = lab.settled("a");
    lab.completed("a");
    assert_eq!(report["result"], "the rest");
    assert_eq!(report["retry_count"], 1);
    assert_eq!(starts(&ran).len(), 2);
    let (argv, prompt) = second_attempt(&lab, "a", &dump);
    let first = attempts(&report)[0].clone();
    let session = first["session_id"].as_str().expect("session_id");
    assert!(argv.ends_with(&format!("--resume {session}")), "{argv}");
    assert!(!argv.contains("--session-id"), "{argv}");
    assert!(!prompt.contains("fake: mark"), "the task is not given twice: {prompt}");
    assert!(prompt.contains("dispatch-a"), "{prompt}");
    assert_eq!(first["error_type"], "tool_failure");
    assert_eq!(attempts(&report)[1]["resumed"], true);
    let retried = lab.event("a", "retried");
    assert_eq!((&retried["error_type"], &retried["retry"]), (&json!("tool_failure"), &json!(1)));
    let spawned: Vec<Value> =
        lab.audit_of("a").into_iter().filter(|l| l["event"] == "spawned").collect();
    let numbers: Vec<_> =
        spawned.iter().map(|l| (l["attempt"].clone(), l["retry"].clone())).collect();
    assert_eq!(numbers, [(json!(1), json!(0)), (json!(2), json!(1))]);
    drop(daemon);
}

#[test]
fn a_session_that_never_got_a_turn_is_begun_anew() {
    let lab = Lab::new();
    let dump = lab.path("dump");
    let daemon = lab.daemon().start();
    let task = format!(
        "fake: dump {}\nfake: once result error null server_error\nfake: once exit 1",
        dump.display()
    );
    lab.send(&lab.task("a", task));
    let report = lab.settled("a");
    lab.completed("a");
    let (argv, prompt) = second_attempt(&lab, "a", &dump);
    assert!(!argv.contains("--resume") && argv.contains("--session-id"), "{argv}");
    assert_eq!(prompt, text_file(lab.finished("a").join("attempt-1/prompt.txt")));
    let sessions: Vec<_> = attempts(&report).iter().map(|a| &a["session_id"]).collect();
    assert_ne!(sessions[0], sessions[1]);
    drop(daemon);
}

#[test]
fn there_is_at_most_one_retry() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for (name, error, error_type) in [
        ("a", "500 server_error", "tool_failure"),
        ("b", "429 rate_limit", "rate_limit"),
        ("c", "529 server_error", "rate_limit"),
    ] {
        lab.send(&lab.task(name, format!("fake: mark ran\nfake: result error {error}")));
        let report = lab.failed(name, error_type);
        assert_eq!((&report["retry_count"], attempts(&report).len()), (&json!(1), 2), "{report:#}");
        assert_eq!(starts(&lab.path(&format!("project-{name}/ran"))).len(), 2);
        let line = lab.event(name, "failed");
        assert_eq!((&line["retry_count"], &line["exit_code"]), (&json!(1), &json!(1)), "{line}");
    }
    drop(daemon);
}

#[test]
fn a_rate_limit_is_waited_out_in_its_slot() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    let daemon = lab.daemon().set("--max-concurrent", 1).set("--rate-limit-backoff", 0.8).start();
    let mark = format!("fake: mark {}", ran.display());
    lab.send(
        &lab.task(
            "a",
            format!("{mark}\nfake: once result error 429 rate_limit\nfake: once exit 1"),
        ),
    );
    lab.event("a", "retried");
    lab.send(&lab.task("b", mark.as_str()));
    let report = lab.completed("a");
    lab.completed("b");
    assert_eq!(starts(&ran), ["a", "a", "b"]);
    let waited = millis_between_attempts(&report);
    assert!(waited >= 790, "{waited} ms");
    drop(daemon);
}

#[test]
fn a_full_context_is_tried_once_more_without_learnings() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let task = "Do it.\nfake: once turn a turn\nfake: once result error 400 invalid_request Prompt is too long\nfake: once exit 1";
    let dispatch = lab
        .task("a", task)
        .with("learnings", json!(["one", "two"]))
        .with("constraints", json!(["c"]));
    lab.send(&dispatch);
    let report = lab.settled("a");
    lab.completed("a");
    assert_eq!(report["retry_count"], 1);
    assert_eq!(attempts(&report)[0]["error_type"], "context_overflow");
    let prompts =
        [1, 2].map(|n| text_file(lab.finished("a").join(format!("attempt-{n}/prompt.txt"))));
    let wanted = format!("Load gstack. Dispatch ID: dispatch-a. Task: {task}\nConstraints: c");
    assert_eq!(prompts[1], wanted);
    assert_eq!(prompts[0], format!("{wanted}\nRelevant learnings from prior sessions:\none\ntwo"));
    // A new session, though there was a turn: the old one is what is full.
    assert_ne!(attempts(&report)[0]["session_id"], attempts(&report)[1]["session_id"]);
    drop(daemon);
}

#[test]
fn what_a_retry_cannot_mend_is_not_retried() {
    for (name, result, error_type) in [
        ("refusal", "refusal", "logic_error"),
        ("request", "error 400 invalid_request API Error: 400 bad request", "logic_error"),
        (
            "tokens",
            "error null max_output_tokens API Error: exceeded the output token maximum",
            "logic_error",
        ),
        ("auth", "error 401 authentication_failed Invalid API key", "auth"),
        ("login", "error null authentication_failed Not logged in", "auth"),
        ("credit", "error 400 billing_error Credit balance is too low", "billing"),
        ("model", "error 404 model_not_found No such model", "config"),
        // Without learnings there is nothing to leave out.
        ("context", "error 400 invalid_request Prompt is too long", "context_overflow"),
    ] {
        // A daemon for each: some of these hold the agent.
        let lab = Lab::new();
        let daemon = lab.daemon().start();
        lab.send(&lab.task(name, format!("fake: mark ran\nfake: result {result}")));
        let report = lab.failed(name, error_type);
        assert_eq!(starts(&lab.path(&format!("project-{name}/ran"))).len(), 1, "{name}");
        assert_eq!(report.get("retry_count").unwrap_or(&json!(0)), 0, "{report:#}");
        assert!(!lab.events(name).contains(&"retried".to_string()), "{name}");
        drop(daemon);
    }
}

// -------------------------------------------------------------------------- what cannot be started

#[test]
fn an_agent_that_is_not_installed_is_answered_like_the_seed_does() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for agent in ["codex", "gemini", "cursor"] {
        lab.send(&lab.task(agent, "hello").with("target_agent", agent));
        let report = lab.failed(agent, "unsupported_agent");
        assert_eq!(report["error"], format!("unsupported agent: {agent}"));
        assert_eq!(report["target_agent"], agent);
        assert_eq!(report["duration"], 0);
        assert_eq!(lab.event(agent, "unsupported_agent")["target_agent"], agent);
        wait_until("its file removed", PATIENCE, || !lab.dropped(agent).exists());
    }
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    drop(daemon);
}

#[test]
fn a_program_that_is_gone_or_no_program_fails_the_dispatch_and_not_the_daemon() {
    let lab = Lab::new();
    let link = lab.path("claude-link");
    let real = format!("{FIXTURES}/bin/claude");
    symlink(&real, &link).expect("symlink");
    let daemon = lab.daemon().set("--claude", link.display()).set("--max-concurrent", 1).start();
    lab.send(&lab.task("before", "hello"));
    lab.completed("before");
    fs::remove_file(&link).expect("remove the program");
    lab.send(&lab.task("gone", "hello"));
    let report = lab.failed("gone", "spawn_failed");
    assert_eq!(report.get("retry_count").unwrap_or(&json!(0)), 0);
    symlink(format!("{FIXTURES}/dispatch/hello.json"), &link).expect("symlink");
    lab.send(&lab.task("no-program", "hello"));
    lab.failed("no-program", "spawn_failed");
    fs::remove_file(&link).expect("remove");
    symlink(&real, &link).expect("symlink");
    lab.send(&lab.task("back", "hello"));
    lab.completed("back");
    drop(daemon);
}

#[test]
fn a_project_directory_that_is_none_fails_the_dispatch_and_not_the_daemon() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let file = lab.path("a-file");
    fs::write(&file, "").expect("write");
    lab.send(&lab.task("missing", "hello").in_dir(&lab.path("not/there")));
    lab.send(&lab.task("file", "hello").in_dir(&file));
    lab.send(&lab.task("empty", "hello").with("project_dir", ""));
    for name in ["missing", "file", "empty"] {
        let report = lab.failed(name, "spawn_failed");
        assert_eq!(report["duration"], 0, "{report:#}");
    }
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    drop(daemon);
}

#[test]
fn a_project_directory_needs_to_be_there_only_when_its_turn_comes() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", block(&gate)));
    let hold = gate.held();
    let later = lab.path("later");
    lab.send(&lab.task("b", "fake: mark ran").in_dir(&later));
    lab.accepted("b");
    fs::create_dir(&later).expect("create");
    hold.release();
    lab.completed("b");
    assert_eq!(starts(&later.join("ran")), ["b"]);
    drop(daemon);
}

// --------------------------------------------------------------------------------------- git facts

#[test]
fn the_report_tells_commits_branch_and_dirty_files() {
    let lab = Lab::new();
    let repository = lab.repository("repository");
    git(&repository, "checkout -q -b feature/x");
    let before = git(&repository, "rev-parse HEAD");
    let daemon = lab.daemon().start();
    let task = "fake: write one.txt 1\nfake: commit one\nfake: write two.txt 2\nfake: commit two\nfake: write dirty.txt x";
    lab.send(&lab.task("a", task).in_dir(&repository));
    let report = lab.completed("a");
    let after = git(&repository, "rev-parse HEAD");
    assert_ne!(before, after);
    let wanted = json!({
        "branch": "feature/x", "head_before": before, "head_after": after, "commits": 2, "dirty_files": 1,
    });
    assert_eq!(report["git"], wanted, "{report:#}");
    assert_eq!(report["commits"], 2);
    drop(daemon);
}

#[test]
fn a_session_without_commits_has_made_none() {
    let lab = Lab::new();
    let repository = lab.repository("repository");
    let inside = repository.join("deep/inside");
    fs::create_dir_all(&inside).expect("create");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").in_dir(&inside));
    let report = lab.completed("a");
    assert_eq!(report["git"]["commits"], 0, "{report:#}");
    assert_eq!(report["git"]["head_before"], report["git"]["head_after"]);
    // Unknown (absent) where nothing was looked at.
    assert_eq!(report["git"].get("dirty_files").unwrap_or(&json!(0)), 0);
    drop(daemon);
}

#[test]
fn an_edit_deep_in_the_tree_is_never_reported_as_clean() {
    let lab = Lab::new();
    let repository = lab.repository("repository");
    let deep = repository.join("a/b/c/d");
    fs::create_dir_all(&deep).expect("create");
    fs::write(deep.join("file"), "before\n").expect("write");
    git(&repository, "add -A");
    git(&repository, "commit -q -m deep");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: write a/b/c/d/file after").in_dir(&repository));
    let report = lab.completed("a");
    assert_eq!(report["git"].get("dirty_files").unwrap_or(&json!(1)), 1, "{report:#}");
    drop(daemon);
}

#[test]
fn packed_refs_worktrees_and_detached_heads_are_understood() {
    let lab = Lab::new();
    let repository = lab.repository("repository");
    let worktree = lab.path("worktree");
    git(&repository, &format!("worktree add -q -b side {}", worktree.display()));
    git(&repository, "pack-refs --all --prune");
    let detached = lab.path("detached");
    git(&repository, &format!("worktree add -q --detach {}", detached.display()));
    let head = git(&repository, "rev-parse HEAD");
    let daemon = lab.daemon().start();
    let task = "fake: write one.txt 1\nfake: commit one";
    for (name, dir, branch) in [
        ("packed", &repository, json!("main")),
        ("worktree", &worktree, json!("side")),
        ("detached", &detached, Value::Null),
    ] {
        lab.send(&lab.task(name, task).in_dir(dir));
        let report = lab.completed(name);
        assert_eq!(report["git"]["head_before"], head, "{name}: {report:#}");
        assert_eq!(report["git"]["head_after"], git(dir, "rev-parse HEAD"), "{name}: {report:#}");
        assert_eq!(report["git"]["commits"], 1, "{name}: {report:#}");
        if branch != Value::Null {
            assert_eq!(report["git"]["branch"], branch, "{name}: {report:#}");
        }
    }
    drop(daemon);
}

#[test]
fn a_repository_without_a_commit_gets_its_first_one() {
    let lab = Lab::new();
    let repository = lab.project("new");
    git(&repository, "init -q -b main");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: write one.txt 1\nfake: commit one").in_dir(&repository));
    let report = lab.completed("a");
    assert!(report["git"].get("head_before").is_none(), "{report:#}");
    assert_eq!(report["git"]["head_after"], git(&repository, "rev-parse HEAD"));
    assert_eq!(report["git"]["branch"], "main");
    drop(daemon);
}

#[test]
fn the_look_at_git_runs_no_program_of_the_repository() {
    let lab = Lab::new();
    let repository = lab.repository("repository");
    let trap = lab.path("trap-sprung");
    let command = format!("touch {}", trap.display());
    for key in ["core.fsmonitor", "core.sshCommand", "diff.external", "core.pager"] {
        let set = ["config", key, &command];
        let run = std::process::Command::new("git").args(set).current_dir(&repository).status();
        assert!(run.expect("git config").success());
    }
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: write one.txt 1").in_dir(&repository));
    let report = lab.completed("a");
    assert_eq!(report["git"]["dirty_files"], 1, "{report:#}");
    assert!(!trap.exists(), "a program of the repository's config was run");
    drop(daemon);
}
