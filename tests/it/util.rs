//! The harness: a directory for each test ([`Lab`]), the daemon as a guarded process ([`Daemon`]),
//! dispatches and what becomes of them, FIFOs that hold a session ([`Gate`]), and a small HTTP
//! server ([`Server`]).
//!
//! Guards check on the way out: a daemon that is dropped is ended, and then no process on the
//! machine may carry the test's mark; the audit log must parse to its last line; every report is
//! checked when it is first seen. What failed stays on disk, and is printed.

use std::cell::{Cell, RefCell};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// How long anything may take that should happen at once: generous, for a loaded machine. Only
/// failures wait for it.
pub const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(5);

pub const DAEMON: &str = env!("CARGO_BIN_EXE_gstack-dispatch-daemon");
pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");

thread_local! {
    /// The directory of the test that runs on this thread, for the dump.
    static LAB: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
    static DUMPED: Cell<bool> = const { Cell::new(false) };
}

// ----------------------------------------------------------------------------------------- waiting

/// Waits for a condition; when the deadline passes, prints what there is and panics.
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, deadline, || condition().then_some(()))
}

/// The same for something that has a value once it is there.
pub fn wait_for<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        if start.elapsed() > deadline {
            dump();
            panic!("waited {deadline:?} in vain: {what}");
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// A slow sender's pause between two pieces.
pub fn pause_as_a_slow_writer(span: Duration) {
    thread::sleep(span);
}

/// Everything that explains a failure: the tree, the small files, the log. Once a thread.
pub fn dump() {
    if DUMPED.replace(true) {
        return;
    }
    let Some(dir) = LAB.with_borrow(|dir| dir.clone()) else { return };
    eprintln!("================ {}", dir.display());
    let mut files = Vec::new();
    walk(&dir, &mut files);
    for path in &files {
        let Ok(meta) = fs::symlink_metadata(path) else { continue };
        let name = path.strip_prefix(&dir).unwrap_or(path).display();
        eprintln!("{:o} {:>8} {name}", meta.permissions().mode(), meta.len());
    }
    let told = |p: &&PathBuf| {
        let name = p.file_name().unwrap_or_default().to_string_lossy();
        let ours = p.starts_with(dir.join("gstack/dispatchd"));
        name == "audit.jsonl"
            || name == ".daemon-heartbeat"
            || name.ends_with(".stderr")
            || (ours && (name.ends_with(".json") || name == "stderr.log"))
    };
    for path in files.iter().filter(told).filter(|p| p.is_file()) {
        let text = fs::read(path).unwrap_or_default();
        let tail = &text[text.len().saturating_sub(6000)..];
        let name = path.strip_prefix(&dir).unwrap_or(path).display();
        eprintln!("---------------- {name}\n{}", String::from_utf8_lossy(tail).trim_end());
    }
    eprintln!("================");
}

fn walk(dir: &Path, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).map(|d| d.flatten().map(|e| e.path()).collect()).unwrap_or_default();
    entries.sort();
    for path in entries {
        into.push(path.clone());
        if fs::symlink_metadata(&path).is_ok_and(|m| m.is_dir()) {
            walk(&path, into);
        }
    }
}

// --------------------------------------------------------------------------------------- processes

fn environ_has(pid: i32, wanted: &[String]) -> bool {
    let Ok(bytes) = fs::read(format!("/proc/{pid}/environ")) else { return false };
    let variables: Vec<&[u8]> = bytes.split(|b| *b == 0).collect();
    wanted.iter().all(|w| variables.contains(&w.as_bytes()))
}

/// All processes of the machine whose environment has all of these variables. (That of a zombie is
/// empty.)
pub fn processes_with(variables: &[String]) -> Vec<(i32, String)> {
    let pids = fs::read_dir("/proc").expect("/proc").flatten();
    pids.filter_map(|e| e.file_name().to_str()?.parse().ok())
        .filter(|pid| environ_has(*pid, variables))
        .map(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            (pid, String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
}

/// What the daemon has used of the processor, in seconds.
pub fn cpu_seconds(daemon: &Daemon) -> f64 {
    let stat = text_file(format!("/proc/{}/stat", daemon.pid));
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: f64 =
        [fields[11], fields[12]].iter().map(|t| t.parse::<f64>().expect("ticks")).sum();
    ticks / 100.0
}

/// Runs what follows where the kernel gives nobody anything to watch files with.
pub const WITHOUT_EVENTS: [&str; 7] = [
    "unshare",
    "-U",
    "-r",
    "sh",
    "-c",
    "echo 0 >/proc/sys/user/max_inotify_instances && exec \"$@\"",
    "sh",
];

pub fn can_run_under(prefix: &[&str]) -> bool {
    let probe = Command::new(prefix[0]).args(&prefix[1..]).arg("true").output();
    probe.is_ok_and(|probe| probe.status.success())
}

/// Neither gone nor a zombie.
pub fn alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    state.is_some_and(|s| s != 'Z' && s != 'X')
}

pub fn signal(pid: i32, signal: Signal) {
    let pid = Pid::from_raw(pid).expect("a pid");
    kill_process(pid, signal).unwrap_or_else(|e| panic!("cannot signal {pid:?}: {e}"));
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Says what this machine cannot test: in the list that `make test` prints at its end.
pub fn skipped(why: &str) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped.txt");
    let mut list = OpenOptions::new().create(true).append(true).open(path).expect("skipped.txt");
    let test = thread::current().name().unwrap_or_default().to_string();
    list.write_all(format!("SKIPPED {test}: {why}\n").as_bytes()).expect("write skipped.txt");
}

// --------------------------------------------------------------------------------------------- lab

/// A test's own directory: `home`, `gstack` (= `$GSTACK_HOME`), projects, FIFOs.
pub struct Lab {
    pub dir: PathBuf,
    pub home: PathBuf,
    pub gstack: PathBuf,
    mark: String,
    daemons: Cell<u32>,
}

impl Lab {
    pub fn new() -> Lab {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("dispatch-it-{}-{n}", std::process::id());
        let dir = std::env::temp_dir().canonicalize().expect("temporary directory").join(&name);
        let lab = Lab {
            home: dir.join("home"),
            gstack: dir.join("gstack"),
            mark: format!("DISPATCH_TEST={name}"),
            dir,
            daemons: Cell::new(0),
        };
        fs::create_dir_all(&lab.home).expect("create the test's directory");
        LAB.set(Some(lab.dir.clone()));
        DUMPED.set(false);
        lab
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
    pub fn inbox(&self) -> PathBuf {
        self.gstack.join("dispatch")
    }
    pub fn ours(&self) -> PathBuf {
        self.gstack.join("dispatchd")
    }
    pub fn active(&self, name: &str) -> PathBuf {
        self.ours().join("active").join(id(name))
    }
    pub fn finished(&self, name: &str) -> PathBuf {
        self.ours().join("finished").join(id(name))
    }
    pub fn report_path(&self, name: &str) -> PathBuf {
        self.inbox().join("completed").join(format!("{}.json", id(name)))
    }
    pub fn dropped(&self, name: &str) -> PathBuf {
        self.inbox().join(format!("{}.json", id(name)))
    }

    /// A project directory of that name; not a repository.
    pub fn project(&self, name: &str) -> PathBuf {
        let dir = self.path(name);
        fs::create_dir_all(&dir).expect("create a project");
        dir
    }

    /// A project that is a git repository with one commit on the branch `main`.
    pub fn repository(&self, name: &str) -> PathBuf {
        let dir = self.project(name);
        git(&dir, "init -q -b main");
        fs::write(dir.join("README"), "hello\n").expect("write README");
        git(&dir, "add README");
        git(&dir, "commit -q -m first");
        dir
    }

    pub fn gate(&self, name: &str) -> Gate {
        let path = self.path(name);
        let made = Command::new("mkfifo").arg(&path).status().expect("mkfifo");
        assert!(made.success(), "mkfifo {}", path.display());
        Gate { path }
    }

    /// A dispatch with the id `dispatch-<name>` and a project directory of its own.
    pub fn task(&self, name: &str, task: impl Into<String>) -> Dispatch {
        let dir = self.project(&format!("project-{name}"));
        Dispatch(json!({
            "id": id(name), "dispatched_by": "test", "task": task.into(),
            "project": format!("project-{name}"), "project_dir": dir,
        }))
    }

    /// Drops it as a careful sender does: written beside, then renamed into the inbox under
    /// `<id>.json`.
    pub fn send(&self, dispatch: &Dispatch) {
        self.place(&format!("{}.json", dispatch.id()), &dispatch.bytes());
    }

    /// The same for any bytes under any name.
    pub fn place(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.inbox()).expect("create the inbox");
        let beside = self.gstack.join(".being-written");
        fs::write(&beside, bytes).expect("write a dispatch");
        fs::rename(&beside, self.inbox().join(name)).expect("rename a dispatch into the inbox");
    }

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

    /// A daemon to be started, with settings that make tests quick.
    pub fn daemon(&self) -> Start<'_> {
        self.plain_daemon()
            .set("--settle", 0.2)
            .set("--min-ttl", 1)
            .set("--kill-grace", 0.3)
            .set("--rate-limit-backoff", 0.3)
            .set("--hold-jitter", 0)
            .set("--lock-wait", 0.3)
            .set("--drain-timeout", 15)
            .set("--callback-timeout", 5)
    }

    /// The same with its own defaults.
    pub fn plain_daemon(&self) -> Start<'_> {
        let inherited = std::env::var("PATH").unwrap_or_default();
        let start = Start { lab: self, flags: Vec::new(), env: Vec::new(), prefix: Vec::new() };
        let (name, value) = self.mark.split_once('=').expect("NAME=VALUE");
        let start = start
            .env("PATH", format!("{FIXTURES}/bin:{inherited}"))
            .env("HOME", self.home.display())
            .env("GSTACK_HOME", self.gstack.display())
            .env(name, value);
        ["RUST_BACKTRACE", "LLVM_PROFILE_FILE"].into_iter().fold(start, |start, key| {
            match std::env::var(key) {
                Ok(value) => start.env(key, value),
                Err(_) => start,
            }
        })
    }

    /// All processes of this test: daemons, sessions and whatever they started.
    pub fn processes(&self) -> Vec<(i32, String)> {
        processes_with(std::slice::from_ref(&self.mark))
    }

    /// Ends what is left of this test, by pid. For tests that leave something on purpose.
    pub fn end_leftovers(&self) {
        end_all(&self.mark);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let left = end_all(&self.mark);
        if thread::panicking() {
            dump();
            eprintln!("kept: {}", self.dir.display());
            return;
        }
        assert!(left.is_empty(), "processes left after the test: {left:?}");
        let text = fs::read_to_string(self.inbox().join("audit.jsonl")).unwrap_or_default();
        assert!(text.is_empty() || text.ends_with('\n'), "the audit log ends in half a line");
        text.lines().for_each(|line| drop(check_audit_line(line)));
        LAB.set(None);
        fs::remove_dir_all(&self.dir).expect("remove the test's directory");
    }
}

/// SIGKILL for each process with the mark, until none is left; gives those that there were.
fn end_all(mark: &str) -> Vec<(i32, String)> {
    let mark = [mark.to_string()];
    let first = processes_with(&mark);
    let (mut left, start) = (first.clone(), Instant::now());
    while !left.is_empty() && start.elapsed() < PATIENCE {
        for (pid, _) in &left {
            // It may have ended by itself since.
            let _ = Pid::from_raw(*pid).map(|pid| kill_process(pid, Signal::KILL));
        }
        thread::sleep(LOOK_EVERY);
        left = processes_with(&mark);
    }
    first
}

pub fn id(name: &str) -> String {
    format!("dispatch-{name}")
}

pub fn json_file(path: &Path) -> Value {
    let text = fs::read(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()));
    let shown = String::from_utf8_lossy(&text);
    serde_json::from_str(&shown).unwrap_or_else(|e| panic!("{}: {e}: {shown:?}", path.display()))
}

pub fn text_file(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()))
}

/// The lines "WORD ID PID" that sessions left with `fake: mark`.
pub fn marks(path: &Path) -> Vec<(String, String, i32)> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mark = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let pid = words[2].parse().expect("a pid");
        (words[0].to_string(), words[1].to_string(), pid)
    };
    text.lines().map(mark).collect()
}

/// The ids of the "start" marks, in order, without their `dispatch-`.
pub fn starts(path: &Path) -> Vec<String> {
    let of_start = |m: (String, String, i32)| {
        (m.0 == "start").then(|| m.1.strip_prefix("dispatch-").unwrap_or(&m.1).to_string())
    };
    marks(path).into_iter().filter_map(of_start).collect()
}

/// Waits for the pids that a session wrote into a file, one a line.
pub fn pids_in(path: &Path) -> Vec<i32> {
    wait_for(&format!("pids in {}", path.display()), PATIENCE, || {
        let text = fs::read_to_string(path).ok()?;
        let whole = text.strip_suffix('\n')?;
        whole.lines().map(|line| line.parse().ok()).collect()
    })
}

/// `git ARGS` in a directory, as a fixed author; ARGS are split at blanks. Gives what it printed.
pub fn git(dir: &Path, args: &str) -> String {
    let run = Command::new("git")
        .args(["-c", "user.name=Test", "-c", "user.email=test@localhost"])
        .args(args.split(' '))
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .output()
        .expect("git");
    assert!(run.status.success(), "git {args}: {}", String::from_utf8_lossy(&run.stderr));
    String::from_utf8_lossy(&run.stdout).trim().to_string()
}

pub fn sha256(path: &Path) -> String {
    let run = Command::new("sha256sum").arg(path).output().expect("sha256sum");
    String::from_utf8_lossy(&run.stdout).split(' ').next().unwrap_or_default().to_string()
}

fn check_audit_line(line: &str) -> Value {
    let value: Value =
        serde_json::from_str(line).unwrap_or_else(|e| panic!("audit line: {e}: {line:?}"));
    for key in ["ts", "event", "dispatch_id"] {
        assert!(value[key].is_string(), "audit line without {key}: {line}");
    }
    assert!(is_stamp(&value["ts"]), "audit line with a strange ts: {line}");
    value
}

/// As the seed writes it: 2026-04-03T14:30:00.000Z.
pub fn is_stamp(value: &Value) -> bool {
    value.as_str().is_some_and(|s| s.len() == 24 && s.ends_with('Z') && s.as_bytes()[10] == b'T')
}

/// Milliseconds since midnight; enough to compare two stamps of one test (a test over midnight adds
/// a day).
pub fn millis_between(earlier: &Value, later: &Value) -> i64 {
    let of = |v: &Value| {
        let s = v.as_str().expect("a stamp");
        let part = |range: std::ops::Range<usize>| s[range].parse::<i64>().expect("digits");
        ((part(11..13) * 60 + part(14..16)) * 60 + part(17..19)) * 1000 + part(20..23)
    };
    (of(later) - of(earlier)).rem_euclid(86_400_000)
}

/// From the end of the first attempt to the start of the second.
pub fn millis_between_attempts(report: &Value) -> i64 {
    let (one, two) = (&report["attempts"][0], &report["attempts"][1]);
    let seconds = one["duration"].as_f64().unwrap_or_else(|| panic!("two attempts: {report:#}"));
    millis_between(&one["started_at"], &two["started_at"]) - (seconds * 1000.0).round() as i64
}

/// What is true of every report: the seed's fields and meaning, the completion schema, no nulls.
pub fn check_report(report: &Value, id: &str) {
    let fail = |what: &str| -> ! { panic!("the report of {id}: {what}: {report:#}") };
    let status = report["status"].as_str().unwrap_or_default();
    if report["dispatch_id"] != id {
        fail("another dispatch_id");
    }
    if !["completed", "failed", "cancelled", "timeout"].contains(&status) {
        fail("status");
    }
    if !report["duration"].is_u64() {
        fail("duration is no whole number");
    }
    let error = report["error"].as_str();
    if status == "completed" && !(error.is_none() && report.get("error_type").is_none()) {
        fail("completed with an error");
    }
    if status != "completed"
        && (error.is_none_or(str::is_empty) || !report["error_type"].is_string())
    {
        fail("not completed without saying why");
    }
    if error.is_some_and(|e| e.chars().count() > 500) {
        fail("error is too long");
    }
    if has_null(report) {
        fail("a null");
    }
    for key in ["commits", "retry_count", "output_length"] {
        if report.get(key).is_some_and(|n| !n.is_u64()) {
            fail(key);
        }
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(entries) => entries.values().any(has_null),
        _ => false,
    }
}

#[derive(Clone)]
pub struct Dispatch(pub Value);

impl Dispatch {
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Dispatch {
        self.0[key] = value.into();
        self
    }
    pub fn in_dir(self, dir: &Path) -> Dispatch {
        let text = dir.to_str().expect("UTF-8").to_string();
        self.with("project_dir", text)
    }
    pub fn id(&self) -> String {
        self.0["id"].as_str().expect("an id").to_string()
    }
    pub fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(&self.0).expect("JSON")
    }
}

// -------------------------------------------------------------------------------------------- gate

/// A FIFO at which a session stands: `fake: block <gate>`.
pub struct Gate {
    path: PathBuf,
}

impl Gate {
    /// One that was made before.
    pub fn at(path: PathBuf) -> Gate {
        Gate { path }
    }

    /// Waits until a session stands here; it stays until the hold is released or dropped.
    #[must_use]
    pub fn held(&self) -> Hold {
        let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let mut options = OpenOptions::new();
        // Without a reader this fails at once (ENXIO): success means that a session has opened the
        // other end.
        let options = options.write(true).custom_flags(nonblock);
        let what = format!("a session at {}", self.path.display());
        Hold(wait_for(&what, PATIENCE, || options.open(&self.path).ok()))
    }

    pub fn display(&self) -> std::path::Display<'_> {
        self.path.display()
    }
}

pub struct Hold(File);

impl Hold {
    pub fn release(mut self) {
        // The session may be gone.
        let _ = self.0.write_all(b"go\n");
    }
}

// ------------------------------------------------------------------------------------------ daemon

/// How a daemon is to be started.
pub struct Start<'a> {
    lab: &'a Lab,
    flags: Vec<(String, Option<String>)>,
    env: Vec<(String, String)>,
    prefix: Vec<String>,
}

impl Start<'_> {
    /// A flag with its value; replaces an earlier one of that name.
    pub fn set(mut self, flag: &str, value: impl ToString) -> Self {
        self.flags.retain(|(name, _)| name != flag);
        self.flags.push((flag.into(), Some(value.to_string())));
        self
    }
    /// A word or flag without a value.
    pub fn word(mut self, word: &str) -> Self {
        self.flags.push((word.into(), None));
        self
    }
    /// Without that flag.
    pub fn unset(mut self, flag: &str) -> Self {
        self.flags.retain(|(name, _)| name != flag);
        self
    }
    pub fn env(mut self, key: &str, value: impl ToString) -> Self {
        self = self.no_env(key);
        self.env.push((key.into(), value.to_string()));
        self
    }
    pub fn no_env(mut self, key: &str) -> Self {
        self.env.retain(|(name, _)| name != key);
        self
    }
    /// A program that runs the daemon in its own place, such as `setpriv`.
    pub fn under(mut self, prefix: &[&str]) -> Self {
        self.prefix = prefix.iter().map(|word| word.to_string()).collect();
        self
    }

    /// Starts it and waits until it is ready.
    pub fn start(self) -> Daemon {
        let mut daemon = self.spawn();
        daemon.wait_ready();
        daemon
    }

    /// Starts it.
    pub fn spawn(self) -> Daemon {
        let n = self.lab.daemons.get() + 1;
        self.lab.daemons.set(n);
        let stdout = self.lab.path(&format!("daemon-{n}.stdout"));
        let stderr = self.lab.path(&format!("daemon-{n}.stderr"));
        let mut words = self.prefix.clone();
        words.push(DAEMON.into());
        for (flag, value) in &self.flags {
            words.push(flag.clone());
            words.extend(value.clone());
        }
        let child = Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .envs(self.env.iter().map(|(k, v)| (k, v)))
            .current_dir(&self.lab.dir)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).expect("create a log"))
            .stderr(File::create(&stderr).expect("create a log"))
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start {}: {e}", words[0]));
        Daemon {
            pid: child.id() as i32,
            child,
            stdout,
            stderr,
            mark: self.lab.mark.clone(),
            unchecked: false,
        }
    }

    /// Runs it to its end.
    pub fn output(self) -> Output {
        let mut daemon = self.spawn();
        let code = daemon.wait();
        // What else runs in this test may go on; and an answer belongs on stdout.
        daemon.unchecked = true;
        Output { code, stdout: text_file(&daemon.stdout), stderr: text_file(&daemon.stderr) }
    }
}

#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// A running daemon. Dropped, it is ended, and nothing of the test may run on.
pub struct Daemon {
    pub pid: i32,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    mark: String,
    /// It left sessions behind on purpose.
    unchecked: bool,
}

impl Daemon {
    pub fn stderr(&self) -> String {
        text_file(&self.stderr)
    }

    pub fn wait_ready(&mut self) {
        wait_until("a daemon that is ready", PATIENCE, || {
            if let Some(status) = self.exited() {
                dump();
                panic!("the daemon ended at its start: {status}");
            }
            self.stderr().contains("ready")
        })
    }

    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("wait for the daemon")
    }

    pub fn signal(&self, what: Signal) {
        signal(self.pid, what);
    }

    /// Waits for its end and gives the exit code.
    pub fn wait(&mut self) -> i32 {
        let status = wait_for("the daemon's end", PATIENCE, || self.exited());
        status.code().unwrap_or_else(|| panic!("the daemon died of signal {:?}", status.signal()))
    }

    /// SIGTERM, and the exit code.
    pub fn stop(&mut self) -> i32 {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// SIGKILL: a crash. What it ran goes on; the next daemon, or [`Lab`], looks after it.
    pub fn crash(mut self) {
        self.child.kill().expect("kill the daemon");
        self.child.wait().expect("wait for the daemon");
        self.unchecked = true;
    }

    /// Past its end, with sessions left running on purpose.
    pub fn left(mut self) {
        assert!(self.exited().is_some(), "the daemon still runs");
        self.unchecked = true;
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if thread::panicking() {
            dump();
        }
        let start = Instant::now();
        // The second signal ends sessions at once. A daemon that is deaf is killed, and that is an
        // error.
        while self.exited().is_none() && start.elapsed() < PATIENCE {
            signal(self.pid, Signal::TERM);
            wait_a_little(&mut self.child);
        }
        let deaf = self.exited().is_none();
        if deaf {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if thread::panicking() || self.unchecked {
            return;
        }
        assert!(!deaf, "the daemon did not heed SIGTERM");
        let left = end_all(&self.mark);
        assert!(left.is_empty(), "processes left after the daemon's end: {left:?}");
        let stdout = text_file(&self.stdout);
        assert!(stdout.is_empty(), "the daemon wrote on stdout: {stdout}");
    }
}

/// Up to 100 ms for a child's end.
fn wait_a_little(child: &mut Child) {
    for _ in 0..20 {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        thread::sleep(LOOK_EVERY);
    }
}

// ------------------------------------------------------------------------------------------ server

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON body")
    }
}

#[derive(Clone)]
pub enum Answer {
    Status(u16),
    /// 302 to that address.
    Redirect(String),
    /// Takes the request and never answers.
    Silence,
}

/// An HTTP server on 127.0.0.1 that gives its answers in order (the last one for ever) and keeps
/// what it was sent.
pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    pub fn start(answers: Vec<Answer>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        Server::on(listener, answers)
    }

    pub fn on(listener: TcpListener, answers: Vec<Answer>) -> Server {
        let address = listener.local_addr().expect("address");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&seen);
        // It ends with the test process; a test's own end does not wait for it.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answers) = (Arc::clone(&log), answers.clone());
                thread::spawn(move || serve(stream, &log, &answers));
            }
        });
        Server { url: format!("http://{address}"), seen }
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("requests").clone()
    }

    /// Waits for that many requests.
    pub fn requests(&self, count: usize) -> Vec<Request> {
        wait_until(&format!("{count} requests"), PATIENCE, || self.seen().len() >= count);
        self.seen()
    }
}

fn serve(mut stream: TcpStream, log: &Mutex<Vec<Request>>, answers: &[Answer]) {
    let Some(request) = read_request(&mut stream) else { return };
    let n = {
        let mut log = log.lock().expect("requests");
        log.push(request);
        log.len() - 1
    };
    let head = match &answers[n.min(answers.len() - 1)] {
        Answer::Status(code) => format!("HTTP/1.1 {code} Answer\r\n"),
        Answer::Redirect(to) => format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\n"),
        Answer::Silence => {
            let _ = stream.read(&mut [0]); // until the other side gives up
            return;
        }
    };
    let _ = stream
        .write_all(format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
}

fn read_request(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).ok()?;
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ').map(String::from);
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(key, value)| (key.to_string(), value.to_string()))
        .collect();
    let mut request =
        Request { method: first.next()?, path: first.next()?, headers, body: Vec::new() };
    request.body = vec![0; request.header("content-length").parse().unwrap_or(0)];
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}

// ------------------------------------------------------------------------------ the harness itself

#[test]
fn the_harness_finds_and_ends_what_a_test_leaves_behind() {
    let lab = Lab::new();
    let (name, value) = lab.mark.split_once('=').expect("NAME=VALUE");
    let mut sleep = Command::new("sleep");
    let sleep = sleep.arg("7777").env(name, value).stdout(Stdio::null()).stderr(Stdio::null());
    let mut left = sleep.spawn().expect("sleep");
    let pid = left.id() as i32;
    wait_until("the process with the mark", PATIENCE, || {
        lab.processes().iter().any(|p| p.0 == pid)
    });
    assert!(alive(pid));
    lab.end_leftovers();
    left.wait().expect("wait");
    assert!(!alive(pid) && lab.processes().is_empty());
}
