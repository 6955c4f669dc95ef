//! `status`: its row, and how it was asked for.

use super::code::Code;
use super::row::{CommandRow, OptionRow, Verb};
use super::typed::Typed;

pub const ROW: &CommandRow = &CommandRow {
    verb: Verb::Status,
    name: "status",
    words: &[],
    options: &[
        OptionRow::flag("--watch", "show it until Ctrl-C, as it changes").short('w'),
        OptionRow::flag("--check", "one line; 0 only if a daemon runs and beats"),
    ],
    help: "the daemon, its sessions, what waits and why",
    more: "The first line says how it stands with the daemon: running, drain (it stops after its \
           last session), stopped, dead (it says that it runs, but does not), hung (no heartbeat \
           for 5 minutes), none.\n\
           --watch needs a terminal that is not dumb (TERM); --json --watch prints a line whenever something changed.",
    examples: &["status", "status --watch", "status --check || echo 'no daemon'"],
    codes: &[
        (Code::Done, "answered"),
        (Code::NotDone, "--check: no daemon runs and beats"),
        (Code::WrongUsage, "wrong usage, or --watch without such a terminal"),
    ],
    takes_settings: false,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusCall {
    Once,
    Check,
    Watch,
}

impl StatusCall {
    pub fn of(typed: &Typed) -> Result<StatusCall, String> {
        match (typed.has("--watch"), typed.has("--check")) {
            (true, true) => Err("status: --check and --watch do not go together".into()),
            (true, false) => Ok(StatusCall::Watch),
            (false, true) => Ok(StatusCall::Check),
            (false, false) => Ok(StatusCall::Once),
        }
    }
}
