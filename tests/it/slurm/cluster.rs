//! The cluster that `make test-slurm` has brought up, and what tests ask of it and do to it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use super::configure;
use crate::util::*;

pub const NODES: [&str; 2] = ["n1", "n2"];
pub const CPUS: usize = 8;

pub struct Cluster {
    dir: PathBuf,
}

impl Cluster {
    pub fn get() -> Cluster {
        let dir = std::env::var("GSTACK_TEST_SLURM");
        let dir = dir.expect("GSTACK_TEST_SLURM names no cluster: run `make test-slurm`");
        let cluster = Cluster { dir: dir.into() };
        // Of a test that failed.
        cluster.cancel_all();
        cluster.wait_idle();
        cluster
    }

    fn conf(&self) -> PathBuf {
        self.dir.join("slurm.conf")
    }

    /// A daemon of that lab with these settings, whose sessions may run on the nodes.
    pub fn daemon<'l>(&self, lab: &'l Lab, settings: &Value) -> Start<'l> {
        configure(lab, settings);
        lab.daemon().set("--max-concurrent", CPUS).env("SLURM_CONF", self.conf().display())
    }

    fn command(&self, line: &str) -> Command {
        let mut words = line.split(' ');
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).env("SLURM_CONF", self.conf()).stdin(Stdio::null());
        command
    }

    /// A program of Slurm; gives what it printed, or `None` if it failed.
    fn try_run(&self, line: &str) -> Option<String> {
        let run = self.command(line).output().expect("a program of Slurm");
        run.status.success().then(|| String::from_utf8_lossy(&run.stdout).trim().to_string())
    }

    fn run(&self, line: &str) -> String {
        self.try_run(line).unwrap_or_else(|| panic!("it failed: {line}"))
    }

    /// The state and the node of that dispatch's job, such as "R n1" and "PD"; of all jobs for "".
    pub fn squeue(&self, name: &str) -> Vec<String> {
        let one = if name.is_empty() { String::new() } else { format!(" --name={}", id(name)) };
        let told = self.run(&format!("squeue -h -o %t_%N{one}"));
        told.lines().map(|line| line.replace('_', " ").trim().to_string()).collect()
    }

    /// Waits until that dispatch's job is in that state.
    pub fn wait_state(&self, name: &str, state: &str) {
        wait_until(&format!("{} in the state {state}", id(name)), PATIENCE, || {
            self.squeue(name).iter().any(|job| job.split(' ').next() == Some(state))
        });
    }

    /// The node that runs that dispatch.
    pub fn node_of(&self, name: &str) -> String {
        wait_for(&format!("{} on a node", id(name)), PATIENCE, || {
            self.squeue(name).iter().find_map(|job| Some(job.strip_prefix("R ")?.to_string()))
        })
    }

    pub fn wait_idle(&self) {
        wait_until("two idle nodes", PATIENCE, || self.run("sinfo -h -t idle -o %D") == "2");
    }

    pub fn set_down(&self, node: &str) {
        self.run(&format!("scontrol update nodename={node} state=down reason=test"));
    }

    /// A node that has come back by itself needs no resumption, and none is taken.
    pub fn resume(&self, node: &str) {
        let _ = self.try_run(&format!("scontrol update nodename={node} state=resume"));
    }

    fn pid_file(&self, program: &str) -> PathBuf {
        self.dir.join(format!("{program}.pid"))
    }

    /// SIGKILL to a node's slurmd.
    pub fn kill_slurmd(&self, node: &str) {
        let file = self.pid_file(&format!("slurmd-{node}"));
        let pid = pids_in(&file)[0];
        signal(pid, Signal::KILL);
        wait_until(&format!("the end of {node}'s slurmd"), PATIENCE, || !alive(pid));
        fs::remove_file(file).expect("remove its pid file");
    }

    pub fn start_slurmd(&self, node: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slurm/cluster.sh");
        let run = Command::new(script).arg("node").arg(&self.dir).arg(node).status();
        assert!(run.expect("cluster.sh").success());
        pids_in(&self.pid_file(&format!("slurmd-{node}")));
    }

    pub fn cancel_all(&self) {
        self.run("scancel -u root");
    }

    /// Nobody is answered by slurmctld, until it may go on.
    pub fn deaf(&self) -> Deaf {
        let pid = pids_in(&self.pid_file("slurmctld"))[0];
        signal(pid, Signal::STOP);
        Deaf(pid)
    }

    /// Somebody else's job, on every CPU.
    pub fn occupied(&self) -> Occupied<'_> {
        let line = format!("srun -Q -N2 -n{CPUS} --job-name=somebody sleep 7777");
        let mut command = self.command(&line);
        let srun = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("srun");
        let occupied = Occupied { cluster: self, srun };
        wait_until("every CPU taken", PATIENCE, || {
            self.run("squeue -h -t R -o %C --name=somebody") == CPUS.to_string()
        });
        occupied
    }
}

/// Somebody else's job; dropped, it is gone.
pub struct Occupied<'c> {
    cluster: &'c Cluster,
    srun: Child,
}

impl Drop for Occupied<'_> {
    fn drop(&mut self) {
        self.cluster.run("scancel --name=somebody");
        self.srun.wait().expect("wait for srun");
    }
}

/// A slurmctld that answers nobody; dropped, it goes on.
pub struct Deaf(i32);

impl Drop for Deaf {
    fn drop(&mut self) {
        signal(self.0, Signal::CONT);
    }
}
