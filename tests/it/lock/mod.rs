//! One daemon per directory, whatever becomes of the lock and of the directory while it runs:
//! removed, replaced, taken by another daemon. And what a person at a terminal is told of it.

mod overtaken;
mod removed;
mod terminal;

use std::fs::{self, File};
use std::path::Path;

use rustix::process::Signal;

use crate::util::*;

fn lock(lab: &Lab) -> std::path::PathBuf {
    lab.ours().join("lock")
}

/// A session that says when it starts and ends, and stands at a gate in between.
fn marked(log: &Path, gate: &Gate) -> String {
    let (log, gate) = (log.display(), gate.display());
    format!("fake: mark {log}\nfake: block {gate}\nfake: mark {log} end")
}

fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_err())
}

fn retaken(lab: &Lab) {
    wait_until("the lock held again", PATIENCE, || is_held(&lock(lab)));
}

/// `rm -rf` of the home, by somebody who insists: the daemon may make directories meanwhile.
fn remove_home(lab: &Lab) {
    wait_until("the home is gone", PATIENCE, || {
        let _ = fs::remove_dir_all(&lab.gstack);
        !lock(lab).exists() || is_held(&lock(lab))
    });
}

/// How often a dispatch's answer is in the audit log.
fn answers(lab: &Lab, name: &str) -> usize {
    let events = lab.events(name);
    events.iter().filter(|e| ["completed", "failed", "cancelled"].contains(&e.as_str())).count()
}

/// The sessions that ran at the same time as another one, of marks "start" and "end".
fn overlaps(log: &Path) -> Vec<String> {
    let (mut running, mut found) = (Vec::new(), Vec::new());
    for (word, id, _) in marks(log) {
        match word.as_str() {
            "start" => {
                if !running.is_empty() {
                    found.push(format!("{id} beside {running:?}"));
                }
                running.push(id);
            }
            _ => running.retain(|other| *other != id),
        }
    }
    found
}

fn leaves_quietly(lab: &Lab) {
    let out = lab.daemon().output();
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (0, "", ""));
}

/// From here on it does nothing, until it is told to go on: each of its threads stands.
fn stand_still(daemon: &Daemon) {
    daemon.signal(Signal::STOP);
    let stands = |thread: fs::DirEntry| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('T'))
    };
    wait_until("the daemon stands still", PATIENCE, || {
        let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid)).expect("its threads");
        threads.flatten().all(stands)
    });
}
