//! `doctor`: its row.

use super::code::Code;
use super::row::{CommandRow, Verb};

pub const DOCTOR: &CommandRow = &CommandRow {
    verb: Verb::Doctor,
    name: "doctor",
    words: &[],
    options: &[],
    help: "look for what is wrong, and say what to type",
    more: "Looks at everything that the daemon needs: its folders, config.json, the agents and \
           their logins, the machine, the daemon itself, and the installed service, under whose \
           environment the agents are judged. It changes nothing.\n\
           A line is ok, warn, fail or skip; below warn and fail stands what to type.",
    examples: &["doctor", "doctor --json", "doctor --confine --claude ~/bin/claude"],
    codes: &[
        (Code::Done, "nothing fails"),
        (Code::NotDone, "something does"),
        (Code::WrongUsage, "wrong usage"),
    ],
    takes_settings: true,
};
