//! All that is not the daemon: senders with their files, agents that end in every way, two clocks,
//! boots; and the way to the disk, on which each single effect may be the daemon's last, and in
//! each of which somebody else may do something.

use gstack_dispatch_daemon::pure::attempt::record::Moment;

use crate::check::Truth;
use crate::disk::{Disk, Id};
use crate::pool::Random;
use crate::records::{Body, How, Record, Start};

/// The project that nobody trusts.
pub const UNTRUSTED: &str = "/d";
const LANES: [&str; 4] = ["/a", "/b", "/c", UNTRUSTED];
const AGENTS: [&str; 2] = ["claude", "codex"];
const HOUR_MS: i64 = 3_600_000;
const SESSION_MS_MAX: u64 = 200_000;
/// Files that are there before senders wait.
const INBOX_MAX: usize = 12;

/// Why an effect did not happen.
#[derive(Debug)]
pub enum Fail {
    /// The daemon is dead.
    Died,
    /// The disk or the machine refuses.
    Error,
}

pub type Result<T> = std::result::Result<T, Fail>;

#[derive(Clone, Copy, PartialEq)]
pub enum Durable {
    Yes,
    FileOnly,
    AfterRename,
    No,
}

macro_rules! safeguards {
    ($($name:ident),* $(,)?) => {
        /// A safeguard that is left out, to see that the check notices.
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum Without {
            Nothing,
            $($name),*
        }

        pub const SAFEGUARDS: &[Without] = &[$(Without::$name),*];
    };
}

safeguards! {
    SyncOfAttempt,
    SyncOfAttemptFolder,
    SyncOfClaimFolder,
    SyncOfActive,
    SyncOfEnd,
    SyncOfReport,
    SyncOfCopyBeforeReport,
    SyncBeforeSecondGoes,
    SyncOfCommittedAgain,
    SyncOfPublished,
    SyncOfStop,
    SyncOfFoundAttempt,
    CommitBeforePublish,
    PublishBeforeRemoval,
    Digest,
    KnownIds,
    RecoveredSeq,
    Stop,
    StopBeforeSignal,
    Sweep,
    TakingUp,
    Occupied,
    CountOfReadings,
    CountOfRetries,
    SavedHolds,
    LookAfterMove,
    Detached,
    SyncOfDetached,
    Gate,
    SyncOfPending,
    ApprovedBytes,
    Approval,
    SyncOfApproval,
    SyncOfFoundApproval,
}

pub struct Settings {
    pub max_concurrent: usize,
    pub per_lane_max: usize,
    pub retry_interrupted: bool,
    pub without: Without,
}

/// An agent, and a child of its that may outlive it.
pub struct Session {
    pub id: u32,
    pub lane: &'static str,
    pub token: u64,
    pub how: How,
    pub is_alive: bool,
    pub has_child: bool,
    ends_ms: i64,
    stdout: Id,
}

impl Session {
    pub fn is_there(&self) -> bool {
        self.is_alive || self.has_child
    }
}

pub struct World {
    pub disk: Disk,
    pub random: Random,
    pub truth: Truth,
    pub settings: Settings,
    pub wall_ms: i64,
    pub monotonic_ms: i64,
    pub boot: u64,
    pub sessions: Vec<Session>,
    /// Nothing goes wrong any more, and nobody drops anything.
    pub is_calm: bool,
    /// After so many effects the daemon dies.
    pub fuse: Option<u64>,
    bodies: Vec<Body>,
    numbers: u64,
}

impl World {
    pub fn new(seed: u64, without: Without) -> World {
        let mut random = Random::from(seed);
        let settings = Settings {
            max_concurrent: 1 + random.below(3) as usize,
            per_lane_max: [1, 1, 2, 0][random.below(4) as usize],
            retry_interrupted: random.below(2) == 0,
            without,
        };
        let folders = [
            "active",
            "started",
            "finished",
            "completed",
            "inbox",
            "rejected",
            "pending",
            "control",
        ];
        World {
            disk: Disk::new(&folders),
            random,
            truth: Truth::new(&settings),
            settings,
            wall_ms: 1_800_000_000_000,
            monotonic_ms: 1_000_000,
            boot: 1,
            sessions: Vec::new(),
            is_calm: false,
            fuse: None,
            bodies: Vec::new(),
            numbers: 0,
        }
    }

    pub fn lacks(&self, safeguard: Without) -> bool {
        self.settings.without == safeguard
    }

    pub fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn one_in(&mut self, n: u64) -> bool {
        !self.is_calm && self.random.below(n) == 0
    }

    pub fn now(&self) -> Moment {
        let (at_ms, monotonic_ms) = (self.wall_ms, self.monotonic_ms);
        Moment { at_ms, monotonic_ms, boot_id: self.boot.to_string() }
    }

    /// Before each effect of the daemon.
    fn effect(&mut self, what: &str, path: &str) -> Result<()> {
        if let Some(left) = &mut self.fuse {
            *left = left.saturating_sub(1);
            // What a rename put there and no fsync covered is what the next one must not trust.
            if *left == 0 || (what == "sync" && self.random.below(40) == 0) {
                self.truth.note(format!("died before: {what} {path}"));
                return Err(Fail::Died);
            }
        }
        self.truth.note(format!("{what} {path}"));
        if self.one_in(15) {
            self.outside();
        }
        Ok(())
    }

    pub fn make_dir_anew(&mut self, path: &str) -> Result<()> {
        if self.disk.find(path).is_some() {
            self.remove_tree(path)?;
        }
        self.effect("make", path)?;
        self.disk.make_dir(path);
        Ok(())
    }

    pub fn create(&mut self, path: &str, record: Record) -> Result<()> {
        self.effect("create", path)?;
        self.disk.create(path, record);
        Ok(())
    }

    pub fn replace(
        &mut self,
        dir: &str,
        name: &str,
        record: Record,
        durable: Durable,
    ) -> Result<()> {
        let (temporary, path) = (format!("{dir}/.tmp.{name}"), format!("{dir}/{name}"));
        if self.disk.find(&temporary).is_some() {
            self.remove(&temporary)?;
        }
        self.create(&temporary, record)?;
        if matches!(durable, Durable::Yes | Durable::FileOnly) {
            self.sync(&temporary)?;
        }
        self.rename(&temporary, &path)?;
        if durable == Durable::AfterRename {
            self.sync(&path)?;
        }
        if matches!(durable, Durable::Yes | Durable::AfterRename) {
            self.sync(dir)?;
        }
        Ok(())
    }

    pub fn rename(&mut self, from: &str, to: &str) -> Result<bool> {
        self.effect("rename to", to)?;
        // A sender gives the name to another file, right between a look and the move.
        if let Some(name) = from.strip_prefix("inbox/dispatch-")
            && self.one_in(30)
        {
            self.drop_new(Some(format!("dispatch-{name}")));
        }
        Ok(self.disk.rename(from, to))
    }

    /// In one step: whether the first name is free is known only when the file goes there.
    pub fn rename_to_free(&mut self, from: &str, to: &str, other: &str) -> Result<()> {
        self.effect("rename to", to)?;
        let to = if self.disk.find(to).is_none() { to } else { other };
        self.disk.rename(from, to);
        Ok(())
    }

    pub fn remove(&mut self, path: &str) -> Result<()> {
        self.effect("remove", path)?;
        self.disk.remove(path);
        Ok(())
    }

    pub fn remove_tree(&mut self, dir: &str) -> Result<()> {
        for name in self.disk.list(dir) {
            self.remove_tree(&format!("{dir}/{name}"))?;
        }
        self.remove(dir)
    }

    pub fn sync(&mut self, path: &str) -> Result<()> {
        self.effect("sync", path)?;
        self.disk.sync(path);
        Ok(())
    }

    pub fn sync_unless(&mut self, left_out: Without, path: &str) -> Result<()> {
        if self.lacks(left_out) { Ok(()) } else { self.sync(path) }
    }

    /// Now and then the disk refuses.
    pub fn may_fail(&mut self) -> Result<()> {
        if self.one_in(50) { Err(Fail::Error) } else { Ok(()) }
    }

    /// False: the machine has no room for a process.
    pub fn spawn(&mut self, start: &Start, stdout: Id) -> Result<bool> {
        self.effect("spawn", &format!("{} attempt {}", start.body.id, start.record.attempt))?;
        if self.one_in(30) {
            return Ok(false);
        }
        let how = self.how(start.record.is_resumed());
        let lives_ms = self.random.below(SESSION_MS_MAX) as i64;
        let has_child = self.one_in(4);
        self.truth.starts(start, how, &self.disk, &self.sessions);
        self.sessions.push(Session {
            id: start.body.id,
            lane: start.body.lane,
            token: start.token,
            how,
            is_alive: true,
            has_child,
            ends_ms: self.monotonic_ms + lives_ms,
            stdout,
        });
        Ok(true)
    }

    fn how(&mut self, is_resumed: bool) -> How {
        if self.is_calm {
            return How::Fine;
        }
        let reset_ms = self.wall_ms + self.random.below(7200) as i64 * 1000 - 300_000;
        match self.random.below(16) {
            0 if is_resumed => How::Gone,
            0 => How::LogicError,
            1 => How::Overflow,
            2 => How::RateLimit,
            3 | 4 => How::Usage(reset_ms),
            5 | 6 => How::Auth,
            7 | 8 => How::ToolFailure,
            9 => How::Dies,
            10 => How::Hangs,
            11 if self.random.below(3) == 0 => How::Poison,
            _ => How::Fine,
        }
    }

    pub fn leader(&self, token: u64) -> Option<&Session> {
        self.sessions.iter().find(|session| session.token == token && session.is_alive)
    }

    /// The kill ladder, or the sweep with children and all.
    pub fn end(&mut self, token: u64, with_children: bool) -> Result<()> {
        self.effect("end", &token.to_string())?;
        for session in self.sessions.iter_mut().filter(|session| session.token == token) {
            session.is_alive = false;
            session.has_child &= !with_children;
        }
        Ok(())
    }

    /// What is over is forgotten; what ends now leaves its stream.
    pub fn pass(&mut self, ms: i64) {
        self.monotonic_ms += ms;
        self.wall_ms += ms;
        self.truth.clock_is(self.wall_ms);
        for session in &mut self.sessions {
            let is_due = session.ends_ms <= self.monotonic_ms && session.how != How::Hangs;
            if session.is_alive && is_due {
                session.is_alive = false;
                self.disk.write(session.stdout, Record::Stream(session.how));
                self.truth.note(format!("{} ends: {:?}", session.id, session.how));
            }
        }
        self.sessions.retain(Session::is_there);
    }

    /// Somebody else does something.
    pub fn outside(&mut self) {
        let names: Vec<String> = self.disk.list("inbox");
        let random = &mut self.random;
        let files: Vec<&String> = names.iter().filter(|n| n.starts_with("dispatch-")).collect();
        let file = files.get(random.below(files.len().max(1) as u64) as usize).copied().cloned();
        let old = self.bodies.get(random.below(self.bodies.len().max(1) as u64) as usize).copied();
        match (random.below(27), file, old) {
            (0..=3, _, _) if names.len() < INBOX_MAX => self.drop_new(None),
            (4, _, Some(body)) => {
                let name = format!("dispatch-{}", body.id + 1000 * random.below(2) as u32);
                self.drop_file(&name, body);
            }
            (5, Some(file), _) => self.withdraw(&file),
            (6, Some(file), _) => self.drop_new(Some(file)),
            (7, _, Some(body)) => {
                let uid = self.number();
                self.bodies.push(Body { uid, ..body });
                self.drop_file(&format!("dispatch-{}", 2000 + uid), Body { uid, ..body });
            }
            (8, _, Some(body)) => {
                self.truth.note(format!("cancel {}", body.id));
                self.disk.create(&format!("inbox/cancel-{}", body.id), Record::Plain);
            }
            (11, Some(file), _) => {
                let to = format!("dispatch-{}", 3000 + self.number());
                self.truth.note(format!("{file} is renamed to {to}"));
                self.disk.rename(&format!("inbox/{file}"), &format!("inbox/{to}"));
                self.disk.sync("inbox");
            }
            (12, Some(file), _) => self.copy(&file),
            (13, Some(file), Some(old)) => self.write_anew(&file, old),
            (14..=16, _, _) => self.say(),
            (9, _, _) => {
                if let Some(session) = self.sessions.iter_mut().find(|session| session.is_alive) {
                    session.is_alive = false;
                    self.truth.note(format!("{} is killed", session.id));
                }
            }
            (10, _, _) => {
                let hours = self.random.below(5) as i64 - 2;
                self.wall_ms += hours * HOUR_MS / 2;
                self.truth.clock_is(self.wall_ms);
                self.truth.note(format!("the clock is set by {hours} half hours"));
            }
            _ => {
                let ms = self.random.below(60_000) as i64;
                self.pass(ms);
            }
        }
    }

    /// A person says something to one of those that wait. Some mean other bytes.
    fn say(&mut self) {
        let waiting = self.disk.list("pending");
        let Some(name) = waiting.get(self.random.below(waiting.len().max(1) as u64) as usize)
        else {
            return;
        };
        let copy = self.disk.read(&format!("pending/{name}/dispatch.json"));
        let (Ok(id), Some(&Record::Dispatch(body))) = (name.parse::<u32>(), copy) else { return };
        match self.random.below(4) {
            0 => self.ask("deny", id, body.uid),
            1 => self.ask("approve", id, body.uid + 1),
            _ => self.ask("approve", id, body.uid),
        }
    }

    /// Those to which nobody has said anything are denied at last.
    pub fn deny_the_rest(&mut self) {
        for name in self.disk.list("pending") {
            let copy = self.disk.read(&format!("pending/{name}/dispatch.json"));
            if let (Ok(id), Some(&Record::Dispatch(body))) = (name.parse::<u32>(), copy)
                && !self.truth.is_said(id)
            {
                self.ask("deny", id, body.uid);
            }
        }
    }

    fn ask(&mut self, word: &str, id: u32, uid: u64) {
        self.truth.says(word, id, uid);
        let path = format!("control/{word}-{id}");
        self.disk.remove(&path);
        self.disk.create(&path, Record::Said(uid));
        self.disk.sync(&path);
        self.disk.sync("control");
    }

    fn drop_new(&mut self, over: Option<String>) {
        let body = self.new_body();
        self.drop_file(&over.unwrap_or(format!("dispatch-{}", body.id)), body);
    }

    fn new_body(&mut self) -> Body {
        let uid = self.number();
        let body = Body {
            uid,
            id: self.bodies.len() as u32 + 1,
            lane: LANES[self.random.below(4) as usize],
            agent: AGENTS[self.random.below(2) as usize],
            has_learnings: self.random.below(2) == 0,
            ttl_ms: 60_000 + self.random.below(400_000) as i64,
        };
        self.bodies.push(body);
        body
    }

    fn copy(&mut self, file: &str) {
        if let Some(Record::Dispatch(body)) = self.disk.read(&format!("inbox/{file}")).cloned() {
            let name = format!("dispatch-{}", 3000 + self.number());
            self.drop_file(&name, body);
        }
    }

    /// In place: another dispatch, or another one with an id that there was.
    fn write_anew(&mut self, name: &str, old: Body) {
        let body = if self.random.below(2) == 0 {
            self.new_body()
        } else {
            let uid = self.number();
            self.bodies.push(Body { uid, ..old });
            Body { uid, ..old }
        };
        let path = format!("inbox/{name}");
        let Some(file) = self.disk.find(&path) else { return };
        let before = self.disk.read(&path).cloned();
        self.truth.note(format!("{name} is written anew: {body:?}"));
        self.truth.dropped(&body);
        self.disk.write(file, Record::Dispatch(body));
        self.disk.sync(&path);
        self.is_taken_back(before);
    }

    /// One name less has these bytes.
    fn is_taken_back(&mut self, before: Option<Record>) {
        if let Some(Record::Dispatch(body)) = before
            && !self.disk.has_in_inbox(body.uid)
        {
            self.truth.withdrawn(body.uid);
        }
    }

    /// Whole and durable, over what has the name.
    fn drop_file(&mut self, name: &str, body: Body) {
        let path = format!("inbox/{name}");
        let before = self.disk.read(&path).cloned();
        self.truth.note(format!("{name} is dropped: {body:?}"));
        self.disk.remove(&path);
        self.is_taken_back(before);
        self.truth.dropped(&body);
        self.disk.create(&path, Record::Dispatch(body));
        self.disk.sync(&path);
        self.disk.sync("inbox");
    }

    fn withdraw(&mut self, name: &str) {
        let path = format!("inbox/{name}");
        let before = self.disk.read(&path).cloned();
        self.truth.note(format!("{name} is removed"));
        self.disk.remove(&path);
        self.is_taken_back(before);
    }

    /// The end of a daemon: by itself, or with the power.
    pub fn crash(&mut self) {
        let kind = self.random.below(4);
        self.truth.note(["killed", "killed", "strict power cut", "moody power cut"][kind as usize]);
        self.truth.forget_daemon();
        if kind >= 2 {
            self.sessions.clear();
            (self.boot, self.monotonic_ms) = (self.boot + 1, 1000);
            self.disk.lose(kind == 2, &mut self.random);
        }
        let away_ms = self.random.below(100_000) as i64;
        self.pass(away_ms);
    }
}
