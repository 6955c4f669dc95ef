//! Sessions that a launcher starts: what goes through it, what its failures mean, whose clock runs,
//! and that nothing is left in an engine that only its own command reaches. The launchers are
//! stand-ins (`fixtures/launchers`), and in `real` those that this machine has.

mod engine;
mod limits;
mod passes;
mod real;
mod settings;

use std::fs;

use serde_json::{Value, json};

use crate::util::*;

fn stub(name: &str) -> String {
    format!("{FIXTURES}/launchers/{name}.sh")
}

/// Writes `config.json`.
fn config(lab: &Lab, config: &Value) {
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    fs::write(lab.ours().join("config.json"), config.to_string()).expect("write config.json");
}

/// An agent whose output is plain text, and whose exit code 77 means that it is not logged in.
fn plain_agent() -> Value {
    json!({
        "program": format!("{FIXTURES}/bin-own/mimic"), "output": "text",
        "args": ["--text", "new", "{session}"], "failures": {"auth": {"exit_codes": [77]}},
    })
}

fn warnings(report: &Value) -> Vec<&str> {
    let all = report["warnings"].as_array().into_iter().flatten();
    all.filter_map(Value::as_str).collect()
}

/// What the report says of what may be left in the engine.
fn unknown(report: &Value) -> Vec<&str> {
    const SAID: &str = "whether anything is left in the launcher's engine is not known: ";
    warnings(report).into_iter().filter_map(|warning| warning.strip_prefix(SAID)).collect()
}
