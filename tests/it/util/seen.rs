//! What a test sees of its daemon: reports, the audit log, the heartbeat, rejected files. Every
//! report is checked when it is first seen.

use std::fs;
use std::path::PathBuf;

use super::checks::{check_audit_line, check_report};
use super::files::json_file;
use super::lab::{Lab, id};
use super::processes::processes_with;
use super::waiting::{PATIENCE, wait_for, wait_until};
use serde_json::Value;

impl Lab {
    /// Waits for the report of a dispatch; it must be right in form, and no process of the session
    /// may be alive.
    pub fn report(&self, name: &str) -> Value {
        let path = self.report_path(name);
        let what = format!("the report of {}", id(name));
        wait_until(&what, PATIENCE, || path.exists());
        let left = processes_with(&[self.mark.clone(), format!("GSTACK_DISPATCH_ID={}", id(name))]);
        let report = json_file(&path);
        assert!(left.is_empty(), "alive at the report of {}: {left:?}\n{report:#}", id(name));
        check_report(&report, &id(name));
        report
    }

    /// Waits until all is done that follows a report (audit, inbox, `finished/`), and gives the
    /// report.
    pub fn settled(&self, name: &str) -> Value {
        let report = self.report(name);
        let dir = self.finished(name);
        wait_until(&format!("{} in finished/", id(name)), PATIENCE, || dir.exists());
        report
    }

    /// Waits for the report and says that the dispatch completed.
    pub fn completed(&self, name: &str) -> Value {
        let report = self.report(name);
        assert_eq!(report["status"], "completed", "{report:#}");
        report
    }

    /// The report says `failed` for that reason.
    pub fn failed(&self, name: &str, error_type: &str) -> Value {
        self.ended(name, "failed", error_type)
    }

    pub fn ended(&self, name: &str, status: &str, error_type: &str) -> Value {
        let report = self.report(name);
        let got = (report["status"].as_str(), report["error_type"].as_str());
        assert_eq!(got, (Some(status), Some(error_type)), "{report:#}");
        report
    }

    /// The audit log's whole lines; each one must be an object with the four fields that all have.
    pub fn audit(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.inbox().join("audit.jsonl")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(check_audit_line).collect()
    }

    /// The lines of one dispatch, or of the daemon itself (name "").
    pub fn audit_of(&self, name: &str) -> Vec<Value> {
        let wanted = if name.is_empty() { String::new() } else { id(name) };
        self.audit().into_iter().filter(|line| line["dispatch_id"] == *wanted).collect()
    }

    pub fn events(&self, name: &str) -> Vec<String> {
        let lines = self.audit_of(name);
        lines.iter().filter_map(|line| Some(line["event"].as_str()?.to_string())).collect()
    }

    /// Waits for the first such event of a dispatch.
    pub fn event(&self, name: &str, event: &str) -> Value {
        wait_for(&format!("{event} of {name} in the audit log"), PATIENCE, || {
            self.audit_of(name).into_iter().find(|line| line["event"] == event)
        })
    }

    pub fn heartbeat_path(&self) -> PathBuf {
        self.inbox().join(".daemon-heartbeat")
    }

    /// Waits for a heartbeat that is so.
    pub fn heartbeat(&self, what: &str, mut so: impl FnMut(&Value) -> bool) -> Value {
        let path = self.heartbeat_path();
        wait_for(&format!("a heartbeat: {what}"), PATIENCE, || {
            let text = fs::read_to_string(&path).ok()?;
            let beat: Value = serde_json::from_str(&text)
                .unwrap_or_else(|e| panic!("half a heartbeat was seen: {e}: {text:?}"));
            so(&beat).then_some(beat)
        })
    }

    /// Waits until that dispatch was accepted: it has its place in `active/`, or is past it.
    pub fn accepted(&self, name: &str) {
        wait_until(&format!("{} accepted", id(name)), PATIENCE, || {
            self.active(name).join("accepted.json").exists() || self.finished(name).exists()
        })
    }

    /// Waits until a file of that name lies in `rejected/`, and gives its folder and `reason.json`.
    pub fn rejected(&self, file: &str) -> (PathBuf, Value) {
        let rejected = self.ours().join("rejected");
        wait_for(&format!("{file} in rejected/"), PATIENCE, || {
            let folders = fs::read_dir(&rejected).ok()?.flatten().map(|e| e.path());
            let of_file = |dir: PathBuf| {
                fs::symlink_metadata(dir.join(file)).ok()?;
                let text = fs::read_to_string(dir.join("reason.json")).ok()?;
                Some((dir, serde_json::from_str(&text).expect("reason.json")))
            };
            folders.filter_map(of_file).next()
        })
    }

    /// How many files were rejected.
    pub fn rejected_count(&self) -> usize {
        fs::read_dir(self.ours().join("rejected")).map_or(0, |dir| dir.count())
    }

    /// What lies in the inbox under a dispatch's name.
    pub fn waiting(&self) -> Vec<String> {
        let entries: Vec<_> =
            fs::read_dir(self.inbox()).map(|d| d.flatten().collect()).unwrap_or_default();
        let names = entries.iter().map(|e| e.file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.filter(|n| n.starts_with("dispatch-")).collect();
        names.sort();
        names
    }
}
