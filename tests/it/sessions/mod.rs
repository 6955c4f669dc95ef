//! One dispatch's way from its turn to its report: who runs when, with which arguments, environment
//! and prompt; how a session is ended and what is left of it (nothing); retries; and that the
//! report says what really happened.

mod ending;
mod git_facts;
mod no_start;
mod outcome;
mod retry;
mod start;
mod tmp;
mod turns;
mod usual;

use std::path::Path;

use serde_json::Value;

use crate::util::*;

fn block(gate: &Gate) -> String {
    format!("fake: block {}", gate.display())
}

fn lines(path: impl AsRef<Path>) -> Vec<String> {
    text_file(path).lines().map(String::from).collect()
}

fn attempts(report: &Value) -> &Vec<Value> {
    report["attempts"].as_array().unwrap_or_else(|| panic!("no attempts: {report:#}"))
}
