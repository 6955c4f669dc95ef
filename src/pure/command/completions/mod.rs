//! Completions for shells, made from the table of commands: names, options, values, and ids by
//! `list --ids`.
//!
//! Owns what can stand where; how a shell says it is in that shell's file. They complete what
//! stands in the first place as the command, as the parser does.

mod bash;
mod fish;
mod zsh;

use super::explain::Shell;
use super::row::{CommandRow, OptionRow, ValueKind, Verb};
use super::table::COMMANDS;
use crate::pure::config::{SETTINGS, Setting};
use crate::pure::reference::schema_of_config::choices_of;
use crate::pure::reference::topic::TOPICS;

pub fn of(shell: Shell) -> String {
    match shell {
        Shell::Bash => bash::script(),
        Shell::Zsh => zsh::script(),
        Shell::Fish => fish::script(),
    }
}

/// What asks for the ids of dispatches: all that are open, and so many of those that have ended.
const IDS: &str = "list --ids --limit 200";

/// What can be completed in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Hint {
    /// Nothing that a shell could know.
    Nothing,
    Words(Vec<String>),
    Ids,
    Files,
    Directories,
}

/// An option of a command, or a setting's flag.
struct Flag {
    /// With its dashes.
    name: String,
    short: Option<char>,
    help: String,
    /// `None`: it takes no value.
    value: Option<(String, Hint)>,
}

fn flags_of(row: &CommandRow) -> Vec<Flag> {
    let help =
        Flag { name: "--help".into(), short: Some('h'), help: "what it does".into(), value: None };
    row.all_options().map(Flag::of_option).chain([help]).collect()
}

fn settings() -> Vec<Flag> {
    SETTINGS.iter().map(Flag::of_setting).collect()
}

impl Flag {
    fn of_option(option: &OptionRow) -> Flag {
        let value = option.value.as_ref();
        let value = value.map(|value| (value.label.to_string(), hint(value.kind)));
        Flag { name: option.name.into(), short: option.short, help: option.help.into(), value }
    }

    fn of_setting(setting: &Setting) -> Flag {
        let hint = match (setting.value, choices_of(setting)) {
            ("PATH", _) => Hint::Files,
            (_, words) if !words.is_empty() => {
                Hint::Words(words.into_iter().map(String::from).collect())
            }
            (_, _) => Hint::Nothing,
        };
        // What may stand without its value takes it behind `=` alone.
        let takes = !setting.value.is_empty() && !setting.value.starts_with('[');
        let value = takes.then(|| (setting.value.to_string(), hint));
        Flag { name: setting.flag(), short: None, help: setting.help.into(), value }
    }
}

fn hint(kind: ValueKind) -> Hint {
    match kind {
        ValueKind::Choice(words) => {
            Hint::Words(words.iter().map(|word| word.to_string()).collect())
        }
        ValueKind::Id => Hint::Ids,
        ValueKind::File => Hint::Files,
        ValueKind::Directory => Hint::Directories,
        ValueKind::Text | ValueKind::Span | ValueKind::Number => Hint::Nothing,
    }
}

/// What the words of a command are, in order.
fn hints_of(row: &CommandRow) -> Vec<Hint> {
    if row.verb == Verb::Help {
        let names =
            COMMANDS.iter().map(|row| row.name).chain(TOPICS.iter().map(|topic| topic.name));
        let mut names: Vec<String> = names.map(String::from).collect();
        names.sort();
        names.dedup();
        return vec![Hint::Words(names)];
    }
    row.words.iter().map(|word| hint(word.kind)).collect()
}

/// A text between single quotes of any shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "’"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_option_and_setting_is_in_each_shell_s_file() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = of(shell);
            // fish has long options without their dashes.
            let shown = |name: &str| match shell {
                Shell::Fish => format!("-l {} ", name.trim_start_matches('-')),
                Shell::Bash | Shell::Zsh => name.to_string(),
            };
            for row in COMMANDS {
                assert!(script.contains(row.name), "{shell:?}: {}", row.name);
                for option in row.all_options() {
                    assert!(script.contains(&shown(option.name)), "{shell:?}: {}", option.name);
                }
            }
            for setting in SETTINGS {
                assert!(script.contains(&shown(&setting.flag())), "{shell:?}: {}", setting.key);
            }
            assert!(script.contains(IDS) && script.contains("exit-codes"), "{shell:?}");
        }
    }
}
