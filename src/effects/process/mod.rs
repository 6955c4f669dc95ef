//! The only module that spawns, waits for and signals processes.
//!
//! A session is a whole tree: Claude's tools run in process groups and sessions of their own, so
//! that ending the agent's group leaves them behind. `session` starts, waits for and ends the agent
//! itself; `sweep` finds and ends what it left; `verb` starts it where there is a terminal or a
//! wall, which `confine` builds; `cpu` tells whether it works; `procfs` reads /proc for all of
//! them; `helper` runs short programs (git), `hook` the operator's own, `ask` those that a
//! command asks; `watches` counts who watches files. Only the thread that owns a
//! session signals it.

mod ask;
mod confine;
mod cpu;
mod helper;
mod hook;

mod procfs;
mod session;
mod sweep;
mod verb;
mod watches;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Instant;

use rustix::process::{Pid, WaitOptions, waitpid};

use super::failpoint::{self, Effect};
pub use ask::{Heard, Question};
pub use confine::landlock_abi;
pub use helper::{Helper, HelperEnd, ProgramIdentity, find_program, identify, is_executable};
pub use hook::Hook;
pub use session::{Session, Spawn};
pub use sweep::{Mark, Swept};
pub use verb::{CONFINED_VERB, SESSION_VERB, become_confined, become_session};
pub use watches::{InotifyUse, inotify_use};

/// Knows which of our children we started ourselves; the others are orphans of sessions that the
/// kernel gave to us.
///
/// As a child subreaper (Linux) we become the parent of every orphan below us. That makes them
/// findable at no cost, and it makes us responsible for reaping them: one by one, by pid, since
/// `waitpid(-1)` would steal the status of our own.
pub struct Processes {
    /// When this daemon began; the one before it was dead by then.
    since: Instant,
    subreaper: bool,
    /// Children that we started and have not reaped. A number may stand here twice, for a moment:
    /// the child that had it is reaped but not forgotten yet, and the kernel has given it to the
    /// next one.
    ours: Mutex<Vec<i32>>,
    /// Read-locked from before a fork until the child is in `ours`. So whoever has the write lock
    /// knows that a child missing from `ours` is a stranger.
    forking: RwLock<()>,
    /// Variables of our environment that no session inherits.
    withheld: Vec<OsString>,
    /// Our own binary, if sessions start through its hidden verb.
    through: Option<PathBuf>,
}

impl Processes {
    /// Called once for the process, before any thread of ours spawns something. `inherits` says
    /// whether a session gets a variable of our environment.
    pub fn new(inherits: impl Fn(&str) -> bool) -> Processes {
        Processes {
            since: Instant::now(),
            subreaper: become_subreaper(),
            ours: Mutex::default(),
            forking: RwLock::default(),
            withheld: std::env::vars_os()
                .map(|(name, _)| name)
                .filter(|name| !inherits(&name.to_string_lossy()))
                .collect(),
            through: verb::needed(),
        }
    }

    /// A variable of our environment, if sessions inherit it.
    pub fn inherited(&self, name: &str) -> Option<OsString> {
        let is_withheld = self.withheld.iter().any(|withheld| withheld == name);
        std::env::var_os(name).filter(|_| !is_withheld)
    }

    fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let _forking = self.forking.read().unwrap_or_else(PoisonError::into_inner);
        failpoint::before(Effect::Spawn)?;
        let child = command.spawn()?;
        self.ours().push(child.id() as i32);
        Ok(child)
    }

    /// Forgets a child that was reaped: its pid may belong to anybody from now on.
    fn forget(&self, pid: i32) {
        let mut ours = self.ours();
        if let Some(at) = ours.iter().position(|&child| child == pid) {
            ours.swap_remove(at);
        }
    }

    fn ours(&self) -> std::sync::MutexGuard<'_, Vec<i32>> {
        self.ours.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Our children that we did not start. The dead among them are reaped. `None`: this system does
    /// not tell.
    fn strangers(&self) -> Option<Strangers> {
        if !self.subreaper {
            return None;
        }
        let unknown = || {
            let mut children = procfs::main_thread_children()?;
            let ours = self.ours();
            children.retain(|pid| !ours.contains(pid));
            Some(children)
        };
        // Most looks find no stranger, and then nobody need wait for a fork under way.
        if unknown()?.is_empty() {
            return Some(Strangers { any_reaped: false, alive: Vec::new() });
        }
        let _no_fork = self.forking.write().unwrap_or_else(PoisonError::into_inner);
        let mut alive = unknown()?;
        let found = alive.len();
        alive.retain(|&pid| !reap(pid));
        Some(Strangers { any_reaped: alive.len() < found, alive })
    }

    /// Reaps the dead orphans that sessions left to us.
    pub fn reap_strangers(&self) {
        self.strangers();
    }
}

/// A variable of our environment.
pub fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Our whole environment, as far as it is UTF-8.
pub fn variables() -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

/// The path of this program, as somebody would type it: a link that is exchanged at an upgrade
/// stays a link.
pub fn our_program() -> io::Result<PathBuf> {
    let running = std::env::current_exe()?;
    let typed = std::env::args_os().next().unwrap_or_default();
    let path = std::env::var_os("PATH");
    let named = find_program(&typed.to_string_lossy(), path.as_deref(), &[]);
    let is_this =
        |named: &PathBuf| identify(named).is_some() && identify(named) == identify(&running);
    Ok(named.filter(is_this).unwrap_or(running))
}

struct Strangers {
    alive: Vec<i32>,
    /// Some stranger was reaped, so `alive` may not be complete: the list can lack an entry while
    /// others leave it (proc(5)), and a dead parent's children may just be coming.
    any_reaped: bool,
}

#[cfg(target_os = "linux")]
fn become_subreaper() -> bool {
    use rustix::process::{getpid, set_child_subreaper};
    set_child_subreaper(Some(getpid())).is_ok()
}

#[cfg(not(target_os = "linux"))]
fn become_subreaper() -> bool {
    false
}

/// Reaps a child that is dead. True: it is reaped now, or was gone already.
fn reap(pid: i32) -> bool {
    let Some(pid) = Pid::from_raw(pid) else { return true };
    !matches!(waitpid(Some(pid), WaitOptions::NOHANG), Ok(None))
}
