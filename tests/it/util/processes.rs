//! The machine's processes, as /proc shows them: found by the variables of their environment,
//! signalled and ended by pid.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};

use super::daemon::Daemon;
use super::files::{pids_in, text_file};
use super::waiting::{LOOK_EVERY, PATIENCE};

fn environ_has(pid: i32, wanted: &[String]) -> bool {
    let Ok(bytes) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    let variables: Vec<&[u8]> = bytes.split(|b| *b == 0).collect();
    wanted.iter().all(|w| variables.contains(&w.as_bytes()))
}

/// All processes of the machine whose environment has all of these variables. (That of a zombie is
/// empty.)
pub fn processes_with(variables: &[String]) -> Vec<(i32, String)> {
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    pids.filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter(|pid| environ_has(*pid, variables))
        .map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
}

/// What the daemon has used of the processor, in seconds.
pub fn cpu_seconds(daemon: &Daemon) -> f64 {
    let stat = text_file(format!("/proc/{}/stat", daemon.pid));
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: f64 =
        [fields[11], fields[12]].iter().map(|t| t.parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}

/// Neither gone nor a zombie.
pub fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|s| s != 'Z' && s != 'X')
}

pub fn signal(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid).expect("a pid");
    kill_process(pid, signal).unwrap_or_else(|e| panic!("cannot signal {pid:?}: {e}"));
}

/// Waits for the pids that a session wrote into `file`; none of them may be alive.
pub fn all_gone(file: &Path) -> Vec<i32> {
    let pids = pids_in(file);
    let left: Vec<_> = pids.iter().copied().filter(|pid| alive(*pid)).collect();
    // One of them has no mark by which the harness would find it.
    left.iter().for_each(|pid| signal(*pid, Signal::KILL));
    assert!(left.is_empty(), "children alive at the report: {left:?}");
    pids
}

/// SIGKILL for each process with the mark, until none is left; gives those that there were.
pub(super) fn end_all(mark: &str) -> Vec<(i32, String)> {
    let mark = [mark.to_string()];
    let first = processes_with(&mark);
    let (mut left, start) = (first.clone(), Instant::now());
    while !left.is_empty() && start.elapsed() < PATIENCE {
        for (pid, _) in &left {
            // It may have ended by itself since.
            let _ = Pid::from_raw(*pid).map(|pid| kill_process(pid, Signal::KILL));
        }
        thread::sleep(LOOK_EVERY);
        left = processes_with(&mark);
    }
    first
}
