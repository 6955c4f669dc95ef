//! What must hold once all work is done and no daemon runs: every invariant, over the files, the
//! marks that agents left outside the tree, and /proc. It gives words, so that a test can plant a
//! violation and see it named.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::util::sha256;

/// What was done to a daemon's directory, as the outside knows it.
pub struct Story {
    pub gstack: PathBuf,
    /// Where agents left a line at their start: `start ID PID TOKEN`.
    pub marks: PathBuf,
    /// Valid dispatches that were dropped.
    pub sent: Vec<String>,
    /// How many invalid files were.
    pub invalid: usize,
    /// Reports as they were when they were first seen: name and bytes.
    pub seen: BTreeMap<String, Vec<u8>>,
}

struct Start {
    id: String,
    token: String,
}

pub fn violations(story: &Story) -> Vec<String> {
    let mut found = Vec::new();
    let starts = starts(story, &mut found);
    let reports = reports(story, &mut found);
    for id in &story.sent {
        one_answer(story, id, reports.get(id), &mut found);
    }
    for (name, bytes) in &story.seen {
        if fs::read(completed(story).join(name)).ok().as_ref() != Some(bytes) {
            found.push(format!("changed report: {name} is not what it was"));
        }
    }
    started_once(&starts, &reports, &mut found);
    audit(story, &starts, &reports, &mut found);
    nothing_left(story, &mut found);
    survivors(story, &mut found);
    found
}

fn completed(story: &Story) -> PathBuf {
    story.gstack.join("dispatch/completed")
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).map(|d| d.flatten().collect::<Vec<_>>()).unwrap_or_default();
    entries.iter().map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

fn starts(story: &Story, found: &mut Vec<String>) -> Vec<Start> {
    let text = fs::read_to_string(&story.marks).unwrap_or_default();
    let mut starts = Vec::new();
    for line in text.lines() {
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["start", id, _, token] => starts.push(Start { id: id.into(), token: token.into() }),
            _ => found.push(format!("a mark that makes no sense: {line:?}")),
        }
    }
    starts
}

fn reports(story: &Story, found: &mut Vec<String>) -> BTreeMap<String, Value> {
    let mut reports = BTreeMap::new();
    for name in names(&completed(story)) {
        let Some(id) = name.strip_suffix(".json").filter(|id| !id.starts_with('.')) else {
            found.push(format!("left behind in completed/: {name}"));
            continue;
        };
        let bytes = fs::read(completed(story).join(&name)).unwrap_or_default();
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(report) => drop(reports.insert(id.to_string(), report)),
            Err(e) => found.push(format!("torn report: {name}: {e}")),
        }
    }
    reports
}

fn one_answer(story: &Story, id: &str, report: Option<&Value>, found: &mut Vec<String>) {
    let Some(report) = report else {
        found.push(format!("lost: {id} has no report"));
        return;
    };
    let status = report["status"].as_str().unwrap_or_default();
    if report["dispatch_id"] != id
        || !["completed", "failed", "cancelled", "timeout"].contains(&status)
    {
        found.push(format!("wrong report: {id}: {report}"));
    }
    let committed = fs::read(story.gstack.join("dispatchd/finished").join(id).join("report.json"));
    let published = fs::read(completed(story).join(format!("{id}.json")));
    if committed.ok() != published.ok() {
        found.push(format!("two answers: {id}: published is not what was committed"));
    }
    // Where no session ran nothing else says what was dispatched: the steps after the commit rest
    // on the copy.
    if report["attempts"].as_array().is_none_or(Vec::is_empty) {
        let dir = story.gstack.join("dispatchd/finished").join(id);
        let accepted = fs::read(dir.join("accepted.json")).unwrap_or_default();
        let accepted: Value = serde_json::from_slice(&accepted).unwrap_or_default();
        if accepted["sha256"] != *sha256(&dir.join("dispatch.json")) {
            found.push(format!("wrong copy: {id}: its copy is not what was accepted"));
        }
    }
}

fn started_once(starts: &[Start], reports: &BTreeMap<String, Value>, found: &mut Vec<String>) {
    let mut tokens = BTreeSet::new();
    let mut of_id: BTreeMap<&str, u64> = BTreeMap::new();
    for start in starts {
        *of_id.entry(&start.id).or_default() += 1;
        if !tokens.insert(&start.token) {
            found.push(format!("double start: {} twice in one attempt", start.id));
        }
    }
    for (id, report) in reports {
        let attempts = report["attempts"].as_array().map_or(0, Vec::len) as u64;
        let started = of_id.get(id.as_str()).copied().unwrap_or(0);
        if started > attempts.max(1) {
            found.push(format!("double start: {id} {started} times, {attempts} attempts"));
        }
        if report["status"] == "completed" && started == 0 {
            found.push(format!("false report: {id} is completed and never started"));
        }
        if report["status"] == "cancelled" && attempts == 0 && started > 0 {
            found.push(format!("false report: {id} started and is cancelled before it ran"));
        }
        // A second attempt only after a seen end: it has an error that is worth it.
        let first = report["attempts"].get(0).and_then(|a| a["error_type"].as_str());
        if attempts > 1
            && !matches!(
                first,
                Some("rate_limit" | "usage_limit" | "tool_failure" | "context_overflow")
            )
        {
            found.push(format!("second attempt of {id} after {first:?}"));
        }
    }
}

fn audit(
    story: &Story,
    starts: &[Start],
    reports: &BTreeMap<String, Value>,
    found: &mut Vec<String>,
) {
    let text = fs::read(story.gstack.join("dispatch/audit.jsonl")).unwrap_or_default();
    if !text.is_empty() && !text.ends_with(b"\n") {
        found.push("torn line: the audit log ends in half a line".into());
    }
    let mut events: BTreeMap<(String, String), u64> = BTreeMap::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            found.push(format!("torn line: {line:?}"));
            continue;
        };
        let word = |key: &str| line[key].as_str().unwrap_or_default().to_string();
        *events.entry((word("dispatch_id"), word("event"))).or_default() += 1;
    }
    let count = |id: &str, event: &str| {
        events.get(&(id.to_string(), event.to_string())).copied().unwrap_or(0)
    };
    for id in starts.iter().map(|start| &start.id).collect::<BTreeSet<_>>() {
        let started = starts.iter().filter(|start| start.id == *id).count() as u64;
        if count(id, "spawned") < started {
            found.push(format!("no spawned line: {id} started {started} times"));
        }
    }
    for id in &story.sent {
        let ends = ["completed", "failed", "cancelled"].map(|event| count(id, event));
        if reports.contains_key(id) && ends.iter().sum::<u64>() == 0 {
            found.push(format!("no last line: {id}"));
        }
        if count(id, "received") == 0 {
            found.push(format!("no first line: {id}"));
        }
    }
}

fn nothing_left(story: &Story, found: &mut Vec<String>) {
    for dir in ["active", "outbox"] {
        for name in names(&story.gstack.join("dispatchd").join(dir)) {
            found.push(format!("left behind in {dir}/: {name}"));
        }
    }
    let known = ["audit.jsonl", "completed", ".daemon-heartbeat"];
    for name in names(&story.gstack.join("dispatch")) {
        // What the heartbeat's writer was killed at is replaced with the next one.
        if !known.contains(&name.as_str()) && name != ".tmp..daemon-heartbeat" {
            found.push(format!("left behind in the drop zone: {name}"));
        }
    }
    kept_with_a_reason(story, found);
}

fn kept_with_a_reason(story: &Story, found: &mut Vec<String>) {
    let rejected = story.gstack.join("dispatchd/rejected");
    let mut kept = 0;
    for dir in names(&rejected).iter().map(|name| rejected.join(name)) {
        // A folder without the file is what a crash left; the file is judged again.
        if names(&dir).iter().any(|name| name != "reason.json" && !name.starts_with(".tmp.")) {
            kept += 1;
            let reason = fs::read(dir.join("reason.json")).unwrap_or_default();
            if serde_json::from_slice::<Value>(&reason).is_err() {
                found.push(format!("no reason: {}", dir.display()));
            }
        }
    }
    if kept != story.invalid {
        found.push(format!("lost: {} invalid files, {kept} kept", story.invalid));
    }
}

fn survivors(story: &Story, found: &mut Vec<String>) {
    let ours = format!("GSTACK_DISPATCH_FILE={}", story.gstack.display());
    for pid in names(Path::new("/proc")).iter().filter_map(|name| name.parse::<i32>().ok()) {
        let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let is_ours = environ.split(|b| *b == 0).any(|v| v.starts_with(ours.as_bytes()));
        if is_ours {
            found.push(format!("survivor: process {pid}"));
        }
    }
}
