//! The agent's own process, which we started, or found running at start and adopted.
//!
//! Its outputs are files, so that the agent outlives us and nobody has to drain them. The agent
//! leads a process group of its own, and where we have a terminal a login session too
//! ([`super::verb`]). All signals must come from the one thread that owns this value; others ask
//! that thread.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, getpgid, kill_process, kill_process_group, test_kill_process};
use wait_timeout::ChildExt;

use super::{Processes, procfs, verb};
use crate::effects::failpoint::{self, Effect};
use crate::pure::attempt::outcome::Exit;
use crate::pure::attempt::record::ChildRecord;
use crate::pure::confine::Confinement;

/// How often we look at a process that is not our child, where the kernel cannot tell us of its
/// end.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// After SIGKILL only a process in uninterruptible sleep lives on. We wait this long for it.
const KILLED_WAIT_MAX: Duration = Duration::from_secs(60);

/// What is known of a session before its attempt is durable.
pub struct Spawn<'a> {
    pub program: &'a Path,
    pub arguments: Vec<OsString>,
    pub directory: &'a Path,
    /// Variables that are set on top of the inherited ones ([`Processes::new`]).
    pub variables: Vec<(&'a str, OsString)>,
    /// The wall that it runs behind, if any.
    pub confinement: Option<&'a Confinement>,
}

/// What it is given at its start.
pub struct SessionFiles<'a> {
    pub stdin: File,
    pub stdout: File,
    pub stderr: File,
    /// What it may read besides, if it is behind a wall.
    pub readable: &'a [PathBuf],
}

/// A session of which nothing has run. If it is dropped, nothing will.
pub struct PreparedSession<'p> {
    processes: &'p Processes,
    first: First<'p>,
}

/// What there is of a session before its agent.
enum First<'p> {
    Command(Box<Command>),
    Verb(Waiting<'p>),
}

/// The process that waits to become the agent, and is ended with this value.
struct Waiting<'p> {
    processes: &'p Processes,
    line: verb::Line,
    /// `None`: it is the agent by now.
    child: Option<Child>,
}

pub struct Session<'p> {
    processes: &'p Processes,
    leader: Leader,
    pid: i32,
    start_time: Option<u64>,
}

enum Leader {
    Ours(Child),
    Adopted(Option<OwnedFd>),
    Ended,
}

impl<'p> Session<'p> {
    /// Does all of a start that can be done before its attempt is durable.
    pub fn prepare(processes: &'p Processes, spawn: Spawn) -> io::Result<PreparedSession<'p>> {
        let Spawn { program, arguments, directory, variables, confinement } = spawn;
        let through = match confinement {
            Some(_) => verb::ourselves(),
            None => processes.through.clone(),
        };
        let (mut command, line) = match through {
            Some(ourselves) => {
                let written = verb::written(confinement)?;
                let (command, line) = verb::command(&ourselves, &written, (program, arguments))?;
                (command, Some(line))
            }
            None if confinement.is_some() => {
                return Err(io::Error::other("cannot be confined: our own program is not found"));
            }
            None => {
                let mut command = Command::new(program);
                command.args(arguments).process_group(0);
                (command, None)
            }
        };
        command.current_dir(directory);
        for name in &processes.withheld {
            command.env_remove(name);
        }
        command.envs(variables);
        let first = match line {
            None => First::Command(Box::new(command)),
            Some(line) => {
                let child = Some(processes.spawn(&mut command)?);
                First::Verb(Waiting { processes, line, child })
            }
        };
        Ok(PreparedSession { processes, first })
    }

    /// Takes up a session that another daemon started, if its agent is still that very process.
    pub fn adopt(processes: &'p Processes, record: &ChildRecord) -> Option<Session<'p>> {
        let pidfd = open_pidfd(record.pid);
        // The look comes after the descriptor is open: from here on it cannot be another process.
        is_alive(record).then_some(Session {
            processes,
            leader: Leader::Adopted(pidfd),
            pid: record.pid,
            start_time: record.start_time,
        })
    }

    pub fn record(&self) -> ChildRecord {
        ChildRecord { pid: self.pid, start_time: self.start_time }
    }

    /// Waits at most `slice` for the agent's end. The inner `None`: it ended, and we could not see
    /// how.
    pub fn wait(&mut self, slice: Duration) -> Option<Option<Exit>> {
        let record = self.record();
        let ended = match &mut self.leader {
            Leader::Ours(child) => match wait_child(child, slice) {
                Ok(status) => status.map(|status| Some(exit_of(status))),
                Err(e) => {
                    log::error!("cannot wait for process {}: {e}", self.pid);
                    Some(None)
                }
            },
            Leader::Adopted(pidfd) => {
                wait_stranger(pidfd.as_ref(), slice, &|| is_alive(&record)).then_some(None)
            }
            Leader::Ended => Some(None),
        };
        if ended.is_some() {
            if matches!(self.leader, Leader::Ours(_)) {
                self.processes.forget(self.pid);
                // Where /proc is, the sweep finds the rest of the group and treats it more gently.
                if !cfg!(target_os = "linux") {
                    self.signal_group(Signal::KILL);
                }
            }
            self.leader = Leader::Ended;
        }
        ended
    }

    /// The kill ladder for the agent itself: SIGTERM to its group, `grace`, SIGKILL. Calls `wait`
    /// to the end.
    pub fn stop(&mut self, grace: Duration) -> Option<Exit> {
        self.signal(Signal::TERM);
        // A stopped process must run again to see the signal.
        self.signal(Signal::CONT);
        if let Some(exit) = self.wait(grace) {
            return exit;
        }
        self.signal(Signal::KILL);
        match self.wait(KILLED_WAIT_MAX) {
            Some(exit) => exit,
            None => {
                log::error!("process {} does not end, even by SIGKILL", self.pid);
                None
            }
        }
    }

    fn signal(&mut self, signal: Signal) {
        let is_there = match &self.leader {
            Leader::Ours(_) => true,
            Leader::Adopted(_) => is_alive(&self.record()),
            Leader::Ended => false,
        };
        if !is_there {
            return;
        }
        self.signal_group(signal);
        // The group's signal does not reach an agent that has left its group, and an agent that is
        // in it must not see two.
        if let Some(pid) = Pid::from_raw(self.pid)
            && getpgid(Some(pid)).is_ok_and(|group| group != pid)
        {
            let _ = match &self.leader {
                Leader::Adopted(Some(pidfd)) => signal_pidfd(pidfd, signal),
                // The process is not reaped, or was just seen alive.
                _ => kill_process(pid, signal),
            };
        }
    }

    fn signal_group(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid)
            && failpoint::before(Effect::Signal).is_ok()
        {
            let _ = kill_process_group(pid, signal);
        }
    }
}

impl<'p> PreparedSession<'p> {
    /// Starts the agent. Its attempt is durable by now.
    pub fn start(self, files: SessionFiles) -> io::Result<Session<'p>> {
        let processes = self.processes;
        let child = match self.first {
            First::Command(mut command) => {
                command.stdin(files.stdin).stdout(files.stdout).stderr(files.stderr);
                // The command holds copies of the locked stdout: they must go with it, or the lock
                // would be ours.
                processes.spawn(&mut command)?
            }
            First::Verb(waiting) => waiting.become_agent(files)?,
        };
        let pid = child.id() as i32;
        let start_time = procfs::stat(pid).map(|stat| stat.start_time);
        Ok(Session { processes, leader: Leader::Ours(child), pid, start_time })
    }
}

impl Waiting<'_> {
    fn become_agent(mut self, files: SessionFiles) -> io::Result<Child> {
        let SessionFiles { stdin, stdout, stderr, readable } = files;
        self.line.let_go([stdin, stdout, stderr], readable)?;
        self.child.take().ok_or(io::ErrorKind::NotFound.into())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill().and_then(|()| child.wait());
            self.processes.forget(child.id() as i32);
        }
    }
}

/// The one place where a child of ours is waited for.
fn wait_child(child: &mut Child, slice: Duration) -> io::Result<Option<ExitStatus>> {
    child.wait_timeout(slice)
}

pub(super) fn exit_of(status: ExitStatus) -> Exit {
    Exit { code: status.code(), signal: status.signal() }
}

/// Whether the recorded process lives. Where there are no start times (no /proc), any process of
/// that number has to do.
pub(super) fn is_alive(record: &ChildRecord) -> bool {
    match (procfs::stat(record.pid), record.start_time) {
        (Some(stat), Some(start_time)) => stat.start_time == start_time && !stat.is_dead(),
        (Some(stat), None) => !stat.is_dead(),
        (None, _) if cfg!(target_os = "linux") => false,
        (None, _) => Pid::from_raw(record.pid).is_some_and(|pid| test_kill_process(pid).is_ok()),
    }
}

/// Waits for a process that is not our child. True once it has ended, false after `slice`.
fn wait_stranger(pidfd: Option<&OwnedFd>, slice: Duration, is_alive: &dyn Fn() -> bool) -> bool {
    if let Some(pidfd) = pidfd {
        return wait_pidfd(pidfd, slice);
    }
    let began = Instant::now();
    loop {
        if !is_alive() {
            return true;
        }
        let left = slice.saturating_sub(began.elapsed());
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(LOOK_EVERY));
    }
}

#[cfg(target_os = "linux")]
fn open_pidfd(pid: i32) -> Option<OwnedFd> {
    rustix::process::pidfd_open(Pid::from_raw(pid)?, rustix::process::PidfdFlags::empty()).ok()
}

#[cfg(target_os = "linux")]
fn wait_pidfd(pidfd: &OwnedFd, slice: Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let began = Instant::now();
    loop {
        let left = slice.saturating_sub(began.elapsed());
        let timeout =
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) };
        match poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(ready) => return ready > 0,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => {
                thread::sleep(left);
                return false;
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn signal_pidfd(pidfd: &OwnedFd, signal: Signal) -> rustix::io::Result<()> {
    rustix::process::pidfd_send_signal(pidfd, signal)
}

#[cfg(not(target_os = "linux"))]
fn open_pidfd(_pid: i32) -> Option<OwnedFd> {
    None
}

#[cfg(not(target_os = "linux"))]
fn wait_pidfd(_pidfd: &OwnedFd, _slice: Duration) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn signal_pidfd(_pidfd: &OwnedFd, _signal: Signal) -> rustix::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_is_the_recorded_one_only_with_its_start_time() {
        use super::*;
        let pid = i32::try_from(std::process::id()).expect("a pid");
        let started = procfs::stat(pid).expect("our own").start_time;
        for (start_time, want) in [(Some(started), true), (Some(started + 1), false), (None, true)]
        {
            assert_eq!(is_alive(&ChildRecord { pid, start_time }), want, "{start_time:?}");
        }
    }
}
