//! How a session is ended when its time is over, and that nothing of it runs on: neither after
//! that nor after a clean end.

use std::path::Path;

use serde_json::json;

use super::{all_gone, attempts};
use crate::util::*;

/// Children of every kind that a group kill misses; their pids go into `file`.
fn children(file: &Path) -> String {
    let kinds = ["setsid-child", "nohup-child", "double-fork-child", "holder-child"];
    kinds.map(|kind| format!("fake: {kind} {}\n", file.display())).concat()
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
