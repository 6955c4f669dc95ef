//! What cannot be started (no such agent, no program, no directory) is answered, and holds up
//! nothing else.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::block;
use crate::util::*;

#[test]
fn an_agent_that_is_not_installed_is_answered_like_the_seed_does() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for agent in ["codex", "gemini", "cursor"] {
        lab.send(&lab.task(agent, "hello").with("target_agent", agent));
        let report = lab.failed(agent, "unsupported_agent");
        let error = report["error"].as_str().expect("an error");
        assert!(error.starts_with(&format!("unsupported agent: {agent}")), "{error}");
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
