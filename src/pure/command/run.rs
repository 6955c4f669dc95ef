//! `run`: the daemon itself, which needs no word either.

use super::code::Code;
use super::row::{CommandRow, OptionRow, Verb};
use super::typed::Typed;

const ONCE: &str = "--once";

/// When a daemon ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunUntil {
    Stopped,
    /// Only what waits for a person, for a time or for the end of a pause is left.
    WorkedOff,
}

impl RunUntil {
    pub fn of(typed: &Typed) -> RunUntil {
        if typed.has(ONCE) { RunUntil::WorkedOff } else { RunUntil::Stopped }
    }
}

pub const ROW: &CommandRow = &CommandRow {
    verb: Verb::Run,
    name: "run",
    words: &[],
    options: &[OptionRow::flag(
        ONCE,
        "work off what is there, a retry that backs off too, and end",
    )],
    help: "the daemon; without any command, too",
    more: "",
    examples: &[],
    codes: &[
        (Code::Done, "it ended, or another daemon runs already"),
        (
            Code::NotDone,
            "it could not start, had to end sessions as it stopped, or could not work all off",
        ),
    ],
    takes_settings: true,
};
