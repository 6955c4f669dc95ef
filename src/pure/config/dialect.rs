//! How an agent that no driver knows speaks: where its stream says what happened, and what its
//! errors and exit codes mean.
//!
//! Owns the rules and how they are held against an event. Must not hold anything that is run: an
//! attempt's record keeps the dialect, so that a session which outlives the settings is judged by
//! the one that it was started with, and a session can write its own record.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::pure::report::ErrorType;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dialect {
    pub output: Output,
    /// What an error means. The first one that fits counts.
    #[serde(default)]
    pub failures: Vec<(ErrorType, Condition)>,
    /// How it says that it does not know the session that it should resume.
    #[serde(default)]
    pub session_unknown: Option<Condition>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Output {
    /// All of it is the result, and the exit code says whether it did well.
    Text,
    /// Lines of JSON.
    Stream(Box<StreamRules>),
}

/// Where a stream says what.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StreamRules {
    pub session: Option<Rule>,
    /// A message of the model.
    pub text: Option<Rule>,
    /// A call of a tool, by its name.
    pub tool: Option<Rule>,
    /// The final word of a session that did well.
    pub result: Option<Rule>,
    /// The final word of one that did not. On a line that is a result too, the result counts.
    pub error: Option<Rule>,
    pub resets_at: Option<Rule>,
    pub input_tokens: Option<Rule>,
    pub output_tokens: Option<Rule>,
    pub cost_usd: Option<Rule>,
}

/// A value in an event: of those events that have the other values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// `None`: that there is such an event is all it says.
    pub path: Option<JsonPath>,
    pub matches: Vec<Match>,
}

/// What must be there. `*` at an end of a text stands for anything.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Match {
    pub path: JsonPath,
    pub value: Value,
}

/// True if all values are there, or the exit code is one of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Condition {
    pub matches: Vec<Match>,
    pub exit_codes: Vec<i32>,
}

/// Words and indices: `error.details.0.reason`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JsonPath(Vec<String>);

impl JsonPath {
    pub(super) fn new(words: Vec<String>) -> JsonPath {
        JsonPath(words)
    }

    /// `None`: there is nothing, or `null`.
    pub fn find<'v>(&self, event: &'v Value) -> Option<&'v Value> {
        let step = |value: &'v Value, word: &String| match value {
            Value::Array(items) => items.get(word.parse::<usize>().ok()?),
            value => value.get(word),
        };
        self.0.iter().try_fold(event, step).filter(|value| !value.is_null())
    }
}

impl Match {
    pub fn holds(&self, event: &Value) -> bool {
        match (self.path.find(event), &self.value) {
            (Some(Value::String(found)), Value::String(wanted)) => fits(found, wanted),
            (Some(found), wanted) => found == wanted,
            (None, wanted) => wanted.is_null(),
        }
    }
}

fn fits(found: &str, wanted: &str) -> bool {
    match (wanted.strip_prefix('*'), wanted.strip_suffix('*')) {
        (Some(_), Some(_)) if wanted.len() > 1 => found.contains(&wanted[1..wanted.len() - 1]),
        (Some(end), _) => found.ends_with(end),
        (None, Some(beginning)) => found.starts_with(beginning),
        (None, None) => found == wanted,
    }
}

impl Rule {
    /// The value of an event that this rule is about; an event without a value is not.
    pub fn find<'v>(&self, event: &'v Value) -> Option<&'v Value> {
        if !self.matches.iter().all(|one| one.holds(event)) {
            return None;
        }
        match &self.path {
            Some(path) => path.find(event).filter(|value| **value != Value::Bool(false)),
            None => Some(event),
        }
    }
}

impl Condition {
    pub fn holds_of(&self, event: &Value) -> bool {
        !self.matches.is_empty() && self.matches.iter().all(|one| one.holds(event))
    }

    pub fn holds_at(&self, exit_code: i32) -> bool {
        self.exit_codes.contains(&exit_code)
    }
}
