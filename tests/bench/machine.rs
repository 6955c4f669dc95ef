//! The machine that the figures belong to: processor, kernel, the file system of the scratch directory, what else runs. And
//! the sleeping processes that stand beside, since a daemon that looks through /proc pays for each of them.

use std::fs;
use std::io::{self, PipeWriter};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

/// Above this something else uses the processors, and the figures are noise.
const QUIET_LOAD_MAX: f64 = 1.0;

pub struct Machine {
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
    pub memory_mb: u64,
    /// Type, device and options.
    pub file_system: String,
    pub is_real_disk: bool,
    pub processes: usize,
    pub load: f64,
}

impl Machine {
    pub fn look(scratch: &Path) -> Machine {
        let of = |path: &str, name: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map_or("unknown", |(_, value)| value.trim()).to_string()
        };
        let memory = of("/proc/meminfo", "MemTotal");
        let (file_system, is_real_disk) = file_system_of(scratch);
        Machine {
            cpu: of("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: line("/proc/sys/kernel/osrelease"),
            memory_mb: memory.trim_end_matches(" kB").parse().unwrap_or(0) / 1024,
            file_system,
            is_real_disk,
            processes: processes(),
            load: load(),
        }
    }

    pub fn print(&self, scratch: &Path) {
        let Machine { cpu, cores, kernel, memory_mb, file_system, processes, load, .. } = self;
        println!("machine     {cpu}, {cores} cores, {memory_mb} MB, Linux {kernel}");
        println!("scratch     {}, on {file_system}", scratch.display());
        println!("processes   {processes}, load average {load:.2}");
        if !self.is_real_disk {
            println!("\n*** NOT A REAL DISK: fsync costs nothing here; set GSTACK_BENCH_DIR ***");
        }
        warn_of_load();
    }

    pub fn to_json(&self) -> Value {
        json!({
            "cpu": self.cpu,
            "cores": self.cores,
            "kernel": self.kernel,
            "memory_mb": self.memory_mb,
            "file_system": self.file_system,
            "real_disk": self.is_real_disk,
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

/// Type, device and options of the file system that the path lies on; and whether it is one.
fn file_system_of(path: &Path) -> (String, bool) {
    let Mount { device, point, kind, options } = mount_of(path);
    let journal = if has_journal(path) { "" } else { " WITHOUT A JOURNAL" };
    let is_real = !matches!(&*kind, "tmpfs" | "ramfs" | "devtmpfs" | "");
    (format!("{kind}{journal} on {device} at {point} ({options})"), is_real)
}

#[derive(Default)]
struct Mount {
    device: String,
    point: String,
    kind: String,
    options: String,
}

/// The last of those with the longest mount point.
fn mount_of(path: &Path) -> Mount {
    let mut best = Mount::default();
    for mount in line("/proc/self/mounts").lines() {
        let mut words = mount.split(' ').map(String::from);
        let mut word = || words.next().unwrap_or_default();
        let mount = Mount { device: word(), point: word(), kind: word(), options: word() };
        if path.starts_with(&mount.point) && mount.point.len() >= best.point.len() {
            best = mount;
        }
    }
    best
}

/// An ext4 without one is another file system: fsync does other things, and new files avoid the places of removed ones.
pub fn has_journal(path: &Path) -> bool {
    let mount = mount_of(path);
    let name = mount.device.trim_start_matches("/dev/");
    let mut journals = fs::read_dir("/proc/fs/jbd2").into_iter().flatten().flatten();
    let is_its = |entry: fs::DirEntry| entry.file_name().to_string_lossy().starts_with(name);
    mount.kind != "ext4" || journals.any(is_its)
}

/// Processes that only sleep. All of them wait on one pipe of ours, so that they end with us, however we end.
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
