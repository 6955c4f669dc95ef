//! The command line: what was typed, as a value. Must not read anything but its arguments, so that
//! `--help` and `--version` work whatever the state of the machine.
//!
//! One parser serves all commands, by their rows. What stands before the first word, or behind
//! `run`, is for the daemon, which the seed started without any word.

use std::ffi::{OsStr, OsString};

use lexopt::Arg::{Long, Short, Value as Word};
use lexopt::Parser;

use super::row::{CommandRow, Count, OptionRow, ValueKind, Verb};
use super::table::COMMANDS;
use super::typed::Typed;
use crate::pure::config::flags;
use crate::pure::human::span;
use crate::pure::text::nearest::nearest;

#[derive(Debug, PartialEq)]
pub enum Command {
    /// Run the daemon.
    Run(Typed),
    /// Any other command.
    Other(Typed),
    /// The help of that command, or of all.
    Help(Option<&'static CommandRow>),
    Version,
}

/// `args` comes without the program's own name. The error is one line for the user.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Command, String> {
    let mut parser = Parser::from_args(args);
    let mut typed = Typed::new(super::run::ROW);
    let mut is_named = false;
    while let Some(arg) = parser.next().map_err(|e| e.to_string())? {
        let is_run = typed.verb() == Verb::Run;
        match arg {
            Short('h') | Long("help") => return Ok(Command::Help((!is_run).then_some(typed.row))),
            Short('V') | Long("version") if is_run => return Ok(Command::Version),
            Word(word) if !is_named => {
                typed.row = command_of(&word, &typed)?;
                is_named = true;
            }
            Word(word) => typed.words.push(word),
            Long(name) => {
                let name = format!("--{name}");
                take_option(&mut typed, &name, &mut parser)?;
            }
            Short(letter) => {
                let mut options = typed.row.all_options();
                let option = options.find(|option| option.short == Some(letter));
                let option = option.ok_or_else(|| unknown(&format!("-{letter}"), typed.row))?;
                take(&mut typed, option, &mut parser)?;
            }
        }
    }
    check_words(&typed)?;
    Ok(if typed.verb() == Verb::Run { Command::Run(typed) } else { Command::Other(typed) })
}

/// Another command takes none of the daemon's flags before its name.
fn command_of(word: &OsStr, typed: &Typed) -> Result<&'static CommandRow, String> {
    let row = COMMANDS.iter().find(|row| word == row.name);
    match row {
        Some(row) if row.verb == Verb::Run || typed.is_bare() => Ok(row),
        Some(row) => Err(format!("{} comes before its options: {} …", row.name, row.name)),
        None => {
            let word = word.to_string_lossy();
            let meant = nearest(&word, COMMANDS.iter().map(|row| row.name));
            Err(format!("unknown command: {word}{} (see --help)", did_you_mean("", meant)))
        }
    }
}

fn take_option(typed: &mut Typed, name: &str, parser: &mut Parser) -> Result<(), String> {
    if let Some(option) = typed.row.option(name) {
        return take(typed, option, parser);
    }
    if !typed.row.takes_settings {
        return Err(unknown(name, typed.row));
    }
    let setting = flags::find(name).ok_or_else(|| unknown(name, typed.row))?;
    let value = flags::typed_value(setting, name, parser)?;
    typed.flags.push(setting, value);
    Ok(())
}

fn take(typed: &mut Typed, option: &'static OptionRow, parser: &mut Parser) -> Result<(), String> {
    let name = option.name;
    let value = match &option.value {
        None => None,
        Some(value) => {
            let given =
                parser.value().map_err(|_| format!("{name} needs a value: {}", value.label));
            let given = given?;
            check(value.kind, &given).map_err(|why| format!("{name}: {why}"))?;
            Some(given)
        }
    };
    typed.options.push((name, value));
    Ok(())
}

/// Why a value is none of its kind.
fn check(kind: ValueKind, value: &OsStr) -> Result<(), String> {
    let shown = value.to_string_lossy();
    match kind {
        ValueKind::Text | ValueKind::Id | ValueKind::File | ValueKind::Directory => Ok(()),
        ValueKind::Choice(choices) if choices.contains(&&*shown) => Ok(()),
        ValueKind::Choice(choices) => {
            let meant = did_you_mean("", nearest(&shown, choices.iter().copied()));
            Err(format!("{shown:?} is none of {}{meant}", choices.join(", ")))
        }
        ValueKind::Span if span::parse(&shown).is_some() => Ok(()),
        ValueKind::Span => Err(format!("{shown:?} is no duration: 90, 90s, 15m, 2h, 7d")),
        ValueKind::Number if shown.parse::<u64>().is_ok() => Ok(()),
        ValueKind::Number => Err(format!("{shown:?} is not a number")),
    }
}

fn check_words(typed: &Typed) -> Result<(), String> {
    let CommandRow { name, words: rows, .. } = typed.row;
    let mut words = typed.words.iter();
    for row in *rows {
        let count = match row.count {
            Count::One | Count::AtMostOne => 1,
            Count::OneOrMore | Count::Any => usize::MAX,
        };
        let is_needed = matches!(row.count, Count::One | Count::OneOrMore);
        let taken: Vec<&OsString> = words.by_ref().take(count).collect();
        if taken.is_empty() && is_needed {
            return Err(format!("{name} needs {} (see {name} --help)", what(row.kind, row.label)));
        }
        for word in taken {
            check(row.kind, word).map_err(|why| format!("{name}: {why}"))?;
        }
    }
    match words.next() {
        None => Ok(()),
        Some(word) => {
            Err(format!("{name}: {} is too much (see {name} --help)", word.to_string_lossy()))
        }
    }
}

fn what(kind: ValueKind, label: &str) -> String {
    match kind {
        ValueKind::Id => "the id of a dispatch".into(),
        ValueKind::Choice(choices) => format!("one of {}", choices.join(", ")),
        ValueKind::Text
        | ValueKind::File
        | ValueKind::Directory
        | ValueKind::Span
        | ValueKind::Number => label.into(),
    }
}

fn unknown(option: &str, row: &CommandRow) -> String {
    let own = row.all_options().map(|option| option.name.trim_start_matches('-').to_string());
    let settings = row.takes_settings.then(flags::names).into_iter().flatten();
    let names: Vec<String> = own.chain(settings).collect();
    let meant = nearest(option.trim_start_matches('-'), names.iter().map(String::as_str));
    let help = match row.verb {
        Verb::Run => String::from("--help"),
        _ => format!("{} --help", row.name),
    };
    format!("unknown option: {option}{} (see {help})", did_you_mean("--", meant))
}

fn did_you_mean(dashes: &str, meant: Option<&str>) -> String {
    meant.map(|name| format!("; did you mean {dashes}{name}?")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::config::Settings;

    fn typed(words: &[&str]) -> Result<Command, String> {
        parse(words.iter().map(OsString::from))
    }

    fn settings(words: &[&str]) -> Result<Settings, String> {
        match typed(words)? {
            Command::Run(typed) => {
                let mut settings = Settings::default();
                typed.flags.apply(&mut settings)?;
                Ok(settings)
            }
            other => Err(format!("{other:?}")),
        }
    }

    #[test]
    fn the_seeds_flags_work() {
        let s = settings(&["--max-concurrent", "3", "--local-only"]).expect("flags");
        assert!(s.max_concurrent == 3 && s.local_only);
        assert_eq!(settings(&["run", "--max-concurrent=4"]).expect("flags").max_concurrent, 4);
        assert!(settings(&["--local-only", "run"]).expect("flags").local_only);
        assert_eq!(settings(&[]).expect("no flags"), Settings::default());
    }

    #[test]
    fn wrong_usage_names_what_was_typed_and_the_nearest_name() {
        for (words, want) in [
            (&["--max-conc", "3"][..], "unknown option: --max-conc (see --help)"),
            (
                &["--max-concurent", "3"],
                "unknown option: --max-concurent; did you mean --max-concurrent? (see --help)",
            ),
            (&["--max-concurrent"], "--max-concurrent needs a value: N"),
            (&["--max-concurrent", "x"], "--max-concurrent: \"x\" is not a number"),
            (&["start"], "unknown command: start (see --help)"),
            (&["aprove"], "unknown command: aprove; did you mean approve? (see --help)"),
            (&["-x"], "unknown option: -x (see --help)"),
            (&["run", "run"], "run: run is too much (see run --help)"),
            (&["--local-only", "sign"], "sign comes before its options: sign …"),
            (&["deny"], "deny needs the id of a dispatch (see deny --help)"),
            (&["deny", "a", "b"], "deny: b is too much (see deny --help)"),
            (
                &["deny", "a", "--jso"],
                "unknown option: --jso; did you mean --json? (see deny --help)",
            ),
            (&["deny", "a", "--reason"], "--reason needs a value: TEXT"),
            (
                &["deny", "a", "--color=alwys"],
                "--color: \"alwys\" is none of auto, always, never; did you mean always?",
            ),
            (&["deny", "a", "--json=x"], "unexpected argument for option '--json': \"x\""),
        ] {
            assert_eq!(typed(words).map(|_| ()), Err(want.to_string()), "{words:?}");
        }
    }

    #[test]
    fn options_stand_before_or_behind_words_until_two_dashes_end_them() {
        let of = |words: &[&str]| match typed(words).expect("typed") {
            Command::Other(typed) => typed,
            other => panic!("{other:?}"),
        };
        for words in [
            &["deny", "--json", "--reason", "x", "--color=never", "a"][..],
            &["deny", "a", "--color", "never", "--reason=x", "--json"],
            &["deny", "--json", "--reason=y", "--reason=x", "--color", "never", "--", "a"],
        ] {
            let typed = of(words);
            assert_eq!(typed.words, ["a"]);
            assert!(typed.is_json() && typed.text("--reason") == Ok(Some("x")), "{words:?}");
        }
        assert_eq!(of(&["deny", "--", "--json"]).words, ["--json"]);
        assert_eq!(of(&["sign", "-"]).words, ["-"]);
    }

    #[test]
    fn help_and_version_need_nothing_else() {
        assert_eq!(typed(&["--help"]), Ok(Command::Help(None)));
        assert_eq!(typed(&["run", "-h"]), Ok(Command::Help(None)));
        assert_eq!(
            typed(&["sign", "x", "y", "-h"]),
            Ok(Command::Help(super::super::table::find("sign")))
        );
        assert_eq!(typed(&["run", "-V"]), Ok(Command::Version));
        assert!(typed(&["sign", "-V"]).is_err());
    }
}
