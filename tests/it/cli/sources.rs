//! Where a setting comes from (flag, variable, file, default), and that a bad one ends the start
//! and is named.

use std::fs;

use serde_json::json;

use super::{config, fake};
use crate::util::*;

#[test]
fn flags_come_before_variables_before_the_file_before_defaults() {
    let lab = Lab::new();
    let shown = |start: Start<'_>| {
        let daemon = start.start();
        let pid = daemon.pid;
        let beat = lab.heartbeat("of this daemon", |b| b["pid"] == pid && b["state"] == "run");
        drop(daemon);
        beat["max_concurrent"].clone()
    };
    let variable = "GSTACK_DISPATCHD_MAX_CONCURRENT";
    assert_eq!(shown(lab.plain_daemon()), 2);
    config(&lab, "{\"max_concurrent\": 3}");
    assert_eq!(shown(lab.plain_daemon()), 3);
    assert_eq!(shown(lab.plain_daemon().env(variable, 4)), 4);
    assert_eq!(shown(lab.plain_daemon().env(variable, 4).set("--max-concurrent", 5)), 5);
}

#[test]
fn a_bad_variable_ends_the_start_and_is_named() {
    for (key, value) in [
        ("GSTACK_DISPATCHD_MAX_CONCURRENT", "many"),
        ("GSTACK_DISPATCHD_MAX_CONCURRENT", "0"),
        ("GSTACK_DISPATCHD_DRAIN_TIMEOUT_SECONDS", "-1"),
        ("GSTACK_DISPATCHD_ON_SHUTDOWN", "maybe"),
        ("GSTACK_DISPATCHD_LOCAL_ONLY", "perhaps"),
    ] {
        let lab = Lab::new();
        let out = lab.plain_daemon().env(key, value).output();
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{key}={value}: {out:?}");
        assert!(out.stderr.contains(key), "{key}={value}: {}", out.stderr);
    }
}

#[test]
fn a_bad_config_file_ends_the_start_and_is_named() {
    for text in [
        "",
        "{",
        "[]",
        "{\"max_concurrent\": \"many\"}",
        "{\"max_concurrent\": 0}",
        "{\"max_concurrent\": 1.5}",
        "{\"max_concurent\": 2}",
        "{\"settle_seconds\": -1}",
        "{\"claude_args\": 5}",
        "{\"local_only\": 1}",
    ] {
        let lab = Lab::new();
        config(&lab, text);
        let out = lab.plain_daemon().output();
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{text}: {out:?}");
        assert!(out.stderr.contains("config.json"), "{text}: {}", out.stderr);
    }
}

#[test]
fn settings_in_the_file_work() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let settings = json!({
        "local_only": true, "claude": fake(), "min_ttl_seconds": 1, "kill_grace_seconds": 0.2,
        "max_per_project": 0, "allow_tools": ["Bash(git:*)", "WebFetch"],
    });
    config(&lab, &settings.to_string());
    let daemon = lab.plain_daemon().env("PATH", "/usr/bin:/bin").start();
    let dump = lab.path("dump");
    let task = format!("fake: dump {}\nfake: sleep 7777", dump.display());
    lab.send(&lab.task("a", task).with("ttl_seconds", 1).with("callback_url", server.url.as_str()));
    lab.ended("a", "timeout", "timeout");
    assert!(text_file(dump.join("argv")).contains("WebFetch"));
    assert!(server.seen().is_empty());
    drop(daemon);
}

#[test]
fn the_directory_is_dot_gstack_at_home_by_default() {
    let lab = Lab::new();
    let daemon = lab.daemon().no_env("GSTACK_HOME").start();
    let inbox = lab.home.join(".gstack/dispatch");
    let dispatch = lab.task("a", "hello");
    fs::write(inbox.join("dispatch-a.json"), dispatch.bytes()).expect("write");
    let report = inbox.join("completed/dispatch-a.json");
    wait_until("the report at home", PATIENCE, || report.exists());
    assert_eq!(json_file(&report)["status"], "completed");
    drop(daemon);
}

#[test]
fn the_log_goes_to_stderr_at_the_level_that_was_asked_for() {
    for (variable, level, told) in [
        ("RUST_LOG", "error", false),
        ("GSTACK_DISPATCHD_LOG", "error", false),
        ("GSTACK_DISPATCHD_LOG", "debug", true),
    ] {
        let lab = Lab::new();
        let mut daemon = lab.daemon().env(variable, level).spawn();
        lab.send(&lab.task("a", "hello"));
        lab.settled("a");
        assert_eq!(daemon.stop(), 0);
        assert_eq!(
            daemon.stderr().contains("ready"),
            told,
            "{variable}={level}: {}",
            daemon.stderr()
        );
        drop(daemon); // it checks that stdout is empty
    }
}
