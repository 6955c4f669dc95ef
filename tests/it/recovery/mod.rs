//! The daemon dies (SIGKILL) and another one starts: the files alone decide. A session that lives
//! is adopted and gets its right report once; a queued dispatch keeps its place; what was
//! interrupted says so and is not run again; and no state that a crash can leave, built here by
//! hand where a test cannot hit the moment, is lost or done twice.

mod between;
mod claims;
mod dead;
mod living;

use std::path::{Path, PathBuf};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::util::*;

fn block(gate: &Gate) -> String {
    format!("fake: block {}", gate.display())
}

fn mark(path: &Path) -> String {
    format!("fake: mark {}", path.display())
}

/// Kills the agent of the only session that left a mark, and waits for its end.
fn kill_agent(ran: &Path) -> i32 {
    let (_, _, pid) = marks(ran).pop().expect("a mark");
    signal(pid, Signal::KILL);
    wait_until("the agent's end", PATIENCE, || !alive(pid));
    pid
}

/// The daemon and its agent died in the middle of the session of `a`, which had followed these
/// orders by then. Gives where it left its mark.
fn died_in_session(lab: &Lab, orders: &str) -> PathBuf {
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("{}\n{orders}\n{}", mark(&ran), block(&gate))));
    let _hold = gate.held();
    daemon.crash();
    kill_agent(&ran);
    ran
}

fn interrupted(lab: &Lab, name: &str) -> Value {
    let report = lab.failed(name, "interrupted");
    assert_eq!(report.get("retry_count").unwrap_or(&json!(0)), 0, "{report:#}");
    report
}
