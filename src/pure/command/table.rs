//! The table of commands, in the order in which help shows them. A row stands in the file of its
//! command, beside what is made of the words there.

use super::row::CommandRow;
use super::{config, doctor, explain, keys, logs, report, run, service, steer, submit, verdict};

pub static COMMANDS: &[&CommandRow] = &[
    run::ROW,
    submit::SUBMIT,
    logs::ROW,
    report::ROW,
    steer::PAUSE,
    steer::RESUME,
    steer::RELEASE,
    verdict::APPROVE,
    verdict::DENY,
    config::CONFIG,
    keys::KEYGEN,
    keys::SIGN,
    explain::SCHEMA,
    service::SERVICE,
    doctor::DOCTOR,
    explain::HELP,
    explain::MAN,
    explain::COMPLETIONS,
];

/// The row of that command.
pub fn find(name: &str) -> Option<&'static CommandRow> {
    COMMANDS.iter().find(|row| row.name == name).copied()
}
