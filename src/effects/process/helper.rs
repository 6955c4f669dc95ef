//! Runs short programs that we need an answer from, such as git: with a time limit, without a
//! shell, and without a pipe that could fill up. Must not start an agent: a session has its own
//! rules, in `session`.

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use wait_timeout::ChildExt;

use super::Processes;
use super::session::exit_of;
use crate::pure::attempt::outcome::Exit;

/// How often orphans are reaped while a program runs.
const REAP_EVERY: Duration = Duration::from_millis(100);

pub struct Helper<'a> {
    pub program: &'a str,
    pub arguments: &'a [&'a str],
    pub directory: &'a Path,
    pub variables: &'a [(&'a str, &'a str)],
    pub removed_prefix: &'a str,
    pub stdout: Stdio,
    pub timeout: Duration,
}

/// How a short program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelperEnd {
    Exited(Exit),
    TimedOut,
}

impl Processes {
    /// True: the program ran and exited with 0. At the time limit its whole group is killed.
    pub fn run(&self, helper: Helper) -> io::Result<bool> {
        let ended = self.run_to_end(helper)?;
        Ok(ended == HelperEnd::Exited(Exit { code: Some(0), signal: None }))
    }

    /// The same, for whoever must know how it ended.
    pub fn run_to_end(&self, helper: Helper) -> io::Result<HelperEnd> {
        let mut command = Command::new(helper.program);
        command
            .args(helper.arguments)
            .current_dir(helper.directory)
            .stdin(Stdio::null())
            .stdout(helper.stdout)
            .stderr(Stdio::null())
            .process_group(0);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(helper.removed_prefix) {
                command.env_remove(name);
            }
        }
        command.envs(helper.variables.iter().copied());
        let mut child = self.spawn(&mut command)?;
        drop(command);
        let pid = child.id() as i32;
        let status = self.wait_for_helper(&mut child, helper.timeout)?;
        if status.is_none() {
            log::warn!("{} took over {:?} and is ended", helper.program, helper.timeout);
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            child.wait()?;
        }
        self.forget(pid);
        Ok(status.map_or(HelperEnd::TimedOut, |status| HelperEnd::Exited(exit_of(status))))
    }
}

impl Processes {
    /// An orphan that the kernel gave to us is reaped meanwhile: the program may be waiting until
    /// that very process is gone.
    fn wait_for_helper(
        &self,
        child: &mut Child,
        timeout: Duration,
    ) -> io::Result<Option<ExitStatus>> {
        let began = Instant::now();
        loop {
            let left = timeout.saturating_sub(began.elapsed());
            let status = child.wait_timeout(left.min(REAP_EVERY))?;
            if status.is_some() || left.is_zero() {
                return Ok(status);
            }
            self.reap_strangers();
        }
    }
}

/// Which program a file is: another version is another file, or was written later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProgramIdentity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// Of the file that a link leads to. `None`: there is none.
pub fn identify(program: &Path) -> Option<ProgramIdentity> {
    let m = std::fs::metadata(program).ok()?;
    let modified = (m.mtime(), m.mtime_nsec());
    Some(ProgramIdentity { device: m.dev(), inode: m.ino(), size: m.len(), modified })
}

/// A regular file with an execute bit.
pub fn is_executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

/// Looks a program up as a shell would, then in `more` places. The path is absolute, so that a
/// later change of directory does not matter.
pub fn find_program(name: &str, path: Option<&OsStr>, more: &[PathBuf]) -> Option<PathBuf> {
    if name.contains('/') {
        return std::path::absolute(name).ok().filter(|path| is_executable(path));
    }
    let in_path = path.map(|path| std::env::split_paths(path).collect::<Vec<_>>());
    let dirs = in_path.unwrap_or_default().into_iter().filter(|dir| dir.is_absolute());
    dirs.chain(more.iter().cloned()).map(|dir| dir.join(name)).find(|path| is_executable(path))
}
