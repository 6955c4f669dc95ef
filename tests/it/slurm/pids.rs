//! Daemons with process ids of their own: such a daemon sees itself and what it started on its own
//! host, such as `srun`, and no process of a step.
//!
//! The daemon is the init of its namespace, as in a container: with it the kernel kills all that is
//! in there. Or it shares a namespace ([`Namespace`]) that outlives it, as a daemon shares its
//! host.

use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::util::*;

const OWN_PIDS: [&str; 5] = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];

/// Starts a daemon as the init of a namespace of its own. Killed, it takes along what it started
/// on its own host.
pub fn apart(start: Start) -> Daemon {
    apart_after("true", start)
}

/// The same; this shell command runs first, where the daemon's own mounts are.
pub fn apart_after(command: &str, start: Start) -> Daemon {
    let script = format!("{command} && exec \"$@\"");
    let prefix = [&OWN_PIDS[..], &["sh", "-c", &script, "sh"]].concat();
    inside(start.under(&prefix))
}

/// Signals are for the daemon, not for the program that made or entered its namespace.
fn inside(start: Start) -> Daemon {
    let mut daemon = start.start();
    daemon.pid = child_of(daemon.pid);
    daemon
}

fn child_of(pid: i32) -> i32 {
    wait_for(&format!("the only child of {pid}"), PATIENCE, || {
        text_file(format!("/proc/{pid}/task/{pid}/children")).trim().parse().ok()
    })
}

/// SIGKILL to a daemon alone.
pub fn crash(daemon: Daemon) {
    let pid = daemon.pid;
    signal(pid, Signal::KILL);
    wait_until("the daemon's end", PATIENCE, || !alive(pid));
    daemon.crash();
}

/// The command lines of all processes that the daemon can see.
pub fn seen_by(daemon: &Daemon) -> Vec<String> {
    let look = "for p in /proc/[0-9]*; do tr '\\0' ' ' <$p/cmdline && echo; done";
    let pid = daemon.pid.to_string();
    let run = Command::new("nsenter")
        .args(["-t", &pid, "-p", "-m", "sh", "-c", look])
        .output()
        .expect("nsenter");
    let told = String::from_utf8_lossy(&run.stdout).into_owned();
    told.lines().filter(|line| !line.is_empty()).map(String::from).collect()
}

/// A namespace of process ids whose init only waits. Dropped, all in there is killed.
pub struct Namespace {
    outer: Child,
    init: i32,
}

impl Namespace {
    pub fn new() -> Namespace {
        let outer = Command::new(OWN_PIDS[0])
            .args(&OWN_PIDS[1..])
            .args(["sh", "-c", "while :; do sleep 7777; done"])
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .stdin(Stdio::null())
            .spawn()
            .expect("unshare");
        let init = child_of(outer.id() as i32);
        // It is the init from its first moment, and has its /proc when it runs the shell.
        wait_until("the namespace's init", PATIENCE, || {
            text_file(format!("/proc/{init}/comm")).trim() == "sh"
        });
        Namespace { outer, init }
    }

    /// Starts a daemon in here.
    pub fn start(&self, start: Start) -> Daemon {
        inside(start.under(&["nsenter", "-t", &self.init.to_string(), "-p", "-m"]))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        self.outer.kill().expect("kill unshare");
        self.outer.wait().expect("wait for unshare");
        wait_until("the end of the namespace", PATIENCE, || !alive(self.init));
    }
}
