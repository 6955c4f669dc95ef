//! `run`: the daemon itself, which needs no word either.

use super::code::Code;
use super::row::{CommandRow, Verb};

pub const ROW: &CommandRow = &CommandRow {
    verb: Verb::Run,
    name: "run",
    words: &[],
    options: &[],
    help: "the daemon; without any command, too",
    more: "",
    examples: &[],
    codes: &[
        (Code::Done, "it ended, or another daemon runs already"),
        (Code::NotDone, "it could not start, or had to end sessions as it stopped"),
    ],
    takes_settings: true,
};
