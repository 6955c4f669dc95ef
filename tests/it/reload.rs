//! SIGHUP: the settings are read again while the daemon runs, and all of them hold but those that a
//! start alone can set.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::util::*;

fn config(lab: &Lab, text: impl ToString) {
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    let beside = lab.ours().join("config.json.new");
    fs::write(&beside, text.to_string()).expect("write config.json");
    fs::rename(&beside, lab.ours().join("config.json")).expect("rename config.json");
}

/// SIGHUP, and the line of the audit log about it.
fn reload(lab: &Lab, daemon: &Daemon) -> Value {
    let lines = || {
        let lines = lab.audit_of("").into_iter();
        let of = lines.filter(|l| l["event"].as_str().is_some_and(|e| e.starts_with("config_")));
        of.collect::<Vec<_>>()
    };
    let before = lines().len();
    daemon.signal(Signal::HUP);
    wait_for("what became of SIGHUP in the audit log", PATIENCE, || lines().get(before).cloned())
}

fn argv(lab: &Lab, name: &str) -> String {
    let dump = lab.path(&format!("dump-{name}"));
    lab.send(&lab.task(name, format!("fake: dump {}", dump.display())));
    lab.completed(name);
    text_file(dump.join("argv"))
}

#[test]
fn the_next_session_has_the_new_terms_and_a_running_one_keeps_its_own() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    config(&lab, json!({"model": "old", "verify": {"/": {"argv": ["true"]}}}));
    let daemon = lab.daemon().set("--max-turns", 7).start();
    lab.send(&lab.task("running", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    let new = json!({
        "model": "new", "allow_tools": ["WebFetch"], "max_turns": 9, "max_concurrent": 5,
        "verify": {"/": {"argv": ["false"]}},
    });
    config(&lab, new);
    let line = reload(&lab, &daemon);
    assert_eq!(line["event"], "config_reloaded");
    assert_eq!(line["changed"], json!(["allow_tools", "model", "verify"]));
    assert_eq!(line["needs_restart"], json!(["max_concurrent"]));
    hold.release();
    lab.completed("running");
    lab.send(&lab.task("checked", "hello"));
    lab.failed("checked", "verify_failed");
    let log = daemon.stderr();
    for said in [
        "config: max_concurrent: 2 → 5 (needs a restart)",
        "config: model: old → new",
        "config: allow_tools: none → [\"WebFetch\"]",
        "config: verify: / changed",
    ] {
        assert!(log.contains(said), "{said}: {log}");
    }
    config(&lab, json!({"model": "new", "allow_tools": ["WebFetch"], "max_concurrent": 5}));
    assert_eq!(reload(&lab, &daemon)["needs_restart"], json!(["max_concurrent"]), "still");
    let argv = argv(&lab, "next");
    assert!(argv.contains("new") && argv.contains("WebFetch") && !argv.contains("old"), "{argv}");
    assert!(argv.contains("--max-turns\n7") || argv.contains("--max-turns 7"), "a flag: {argv}");
    lab.heartbeat("the slots of the start", |beat| beat["max_concurrent"] == 2);
    drop(daemon);
}

#[test]
fn a_bad_file_changes_nothing_and_says_why() {
    let lab = Lab::new();
    config(&lab, json!({"model": "good"}));
    let daemon = lab.daemon().start();
    let nowhere = lab.path("nowhere").display().to_string();
    for (text, why) in [
        ("{".to_string(), "not JSON"),
        (json!({"model": "bad", "modle": "bad"}).to_string(), "did you mean model?"),
        (json!({"model": "bad", "max_turns": 0}).to_string(), "max_turns: must be at least 1"),
        (json!({"model": "bad", "claude": nowhere}).to_string(), "not found"),
        (json!({"model": "bad", "ca_file": nowhere}).to_string(), "ca_file: cannot read"),
    ] {
        config(&lab, &text);
        let line = reload(&lab, &daemon);
        assert_eq!(line["event"], "config_refused", "{text}");
        assert!(line["error"].as_str().is_some_and(|error| error.contains(why)), "{line}");
        let said =
            |l: &str| l.contains(" ERROR ") && l.contains("changes nothing") && l.contains(why);
        assert!(daemon.stderr().lines().any(said), "{}", daemon.stderr());
    }
    assert!(argv(&lab, "a").contains("good"));
    config(&lab, json!({"model": "good"}));
    assert_eq!(reload(&lab, &daemon)["changed"], json!([]));
    assert!(daemon.stderr().contains("config: nothing has changed"));
    drop(daemon);
}

#[test]
fn what_threads_keep_of_the_settings_follows() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 3).start();
    let first = lab.project("shared");
    let block = format!("fake: block {}", gate.display());
    lab.send(&lab.task("a", block).in_dir(&first));
    let hold = gate.held();
    lab.send(&lab.task("b", "hello").in_dir(&first));
    lab.accepted("b");
    // The heartbeat beats every 30 s until then, and one project has one session.
    config(&lab, json!({"max_per_project": 2, "heartbeat_seconds": 0.05, "local_only": true}));
    reload(&lab, &daemon);
    lab.completed("b");
    let beat = |known: &str| {
        let beat = lab.heartbeat("the next", |beat| beat["ts"] != known);
        beat["ts"].as_str().expect("a stamp").to_string()
    };
    // At most once a second for changes alone; four in a second are not that.
    let mut last = beat("");
    let began = Instant::now();
    (0..8).for_each(|_| last = beat(&last));
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    lab.heartbeat("the new setting", |beat| beat["local_only"] == true);
    // What waits already is held to a new limit.
    lab.send(&lab.task("c", "hello").in_dir(&first));
    lab.completed("c");
    config(&lab, json!({"max_per_project": 1}));
    reload(&lab, &daemon);
    lab.send(&lab.task("d", "hello").in_dir(&first));
    lab.accepted("d");
    config(&lab, json!({"max_per_project": 1, "queue_timeout_seconds": 0.2}));
    reload(&lab, &daemon);
    lab.failed("d", "queue_timeout");
    // Last, for it takes the lines away that are looked for above.
    config(&lab, json!({"audit_max_mb": 0.001}));
    daemon.signal(Signal::HUP);
    wait_until("the audit log put aside", PATIENCE, || lab.inbox().join("audit.jsonl.1").exists());
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn callbacks_go_by_the_new_settings() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Silence, Answer::Status(200)]);
    let daemon = lab.daemon().unset("--callback-timeout").start();
    config(&lab, json!({"callback_timeout_seconds": 0.3, "callback_delays_seconds": [0, 0.2]}));
    let changed = json!(["callback_timeout_seconds", "callback_delays_seconds"]);
    assert_eq!(reload(&lab, &daemon)["changed"], changed);
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    // Half a minute would pass until the first try is given up, and five seconds until the next.
    lab.event("a", "callback_failed");
    lab.event("a", "callback_sent");
    drop(daemon);
}

#[test]
fn another_claude_runs_the_next_session() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let other = lab.project("other").join("claude");
    std::os::unix::fs::symlink(format!("{FIXTURES}/bin/claude"), &other).expect("symlink");
    config(&lab, json!({ "claude": other }));
    assert_eq!(reload(&lab, &daemon)["changed"], json!(["claude"]));
    let dump = lab.path("dump");
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    lab.completed("a");
    assert_eq!(text_file(dump.join("program")).trim(), other.display().to_string());
    drop(daemon);
}

#[test]
fn a_daemon_that_drains_heeds_sighup_and_ends() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let mut daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    daemon.signal(Signal::TERM);
    lab.heartbeat("drain", |beat| beat["state"] == "drain");
    config(&lab, json!({"model": "x"}));
    assert_eq!(reload(&lab, &daemon)["changed"], json!(["model"]));
    hold.release();
    lab.completed("a");
    assert_eq!(daemon.wait(), 0);
}
