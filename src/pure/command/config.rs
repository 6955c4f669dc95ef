//! `config show` and `config check`: their row, and what was asked, as a value.

use std::path::PathBuf;

use super::code::Code;
use super::row::{CommandRow, Count, ValueKind, Verb, WordRow};
use super::typed::Typed;

pub const CONFIG: &CommandRow = &CommandRow {
    verb: Verb::Config,
    name: "config",
    words: &[
        WordRow::new("WHAT", ValueKind::Choice(&["show", "check"]), Count::One),
        WordRow::new("FILE", ValueKind::File, Count::AtMostOne),
    ],
    options: &[],
    help: "show the settings in force, or check a file",
    more: "config show prints each setting of a daemon that is started here and now with the \
           flags that follow: its key, its value, and where that is from (default, file, \
           environment, flag). config check FILE says what is wrong with a config.json, with the \
           line.",
    examples: &["config show", "config show --max-concurrent 4 --json", "config check new.json"],
    codes: &[
        (Code::Done, "shown; the file is right"),
        (Code::NotDone, "there is a mistake in the file, or it cannot be read"),
        (Code::WrongUsage, "wrong usage"),
    ],
    takes_settings: true,
};

/// What is wanted of the settings.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigCall {
    Show,
    Check(PathBuf),
}

impl ConfigCall {
    pub fn of(typed: &Typed) -> Result<ConfigCall, String> {
        let file = typed.words.get(1).map(PathBuf::from);
        match (typed.word(0)?, file) {
            (Some("show"), None) => Ok(ConfigCall::Show),
            (Some("show"), Some(_)) => {
                Err("config show takes no file: say config check FILE".into())
            }
            (_, Some(file)) => Ok(ConfigCall::Check(file)),
            (_, None) => Err("config check needs FILE".into()),
        }
    }
}
