//! `status`, `list` and `show` on a directory with many dispatches that are over, while a daemon
//! runs there, as a person waits for them: the whole process, from its start to its end.
//!
//! One dispatch is really run, and what it left is copied under other ids, so that the folders and
//! the log are as they are in use. `pueue status` beside them has fewer tasks, since each must be
//! added alone; where it is not installed, that is noted.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use crate::daemon::{Served, ms, rest, wait_until};
use crate::ending;
use crate::lab::{Home, Lab, PATIENCE, id_of};
use crate::stats::Samples;
use crate::table::{Row, Table, Target, Unit};
use crate::watch::{ENDED, STARTED, make_fifo};

const MOST_MS: f64 = 20.0;
const RUNS: usize = 20;
const FINISHED: usize = 10_000;
/// The numbers of the copies begin here.
const FIRST_COPY: usize = 100_000;
const SESSIONS: usize = 2;
const QUEUED: usize = 3;
const PUEUE_TASKS: usize = 200;

pub fn run(lab: &Lab, table: &mut Table) {
    match ours(lab, table) {
        Ok(()) => {}
        Err(e) => table.note(format!("commands: {e}")),
    }
    match Pueue::installed(lab) {
        None => table.note("pueue is not in PATH: `pueue status` was not measured"),
        Some(Err(e)) => table.note(format!("pueue: {e}")),
        Some(Ok(pueue)) => match measured(|_| pueue.command(&["status"])) {
            Err(e) => table.note(format!("pueue: {e}")),
            Ok(samples) => {
                let label = format!("pueue status, {PUEUE_TASKS} finished, p50");
                let row = Row::new("commands.pueue.p50", label, Unit::Ms);
                table.add(row.against(samples.median()));
            }
        },
    }
}

fn ours(lab: &Lab, table: &mut Table) -> Result<(), String> {
    let home = used_home(lab)?;
    let hold = home.dir.join("hold");
    make_fifo(&hold);
    let hold_at = [("BENCH_HOLD", hold.as_path())];
    let mut served = Served::start(lab, &lab.sides[0], home, SESSIONS, &[], &hold_at)?;
    // Its number was used.
    served.stage_next();
    for _ in 0..SESSIONS + QUEUED {
        let number = served.stage_next();
        served.home.drop_staged(number);
    }
    for _ in 0..SESSIONS {
        served.fifo.wait_for(STARTED, PATIENCE)?;
    }
    let copies = |turn: usize| id_of(FIRST_COPY + turn * (FINISHED / RUNS) % FINISHED);
    let open = id_of(1);
    let cases: [(&str, &str, &Words<'_>); 4] = [
        ("status", "status", &|_| words(&["status"])),
        ("list", "list", &|_| words(&["list"])),
        ("show", "show of one that is over", &|turn| words(&["show", &copies(turn)])),
        ("show_open", "show of one that runs", &|_| words(&["show", &open])),
    ];
    for (key, label, arguments) in cases {
        let command = |turn| at(lab, &served.home, &arguments(turn));
        add(table, key, &format!("{label}, {FINISHED} finished"), &measured(command)?, true);
    }
    // As after a log that was removed: the folders alone tell what ended last.
    fs::remove_file(served.home.audit()).map_err(|e| format!("remove the audit log: {e}"))?;
    let command = |_| at(lab, &served.home, &words(&["list"]));
    add(table, "list_no_log", "list, the audit log gone", &measured(command)?, false);
    let gate = OpenOptions::new().read(true).write(true).open(&hold);
    let mut gate = gate.map_err(|e| format!("open the FIFO: {e}"))?;
    let lines = "go\n".repeat(SESSIONS + QUEUED);
    gate.write_all(lines.as_bytes()).map_err(|e| format!("write to the FIFO: {e}"))?;
    for _ in 0..SESSIONS + QUEUED {
        served.fifo.wait_for(ENDED, PATIENCE)?;
    }
    Ok(())
}

/// What is typed in that turn.
type Words<'a> = dyn Fn(usize) -> Vec<String> + 'a;

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| word.to_string()).collect()
}

fn add(table: &mut Table, key: &str, label: &str, samples: &Samples, has_target: bool) {
    for (name, percent) in [("p50", 50.0), ("p95", 95.0)] {
        let row = Row::new(format!("commands.{key}.{name}"), format!("{label}, {name}"), Unit::Ms);
        let row = row.ours(samples.percentile(percent));
        let is_held = has_target && percent == 50.0;
        table.add(if is_held { row.target(Target::AtMost(MOST_MS)) } else { row });
    }
}

fn at(lab: &Lab, home: &Home, words: &[String]) -> Command {
    let mut command = Command::new(crate::lab::OURS);
    lab.equip(&mut command);
    command.args(words).env("GSTACK_HOME", &home.dir);
    command
}

/// How long such a process takes, in milliseconds, its output taken through a pipe. It must
/// succeed and say something.
fn measured(command: impl Fn(usize) -> Command) -> Result<Samples, String> {
    let mut samples = Samples::default();
    // The first ones fill the caches.
    for turn in 0..RUNS + 2 {
        rest();
        let mut command = command(turn % RUNS);
        let began = Instant::now();
        let out = command.output().map_err(|e| format!("{command:?}: {e}"))?;
        let took = ms(began, Instant::now());
        if !out.status.success() || out.stdout.is_empty() {
            return Err(format!("{command:?}: {out:?}"));
        }
        if turn >= 2 {
            samples.push(took);
        }
    }
    Ok(samples)
}

/// A directory in which many dispatches are over.
fn used_home(lab: &Lab) -> Result<Home, String> {
    let mut served = Served::start(lab, &lab.sides[0], lab.home(), 1, &[], &[])?;
    served.dispatch(PATIENCE)?;
    let Served { daemon, home, .. } = served;
    drop(daemon);
    let first = id_of(0);
    let log = fs::read_to_string(home.audit()).map_err(|e| format!("read the audit log: {e}"))?;
    let of_it: Vec<&str> = log.lines().filter(|line| line.contains(&first)).collect();
    let over = home.dir.join("dispatchd/finished");
    let changed = fs::metadata(&over).and_then(|meta| meta.modified());
    let changed = changed.map_err(|e| format!("look at {}: {e}", over.display()))?;
    let mut all = log.clone();
    for number in FIRST_COPY..FIRST_COPY + FINISHED {
        let id = id_of(number);
        copy(&over.join(&first), &over.join(&id), &first, &id)?;
        let report = |id: &str| home.completed().join(format!("{id}.json"));
        copy(&report(&first), &report(&id), &first, &id)?;
        all.extend(of_it.iter().map(|line| line.replace(&first, &id) + "\n"));
    }
    fs::write(home.audit(), all).map_err(|e| format!("write the audit log: {e}"))?;
    // The newest line and the newest folder are of the same moment, as they are in use.
    let folder = File::open(&over).and_then(|folder| folder.set_modified(changed));
    folder.map_err(|e| format!("date {}: {e}", over.display()))?;
    let fifo = home.dir.join("fifo");
    fs::remove_file(&fifo).map_err(|e| format!("remove {}: {e}", fifo.display()))?;
    rustix::fs::sync();
    Ok(home)
}

/// A file or a folder with all that is in it, in which another id stands.
fn copy(from: &Path, to: &Path, old: &str, new: &str) -> Result<(), String> {
    let failed = |e: std::io::Error| format!("copy {}: {e}", from.display());
    if !from.is_dir() {
        let text = fs::read_to_string(from).map_err(failed)?;
        return fs::write(to, text.replace(old, new)).map_err(failed);
    }
    fs::create_dir(to).map_err(failed)?;
    for entry in fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        copy(&entry.path(), &to.join(entry.file_name()), old, new)?;
    }
    Ok(())
}

/// Its daemon with a configuration of its own.
struct Pueue<'l> {
    lab: &'l Lab,
    daemon: Child,
}

impl<'l> Pueue<'l> {
    fn installed(lab: &'l Lab) -> Option<Result<Pueue<'l>, String>> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let has = |name: &str| std::env::split_paths(&paths).any(|dir| dir.join(name).is_file());
        (has("pueue") && has("pueued")).then(|| Pueue::start(lab))
    }

    fn start(lab: &'l Lab) -> Result<Pueue<'l>, String> {
        let dir = lab.dir.join("pueue");
        fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
        let at = dir.display();
        let config = format!(
            "client: {{}}\ndaemon:\n  default_parallel_tasks: 4\nshared:\n  \
             pueue_directory: {at}\n  runtime_directory: {at}\n  use_unix_socket: true\n"
        );
        fs::write(dir.join("pueue.yml"), config).map_err(|e| e.to_string())?;
        let mut command = Pueue::program(lab, "pueued");
        let daemon = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let daemon = daemon.map_err(|e| e.to_string())?;
        ending::remember(daemon.id());
        let pueue = Pueue { lab, daemon };
        let asked = |words: &[&str]| {
            let out = pueue.command(words).output().ok().filter(|out| out.status.success());
            out.map(|out| String::from_utf8_lossy(&out.stdout).into_owned())
        };
        wait_until("a pueued that answers", PATIENCE, || asked(&["status"]).is_some())?;
        for _ in 0..PUEUE_TASKS {
            asked(&["add", "--", "true"]).ok_or("a task was not added")?;
        }
        let is_over = || asked(&["status"]).is_some_and(|all| !all.contains("Running"));
        wait_until("the end of its tasks", PATIENCE, is_over)?;
        Ok(pueue)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Pueue::program(self.lab, "pueue");
        command.args(words);
        command
    }

    fn program(lab: &Lab, name: &str) -> Command {
        let mut command = Command::new(name);
        lab.equip(&mut command);
        command.arg("--config").arg(lab.dir.join("pueue/pueue.yml"));
        command
    }
}

impl Drop for Pueue<'_> {
    fn drop(&mut self) {
        let _ = self.command(&["shutdown"]).output();
        ending::kill(self.daemon.id());
        let _ = self.daemon.wait();
        ending::forget(self.daemon.id());
    }
}
