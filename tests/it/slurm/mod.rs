//! Sessions under a real Slurm: `make test-slurm` brings up two nodes on this host
//! (`tests/slurm/cluster.sh`) and runs these tests, which are ignored elsewhere.
//!
//! Both nodes share this host's processes, so a daemon could end in /proc what it can reach only
//! through Slurm in the field. So each daemon has process ids of its own and sees no process of a
//! step ([`pids`]). What is left of a session is counted from outside: when its report stands, and
//! after every case.

mod cluster;
mod endings;
mod faults;
mod pids;
mod queue;
mod work;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use self::cluster::Cluster;
use crate::util::*;

/// The engine of all projects: the recipe for Slurm in `help settings`.
fn engine() -> Value {
    let topic = include_str!("../../../src/pure/reference/topics/settings.md");
    // The lines after its first are indented.
    let topic = topic.replace("\n  ", " ");
    let mut recipes =
        topic.lines().filter(|line| line.starts_with("{\"launcher\"") && line.contains("srun"));
    serde_json::from_str(recipes.next().expect("a recipe")).expect("JSON")
}

fn words(text: &str) -> Vec<&str> {
    text.split(' ').collect()
}

/// The engine with these settings besides.
fn engine_with(settings: Value) -> Value {
    let mut engine = engine();
    merge(&mut engine, settings);
    engine
}

fn merge(into: &mut Value, from: Value) {
    let Value::Object(from) = from else { panic!("an object: {from}") };
    from.into_iter().for_each(|(key, value)| into[key] = value);
}

fn configure(lab: &Lab, settings: &Value) {
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    fs::write(lab.ours().join("config.json"), settings.to_string()).expect("write config.json");
}

fn cancel(lab: &Lab, name: &str) {
    fs::write(lab.inbox().join(format!("cancel-{}", id(name))), "").expect("write a cancel file");
}

fn block(gate: &Gate) -> String {
    format!("fake: block {}", gate.display())
}

fn mark(path: &Path) -> String {
    format!("fake: mark {}", path.display())
}

/// What runs on the nodes of this lab's sessions: by the variables of a session, or by its
/// directory, which a process keeps that has given its environment away.
fn survivors(lab: &Lab) -> Vec<(i32, String)> {
    let variable = format!("GSTACK_DISPATCH_FILE={}/", lab.gstack.display());
    let is_of_session = |pid: i32| {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let cwd = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        environ.split(|b| *b == 0).any(|v| v.starts_with(variable.as_bytes()))
            || (cwd.starts_with(&lab.dir) && cwd != lab.dir)
    };
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    pids.filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter(|pid| is_of_session(*pid))
        .map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
}

/// What must be true after every case, at once: all reports stand.
fn nothing_is_left(lab: &Lab, cluster: &Cluster, case: &str) {
    let left = survivors(lab);
    println!("slurm: {case}: {} survivors", left.len());
    assert!(left.is_empty(), "{case}: {left:?}");
    wait_until(&format!("{case}: an empty queue"), PATIENCE, || cluster.squeue("").is_empty());
}

fn attempts(report: &Value) -> &Vec<Value> {
    report["attempts"].as_array().expect("attempts")
}

/// Where `fake: dump` of a session put what it saw.
fn dump_dir(lab: &Lab, name: &str) -> PathBuf {
    lab.path(&format!("dump-{name}"))
}

/// The node on which the session ran that left a dump.
fn node_of(lab: &Lab, name: &str) -> String {
    let env = text_file(dump_dir(lab, name).join("env"));
    let node = env.lines().find_map(|line| line.strip_prefix("SLURMD_NODENAME="));
    node.expect("a session of Slurm").to_string()
}
