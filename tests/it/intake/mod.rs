//! What may lie in the inbox, and what becomes of it: every kind of good file is accepted exactly
//! once, however it got there; every kind of bad file is kept in `rejected/` with its reason,
//! answered where its sender can be told, and holds up neither its neighbours nor the daemon.
//!
//! The files of `fixtures/dispatch/` are the table: `<reason>--<what>.json`, or
//! `accepted--<what>.json`.

mod accepted;
mod again;
mod arrival;
mod odd_things;
mod refused;

use std::fs;

use serde_json::Value;

use crate::util::*;

/// Says that a file was refused as it should be: kept untouched, with its reason, and in the audit
/// log.
fn refused(lab: &Lab, file: &str, reason: &str) -> Value {
    let (dir, why) = lab.rejected(file);
    assert_eq!(why["reason"], reason, "{file}: {why:#}");
    assert!(why["error"].as_str().is_some_and(|e| !e.is_empty()), "{file}: {why:#}");
    assert_eq!(why["file"], file, "{why:#}");
    assert!(is_stamp(&why["at"]), "{why:#}");
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    assert!(name.contains('-') && name.starts_with("20"), "rejected/<time>-<sha8>: {name}");
    wait_until(&format!("{file} out of the inbox"), PATIENCE, || {
        fs::symlink_metadata(lab.inbox().join(file)).is_err()
    });
    let line = wait_for(&format!("schema_invalid of {file}"), PATIENCE, || {
        let of_file = |l: &Value| l["event"] == "schema_invalid" && l["file"] == file;
        lab.audit().into_iter().find(of_file)
    });
    assert_eq!(line["reason"], reason, "{line}");
    assert!(line["error"].is_string(), "{line}");
    why
}

/// The fixtures of one kind: (what, bytes).
fn fixtures(kind: &str) -> Vec<(String, Vec<u8>)> {
    let dir = fs::read_dir(format!("{FIXTURES}/dispatch")).expect("fixtures");
    let mut found: Vec<_> = dir
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let what =
                name.strip_prefix(kind)?.strip_prefix("--")?.strip_suffix(".json")?.to_string();
            Some((what, fs::read(entry.path()).ok()?))
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no fixtures of {kind}");
    found
}
