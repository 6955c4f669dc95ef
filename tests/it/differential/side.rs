//! One of the two daemons under comparison, the seed or ours, with a directory, a home and a fake
//! agent of its own; and what can be seen of it from outside: [`Facts`], field by field.
//!
//! A case is written once and runs on both sides. It must therefore wait for what both of them
//! show: their audit log, the inbox, their sessions. Nothing here knows which side is right.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use crate::util::*;

/// The seed's longest wait is a minute.
const LONG: Duration = Duration::from_secs(100);
/// The events after which the seed, or ours, says nothing more of a dispatch.
const LAST_EVENTS: [&str; 6] =
    ["completed", "failed", "cancelled", "schema_invalid", "unsupported_agent", "redelivered"];
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

/// What was seen, by name. "-" stands for nothing.
pub type Facts = BTreeMap<String, String>;

pub enum Who {
    /// With its two words: bun, seed.ts.
    Seed([String; 2]),
    Ours,
}

pub struct Side {
    daemon: Option<Daemon>,
    daemons: u32,
    pub lab: Lab,
    who: Who,
    /// Flags that both sides know.
    flags: Vec<String>,
    /// With our own defaults: for cases in which the seed is slow, too.
    plain: bool,
    /// The name of the case that runs.
    pub name: &'static str,
    /// The id that its file names.
    named: String,
    facts: RefCell<Facts>,
}

impl Side {
    pub fn new(who: Who, plain: bool) -> Side {
        let lab = Lab::new();
        // As the seed makes it under the usual umask.
        fs::create_dir_all(lab.inbox()).expect("create the inbox");
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(lab.inbox(), open).expect("chmod");
        fs::create_dir_all(lab.path("differential")).expect("create the agent's notes");
        Side {
            daemon: None,
            daemons: 0,
            lab,
            who,
            flags: Vec::new(),
            plain,
            name: "",
            named: String::new(),
            facts: RefCell::default(),
        }
    }

    pub fn is_seed(&self) -> bool {
        matches!(self.who, Who::Seed(_))
    }

    pub fn begin(&mut self, name: &'static str) {
        self.name = name;
        self.named = id(name);
    }

    /// The facts of the case that ran.
    pub fn take_facts(&mut self) -> Facts {
        self.facts.take()
    }

    pub fn fact(&self, name: &str, value: impl ToString) {
        let value = self.without_paths(&value.to_string());
        self.facts.borrow_mut().insert(name.into(), value);
    }

    /// The two sides live in different directories.
    fn without_paths(&self, text: &str) -> String {
        text.replace(self.lab.dir.to_str().expect("UTF-8"), "LAB")
    }

    // ---------------------------------------------------------------------------------- the daemon

    fn start_with(&self, flags: &[&str], env: &[(&str, &str)]) -> Daemon {
        let inherited = std::env::var("PATH").unwrap_or_default();
        let mut start = if self.plain {
            self.lab.plain_daemon()
        } else {
            self.lab.daemon().unset("--min-ttl").set("--callback-delays", "0,600")
        };
        start = start
            .env("PATH", format!("{FIXTURES}/bin-differential:{inherited}"))
            .env("DIFFERENTIAL", self.lab.path("differential").display());
        for (key, value) in env {
            start = start.env(key, value);
        }
        start = flags.iter().fold(start, |start, flag| start.word(flag));
        // The seed overlooks the words that follow its own.
        if let Who::Seed(words) = &self.who {
            start = start.under(&[&words[0], &words[1]]);
        }
        start.spawn()
    }

    /// The daemon's log: the seed has it on stdout.
    pub fn log(&self) -> String {
        let stream = if self.is_seed() { "stdout" } else { "stderr" };
        let path = self.lab.path(&format!("daemon-{}.{stream}", self.daemons));
        fs::read_to_string(path).unwrap_or_default()
    }

    /// Starts it, if it does not run, and waits until it is ready or gone.
    pub fn start(&mut self) {
        if self.daemon.is_none() {
            let flags: Vec<&str> = self.flags.iter().map(String::as_str).collect();
            self.daemon = Some(self.start_with(&flags, &[]));
            self.daemons += 1;
        }
        wait_until("a daemon that is ready or gone", PATIENCE, || {
            self.log().contains("ready") || self.exited().is_some()
        });
    }

    pub fn start_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| flag.to_string()).collect();
        self.start();
    }

    fn exited(&mut self) -> Option<ExitStatus> {
        self.daemon.as_mut().and_then(Daemon::exited)
    }

    pub fn signal(&self, signal: Signal) {
        self.daemon.as_ref().expect("a daemon").signal(signal);
    }

    pub fn pid(&self) -> i32 {
        self.daemon.as_ref().expect("a daemon").pid
    }

    pub fn is_running(&mut self) -> bool {
        self.daemon.is_some() && self.exited().is_none()
    }

    /// Waits for the daemon's end, says how it was, and forgets it.
    pub fn end(&mut self) -> String {
        let status = wait_for("the daemon's end", self.patience(), || self.exited());
        self.daemon.take().expect("a daemon").left();
        in_words(status)
    }

    /// SIGTERM; how it ended.
    pub fn stop(&mut self) -> String {
        self.signal(Signal::TERM);
        self.end()
    }

    /// Runs one more to its end, or to where it is ready; in which case it is ended.
    pub fn one_more(&mut self, env: &[(&str, &str)]) -> String {
        self.daemons += 1;
        let mut daemon = self.start_with(&[], env);
        let ended = wait_for("a second daemon, ended or ready", PATIENCE, || {
            let ended = daemon.exited().map(in_words);
            ended.or_else(|| self.log().contains("ready").then(|| "runs".into()))
        });
        if daemon.exited().is_none() {
            daemon.signal(Signal::KILL);
        }
        wait_until("its end", PATIENCE, || daemon.exited().is_some());
        daemon.left();
        ended
    }

    // ---------------------------------------------------------------------------------- dispatches

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

    fn patience(&self) -> Duration {
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

    fn starts_of(&self, id: &str) -> Vec<Start> {
        self.starts().into_iter().filter(|start| start.id == id).collect()
    }

    // ----------------------------------------------------------------------------------- the audit

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

    // -------------------------------------------------------------------------------- what is seen

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
    fn strays(&self) -> Vec<String> {
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

    /// Ends what sessions left running, and removes what would be taken for the next case's.
    fn clear(&mut self) {
        for pid in self.others() {
            let _ = rustix::process::Pid::from_raw(pid)
                .map(|pid| rustix::process::kill_process(pid, Signal::KILL));
        }
        wait_until("the end of what was left", PATIENCE, || self.others().is_empty());
        for name in self.lab.waiting() {
            let path = self.lab.inbox().join(name);
            let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir(&path));
        }
        for name in self.strays() {
            let _ = fs::remove_file(self.lab.gstack.join(name));
        }
    }

    /// Ends the daemon without a look.
    pub fn close(&mut self) {
        match self.daemon.take() {
            Some(daemon) if self.is_seed() => daemon.crash(),
            other => drop(other),
        }
        self.lab.end_leftovers();
        if self.is_seed() {
            // It loses lines, and may be caught in the middle of one.
            let _ = fs::remove_file(self.lab.inbox().join("audit.jsonl"));
        }
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
    fn note(&self, what: &str) -> String {
        let path = self.notes.join(format!("{what}-{}", self.pid));
        String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
    }

    /// The agent's arguments, but for what is new in each.
    fn arguments(&self, prompt: &str) -> String {
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

fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit {code}"),
        (None, signal) => format!("died of signal {}", signal.unwrap_or(0)),
    }
}

fn words(list: Vec<String>) -> String {
    if list.is_empty() { "-".into() } else { list.join(" ") }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
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

/// Permission bits.
pub fn mode(path: &Path) -> String {
    let meta = fs::symlink_metadata(path).expect("metadata");
    format!("{:o}", meta.permissions().mode() & 0o777)
}
