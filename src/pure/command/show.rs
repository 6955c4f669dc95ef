//! `show`: its row.

use super::code::Code;
use super::row::{CommandRow, Count, ValueKind, Verb, WordRow};

pub const ROW: &CommandRow = &CommandRow {
    verb: Verb::Show,
    name: "show",
    words: &[WordRow::new("ID", ValueKind::Id, Count::One)],
    options: &[],
    help: "everything about one dispatch, and what to type next",
    more: "State, why and what next; where it works, its task, its attempts, the result, what git \
           saw, its callback, and where its files lie.",
    examples: &["show dispatch-k3f9x2ab7q", "show k3f --json"],
    codes: &[
        (Code::Done, "answered"),
        (Code::NotDone, "its files cannot be read"),
        (Code::WrongUsage, "wrong usage"),
        (Code::NoSuchDispatch, "no such dispatch, or several"),
    ],
    takes_settings: false,
};
