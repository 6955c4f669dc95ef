//! What the table of commands is made of: a row for a command, with its words and its options.
//!
//! Everything that is said about a command elsewhere (its parsing, its help, completions, the man
//! page) comes from its row, so that the words exist once. Must not know what a command does.

use super::code::Code;

/// The commands, each of which has a row in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Run,
    Status,
    List,
    Show,
    Wait,
    Approve,
    Config,
    Deny,
    Logs,
    Report,
    Keygen,
    Pause,
    Release,
    Resume,
    Sign,
    Service,
    Doctor,
    Submit,
    Schema,
    Help,
    Man,
    Completions,
}

/// One command.
#[derive(Debug, PartialEq, Eq)]
pub struct CommandRow {
    pub verb: Verb,
    pub name: &'static str,
    pub words: &'static [WordRow],
    /// Without [`COMMON`], which every command but `run` has.
    pub options: &'static [OptionRow],
    /// One line for the list of commands: what it does, in at most 48 characters.
    pub help: &'static str,
    /// Paragraphs for its own help, which are wrapped there.
    pub more: &'static str,
    /// What can be typed behind the program's name.
    pub examples: &'static [&'static str],
    pub codes: &'static [(Code, &'static str)],
    /// The daemon's own flags may be typed here too.
    pub takes_settings: bool,
}

/// A word of a command that is no option, in its place.
#[derive(Debug, PartialEq, Eq)]
pub struct WordRow {
    /// As the usage line shows it.
    pub label: &'static str,
    pub kind: ValueKind,
    pub count: Count,
}

/// How often a word stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    One,
    AtMostOne,
    OneOrMore,
    Any,
}

/// One option of a command.
#[derive(Debug, PartialEq, Eq)]
pub struct OptionRow {
    /// With its dashes.
    pub name: &'static str,
    pub short: Option<char>,
    pub value: Option<ValueRow>,
    pub help: &'static str,
}

/// The value behind an option.
#[derive(Debug, PartialEq, Eq)]
pub struct ValueRow {
    /// As the usage line shows it.
    pub label: &'static str,
    pub kind: ValueKind,
}

/// What a value is, as far as the parser checks it and a shell can complete it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    /// Anything; the command looks at it.
    Text,
    /// One of these.
    Choice(&'static [&'static str]),
    /// The id of a dispatch, or its beginning.
    Id,
    File,
    Directory,
    /// As in [`crate::pure::human::span`].
    Span,
    /// A whole number.
    Number,
}

impl WordRow {
    pub const fn new(label: &'static str, kind: ValueKind, count: Count) -> WordRow {
        WordRow { label, kind, count }
    }
}

impl OptionRow {
    /// An option without a value.
    pub const fn flag(name: &'static str, help: &'static str) -> OptionRow {
        OptionRow { name, short: None, value: None, help }
    }

    pub const fn with_value(
        name: &'static str,
        label: &'static str,
        kind: ValueKind,
        help: &'static str,
    ) -> OptionRow {
        OptionRow { name, short: None, value: Some(ValueRow { label, kind }), help }
    }

    /// The same with a letter of its own (`-f`).
    pub const fn short(self, letter: char) -> OptionRow {
        OptionRow { short: Some(letter), ..self }
    }

    /// `--timeout D`, as help shows it.
    pub fn usage(&self) -> String {
        let short = self.short.map(|letter| format!("-{letter}, ")).unwrap_or_default();
        match &self.value {
            Some(value) => format!("{short}{} {}", self.name, value.label),
            None => format!("{short}{}", self.name),
        }
    }
}

/// The option that turns any answer into JSON.
pub const JSON: &str = "--json";
/// The option that decides about colours.
pub const COLOR: &str = "--color";
pub const COLOR_CHOICES: &[&str] = &["auto", "always", "never"];

/// What every command but `run` understands.
pub const COMMON: &[OptionRow] = &[
    OptionRow::flag(JSON, "the answer as JSON"),
    OptionRow::with_value(
        COLOR,
        "WHEN",
        ValueKind::Choice(COLOR_CHOICES),
        "colours: auto (on a terminal), always, never",
    ),
];

impl CommandRow {
    /// Its options with those that all have.
    pub fn all_options(&self) -> impl Iterator<Item = &'static OptionRow> {
        let common: &[OptionRow] = if self.verb == Verb::Run { &[] } else { COMMON };
        self.options.iter().chain(common)
    }

    /// The option of that name, with its dashes.
    pub fn option(&self, name: &str) -> Option<&'static OptionRow> {
        self.all_options().find(|option| option.name == name)
    }

    /// The words that follow its name, as the usage line shows them.
    pub fn usage(&self) -> String {
        let mut usage = self.name.to_string();
        for WordRow { label, count, .. } in self.words {
            usage += &match count {
                Count::One => format!(" {label}"),
                Count::AtMostOne => format!(" [{label}]"),
                Count::OneOrMore => format!(" {label}…"),
                Count::Any => format!(" [{label}…]"),
            };
        }
        usage
    }
}
