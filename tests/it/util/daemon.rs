//! The daemon as a guarded process: how it is started, its log, its signals, its end. Dropped, it
//! is ended, and nothing of the test may run on.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Instant;

use rustix::process::Signal;

use super::DAEMON;
use super::dump::dump;
use super::files::text_file;
use super::lab::Lab;
use super::processes::{end_all, signal};
use super::waiting::{LOOK_EVERY, PATIENCE, wait_for, wait_until};

/// How a daemon is to be started.
pub struct Start<'a> {
    lab: &'a Lab,
    flags: Vec<(String, Option<String>)>,
    env: Vec<(String, String)>,
    prefix: Vec<String>,
}

impl<'a> Start<'a> {
    pub(super) fn new(lab: &'a Lab) -> Start<'a> {
        Start { lab, flags: Vec::new(), env: Vec::new(), prefix: Vec::new() }
    }

    /// A flag with its value; replaces an earlier one of that name.
    pub fn set(mut self, flag: &str, value: impl ToString) -> Self {
        self.flags.retain(|(name, _)| name != flag);
        self.flags.push((flag.into(), Some(value.to_string())));
        self
    }
    /// A word or flag without a value.
    pub fn word(mut self, word: &str) -> Self {
        self.flags.push((word.into(), None));
        self
    }
    /// Without that flag.
    pub fn unset(mut self, flag: &str) -> Self {
        self.flags.retain(|(name, _)| name != flag);
        self
    }
    pub fn env(mut self, key: &str, value: impl ToString) -> Self {
        self = self.no_env(key);
        self.env.push((key.into(), value.to_string()));
        self
    }
    pub fn no_env(mut self, key: &str) -> Self {
        self.env.retain(|(name, _)| name != key);
        self
    }
    /// A program that runs the daemon in its own place, such as `setpriv`.
    pub fn under(mut self, prefix: &[&str]) -> Self {
        self.prefix = prefix.iter().map(|word| word.to_string()).collect();
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.wait_ready();
        daemon
    }

    /// Starts it.
    pub fn spawn(self) -> Daemon {
        let n = self.lab.daemons.get() + 1;
        self.lab.daemons.set(n);
        let stdout = self.lab.path(&format!("daemon-{n}.stdout"));
        let stderr = self.lab.path(&format!("daemon-{n}.stderr"));
        let mut words = self.prefix.clone();
        words.push(DAEMON.into());
        for (flag, value) in &self.flags {
            words.push(flag.clone());
            words.extend(value.clone());
        }
        let child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .current_dir(&self.lab.dir)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("create a log"))
            .stderr(File::create(&stderr).expect("create a log"))
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", words[0]));
        Daemon {
            pid: child.id() as i32,
            child,
            stdout,
            stderr,
            mark: self.lab.mark.clone(),
            unchecked: false,
        }
    }

    /// Runs it to its end.
    pub fn output(self) -> Output {
        let mut daemon = self.spawn();
        let code = daemon.wait();
        // What else runs in this test may go on; and an answer belongs on stdout.
        daemon.unchecked = true;
        Output { code, stdout: text_file(&daemon.stdout), stderr: text_file(&daemon.stderr) }
    }
}

#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A running daemon. Dropped, it is ended, and nothing of the test may run on.
pub struct Daemon {
    pub pid: i32,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    mark: String,
    /// It left sessions behind on purpose.
    unchecked: bool,
}

impl Daemon {
    pub fn stderr(&self) -> String {
        text_file(&self.stderr)
    }

    pub fn wait_ready(&mut self) {
        wait_until("a daemon that is ready", PATIENCE, || {
            if let Some(status) = self.exited() {
                dump();
                panic!("the daemon ended at its start: {status}");
            }
            self.stderr().contains("ready")
        })
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for the daemon")
    }

    pub fn signal(&self, what: Signal) {
        signal(self.pid, what);
    }

    /// Waits for its end and gives the exit code.
    pub fn wait(&mut self) -> i32 {
        let status = wait_for("the daemon's end", PATIENCE, || self.exited());
        status.code().unwrap_or_else(|| panic!("the daemon died of signal {:?}", status.signal()))
    }

    /// SIGTERM, and the exit code.
    pub fn stop(&mut self) -> i32 {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL: a crash. What it ran goes on; the next daemon, or [`Lab`], looks after it.
    pub fn crash(mut self) {
        self.child.kill().expect("kill the daemon");
        self.child.wait().expect("wait for the daemon");
        self.unchecked = true;
    }

    /// Past its end, with sessions left running on purpose.
    pub fn left(mut self) {
        assert!(self.exited().is_some(), "the daemon still runs");
        self.unchecked = true;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            dump();
        }
        let start = Instant::now();
        // The second signal ends sessions at once. A daemon that is deaf is killed, and that is an
        // error.
        while self.exited().is_none() && start.elapsed() < PATIENCE {
            signal(self.pid, Signal::TERM);
            wait_a_little(&mut self.child);
        }
        let deaf = self.exited().is_none();
        if deaf {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() || self.unchecked {
            return;
        }
        assert!(!deaf, "the daemon did not heed SIGTERM");
        let left = end_all(&self.mark);
        assert!(left.is_empty(), "processes left after the daemon's end: {left:?}");
        let stdout = text_file(&self.stdout);
        assert!(stdout.is_empty(), "the daemon wrote on stdout: {stdout}");
    }
}

/// Up to 100 ms for a child's end.
fn wait_a_little(child: &mut Child) {
    for _ in 0..20 {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
}
