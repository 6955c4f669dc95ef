//! Who may run what: which places no session works in, which projects are trusted, and what becomes
//! of a dispatch that waits until a person allows it.

mod approval;
mod commands;
mod entered;
mod files;
mod places;
mod threats;
mod waiting;

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::util::*;

/// A daemon that trusts the directory `trusted` of the lab, and nothing else.
fn gated(lab: &Lab) -> Start<'_> {
    lab.daemon().set("--trusted-projects", lab.project("trusted").display())
}

fn pending(lab: &Lab, name: &str) -> PathBuf {
    lab.ours().join("pending").join(id(name))
}

fn control(lab: &Lab, word: &str, name: &str) -> PathBuf {
    lab.ours().join("control").join(format!("{word}-{}", id(name)))
}

/// Drops a dispatch for a project that is not trusted, and waits until it waits.
fn send_to_wait(lab: &Lab, name: &str) -> Value {
    let ran = lab.path("ran");
    lab.send(&lab.task(name, format!("fake: mark {}", ran.display())));
    waits(lab, name)
}

/// Waits until a dispatch waits, and gives its `approval_required` line.
fn waits(lab: &Lab, name: &str) -> Value {
    wait_until("it waits", PATIENCE, || pending(lab, name).join("pending.json").exists());
    lab.event(name, "approval_required")
}

fn approve(lab: &Lab, name: &str) {
    let digest = sha256(&pending(lab, name).join("dispatch.json"));
    ask(lab, "approve", name, &digest);
}

/// Writes a request as a careful person does: beside, then renamed.
fn ask(lab: &Lab, word: &str, name: &str, text: &str) {
    let beside = lab.path("being-asked");
    fs::write(&beside, text).expect("write a request");
    fs::rename(&beside, control(lab, word, name)).expect("rename a request");
}

fn has_run(lab: &Lab, name: &str) -> bool {
    starts(&lab.path("ran")).iter().any(|started| started == name)
}

/// Waits until nothing is asked any more.
fn heeded(lab: &Lab, word: &str, name: &str) {
    wait_until("the request is gone", PATIENCE, || !control(lab, word, name).exists());
}
