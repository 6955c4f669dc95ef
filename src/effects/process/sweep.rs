//! Finds what a session left running, by its run token or by who still holds its stdout, and ends
//! it.
//!
//! A kill of the agent's group misses its tools, which lead sessions of their own; so every end of
//! a session, even a clean one, is followed by a sweep. Each signal goes through a pidfd that is
//! opened first and checked after, so that a pid which was reused in between is never hit.

use std::collections::{BTreeMap, HashSet};
use std::fs::{File, TryLockError};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::Processes;
use super::procfs::{self, Stat};
use crate::pure::agent::environment::{LEADER, RUN_TOKEN};
use crate::pure::attempt::record::ChildRecord;
use crate::pure::report::Leftover;

/// For this long the holder of a stdout lock may be a fork of ours that has not reached its exec,
/// and so holds a copy of everything.
const FORK_TO_EXEC_MAX: Duration = Duration::from_millis(50);
/// How long an orphan may stay without an environment (in the middle of its exec, or dying) before
/// it is taken for one that has none.
const SETTLE_MAX: Duration = Duration::from_millis(200);
/// For this long after our own start, an agent of the daemon before us may still be on its way to
/// its exec. Until then we wait for an agent that we cannot see while something holds its stdout.
const EXEC_WAIT_MAX: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long we wait after SIGKILL. What is still there then is reported as not ended.
const KILLED_WAIT_MAX: Duration = Duration::from_secs(10);
/// A start time is in hundredths of a second, and our own note of it was taken a moment earlier or
/// later.
const START_SLACK_TICKS: u64 = 2;
/// At most this many leftovers stand in a report; the rest is only counted.
const LEFTOVERS_MAX: usize = 50;

/// How a session's processes are told from all others.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The `NAME=VALUE` entries that each of its processes has in its environment.
    pub variables: Vec<String>,
    /// What the session was given as its stdout. `None`: that file is gone.
    pub stdout: Option<Arc<File>>,
    /// The agent, which leads its process group, if it is known.
    pub group: Option<ChildRecord>,
    pub started_ticks: u64,
    /// We started the session ourselves and without a launcher, so every orphan of it became our
    /// child.
    pub is_below_us: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Swept {
    pub leftovers: Vec<Leftover>,
    /// Something that we cannot see still holds the session's stdout.
    pub unseen_holder: bool,
}

struct SweepLook {
    found: Vec<FoundProcess>,
    /// Nobody holds the session's stdout.
    unlocked: bool,
    /// We cannot tell yet whose an orphan of ours is, or some orphans have just gone.
    unsettled: bool,
}

struct FoundProcess {
    pid: i32,
    start_time: u64,
    name: String,
}

/// Everything that one sweep has found, by pid and start time.
#[derive(Default)]
struct SeenLeftovers(BTreeMap<(i32, u64), Leftover>);

impl Processes {
    /// Whether any process of the session is left: by token, or by the lock on its stdout.
    pub fn has_traces(&self, mark: &Mark) -> bool {
        !Stdout::of(mark).is_unlocked() || !self.scan(mark, false).is_empty()
    }

    /// Finds the agent if nobody wrote its pid down. A fork that has not reached its exec is waited
    /// for: stdout is locked as long as one may come.
    pub fn find_leader(&self, mark: &Mark) -> Option<ChildRecord> {
        let stdout = Stdout::of(mark);
        loop {
            let candidates =
                self.scan(mark, false).into_iter().filter(|found| is_leader(found.pid));
            if let Some(oldest) = candidates.min_by_key(|found| found.start_time) {
                return Some(ChildRecord { pid: oldest.pid, start_time: Some(oldest.start_time) });
            }
            if stdout.is_unlocked() || self.since.elapsed() >= EXEC_WAIT_MAX {
                return None;
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// The values of a variable in the environments of all processes of this machine that we may
    /// look at.
    pub fn values_of(&self, variable: &str) -> HashSet<String> {
        let value = |pid| procfs::variable(pid, variable).flatten();
        procfs::all_pids().into_iter().filter_map(value).collect()
    }

    pub fn is_alive(&self, record: &ChildRecord) -> bool {
        super::session::is_alive(record)
    }

    /// Whether the recorded process is of the session, and not one that a session wrote down in its
    /// place. It need not lead its group, since an agent may leave that. Without /proc nobody can
    /// tell, and the record has to do.
    pub fn is_of_session(&self, record: &ChildRecord, mark: &Mark) -> bool {
        if !cfg!(target_os = "linux") {
            return self.is_alive(record);
        }
        let began = Instant::now();
        // A launcher may have taken its environment away (`env -i`); then it has the output, and no
        // other token.
        let holds = || {
            let has_token = matches!(procfs::variable(record.pid, RUN_TOKEN), Some(Some(_)));
            let stdout = mark.stdout.as_ref().filter(|_| !has_token);
            stdout.is_some_and(|stdout| procfs::holds(record.pid, stdout))
        };
        while self.is_alive(record) {
            match procfs::has_variables(record.pid, &mark.variables) {
                Some(true) => return true,
                // The process is another user's, behind a launcher such as sudo. Then somebody must
                // hold the session's output.
                Some(false) if procfs::is_hidden(record.pid) => {
                    return !Stdout::of(mark).is_unlocked();
                }
                Some(false) => return holds(),
                None if began.elapsed() >= SETTLE_MAX => return holds(),
                None => thread::sleep(LOOK_AGAIN),
            }
        }
        false
    }

    /// Ends everything that is left of the session: SIGTERM, `grace`, SIGKILL, until two looks in a
    /// row find nothing. Processes named in `spare` are left alone and reported.
    pub fn sweep(&self, mark: &Mark, grace: Duration, spare: &[String]) -> Swept {
        let mut seen = SeenLeftovers::default();
        let (began, stdout) = (Instant::now(), Stdout::of(mark));
        let mut quiet_looks = 0;
        while quiet_looks < 2 {
            let SweepLook { found, unlocked, unsettled } =
                self.look(mark, &stdout, seen.0.is_empty());
            let spared = found.iter().filter(|process| spare.contains(&process.name)).count();
            for process in &found {
                let is_new = seen.add(process, spare);
                if !spare.contains(&process.name) {
                    end(process, mark, is_new, began.elapsed() >= grace);
                }
            }
            let gone = found.len() == spared && seen.are_gone() && (unlocked || spared > 0);
            if gone && (!unsettled || began.elapsed() >= SETTLE_MAX) {
                quiet_looks += 1;
                if mark.is_below_us && seen.0.is_empty() {
                    continue;
                }
            } else {
                quiet_looks = 0;
            }
            if began.elapsed() >= grace + KILLED_WAIT_MAX {
                return seen.result(found.is_empty());
            }
            thread::sleep(LOOK_AGAIN);
        }
        seen.result(false)
    }

    /// What is there now. The short way looks only at the orphans that the kernel gave us. Once
    /// anything was found it is not enough: a dying process loses its environment some time before
    /// it hands its children on.
    fn look(&self, mark: &Mark, stdout: &Stdout, may_be_short: bool) -> SweepLook {
        let strangers = self.strangers();
        let unlocked = stdout.is_unlocked();
        let Some(strangers) = strangers else {
            return SweepLook { found: self.scan(mark, !unlocked), unlocked, unsettled: false };
        };
        let doubtful = strangers.alive.iter().any(|&pid| is_between_forms(pid, mark));
        let unsettled = doubtful || strangers.any_reaped;
        let ours = |&pid: &i32| procfs::stat(pid).is_some_and(|s| belongs(pid, &s, mark, false));
        let is_short = may_be_short && mark.is_below_us && unlocked && !doubtful;
        if is_short && !strangers.alive.iter().any(ours) {
            return SweepLook { found: Vec::new(), unlocked, unsettled };
        }
        SweepLook { found: self.scan(mark, !unlocked), unlocked, unsettled }
    }

    /// Looks at every process that is young enough.
    fn scan(&self, mark: &Mark, by_stdout: bool) -> Vec<FoundProcess> {
        let look = |pid: i32| {
            let stat = procfs::stat(pid)?;
            let ours = belongs(pid, &stat, mark, by_stdout);
            ours.then_some(FoundProcess { pid, start_time: stat.start_time, name: stat.name })
        };
        procfs::all_pids().into_iter().filter_map(look).collect()
    }
}

/// Whether a process is of the session: by its token, as an orphan out of the agent's group, or by
/// the stdout it holds.
pub(super) fn belongs(pid: i32, stat: &Stat, mark: &Mark, by_stdout: bool) -> bool {
    let me = std::process::id() as i32;
    if pid == me || stat.start_time < oldest(mark) || stat.is_dead() {
        return false;
    }
    procfs::has_variables(pid, &mark.variables) == Some(true)
        || stat.parent == me && is_of_group(stat, mark)
        || by_stdout
            && mark.stdout.as_ref().is_some_and(|stdout| procfs::holds(pid, stdout))
            && !is_fork_of_ours(pid, stat)
}

/// Whether a process is in the agent's group, and the group is still the agent's: once its last
/// process is gone, the kernel may give its number to another group, while the sweep still looks
/// for what is left.
pub(super) fn is_of_group(stat: &Stat, mark: &Mark) -> bool {
    let Some(agent) = &mark.group else { return false };
    let is_the_agent = |now: Stat| Some(now.start_time) == agent.start_time;
    stat.group == agent.pid && procfs::stat(agent.pid).is_none_or(is_the_agent)
}

/// Whether a process that carries the token is the agent itself. An agent leads the group that it
/// was given, in a login session that is not its own; or it left our terminal's login session, and
/// then its environment names it. What an agent left behind does not pass for one: tools lead login
/// sessions of their own, their children lead nothing, and the name that all of them inherit is not
/// theirs.
fn is_leader(pid: i32) -> bool {
    let Some(stat) = procfs::stat(pid) else { return false };
    stat.group == pid
        && procfs::variable(pid, LEADER).is_some_and(|named| match named {
            Some(leader) => leader == pid.to_string(),
            None => stat.session != pid,
        })
}

/// Whether a process is a fork of ours on its way to another session's exec. Until that exec, which
/// takes longer than usual on a busy machine, it holds a copy of everything that we had open. If it
/// were ended here, that session would die before its agent began.
fn is_fork_of_ours(pid: i32, stat: &Stat) -> bool {
    stat.parent == std::process::id() as i32 && procfs::is_copy_of_us(pid)
}

/// Whether a young process is in the middle of its exec. One whose environment is empty for good
/// looks the same.
fn is_between_forms(pid: i32, mark: &Mark) -> bool {
    procfs::has_variables(pid, &mark.variables).is_none()
        && procfs::stat(pid).is_some_and(|stat| !stat.is_dead() && stat.start_time >= oldest(mark))
}

/// A process that started earlier than this cannot be the session's.
fn oldest(mark: &Mark) -> u64 {
    mark.started_ticks.saturating_sub(START_SLACK_TICKS)
}

/// The session's stdout, which tells whether anybody holds it: the lock on it lives as long as any
/// process has that open file. Nobody holds a file that is gone.
struct Stdout<'m>(Option<&'m File>);

impl Stdout<'_> {
    fn of(mark: &Mark) -> Stdout<'_> {
        Stdout(mark.stdout.as_deref())
    }

    /// Whether nobody holds it. Once true this stays true, since nobody takes the lock again. Our
    /// own share of the lock is in nobody's way.
    fn is_unlocked(&self) -> bool {
        let Some(file) = &self.0 else { return true };
        let began = Instant::now();
        loop {
            match file.try_lock_shared() {
                Ok(()) => return true,
                Err(TryLockError::Error(e)) => {
                    log::warn!("cannot probe the lock of a session's stdout: {e}");
                    return true;
                }
                Err(TryLockError::WouldBlock) if began.elapsed() >= FORK_TO_EXEC_MAX => {
                    return false;
                }
                Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
            }
        }
    }
}

impl SeenLeftovers {
    /// Notes a process. True: it was not seen before.
    fn add(&mut self, process: &FoundProcess, spare: &[String]) -> bool {
        let key = (process.pid, process.start_time);
        let is_new = !self.0.contains_key(&key);
        self.0.entry(key).or_insert_with(|| Leftover {
            pid: process.pid,
            name: process.name.clone(),
            ended: !spare.contains(&process.name),
        });
        is_new
    }

    /// Whether all that should be gone are gone. They are told by pid and start time, since a dying
    /// process has no token any more.
    fn are_gone(&self) -> bool {
        self.0.iter().all(|(key, leftover)| !leftover.ended || is_gone(*key))
    }

    fn result(self, unseen_holder: bool) -> Swept {
        let told = self.0.into_iter().map(|(key, mut leftover)| {
            leftover.ended &= is_gone(key);
            leftover
        });
        Swept { leftovers: told.take(LEFTOVERS_MAX).collect(), unseen_holder }
    }
}

fn is_gone((pid, start_time): (i32, u64)) -> bool {
    procfs::stat(pid).is_none_or(|stat| stat.start_time != start_time || stat.is_dead())
}

/// Sends SIGTERM the first time, SIGKILL once the grace is over.
fn end(process: &FoundProcess, mark: &Mark, is_new: bool, killing: bool) {
    if killing {
        signal(process, mark, Signal::KILL);
    } else if is_new {
        signal(process, mark, Signal::TERM);
        // A stopped process must run again to see the signal.
        signal(process, mark, Signal::CONT);
    }
}

/// Signals exactly the process that was found.
#[cfg(target_os = "linux")]
fn signal(found: &FoundProcess, mark: &Mark, signal: Signal) {
    use rustix::process::{Pid, PidfdFlags, pidfd_open, pidfd_send_signal};

    use crate::effects::failpoint::{self, Effect};

    let Some(pid) = Pid::from_raw(found.pid) else { return };
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return };
    // The process is looked at again, now that the descriptor pins it.
    let same =
        |stat: &Stat| stat.start_time == found.start_time && belongs(found.pid, stat, mark, true);
    if procfs::stat(found.pid).is_some_and(|stat| same(&stat))
        && failpoint::before(Effect::Signal).is_ok()
    {
        let _ = pidfd_send_signal(&pidfd, signal);
    }
}

/// Without /proc nothing is ever found to signal: there is only the group.
#[cfg(not(target_os = "linux"))]
fn signal(_found: &FoundProcess, _mark: &Mark, _signal: Signal) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    use super::*;

    #[test]
    fn an_orphan_in_a_group_whose_number_was_given_anew_is_another_session_s() {
        let mut child = Command::new("sleep").arg("7777").process_group(0).spawn().expect("sleep");
        let pid = child.id() as i32;
        let stat = procfs::stat(pid).expect("its stat");
        let of = |start_time: u64| Mark {
            variables: vec!["GSTACK_RUN_TOKEN=0123".into()],
            stdout: None,
            group: Some(ChildRecord { pid, start_time: Some(start_time) }),
            started_ticks: 0,
            is_below_us: true,
        };
        let agents = belongs(pid, &stat, &of(stat.start_time), false);
        let after_it = belongs(pid, &stat, &of(stat.start_time - 1), false);
        child.kill().and_then(|()| child.wait()).expect("end it");
        assert!(agents && !after_it);
    }
}
