//! The table of agent programs: everything the daemon knows about one of them is one row, a
//! [`Driver`], and that row's own file or folder.
//!
//! Owns the table, the look-ups in it and the reading of a whole stream. Must not know any agent's
//! words: a driver turns them into a [`Summary`], which means the same for every agent. What the
//! table does not name is alike for all: the prompt comes on stdin, the stream is lines on stdout,
//! and SIGTERM to the process group asks a session to end, after which a driver can resume it. Only
//! an agent that the settings describe (`generic`) may have it otherwise.

mod checkup;
pub mod claude;
pub mod codex;
pub mod cost;
pub mod cursor;
mod drivers;
pub mod environment;
mod fields;
pub mod gemini;
mod generic;
pub mod git_identity;
pub mod lines;
mod mend;
mod own_record;
mod own_state;
mod permission;
mod pull_request;
mod refusal;
mod resume_line;
#[cfg(test)]
mod samples;
mod stream_item;
mod summary;

use self::environment::Variables;
use self::lines::Lines;
use super::config::Settings;
use super::config::dialect::Output;
use super::config::template::{PromptWay, Template};
use super::config::terms::Terms;
pub use checkup::Checkup;
pub use drivers::Drivers;
pub use own_record::{Environment, OwnRecord, RecordPlaces, SelfCheck};
pub use own_state::OwnState;
pub use resume_line::resume_line;
pub use stream_item::{ItemReader, StreamItem};
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
    /// Makes what shows a session's stream to people.
    pub items: fn() -> Box<dyn ItemReader>,
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
    /// The arguments by which a person goes on with a session at a terminal.
    pub resume_words: fn(id: &str) -> Vec<String>,
    /// The variables that say where it keeps its sessions.
    pub homes: &'static [&'static str],
    /// What it keeps of a session itself, where that says more than its stream.
    pub own_record: Option<OwnRecord>,
    /// What its program is asked once, before the first session.
    pub self_check: Option<SelfCheck>,
    /// What it must be able to write besides its project.
    pub own_state: &'static [OwnState],
    /// The permission mode of a confined session, unless one is named: a sandbox of its own cannot
    /// be made behind a wall.
    pub mode_when_confined: Option<&'static str>,
    /// What `permission_mode` may be; empty: any word.
    pub permission_modes: &'static [&'static str],
    /// An option that its program's `--help` names if it can be told that nobody answers.
    pub ask_nobody: Option<&'static str>,
    /// What `doctor` can tell of it.
    pub checkup: Checkup,
    /// Of a row that the settings made: it speaks in place of the functions above.
    pub template: Option<&'static Template>,
}

impl Driver {
    pub fn argv(&self, launch: &Launch) -> Vec<String> {
        match self.template {
            Some(template) => generic::argv(template, launch),
            None => (self.argv)(launch),
        }
    }

    pub fn reader(&self) -> Box<dyn Reader> {
        self.template.map_or_else(self.reader, generic::reader)
    }

    pub fn items(&self) -> Box<dyn ItemReader> {
        self.template.map_or_else(self.items, generic::items)
    }

    pub fn session_is_gone(&self, summary: &Summary, error: &str) -> bool {
        summary.session_is_unknown || (self.session_is_gone)(summary, error)
    }

    /// What the session is given to read, of a prompt that is the same for all agents.
    pub fn prompt(&self, prompt: String) -> String {
        match self.template {
            Some(template) => generic::prompt(template, prompt),
            None => prompt,
        }
    }

    /// The prompt is a file that an argument names, so that stdin is empty.
    pub fn reads_prompt_file(&self) -> bool {
        self.template.is_some_and(|template| template.prompt == PromptWay::File)
    }

    /// It may say nothing before its end, which then is no sign of a start that failed.
    pub fn may_be_silent(&self) -> bool {
        self.template.is_some_and(|template| template.dialect.output == Output::Text)
    }

    /// Whether its stream would tell that its model is at work.
    pub fn tells_of_work(&self) -> bool {
        self.template.is_none_or(|template| match &template.dialect.output {
            Output::Text => false,
            Output::Stream(rules) => rules.tool.is_some(),
        })
    }

    pub fn can_resume(&self) -> bool {
        self.template.is_none_or(|template| template.resume_args.is_some())
    }

    /// What its stream does not say of its session's id, it has from us.
    pub fn keeps_session_id(&self) -> bool {
        self.template.is_some()
    }

    /// What its exit code adds to what a session said that ended by itself.
    pub fn conclude(&self, summary: &mut Summary, exit_code: i32) {
        if let Some(template) = self.template {
            generic::conclude(template, summary, exit_code);
        }
    }

    /// The program as the settings name it.
    pub fn named<'s>(&self, settings: &'s Settings) -> Option<&'s str> {
        let entry = || settings.agents.get(self.name).and_then(|entry| entry.program.as_deref());
        (self.named)(settings).or_else(entry)
    }
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
    /// Where the session works.
    pub dir: &'a str,
    /// As the dispatch names it: it is the dispatcher's word.
    pub project: &'a str,
    pub prompt_file: &'a str,
}

/// Reads a whole stream, fed in pieces of any size.
pub struct Transcript {
    lines: Lines,
    reader: Box<dyn Reader>,
    summary: Summary,
}

impl Transcript {
    pub fn new(driver: &Driver) -> Self {
        Transcript { lines: Lines::new(), reader: driver.reader(), summary: Summary::default() }
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
