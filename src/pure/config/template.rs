//! An agent that no driver knows, as an operator describes it: its arguments, how the prompt goes
//! in, and its [`Dialect`].
//!
//! Owns how that is written and which mistakes can be seen before anything runs. Paths into JSON
//! are words and indices with dots between them; conditions compare values. There is no query
//! language on purpose: what needs one needs a driver.

use serde_json::{Map, Value};

use super::dialect::{Condition, Dialect, JsonPath, Match, Output, Rule, StreamRules};
use super::placeholder::{check_known, placeholders};
use super::unknown;
use super::values::{strings, text, whole};
use crate::pure::report::ErrorType;
use crate::pure::text::clip::one_line;

/// The keys of an entry that make it a template, besides `args`.
pub const KEYS: [&str; 6] =
    ["output", "prompt", "resume_args", "stream", "failures", "session_unknown"];

pub const PLACEHOLDERS: [&str; 6] =
    ["session", "prompt_file", "project", "dir", "model", "permission_mode"];

/// What of a wrong value is shown, in characters.
const SHOWN_CHARS_MAX: usize = 100;
const CONDITIONS_MAX: usize = 20;

#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    pub args: Vec<String>,
    /// `None`: a session of it cannot be resumed.
    pub resume_args: Option<Vec<String>>,
    pub prompt: PromptWay,
    pub dialect: Dialect,
}

/// How the prompt goes in.
#[derive(Clone, Debug, PartialEq)]
pub enum PromptWay {
    Stdin,
    /// As a file that an argument names; stdin is empty.
    File,
    /// As one line of JSON on stdin; `{prompt}` in one of its texts stands for it.
    Line(Value),
}

impl Template {
    /// Of a session that runs: nothing can be started by it.
    pub fn of_dialect(dialect: Dialect) -> Template {
        Template { args: Vec::new(), resume_args: None, prompt: PromptWay::Stdin, dialect }
    }

    /// A placeholder for which no value was set would leave an argument without its meaning.
    pub(super) fn check_values(&self, has_model: bool, has_mode: bool) -> Result<(), String> {
        let is_used = |name: &str| self.all_args().any(|arg| arg.contains(&format!("{{{name}}}")));
        for (name, is_set) in [("model", has_model), ("permission_mode", has_mode)] {
            if is_used(name) && !is_set {
                return Err(format!("an argument has {{{name}}}, so {name} must be set"));
            }
        }
        Ok(())
    }

    fn all_args(&self) -> impl Iterator<Item = &String> {
        self.args.iter().chain(self.resume_args.iter().flatten())
    }

    fn check_placeholders(&self) -> Result<(), String> {
        check_known(self.all_args(), &PLACEHOLDERS)?;
        let has = |args: &[String], name: &str| {
            args.iter().any(|arg| placeholders(arg).any(|found| found == name))
        };
        let is_file = self.prompt == PromptWay::File;
        for (key, args) in [("args", Some(&self.args)), ("resume_args", self.resume_args.as_ref())]
        {
            match args.map(|args| has(args, "prompt_file")) {
                Some(false) if is_file => {
                    return Err(format!("{key}: no argument has {{prompt_file}}"));
                }
                Some(true) if !is_file => {
                    return Err(format!("{key}: {{prompt_file}} needs prompt: \"file\""));
                }
                Some(_) | None => {}
            }
        }
        match self.resume_args.as_ref().is_some_and(|args| !has(args, "session")) {
            true => Err("resume_args: no argument has {session}".into()),
            false => Ok(()),
        }
    }
}

/// `fields`: the whole entry; those that are not a template's were looked at before.
pub(super) fn template(fields: &Map<String, Value>, args: Vec<String>) -> Result<Template, String> {
    let get = |key: &str| fields.get(key);
    fn named<T>(key: &str, read: Result<T, String>) -> Result<T, String> {
        read.map_err(|e| format!("{key}: {e}"))
    }
    let resume_args = get("resume_args").map(|value| named("resume_args", strings(value)));
    let failures = get("failures").map(|value| named("failures", failures(value)));
    let unknown = get("session_unknown").map(|value| named("session_unknown", condition(value)));
    let found = Template {
        args,
        resume_args: resume_args.transpose()?,
        prompt: named("prompt", prompt(get("prompt")))?,
        dialect: Dialect {
            output: output(get("output"), get("stream"))?,
            failures: failures.transpose()?.unwrap_or_default(),
            session_unknown: unknown.transpose()?,
        },
    };
    found.check_placeholders()?;
    Ok(found)
}

fn prompt(value: Option<&Value>) -> Result<PromptWay, String> {
    match value {
        None => Ok(PromptWay::Stdin),
        Some(Value::String(word)) if word == "stdin" => Ok(PromptWay::Stdin),
        Some(Value::String(word)) if word == "file" => Ok(PromptWay::File),
        Some(line @ Value::Object(_)) if line.to_string().contains("{prompt}") => {
            Ok(PromptWay::Line(line.clone()))
        }
        Some(Value::Object(_)) => Err("no text in it has {prompt}".into()),
        Some(other) => Err(format!("{other} is neither stdin nor file nor a line of JSON")),
    }
}

fn output(output: Option<&Value>, stream: Option<&Value>) -> Result<Output, String> {
    match (output.and_then(Value::as_str), stream) {
        (Some("text"), None) => Ok(Output::Text),
        (Some("text"), Some(_)) => Err("stream: the output is text".into()),
        (Some("stream"), Some(rules)) => {
            let rules = stream_rules(rules).map_err(|e| format!("stream: {e}"))?;
            match rules.result.is_some() {
                true => Ok(Output::Stream(Box::new(rules))),
                false => Err("stream: result must say where its final word stands".into()),
            }
        }
        (Some("stream"), None) => Err("output: stream needs stream, with the paths into it".into()),
        _ => Err("output must be text or stream".into()),
    }
}

pub const RULE_KEYS: [&str; 9] = [
    "session",
    "text",
    "tool",
    "result",
    "error",
    "resets_at",
    "input_tokens",
    "output_tokens",
    "cost_usd",
];

fn stream_rules(value: &Value) -> Result<StreamRules, String> {
    let mut rules = StreamRules::default();
    for (key, value) in value.as_object().ok_or("it must be an object")? {
        let rule = || rule(value).map(Some).map_err(|e| format!("{key}: {e}"));
        match key.as_str() {
            "session" => rules.session = rule()?,
            "text" => rules.text = rule()?,
            "tool" => rules.tool = rule()?,
            "result" => rules.result = rule()?,
            "error" => rules.error = rule()?,
            "resets_at" => rules.resets_at = rule()?,
            "input_tokens" => rules.input_tokens = rule()?,
            "output_tokens" => rules.output_tokens = rule()?,
            "cost_usd" => rules.cost_usd = rule()?,
            key => return Err(unknown(key, RULE_KEYS)),
        }
    }
    Ok(rules)
}

/// A path, or an object with `path` and `where`.
fn rule(value: &Value) -> Result<Rule, String> {
    if value.is_string() {
        return Ok(Rule { path: Some(path(text(value)?)?), matches: Vec::new() });
    }
    let mut rule = Rule::default();
    for (key, value) in value.as_object().ok_or_else(|| format!("{value} is no path"))? {
        match key.as_str() {
            "path" => rule.path = Some(path(text(value)?)?),
            "where" => rule.matches = matches(value)?,
            key => return Err(unknown(key, ["path", "where"])),
        }
    }
    match rule.path.is_none() && rule.matches.is_empty() {
        true => Err("path or where is missing".into()),
        false => Ok(rule),
    }
}

fn matches(value: &Value) -> Result<Vec<Match>, String> {
    let entries = value.as_object().ok_or("where: it must be an object of paths and values")?;
    if entries.len() > CONDITIONS_MAX {
        return Err(format!("where: at most {CONDITIONS_MAX} values can be asked for"));
    }
    let one = |(key, value): (&String, &Value)| match value {
        Value::Array(_) | Value::Object(_) => Err(format!("where: {key}: it must be one value")),
        value => Ok(Match { path: path(key)?, value: value.clone() }),
    };
    entries.iter().map(one).collect()
}

fn path(text: &str) -> Result<JsonPath, String> {
    let words: Vec<String> = text.split('.').map(String::from).collect();
    match words.iter().any(String::is_empty) {
        true => Err(format!("{:?} is no path", one_line(text, SHOWN_CHARS_MAX))),
        false => Ok(JsonPath::new(words)),
    }
}

pub const CLASSES: [(&str, ErrorType); 8] = [
    ("rate_limit", ErrorType::RateLimit),
    ("usage_limit", ErrorType::UsageLimit),
    ("auth", ErrorType::Auth),
    ("billing", ErrorType::Billing),
    ("config", ErrorType::Config),
    ("context_overflow", ErrorType::ContextOverflow),
    ("logic_error", ErrorType::LogicError),
    ("tool_failure", ErrorType::ToolFailure),
];

fn failures(value: &Value) -> Result<Vec<(ErrorType, Condition)>, String> {
    let entries = value.as_object().ok_or("it must be an object with an entry for each class")?;
    let one = |(key, value): (&String, &Value)| {
        let class = CLASSES.iter().find(|(name, _)| name == key);
        let (_, class) = class.ok_or_else(|| unknown(key, CLASSES.map(|(name, _)| name)))?;
        Ok((*class, condition(value).map_err(|e| format!("{key}: {e}"))?))
    };
    entries.iter().map(one).collect()
}

fn condition(value: &Value) -> Result<Condition, String> {
    let mut found = Condition::default();
    for (key, value) in value.as_object().ok_or("it must be an object")? {
        match key.as_str() {
            "where" => found.matches = matches(value)?,
            "exit_codes" => {
                let codes = value.as_array().ok_or("exit_codes: it must be a list")?;
                let code = |code: &Value| match whole(code)? {
                    code @ 1..=255 => Ok(code as i32),
                    other => Err(format!("exit_codes: {other} is none of 1 to 255")),
                };
                found.exit_codes = codes.iter().map(code).collect::<Result<_, String>>()?;
            }
            key => return Err(unknown(key, ["where", "exit_codes"])),
        }
    }
    match found == Condition::default() {
        true => Err("where or exit_codes is missing".into()),
        false => Ok(found),
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
