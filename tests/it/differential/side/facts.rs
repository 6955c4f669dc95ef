//! What can be seen of one side from outside, fact by fact. Nothing here knows which side is
//! right.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Side, text_of};

/// The seed's audit fields by event. All but the two last have values that both sides must give
/// alike.
const AUDIT_FIELDS: [(&str, &[&str]); 9] = [
    ("spawned", &["project", "retry"]),
    ("completed", &["exit_code", "duration"]),
    ("retried", &["error_type", "retry"]),
    ("failed", &["exit_code", "error_type", "retry_count", "duration"]),
    ("queued", &["queue_depth"]),
    ("unsupported_agent", &["target_agent"]),
    ("callback_sent", &["status"]),
    ("callback_failed", &["error"]),
    ("schema_invalid", &["error"]),
];

impl Side {
    pub fn report_path(&self, id: &str) -> PathBuf {
        self.lab.inbox().join("completed").join(format!("{id}.json"))
    }

    pub fn report(&self, id: &str) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.report_path(id)).ok()?).ok()
    }

    /// Every fact about one dispatch, and then a clean table for the next one.
    pub fn observe(&mut self, id: &str) {
        self.see_report(id);
        self.see_audit(id);
        self.see_sessions(id);
        self.fact("inbox after", words(self.lab.waiting()));
        self.fact("stray files", words(self.strays()));
        self.fact("rejected file kept", if self.has_rejected() { "yes" } else { "no" });
        if self.daemon.is_some() {
            let daemon = if self.is_running() { "runs".to_string() } else { self.end() };
            self.fact("daemon", daemon);
        }
        self.clear();
    }

    pub fn see_report(&self, id: &str) {
        let report = self.report(id);
        self.fact("report", if report.is_some() { "yes" } else { "no" });
        let Some(report) = report else { return };
        for key in ["dispatch_id", "status", "target_agent", "error_type", "retry_count"] {
            self.fact(&format!("report {key}"), text_of(&report[key]));
        }
        self.fact("report duration", span_of(&report["duration"]));
        for key in ["output_length", "error"] {
            let there = if report.get(key).is_some() { "there" } else { "-" };
            self.fact(&format!("report {key}"), there);
        }
    }

    fn see_audit(&self, id: &str) {
        let lines = self.audit_of(id);
        self.fact("events", words(self.events(id)));
        if let Some(received) = lines.iter().find(|line| line["event"] == "received") {
            let is_file = received["dispatch_id"].as_str().is_some_and(|n| n.ends_with(".json"));
            self.fact("received names", if is_file { "the file" } else { "the id" });
        }
        let mut details: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in &lines {
            details.entry(text_of(&line["event"])).or_default().push(details_of(line));
        }
        for (event, details) in details {
            self.fact(&format!("audit {event}"), details.join("; "));
        }
    }

    fn see_sessions(&self, id: &str) {
        let starts = self.starts_of(id);
        self.fact("starts", starts.len());
        for (n, start) in starts.iter().enumerate() {
            self.fact(&format!("session {} cwd", n + 1), &start.cwd);
            let prompt = start.note("prompt");
            self.fact(&format!("session {} arguments", n + 1), start.arguments(&prompt));
            self.fact(&format!("session {} prompt", n + 1), self.short(&prompt));
        }
        self.fact("processes left", self.others().len());
    }

    /// A long text as its length and a digest.
    fn short(&self, text: &str) -> String {
        let text = self.without_paths(text);
        if text.len() < 1000 {
            return text;
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        format!("{} bytes, {:016x}", text.len(), hasher.finish())
    }

    /// What runs beside the daemon, by name of the session's mark.
    pub fn others(&self) -> Vec<i32> {
        let daemon = self.daemon.as_ref().map_or(0, |daemon| daemon.pid);
        let all = self.lab.processes().into_iter().map(|(pid, _)| pid);
        all.filter(|pid| *pid != daemon).collect()
    }

    /// Files where neither a dispatch nor a report belongs.
    pub(super) fn strays(&self) -> Vec<String> {
        let inbox = self.lab.inbox();
        let known = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_report = path.parent() == Some(&inbox.join("completed"));
            let is_inbox = path.parent() == Some(&inbox);
            is_report
                || (is_inbox && (name.starts_with("dispatch-") || name == "audit.jsonl"))
                || name.ends_with(".daemon-heartbeat")
        };
        let mut files = Vec::new();
        collect(&self.lab.gstack, &self.lab.ours(), &mut files);
        let strays = files.iter().filter(|path| !known(path));
        strays
            .map(|p| p.strip_prefix(&self.lab.gstack).unwrap_or(p).display().to_string())
            .collect()
    }

    fn has_rejected(&self) -> bool {
        let rejected = self.lab.ours().join("rejected");
        let file = self.file();
        let folders = fs::read_dir(rejected).into_iter().flatten().flatten();
        folders.map(|e| e.path().join(&file)).any(|path| fs::symlink_metadata(path).is_ok())
    }
}

fn words(list: Vec<String>) -> String {
    if list.is_empty() { "-".into() } else { list.join(" ") }
}

/// As exact as two runs on a busy machine can agree.
fn span_of(seconds: &Value) -> &'static str {
    match seconds.as_u64() {
        Some(0..15) => "at once",
        Some(25..45) => "half a minute",
        Some(55..80) => "a minute",
        Some(_) => "odd",
        None => "-",
    }
}

fn details_of(line: &Value) -> String {
    let of_event = AUDIT_FIELDS.iter().find(|(event, _)| line["event"] == **event);
    let fields = of_event.map_or(&[][..], |(_, fields)| fields).iter();
    let detail = |key: &&str| match line.get(key) {
        None => format!("no {key}"),
        Some(_) if ["duration", "error"].contains(key) => key.to_string(),
        Some(value) => format!("{key}={}", text_of(value)),
    };
    fields.map(detail).collect::<Vec<_>>().join(" ")
}

/// All files below a directory but for one folder.
fn collect(dir: &Path, except: &Path, into: &mut Vec<PathBuf>) {
    for path in fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path()) {
        if path.is_dir() && !path.is_symlink() && path != except {
            collect(&path, except, into);
        } else if path != except {
            into.push(path);
        }
    }
}
