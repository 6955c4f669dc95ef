//! What dies in mid-session: the node, its slurmd, the daemon with `srun`, the daemon alone.

use serde_json::json;

use super::cluster::{Cluster, NODES};
use super::pids::{Namespace, apart, crash};
use super::*;

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_node_that_goes_down_takes_its_session_along_which_is_tried_once_more() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let daemon = apart(cluster.daemon(&lab, &engine()));
    for (name, nodes_lost) in [("a", 1), ("b", 2)] {
        let (gate, ran) = (lab.gate(name), lab.path(&format!("ran-{name}")));
        lab.send(&lab.task(name, format!("{}\n{}", mark(&ran), block(&gate))));
        for n in 1..=nodes_lost {
            wait_until("a session", PATIENCE, || marks(&ran).len() == n);
            let _hold = gate.held();
            let node = cluster.node_of(name);
            cluster.set_down(&node);
            let (_, _, pid) = marks(&ran)[n - 1];
            wait_until("the agent's end", PATIENCE, || !alive(pid));
            println!("slurm: {node} went down in mid-session");
        }
        let report = if nodes_lost == 1 {
            wait_until("a second session", PATIENCE, || marks(&ran).len() == 2);
            gate.held().release();
            lab.completed(name)
        } else {
            lab.failed(name, "tool_failure")
        };
        println!("slurm: {nodes_lost} nodes lost: {} {}", report["status"], report["attempts"]);
        assert_eq!(attempts(&report).len(), 2, "{report:#}");
        assert_eq!(report["attempts"][0]["exit_code"], json!(0), "{report:#}");
        NODES.iter().for_each(|node| cluster.resume(node));
        cluster.wait_idle();
        nothing_is_left(&lab, &cluster, &format!("{nodes_lost} nodes down in mid-session"));
    }
    drop(daemon);
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_slurmd_that_is_killed_and_comes_back_costs_no_session() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = apart(cluster.daemon(&lab, &engine()));
    lab.send(&lab.task("a", format!("{}\n{}", mark(&ran), block(&gate))));
    let hold = gate.held();
    let node = cluster.node_of("a");
    cluster.kill_slurmd(&node);
    cluster.start_slurmd(&node);
    hold.release();
    let report = lab.completed("a");
    assert_eq!((attempts(&report).len(), starts(&ran).len()), (1, 1), "{report:#}");
    nothing_is_left(&lab, &cluster, "slurmd killed and started again");
    drop(daemon);
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn what_nobody_can_end_while_slurmctld_answers_nobody_is_told_in_the_report() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let gate = lab.gate("gate");
    let settings = engine_with(json!({"launcher_grace_seconds": 2}));
    let daemon = apart(cluster.daemon(&lab, &settings));
    lab.send(&lab.task("a", block(&gate)).with("ttl_seconds", 2));
    let _hold = gate.held();
    let deaf = cluster.deaf();
    wait_until("the report", PATIENCE, || lab.report_path("a").exists());
    let report = json_file(&lab.report_path("a"));
    let left = survivors(&lab);
    println!("slurm: slurmctld answered nobody: {} survivors; {}", left.len(), report["warnings"]);
    assert_eq!(report["status"], "timeout", "{report:#}");
    let warning = report["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("left in the launcher's engine is not known"), "{report:#}");
    drop(deaf);
    // Else the job's own --time would have ended it.
    cluster.cancel_all();
    wait_until("the end of the job", PATIENCE, || cluster.squeue("").is_empty());
    nothing_is_left(&lab, &cluster, "slurmctld stopped for a while");
    drop(daemon);
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_daemon_that_dies_with_its_launchers_leaves_steps_that_the_next_one_ends() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let names = ["meek", "deaf", "done"];
    let gates = names.map(|name| lab.gate(name));
    let daemon = apart(cluster.daemon(&lab, &engine()));
    let result = "fake: result success I had done it.\n";
    let orders = ["", "fake: ignore-term\n", result];
    for ((name, gate), orders) in names.iter().zip(&gates).zip(orders) {
        let child = lab.path(&format!("child-{name}"));
        let child = format!("fake: setsid-child {}\n", child.display());
        lab.send(&lab.task(name, format!("{orders}{child}{}", block(gate))));
    }
    let _holds = gates.each_ref().map(Gate::held);
    // What an agent has said may still be on its way from the node.
    let stream = lab.active("done").join("attempt-1/stdout.jsonl");
    wait_until("the result", PATIENCE, || text_file(&stream).contains("I had done it."));
    let pid = daemon.pid;
    daemon.crash();
    wait_until("the daemon's end", PATIENCE, || !alive(pid));
    wait_until("the end of every srun", PATIENCE, || {
        !lab.processes().iter().any(|(_, line)| line.contains("srun -Q"))
    });
    let steps = cluster.squeue("");
    let left = survivors(&lab);
    println!("slurm: without a daemon and srun: jobs {steps:?}, {} processes", left.len());
    assert!(steps.iter().filter(|job| job.starts_with("R ")).count() == names.len(), "{steps:?}");
    let daemon = apart(cluster.daemon(&lab, &engine()));
    for name in ["meek", "deaf"] {
        let report = lab.failed(name, "interrupted");
        assert_eq!(attempts(&report).len(), 1, "{report:#}");
    }
    let report = lab.completed("done");
    assert_eq!(report["result"], "I had done it.", "{report:#}");
    names.iter().for_each(|name| drop(all_gone(&lab.path(&format!("child-{name}")))));
    nothing_is_left(&lab, &cluster, "SIGKILL of the daemon with its launchers");
    drop(daemon);
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_session_in_the_queue_of_a_daemon_that_dies_never_runs() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let ran = lab.path("ran");
    let settings = engine_with(json!({"launcher_wait_seconds": 60}));
    let daemon = apart(cluster.daemon(&lab, &settings));
    let occupied = cluster.occupied();
    lab.send(&lab.task("a", mark(&ran)));
    cluster.wait_state("a", "PD");
    daemon.crash();
    assert_eq!(cluster.squeue("a"), ["PD"], "the job outlives its srun");
    let daemon = apart(cluster.daemon(&lab, &settings));
    lab.failed("a", "interrupted");
    assert_eq!(cluster.squeue("a"), [""; 0], "its job is still there");
    drop(occupied);
    assert!(!ran.exists(), "it ran");
    nothing_is_left(&lab, &cluster, "SIGKILL of the daemon while Slurm queued a session");
    drop(daemon);
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_daemon_that_dies_alone_leaves_sessions_that_the_next_one_adopts() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let (namespace, ran) = (Namespace::new(), lab.path("ran"));
    let names = ["done", "late", "unwanted"];
    let gates = names.map(|name| lab.gate(name));
    let start = || cluster.daemon(&lab, &engine());
    let daemon = namespace.start(start());
    for (name, gate) in names.iter().zip(&gates) {
        let ttl = if *name == "late" { 6 } else { 600 };
        let task = format!("{}\n{}\nfake: result success I went on.", mark(&ran), block(gate));
        lab.send(&lab.task(name, task).with("ttl_seconds", ttl));
    }
    let [done, _late, _unwanted] = gates.each_ref().map(Gate::held);
    crash(daemon);
    let steps = cluster.squeue("");
    println!("slurm: without a daemon, with srun: jobs {steps:?}");
    assert!(steps.iter().filter(|job| job.starts_with("R ")).count() == names.len(), "{steps:?}");
    let daemon = namespace.start(start());
    names.iter().for_each(|name| drop(lab.event(name, "adopted")));
    done.release();
    let report = lab.completed("done");
    assert_eq!(report["result"], "I went on.", "{report:#}");
    assert_eq!(attempts(&report).len(), 1, "{report:#}");
    cancel(&lab, "unwanted");
    lab.ended("unwanted", "cancelled", "cancelled");
    lab.ended("late", "timeout", "timeout");
    let mut ran = starts(&ran);
    ran.sort();
    assert_eq!(ran, names, "each once");
    nothing_is_left(&lab, &cluster, "SIGKILL of the daemon alone, with adoption");
    drop(daemon);
}
