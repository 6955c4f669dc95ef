//! What `help` was asked; and a topic of the reference with its tables, some of which come from the
//! code: fields, settings, exit codes.
//!
//! Owns how a row of a table becomes an entry of a page. The rows have their homes elsewhere.

use super::code::Code;
use super::row::CommandRow;
use super::table::{self, COMMANDS};
use super::typed::Typed;
use crate::pure::config::{Reload, SETTINGS, Setting};
use crate::pure::reference::config_fields::{AGENT_KEYS, STREAM_KEYS, TEMPLATE_KEYS};
use crate::pure::reference::dispatch_fields::DISPATCH;
use crate::pure::reference::field::FieldRow;
use crate::pure::reference::markup::{self, Block, PageEntry};
use crate::pure::reference::page;
use crate::pure::reference::report_fields::REPORT;
use crate::pure::reference::status_fields::{BOTH, HEARTBEAT, RECORD, STATUS};
use crate::pure::reference::topic::{self, TOPICS, Topic};
use crate::pure::text::nearest::nearest;

/// What is explained.
#[derive(Debug)]
pub enum HelpCall {
    Program,
    /// One of them is there at least.
    Word(Option<&'static CommandRow>, Option<&'static Topic>),
}

impl HelpCall {
    pub fn of(typed: &Typed) -> Result<HelpCall, String> {
        let Some(word) = typed.word(0)? else { return Ok(HelpCall::Program) };
        let (row, topic) = (table::find(word), topic::find(word));
        if row.is_none() && topic.is_none() {
            let names = TOPICS.iter().map(|topic| topic.name);
            let meant = nearest(word, names.chain(COMMANDS.iter().map(|row| row.name)));
            let meant = meant.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
            return Err(format!("there is no command or topic {word}{meant} (see help)"));
        }
        Ok(HelpCall::Word(row, topic))
    }
}

/// The topic as text of 80 columns.
pub fn text(topic: &Topic) -> String {
    page::text(&blocks(topic))
}

/// The topic as the parts of a page.
pub fn blocks(topic: &Topic) -> Vec<Block> {
    markup::blocks(topic.text, &generated)
}

/// What a line `<!-- name -->` stands for.
fn generated(name: &str) -> Vec<PageEntry> {
    match name {
        "fields of a dispatch" => fields(DISPATCH.iter(), true),
        "fields of a report" => fields(REPORT.iter(), false),
        "fields of the heartbeat" => fields(BOTH.iter().chain(HEARTBEAT), false),
        "fields of the status" => fields(STATUS.iter(), false),
        "fields of a record" => fields(RECORD.iter(), false),
        "settings" => settings(),
        "keys of an agent" => keys(AGENT_KEYS),
        "keys of an agent of your own" => keys(TEMPLATE_KEYS),
        "keys of its stream" => keys(STREAM_KEYS),
        "exit codes" => codes(),
        "exit codes of the commands" => codes_of_commands(),
        _ => Vec::new(),
    }
}

/// Each field, and behind it those of the objects in it. Where most may be absent it is not said
/// which must be there.
fn fields<'r>(rows: impl Iterator<Item = &'r FieldRow>, tells_required: bool) -> Vec<PageEntry> {
    let mut entries = Vec::new();
    for row in rows {
        let need = if tells_required && row.is_required { "required; " } else { "" };
        entries.push(PageEntry::new(row.shown_name(), format!("{need}{}", row.help)));
        for inner in fields(row.inner().iter(), false) {
            entries.push(PageEntry { depth: inner.depth + 1, ..inner });
        }
    }
    entries
}

fn keys(rows: &[(&'static str, &'static str)]) -> Vec<PageEntry> {
    rows.iter().map(|(key, help)| PageEntry::new(*key, *help)).collect()
}

fn settings() -> Vec<PageEntry> {
    let one = |setting: &Setting| {
        let mark = match setting.reload {
            Reload::Live => "",
            Reload::Restart => " ↻",
        };
        let (help, usage, default) = (setting.help, setting.usage(), setting.default);
        // A row is no text with marks.
        let said = format!("{help}. {usage}; default: {default}").replace('*', "\\*");
        PageEntry::new(format!("{}{mark}", setting.key), said)
    };
    SETTINGS.iter().map(one).collect()
}

fn codes() -> Vec<PageEntry> {
    Code::ALL.iter().map(|code| PageEntry::new(code.number().to_string(), code.meaning())).collect()
}

fn codes_of_commands() -> Vec<PageEntry> {
    let mut entries = Vec::new();
    for row in COMMANDS {
        entries.push(PageEntry::new(row.name, row.help));
        entries.extend(row.codes.iter().map(|(code, meaning)| PageEntry {
            depth: 1,
            ..PageEntry::new(code.number().to_string(), *meaning)
        }));
    }
    entries
}

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;
