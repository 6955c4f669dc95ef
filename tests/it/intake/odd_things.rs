//! What is no plain file of ours (links, FIFOs, directories, sockets, devices, files of others) is
//! refused unread and unanswered.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use super::refused;
use crate::util::*;

/// One odd thing in the inbox, made by `make`; then the next dispatch runs, and the odd one has
/// left no report.
fn odd_thing_is_refused(lab: &Lab, start: Start<'_>, reason: &str, make: impl FnOnce(&Path)) {
    let daemon = start.start();
    make(&lab.dropped("odd"));
    lab.send(&lab.task("good", "hello"));
    lab.completed("good");
    refused(lab, "dispatch-odd.json", reason);
    assert!(!lab.report_path("odd").exists());
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    assert_eq!(lab.rejected_count(), 1);
    drop(daemon);
}

fn odd(reason: &str, make: impl FnOnce(&Lab, &Path)) -> Lab {
    let lab = Lab::new();
    odd_thing_is_refused(&lab, lab.daemon(), reason, |path| make(&lab, path));
    lab
}

#[test]
fn a_symlink_is_refused_even_when_it_leads_to_a_good_dispatch() {
    let lab = odd("symlink", |lab, path| {
        let aside = lab.path("aside.json");
        fs::write(&aside, lab.task("odd", "fake: mark ran").bytes()).expect("write aside");
        symlink(&aside, path).expect("symlink");
    });
    let (dir, _) = lab.rejected("dispatch-odd.json");
    assert!(dir.join("dispatch-odd.json").is_symlink(), "the link itself is what is kept");
    assert!(lab.path("aside.json").exists());
    assert!(!lab.path("project-odd/ran").exists());
}

#[test]
fn a_dangling_symlink_is_refused() {
    odd("symlink", |_, path| symlink("/nowhere/at/all", path).expect("symlink"));
}

#[test]
fn a_fifo_is_refused_and_nobody_waits_for_its_writer() {
    odd("not_a_file", |_, path| {
        assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
    });
}

#[test]
fn a_directory_is_refused_with_all_that_it_holds() {
    let lab = odd("not_a_file", |lab, path| {
        let beside = lab.project("beside");
        fs::write(beside.join("inside"), "kept").expect("write inside");
        fs::rename(beside, path).expect("rename");
    });
    let (dir, _) = lab.rejected("dispatch-odd.json");
    assert_eq!(text_file(dir.join("dispatch-odd.json/inside")), "kept");
}

#[test]
fn a_socket_is_refused() {
    odd("not_a_file", |_, path| drop(UnixListener::bind(path).expect("bind")));
}

#[test]
fn a_device_is_refused() {
    let lab = Lab::new();
    let device = lab.path("device");
    let made = Command::new("mknod").arg(&device).args(["c", "1", "5"]).output().expect("mknod");
    if !made.status.success() {
        skipped("only root can make a device");
        return;
    }
    odd_thing_is_refused(&lab, lab.daemon(), "not_a_file", |path| {
        fs::rename(&device, path).expect("rename");
    });
}

#[test]
fn a_file_of_somebody_else_is_refused_without_an_answer() {
    if !is_root() {
        skipped("only root can give a file away");
        return;
    }
    let lab = odd("foreign_owner", |lab, path| {
        let beside = lab.path("beside");
        fs::write(&beside, lab.task("odd", "fake: mark ran").bytes()).expect("write");
        std::os::unix::fs::chown(&beside, Some(65534), Some(65534)).expect("chown");
        fs::rename(&beside, path).expect("rename");
    });
    assert!(!lab.path("project-odd/ran").exists());
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let lab = Lab::new();
    let without_override = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"];
    let mut start = lab.daemon();
    if is_root() {
        let probe =
            Command::new(without_override[0]).args(&without_override[1..]).arg("true").output();
        if !probe.is_ok_and(|p| p.status.success()) {
            skipped("root reads everything, and setpriv does not work here");
            return;
        }
        start = start.under(&without_override);
    }
    odd_thing_is_refused(&lab, start, "unreadable", |path| {
        let beside = lab.path("beside");
        fs::write(&beside, lab.task("odd", "hello").bytes()).expect("write");
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o000)).expect("chmod");
        fs::rename(&beside, path).expect("rename");
    });
}

#[test]
fn a_file_that_others_may_have_written_before_the_inbox_was_shut_is_refused() {
    let lab = Lab::new();
    lab.send(&lab.task("odd", "fake: mark ran"));
    for (path, mode) in
        [(lab.gstack.clone(), 0o755), (lab.inbox(), 0o777), (lab.dropped("odd"), 0o666)]
    {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }
    odd_thing_is_refused(&lab, lab.daemon(), "writable_by_others", |_| ());
    assert!(!lab.path("project-odd/ran").exists());
}
