//! `--wait` and `--follow` of the commands that send.
//!
//! They are what `wait` and `logs -f` do, for the dispatch that was just sent, and give the exit
//! code that its end has.

use std::ffi::OsString;

use super::out::Out;
use super::{Place, Refusal, logs, wait};
use crate::pure::command::code::Code;
use crate::pure::command::submit::Until;
use crate::pure::command::typed::Typed;
use crate::pure::command::{logs as logs_row, wait as wait_row};
use crate::pure::dispatch::DispatchId;
use crate::pure::record::DispatchState;

/// Waits as `typed` asks.
pub(super) fn see_through(
    typed: &Typed,
    until: Until,
    id: &DispatchId,
    place: &Place,
    out: &Out,
) -> Result<Code, Refusal> {
    match until {
        Until::Sent => Ok(Code::Done),
        Until::Ended => wait::quietly(&of(typed, Typed::new(wait_row::ROW), id), place, out),
        Until::Told => {
            let mut following = of(typed, Typed::new(logs_row::ROW), id);
            following.options.push(("--follow", None));
            match logs::run(&following, place, out)? {
                Code::Done => outcome(id, place),
                other => Ok(other),
            }
        }
    }
}

/// The other command, as it would be typed for that dispatch.
fn of(typed: &Typed, mut other: Typed, id: &DispatchId) -> Typed {
    other.words.push(id.as_str().into());
    let timeout = typed.value("--timeout").map(OsString::from);
    other.options.extend(timeout.map(|timeout| ("--timeout", Some(timeout))));
    other
}

fn outcome(id: &DispatchId, place: &Place) -> Result<Code, Refusal> {
    let facts = place.view().find(id).map_err(Refusal::not_done)?;
    Ok(match facts.map(|facts| facts.state()) {
        Some(DispatchState::Completed) => Code::Done,
        Some(DispatchState::Failed) => Code::Failed,
        Some(DispatchState::Timeout) => Code::Timeout,
        Some(DispatchState::Cancelled) => Code::Cancelled,
        Some(DispatchState::Rejected) => Code::Rejected,
        // It was told to its end, and what stands there now is no end any more.
        Some(
            DispatchState::Inbox
            | DispatchState::Pending
            | DispatchState::Queued
            | DispatchState::Running,
        )
        | None => Code::NotDone,
    })
}
