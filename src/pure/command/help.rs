//! Help: of the program, and of each command, from the rows. 80 columns are enough for all of it.
//!
//! Owns how a row becomes text; must not know a command by name.

use super::row::{CommandRow, OptionRow, Verb};
use super::table::COMMANDS;
use crate::pure::config::{Reload, SETTINGS};
use crate::pure::human::paragraph::{self, wrapped};
use crate::pure::reference::topic::TOPICS;

pub const PROGRAM: &str = "gstack-dispatch-daemon";
/// Where what is said about an option begins.
const HELP_COLUMN: usize = 27;

pub(super) const INTRODUCTION: &str =
    "gstack-dispatch-daemon: hands coding dispatches to a headless coding agent

Usage: gstack-dispatch-daemon [run] [OPTIONS]
       gstack-dispatch-daemon COMMAND …

Watches $GSTACK_HOME/dispatch (default ~/.gstack/dispatch) for
dispatch-*.json, runs one session of a coding agent (Claude Code, unless
target_agent names another one) for each in its project, and answers with
completed/<id>.json. Stays in the foreground; a second daemon on the same
directory exits quietly with 0.
";

pub(super) const SIGNALS: &str = "
Signals: SIGTERM and SIGINT stop the intake and wait for running sessions; a
second one ends them now. SIGHUP reads config.json again; what counts only
after a restart is marked above.
Exit codes: 0 done (or already running), 1 failed, 2 wrong usage.
";

/// The help of the whole program, with the daemon's flags.
pub fn of_program() -> String {
    let mut text = String::from(INTRODUCTION);
    text += "\nCommands, which work whether or not the daemon runs (COMMAND --help says more):\n";
    for row in COMMANDS {
        text += &entry(&row.usage(), row.help);
    }
    text += "\nTopics (help TOPIC):\n";
    for topic in TOPICS {
        text += &entry(topic.name, topic.help);
    }
    text += "\nOptions of the daemon (each is also a variable GSTACK_DISPATCHD_<KEY> and a key\n\
             of $GSTACK_HOME/dispatchd/config.json; flags come first, then variables, then\n\
             the file):\n";
    for setting in SETTINGS {
        let later = match setting.reload {
            Reload::Live => "",
            Reload::Restart => ", needs a restart",
        };
        let (key, default) = (setting.key, setting.default);
        let said = format!("{} [key: {key}, default: {default}{later}]", setting.help);
        text += &entry(&setting.usage(), &said);
    }
    for option in super::run::ROW.options {
        text += &entry(&option.usage(), option.help);
    }
    text += &entry("-h, --help", "this text");
    text += &entry("-V, --version", "the version");
    text + SIGNALS
}

/// The help of one command.
pub fn of_command(row: &CommandRow) -> String {
    if row.verb == Verb::Run {
        return of_program();
    }
    let mut text = String::new();
    let usage = format!("Usage: {PROGRAM} {}{}", row.usage(), usage_of_options(row));
    text += &wrapped(&usage, 0, 7);
    text += "\n";
    text += &wrapped(&format!("{}: {}.", row.name, row.help), 0, 0);
    for paragraph in row.more.split('\n').filter(|paragraph| !paragraph.is_empty()) {
        text += "\n";
        text += &wrapped(paragraph, 0, 0);
    }
    text += "\nOptions:\n";
    for option in row.all_options() {
        text += &entry(&option.usage(), option.help);
    }
    text += &entry("-h, --help", "this text");
    if row.takes_settings {
        text += "\nThe daemon's own flags may stand here too (see --help).\n";
    }
    if !row.examples.is_empty() {
        text += "\nExamples:\n";
        for example in row.examples {
            text += &format!("  {PROGRAM} {example}\n");
        }
    }
    text += "\nExit codes:\n";
    for (code, meaning) in row.codes {
        text += &wrapped(&format!("  {:<4} {meaning}", code.number()), 0, 7);
    }
    text
}

fn usage_of_options(row: &CommandRow) -> String {
    let one = |option: &OptionRow| {
        // It must not be broken inside its brackets.
        format!(" [{}]", option.usage().replace(' ', "\u{a0}"))
    };
    row.options.iter().map(one).collect::<String>() + " [--json]"
}

/// An option or a command, with what is said about it.
fn entry(usage: &str, said: &str) -> String {
    paragraph::entry(usage, said, 2, HELP_COLUMN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::human::paragraph::COLUMNS;
    use crate::pure::human::width;

    #[test]
    fn every_help_fits_eighty_columns() {
        let mut texts: Vec<String> = COMMANDS.iter().map(|row| of_command(row)).collect();
        texts.push(of_program());
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(width::of(line) <= COLUMNS, "{} columns: {line}", width::of(line));
        }
    }

    #[test]
    fn the_help_of_a_command_has_all_that_its_row_has() {
        for row in COMMANDS.iter().filter(|row| row.verb != Verb::Run) {
            let text = of_command(row);
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for option in row.all_options() {
                assert!(text.contains(&option.usage()), "{}: {}", row.name, option.name);
            }
            assert!(!row.examples.is_empty() && !row.codes.is_empty(), "{}", row.name);
            for (_, meaning) in row.codes {
                assert!(flat.contains(meaning), "{}: {meaning}: {text}", row.name);
            }
            assert!(of_program().contains(row.help), "{}", row.name);
        }
    }

    #[test]
    fn every_setting_has_its_flag_in_the_help() {
        for setting in SETTINGS {
            assert!(of_program().contains(&setting.flag()), "{}", setting.key);
        }
    }
}
