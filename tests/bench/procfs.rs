//! What /proc says of one process (proc(5)): memory, threads, CPU, context switches. Only the
//! process itself is counted, never its children: git and the agents are not the daemon's cost.

use std::fs;

use rustix::time::{ClockId, clock_gettime};

/// Clock ticks a second in /proc/PID/stat, on every Linux.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    pub rss_kb: f64,
    pub pss_kb: f64,
    /// The most it ever was (VmHWM).
    pub peak_kb: f64,
    pub threads: f64,
}

pub fn memory(pid: u32) -> Memory {
    let status = read(&format!("/proc/{pid}/status"));
    let rollup = read(&format!("/proc/{pid}/smaps_rollup"));
    Memory {
        rss_kb: field(&status, "VmRSS:"),
        pss_kb: field(&rollup, "Pss:"),
        peak_kb: field(&status, "VmHWM:"),
        threads: field(&status, "Threads:"),
    }
}

/// Voluntary and involuntary context switches of all threads that live.
#[derive(Clone, Copy, Debug, Default)]
pub struct Switches {
    pub voluntary: f64,
    pub all: f64,
}

pub fn switches(pid: u32) -> Switches {
    let mut sum = Switches::default();
    for status in tasks(pid, "status") {
        let voluntary = field(&status, "voluntary_ctxt_switches:");
        sum.voluntary += voluntary;
        sum.all += voluntary + field(&status, "nonvoluntary_ctxt_switches:");
    }
    sum
}

/// CPU of all threads that live, to the nanosecond: for what is less than many clock ticks.
pub fn fine_cpu_ms(pid: u32) -> f64 {
    let first = |text: String| text.split(' ').next().and_then(|ns| ns.parse::<f64>().ok());
    let ns: f64 = tasks(pid, "schedstat").into_iter().filter_map(first).sum();
    ns / 1e6
}

/// CPU of the calling thread.
pub fn own_thread_cpu_ms() -> f64 {
    let spent = clock_gettime(ClockId::ThreadCPUTime);
    spent.tv_sec as f64 * 1e3 + spent.tv_nsec as f64 / 1e6
}

/// User and system time of the process, threads that have ended included, to 10 ms: for many
/// dispatches.
pub fn cpu_ms(pid: u32) -> f64 {
    let stat = read(&format!("/proc/{pid}/stat"));
    let tail = stat.rsplit_once(')').map_or("", |(_, tail)| tail);
    // Fields 14 and 15; the tail begins with field 3.
    let ticks =
        tail.split_ascii_whitespace().skip(11).take(2).filter_map(|t| t.parse::<f64>().ok());
    ticks.sum::<f64>() * 1000.0 / TICKS_PER_SECOND
}

fn tasks(pid: u32, file: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| fs::read_to_string(task.path().join(file)).ok()).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The number behind a name at the beginning of a line; 0 where there is none.
fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or_default()
}
