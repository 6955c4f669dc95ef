//! Where the commands say something: the one place in which an answer becomes text or JSON.
//!
//! Stdout has the answer and nothing else; notes and errors go to stderr. A reader that goes away
//! is no failure, a full disk is one.

use std::io::{self, Write};

use serde_json::Value;

use super::{Environment, Refusal};
use crate::effects::{clock, secrets, terminal, zone};
use crate::pure::command::typed::{ColourChoice, Typed};
use crate::pure::human::look::Look;
use crate::pure::text::escape;

/// What a command found out, which can be shown in both ways.
pub trait Reply {
    /// Whole lines. What comes from outside is escaped in it already.
    fn text(&self, look: &Look) -> String;

    fn json(&self) -> Value;
}

pub struct Out {
    pub look: Look,
    pub is_json: bool,
    pub is_terminal: bool,
    /// It is a terminal with a cursor that can be moved.
    pub can_draw: bool,
}

impl Out {
    pub fn new(typed: &Typed, environment: &Environment) -> Out {
        let is_terminal = terminal::is_stdout_terminal();
        let has_colour = match typed.colour() {
            ColourChoice::Auto => is_terminal && environment.may_colour,
            ColourChoice::Always => true,
            ColourChoice::Never => false,
        };
        let look = Look {
            width: is_terminal.then(|| terminal::size().columns),
            has_colour,
            zone: zone::local(environment.zone.as_deref()),
            now_ms: clock::unix_ms(),
            home: environment.home.as_ref().and_then(|home| home.to_str()).map(str::to_string),
        };
        let can_draw = is_terminal && !environment.is_dumb;
        Out { look, is_json: typed.is_json(), is_terminal, can_draw }
    }

    /// Prints the answer as it was asked for.
    pub fn answer(&self, reply: &dyn Reply) -> Result<(), Refusal> {
        if self.is_json { self.json(&reply.json()) } else { self.text(&reply.text(&self.look)) }
    }

    /// Prints whole lines, at once.
    pub fn text(&self, text: &str) -> Result<(), Refusal> {
        written(terminal::write(text.as_bytes()))
    }

    /// Prints a document of its own line, at once.
    pub fn json(&self, value: &Value) -> Result<(), Refusal> {
        self.text(&(escape::json(&value.to_string()) + "\n"))
    }

    /// A line for stderr.
    pub fn note(&self, text: &str) {
        note(text);
    }

    /// Ends a command that waits, as soon as nobody reads it any more.
    pub fn needs_reader(&self) -> Result<(), Refusal> {
        if terminal::is_reader_gone() { Err(Refusal::ReaderGone) } else { Ok(()) }
    }
}

fn written(result: io::Result<()>) -> Result<(), Refusal> {
    result.map_err(|e| match e.kind() {
        io::ErrorKind::BrokenPipe => Refusal::ReaderGone,
        _ => Refusal::NotDone(format!("cannot write the answer: {e}")),
    })
}

/// Prints text that belongs to no command: help and the version.
pub fn print(text: &str) -> Result<(), Refusal> {
    written(terminal::write(text.as_bytes()))
}

/// A line for stderr. Whoever closed it wants none.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr(), "gstack-dispatch-daemon: {}", shown(text));
}

/// Lines for stderr that belong to the note before them.
pub fn note_lines(lines: &[String]) {
    for line in lines {
        let _ = writeln!(io::stderr(), "  {}", shown(line));
    }
}

/// What a person reads may be an agent's words: secrets are hidden, and nothing moves the cursor.
pub fn shown(text: &str) -> String {
    escape::line(&secrets::redact(text))
}
