//! The processes of the real Codex: left behind by a command, ended at the TTL or on a cancel,
//! adopted.
//!
//! Its sandbox ends what a command starts; without it (`danger-full-access`) the children of its
//! commands live in sessions of their own, and only the daemon ends them. The children write down
//! their pids, so that none is looked for by anything that the daemon itself looks for.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::api::{Api, Step};
use super::real::{SESSION_MAX, cli, daemon, ended, has_sandbox, report};
use super::task;
use crate::util::*;

/// Without its own sandbox.
fn unwalled<'a>(lab: &'a Lab, api: &Api, program: &Path) -> Start<'a> {
    let agents = json!({"codex": {"permission_mode": "danger-full-access"}});
    daemon(lab, api, program).set("--agents", agents)
}

/// A command that leaves children behind, one of which nobody's group has.
fn leave(pids: &Path) -> String {
    let pids = pids.display();
    format!(
        "for run in '' setsid; do $run sleep 7070 </dev/null >/dev/null 2>&1 & echo $! >>{pids}; done"
    )
}

fn none_alive(pids: &Path, report: &Value) {
    let left: Vec<i32> = pids_in(pids).into_iter().filter(|pid| alive(*pid)).collect();
    assert!(left.is_empty(), "{left:?} are alive at the report: {report:#}");
}

#[test]
fn a_command_in_its_sandbox_leaves_nothing() {
    let Some((program, _turn)) = cli() else { return };
    let lab = Lab::new();
    if !has_sandbox(&lab, &program) {
        return;
    }
    let left = "sleep 7070 & setsid sleep 7071 & echo started";
    let api = Api::start(vec![Step::Shell(left.into()), Step::Text("It runs.")]);
    let _daemon = daemon(&lab, &api, &program).start();
    lab.send(&task(&lab, "a"));
    let report = report(&lab, "a");
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 1), "{report:#}");
}

#[test]
fn what_a_command_without_its_sandbox_leaves_is_ended_and_told() {
    let Some((program, _turn)) = cli() else { return };
    let lab = Lab::new();
    let pids = lab.path("pids");
    let write = format!("echo x > x.txt; {}", leave(&pids));
    let api = Api::start(vec![Step::Shell(write), Step::Text("It runs.")]);
    let _daemon = unwalled(&lab, &api, &program).start();
    lab.send(&task(&lab, "a"));
    let path = lab.report_path("a");
    wait_until("the report", SESSION_MAX, || path.exists());
    none_alive(&pids, &json_file(&path));
    let report = report(&lab, "a");
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 1), "{report:#}");
    assert_eq!(text_file(lab.path("project-a/x.txt")), "x\n");
    assert_eq!((&report["input_tokens"], &report["output_tokens"]), (&json!(2000), &json!(100)));
    let left = report["leftover_processes"].as_array().expect("leftover_processes");
    let is_child = |one: &Value| pids_in(&pids).iter().any(|pid| one["pid"] == *pid);
    assert!(left.iter().any(|one| is_child(one) && one["ended"] == true), "{report:#}");
}

#[test]
fn it_is_ended_with_its_children_at_its_ttl_and_by_a_cancel() {
    let Some((program, _turn)) = cli() else { return };
    for (name, ttl, status) in [("ttl", 10, "timeout"), ("cancel", 3600, "cancelled")] {
        let lab = Lab::new();
        let pids = lab.path("pids");
        let api = Api::start(vec![Step::Shell(leave(&pids)), Step::Hang]);
        let _daemon = unwalled(&lab, &api, &program).start();
        lab.send(&task(&lab, name).with("ttl_seconds", ttl));
        wait_until("the second request", SESSION_MAX, || {
            api.requests() > 1 || lab.report_path(name).exists()
        });
        if status == "cancelled" {
            lab.place(&format!("cancel-dispatch-{name}"), b"");
        }
        let report = report(&lab, name);
        if pids.exists() {
            none_alive(&pids, &report);
        }
        assert_eq!(ended(&report), (&json!(status), &json!(status), 1), "{report:#}");
        assert!(report["session_id"].is_string(), "{report:#}");
    }
}

#[test]
fn a_running_session_is_adopted() {
    let Some((program, _turn)) = cli() else { return };
    let lab = Lab::new();
    if !has_sandbox(&lab, &program) {
        return;
    }
    let hold = "until [ -e go ]; do sleep 0.1; done; echo x > x.txt";
    let api = Api::start(vec![Step::Shell(hold.into()), Step::Text("I went on.")]);
    let first = daemon(&lab, &api, &program).start();
    let dispatch = task(&lab, "a");
    lab.send(&dispatch);
    wait_until("its request", SESSION_MAX, || api.requests() == 1);
    first.crash();
    let _second = daemon(&lab, &api, &program).start();
    lab.event("a", "adopted");
    fs::write(lab.project("project-a").join("go"), "").expect("let it go on");
    let report = report(&lab, "a");
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 1), "{report:#}");
    assert_eq!((&report["result"], &report["input_tokens"]), (&json!("I went on."), &json!(2000)));
}
