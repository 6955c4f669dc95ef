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
    submit::RETRY,
    status::ROW,
    list::ROW,
    show::ROW,
    logs::ROW,
    wait::ROW,
    steer::CANCEL,
    steer::PAUSE,
    steer::RESUME,
    steer::RELEASE,
    verdict::APPROVE,
    verdict::DENY,
    keys::KEYGEN,
    keys::SIGN,
    config::CONFIG,
    report::ROW,
    doctor::DOCTOR,
    service::SERVICE,
    explain::SCHEMA,
];

/// The row of that command.
pub fn find(name: &str) -> Option<&'static CommandRow> {
    COMMANDS.iter().find(|row| row.name == name).copied()
}
