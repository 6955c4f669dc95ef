//! Clawvisor: which dispatches its tasks let run, what waits for a decision there, what ends a
//! session, what completes a task, and that the token reaches nobody else. It is a double of the
//! API ([`crate::util::Clawvisor`]).

mod completing;
mod decision;
mod sessions;
mod start;
mod token;
mod waiting;

use std::fs;

use serde_json::Value;

use crate::util::*;

/// A daemon that asks that Clawvisor, and soon again.
fn asking<'a>(lab: &'a Lab, clawvisor: &Clawvisor) -> Start<'a> {
    let token = lab.gstack.join(".clawvisor-token");
    if !token.exists() {
        fs::create_dir_all(&lab.gstack).expect("a directory");
        write_secret(&token, TOKEN);
    }
    lab.daemon()
        .set("--clawvisor-url", &clawvisor.url)
        .set("--clawvisor-delays", 0.2)
        .set("--clawvisor-poll", 0.2)
        .set("--clawvisor-timeout", 2)
        .set("--clawvisor-wait", 5)
        .set("--callback-delays", "0,0.2")
}

/// A dispatch that names that task.
fn by_task(lab: &Lab, name: &str, task: &str, order: &str) -> Dispatch {
    lab.task(name, order).with("clawvisor_task_id", task)
}

/// One that leaves a mark where it runs.
fn marking(lab: &Lab, name: &str, task: &str) -> Dispatch {
    by_task(lab, name, task, &format!("fake: mark {}", lab.path("ran").display()))
}

fn has_run(lab: &Lab, name: &str) -> bool {
    starts(&lab.path("ran")).iter().any(|started| started == name)
}

/// Waits until a dispatch waits for that.
fn waits_for(lab: &Lab, name: &str, why: &str) {
    let record = lab.ours().join("pending").join(id(name)).join("pending.json");
    wait_until(&format!("{name} waits for {why}"), PATIENCE, || {
        let text = fs::read_to_string(&record).unwrap_or_default();
        let record: Value = serde_json::from_str(&text).unwrap_or_default();
        record["why"] == why && record["is_untold"] != true
    });
}

fn is_pending(lab: &Lab, name: &str) -> bool {
    lab.ours().join("pending").join(id(name)).exists()
}

/// Waits for the answer of a dispatch that never ran, with this error.
fn refused(lab: &Lab, name: &str, error: &str) -> Value {
    let report = lab.failed(name, "not_authorized");
    assert_eq!(report["error"], error, "{report:#}");
    assert_eq!(report["attempts"], Value::Null, "{report:#}");
    assert!(!has_run(lab, name));
    let line = lab.event(name, "not_authorized");
    assert_eq!(line["error"], error);
    line
}
