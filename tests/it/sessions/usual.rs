//! The usual way of one dispatch: what its report holds, what lies in its folder afterwards, and
//! what the audit log says of it.

use std::fs;

use serde_json::json;

use super::{attempts, block};
use crate::util::*;

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
