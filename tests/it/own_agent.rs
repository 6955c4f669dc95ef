//! An agent that the daemon knows from `config.json` alone, in a dialect of its own: a stream and
//! plain text, a prompt on stdin and as a file, and whatever can befall a session.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::util::*;

fn program() -> String {
    format!("{FIXTURES}/bin-own/mimic")
}

fn stream() -> Value {
    json!({
        "program": program(), "model": "m-1", "env": {"MIMIC": "me"},
        "args": ["--model", "{model}", "new", "{session}"],
        "resume_args": ["--model", "{model}", "again", "{session}"],
        "prompt": {"tell": "{prompt}"}, "output": "stream",
        "stream": {
            "session": "who.id", "text": "say", "tool": "use",
            "result": {"path": "all", "where": {"ev": "bye", "well": true}},
            "error": {"path": "why.words", "where": {"ev": "bye"}},
            "resets_at": "why.until", "input_tokens": "used.in.0", "output_tokens": "used.out",
        },
        "failures": {
            "rate_limit": {"where": {"why.code": "busy"}},
            "usage_limit": {"where": {"why.code": "spent"}},
            "logic_error": {"where": {"why.code": "tang*"}},
            "auth": {"exit_codes": [77]},
            "context_overflow": {"where": {"why.code": "full"}},
        },
        "session_unknown": {"where": {"why.code": "stranger"}},
    })
}

fn text() -> Value {
    json!({
        "program": program(), "output": "text", "prompt": "file",
        "args": ["--text", "--file", "{prompt_file}", "new", "{session}"],
        "resume_args": ["--text", "--file", "{prompt_file}", "again", "{session}"],
        "failures": {
            "rate_limit": {"exit_codes": [75]}, "logic_error": {"exit_codes": [3]},
            "auth": {"exit_codes": [77]}, "context_overflow": {"exit_codes": [65]},
        },
        "session_unknown": {"exit_codes": [4]},
    })
}

fn config(lab: &Lab, config: &Value) {
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    let beside = lab.ours().join("config.json.new");
    fs::write(&beside, config.to_string()).expect("write config.json");
    fs::rename(&beside, lab.ours().join("config.json")).expect("rename config.json");
}

fn send(lab: &Lab, name: &str, agent: &str, word: &str) {
    lab.send(&lab.task(name, format!("mimic: {word}")).with("target_agent", agent));
}

/// `(resumed, error_type)` of each attempt.
fn attempts(report: &Value) -> Vec<(bool, Option<&str>)> {
    let all = report["attempts"].as_array().expect("attempts");
    all.iter().map(|one| (one["resumed"] == true, one["error_type"].as_str())).collect()
}

#[test]
fn an_agent_with_a_stream_of_its_own_is_read_as_the_settings_say() {
    let lab = Lab::new();
    config(&lab, &json!({"agents": {"mimic": stream()}}));
    let daemon = lab.daemon().start();
    send(&lab, "well", "mimic", "well");
    let report = lab.completed("well");
    assert_eq!(report["result"], "new line=yes stdin=0 model=m-1 mode= who=me");
    assert_eq!(report["target_agent"], "mimic");
    let attempt = &report["attempts"][0];
    assert_eq!((&attempt["input_tokens"], &attempt["output_tokens"]), (&json!(7), &json!(3)));
    assert_eq!(attempt["session_id"].as_str().map(str::len), Some(36), "{attempt:#}");

    send(&lab, "tangled", "mimic", "tangled");
    let report = lab.failed("tangled", "logic_error");
    assert_eq!(report["error"], "the task ties itself in a knot");
    assert_eq!(attempts(&report).len(), 1);

    for (word, why) in [("first-torn", "tool_failure"), ("first-busy", "rate_limit")] {
        send(&lab, word, "mimic", word);
        let report = lab.completed(word);
        assert_eq!(attempts(&report), [(false, Some(why)), (true, None)], "{report:#}");
        assert_eq!(report["retry_count"], 1);
        assert!(report["result"].as_str().is_some_and(|said| said.starts_with("again ")));
    }

    send(&lab, "mute", "mimic", "mute");
    let report = lab.completed("mute");
    let error = report["attempts"][0]["error"].as_str().expect("an error");
    assert!(error.contains("mimic ended without a result (exit code 0)"), "{report:#}");
    drop(daemon);
}

#[test]
fn a_session_that_it_does_not_know_starts_anew_within_the_same_retry() {
    let lab = Lab::new();
    config(&lab, &json!({"agents": {"mimic": stream(), "scribe": text()}}));
    let daemon = lab.daemon().start();
    for agent in ["mimic", "scribe"] {
        send(&lab, agent, agent, "first-forgetful");
    }
    for agent in ["mimic", "scribe"] {
        let report = lab.completed(agent);
        let failed = Some("tool_failure");
        assert_eq!(attempts(&report), [(false, failed), (true, failed), (false, None)]);
        assert_eq!(report["retry_count"], 1, "{report:#}");
    }
    drop(daemon);
}

#[test]
fn what_it_writes_is_told_and_what_it_leaves_running_is_ended() {
    let lab = Lab::new();
    config(&lab, &json!({"agents": {"mimic": stream(), "scribe": text()}}));
    let daemon = lab.daemon().start();
    for agent in ["mimic", "scribe"] {
        let (dir, pids) = (lab.repository(&format!("project-{agent}")), lab.path(agent));
        send(&lab, agent, agent, &format!("leave {}", pids.display()));
        let report = lab.completed(agent);
        let [child] = pids_in(&pids)[..] else { panic!("{report:#}") };
        assert!(!alive(child), "{report:#}");
        let left = report["leftover_processes"].as_array().expect("leftover_processes");
        let told: Vec<_> = left.iter().map(|one| (&one["pid"], &one["ended"])).collect();
        assert_eq!(told, [(&json!(child), &json!(true))], "{report:#}");
        // Its own note of the session is the other one.
        assert_eq!(report["git"]["dirty_files"], 2, "{report:#}");
        assert_eq!(text_file(dir.join("made.txt")), "made\n");
    }
    drop(daemon);
}

#[test]
fn a_prompt_that_is_too_long_for_it_is_tried_once_more_without_learnings() {
    let lab = Lab::new();
    config(&lab, &json!({"agents": {"mimic": stream(), "scribe": text()}}));
    let daemon = lab.daemon().start();
    for agent in ["mimic", "scribe"] {
        let task = lab.task(agent, "mimic: full").with("target_agent", agent);
        lab.send(&task.with("learnings", json!(["one"])));
        let report = lab.completed(agent);
        assert_eq!(attempts(&report), [(false, Some("context_overflow")), (false, None)]);
        assert_eq!(report["retry_count"], 1, "{report:#}");
    }
    drop(daemon);
}

#[test]
fn its_limits_and_refusals_hold_it_and_no_other_agent() {
    let lab = Lab::new();
    config(&lab, &json!({"agents": {"mimic": stream()}}));
    let daemon = lab.daemon().start();
    send(&lab, "spent", "mimic", "first-spent");
    lab.heartbeat("a hold of mimic", |beat| {
        let holds = beat["holds"].as_array();
        holds.is_some_and(|holds| holds.iter().any(|hold| hold["agent"] == "mimic"))
    });
    lab.send(&lab.task("claude", "hello"));
    lab.completed("claude");
    let report = lab.completed("spent");
    assert_eq!(attempts(&report), [(false, Some("usage_limit")), (true, None)], "{report:#}");
    assert_eq!(report["retry_count"], 0);
    send(&lab, "banned", "mimic", "banned");
    let report = lab.failed("banned", "auth");
    assert_eq!(report["error"], "go away");
    drop(daemon);
}

#[test]
fn plain_text_succeeds_by_its_exit_code_alone() {
    let lab = Lab::new();
    config(&lab, &json!({"start_timeout_seconds": 60, "agents": {"scribe": text()}}));
    let daemon = lab.daemon().start();
    send(&lab, "well", "scribe", "well");
    let report = lab.completed("well");
    assert_eq!(report["result"], "new line=no stdin=0 model= mode= who=");
    for (word, why, error) in [
        ("tangled", "logic_error", "exit code 3: the task ties itself in a knot"),
        ("banned", "auth", "exit code 77: go away"),
    ] {
        send(&lab, word, "scribe", word);
        assert_eq!(lab.failed(word, why)["error"], error);
    }
    fs::write(lab.ours().join("control/release"), "").expect("write a request");
    send(&lab, "busy", "scribe", "first-busy");
    let report = lab.completed("busy");
    assert_eq!(attempts(&report), [(false, Some("rate_limit")), (true, None)], "{report:#}");
    drop(daemon);
}

#[test]
fn what_says_nothing_until_its_end_and_cannot_be_resumed_is_given_its_time() {
    let lab = Lab::new();
    let mut scribe = text();
    scribe.as_object_mut().expect("an object").remove("resume_args");
    config(&lab, &json!({"agents": {"scribe": scribe}}));
    let daemon = lab.daemon().set("--start-timeout", 0.1).set("--first-answer-timeout", 0.1);
    let daemon = daemon.set("--heartbeat", 0.2).start();
    let gate = lab.gate("gate");
    send(&lab, "silent", "scribe", &format!("stand {}", gate.display()));
    let hold = gate.held();
    lab.heartbeat("a second of its silence", |beat| {
        beat["sessions"][0]["elapsed"].as_u64() >= Some(1)
    });
    hold.release();
    lab.completed("silent");
    send(&lab, "torn", "scribe", "first-torn");
    let report = lab.completed("torn");
    assert_eq!(attempts(&report), [(false, Some("tool_failure")), (false, None)], "{report:#}");
    drop(daemon);
}

#[test]
fn an_agent_whose_program_is_not_there_is_told_at_the_start_and_to_whoever_names_it() {
    let lab = Lab::new();
    let mut lost = text();
    lost["program"] = json!("mimic-that-is-nowhere");
    let mut gone = text();
    gone["program"] = json!(lab.path("gone/mimic"));
    config(&lab, &json!({"agents": {"lost": lost, "gone": gone}}));
    let daemon = lab.daemon().start();
    let places = "in PATH, ~/.local/bin, ~/bin, /usr/local/bin, /opt/homebrew/bin";
    let lost = format!("no program mimic-that-is-nowhere {places}");
    let gone = format!("{} is no executable file", lab.path("gone/mimic").display());
    for (name, what) in [("lost", lost), ("gone", gone)] {
        let said = format!("{name} is not there: {what}");
        assert!(daemon.stderr().contains(&said), "{said}: {}", daemon.stderr());
        send(&lab, name, name, "well");
        let report = lab.failed(name, "unsupported_agent");
        assert_eq!(report["error"], format!("unsupported agent: {name}: {what}"));
    }
    let unknown = lab.task("unknown", "x").with("target_agent", "nobody");
    lab.send(&unknown);
    let report = lab.failed("unknown", "invalid_dispatch");
    let names = "target_agent must be one of claude, codex, cursor, gemini, gone, lost";
    assert_eq!(report["error"], names);
    drop(daemon);
}

#[test]
fn names_and_programs_follow_a_hangup() {
    let lab = Lab::new();
    config(&lab, &json!({}));
    let daemon = lab.daemon().start();
    let reload = |with: &Value, event: &str| {
        let lines = || {
            let all = lab.audit_of("");
            all.into_iter().filter(|l| l["event"] == event).collect::<Vec<_>>()
        };
        let before = lines().len();
        config(&lab, with);
        daemon.signal(Signal::HUP);
        wait_for(event, PATIENCE, || lines().get(before).cloned())
    };
    let mut elsewhere = text();
    elsewhere["program"] = json!("/nowhere/mimic");
    let line = reload(&json!({"agents": {"scribe": elsewhere}}), "config_reloaded");
    assert_eq!(line["changed"], json!(["agents"]));
    send(&lab, "none", "scribe", "well");
    lab.failed("none", "unsupported_agent");
    reload(&json!({"agents": {"scribe": text()}}), "config_reloaded");
    send(&lab, "one", "scribe", "well");
    lab.completed("one");
    let line = reload(&json!({"agents": {"scribe": {"outptu": "text"}}}), "config_refused");
    let error = line["error"].as_str().expect("an error");
    assert!(
        error.contains("agents: scribe: unknown setting outptu (did you mean output?)"),
        "{error}"
    );
    send(&lab, "two", "scribe", "well");
    lab.completed("two");
    reload(&json!({}), "config_reloaded");
    send(&lab, "three", "scribe", "well");
    lab.failed("three", "invalid_dispatch");
    drop(daemon);
}

#[test]
fn a_session_outlives_the_settings_that_it_was_started_with() {
    let lab = Lab::new();
    config(&lab, &json!({"agents": {"mimic": stream()}}));
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    let gate = lab.gate("gate");
    send(&lab, "runs", "mimic", &format!("stand {}", gate.display()));
    let hold = gate.held();
    send(&lab, "waits", "mimic", "well");
    lab.accepted("waits");
    // The next daemon has only its files to know them by.
    daemon.crash();
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    config(&lab, &json!({}));
    daemon.signal(Signal::HUP);
    lab.event("", "config_reloaded");
    hold.release();
    lab.completed("runs");
    let report = lab.failed("waits", "spawn_failed");
    assert_eq!(report["error"], "unsupported agent: mimic");
    drop(daemon);
}

#[test]
fn a_daemon_without_any_agent_says_so_and_one_agent_is_enough() {
    let lab = Lab::new();
    let path = "/usr/bin:/bin";
    if std::path::Path::new("/usr/local/bin/claude").exists() {
        skipped("this machine has /usr/local/bin/claude");
        return;
    }
    let mut nowhere = text();
    nowhere["program"] = json!("/nowhere/mimic");
    config(&lab, &json!({"agents": {"scribe": nowhere}}));
    let out = lab.plain_daemon().env("PATH", path).output();
    assert_eq!(out.code, 1, "{out:?}");
    assert!(out.stderr.contains("claude binary not found"), "{}", out.stderr);
    config(&lab, &json!({"agents": {"scribe": text()}}));
    let daemon = lab.daemon().env("PATH", path).start();
    assert!(
        daemon.stderr().contains("claude is not there: no program claude in PATH, ~/.local/bin")
    );
    send(&lab, "well", "scribe", "well");
    lab.completed("well");
    drop(daemon);
}

#[test]
fn its_sessions_are_ended_and_adopted_as_every_agent_s_are() {
    let lab = Lab::new();
    config(&lab, &json!({"agents": {"mimic": stream(), "scribe": text()}}));
    let daemon = lab.daemon().set("--max-concurrent", 4).start();
    let stand = |name: &str, agent: &str, ttl_seconds: u64| {
        let gate = lab.gate(&format!("gate-{name}"));
        let task = lab.task(name, format!("mimic: stand {}", gate.display()));
        lab.send(&task.with("target_agent", agent).with("ttl_seconds", ttl_seconds));
        gate.held()
    };
    let _late = stand("late", "scribe", 1);
    let _unwanted = stand("unwanted", "mimic", 60);
    let (told, silent) = (stand("told", "mimic", 60), stand("silent", "scribe", 60));
    fs::write(lab.inbox().join("cancel-dispatch-unwanted"), "").expect("cancel");
    lab.ended("unwanted", "cancelled", "cancelled");
    let report = lab.ended("late", "timeout", "timeout");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    daemon.crash();
    let daemon = lab.daemon().start();
    told.release();
    let report = lab.completed("told");
    assert_eq!((&report["input_tokens"], &report["output_tokens"]), (&json!(7), &json!(3)));
    assert!(lab.events("told").contains(&"adopted".to_string()));
    // Nobody saw its exit code, and its text alone says nothing; but it is in the report.
    silent.release();
    let report = lab.failed("silent", "interrupted");
    let why = "scribe ended unseen: only its exit code says whether what it wrote is its answer";
    assert!(report["error"].as_str().is_some_and(|error| error.starts_with(why)), "{report:#}");
    assert_eq!(report["result"], "new line=no stdin=0 model= mode= who=");
    drop(daemon);
}
