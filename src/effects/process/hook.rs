//! Runs the operator's own program after a dispatch: with a file on stdin, a log that stays small,
//! and a time limit. Must not judge how it ended: nothing follows from that.

use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};
use wait_timeout::ChildExt;

use super::session::exit_of;
use super::{HelperEnd, Processes};

/// How often the log is looked at, and whether the program may go on.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub struct Hook<'a> {
    pub program: &'a Path,
    pub arguments: &'a [String],
    pub directory: &'a Path,
    /// A variable that is set on top of the inherited ones ([`Processes::new`]).
    pub variable: (&'a str, &'a str),
    pub stdin: File,
    /// Takes stdout and stderr; it was opened for appending.
    pub log: File,
    /// What is written beyond this is lost, in bytes.
    pub log_bytes_max: u64,
    pub timeout: Duration,
}

impl Processes {
    /// Runs it to its end. At the time limit its whole group is killed, and so it is as soon as
    /// `may_go_on` says no; then the answer is `None`.
    pub fn run_hook(
        &self,
        hook: Hook,
        may_go_on: impl Fn() -> bool,
    ) -> io::Result<Option<HelperEnd>> {
        let mut command = Command::new(hook.program);
        command
            .args(hook.arguments)
            .current_dir(hook.directory)
            .stdin(hook.stdin.try_clone()?)
            .stdout(hook.log.try_clone()?)
            .stderr(hook.log.try_clone()?)
            .process_group(0);
        for name in &self.withheld {
            command.env_remove(name);
        }
        command.env(hook.variable.0, hook.variable.1);
        let mut child = self.spawn(&mut command)?;
        drop(command);
        let pid = child.id() as i32;
        let ended = watch(&mut child, &hook, may_go_on);
        self.forget(pid);
        cut(&hook);
        ended
    }
}

fn watch(
    child: &mut Child,
    hook: &Hook,
    may_go_on: impl Fn() -> bool,
) -> io::Result<Option<HelperEnd>> {
    let began = Instant::now();
    loop {
        let left = hook.timeout.saturating_sub(began.elapsed());
        if let Some(status) = child.wait_timeout(left.min(LOOK_EVERY))? {
            return Ok(Some(HelperEnd::Exited(exit_of(status))));
        }
        cut(hook);
        let is_over = left.is_zero();
        if is_over || !may_go_on() {
            if let Some(pid) = Pid::from_raw(child.id() as i32) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            child.wait()?;
            return Ok(is_over.then_some(HelperEnd::TimedOut));
        }
    }
}

/// A program that writes without end must not fill the disk until its time is up.
fn cut(hook: &Hook) {
    if hook.log.metadata().is_ok_and(|meta| meta.len() > hook.log_bytes_max) {
        // A log that cannot be cut is only long.
        let _ = hook.log.set_len(hook.log_bytes_max);
    }
}
