//! What the engine is for: many sessions over both nodes, each with its own input and output, and
//! their exit codes.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};

use super::cluster::{CPUS, Cluster, NODES};
use super::pids::{apart, apart_after, seen_by};
use super::*;

const DISPATCHES: usize = 100;
/// Of a line that `fake: print-bytes` repeats; its last line end is not counted by that order.
const NOISE_LINE_BYTES: usize = 72;
const PRINTED: u64 = 281 * NOISE_LINE_BYTES as u64 - 1;

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_hundred_dispatches_run_over_both_nodes() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let daemon = apart(cluster.daemon(&lab, &engine()));
    let names: Vec<String> = (0..DISPATCHES).map(|n| format!("{n:03}")).collect();
    for name in &names {
        let (ran, dump) = (mark(&lab.path("ran")), dump_dir(&lab, name));
        let result = format!("fake: result success {name} is done");
        let orders = format!("{ran}\nfake: dump {}\nfake: print-bytes {PRINTED}", dump.display());
        lab.send(&lab.task(name, format!("{orders}\n{result}")));
    }
    let (sent, mut on_node) = (Instant::now(), BTreeMap::new());
    for name in &names {
        lab.completed(name);
        let report = lab.settled(name);
        assert_eq!(report["result"], format!("{name} is done"), "{report:#}");
        assert!(report["output_length"].as_u64() > Some(PRINTED), "{report:#}");
        // The second process of srun may still be there when the first has ended.
        let left = report["leftover_processes"].as_array().map_or(&[][..], Vec::as_slice);
        assert!(left.iter().all(|process| process["name"] == "srun"), "{report:#}");
        assert!(report.get("warnings").is_none() || !left.is_empty(), "{report:#}");
        let prompt = text_file(dump_dir(&lab, name).join("prompt"));
        assert!(prompt.starts_with(&format!("Load gstack. Dispatch ID: {}", id(name))));
        let project = lab.path(&format!("project-{name}"));
        assert_eq!(
            text_file(dump_dir(&lab, name).join("cwd")).trim(),
            project.display().to_string()
        );
        *on_node.entry(node_of(&lab, name)).or_insert(0) += 1;
    }
    let seconds = sent.elapsed().as_secs_f64();
    println!("slurm: {DISPATCHES} dispatches in {seconds:.1} s: {on_node:?}");
    assert!(NODES.iter().all(|node| on_node.contains_key(*node)), "one node had no work");
    let mut ran = starts(&lab.path("ran"));
    ran.sort();
    assert_eq!(ran, names, "each once");
    let displacement = displacement(&lab, &names);
    println!("slurm: started at most {displacement} places from its turn, with {CPUS} slots");
    assert!(displacement < CPUS, "not in the order of acceptance");
    nothing_is_left(&lab, &cluster, "a hundred dispatches");
    drop(daemon);
}

/// How far a dispatch was started from its place in the order of acceptance, at most. Workers that
/// have their dispatches in that order may still overtake each other before the start.
fn displacement(lab: &Lab, names: &[String]) -> usize {
    let events = lab.audit();
    let of = |event: &str| -> Vec<String> {
        let lines = events.iter().filter(|line| line["event"] == event);
        lines.map(|line| line["dispatch_id"].as_str().expect("an id").to_string()).collect()
    };
    let (received, spawned) = (of("received"), of("spawned"));
    assert_eq!((received.len(), spawned.len()), (names.len(), names.len()), "each once");
    let place = |id| received.iter().position(|of| of == id).expect("it was received");
    spawned.iter().enumerate().map(|(n, id)| n.abs_diff(place(id))).max().unwrap_or_default()
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn the_daemon_sees_no_process_of_a_step() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let gate = lab.gate("gate");
    let daemon = apart(cluster.daemon(&lab, &engine()));
    lab.send(&lab.task("a", block(&gate)));
    let hold = gate.held();
    let (inside, outside) = (seen_by(&daemon), survivors(&lab));
    let is_agent = |line: &String| line.contains("bin/claude") && !line.contains("srun");
    println!("slurm: the daemon sees {inside:?}; of the session runs {outside:?}");
    assert!(outside.iter().any(|(_, line)| is_agent(line)));
    assert!(inside.iter().any(|line| line.contains("srun")), "{inside:?}");
    assert!(!inside.iter().any(is_agent), "{inside:?}");
    hold.release();
    lab.completed("a");
    nothing_is_left(&lab, &cluster, "a look at both sides");
    drop(daemon);
}

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn a_prompt_a_directory_and_an_output_arrive_as_they_are() {
    const LINES: usize = 700_000;
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let dir = lab.project("it's {ttl} $HOME \u{e9}; *");
    let dump = dump_dir(&lab, "a");
    let daemon = apart(cluster.daemon(&lab, &engine()));
    let noise = "x".repeat(500_000);
    let bytes = LINES * NOISE_LINE_BYTES - 1;
    let task = format!("{noise}\nfake: dump {}\nfake: print-bytes {bytes}", dump.display());
    lab.send(&lab.task("a", task).in_dir(&dir));
    let report = lab.completed("a");
    println!("slurm: {} bytes of output, a prompt of 500 kB", report["output_length"]);
    assert!(report["output_length"].as_u64() > Some(bytes as u64), "{report:#}");
    assert!(report.get("warnings").is_none(), "{report:#}");
    assert!(text_file(dump.join("prompt")).contains(&noise));
    assert_eq!(text_file(dump.join("cwd")).trim(), dir.to_str().expect("UTF-8"));
    nothing_is_left(&lab, &cluster, "odd input and much output");
    drop(daemon);
}

/// What a session does under which launcher (the usual one, if empty), and what the report says.
struct Row {
    name: &'static str,
    task: &'static str,
    launcher: &'static str,
    exit_code: i64,
    error_type: &'static str,
    attempts: usize,
}

const fn row(
    (name, task, launcher): (&'static str, &'static str, &'static str),
    exit_code: i64,
    (error_type, attempts): (&'static str, usize),
) -> Row {
    Row { name, task, launcher, exit_code, error_type, attempts }
}

const ROWS: [Row; 8] = [
    row(("exit-7", "fake: no-result\nfake: exit 7", ""), 7, ("tool_failure", 2)),
    row(("killed", "fake: no-result\nfake: kill-self KILL", ""), 137, ("tool_failure", 2)),
    row(("ended", "fake: no-result\nfake: kill-self TERM", ""), 143, ("tool_failure", 2)),
    row(("exit-0", "fake: no-result", ""), 0, ("tool_failure", 2)),
    row(
        (
            "no-program",
            "",
            "env SLURM_EXIT_ERROR=253 srun -Q -N1 -n1 --job-name={id} env -C {dir} /no/such/program",
        ),
        127,
        ("tool_failure", 2),
    ),
    row(
        (
            "no-partition",
            "",
            "env SLURM_EXIT_ERROR=253 srun -Q -N1 -n1 --job-name={id} --partition=none",
        ),
        253,
        ("spawn_failed", 2),
    ),
    row(("bad-option", "", "srun -Q --no-such-option"), 255, ("spawn_failed", 2)),
    // The daemon has it, and the node does not.
    row(("no-directory", "", ""), 125, ("spawn_failed", 2)),
];

#[test]
#[ignore = "needs a Slurm; `make test-slurm`"]
fn exit_codes_come_through_and_an_engine_that_failed_is_told_from_an_agent() {
    let (lab, cluster) = (Lab::new(), Cluster::get());
    let (here, elsewhere) = (lab.project("here"), lab.project("elsewhere"));
    let mut projects = json!({});
    for row in ROWS.iter().filter(|row| !row.launcher.is_empty()) {
        let mut entry = engine();
        entry["launcher"] = json!(words(row.launcher));
        projects[here.join(row.name).display().to_string()] = entry;
    }
    let settings = engine_with(json!({"projects": projects}));
    let only_there = elsewhere.join("no-directory");
    let (at, dir) = (elsewhere.display(), only_there.display());
    let mount = format!("mount -t tmpfs tmpfs {at} && mkdir {dir}");
    let daemon = apart_after(&mount, cluster.daemon(&lab, &settings));
    let ran = lab.path("ran");
    for row in &ROWS {
        let dir = here.join(row.name);
        fs::create_dir(&dir).expect("create a project");
        let dir = if row.name == "no-directory" { &only_there } else { &dir };
        lab.send(&lab.task(row.name, format!("{}\n{}", mark(&ran), row.task)).in_dir(dir));
    }
    for row in &ROWS {
        check(row, &lab.settled(row.name), starts(&ran).iter().filter(|n| *n == row.name).count());
    }
    nothing_is_left(&lab, &cluster, "exit codes");
    drop(daemon);
}

fn check(row: &Row, report: &Value, ran: usize) {
    let got = (&report["exit_code"], &report["error_type"], attempts(report).len());
    println!("slurm: {}: {got:?}, the agent ran {ran} times: {}", row.name, report["error"]);
    assert_eq!(report["status"], "failed", "{report:#}");
    let want = (&json!(row.exit_code), &json!(row.error_type), row.attempts);
    assert_eq!(got, want, "{}: {report:#}", row.name);
    assert!(only_there_missing(report), "{report:#}");
    let never_ran = row.error_type == "spawn_failed" || row.name == "no-program";
    assert_eq!(ran, if never_ran { 0 } else { row.attempts }, "{report:#}");
}

/// srun's own words on stderr decide nothing.
fn only_there_missing(report: &Value) -> bool {
    !["auth", "billing", "config"].contains(&report["error_type"].as_str().unwrap_or_default())
}
