//! The driver of an agent that the operator describes: what a [`Template`] of `config.json` says,
//! done. Its stream is read in `stream`.
//!
//! Owns the arguments, the form of the prompt, and what an exit code means for such an agent. Must
//! not guess: an agent whose output is plain text has succeeded only if it exited with 0, and one
//! with a stream only by its own final event.

mod items;
mod stream;

use serde_json::Value;

use super::environment::Variables;
use super::{
    Checkup, Driver, Failure, ItemReader, Launch, Reader, ResultEvent, SessionRef, Summary,
};
use crate::pure::config::dialect::Output;
use crate::pure::config::placeholder::{fill, placeholders, plain_name};
use crate::pure::config::template::{PromptWay, Template};
use crate::pure::report::{ERROR_CHARS_MAX, ErrorType};
use crate::pure::text::clip::one_line;

/// Where installers put programs; cron's and systemd's PATH have few of these.
const PLACES: &[&str] = &["~/.local/bin", "~/bin", "/usr/local/bin", "/opt/homebrew/bin"];
const ID_CHARS_MAX: usize = 128;

/// A row for the table. Its name is its program's, unless the settings name another one.
pub(super) fn driver(name: &'static str, template: &'static Template) -> Driver {
    Driver {
        name,
        program: name,
        places: PLACES,
        named: |_| None,
        variables: Variables { set: &[], withheld: &[], kept: &[] },
        hides_git_identity: false,
        argv: |_| Vec::new(),
        reader: || Box::new(stream::TextReader),
        items: || Box::new(items::TextItems),
        takes_session_id: template.args.iter().any(|arg| has_session(arg)),
        start_lines: 0,
        start_failure: |_| None,
        exit_failure: |_, _, _| None,
        session_is_gone: |_, _| false,
        resume_words: |_| Vec::new(),
        homes: &[],
        own_record: None,
        self_check: None,
        own_state: &[],
        mode_when_confined: None,
        permission_modes: &[],
        ask_nobody: None,
        checkup: Checkup::NONE,
        template: Some(template),
    }
}

pub(super) fn argv(template: &Template, launch: &Launch) -> Vec<String> {
    let (args, session) = match (&launch.session, &template.resume_args) {
        (SessionRef::Resume(id), Some(args)) => (args, id),
        (SessionRef::New(id) | SessionRef::Resume(id), _) => (&template.args, id),
    };
    let terms = launch.terms;
    let project = plain_name(launch.project);
    let value = |name: &str| match name {
        "session" => session.as_str(),
        "prompt_file" => launch.prompt_file,
        "project" => &project,
        "dir" => launch.dir,
        "model" => terms.model.as_deref().unwrap_or_default(),
        "permission_mode" => terms.permission_mode.as_deref().unwrap_or_default(),
        _ => "",
    };
    let filled = args.iter().map(|arg| fill(arg, &value));
    filled.chain(terms.extra_args.iter().cloned()).collect()
}

fn has_session(arg: &str) -> bool {
    placeholders(arg).any(|name| name == "session")
}

/// What is written for the session to read.
pub(super) fn prompt(template: &Template, prompt: String) -> String {
    match &template.prompt {
        PromptWay::Stdin | PromptWay::File => prompt,
        PromptWay::Line(line) => format!("{}\n", with_prompt(line, &prompt)),
    }
}

fn with_prompt(line: &Value, prompt: &str) -> Value {
    match line {
        Value::String(text) => text.replace("{prompt}", prompt).into(),
        Value::Array(items) => items.iter().map(|item| with_prompt(item, prompt)).collect(),
        Value::Object(entries) => {
            let filled =
                entries.iter().map(|(key, value)| (key.clone(), with_prompt(value, prompt)));
            Value::Object(filled.collect())
        }
        other => other.clone(),
    }
}

pub(super) fn reader(template: &'static Template) -> Box<dyn Reader> {
    match &template.dialect.output {
        Output::Text => Box::new(stream::TextReader),
        Output::Stream(rules) => Box::new(stream::RuleReader { rules, dialect: &template.dialect }),
    }
}

pub(super) fn items(template: &'static Template) -> Box<dyn ItemReader> {
    match &template.dialect.output {
        Output::Text => Box::new(items::TextItems),
        Output::Stream(rules) => Box::new(items::RuleItems { rules }),
    }
}

/// After the agent's own end: what its exit code adds to what it wrote.
pub(super) fn conclude(template: &Template, summary: &mut Summary, code: i32) {
    let class = template.dialect.failures.iter().find(|(_, condition)| condition.holds_at(code));
    let class = class.map(|(class, _)| *class);
    if template.dialect.session_unknown.as_ref().is_some_and(|condition| condition.holds_at(code)) {
        summary.session_is_unknown = true;
    }
    if summary.session_is_unknown {
        // Whatever it wrote, it was no answer.
        summary.assistant_turns = 0;
    }
    match (&mut summary.result, class) {
        (Some(result), Some(class)) => {
            // Its own final event has said why, if it has said so more exactly.
            if let Some(failure) = &mut result.failure
                && failure.error_type == ErrorType::ToolFailure
            {
                failure.error_type = class;
            }
        }
        (None, Some(error_type)) => {
            let said = summary.last_text.as_deref().unwrap_or_default();
            let message = one_line(&format!("exit code {code}: {said}"), ERROR_CHARS_MAX);
            let message = message.trim_end_matches([':', ' ']).to_string();
            let failure = Some(Failure { error_type, message });
            summary.result = Some(ResultEvent { failure, ..ResultEvent::default() });
        }
        (None, None) if template.dialect.output == Output::Text && code == 0 => {
            let text = summary.last_text.clone();
            summary.result = Some(ResultEvent { text, ..ResultEvent::default() });
        }
        (Some(_) | None, None) => {}
    }
}

/// It may become an argument, so it has to look like an id.
fn session_id(value: &Value) -> Option<String> {
    let id = value.as_str()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_id = id.bytes().all(is_plain) && (1..=ID_CHARS_MAX).contains(&id.len());
    (is_id && !id.starts_with(['-', '.'])).then(|| id.to_string())
}

#[cfg(test)]
#[path = "generic_tests.rs"]
mod tests;
