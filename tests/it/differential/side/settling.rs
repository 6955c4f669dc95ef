//! Dispatches of one side, seen through: a case waits for what both daemons show, never for a
//! fixed time.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::{Side, text_of};
use crate::util::*;

/// The seed's longest wait is a minute.
const LONG: Duration = Duration::from_secs(100);
/// The events after which the seed, or ours, says nothing more of a dispatch.
const LAST_EVENTS: [&str; 6] =
    ["completed", "failed", "cancelled", "schema_invalid", "unsupported_agent", "redelivered"];

impl Side {
    /// A dispatch of this case; its id is `dispatch-<case>`.
    pub fn task(&self, orders: &str) -> Dispatch {
        self.lab.task(self.name, orders)
    }

    /// Drops a file for this case by rename, and sees it through.
    pub fn run(&mut self, bytes: &[u8]) {
        self.start();
        self.named = named_id(bytes).unwrap_or_else(|| id(self.name));
        self.lab.place(&self.file(), bytes);
        self.see_through();
    }

    /// The file of this case lies in the inbox: starts a daemon, and sees it through.
    pub fn see_through(&mut self) {
        self.start();
        self.settle(&self.named.clone(), &self.file());
        self.observe(&self.named.clone());
    }

    /// The name of the case's file.
    pub fn file(&self) -> String {
        format!("{}.json", id(self.name))
    }

    pub fn run_dispatch(&mut self, dispatch: &Dispatch) {
        self.run(&dispatch.bytes());
    }

    /// Waits until the daemon is done with a dispatch: nothing more is said of it, its file is
    /// gone, its sessions have ended. Or until the daemon is dead.
    pub fn settle(&mut self, id: &str, file: &str) {
        let file = self.lab.inbox().join(file);
        wait_until(&format!("{} done with {id}", self.side()), self.patience(), || {
            let is_gone = fs::symlink_metadata(&file).is_err() && !self.is_tidying();
            let done = self.is_over(id) && is_gone;
            let sessions = self.starts_of(id);
            (done && !sessions.iter().any(|s| alive(s.pid))) || !self.is_running()
        });
    }

    /// Ours moves a file aside before it removes it.
    fn is_tidying(&self) -> bool {
        let names = fs::read_dir(self.lab.inbox()).into_iter().flatten().flatten();
        names.into_iter().any(|e| e.file_name().to_string_lossy().starts_with(".answered."))
    }

    pub(super) fn patience(&self) -> Duration {
        if self.plain { LONG } else { PATIENCE }
    }

    pub fn side(&self) -> &'static str {
        if self.is_seed() { "the seed" } else { "ours" }
    }

    fn is_over(&self, id: &str) -> bool {
        let events = self.events(id);
        let last = events.iter().rev().find(|event| !event.starts_with("callback"));
        let is_last = |event: &String| {
            // Ours has one more line to write.
            let more = !self.is_seed() && event == "unsupported_agent";
            LAST_EVENTS.contains(&event.as_str()) && !more
        };
        last.is_some_and(is_last) || self.is_seed() && self.is_over_in_log(id)
    }

    /// The seed loses audit lines of what runs at once; its log is whole.
    fn is_over_in_log(&self, id: &str) -> bool {
        let log = self.log();
        let count = |text: &str| log.matches(&format!("{text}{id} ")).count();
        let ends = log.matches(&format!("[daemon] {id} completed (")).count()
            + log.matches(&format!("[daemon] {id} failed (")).count();
        let last = log.lines().rev().find(|line| line.contains(&format!("{id} ")));
        ends > 0
            && ends == count("[daemon] spawning session for ")
            && !last.is_some_and(|line| line.ends_with("retrying..."))
    }

    pub fn starts(&self) -> Vec<Start> {
        let text = fs::read_to_string(self.lab.path("differential/starts")).unwrap_or_default();
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        whole.lines().map(|line| self.read_start(line)).collect()
    }

    fn read_start(&self, line: &str) -> Start {
        // An id of a careless sender may hold blanks; a directory of ours does not.
        let mut words = line.strip_prefix("start ").expect("a start").rsplitn(3, ' ');
        let mut word = || words.next().expect("ID PID CWD").to_string();
        let (cwd, pid, id) = (word(), word(), word());
        Start { id, pid: pid.parse().expect("a pid"), cwd, notes: self.lab.path("differential") }
    }

    pub(super) fn starts_of(&self, id: &str) -> Vec<Start> {
        self.starts().into_iter().filter(|start| start.id == id).collect()
    }

    /// Whole lines that are JSON: the seed's log is rewritten at each line, and may be caught at
    /// it.
    fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.lab.inbox().join("audit.jsonl")).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The lines of a dispatch, under its id or the name of its file.
    pub fn audit_of(&self, id: &str) -> Vec<Value> {
        let mut names = vec![id.to_string(), format!("{id}.json")];
        if id == self.named {
            names.push(self.file());
        }
        // The daemon's own lines have no id.
        names.retain(|name| !name.is_empty());
        let is_its = |line: &Value| names.contains(&text_of(&line["dispatch_id"]));
        self.audit().into_iter().filter(is_its).collect()
    }

    pub fn events(&self, id: &str) -> Vec<String> {
        let word = |line: &Value| Some(line["event"].as_str()?.to_string());
        self.audit_of(id).iter().filter_map(word).collect()
    }

    pub fn wait_event(&mut self, id: &str, wanted: &str) {
        wait_until(&format!("{wanted} of {id}, {}", self.side()), self.patience(), || {
            self.events(id).iter().any(|event| event.starts_with(wanted)) || !self.is_running()
        });
    }
}

/// One start of the agent.
pub struct Start {
    pub id: String,
    pub pid: i32,
    pub cwd: String,
    notes: PathBuf,
}

impl Start {
    pub(super) fn note(&self, what: &str) -> String {
        let path = self.notes.join(format!("{what}-{}", self.pid));
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    /// The agent's arguments, but for what is new in each.
    pub(super) fn arguments(&self, prompt: &str) -> String {
        let text = self.note("arguments");
        let text = match text.strip_suffix(&format!("\n{prompt}\n")) {
            Some(others) if !prompt.is_empty() => format!("{others}\nPROMPT"),
            _ => text,
        };
        let word = |word: &str| {
            let is_uuid = word.len() == 36 && word.split('-').count() == 5;
            if is_uuid { "UUID".to_string() } else { word.to_string() }
        };
        text.lines().map(word).collect::<Vec<_>>().join(" ")
    }
}

/// The id that a file names, if it names one: the seed's reports and audit lines go by it.
fn named_id(bytes: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    value.get("id").filter(|id| !id.is_null()).map(text_of)
}
