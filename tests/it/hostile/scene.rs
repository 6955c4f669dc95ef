//! One scene: a daemon, a few sessions that do their deeds under it at the same moment, and others
//! beside them that must not notice. Nothing here panics over what the daemon does: what is wrong
//! is written down, for the cell or for the whole scene.
//!
//! A daemon that is deaf or never gets ready is killed and is a wrong of the scene; every wait has
//! a deadline.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use super::cells::{ALL_CLAIMS, Cell, Gates, Moment, ON_FINISH, OUTBOX};
use super::forgery::{self, Bystander};
use super::parts::*;
use crate::util::*;

/// How long an answer may take after the TTL.
const AFTER_TTL: Duration = Duration::from_secs(15);

/// What is wrong, by the name of the cell's dispatch; what nobody can be blamed for stands under
/// "".
pub type Wrongs = BTreeMap<String, Vec<String>>;

/// What a scene gives: its wrongs, and what the daemons logged if there are any.
pub struct Played {
    pub wrongs: Wrongs,
    pub log: String,
}

/// How many sessions there may be at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// One, for which another dispatch waits.
    One,
    /// One for each; and a neighbour runs from the first to the last.
    Enough,
}

struct Scene<'a> {
    lab: &'a Lab,
    cells: &'a [Cell],
    moment: Moment,
    slots: Slots,
    /// Takes the callbacks.
    receiver: Server,
    answers: RefCell<BTreeMap<String, Vec<u8>>>,
    wrongs: RefCell<Wrongs>,
}

/// Root without the right to read and enter everything: the mode of a file means something to it
/// too.
const ORDINARY: [&str; 3] = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"];

pub fn modes_matter() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        let probe = || Command::new(ORDINARY[0]).args(&ORDINARY[1..]).arg("true").output();
        !is_root() || probe().is_ok_and(|p| p.status.success())
    })
}

/// Plays cells of one moment.
pub fn play(cells: &[Cell], slots: Slots) -> Played {
    let lab = Lab::new();
    let moment = cells[0].moment;
    let (answers, wrongs) = Default::default();
    let receiver = Server::start(vec![Answer::Status(200)]);
    let scene = Scene { lab: &lab, cells, moment, slots, receiver, answers, wrongs };
    let bystander = Bystander::start();
    if scene.act(&bystander).is_none() {
        let answers = scene.answers.borrow();
        let unanswered = cells.iter().filter(|cell| !answers.contains_key(&cell.name()));
        unanswered.for_each(|cell| scene.wrong(&cell.name(), "no daemon that could answer"));
    }
    lab.end_leftovers();
    if !bystander.lives() {
        scene.wrong("", "a process that belongs to no session was ended");
    }
    let wrongs = scene.wrongs.into_inner();
    let log = if wrongs.is_empty() { String::new() } else { logs(&lab) };
    thaw(&lab.dir);
    Played { wrongs, log }
}

impl Scene<'_> {
    /// `None`: there is no daemon that gets ready.
    fn act(&self, bystander: &Bystander) -> Option<()> {
        let gates =
            ["never", "go", "neighbour", "slots"].map(|name| (lab_gate(self.lab, name), name));
        let [never, go, neighbour, slots] = gates.map(|(path, _)| path);
        let daemon = self.begin()?;
        if self.slots == Slots::Enough {
            self.lab.send(&self.lab.task("neighbour", blocked("neighbour", self.lab, &neighbour)));
            self.come("the neighbour's start", || self.marked("neighbour", "start") == 1);
        }
        let start = Instant::now();
        let gates = Gates { never, go };
        self.cells.iter().for_each(|cell| self.send(cell, bystander, &gates));
        if self.slots == Slots::One {
            self.lab.send(&self.lab.task("follower", mark(self.lab, "follower", "start")));
        }
        let (daemon, start) = self.through_the_moment(daemon, start, &gates)?;
        if self.slots == Slots::Enough {
            self.lab.send(&self.lab.task("follower", mark(self.lab, "follower", "start")));
        }
        self.wait_for_answers(start + self.ttl() + AFTER_TTL);
        self.others_went_on(&neighbour);
        self.all_slots_are_free(&slots);
        self.end(daemon);
        let daemon = self.begin()?;
        self.nothing_is_left();
        self.went_on("last");
        self.end(daemon);
        self.look_back();
        Some(())
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(self.moment.ttl_seconds())
    }

    fn slot_count(&self) -> usize {
        match self.slots {
            Slots::One => 1,
            // The neighbour, and whoever comes meanwhile.
            Slots::Enough => self.cells.len() + 2,
        }
    }

    // ------------------------------------------------------------------------------ telling wrongs

    fn wrong(&self, name: &str, what: impl Into<String>) {
        self.wrongs.borrow_mut().entry(name.into()).or_default().push(what.into());
    }

    /// How long anything may take that should happen at once. Where something is wrong already, the
    /// remaining waits are short.
    fn soon(&self) -> Instant {
        let is_good = self.wrongs.borrow().is_empty();
        Instant::now() + if is_good { PATIENCE } else { PATIENCE / 5 }
    }

    /// Waits for what must come at once, and says so if it does not.
    fn come(&self, what: &str, condition: impl FnMut() -> bool) {
        if !until(self.soon(), condition) {
            self.wrong("", format!("never came: {what}"));
        }
    }

    // -------------------------------------------------------------------------- daemons in a scene

    fn begin(&self) -> Option<Daemon> {
        let start = self.lab.daemon().set("--max-concurrent", self.slot_count());
        // A build without optimisation takes half a minute to read what may be written by default.
        let start = start.set("--drain-timeout", 1).set("--stdout-max-mb", 100);
        let is_told = self.cells.iter().any(|cell| cell.target.name == ON_FINISH);
        let tee = format!("tee -a {}", self.lab.path("told").display());
        let start = if is_told { start.set("--on-finish", tee) } else { start };
        let start = if is_root() && modes_matter() { start.under(&ORDINARY) } else { start };
        let mut daemon = start.spawn();
        let mut ended = false;
        let is_ready = until(self.soon(), || {
            ended = daemon.exited().is_some();
            ended || daemon.stderr().contains("ready")
        });
        if is_ready && !ended {
            return Some(daemon);
        }
        self.wrong("", if ended { "the daemon ended at its start" } else { "never ready" });
        daemon.crash();
        None
    }

    /// Ends a daemon. It exits with an error only if it had to end sessions.
    fn end(&self, mut daemon: Daemon) {
        daemon.signal(Signal::TERM);
        if until(self.soon(), || daemon.exited().is_some()) {
            let status = daemon.exited().expect("it has ended");
            let ends_sessions = self.moment == Moment::Shutdown && status.code() == Some(1);
            if !status.success() && !ends_sessions {
                self.wrong("", format!("the daemon's end: {status}"));
            }
            daemon.left();
        } else {
            self.wrong("", "the daemon is deaf to SIGTERM");
            daemon.crash();
        }
    }

    /// Kills the daemon where the moment demands it. Gives the daemon that goes on, and since when.
    fn through_the_moment(
        &self,
        daemon: Daemon,
        start: Instant,
        gates: &Gates,
    ) -> Option<(Daemon, Instant)> {
        let until_all_did = start + self.ttl() + AFTER_TTL;
        for cell in self.cells {
            if !until(until_all_did, || self.marked(&cell.name(), "deed") > 0) {
                self.wrong(&cell.name(), "it never came to its deed");
            }
        }
        match self.moment {
            Moment::Killed | Moment::Unseen => daemon.crash(),
            Moment::Shutdown => self.end(daemon),
            Moment::Cancelled => {
                let cancel = |cell: &Cell| format!("cancel-{}", id(&cell.name()));
                self.cells.iter().for_each(|cell| self.lab.place(&cancel(cell), b""));
                return Some((daemon, Instant::now()));
            }
            _ => return Some((daemon, start)),
        }
        if self.moment == Moment::Unseen {
            let gone = |cell: &Cell| self.processes_of(&cell.name()).is_empty();
            self.come("the sessions' end", || {
                open_for_a_moment(&gates.go);
                self.cells.iter().all(gone)
            });
        }
        let again = Instant::now();
        Some((self.begin()?, again))
    }

    // ------------------------------------------------------------------------------ its dispatches

    fn send(&self, cell: &Cell, bystander: &Bystander, gates: &Gates) {
        let (lab, name) = (self.lab, cell.name());
        let with = forgery::prepare(lab, cell, bystander);
        let path = cell.target.path(lab, &id(&name));
        let orders = cell.orders(&path, &with, &marks_of(lab, &name), gates);
        let dispatch = lab.task(&name, orders).with("ttl_seconds", self.moment.ttl_seconds());
        lab.send(&match cell.target.name {
            OUTBOX => dispatch.with("callback_url", self.receiver.url.as_str()),
            _ => dispatch,
        });
    }

    fn marked(&self, name: &str, word: &str) -> usize {
        marks(&marks_of(self.lab, name)).iter().filter(|(marked, ..)| marked == word).count()
    }

    fn processes_of(&self, name: &str) -> Vec<String> {
        let wanted = format!("GSTACK_DISPATCH_ID={}", id(name)).into_bytes();
        let is_its = |pid: i32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|b| *b == 0).any(|variable| variable == wanted)
        };
        let all = self.lab.processes().into_iter();
        // Who is told of its answer is no process of the session.
        let is_told = |line: &str| line.contains("tee -a ");
        let its = all.filter(|(pid, line)| is_its(*pid) && !is_told(line));
        its.map(|(_, line)| line).collect()
    }

    /// The answer to a cell, if there is one. What the session put there is none, unless the next
    /// daemon has believed it and is done with it.
    fn answer(&self, cell: &Cell) -> Option<Vec<u8>> {
        let name = cell.name();
        let bytes = plain_file(&self.lab.report_path(&name))?;
        let report: Value = serde_json::from_slice(&bytes).ok()?;
        let is_done = || fs::symlink_metadata(self.lab.active(&name)).is_err();
        let is_forged = report["result"] == forgery::WORD;
        (!is_forged || cell.may_deceive() && is_done()).then_some(bytes)
    }

    fn wait_for_answers(&self, deadline: Instant) {
        let mut waiting: Vec<&Cell> = self.cells.iter().collect();
        until(deadline, || {
            waiting.retain(|cell| match self.answer(cell) {
                Some(bytes) => {
                    self.check_answer(cell, &bytes);
                    self.answers.borrow_mut().insert(cell.name(), bytes);
                    false
                }
                None => true,
            });
            waiting.is_empty()
        });
        for cell in waiting {
            let there = plain_file(&self.lab.report_path(&cell.name())).is_some();
            let what = if there { "the session's own answer stands" } else { "no answer" };
            self.wrong(&cell.name(), what);
        }
    }

    fn check_answer(&self, cell: &Cell, bytes: &[u8]) {
        let name = cell.name();
        let left = self.processes_of(&name);
        if !left.is_empty() {
            self.wrong(&name, format!("alive at its answer: {left:?}"));
        }
        let report: Value = serde_json::from_slice(bytes).expect("it was JSON a moment ago");
        if catch_unwind(AssertUnwindSafe(|| check_report(&report, &id(&name)))).is_err() {
            self.wrong(&name, format!("no good report: {report}"));
        }
        let (status, starts) = (&report["status"], self.marked(&name, "start"));
        if !cell.may_deceive() && !cell.statuses(starts).iter().any(|wanted| status == wanted) {
            let of_type = report["error_type"].as_str().unwrap_or_default();
            let error = report["error"].as_str().unwrap_or_default();
            self.wrong(&name, format!("{status} after {starts} starts ({of_type}: {error})"));
        }
    }

    /// Another dispatch gets its report.
    fn went_on(&self, name: &str) {
        let wanted = if name == "neighbour" { self.neighbours_status() } else { "completed" };
        if name == "last" {
            self.lab.send(&self.lab.task(name, mark(self.lab, name, "start")));
        }
        let path = self.lab.report_path(name);
        self.come(&format!("the report of the {name}"), || path.exists());
        let report = plain_file(&path).unwrap_or_default();
        let report: Value = serde_json::from_slice(&report).unwrap_or_default();
        let starts = self.marked(name, "start");
        if report["status"] != wanted || starts != 1 {
            self.wrong("", format!("the {name} started {starts} times: {report}"));
        }
    }

    /// The shutdown ends it too. If its claim goes with the daemon that knew it, it is interrupted.
    fn neighbours_status(&self) -> &'static str {
        let loses_claim = self.cells.iter().any(|cell| *cell.target == ALL_CLAIMS);
        match self.moment {
            Moment::Shutdown => "cancelled",
            Moment::Killed | Moment::Unseen if loses_claim => "failed",
            _ => "completed",
        }
    }

    fn others_went_on(&self, gate: &Path) {
        self.went_on("follower");
        if self.slots == Slots::Enough {
            let path = self.lab.report_path("neighbour");
            self.come("the neighbour's end", || {
                open_for_a_moment(gate);
                path.exists()
            });
            self.went_on("neighbour");
        }
    }

    /// As many sessions as there may be run at the same time.
    fn all_slots_are_free(&self, gate: &Path) {
        let names: Vec<_> = (0..self.slot_count()).map(|n| format!("slot-{n}")).collect();
        for name in &names {
            self.lab.send(&self.lab.task(name, blocked(name, self.lab, gate)));
        }
        let run = || names.iter().filter(|name| self.marked(name, "start") > 0).count();
        if !until(self.soon(), || run() == names.len()) {
            self.wrong("", format!("{} of {} slots are free", run(), names.len()));
        }
        let is_answered = |name: &String| self.lab.report_path(name).exists();
        self.come("the answers of those in the slots", || {
            open_for_a_moment(gate);
            names.iter().all(is_answered)
        });
    }

    // ---------------------------------------------------------------------------------- at the end

    /// With a daemon that has just started.
    fn nothing_is_left(&self) {
        let deadline = self.soon();
        for cell in self.cells {
            let (name, dropped) = (cell.name(), self.lab.dropped(&cell.name()));
            let is_gone = |path: &Path| fs::symlink_metadata(path).is_err();
            if !until(deadline, || is_gone(&self.lab.active(&name))) {
                self.wrong(&name, "it is left in active/");
            } else if !until(deadline, || is_gone(&dropped)) {
                self.wrong(&name, "its inbox file is left");
            }
        }
    }

    /// When the last daemon has ended.
    fn look_back(&self) {
        thaw(&self.lab.ours());
        for cell in self.cells {
            let name = cell.name();
            let starts = self.marked(&name, "start");
            if starts == 0 || starts > cell.starts_max() {
                self.wrong(&name, format!("it ran {starts} times"));
            }
            if self.marked(&name, forgery::WORD) > 0 {
                self.wrong(&name, "a forged dispatch ran");
            }
            if let Some(harm) = forgery::harm_to_bait(self.lab, cell) {
                self.wrong(&name, harm);
            }
            let left = self.processes_of(&name);
            if !left.is_empty() {
                self.wrong(&name, format!("left running: {left:?}"));
            }
            if !self.is_told(cell) {
                self.wrong(&name, "its answer was told to nobody");
            }
            let answers = self.answers.borrow();
            let Some(answer) = answers.get(&name) else { continue };
            if plain_file(&self.lab.report_path(&name)).as_ref() != Some(answer) {
                self.wrong(&name, "its answer was replaced");
            }
            if plain_file(&self.lab.finished(&name).join("report.json")).as_ref() != Some(answer) {
                self.wrong(&name, "its answer is not in finished/");
            }
        }
    }

    /// Whether those who are to be told of its answer were.
    fn is_told(&self, cell: &Cell) -> bool {
        let id = id(&cell.name());
        match cell.target.name {
            OUTBOX => self.receiver.seen().iter().any(|told| told.json()["task_id"] == *id),
            ON_FINISH => {
                let told = fs::read_to_string(self.lab.path("told")).unwrap_or_default();
                told.contains(&format!("\"dispatch_id\": \"{id}\""))
            }
            _ => true,
        }
    }
}
