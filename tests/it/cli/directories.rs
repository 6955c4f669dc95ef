//! What a start makes of the directory: all of it is the owner's alone, and the inbox is the
//! seed's.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::util::*;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions().mode()
        & 0o7777
}

#[test]
fn all_that_the_daemon_makes_is_the_owners_alone() {
    let lab = Lab::new();
    let umask = ["sh", "-c", "umask 0; exec \"$0\" \"$@\""];
    let daemon = lab.daemon().under(&umask).start();
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    lab.place("dispatch-bad.json", b"null");
    lab.rejected("dispatch-bad.json");
    lab.heartbeat("idle", |b| b["active"] == 0);
    let mut paths = vec![lab.gstack.clone()];
    let mut n = 0;
    while n < paths.len() {
        if paths[n].is_dir() {
            paths.extend(fs::read_dir(&paths[n]).expect("read").flatten().map(|e| e.path()));
        }
        n += 1;
    }
    // The sender's own file keeps its mode.
    paths.retain(|p| p.file_name().is_none_or(|name| name != "dispatch-bad.json"));
    assert!(paths.len() > 15, "{paths:?}");
    for path in paths {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), wanted, "{} is {:o}", path.display(), mode(&path));
    }
    drop(daemon);
}

#[test]
fn a_drop_zone_that_is_too_open_is_tightened() {
    let lab = Lab::new();
    lab.send(&lab.task("a", "hello")); // it makes the directories with the usual 0755
    fs::set_permissions(lab.inbox(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let daemon = lab.daemon().start();
    lab.completed("a");
    assert_eq!(mode(&lab.inbox()), 0o700);
    drop(daemon);
}

#[test]
fn a_directory_that_cannot_be_made_ends_the_start() {
    let lab = Lab::new();
    let file = lab.path("a-file");
    fs::write(&file, "").expect("write");
    let out = lab.plain_daemon().env("GSTACK_HOME", file.display()).output();
    assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{out:?}");
    assert!(out.stderr.contains(file.to_str().expect("UTF-8")), "{}", out.stderr);
}

#[test]
fn the_inbox_is_the_seeds() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for path in ["dispatch/completed", "dispatchd/lock", "dispatchd/active", "dispatchd/control"] {
        assert!(lab.gstack.join(path).exists(), "{path}");
    }
    let beat: Value = json_file(&lab.heartbeat_path());
    for key in ["ts", "active", "queued", "pid"] {
        assert!(beat.get(key).is_some(), "{key}");
    }
    drop(daemon);
}
