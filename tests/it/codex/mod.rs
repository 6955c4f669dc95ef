//! Codex: what the library makes of its recorded sessions (`recorded`), what the whole daemon makes
//! of them when a stand-in repeats them (`stand_in`), and the real CLI against a small Responses API
//! of our own (`real`, `processes`, `api`).
//!
//! Owns what the three share. Must not talk to anything but 127.0.0.1.

mod api;
mod processes;
mod real;
mod recorded;
mod stand_in;

use serde_json::Value;

use crate::util::*;

/// Where the recorded sessions are.
const STREAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/streams/codex/0.169.0");

/// A dispatch for Codex.
fn task(lab: &Lab, name: &str) -> Dispatch {
    lab.task(name, "Say hello.").with("target_agent", "codex")
}

fn attempts(report: &Value) -> &[Value] {
    report["attempts"].as_array().map_or(&[], Vec::as_slice)
}
