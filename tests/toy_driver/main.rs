//! Adding an agent touches one new file (`toy.rs`) and one row of a table (below), and nothing of
//! the daemon: here the whole daemon runs with such a table, on a directory of its own, with an
//! agent that speaks no dialect that the daemon knows.
//!
//! The test's own executable is the daemon too, if its first argument says so; that is why it has
//! no harness.

mod toy;

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use gstack_dispatch_daemon::effects::process::SESSION_VERB;
use gstack_dispatch_daemon::main_with;
use gstack_dispatch_daemon::pure::agent::{Driver, claude};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

static DRIVERS: [Driver; 2] = [claude::DRIVER, toy::DRIVER];

/// The first argument of the daemon.
const AS_DAEMON: &str = "__daemon";
const TOYBOX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/bin-toy");
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);

type Test = (&'static str, fn(&Lab));

const TESTS: [Test; 4] = [
    ("a_toy_that_does_well_is_completed", a_toy_that_does_well_is_completed),
    ("its_own_word_says_why_it_failed", its_own_word_says_why_it_failed),
    ("a_session_that_it_does_not_know_starts_anew", a_session_that_it_does_not_know_starts_anew),
    ("what_stands_in_no_row_is_refused_by_name", what_stands_in_no_row_is_refused_by_name),
];

fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().skip(1).collect();
    match args.first() {
        Some(first) if first == AS_DAEMON => main_with(args.into_iter().skip(1), &DRIVERS),
        // The daemon's own call of its executable, where it has a terminal.
        Some(first) if first == SESSION_VERB => main_with(args, &DRIVERS),
        _ => run_tests(&args),
    }
}

/// Takes what `cargo test` hands on: a filter, `--list`; other options mean nothing here.
fn run_tests(args: &[OsString]) -> ExitCode {
    let is_list = args.iter().any(|arg| arg == "--list");
    let filter =
        args.iter().filter_map(|arg| arg.to_str()).find(|arg| arg.starts_with(char::is_alphabetic));
    let is_asked = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    let tests: Vec<&Test> = TESTS.iter().filter(|(name, _)| is_asked(name)).collect();
    if is_list || tests.is_empty() {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let lab = Lab::start();
    for (name, test) in tests {
        test(&lab);
        println!("test {name} ... ok");
    }
    lab.end();
    ExitCode::SUCCESS
}

fn a_toy_that_does_well_is_completed(lab: &Lab) {
    let report = lab.run("well", "toy", "toy: well");
    assert_eq!((&report["status"], &report["target_agent"]), (&json!("completed"), &json!("toy")));
    // The variables that it sets reach it, those that it withholds and another agent's do not.
    assert_eq!(report["result"], "all of it; quiet=1 outer= updater=", "{report:#}");
}

fn its_own_word_says_why_it_failed(lab: &Lab) {
    let report = lab.run("tangled", "toy", "toy: tangled");
    assert_eq!(report["error_type"], "logic_error", "{report:#}");
    assert_eq!(report["error"], "tangled: the task ties itself in a knot");
    assert_eq!(report["retry_count"], 0);
}

fn a_session_that_it_does_not_know_starts_anew(lab: &Lab) {
    let report = lab.run("shaken", "toy", "toy: shaken");
    assert_eq!(report["status"], "completed", "{report:#}");
    let attempts = report["attempts"].as_array().expect("attempts");
    let ended: Vec<_> =
        attempts.iter().map(|one| (one["resumed"] == true, &one["error"])).collect();
    let (shaken, stranger) =
        (json!("shaken: the ground trembled"), json!("stranger: who is that?"));
    assert_eq!(ended, [(false, &shaken), (true, &stranger), (false, &Value::Null)], "{report:#}");
    assert_eq!(attempts[1]["session_id"], attempts[0]["session_id"]);
    assert_ne!(attempts[2]["session_id"], attempts[0]["session_id"]);
    assert_eq!(report["retry_count"], 1);
}

fn what_stands_in_no_row_is_refused_by_name(lab: &Lab) {
    let report = lab.run("unknown", "teddy", "toy: well");
    assert_eq!(report["error_type"], "invalid_dispatch", "{report:#}");
    let names = "target_agent must be one of claude, codex, cursor, gemini, toy";
    assert_eq!(report["error"], names);
}

/// A directory of the test's own, and a daemon on it.
struct Lab {
    dir: PathBuf,
    daemon: Child,
}

impl Lab {
    fn start() -> Lab {
        let name = format!("dispatch-toy-{}", std::process::id());
        let dir = std::env::temp_dir().canonicalize().expect("temporary directory").join(name);
        let home = dir.join("home");
        fs::create_dir_all(&home).expect("create the home directory");
        symlink(TOYBOX, home.join("toybox")).expect("install the toy");
        let log = fs::File::create(dir.join("log")).expect("create the log");
        let daemon = Command::new(std::env::current_exe().expect("our own executable"))
            .args([AS_DAEMON, "--local-only"])
            .env("HOME", &home)
            .env("GSTACK_HOME", dir.join("gstack"))
            .env("PATH", "/usr/bin:/bin")
            .env("TOY_OUTER_ID", "7")
            .env_remove("DISABLE_AUTOUPDATER")
            .stderr(log)
            .spawn()
            .expect("start the daemon");
        Lab { dir, daemon }
    }

    /// Drops a dispatch and waits for its report.
    fn run(&self, name: &str, agent: &str, task: &str) -> Value {
        let project = self.dir.join(name);
        fs::create_dir(&project).expect("create a project");
        let id = format!("dispatch-{name}");
        let dispatch = json!({
            "id": id, "dispatched_by": "test", "task": task, "project": name,
            "project_dir": project, "target_agent": agent,
        });
        let inbox = self.dir.join("gstack/dispatch");
        self.wait_for("the daemon's drop zone", || inbox.join(".daemon-heartbeat").exists());
        let beside = self.dir.join("being-written");
        fs::write(&beside, dispatch.to_string()).expect("write a dispatch");
        fs::rename(&beside, inbox.join(format!("{id}.json"))).expect("drop a dispatch");
        let report = inbox.join("completed").join(format!("{id}.json"));
        self.wait_for(&format!("the report of {id}"), || report.exists());
        let text = fs::read_to_string(&report).expect("read the report");
        serde_json::from_str(&text).expect("a report")
    }

    fn wait_for(&self, what: &str, condition: impl Fn() -> bool) {
        let start = Instant::now();
        while !condition() {
            if start.elapsed() > PATIENCE {
                panic!("waited {PATIENCE:?} in vain for {what}:\n{}", self.log());
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// A daemon that has nothing to do ends at once when it is asked to.
    fn end(mut self) {
        let pid = Pid::from_child(&self.daemon);
        kill_process(pid, Signal::TERM).expect("signal the daemon");
        let code = self.daemon.wait().expect("wait for the daemon").code();
        assert_eq!(code, Some(0), "{}", self.log());
        remove(&self.dir);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        // After `end` there is nothing left of it, and the standard library knows.
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn remove(dir: &Path) {
    fs::remove_dir_all(dir).unwrap_or_else(|e| panic!("cannot remove {}: {e}", dir.display()));
}
