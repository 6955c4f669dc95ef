//! `submit`: its row, and what was asked, as a value.
//!
//! Whether an option's value could stand in a dispatch is for the rules of dispatches to say, not
//! for this file; it only says what contradicts itself on the command line.

use std::ffi::OsStr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::code::Code;
use super::row::{CommandRow, Count, OptionRow, ValueKind, Verb, WordRow};
use super::typed::Typed;
use crate::pure::dispatch::draft::TypedField;
use crate::pure::gate::key::KeyId;

/// Which key signs, where dispatches must be signed.
const KID: OptionRow = OptionRow::with_value(
    "--kid",
    "KID",
    ValueKind::Text,
    "the key that signs, if require_signature is on",
);

pub const SUBMIT: &CommandRow = &CommandRow {
    verb: Verb::Submit,
    name: "submit",
    words: &[WordRow::new("FILE", ValueKind::File, Count::AtMostOne)],
    options: &[
        OptionRow::with_value("--task", "T", ValueKind::Text, "what to do; - reads it from stdin"),
        OptionRow::with_value("--task-file", "F", ValueKind::File, "what to do, from a file"),
        OptionRow::with_value("--project", "P", ValueKind::Text, "its name; the directory's"),
        OptionRow::with_value(
            "--project-dir",
            "D",
            ValueKind::Directory,
            "where to work; the current directory",
        ),
        OptionRow::with_value("--id", "ID", ValueKind::Text, "dispatch- and ten letters or digits"),
        OptionRow::with_value("--dispatched-by", "W", ValueKind::Text, "who sends it; $USER"),
        OptionRow::with_value("--target-agent", "A", ValueKind::Text, "which agent; claude"),
        OptionRow::with_value("--ttl", "D", ValueKind::Span, "longest an attempt may take; 1h"),
        OptionRow::with_value("--constraint", "T", ValueKind::Text, "for the prompt; repeatable"),
        OptionRow::with_value("--learning", "T", ValueKind::Text, "for the prompt; repeatable"),
        OptionRow::with_value("--callback-url", "U", ValueKind::Text, "where the report is sent"),
        KID,
    ],
    help: "send a dispatch",
    more: "FILE, or - for stdin, is a dispatch in JSON. Options replace its fields; where none \
           does, its bytes go in unchanged. It is checked by the daemon's own rules first, and \
           nothing is dropped that they would refuse. Where no daemon runs, it waits for one.",
    examples: &[
        "submit --task 'fix the login test'",
        "submit --project-dir ~/git/shop --task-file plan.md",
        "submit dispatch.json",
    ],
    codes: &[
        (Code::Done, "it is dropped; the id is on stdout"),
        (Code::NotDone, "nothing is dropped: no dispatch, its id is taken, a full disk"),
        (Code::WrongUsage, "an option is wrong; nothing is dropped"),
    ],
    takes_settings: false,
};

/// Where a text comes from that can be long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextSource {
    Stdin,
    File(PathBuf),
}

/// What is to be sent.
#[derive(Debug, PartialEq)]
pub struct SubmitCall {
    /// A dispatch in JSON. `None`: the options make one.
    pub document: Option<TextSource>,
    /// The task, if it has to be read.
    pub task: Option<TextSource>,
    /// Relative to the current directory, or not.
    pub project_dir: Option<String>,
    /// The other fields, in the order of the options.
    pub fields: Vec<TypedField>,
    pub kid: Option<KeyId>,
}

impl SubmitCall {
    pub fn of(typed: &Typed) -> Result<SubmitCall, String> {
        let document = typed.words.first().map(|word| source(word));
        let task = typed.text("--task")?;
        let task_file = typed.value("--task-file").map(source);
        let (task, task_source) = match (task, task_file) {
            (Some(_), Some(_)) => return Err("say --task or --task-file, not both".into()),
            (Some("-"), None) => (None, Some(TextSource::Stdin)),
            (task, source) => (task, source),
        };
        if document == Some(TextSource::Stdin) && task_source == Some(TextSource::Stdin) {
            return Err("stdin cannot be both the dispatch and its task".into());
        }
        if document.is_none() && task.is_none() && task_source.is_none() {
            return Err(
                "say what to do: --task T, --task-file F, or a dispatch as FILE or -".into()
            );
        }
        let mut fields = Vec::new();
        let mut put = |option, key, value: Option<Value>| {
            fields.extend(value.map(|value| TypedField { option, key, value }));
        };
        put("--id", "id", typed.text("--id")?.map(Value::from));
        put("--dispatched-by", "dispatched_by", typed.text("--dispatched-by")?.map(Value::from));
        put("--task", "task", task.map(Value::from));
        put("--project", "project", typed.text("--project")?.map(Value::from));
        put("--target-agent", "target_agent", typed.text("--target-agent")?.map(Value::from));
        put("--constraint", "constraints", list(typed.texts("--constraint")?));
        put("--learning", "learnings", list(typed.texts("--learning")?));
        put("--callback-url", "callback_url", typed.text("--callback-url")?.map(Value::from));
        put("--ttl", "ttl_seconds", typed.seconds("--ttl").map(Value::from));
        Ok(SubmitCall {
            document,
            task: task_source,
            project_dir: typed.text("--project-dir")?.map(String::from),
            fields,
            kid: kid(typed)?,
        })
    }
}

fn source(word: &OsStr) -> TextSource {
    if word == "-" { TextSource::Stdin } else { TextSource::File(word.into()) }
}

fn list(texts: Vec<&str>) -> Option<Value> {
    (!texts.is_empty()).then(|| json!(texts))
}

fn kid(typed: &Typed) -> Result<Option<KeyId>, String> {
    let kid = |text| {
        let wrong = || format!("--kid: {text} is no name of a key: 1 to 32 of A-Z a-z 0-9 _ -");
        match KeyId::parse(text) {
            Some(kid @ KeyId::Hmac(_)) => Ok(kid),
            Some(KeyId::Ed25519(_)) | None => Err(wrong()),
        }
    };
    typed.text("--kid")?.map(kid).transpose()
}
