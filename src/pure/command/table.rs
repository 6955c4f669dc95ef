//! The table of commands, in the order in which help shows them. A row stands in the file of its
//! command, beside what is made of the words there.

use super::row::CommandRow;
use super::{
    config, doctor, explain, keys, list, logs, report, run, service, show, status, steer, submit,
    verdict, wait,
};

pub static COMMANDS: &[&CommandRow] = &[
    run::ROW,
    submit::SUBMIT,
    logs::ROW,
    report::ROW,
    status::ROW,
    list::ROW,
    show::ROW,
    wait::ROW,
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
