//! What this machine can test: who runs the tests, which prefixes work here, and the list of what
//! was skipped.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::thread;

/// Runs what follows where the kernel gives nobody anything to watch files with.
pub const WITHOUT_EVENTS: [&str; 7] = [
    "unshare",
    "-U",
    "-r",
    "sh",
    "-c",
    "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$@\"",
    "sh",
];

pub fn can_run_under(prefix: &[&str]) -> bool {
    let probe = Command::new(prefix[0]).args(&prefix[1..]).arg("true").output();
    probe.is_ok_and(|probe| probe.status.success())
}

/// Where the kernel builds no walls, that is said in the list of what was skipped.
pub fn can_confine() -> bool {
    let nothing = r#"{"denied":[],"writable":[],"own_writable":[],"connect":null}"#;
    let has = can_run_under(&[super::DAEMON, "__confined", nothing]);
    if !has {
        skipped("the kernel has no Landlock");
    }
    has
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says what this machine cannot test: in the list that `make test` prints at its end.
pub fn skipped(why: &str) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped.txt");
    let mut list = OpenOptions::new().create(true).append(true).open(path).expect("skipped.txt");
    let test = thread::current().name().unwrap_or_default().to_string();
    list.write_all(format!("SKIPPED {test}: {why}\n").as_bytes()).expect("write skipped.txt");
}
