//! Where things are measured: a scratch directory on a real disk with a project in it, a fresh
//! `$GSTACK_HOME` ([`Home`]) for each measurement, the daemons to compare ([`Side`]), and how much
//! is measured ([`Sizes`]).
//!
//! Both daemons get the same environment, the same agent (`fixtures/bin-bench`, first in PATH) and
//! the same two flags. A [`Home`] that goes out of scope is removed and the disk brought to rest,
//! so that it is not the next one's load.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

pub const OURS: &str = env!("CARGO_BIN_EXE_gstack-dispatch-daemon");
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin-bench");
/// How long anything may take that should happen at once.
pub const PATIENCE: Duration = Duration::from_secs(20);
const PROJECT_FILES: usize = 1000;

/// How much of everything.
#[derive(Clone, Copy)]
pub struct Sizes {
    pub sequential: usize,
    pub starts: usize,
    /// So many dispatches are over when the daemon starts once more.
    pub finished: usize,
    pub idle: Duration,
    /// Waiting files, each with its numbers of sessions and how often it is measured.
    pub waiting: &'static [(usize, &'static [usize], usize)],
    pub burst: usize,
    pub output_mb: usize,
    pub held: Duration,
    pub log_lines: usize,
    pub claims: usize,
    /// All of this writes no more, in GB.
    pub room_gb: u64,
}

pub const FULL: Sizes = Sizes {
    sequential: 200,
    starts: 20,
    finished: 50_000,
    idle: Duration::from_secs(60),
    waiting: &[(2_000, &[2, 8, 32], 3), (10_000, &[2, 8, 32], 1), (100_000, &[8], 1)],
    burst: 10_000,
    output_mb: 200,
    held: Duration::from_secs(30),
    log_lines: 1_000_000,
    claims: 10_000,
    room_gb: 20,
};

pub const QUICK: Sizes = Sizes {
    sequential: 200,
    starts: 20,
    finished: 50_000,
    idle: Duration::from_secs(30),
    waiting: &[(500, &[2, 8, 32], 1), (2_000, &[8], 3)],
    burst: 1_000,
    output_mb: 200,
    held: Duration::from_secs(10),
    log_lines: 100_000,
    claims: 1_000,
    room_gb: 4,
};

/// One daemon of the comparison.
#[derive(Clone)]
pub struct Side {
    pub name: &'static str,
    /// For a shell.
    command: Option<String>,
}

impl Side {
    pub fn is_ours(&self) -> bool {
        self.command.is_none()
    }
}

pub struct Lab {
    pub dir: PathBuf,
    pub sizes: Sizes,
    /// Ours first.
    pub sides: Vec<Side>,
    pub project: PathBuf,
    numbers: AtomicUsize,
}

impl Lab {
    pub fn set_up(parent: &Path, sizes: Sizes, against: Option<String>) -> Lab {
        let dir = parent.join(format!("bench-{}", std::process::id()));
        for part in ["", "home", "project"] {
            fs::create_dir_all(dir.join(part)).expect("make the scratch directory");
        }
        let dir = dir.canonicalize().expect("the scratch directory");
        let ours = Side { name: "ours", command: None };
        let other = against.map(|command| Side { name: "against", command: Some(command) });
        let sides = [ours].into_iter().chain(other).collect();
        let project = dir.join("project");
        make_project(&project);
        Lab { dir, sizes, sides, project, numbers: AtomicUsize::new(0) }
    }

    pub fn agent(&self) -> PathBuf {
        Path::new(FIXTURES).join("claude")
    }

    /// What every process of the bench is started with.
    pub fn equip(&self, command: &mut Command) {
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env_clear()
            .env("PATH", format!("{FIXTURES}:{path}"))
            .env("HOME", self.dir.join("home"))
            .stdin(Stdio::null());
    }

    /// The command of a daemon, to be started as it is or under strace: program, then arguments.
    pub fn daemon(&self, side: &Side, home: &Home, sessions: usize, wrapper: &[&str]) -> Command {
        let shell;
        let words: &[&str] = match &side.command {
            None => &[OURS],
            Some(line) => {
                shell = format!("exec {line} \"$@\"");
                &["sh", "-c", &shell, "sh"]
            }
        };
        let all: Vec<&str> = wrapper.iter().chain(words).copied().collect();
        let mut command = Command::new(all[0]);
        self.equip(&mut command);
        command
            .args(&all[1..])
            .args(["--local-only", "--max-concurrent", &sessions.to_string()])
            .env("GSTACK_HOME", &home.dir)
            // So that all that is measured lies on the file system that is measured.
            .env("TMPDIR", &home.dir)
            .env("GSTACK_DISPATCHD_MAX_PER_PROJECT", "0")
            .current_dir(&home.dir);
        command
    }

    /// Another one each time, for names.
    pub fn number(&self) -> usize {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    pub fn home(&self) -> Home {
        let dir = self.dir.join(format!("gstack-{}", self.number()));
        let project = self.project.display().to_string();
        let home = Home { dir, project };
        let mut private = fs::DirBuilder::new();
        private.recursive(true).mode(0o700);
        for part in [home.completed(), home.staging(), home.control()] {
            private.create(part).expect("make a home");
        }
        home
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn make_project(dir: &Path) {
    for number in 0..PROJECT_FILES {
        let folder = dir.join(format!("src/{:02}", number / 50));
        fs::create_dir_all(&folder).expect("make a folder of the project");
        let text = format!("line {number}\n").repeat(40);
        fs::write(folder.join(format!("{number}.txt")), text).expect("write a file of the project");
    }
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.args(["-c", "user.name=bench", "-c", "user.email=bench@localhost"]);
        let done = command.args(arguments).current_dir(dir).stdout(Stdio::null()).status();
        assert!(done.is_ok_and(|status| status.success()), "git {arguments:?} failed");
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "--message=all"]);
}

/// A `$GSTACK_HOME`.
pub struct Home {
    pub dir: PathBuf,
    project: String,
}

impl Home {
    pub fn inbox(&self) -> PathBuf {
        self.dir.join("dispatch")
    }
    pub fn completed(&self) -> PathBuf {
        self.dir.join("dispatch/completed")
    }
    pub fn audit(&self) -> PathBuf {
        self.dir.join("dispatch/audit.jsonl")
    }
    pub fn heartbeat(&self) -> PathBuf {
        self.dir.join("dispatch/.daemon-heartbeat")
    }
    pub fn control(&self) -> PathBuf {
        self.dir.join("dispatchd/control")
    }
    /// On the same file system as the inbox: files are renamed from here.
    fn staging(&self) -> PathBuf {
        self.dir.join("staging")
    }

    /// Writes dispatch number `number` aside, to be dropped later.
    pub fn stage(&self, number: usize) {
        fs::write(self.staging().join(file_of(number)), self.dispatch(number)).expect("stage");
    }

    /// By rename, as an orchestrator should. When that began.
    pub fn drop_staged(&self, number: usize) -> Instant {
        let name = file_of(number);
        let (from, to) = (self.staging().join(&name), self.inbox().join(&name));
        let began = Instant::now();
        fs::rename(from, to).expect("drop a dispatch");
        began
    }

    /// Puts dispatches 0..count into the inbox, in order, and all of it on disk.
    pub fn fill(&self, count: usize) {
        for number in 0..count {
            let path = self.inbox().join(file_of(number));
            fs::write(path, self.dispatch(number)).expect("write a dispatch");
        }
        rustix::fs::sync();
    }

    fn dispatch(&self, number: usize) -> Vec<u8> {
        let dispatch = json!({
            "id": id_of(number),
            "dispatched_by": "bench",
            "task": "Say that it is done, and nothing more.",
            "project": "bench",
            "project_dir": self.project,
            "constraints": ["change nothing"],
            "ttl_seconds": 600,
        });
        dispatch.to_string().into_bytes()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
        rustix::fs::sync();
    }
}

/// The numbers have leading zeros: files of the same moment are taken in order of their names.
pub fn id_of(number: usize) -> String {
    format!("dispatch-bench-{number:06}")
}

pub fn file_of(number: usize) -> String {
    id_of(number) + ".json"
}

pub fn index_of(id: &str) -> Option<usize> {
    id.strip_prefix("dispatch-bench-")?.parse().ok()
}
