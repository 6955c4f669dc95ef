//! Sessions that are ended by us, through the engine alone: TTL and cancel; and what an agent left
//! behind on its node.

use serde_json::{Value, json};

use super::cluster::Cluster;
use super::pids::apart;
use super::*;

/// `KillWait` in the cluster's slurm.conf.
const KILL_WAIT_SECONDS: f64 = 5.0;

/// A session that heeds SIGTERM or not, with a child that has left its group.
fn stubborn(lab: &Lab, name: &str, orders: &str, gate: &Gate) -> String {
    let child = lab.path(&format!("child-{name}"));
    format!("{orders}fake: setsid-child {}\n{}", child.display(), block(gate))
}

/// Only `scancel` gives an agent SIGTERM, and then its time: SIGTERM to `srun` kills it at once.
fn ended_by_scancel(report: &Value, name: &str) {
    let attempt = &attempts(report)[0];
    assert_eq!(attempt["exit_code"], if name == "deaf" { 137 } else { 143 }, "{report:#}");
    let seconds = attempt["duration"].as_f64();
    assert!(name != "deaf" || seconds > Some(KILL_WAIT_SECONDS - 1.0), "{report:#}");
}

fn child_is_gone(lab: &Lab, name: &str) {
    assert_eq!(all_gone(&lab.path(&format!("child-{name}"))).len(), 1);
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_session_whose_time_is_over_is_ended_on_its_node() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let daemon = apart(cluster.daemon(&lab, &engine()));
    for (name, orders) in [("meek", ""), ("deaf", "fake: ignore-term\n")] {
        let gate = lab.gate(name);
        let task = stubborn(&lab, name, orders, &gate);
        lab.send(&lab.task(name, task).with("ttl_seconds", 2));
        let _hold = gate.held();
        let report = lab.ended(name, "timeout", "timeout");
        println!("slurm: {name}: ended by its TTL of 2 s after {} s", report["duration"]);
        ended_by_scancel(&report, name);
        assert_eq!(attempts(&report).len(), 1, "{report:#}");
        assert!(report.get("warnings").is_none(), "{report:#}");
        child_is_gone(&lab, name);
        nothing_is_left(&lab, &cluster, &format!("TTL, a {name} session"));
    }
    drop(daemon);
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_running_session_is_cancelled_on_its_node() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let daemon = apart(cluster.daemon(&lab, &engine()));
    for (name, orders) in [("meek", ""), ("deaf", "fake: ignore-term\n")] {
        let gate = lab.gate(name);
        lab.send(&lab.task(name, stubborn(&lab, name, orders, &gate)));
        let _hold = gate.held();
        cancel(&lab, name);
        let report = lab.ended(name, "cancelled", "cancelled");
        println!("slurm: {name}: cancelled, {} s in all", report["duration"]);
        ended_by_scancel(&report, name);
        child_is_gone(&lab, name);
        nothing_is_left(&lab, &cluster, &format!("cancel of a {name} session"));
    }
    drop(daemon);
}

/// Slurm may not have its job yet when `scancel` comes.
#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_session_is_cancelled_while_srun_begins() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let settings = engine_with(json!({"launcher_grace_seconds": 3}));
    let daemon = apart(cluster.daemon(&lab, &settings));
    let gate = lab.gate("gate");
    let names: Vec<String> = (0..8).map(|n| n.to_string()).collect();
    for name in &names {
        lab.send(&lab.task(name, stubborn(&lab, name, "", &gate)));
        lab.event(name, "spawned");
        cancel(&lab, name);
        let report = lab.ended(name, "cancelled", "cancelled");
        let attempt = &attempts(&report)[0];
        println!(
            "slurm: cancelled at its start: {} s, exit {}",
            attempt["duration"], attempt["exit_code"]
        );
        nothing_is_left(&lab, &cluster, "a cancel at the start");
    }
    drop(daemon);
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn sessions_are_ended_on_their_nodes_when_the_daemon_is_stopped() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let gate = lab.gate("gate");
    let start = cluster.daemon(&lab, &engine()).set("--drain-timeout", 0.2);
    let mut daemon = apart(start);
    lab.send(&lab.task("a", stubborn(&lab, "a", "", &gate)));
    let _hold = gate.held();
    assert_eq!(daemon.stop(), 1);
    ended_by_scancel(&lab.ended("a", "cancelled", "shutdown"), "meek");
    child_is_gone(&lab, "a");
    nothing_is_left(&lab, &cluster, "a stop of the daemon");
}

/// Where Slurm sees to it, as with `proctrack/cgroup`, and where only the launcher does.
#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn what_an_agent_left_behind_on_its_node_is_gone_with_its_report() {
    for by_slurm in [true, false] {
        let (lab, cluster) = (Lab::new(), Cluster::get());
        let mut settings = engine();
        if !by_slurm {
            let launcher = settings["launcher"].as_array_mut().expect("a list");
            launcher
                .extend(words("unshare --pid --fork --kill-child").into_iter().map(Value::from));
        }
        let start = cluster.daemon(&lab, &settings);
        let start = if by_slurm { start } else { start.env("GSTACK_TEST_NO_EPILOG", 1) };
        let daemon = apart(start);
        for child in ["setsid-child", "nohup-child", "double-fork-child"] {
            let file = lab.path(&format!("child-{child}"));
            lab.send(&lab.task(child, format!("fake: {child} {}", file.display())));
            lab.completed(child);
            let by = if by_slurm { "Slurm" } else { "unshare" };
            nothing_is_left(&lab, &cluster, &format!("a {child} left behind, ended by {by}"));
        }
        drop(daemon);
    }
}
