//! A daemon as a process that ends with its guard, by its own pid: SIGTERM, a moment, SIGKILL. And
//! single dispatches, timed from the rename to the report ([`Served`]).

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::ending;
use crate::lab::{Home, Lab, PATIENCE, Side, file_of};
use crate::watch::{Arrivals, ENDED, Fifo, STARTED};

/// An idle daemon that was told to end may take this long.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Between two measurements: what the daemon still does after the report belongs to neither.
const REST: Duration = Duration::from_millis(5);

/// Looks until something holds. The error says what was waited for.
pub fn wait_until(
    what: &str,
    patience: Duration,
    mut holds: impl FnMut() -> bool,
) -> Result<Instant, String> {
    let until = Instant::now() + patience;
    loop {
        if holds() {
            return Ok(Instant::now());
        }
        if Instant::now() > until {
            return Err(format!("waited {patience:?} in vain for {what}"));
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Lets what was done come to rest.
pub fn rest() {
    thread::sleep(REST);
}

pub struct Daemon {
    child: Child,
    /// The daemon's own, as its heartbeat names it: the child may be strace.
    pub pid: u32,
    /// Just before it was started.
    pub began: Instant,
    log: PathBuf,
}

impl Daemon {
    /// Its output goes to `home/log`, where a person would look.
    pub fn start(mut command: Command, home: &Home) -> Daemon {
        let log = home.dir.join("log");
        let out = File::create(&log).expect("create the log");
        command.stderr(out.try_clone().expect("a descriptor")).stdout(out);
        let began = Instant::now();
        let child = command.spawn().unwrap_or_else(|e| panic!("cannot start {command:?}: {e}"));
        ending::remember(child.id());
        Daemon { pid: child.id(), child, began, log }
    }

    /// Started, and watching its inbox.
    pub fn ready(command: Command, home: &Home) -> Result<Daemon, String> {
        let mut daemon = Daemon::start(command, home);
        daemon.wait_ready(PATIENCE)?;
        let beat: Value = fs::read(home.heartbeat())
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .ok_or("no heartbeat of a daemon that is ready")?;
        daemon.pid = beat["pid"].as_u64().map_or(daemon.pid, |pid| pid as u32);
        ending::remember(daemon.pid);
        Ok(daemon)
    }

    /// When its log said that it is ready.
    pub fn wait_ready(&mut self, patience: Duration) -> Result<Instant, String> {
        self.wait_ready_and(patience, &mut || {})
    }

    /// The same; `meanwhile` is done at every look.
    pub fn wait_ready_and(
        &mut self,
        patience: Duration,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<Instant, String> {
        let (log, mut read, mut text) = (self.log.clone(), 0, String::new());
        let ready = wait_until("a daemon that is ready", patience, || {
            meanwhile();
            read += append_from(&log, read, &mut text);
            text.contains("ready") || self.exited().is_some()
        });
        match self.exited() {
            Some(status) => Err(format!("the daemon ended: {status}; {}", self.last_words())),
            None => ready.map_err(|e| format!("{e}; {}", self.last_words())),
        }
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for the daemon")
    }

    pub fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(3).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" | ")
    }

    /// SIGKILL.
    pub fn crash(mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        ending::kill(self.pid);
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.exited().is_none() {
            if let Some(pid) = Pid::from_raw(self.pid as i32) {
                let _ = kill_process(pid, Signal::TERM);
            }
            if wait_until("its end", END_WITHIN, || self.exited().is_some()).is_err() {
                self.kill();
            }
        }
        ending::forget(self.pid);
        ending::forget(self.child.id());
    }
}

/// Adds what a log has after `from` to `text`; how much that was.
fn append_from(log: &Path, from: u64, text: &mut String) -> u64 {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(log)?;
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().unwrap_or_default();
    *text += &String::from_utf8_lossy(&bytes);
    bytes.len() as u64
}

/// How long one dispatch took, in milliseconds.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Dropped → the agent's first deed.
    pub start: f64,
    /// The agent's last deed → the report is there. `None`: this one gives none.
    pub end: Option<f64>,
    /// Dropped → all of the above.
    pub whole: f64,
}

pub fn ms(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1000.0
}

/// A daemon that gets one dispatch after the other.
pub struct Served {
    // In this order: the daemon ends before its directory goes.
    pub daemon: Daemon,
    pub fifo: Fifo,
    reports: Arrivals,
    pub home: Home,
    next: usize,
}

impl Served {
    /// `wrapper`: a program and its arguments that the daemon is to be started by (strace).
    pub fn start(
        lab: &Lab,
        side: &Side,
        home: Home,
        sessions: usize,
        wrapper: &[&str],
        more: &[(&str, &Path)],
    ) -> Result<Served, String> {
        let fifo = Fifo::make(home.dir.join("fifo"));
        let mut command = lab.daemon(side, &home, sessions, wrapper);
        command.env("BENCH_FIFO", &fifo.path).envs(more.iter().copied());
        let daemon = Daemon::ready(command, &home)?;
        let reports = Arrivals::watch(&home.completed());
        Ok(Served { daemon, fifo, reports, home, next: 0 })
    }

    /// One dispatch, from its rename to its report.
    pub fn dispatch(&mut self, patience: Duration) -> Result<Sample, String> {
        let number = self.stage_next();
        rest();
        self.fifo.clear();
        let dropped = self.home.drop_staged(number);
        let started = self.fifo.wait_for(STARTED, patience)?;
        let ended = self.fifo.wait_for(ENDED, patience)?;
        let reported = self.reports.wait_for(&file_of(number), patience)?;
        rest();
        Ok(Sample {
            start: ms(dropped, started),
            end: Some(ms(ended, reported)),
            whole: ms(dropped, reported),
        })
    }

    /// Prepares the next dispatch, for the caller to drop.
    pub fn stage_next(&mut self) -> usize {
        let number = self.next;
        self.home.stage(number);
        self.next += 1;
        number
    }
}
