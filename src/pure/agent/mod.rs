//! The table of agent programs: everything the daemon knows about one of them is one row, a
//! [`Driver`], and that row's own file or folder.
//!
//! Owns the table, the look-ups in it and the reading of a whole stream. Must not know any agent's
//! words: a driver turns them into a [`Summary`], which means the same for every agent. What the
//! table does not name is alike for all: the prompt comes on stdin, the stream is lines on stdout,
//! and SIGTERM to the process group asks a session to end, after which a driver can resume it.

pub mod claude;
pub mod codex;
pub mod cost;
pub mod cursor;
pub mod environment;
mod fields;
pub mod gemini;
pub mod git_identity;
pub mod lines;
mod mend;
mod own_record;
mod summary;

use self::environment::Variables;
use self::lines::Lines;
use super::config::Settings;
use super::config::terms::Terms;
use super::dispatch::AGENTS;
pub use own_record::{Environment, OwnRecord, RecordPlaces, SelfCheck};
pub use summary::{
    ApiRetry, DENIAL_INPUT_CHARS_MAX, DENIALS_MAX, Failure, LimitEvent, RESULT_BYTES_MAX,
    ResultEvent, Summary, Tokens, USAGE_BYTES_MAX, WORD_BYTES_MAX,
};

pub static DRIVERS: &[Driver] = &[claude::DRIVER, codex::DRIVER, gemini::DRIVER, cursor::DRIVER];

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// The name that `target_agent` gives.
    pub name: &'static str,
    /// The name that is looked up in PATH.
    pub program: &'static str,
    /// Other places where its installers put it, few of which are in cron's and systemd's PATH.
    /// `~/` is the home directory.
    pub places: &'static [&'static str],
    /// The program, if the settings name one.
    pub named: fn(&Settings) -> Option<&str>,
    pub variables: Variables,
    /// Its shell hides the user's git configuration: variables have to say who commits.
    pub hides_git_identity: bool,
    /// The arguments, without the program.
    pub argv: fn(&Launch) -> Vec<String>,
    /// Makes the reader of one session's stream.
    pub reader: fn() -> Box<dyn Reader>,
    /// Whether a new session gets the id that we offer. Else only its stream tells its id.
    pub takes_session_id: bool,
    /// How many lines it writes on stdout before it can still refuse to start.
    pub start_lines: u64,
    /// Why a session that wrote no more than its first `start_lines` on stdout did not start, if
    /// its stderr says so.
    pub start_failure: fn(stderr_tail: &str) -> Option<Failure>,
    /// What the exit code of a session says, and by it stderr, that ended with a failed result or
    /// with none at all. `None`: no more than is known without it.
    pub exit_failure: fn(summary: &Summary, exit_code: i32, stderr_tail: &str) -> Option<Failure>,
    /// Whether the agent says that it does not know the session that it should resume. The text is
    /// the error of the attempt, which took no turn.
    pub session_is_gone: fn(&Summary, error: &str) -> bool,
    /// What it keeps of a session itself, where that says more than its stream.
    pub own_record: Option<OwnRecord>,
    /// What its program is asked once, before the first session.
    pub self_check: Option<SelfCheck>,
}

/// Reads the stream of one session. What it must remember for that is its own, and bounded.
pub trait Reader: Send {
    /// Reads a line without its newline. After that the summary holds for all that was read so far.
    fn line(&mut self, line: &[u8], summary: &mut Summary);
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionRef {
    /// A new UUID.
    New(String),
    Resume(String),
}

pub struct Launch<'a> {
    pub session: SessionRef,
    pub terms: &'a Terms,
    /// The git directories of the project's working tree. Finding them takes a few file accesses,
    /// so only a driver that needs them asks.
    pub git_dirs: &'a dyn Fn() -> Vec<String>,
}

/// The table that a daemon works with.
#[derive(Clone, Debug)]
pub struct Drivers {
    rows: &'static [Driver],
    names: Vec<&'static str>,
}

impl Drivers {
    pub fn new(rows: &'static [Driver]) -> Drivers {
        let more = rows.iter().map(|row| row.name).filter(|name| !AGENTS.contains(name));
        Drivers { rows, names: AGENTS.into_iter().chain(more).collect() }
    }

    pub fn rows(&self) -> &'static [Driver] {
        self.rows
    }

    pub fn get(&self, name: &str) -> Option<&'static Driver> {
        self.rows.iter().find(|driver| driver.name == name)
    }

    /// What a dispatch may name: the agents of the published schema, and every row.
    pub fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// Whether sessions inherit a variable of our environment. The answer is the same for all
    /// agents: a session of one may have started the daemon, or may start another one itself.
    pub fn inherits(&self, variable: &str) -> bool {
        environment::is_inherited(variable, self.rows.iter().map(|driver| &driver.variables))
    }

    /// The fixed variables that are set for whatever runs in a session of this agent.
    pub fn variables(&self, agent: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
        let own = self.get(agent).map_or(&[][..], |driver| driver.variables.set);
        environment::SET.iter().chain(own).copied()
    }
}

/// Reads a whole stream, fed in pieces of any size.
pub struct Transcript {
    lines: Lines,
    reader: Box<dyn Reader>,
    summary: Summary,
}

impl Transcript {
    pub fn new(driver: &Driver) -> Self {
        let reader = (driver.reader)();
        Transcript { lines: Lines::new(), reader, summary: Summary::default() }
    }

    pub fn feed(&mut self, bytes: &[u8]) {
        let Transcript { lines, reader, summary } = self;
        lines.feed(bytes, &mut |line| read_line(reader.as_mut(), line, summary));
    }

    /// What the whole lines said so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    pub fn finish(self) -> Summary {
        let Transcript { lines, mut reader, mut summary } = self;
        let skipped = lines.finish(&mut |line| read_line(reader.as_mut(), line, &mut summary));
        summary.lines += skipped.too_long;
        summary.broken_lines += skipped.too_long;
        summary
    }
}

fn read_line(reader: &mut dyn Reader, line: &[u8], summary: &mut Summary) {
    summary.lines += 1;
    reader.line(line, summary);
}

#[cfg(test)]
mod tests {
    use super::*;

    const OTHER: Driver = Driver {
        name: "other",
        variables: Variables {
            set: &[("OTHER_QUIET", "1")],
            withheld: &["OTHER_*"],
            kept: &["OTHER_KEY"],
        },
        ..claude::DRIVER
    };
    static BOTH: [Driver; 2] = [claude::DRIVER, OTHER];

    #[test]
    fn the_table_is_found_by_name() {
        let drivers = Drivers::new(DRIVERS);
        assert_eq!(drivers.get("claude").map(|driver| driver.program), Some("claude"));
        assert!(drivers.get("Claude").is_none() && drivers.get("").is_none());
    }

    #[test]
    fn a_dispatch_may_name_the_agents_of_the_schema_and_every_row() {
        assert_eq!(Drivers::new(DRIVERS).names(), AGENTS);
        assert_eq!(Drivers::new(&BOTH).names(), [&AGENTS[..], &["other"]].concat());
    }

    #[test]
    fn a_driver_sets_variables_for_its_own_sessions_and_withholds_them_from_all() {
        let drivers = Drivers::new(&BOTH);
        let set = |agent| drivers.variables(agent).map(|(name, _)| name).collect::<Vec<_>>();
        assert_eq!(set("claude"), ["OPENCLAW_SESSION", "DISABLE_AUTOUPDATER"]);
        assert_eq!(set("other"), ["OPENCLAW_SESSION", "OTHER_QUIET"]);
        assert_eq!(set("codex"), ["OPENCLAW_SESSION"]);
        let inherited = ["OTHER_X", "OTHER_KEY", "CLAUDECODE", "PATH"].map(|v| drivers.inherits(v));
        assert_eq!(inherited, [false, true, false, true]);
        assert!(Drivers::new(DRIVERS).inherits("OTHER_X"));
    }
}
