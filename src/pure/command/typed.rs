//! What was typed behind a command, checked as far as the words alone tell.
//!
//! Each command makes its own value of it, in the file of its row.

use std::ffi::{OsStr, OsString};

use super::row::{COLOR, CommandRow, JSON, Verb};
use crate::pure::config::flags::Flags;
use crate::pure::human::span;

/// A command with its words and options.
#[derive(Debug, PartialEq)]
pub struct Typed {
    pub row: &'static CommandRow,
    /// The words that are no options, in order, without the command's own.
    pub words: Vec<OsString>,
    /// By name, in the order in which they were typed.
    pub options: Vec<(&'static str, Option<OsString>)>,
    /// The daemon's settings among the options, where the command takes them.
    pub flags: Flags,
}

/// When the answer has colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColourChoice {
    Auto,
    Always,
    Never,
}

impl Typed {
    pub fn new(row: &'static CommandRow) -> Typed {
        Typed { row, words: Vec::new(), options: Vec::new(), flags: Flags::default() }
    }

    pub fn verb(&self) -> Verb {
        self.row.verb
    }

    /// Whether nothing was typed yet.
    pub fn is_bare(&self) -> bool {
        self.words.is_empty() && self.options.is_empty() && self.flags.is_empty()
    }

    pub fn has(&self, option: &str) -> bool {
        self.all(option).next().is_some()
    }

    /// The option's value; of several the last one.
    pub fn value(&self, option: &str) -> Option<&OsStr> {
        self.values(option).last()
    }

    pub fn values(&self, option: &str) -> impl Iterator<Item = &OsStr> {
        self.all(option).filter_map(|(_, value)| value.as_deref())
    }

    /// The option's value as text.
    pub fn text(&self, option: &str) -> Result<Option<&str>, String> {
        let text = |value: &OsStr| format!("{option}: {} is not UTF-8", value.to_string_lossy());
        self.value(option).map(|value| value.to_str().ok_or_else(|| text(value))).transpose()
    }

    /// The texts of an option that may be typed several times.
    pub fn texts(&self, option: &str) -> Result<Vec<&str>, String> {
        let text = |value: &OsStr| format!("{option}: {} is not UTF-8", value.to_string_lossy());
        self.values(option).map(|value| value.to_str().ok_or_else(|| text(value))).collect()
    }

    /// A duration in seconds, which the parser has checked.
    pub fn seconds(&self, option: &str) -> Option<u64> {
        self.value(option).and_then(OsStr::to_str).and_then(span::parse)
    }

    /// A whole number, which the parser has checked.
    pub fn number(&self, option: &str) -> Option<u64> {
        self.value(option).and_then(OsStr::to_str).and_then(|text| text.parse().ok())
    }

    /// The word at that place, as text.
    pub fn word(&self, at: usize) -> Result<Option<&str>, String> {
        let text = |word: &OsString| format!("{} is not UTF-8", word.to_string_lossy());
        self.words.get(at).map(|word| word.to_str().ok_or_else(|| text(word))).transpose()
    }

    pub fn is_json(&self) -> bool {
        self.has(JSON)
    }

    pub fn colour(&self) -> ColourChoice {
        match self.value(COLOR).and_then(OsStr::to_str) {
            Some("always") => ColourChoice::Always,
            Some("never") => ColourChoice::Never,
            Some(_) | None => ColourChoice::Auto,
        }
    }

    fn all(&self, option: &str) -> impl Iterator<Item = &(&'static str, Option<OsString>)> {
        debug_assert!(self.row.option(option).is_some(), "{} has no {option}", self.row.name);
        self.options.iter().filter(move |(name, _)| *name == option)
    }
}
