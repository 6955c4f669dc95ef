//! The machine that the figures belong to: processor, kernel, what else runs. And the sleeping
//! processes that stand beside, since a daemon that looks through /proc pays for each of them.

use std::fs;
use std::io::{self, PipeWriter};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::disk::Disk;

/// Above this something else uses the processors, and the figures are noise.
const QUIET_LOAD_MAX: f64 = 1.0;

pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
    pub memory_mb: u64,
    pub processes: usize,
    pub load: f64,
}

impl Machine {
    pub fn look() -> Machine {
        let of = |path: &str, name: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_string()
        };
        let memory = of("/proc/meminfo", "MemTotal");
        Machine {
            cpu: of("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: line("/proc/sys/kernel/osrelease"),
            memory_mb: memory.trim_end_matches(" kB").parse().unwrap_or(0) / 1024,
            processes: processes(),
            load: load(),
        }
    }

    pub fn print(&self) {
        let Machine { cpu, cores, kernel, memory_mb, processes, load } = self;
        println!("machine     {cpu}, {cores} cores, {memory_mb} MB, Linux {kernel}");
        println!("processes   {processes}, load average {load:.2}");
        warn_of_load();
    }

    pub fn to_json(&self, disk: &Disk) -> Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "kernel": self.kernel,
            "memory_mb": self.memory_mb,
            "file_system": disk.file_system,
            "real_disk": disk.is_real,
            "processes": self.processes,
            "load": self.load,
        })
    }
}

pub fn load() -> f64 {
    line("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

pub fn warn_of_load() {
    if load() > QUIET_LOAD_MAX {
        println!("\n*** THE MACHINE IS BUSY (load average {:.2}): figures are noise ***", load());
    }
}

fn line(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_string()
}

fn processes() -> usize {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter(|e| e.file_name().to_string_lossy().parse::<u32>().is_ok()).count()
}

/// Processes that only sleep. All of them wait on one pipe of ours, so that they end with us,
/// however we end.
pub struct Sleepers {
    children: Vec<Child>,
    line: Option<PipeWriter>,
}

impl Sleepers {
    pub fn start(count: usize) -> Sleepers {
        let (waited_on, line) = io::pipe().expect("a pipe");
        let start = |_| {
            let end = waited_on.try_clone().expect("a descriptor");
            Command::new("cat").stdin(end).stdout(Stdio::null()).spawn().expect("start cat")
        };
        Sleepers { children: (0..count).map(start).collect(), line: Some(line) }
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        self.line.take();
        for child in &mut self.children {
            let _ = child.wait();
        }
    }
}
