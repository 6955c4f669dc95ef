//! The harness: a directory for each test ([`Lab`]), the daemon as a guarded process ([`Daemon`]),
//! dispatches and what becomes of them, FIFOs that hold a session ([`Gate`]), and a small HTTP
//! server ([`Server`]). Each has a file of its own; tests take all of it with `use crate::util::*`.
//!
//! Guards check on the way out: a daemon that is dropped is ended, and then no process on the
//! machine may carry the test's mark; the audit log must parse to its last line; every report is
//! checked when it is first seen. What failed stays on disk, and is printed.

mod checks;
mod clawvisor;
mod daemon;
mod dispatch;
pub mod dump;
mod files;
mod gate;
mod git;
mod lab;
mod machine;
mod processes;
mod seen;
mod server;
mod waiting;

pub use self::checks::*;
pub use self::clawvisor::*;
pub use self::daemon::*;
pub use self::dispatch::*;
pub use self::files::*;
pub use self::gate::*;
pub use self::git::*;
pub use self::lab::*;
pub use self::machine::*;
pub use self::processes::*;
pub use self::server::*;
pub use self::waiting::*;

use std::path::Path;
use std::process::{Command, Stdio};

pub const DAEMON: &str = env!("CARGO_BIN_EXE_gstack-dispatch-daemon");
pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

#[test]
fn the_harness_finds_and_ends_what_a_test_leaves_behind() {
    let lab = Lab::new();
    let (name, value) = lab.mark.split_once('=').expect("NAME=VALUE");
    let mut sleep = Command::new("sleep");
    let sleep = sleep.arg("7777").env(name, value).stdout(Stdio::null()).stderr(Stdio::null());
    let mut left = sleep.spawn().expect("sleep");
    let pid = left.id() as i32;
    wait_until("the process with the mark", PATIENCE, || {
        lab.processes().iter().any(|p| p.0 == pid)
    });
    assert!(alive(pid));
    lab.end_leftovers();
    left.wait().expect("wait");
    assert!(!alive(pid) && lab.processes().is_empty());
}

#[test]
fn a_directory_of_a_test_tells_its_run() {
    let lab = Lab::new();
    assert_eq!(run_of(&lab.path("disk")), Some(std::process::id() as i32));
    assert_eq!(run_of(Path::new("/tmp/dispatch-it-77-8/disk/gstack")), Some(77));
    for other in ["/tmp", "/tmp/dispatch-it-", "/tmp/dispatch-it-x-1", "/tmp/my-dispatch-it-7-1"] {
        assert_eq!(run_of(Path::new(other)), None, "{other}");
    }
}
