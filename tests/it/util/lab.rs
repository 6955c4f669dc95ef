//! A directory for each test, the dispatches that are dropped there, and the daemon that runs on
//! it. Its guard checks on the way out: no process may carry the test's mark, and the audit log
//! must parse to its last line.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use serde_json::json;

use super::FIXTURES;
use super::checks::check_audit_line;
use super::daemon::Start;
use super::dispatch::Dispatch;
use super::dump::{DUMPED, LAB, dump};
use super::gate::Gate;
use super::git::git;
use super::processes::{end_all, processes_with};

/// A pid and a number follow.
const LAB_PREFIX: &str = "dispatch-it-";

/// A test's own directory: `home`, `gstack` (= `$GSTACK_HOME`), projects, FIFOs.
pub struct Lab {
    pub dir: PathBuf,
    pub home: PathBuf,
    pub gstack: PathBuf,
    pub(super) mark: String,
    pub(super) daemons: Cell<u32>,
}

impl Lab {
    pub fn new() -> Lab {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("{LAB_PREFIX}{}-{n}", std::process::id());
        let dir = std::env::temp_dir().canonicalize().expect("temporary directory").join(&name);
        let lab = Lab {
            home: dir.join("home"),
            gstack: dir.join("gstack"),
            mark: format!("DISPATCH_TEST={name}"),
            dir,
            daemons: Cell::new(0),
        };
        fs::create_dir_all(&lab.home).expect("create the test's directory");
        LAB.set(Some(lab.dir.clone()));
        DUMPED.set(false);
        lab
    }

    /// The `NAME=VALUE` that every process of this test has in its environment.
    pub fn mark(&self) -> &str {
        &self.mark
    }
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
    pub fn inbox(&self) -> PathBuf {
        self.gstack.join("dispatch")
    }
    pub fn ours(&self) -> PathBuf {
        self.gstack.join("dispatchd")
    }
    pub fn active(&self, name: &str) -> PathBuf {
        self.ours().join("active").join(id(name))
    }
    pub fn finished(&self, name: &str) -> PathBuf {
        self.ours().join("finished").join(id(name))
    }
    pub fn report_path(&self, name: &str) -> PathBuf {
        self.inbox().join("completed").join(format!("{}.json", id(name)))
    }
    pub fn dropped(&self, name: &str) -> PathBuf {
        self.inbox().join(format!("{}.json", id(name)))
    }

    /// A project directory of that name; not a repository.
    pub fn project(&self, name: &str) -> PathBuf {
        let dir = self.path(name);
        fs::create_dir_all(&dir).expect("create a project");
        dir
    }

    /// A project that is a git repository with one commit on the branch `main`.
    pub fn repository(&self, name: &str) -> PathBuf {
        let dir = self.project(name);
        git(&dir, "init -q -b main");
        fs::write(dir.join("README"), "hello\n").expect("write README");
        git(&dir, "add README");
        git(&dir, "commit -q -m first");
        dir
    }

    pub fn gate(&self, name: &str) -> Gate {
        let path = self.path(name);
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success(), "mkfifo {}", path.display());
        Gate::at(path)
    }

    /// A dispatch with the id `dispatch-<name>` and a project directory of its own.
    pub fn task(&self, name: &str, task: impl Into<String>) -> Dispatch {
        let dir = self.project(&format!("project-{name}"));
        Dispatch(json!({
            "id": id(name), "dispatched_by": "test", "task": task.into(),
            "project": format!("project-{name}"), "project_dir": dir,
        }))
    }

    /// Drops it as a careful sender does: written beside, then renamed into the inbox under
    /// `<id>.json`.
    pub fn send(&self, dispatch: &Dispatch) {
        self.place(&format!("{}.json", dispatch.id()), &dispatch.bytes());
    }

    /// The same for any bytes under any name.
    pub fn place(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.inbox()).expect("create the inbox");
        let beside = self.gstack.join(".being-written");
        fs::write(&beside, bytes).expect("write a dispatch");
        fs::rename(&beside, self.inbox().join(name)).expect("rename a dispatch into the inbox");
    }

    /// A daemon to be started, with settings that make tests quick.
    pub fn daemon(&self) -> Start<'_> {
        self.plain_daemon()
            .set("--settle", 0.2)
            .set("--min-ttl", 1)
            .set("--kill-grace", 0.3)
            .set("--rate-limit-backoff", 0.3)
            .set("--hold-jitter", 0)
            .set("--lock-wait", 0.3)
            .set("--drain-timeout", 15)
            .set("--callback-timeout", 5)
    }

    /// The same with its own defaults.
    pub fn plain_daemon(&self) -> Start<'_> {
        let inherited = std::env::var("PATH").unwrap_or_default();
        let (name, value) = self.mark.split_once('=').expect("NAME=VALUE");
        let start = Start::new(self)
            .env("PATH", format!("{FIXTURES}/bin:{inherited}"))
            .env("HOME", self.home.display())
            .env("GSTACK_HOME", self.gstack.display())
            .env(name, value);
        ["RUST_BACKTRACE", "LLVM_PROFILE_FILE"].into_iter().fold(start, |start, key| {
            match std::env::var(key) {
                Ok(value) => start.env(key, value),
                Err(_) => start,
            }
        })
    }

    /// All processes of this test: daemons, sessions and whatever they started.
    pub fn processes(&self) -> Vec<(i32, String)> {
        processes_with(std::slice::from_ref(&self.mark))
    }

    /// Ends what is left of this test, by pid. For tests that leave something on purpose.
    pub fn end_leftovers(&self) {
        end_all(&self.mark);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let left = end_all(&self.mark);
        if thread::panicking() {
            dump();
            eprintln!("kept: {}", self.dir.display());
            return;
        }
        assert!(left.is_empty(), "processes left after the test: {left:?}");
        let text = fs::read_to_string(self.inbox().join("audit.jsonl")).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "the audit log ends in half a line");
        text.lines().for_each(|line| drop(check_audit_line(line)));
        LAB.set(None);
        fs::remove_dir_all(&self.dir).expect("remove the test's directory");
    }
}

/// The pid of the run to whose tests a directory belongs.
pub fn run_of(path: &Path) -> Option<i32> {
    let mut names = path.components().filter_map(|part| part.as_os_str().to_str());
    let of_lab = names.find_map(|name| name.strip_prefix(LAB_PREFIX))?;
    of_lab.split('-').next()?.parse().ok()
}

pub fn id(name: &str) -> String {
    format!("dispatch-{name}")
}
