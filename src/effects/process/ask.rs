//! Runs a program for what it says: `agent --version`, `crontab -l`. It gets some bytes on stdin,
//! has a time limit, and leaves no process behind, whatever it starts.
//!
//! Its output goes through pipes, since whoever asks may have no directory of its own to write
//! into; they are read while it runs, so that it never stands still over a full one. For commands
//! only: a daemon has other children, and would take them for what this program left.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid,
};

use super::session::exit_of;
use super::{HelperEnd, Processes};

/// How often it is looked whether the program has ended, while nothing comes from it.
const LOOK_EVERY: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// What is kept of each of its outputs; the rest is read and dropped.
const KEPT_BYTES_MAX: usize = 256 * 1024;
/// How often what it left is looked for.
const LOOKS_MAX: u32 = 100;

pub struct Question<'a> {
    pub program: &'a Path,
    pub arguments: &'a [&'a str],
    /// Its whole environment; `None` is ours.
    pub variables: Option<&'a BTreeMap<String, String>>,
    pub stdin: &'a [u8],
    pub timeout: Duration,
}

/// What a program said, and how it ended.
#[derive(Debug)]
pub struct Heard {
    pub end: HelperEnd,
    pub stdout: String,
    pub stderr: String,
}

impl Heard {
    /// It ended by itself, with 0.
    pub fn is_fine(&self) -> bool {
        matches!(self.end, HelperEnd::Exited(exit) if exit.code == Some(0))
    }
}

impl Processes {
    pub fn ask(&self, question: &Question) -> io::Result<Heard> {
        let mut command = Command::new(question.program);
        command
            .args(question.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(variables) = question.variables {
            command.env_clear().envs(variables);
        }
        let mut child = self.spawn(&mut command)?;
        let pid = child.id() as i32;
        let heard = listen(&mut child, question);
        // The group is ended before its leader is reaped: until then its number is nobody else's.
        if let Some(group) = Pid::from_raw(pid) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let status = child.wait();
        self.forget(pid);
        self.end_strangers();
        let (is_over, stdout, stderr) = heard?;
        let end = if is_over { HelperEnd::Exited(exit_of(status?)) } else { HelperEnd::TimedOut };
        Ok(Heard { end, stdout, stderr })
    }

    /// Ends what was left to us by programs that we asked. Only Linux leaves it to us.
    fn end_strangers(&self) {
        for _ in 0..LOOKS_MAX {
            let Some(strangers) = self.strangers() else { return };
            for pid in strangers.alive.iter().filter_map(|pid| Pid::from_raw(*pid)) {
                let _ = kill_process(pid, Signal::KILL);
            }
            if strangers.alive.is_empty() && !strangers.any_reaped {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Reads until the program has ended, or its time is over. True: it ended by itself.
fn listen(child: &mut Child, question: &Question) -> io::Result<(bool, String, String)> {
    let pid = Pid::from_raw(child.id() as i32).ok_or(ErrorKind::NotFound)?;
    let mut stdin = child.stdin.take().map(|pipe| (pipe, question.stdin));
    let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(ErrorKind::BrokenPipe.into());
    };
    for pipe in [out.as_fd(), err.as_fd()].into_iter().chain(stdin.iter().map(|(i, _)| i.as_fd())) {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let began = Instant::now();
    loop {
        stdin = stdin.and_then(|(pipe, left)| write_some(pipe, left));
        // What it said before its end is read after the end was seen.
        let has_ended = has_ended(pid)?;
        let is_open = [drain(&mut out, &mut stdout), drain(&mut err, &mut stderr)];
        if has_ended || began.elapsed() >= question.timeout {
            let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
            return Ok((has_ended, text(stdout), text(stderr)));
        }
        wait_for_news([(out.as_fd(), is_open[0]), (err.as_fd(), is_open[1])]);
    }
}

fn wait_for_news(outputs: [(BorrowedFd, bool); 2]) {
    let open = outputs.iter().filter(|(_, is_open)| *is_open);
    let mut fds: Vec<PollFd> =
        open.map(|(fd, _)| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
    let _ = poll(&mut fds, Some(&LOOK_EVERY));
}

/// The child stays for somebody to reap it.
fn has_ended(pid: Pid) -> io::Result<bool> {
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Ok(waitid(WaitId::Pid(pid), options)?.is_some())
}

/// `None`: all is written, or nobody reads it. Then the pipe is closed.
fn write_some(mut pipe: ChildStdin, left: &[u8]) -> Option<(ChildStdin, &[u8])> {
    if left.is_empty() {
        return None;
    }
    match pipe.write(left) {
        Ok(written) => Some((pipe, &left[written..])),
        Err(e) if e.kind() == ErrorKind::WouldBlock => Some((pipe, left)),
        Err(_) => None,
    }
}

/// Reads what is there. False: nothing more will come.
fn drain(pipe: &mut impl Read, kept: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 8192];
    loop {
        match pipe.read(&mut bytes) {
            Ok(0) => return false,
            Ok(length) => {
                let room = KEPT_BYTES_MAX.saturating_sub(kept.len());
                kept.extend_from_slice(&bytes[..length.min(room)]);
            }
            Err(e) => return e.kind() == ErrorKind::WouldBlock,
        }
    }
}
