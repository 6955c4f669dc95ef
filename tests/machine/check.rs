//! What must hold. It is told of everything that the outside could see, when it happens, and never
//! forgets it; the daemon's own idea of things it takes only to know what was running or waiting in
//! its hands.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use gstack_dispatch_daemon::pure::attempt::limits::StopCause;
use gstack_dispatch_daemon::pure::attempt::retry::WAITS_MAX;
use gstack_dispatch_daemon::pure::report::ErrorType;
use gstack_dispatch_daemon::pure::schedule::hold::{HoldKind, Holds};

use crate::disk::Disk;
use crate::records::{Body, How, Record, Report, Start};
use crate::world::{Session, Settings, UNTRUSTED};

const NOTES_MAX: usize = 40;
const RETRIES_MAX: usize = 1;
const CLOCK_BACK_MS_MAX: i64 = 60_000;

#[derive(Default)]
struct Dispatch {
    /// The place in the order of acceptances.
    order: u64,
    started: Vec<(u32, How, bool)>,
    stopped: Option<StopCause>,
    committed: Option<u64>,
    published: Option<Report>,
}

struct Waiting {
    lane: String,
    agent: &'static str,
}

pub struct Truth {
    pub violations: Vec<String>,
    notes: VecDeque<String>,
    max_concurrent: usize,
    per_lane_max: usize,
    dispatches: BTreeMap<u32, Dispatch>,
    /// Of each file that was dropped: whose id it has, and whether its sender took it back.
    files: BTreeMap<u64, (u32, bool)>,
    acceptances: u64,
    /// Closed windows that the daemon has put on record: from when, until when.
    closed: BTreeMap<&'static str, (i64, i64)>,
    met: HashSet<(String, HoldKind)>,
    /// In this daemon's queue, and in somebody's hands with their lanes.
    waiting: BTreeMap<u32, Waiting>,
    in_hand: BTreeMap<u32, String>,
    /// What a person has said, by id, and to which bytes they ever said yes.
    said: BTreeSet<u32>,
    allowed: BTreeSet<u64>,
}

impl Truth {
    pub fn new(settings: &Settings) -> Truth {
        let per_lane_max = settings.per_lane_max;
        Truth {
            violations: Vec::new(),
            notes: VecDeque::new(),
            max_concurrent: settings.max_concurrent,
            per_lane_max: if per_lane_max == 0 { usize::MAX } else { per_lane_max },
            dispatches: BTreeMap::new(),
            files: BTreeMap::new(),
            acceptances: 0,
            closed: BTreeMap::new(),
            met: HashSet::new(),
            waiting: BTreeMap::new(),
            in_hand: BTreeMap::new(),
            said: BTreeSet::new(),
            allowed: BTreeSet::new(),
        }
    }

    pub fn note(&mut self, note: impl Into<String>) {
        if self.violations.is_empty() {
            self.notes.push_back(note.into());
            if self.notes.len() > NOTES_MAX {
                self.notes.pop_front();
            }
        }
    }

    pub fn wrong(&mut self, what: String) {
        self.note(format!("VIOLATION: {what}"));
        self.violations.push(what);
    }

    pub fn told(&self) -> String {
        self.notes.iter().map(|note| format!("  {note}\n")).collect()
    }

    pub fn says(&mut self, word: &str, id: u32, uid: u64) {
        self.note(format!("{word} {id}: {uid}"));
        self.said.insert(id);
        if word == "approve" {
            self.allowed.insert(uid);
        }
    }

    /// The daemon has told that it heeds it not.
    pub fn unsaid(&mut self, id: u32) {
        self.said.remove(&id);
    }

    pub fn is_said(&self, id: u32) -> bool {
        self.said.contains(&id)
    }

    pub fn dropped(&mut self, body: &Body) {
        self.files.insert(body.uid, (body.id, false));
    }

    pub fn withdrawn(&mut self, uid: u64) {
        self.files.entry(uid).and_modify(|file| file.1 = true);
    }

    /// The daemon takes it for withdrawn.
    pub fn withdraws(&mut self, uid: u64, disk: &Disk) {
        if disk.has_in_inbox(uid) {
            self.wrong(format!("{uid} is withdrawn, and its file lies there"));
        }
        if self.files.get(&uid).is_some_and(|file| !file.1) {
            self.wrong(format!("{uid} is withdrawn, and nobody took it back"));
        }
    }

    /// Something else lies where it was accepted, and is about to be judged: that took nothing
    /// back.
    pub fn is_overwritten(&mut self, uid: u64) {
        self.files.entry(uid).and_modify(|file| file.1 = false);
    }

    pub fn accepts(&mut self, id: u32) {
        self.acceptances += 1;
        self.dispatches.entry(id).or_default().order = self.acceptances;
    }

    pub fn waits(&mut self, id: u32, lane: &str, agent: &'static str) {
        self.in_hand.remove(&id);
        self.waiting.insert(id, Waiting { lane: lane.into(), agent });
    }

    pub fn forget_daemon(&mut self) {
        self.waiting.clear();
        self.in_hand.clear();
    }

    pub fn is_in_hand(&mut self, id: u32, lane: &str) {
        self.waiting.remove(&id);
        self.in_hand.insert(id, lane.into());
    }

    pub fn is_gone(&mut self, id: u32) {
        self.waiting.remove(&id);
        self.in_hand.remove(&id);
    }

    fn has_room(&self, lane: &str) -> bool {
        self.in_hand.values().filter(|other| *other == lane).count() < self.per_lane_max
    }

    /// The queue gave this one: nobody who came before it could have gone.
    pub fn is_taken(&mut self, id: u32, holds: &Holds, now_ms: i64) {
        let order = |id: &u32| self.dispatches.get(id).map_or(0, |dispatch| dispatch.order);
        let Some(taken) = self.waiting.get(&id) else {
            return self.wrong(format!("{id} is taken and does not wait"));
        };
        let is_held = |waiting: &Waiting| {
            holds.list().iter().any(|hold| {
                let is_there = hold.project.as_ref().is_none_or(|p| p.dir == waiting.lane);
                let is_shut = hold.probe().is_some() || now_ms < hold.until_ms;
                let clock_was_put_back =
                    hold.probe().is_none() && now_ms < hold.since_ms - CLOCK_BACK_MS_MAX;
                hold.agent == waiting.agent && is_there && is_shut && !clock_was_put_back
            })
        };
        let mut wrong = Vec::new();
        if is_held(taken) || !self.has_room(&taken.lane) {
            wrong.push(format!("{id} is taken and may not run"));
        }
        if self.in_hand.len() >= self.max_concurrent {
            wrong.push(format!("{id} is taken, and all hands are full"));
        }
        let overtaken = self.waiting.iter().find(|(other, waiting)| {
            order(other) < order(&id) && self.has_room(&waiting.lane) && !is_held(waiting)
        });
        wrong.extend(overtaken.map(|(other, _)| format!("{id} overtakes {other}")));
        for hold in holds.list() {
            if !self.met.contains(&(hold.agent.clone(), hold.kind)) {
                wrong.push(format!("nobody met what holds {}: {:?}", hold.agent, hold.kind));
            }
        }
        let (lane, agent) = (taken.lane.clone(), taken.agent);
        let is_probe = holds.list().iter().any(|hold| hold.covers(agent, &lane));
        if self.closed.contains_key(agent) && !is_probe {
            wrong.push(format!("{agent}'s window is closed, and {id} starts"));
        }
        wrong.into_iter().for_each(|what| self.wrong(what));
        self.is_in_hand(id, &lane);
    }

    pub fn closes(&mut self, agent: &'static str, now_ms: i64, until_ms: i64) {
        self.closed.insert(agent, (now_ms, until_ms));
    }

    /// What is over, or was met at a time that has not come yet, holds nobody.
    pub fn clock_is(&mut self, now_ms: i64) {
        self.closed.retain(|_, (since_ms, until_ms)| {
            (*since_ms - CLOCK_BACK_MS_MAX..*until_ms).contains(&now_ms)
        });
    }

    pub fn opens(&mut self, agent: &str) {
        self.closed.remove(agent);
    }

    /// A process comes to be.
    pub fn starts(&mut self, start: &Start, how: How, disk: &Disk, sessions: &[Session]) {
        let (id, number) = (start.body.id, start.record.attempt);
        let path = format!("active/{id}/attempt-{number}/attempt.json");
        let mut wrong = Vec::new();
        if disk.durable(&path) != Some(&Record::Start(start.clone())) {
            wrong.push(format!("{id}: attempt {number} starts without a durable record"));
        }
        if start.body.lane == UNTRUSTED && !self.allowed.contains(&start.body.uid) {
            wrong.push(format!("{id} is started, and nobody has allowed that"));
        }
        if self.files.get(&start.body.uid).is_none_or(|file| file.0 != id) {
            wrong.push(format!("{id}: nobody dropped what is started"));
        }
        let alive = || sessions.iter().filter(|session| session.is_alive);
        if alive().any(|session| session.id == id) {
            wrong.push(format!("{id}: two sessions at once"));
        }
        if alive().count() >= self.max_concurrent {
            wrong.push(format!("{id}: more than {} sessions", self.max_concurrent));
        }
        if alive().filter(|s| s.lane == start.body.lane).count() >= self.per_lane_max {
            wrong.push(format!("{id}: its project is busy"));
        }
        match how {
            How::Usage(_) => {
                self.met.insert((start.body.agent.into(), HoldKind::UsageLimit));
            }
            How::Auth => {
                self.met.insert((start.body.agent.into(), HoldKind::Auth));
            }
            _ => {}
        }
        let dispatch = self.dispatches.entry(id).or_default();
        if dispatch.started.iter().any(|(earlier, ..)| *earlier >= number) {
            wrong.push(format!("{id}: attempt {number} is started again"));
        }
        if dispatch.committed.is_some() {
            wrong.push(format!("{id} is started after its report"));
        }
        if let Some(cause) = dispatch.stopped {
            wrong.push(format!("{id} is started after it was stopped: {cause:?}"));
        }
        dispatch.started.push((number, how, start.record.probe));
        // Each attempt after another is a retry, a wait for a limit, or did not count.
        let before = &dispatch.started[..dispatch.started.len() - 1];
        let waits = before.iter().filter(|(_, how, _)| matches!(how, How::Usage(_))).count();
        let free = |how: How, probe: bool| how == How::Gone || (how == How::Auth && probe);
        let free = before.iter().filter(|(_, how, probe)| free(*how, *probe)).count();
        if before.len() - waits - free > RETRIES_MAX
            || before.len() - free > RETRIES_MAX + WAITS_MAX as usize
        {
            wrong.push(format!("{id} is tried too often: {before:?}"));
        }
        wrong.into_iter().for_each(|what| self.wrong(what));
    }

    /// Our first signal.
    pub fn stops(&mut self, id: u32, cause: StopCause) {
        self.dispatches.entry(id).or_default().stopped.get_or_insert(cause);
    }

    pub fn commits(&mut self, report: &Report, sessions: &[Session]) {
        let id = report.id;
        if sessions.iter().any(|session| session.id == id && session.is_there()) {
            self.wrong(format!("{id} has its report, and something of it still runs"));
        }
        self.dispatches.entry(id).or_default().committed = Some(report.nonce);
        self.judge(report);
    }

    fn judge(&mut self, report: &Report) {
        let id = report.id;
        let dispatch = self.dispatches.entry(id).or_default();
        let started: Vec<u32> = dispatch.started.iter().map(|(number, ..)| *number).collect();
        let mut wrong = Vec::new();
        if !started.iter().all(|number| report.attempts.contains(number)) {
            wrong.push(format!("{id} ran {started:?}, its report says {:?}", report.attempts));
        }
        let stopped = dispatch.stopped.map(|cause| match cause {
            StopCause::Ttl => ErrorType::Timeout,
            _ => ErrorType::Cancelled,
        });
        if stopped.is_some() && report.error_type != stopped {
            wrong.push(format!("{id} was stopped ({stopped:?}): {report:?}"));
        }
        if report.retries as usize > RETRIES_MAX {
            wrong.push(format!("{id} has {} retries", report.retries));
        }
        wrong.into_iter().for_each(|what| self.wrong(what));
    }

    /// The sender can read it from now on.
    pub fn publishes(&mut self, report: &Report) {
        let id = report.id;
        let dispatch = self.dispatches.entry(id).or_default();
        match &dispatch.published {
            Some(first) if first != report => {
                let what = format!("{id} has two reports: {first:?} and {report:?}");
                self.wrong(what);
            }
            Some(_) => {}
            None => dispatch.published = Some(report.clone()),
        }
    }

    /// The daemon removes an inbox file. `is_second`: one with bytes that were known.
    pub fn removes(&mut self, body: &Body, is_second: bool, disk: &Disk) {
        let answer = disk.durable(&format!("completed/{}", body.id));
        let is_answered = matches!(answer, Some(Record::Report(report)) if report.uid == body.uid);
        // Or it came twice, and its dispatch is accepted for good.
        let dir = format!("active/{}", body.id);
        let accepted = disk.durable(&format!("{dir}/accepted.json"));
        let is_accepted = matches!(accepted, Some(Record::Accepted(a)) if a.uid == body.uid);
        let is_started = disk.list(&dir).iter().any(|name| {
            let start = disk.durable(&format!("{dir}/{name}/attempt.json"));
            matches!(start, Some(Record::Start(start)) if start.body.uid == body.uid)
        });
        if !is_answered && (!is_second || !(is_accepted || is_started)) {
            self.wrong(format!("{body:?} is removed, and not answered"));
        }
    }

    /// A daemon has taken up what the last one left.
    pub fn is_recovered(&mut self, sessions: &[Session]) {
        for session in sessions.iter().filter(|session| session.is_alive) {
            if !self.in_hand.contains_key(&session.id) {
                self.wrong(format!("{} runs, and nobody knows", session.id));
            }
        }
    }

    /// Nothing is left to do.
    pub fn is_over(&mut self, disk: &Disk, sessions: &[Session]) {
        let mut wrong: Vec<String> = sessions
            .iter()
            .filter(|s| s.is_there())
            .map(|s| format!("something of {} runs", s.id))
            .collect();
        for folder in ["active", "pending", "inbox"] {
            let left = disk.list(folder).into_iter().filter(|name| !name.starts_with("cancel-"));
            wrong.extend(left.map(|name| format!("{folder}/{name} is left")));
        }
        let kept: BTreeSet<u64> = disk
            .list("rejected")
            .iter()
            .flat_map(|dir| {
                disk.list(&format!("rejected/{dir}")).into_iter().map(move |n| (dir, n))
            })
            .filter_map(|(dir, name)| match disk.read(&format!("rejected/{dir}/{name}")) {
                Some(Record::Dispatch(body)) => Some(body.uid),
                _ => None,
            })
            .collect();
        for (uid, (id, is_withdrawn)) in &self.files {
            let report = disk.read(&format!("completed/{id}"));
            let is_answered = matches!(report, Some(Record::Report(r)) if r.uid == *uid);
            if !is_answered && !is_withdrawn && !kept.contains(uid) {
                wrong.push(format!("the file {uid} of {id} is lost"));
            }
        }
        for (id, dispatch) in &self.dispatches {
            let report = disk.read(&format!("completed/{id}"));
            let is_same = match (report, &dispatch.published) {
                (Some(Record::Report(now)), Some(first)) => now == first,
                (None, None) => dispatch.started.is_empty(),
                _ => false,
            };
            if !is_same {
                wrong.push(format!("{id} has {report:?}, had {:?}", dispatch.published));
            }
        }
        wrong.into_iter().for_each(|what| self.wrong(what));
    }
}
