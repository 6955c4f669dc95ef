//! The engine's own queue: a session waits there with a limit of its own, and its time to live
//! counts from its first output.

use std::time::{Duration, Instant};

use serde_json::json;

use super::cluster::{CPUS, Cluster};
use super::pids::apart;
use super::*;

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_session_that_waits_longer_than_its_time_to_live_has_all_of_it_on_its_node() {
    const TTL: u64 = 3;
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let settings = engine_with(json!({"launcher_wait_seconds": 60}));
    let start = cluster.daemon(&lab, &settings).set("--max-concurrent", CPUS + 2);
    let daemon = apart(start);
    let names: Vec<String> = (0..CPUS).map(|n| format!("first-{n}")).collect();
    let gates: Vec<Gate> = names.iter().map(|name| lab.gate(name)).collect();
    names.iter().zip(&gates).for_each(|(name, gate)| lab.send(&lab.task(name, block(gate))));
    let holds: Vec<Hold> = gates.iter().map(Gate::held).collect();
    let late = lab.gate("late-gate");
    lab.send(&lab.task("late", "fake: sleep 1").with("ttl_seconds", TTL));
    lab.send(&lab.task("too-long", block(&late)).with("ttl_seconds", TTL));
    let waits_since = Instant::now();
    cluster.wait_state("late", "PD");
    cluster.wait_state("too-long", "PD");
    wait_until("more than the time to live in the queue", PATIENCE, || {
        waits_since.elapsed() > Duration::from_secs(TTL + 1)
    });
    assert_eq!([cluster.squeue("late"), cluster.squeue("too-long")], [["PD"], ["PD"]]);
    holds.into_iter().for_each(Hold::release);
    let report = lab.completed("late");
    println!("slurm: TTL {TTL} s, done after {} s with the queue", report["duration"]);
    assert!(report["duration"].as_u64() > Some(TTL), "{report:#}");
    let _hold = late.held();
    let began = Instant::now();
    lab.ended("too-long", "timeout", "timeout");
    println!("slurm: TTL {TTL} s, ended {:.1} s after it began", began.elapsed().as_secs_f64());
    names.iter().for_each(|name| drop(lab.completed(name)));
    nothing_is_left(&lab, &cluster, "ten sessions on eight CPUs");
    drop(daemon);
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_session_that_never_leaves_the_queue_is_given_up_and_taken_out_of_it() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let ran = lab.path("ran");
    let settings = engine_with(json!({"launcher_wait_seconds": 2}));
    let daemon = apart(cluster.daemon(&lab, &settings));
    let occupied = cluster.occupied();
    lab.send(&lab.task("a", mark(&ran)));
    cluster.wait_state("a", "PD");
    let report = lab.failed("a", "queue_timeout");
    assert_eq!(cluster.squeue("a"), [""; 0], "its job is still there");
    println!("slurm: given up after {} s: {}", report["duration"], report["error"]);
    drop(occupied);
    assert!(!ran.exists(), "it ran");
    nothing_is_left(&lab, &cluster, "the end of a wait");
    drop(daemon);
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_session_is_cancelled_while_slurm_queues_it() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let ran = lab.path("ran");
    let settings = engine_with(json!({"launcher_wait_seconds": 60}));
    let daemon = apart(cluster.daemon(&lab, &settings));
    let occupied = cluster.occupied();
    lab.send(&lab.task("a", mark(&ran)));
    cluster.wait_state("a", "PD");
    cancel(&lab, "a");
    let report = lab.ended("a", "cancelled", "cancelled");
    assert_eq!(cluster.squeue("a"), [""; 0], "its job is still there");
    println!("slurm: cancelled in the queue: {}", report["error"]);
    drop(occupied);
    assert!(!ran.exists(), "it ran");
    nothing_is_left(&lab, &cluster, "a cancel in the queue");
    drop(daemon);
}
