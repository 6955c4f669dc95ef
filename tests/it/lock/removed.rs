//! The lock, or the directory around it, is removed or replaced under a daemon: it is made again,
//! and work goes on.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use super::{
    answers, is_held, leaves_quietly, lock, marked, overlaps, remove_home, retaken, stand_still,
};
use crate::util::*;

#[test]
fn a_removed_lock_is_taken_again_and_work_goes_on() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    fs::remove_file(lock(&lab)).expect("remove the lock");
    retaken(&lab);
    lab.event("", "lock_retaken");
    leaves_quietly(&lab);
    hold.release();
    lab.completed("a");
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    assert_eq!(text_file(lock(&lab)).trim(), daemon.pid.to_string());
    drop(daemon);
}

#[test]
fn a_lock_made_anew_by_somebody_else_is_taken() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    stand_still(&daemon);
    fs::remove_file(lock(&lab)).expect("remove the lock");
    fs::write(lock(&lab), "planted").expect("write");
    daemon.signal(Signal::CONT);
    retaken(&lab);
    leaves_quietly(&lab);
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
}

/// What it is, and what puts it where the lock should be.
type InTheWay = (&'static str, fn(&Lab));

const IN_THE_WAY: [InTheWay; 5] = [
    ("a directory", |lab| {
        fs::create_dir(lock(lab)).expect("make a directory");
        fs::write(lock(lab).join("x"), "").expect("write");
    }),
    ("a FIFO", |lab| make_fifo(&lock(lab))),
    ("a FIFO that is read", |lab| {
        make_fifo(&lock(lab));
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let mut options = OpenOptions::new();
        // Kept open for as long as the tests run.
        std::mem::forget(options.read(true).custom_flags(flags).open(lock(lab)).expect("open"));
    }),
    ("a link to a file", |lab| {
        fs::write(lab.path("target"), "untouched").expect("write");
        symlink(lab.path("target"), lock(lab)).expect("link");
    }),
    ("a link to nothing", |lab| symlink(lab.path("nothing"), lock(lab)).expect("link")),
];

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

fn is_aside(lab: &Lab) {
    let aside = lab.ours().join(".aside-lock-1");
    let meta = fs::symlink_metadata(&aside);
    assert!(meta.is_ok_and(|meta| !meta.is_file()), "{}", aside.display());
    assert!(!lab.path("nothing").exists());
    let target = fs::read_to_string(lab.path("target")).unwrap_or("untouched".into());
    assert_eq!(target, "untouched");
}

#[test]
fn what_stands_in_the_place_of_a_running_daemons_lock_is_moved_aside() {
    for (what, put) in IN_THE_WAY {
        let lab = Lab::new();
        let daemon = lab.daemon().set("--heartbeat", 0.2).start();
        // No beat comes in between.
        stand_still(&daemon);
        fs::remove_file(lock(&lab)).expect("remove the lock");
        put(&lab);
        daemon.signal(Signal::CONT);
        wait_until(what, PATIENCE, || {
            fs::symlink_metadata(lock(&lab)).is_ok_and(|meta| meta.is_file())
                && is_held(&lock(&lab))
        });
        is_aside(&lab);
        assert!(daemon.stderr().contains(".aside-lock-1"), "{what}: {}", daemon.stderr());
        leaves_quietly(&lab);
        lab.send(&lab.task("a", "hello"));
        lab.completed("a");
        drop(daemon);
    }
}

#[test]
fn what_stands_in_the_place_of_the_lock_does_not_keep_a_daemon_from_starting() {
    for (what, put) in IN_THE_WAY {
        let lab = Lab::new();
        fs::create_dir_all(lab.ours()).expect("make the directory");
        put(&lab);
        let daemon = lab.daemon().start();
        assert!(is_held(&lock(&lab)), "{what}");
        is_aside(&lab);
        leaves_quietly(&lab);
        drop(daemon);
    }
}

#[test]
fn a_home_that_is_removed_under_a_daemon_comes_again() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--poll", 0.2).start();
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    remove_home(&lab);
    retaken(&lab);
    leaves_quietly(&lab);
    lab.send(&lab.task("b", "hello"));
    lab.settled("b");
    lab.heartbeat("of the same daemon", |beat| beat["pid"] == daemon.pid);
    drop(daemon);
}

#[test]
fn a_control_folder_that_is_removed_is_made_and_watched_again() {
    let lab = Lab::new();
    let control = lab.ours().join("control");
    // No beat looks there.
    let daemon = lab.daemon().set("--heartbeat", 600).set("--poll", 0.2).start();
    fs::remove_dir_all(&control).expect("remove");
    wait_until("the folder is there again", PATIENCE, || control.exists());
    fs::write(control.join("pause"), "").expect("write");
    lab.event("", "paused");
    drop(daemon);
}

#[test]
fn a_home_that_is_removed_under_work_gets_no_second_daemon() {
    let lab = Lab::new();
    let (gate, log) = (lab.gate("gate"), lab.path("log"));
    let mut daemon = lab.daemon().set("--poll", 0.2).start();
    let dir = lab.project("one");
    lab.send(&lab.task("a", marked(&log, &gate)).in_dir(&dir));
    let hold = gate.held();
    lab.send(
        &lab.task("b", format!("fake: mark {0}\nfake: mark {0} end", log.display())).in_dir(&dir),
    );
    lab.accepted("b");
    remove_home(&lab);
    retaken(&lab);
    leaves_quietly(&lab);
    assert!(daemon.exited().is_none());
    hold.release();
    assert_eq!(lab.settled("a")["status"], "completed");
    lab.settled("b");
    lab.send(
        &lab.task("c", format!("fake: mark {0}\nfake: mark {0} end", log.display())).in_dir(&dir),
    );
    lab.settled("c");
    assert_eq!(overlaps(&log), [""; 0]);
    for name in ["a", "b", "c"] {
        assert!(starts(&log).iter().filter(|started| *started == name).count() <= 1);
        assert_eq!(answers(&lab, name), 1, "{name}");
    }
    assert_eq!(daemon.stop(), 0);
}
