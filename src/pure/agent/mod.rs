//! The table of agent programs: everything the daemon knows about one of them is one row, a
//! [`Driver`], and that row's own file or folder.
//!
//! Owns the table, the look-ups in it and the reading of a whole stream. Must not know any agent's
//! words: a driver turns them into a [`Summary`], which means the same for every agent. What the
//! table does not name is alike for all: the prompt comes on stdin, the stream is lines on stdout,
//! and SIGTERM to the process group asks a session to end, after which a driver can resume it. Only
//! an agent that the settings describe (`generic`) may have it otherwise.

pub mod claude;
pub mod cost;
mod drivers;
pub mod environment;
mod generic;
pub mod lines;
mod summary;

use self::environment::Variables;
use self::lines::Lines;
use super::config::Settings;
use super::config::template::{Output, PromptWay, Template};
use super::config::terms::Terms;
pub use drivers::Drivers;
pub use summary::{
    ApiRetry, DENIAL_INPUT_CHARS_MAX, DENIALS_MAX, Failure, LimitEvent, RESULT_BYTES_MAX,
    ResultEvent, Summary, Tokens, USAGE_BYTES_MAX, WORD_BYTES_MAX,
};

pub static DRIVERS: &[Driver] = &[claude::DRIVER];

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Driver {
    /// As in `target_agent`.
    pub name: &'static str,
    /// Looked up in PATH.
    pub program: &'static str,
    /// Where its installers put it besides; cron's and systemd's PATH have few of these. `~/` is
    /// the home directory.
    pub places: &'static [&'static str],
    /// The program, where the settings name one.
    pub named: fn(&Settings) -> Option<&str>,
    pub variables: Variables,
    /// The arguments, without the program.
    pub argv: fn(&Launch) -> Vec<String>,
    /// Makes what reads one session's stream.
    pub reader: fn() -> Box<dyn Reader>,
    /// Whether a new session gets the id that we offer. Else only its stream tells its id.
    pub takes_session_id: bool,
    /// From the stderr of a session that wrote nothing on stdout: why it did not start, if that is
    /// what it says.
    pub start_failure: fn(stderr_tail: &str) -> Option<Failure>,
    /// Whether the agent says that it does not know the session that it should resume. The text is
    /// the error of the attempt, in which no turn was taken.
    pub session_is_gone: fn(&Summary, error: &str) -> bool,
    /// What `permission_mode` may be; empty: any word.
    pub permission_modes: &'static [&'static str],
    /// An option that its program's `--help` names if it can be told that nobody answers.
    pub ask_nobody: Option<&'static str>,
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
        self.template.is_some_and(|template| template.output == Output::Text)
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
    /// Reads a line without its newline. After it the summary holds for all that was read so far.
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

    /// What the whole lines so far said.
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
