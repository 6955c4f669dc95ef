//! What goes wrong with one dispatch stays with it. A session runs as our user: it can remove,
//! replace, shut or forge whatever of ours it finds. Each file here is one such accident, named,
//! and what everybody else notices of it: nothing.
//!
//! What a session does is mostly done by the test itself, while the session stands at its gate: the
//! same user, and the moment is known.

mod answer;
mod begin;
mod forged;
mod gone;
mod limits;
mod parked;
mod reach;
mod shut;
mod start;
mod tree;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::Signal;
use serde_json::Value;

use crate::util::*;

/// Somebody else.
const STRANGER: u32 = 65534;

/// What a session does, in words and indeed.
type Deed = (&'static str, Box<dyn Fn()>);

/// Where every session here leaves its mark.
fn ran(lab: &Lab) -> PathBuf {
    lab.path("ran")
}

/// A session that stands at its gate; `orders` follow when it is let go.
#[must_use]
fn held(lab: &Lab, name: &str, orders: &str) -> Hold {
    let gate = lab.gate(&format!("gate-{name}"));
    lab.send(&lab.task(name, held_orders(lab, &gate, orders)));
    gate.held()
}

fn held_orders(lab: &Lab, gate: &Gate, orders: &str) -> String {
    format!("fake: mark {}\nfake: block {}\n{orders}", ran(lab).display(), gate.display())
}

/// A dispatch that leaves its mark, and waits for its turn if there is none for it.
fn send_marked(lab: &Lab, name: &str) {
    lab.send(&lab.task(name, marked(lab)));
    lab.accepted(name);
}

fn marked(lab: &Lab) -> String {
    format!("fake: mark {}", ran(lab).display())
}

/// How often a session of it was started.
fn runs(lab: &Lab, name: &str) -> usize {
    starts(&ran(lab)).iter().filter(|started| *started == name).count()
}

/// The agent of that dispatch, by its mark.
fn agent(lab: &Lab, name: &str) -> i32 {
    let found = marks(&ran(lab)).into_iter().rev().find(|mark| mark.1 == id(name));
    found.unwrap_or_else(|| panic!("{name} left no mark")).2
}

fn kill_agent(lab: &Lab, name: &str) {
    let pid = agent(lab, name);
    signal(pid, Signal::KILL);
    wait_until("the agent's end", PATIENCE, || !alive(pid));
}

fn cancel(lab: &Lab, name: &str) {
    fs::write(lab.inbox().join(format!("cancel-{}", id(name))), "").expect("cancel");
}

fn attempt(lab: &Lab, name: &str) -> PathBuf {
    lab.active(name).join("attempt-1")
}

/// Waits until it is answered by a plain file, whatever stood there before, and its claim is
/// closed.
fn answered(lab: &Lab, name: &str) {
    wait_until(&format!("a plain report of {name}"), PATIENCE, || {
        fs::symlink_metadata(lab.report_path(name)).is_ok_and(|meta| meta.is_file())
    });
    wait_until("its claim is closed", PATIENCE, || !lab.active(name).exists());
}

/// What a careless program leaves: a folder with something in it.
fn folder(path: &Path) {
    fs::create_dir(path).expect("make a folder");
    fs::write(path.join("kept"), "not ours").expect("fill it");
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success(), "mkfifo {}", path.display());
}

/// In place of what stands there, at once: the daemon may be at it.
fn put_instead(path: &Path, make: fn(&Path)) {
    let beside = path.with_extension("beside");
    make(&beside);
    wait_until("it is put in place", PATIENCE, || {
        renameat_with(CWD, &beside, CWD, path, RenameFlags::EXCHANGE).is_ok()
            || fs::rename(&beside, path).is_ok()
    });
    remove(&beside);
}

/// Whatever stands there.
fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).expect("remove a folder"),
        Ok(_) => fs::remove_file(path).expect("remove a file"),
        Err(_) => {}
    }
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("chmod");
}

fn give_to(path: &Path, uid: u32) {
    chown(path, Some(uid), Some(uid)).expect("chown");
}

/// For a daemon that the modes of files mean something to, as to an ordinary user's. `None`, and
/// SKIPPED: root is not held by them here.
fn unprivileged(start: Start) -> Option<Start> {
    if !is_root() {
        return Some(start);
    }
    let prefix = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search,-fowner,-chown"];
    let works = Command::new(prefix[0]).args(&prefix[1..]).arg("true").output();
    if works.is_ok_and(|run| run.status.success()) {
        return Some(start.under(&prefix));
    }
    skipped("modes mean nothing to root, and setpriv does not work here");
    None
}

/// The same, where the test gives a folder to another user.
fn beside_a_stranger(start: Start) -> Option<Start> {
    if is_root() {
        return unprivileged(start);
    }
    skipped("only root can give a folder to another user");
    None
}

fn warned(report: &Value, text: &str) -> bool {
    let warnings = report["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    warnings.iter().any(|warning| warning.as_str().is_some_and(|said| said.contains(text)))
}
