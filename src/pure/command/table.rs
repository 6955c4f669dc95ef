//! The table of commands, in the order in which help shows them. A row stands in the file of its
//! command, beside what is made of the words there.

use super::row::CommandRow;
use super::{keys, run, verdict};

pub static COMMANDS: &[&CommandRow] =
    &[run::ROW, verdict::APPROVE, verdict::DENY, keys::KEYGEN, keys::SIGN];

/// The row of that command.
pub fn find(name: &str) -> Option<&'static CommandRow> {
    COMMANDS.iter().find(|row| row.name == name).copied()
}
