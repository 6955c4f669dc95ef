//! `wait`: its row, and for what it was asked to wait.

use super::code::Code;
use super::row::{CommandRow, Count, OptionRow, ValueKind, Verb, WordRow};
use super::typed::Typed;

pub const ROW: &CommandRow = &CommandRow {
    verb: Verb::Wait,
    name: "wait",
    words: &[WordRow::new("ID", ValueKind::Id, Count::OneOrMore)],
    options: &[
        OptionRow::flag("--any", "until one of them has ended"),
        OptionRow::with_value(
            "--for",
            "WHAT",
            ValueKind::Choice(&["running"]),
            "running: until an attempt has started",
        ),
        OptionRow::with_value("--timeout", "D", ValueKind::Span, "at most that long; 0: one look"),
    ],
    help: "wait until dispatches have ended",
    more: "As each ends, a line: ID STATE TEXT. A daemon that stops or restarts ends no wait; \
           Ctrl-C ends the wait, never the dispatch.\n\
           The exit code is that of the first one, in the order typed, that did not complete.",
    examples: &[
        "wait dispatch-k3f9x2ab7q",
        "wait --any a8b k3f --timeout 2h",
        "wait k3f --for running",
    ],
    codes: &[
        (Code::Done, "completed (--for running: an attempt has started)"),
        (Code::WrongUsage, "wrong usage"),
        (Code::NoSuchDispatch, "no such dispatch, or several"),
        (Code::Failed, "failed"),
        (Code::Timeout, "its time to live ran out"),
        (Code::Cancelled, "cancelled"),
        (Code::Rejected, "rejected"),
        (Code::TimedOut, "--timeout passed while one was open"),
        (Code::Interrupted, "Ctrl-C"),
    ],
    takes_settings: false,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitCall {
    pub is_any: bool,
    /// Until an attempt has started, not until it has ended.
    pub is_for_running: bool,
    pub timeout_seconds: Option<u64>,
}

impl WaitCall {
    pub fn of(typed: &Typed) -> WaitCall {
        WaitCall {
            is_any: typed.has("--any"),
            is_for_running: typed.has("--for"),
            timeout_seconds: typed.seconds("--timeout"),
        }
    }
}
