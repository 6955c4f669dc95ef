//! One of the two daemons under comparison, the seed or ours, with a directory, a home and a fake
//! agent of its own; and what can be seen of it from outside: [`Facts`], field by field.
//!
//! A case is written once and runs on both sides. It must therefore wait for what both of them
//! show: their audit log, the inbox, their sessions. Nothing here knows which side is right.

mod facts;
mod running;
mod settling;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::util::*;

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

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Permission bits.
pub fn mode(path: &Path) -> String {
    let meta = fs::symlink_metadata(path).expect("metadata");
    format!("{:o}", meta.permissions().mode() & 0o777)
}
