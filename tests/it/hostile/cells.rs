//! The tables from which the cells are made: what a session harms ([`Target`]), what it does to it
//! ([`Action`]) and when ([`Moment`]), what it is told for that, and what the answer has to be
//! where that can be known.

use std::path::{Path, PathBuf};

use crate::util::*;

/// A file or folder that a session can reach, below `$GSTACK_HOME`; `{id}` is its own dispatch.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    pub name: &'static str,
    path: &'static str,
    pub is_folder: bool,
    knows: Knows,
}

/// What of a session's end only this says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Knows {
    /// The next daemon needs it, or believes it where nothing contradicts it; the living one does
    /// not.
    Restart,
    /// The same, and the living one reads on in it.
    Stream,
    /// It is where an answer stands that was given from memory: the next daemon replaces none.
    Answer,
    /// What it says stands elsewhere too, or matters to no answer.
    Nothing,
}

const fn file(name: &'static str, path: &'static str, knows: Knows) -> Target {
    Target { name, path, is_folder: false, knows }
}

const fn folder(name: &'static str, path: &'static str, knows: Knows) -> Target {
    Target { name, path, is_folder: true, knows }
}

const STDERR: &str = "stderr.log";
/// Whoever is to be told of the answer of such a cell is told.
pub const OUTBOX: &str = "outbox";
pub const ON_FINISH: &str = "on_finish";

pub const TARGETS: [Target; 27] = [
    folder("claim", "dispatchd/active/{id}", Knows::Restart),
    file("dispatch.json", "dispatchd/active/{id}/dispatch.json", Knows::Nothing),
    file("accepted.json", "dispatchd/active/{id}/accepted.json", Knows::Nothing),
    file("report.json", "dispatchd/active/{id}/report.json", Knows::Restart),
    file(".tmp.report.json", "dispatchd/active/{id}/.tmp.report.json", Knows::Nothing),
    folder("attempt-1", "dispatchd/active/{id}/attempt-1", Knows::Restart),
    file("attempt.json", "dispatchd/active/{id}/attempt-1/attempt.json", Knows::Restart),
    file("prompt.txt", "dispatchd/active/{id}/attempt-1/prompt.txt", Knows::Nothing),
    file("stdout.jsonl", "dispatchd/active/{id}/attempt-1/stdout.jsonl", Knows::Stream),
    file(STDERR, "dispatchd/active/{id}/attempt-1/stderr.log", Knows::Nothing),
    file("child.json", "dispatchd/active/{id}/attempt-1/child.json", Knows::Nothing),
    file("stop.json", "dispatchd/active/{id}/attempt-1/stop.json", Knows::Restart),
    file("end.json", "dispatchd/active/{id}/attempt-1/end.json", Knows::Restart),
    file(".tmp.end.json", "dispatchd/active/{id}/attempt-1/.tmp.end.json", Knows::Nothing),
    file("reading", "dispatchd/active/{id}/attempt-1/reading", Knows::Restart),
    folder("attempt-2", "dispatchd/active/{id}/attempt-2", Knows::Restart),
    file("pending.json", "dispatchd/active/{id}/pending.json", Knows::Nothing),
    file("approval.json", "dispatchd/active/{id}/approval.json", Knows::Nothing),
    file("started", "dispatchd/started/{id}", Knows::Nothing),
    folder("pending", "dispatchd/pending/{id}", Knows::Nothing),
    file("approve", "dispatchd/control/approve-{id}", Knows::Nothing),
    file("spent", "dispatchd/spent/{id}", Knows::Nothing),
    file(OUTBOX, "dispatchd/outbox/{id}.json", Knows::Nothing),
    file(ON_FINISH, "dispatchd/on_finish/{id}.json", Knows::Nothing),
    folder("finished", "dispatchd/finished/{id}", Knows::Answer),
    file("completed", "dispatch/completed/{id}.json", Knows::Answer),
    file(".tmp.completed", "dispatch/completed/.tmp.{id}.json", Knows::Nothing),
];

/// The claims of all dispatches: not in the matrix, for it harms others too.
pub const ALL_CLAIMS: Target = folder("active", "dispatchd/active", Knows::Restart);

impl Target {
    pub fn path(&self, lab: &Lab, id: &str) -> PathBuf {
        lab.gstack.join(self.path.replace("{id}", id))
    }

    /// Below the claim; `None`: it is the claim itself, or lies elsewhere.
    pub fn in_claim(&self) -> Option<&'static str> {
        self.path.strip_prefix("dispatchd/active/{id}/")
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Removed,
    Directory,
    Fifo,
    Symlink,
    NoMode,
    Huge,
    Truncated,
    Forgery,
}

/// In the words of the fake agent.
pub const ACTIONS: [(Action, &str); 8] = [
    (Action::Removed, "removed"),
    (Action::Directory, "directory"),
    (Action::Fifo, "fifo"),
    (Action::Symlink, "symlink"),
    (Action::NoMode, "no-mode"),
    (Action::Huge, "huge"),
    (Action::Truncated, "truncated"),
    (Action::Forgery, "forgery"),
];

impl Action {
    pub fn name(self) -> &'static str {
        ACTIONS[self as usize].1
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// The session goes on for a little, and succeeds.
    Runs,
    /// It has succeeded, and exits at once.
    Ends,
    /// It exits at once, without a result; so that it is resumed, and succeeds.
    Silent,
    /// It fails so that a retry is due, which succeeds.
    Retry,
    /// It hangs until its TTL.
    Hangs,
    /// It hangs, and is cancelled.
    Cancelled,
    /// It hangs, and the daemon is told to end; another one starts.
    Shutdown,
    /// It hangs, the daemon is killed, and another one starts.
    Killed,
    /// It succeeds when the daemon was killed, before another one starts.
    Unseen,
}

pub const MOMENTS: [(Moment, &str); 9] = [
    (Moment::Runs, "runs"),
    (Moment::Ends, "ends"),
    (Moment::Silent, "silent"),
    (Moment::Retry, "retry"),
    (Moment::Hangs, "hangs"),
    (Moment::Cancelled, "cancelled"),
    (Moment::Shutdown, "shutdown"),
    (Moment::Killed, "killed"),
    (Moment::Unseen, "unseen"),
];

impl Moment {
    pub fn name(self) -> &'static str {
        MOMENTS[self as usize].1
    }

    pub fn kills_the_daemon(self) -> bool {
        matches!(self, Moment::Killed | Moment::Unseen)
    }

    /// Where the TTL must end it, it is short; yet all sessions of a group begin within it.
    pub fn ttl_seconds(self) -> u64 {
        match self {
            Moment::Hangs => 4,
            Moment::Killed => 6,
            _ => 20,
        }
    }

    fn is_retried(self) -> bool {
        matches!(self, Moment::Silent | Moment::Retry)
    }
}

/// One deed of one session.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    pub target: &'static Target,
    pub action: Action,
    pub moment: Moment,
}

/// FIFOs at which the sessions of a scene stand.
pub struct Gates {
    /// Never opened.
    pub never: PathBuf,
    /// Opened when the daemon is dead.
    pub go: PathBuf,
}

impl Cell {
    /// The name of its dispatch.
    pub fn name(&self) -> String {
        let target = self.target.name.replace('.', "_");
        format!("{target}-{}-{}", self.action.name(), self.moment.name())
    }

    /// As `GSTACK_TEST_HOSTILE` takes it.
    pub fn address(&self) -> String {
        format!("{}:{}:{}", self.target.name, self.action.name(), self.moment.name())
    }

    /// What the session is told. `marks`: where it notes that it started, and that it did its deed;
    /// `with`: what the deed puts in place.
    pub fn orders(&self, path: &Path, with: &Path, marks: &Path, gates: &Gates) -> String {
        let (path, with, marks) = (path.display(), with.display(), marks.display());
        let deed = format!("deed {} {path} {with}", self.action.name());
        let (start, done) = (format!("mark {marks}"), format!("mark {marks} deed"));
        let block = |gate: &Path| format!("block {}", gate.display());
        let words = |words: &[&str]| words.iter().map(|w| w.to_string()).collect::<Vec<_>>();
        let mut orders = vec![start];
        match self.moment {
            Moment::Runs => {
                orders.extend([deed, done]);
                // Longer than it takes the daemon to look after its sessions once.
                orders.extend(words(&["sleep 1.2", "turn Still here.", "result success done"]));
            }
            Moment::Ends => {
                orders.extend(words(&["result success done"]));
                orders.extend([deed, done, "exit 0".into()]);
            }
            Moment::Silent => {
                orders.extend(words(&["remember", "once turn Hm."]));
                orders.extend([format!("once {deed}"), done]);
                orders.extend(words(&["once exit 0", "result success done"]));
            }
            Moment::Retry => {
                orders.extend([format!("once {deed}"), done]);
                orders.extend(words(&["once result error 500 api_error", "once exit 1"]));
                orders.extend(words(&["result success done"]));
            }
            Moment::Hangs | Moment::Cancelled | Moment::Shutdown | Moment::Killed => {
                orders.extend([deed, done, block(&gates.never)])
            }
            Moment::Unseen => {
                orders.extend([deed, done, block(&gates.go), "result success done".into()])
            }
        }
        orders.iter().map(|order| format!("fake: {order}\n")).collect()
    }

    /// Whether it takes away what the session has written, and nobody may have read yet.
    fn loses_stream(&self) -> bool {
        self.target.knows == Knows::Stream
            && matches!(self.action, Action::Huge | Action::Truncated)
    }

    fn writes_too_much(&self) -> bool {
        self.action == Action::Huge && self.target.name == STDERR
    }

    /// A result that nobody has seen is none, so that its session may be retried.
    pub fn starts_max(&self) -> usize {
        if self.moment.is_retried() || self.loses_stream() { 2 } else { 1 }
    }

    /// The statuses that its report may have after that many starts.
    pub fn statuses(&self, starts: usize) -> &'static [&'static str] {
        let is_known_elsewhere = matches!(self.target.knows, Knows::Answer | Knows::Nothing);
        match self.moment {
            _ if self.loses_stream() || self.writes_too_much() => {
                &["completed", "failed", "timeout", "cancelled"]
            }
            Moment::Runs | Moment::Ends => &["completed"],
            // That its second attempt cannot begin is its own trouble; what ran is told as it was.
            Moment::Silent | Moment::Retry if starts > 1 => &["completed"],
            Moment::Silent | Moment::Retry => &["failed"],
            Moment::Hangs => &["timeout"],
            Moment::Cancelled | Moment::Shutdown => &["cancelled"],
            Moment::Killed if is_known_elsewhere => &["timeout"],
            Moment::Killed => &["failed", "timeout"],
            Moment::Unseen if is_known_elsewhere => &["completed"],
            Moment::Unseen => &["completed", "failed"],
        }
    }

    /// Whether a forged record may be what is published: the living daemon knows better, the next
    /// one need not.
    pub fn may_deceive(&self) -> bool {
        self.moment.kills_the_daemon()
            && self.action == Action::Forgery
            && self.target.knows != Knows::Nothing
    }
}

/// All cells of the matrix.
pub fn all() -> impl Iterator<Item = Cell> {
    MOMENTS.iter().flat_map(|(moment, _)| at(*moment))
}

/// All cells of a moment.
pub fn at(moment: Moment) -> impl Iterator<Item = Cell> {
    TARGETS.iter().flat_map(move |target| {
        ACTIONS.iter().map(move |(action, _)| Cell { target, action: *action, moment })
    })
}

/// What was found to wedge a slot, intake, a start, a TTL or a retry: in the shorter form at every
/// moment.
const KNOWN: [(&str, Action); 9] = [
    ("claim", Action::Removed),
    ("report.json", Action::Directory),
    ("report.json", Action::Fifo),
    ("attempt-1", Action::Removed),
    ("stdout.jsonl", Action::Fifo),
    ("end.json", Action::Directory),
    ("attempt-2", Action::Directory),
    ("finished", Action::Directory),
    ("completed", Action::Directory),
];

/// A few of a moment: each target once, with another action at each moment, and what is known to be
/// nasty.
pub fn some_at(moment: Moment) -> Vec<Cell> {
    let is_next = |cell: &Cell| {
        let target = TARGETS.iter().position(|target| target == cell.target);
        // All moments together have each target with each action.
        target.map(|n| (n + moment as usize) % ACTIONS.len()) == Some(cell.action as usize)
    };
    let is_known = |cell: &Cell| KNOWN.contains(&(cell.target.name, cell.action));
    at(moment).filter(|cell| is_next(cell) || is_known(cell)).collect()
}
