//! Writes what is told of a dispatch: as text for people, as an object a line, or byte for byte.
//!
//! Owns how many lines are left out before the first that is shown. Must not stop whoever tells: an
//! error of the output is kept until it is asked for, and nothing is written after it.

use std::io::{self, Write};

use serde_json::Value;

use crate::pure::logs::LogItem;
use crate::pure::logs::people::Renderer;
use crate::pure::text::escape;

use super::telling::Listener;

pub enum Form<'a> {
    People(Renderer<'a>),
    Json,
    /// The bytes of the streams; on a terminal, without what could move its cursor.
    Raw {
        is_terminal: bool,
    },
}

pub struct Printer<'a> {
    id: &'a str,
    form: Form<'a>,
    out: &'a mut dyn Write,
    /// Lines, or objects, that are left out before the first.
    skip: u64,
    /// The beginning of a character whose end has not come yet.
    cut: Vec<u8>,
    error: Option<io::Error>,
    /// What could not be shown.
    troubles: Vec<String>,
}

impl<'a> Printer<'a> {
    pub fn new(id: &'a str, form: Form<'a>, skip: u64, out: &'a mut dyn Write) -> Printer<'a> {
        Printer { id, form, out, skip, cut: Vec::new(), error: None, troubles: Vec::new() }
    }

    /// Writes one line that is no item.
    pub fn line(&mut self, line: &str) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.write(line.as_bytes());
        self.write(b"\n");
    }

    /// Writes one object that is no item.
    pub fn json(&mut self, object: &Value) {
        self.line(&escape::json(&object.to_string()));
    }

    pub fn is_json(&self) -> bool {
        matches!(self.form, Form::Json)
    }

    /// Hands everything to the reader. The error is the first that there was.
    pub fn flush(&mut self) -> io::Result<()> {
        match self.error.take() {
            Some(error) => Err(error),
            None => self.out.flush(),
        }
    }

    pub fn take_troubles(&mut self) -> Vec<String> {
        std::mem::take(&mut self.troubles)
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.error.is_none() {
            self.error = self.out.write_all(bytes).err();
        }
    }

    /// What is left of raw bytes once the lines to be left out are.
    fn skip_lines<'b>(&mut self, mut bytes: &'b [u8]) -> &'b [u8] {
        while self.skip > 0 {
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return &[] };
            bytes = &bytes[end + 1..];
            self.skip -= 1;
        }
        bytes
    }

    fn write_shown(&mut self, bytes: &[u8]) {
        self.cut.extend_from_slice(bytes);
        // A character may have come in half.
        let whole = match std::str::from_utf8(&self.cut) {
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            _ => self.cut.len(),
        };
        let rest = self.cut.split_off(whole);
        let text = String::from_utf8_lossy(&self.cut);
        let shown = escape::text(&text);
        self.cut = rest;
        self.write(shown.as_bytes());
    }
}

impl Listener for Printer<'_> {
    fn is_raw(&self) -> bool {
        matches!(self.form, Form::Raw { .. })
    }

    fn item(&mut self, attempt: u32, item: &LogItem) {
        let mut lines = Vec::new();
        match &mut self.form {
            Form::People(people) => {
                people.item(attempt, item, &mut |line| lines.push(line.to_string()));
            }
            Form::Json => {
                lines.push(escape::json(&item.json(self.id, attempt).to_string()));
            }
            Form::Raw { .. } => {}
        }
        lines.iter().for_each(|line| self.line(line));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        let bytes = self.skip_lines(bytes);
        match self.form {
            Form::Raw { is_terminal: true } => self.write_shown(bytes),
            Form::Raw { is_terminal: false } | Form::People(_) | Form::Json => self.write(bytes),
        }
    }

    fn trouble(&mut self, why: &str) {
        if !self.troubles.iter().any(|told| told == why) {
            self.troubles.push(why.to_string());
        }
    }
}
