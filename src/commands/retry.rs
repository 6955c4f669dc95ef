//! `retry`: sends a dispatch that has ended once more, as it was, under an id of its own.
//!
//! What is sent is what was accepted then: a copy that somebody changed since is not sent.

use super::out::Out;
use super::see_through::see_through;
use super::sending::Sender;
use super::submit::{Submitted, tell};
use super::{Place, Refusal, lookup};
use crate::effects::store::{AcceptedBytes, View};
use crate::pure::command::code::Code;
use crate::pure::command::submit::RetryCall;
use crate::pure::command::typed::Typed;
use crate::pure::dispatch::DispatchId;
use crate::pure::dispatch::draft::{retry, retry_ids};
use crate::pure::record::DispatchState;

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let call = RetryCall::of(typed).map_err(Refusal::WrongUsage)?;
    let view = place.view();
    let facts = lookup::one(&view, &call.id)?;
    let id = lookup::id_of(&facts)?;
    let document = document(&view, &id, facts.state())?;
    let sender = Sender::new(place, call.kid)?;
    for new in retry_ids(&id) {
        let ready = sender.prepare(retry(&document, &id, &new))?;
        sender.check_dir(&ready.dispatch).map_err(Refusal::NotDone)?;
        if let Some(path) = sender.drop_if_free(&ready)? {
            let daemon = view.daemon().liveness;
            let inbox_file = path.display().to_string();
            let sent = Submitted { id: new, inbox_file, daemon, retry_of: Some(id.clone()) };
            tell(&sent, place, out)?;
            return see_through(typed, call.until, &sent.id, place, out);
        }
    }
    Err(Refusal::NotDone(format!("{id} has no id left to run again under")))
}

/// The dispatch as it was accepted.
fn document(view: &View, id: &DispatchId, state: DispatchState) -> Result<String, Refusal> {
    if state == DispatchState::Rejected {
        let dir = view.rejected_dir(id).map_err(Refusal::not_done)?;
        let kept = dir.map(|dir| format!("; its file is kept in {}", dir.display()));
        let kept = kept.unwrap_or_default();
        return Err(Refusal::NotDone(format!(
            "{id} was rejected, and never ran: mend it and submit it{kept}"
        )));
    }
    if state.is_open() {
        let why = format!("{id} has not ended: it is {}; to end it: cancel {id}", state.name());
        return Err(Refusal::NotDone(why));
    }
    let bytes = match view.accepted_bytes(id).map_err(Refusal::not_done)? {
        AcceptedBytes::Kept(bytes) => bytes,
        AcceptedBytes::Changed => {
            return Err(Refusal::NotDone(format!(
                "the copy of {id} was changed since it was accepted: submit it anew"
            )));
        }
        AcceptedBytes::Gone => {
            return Err(Refusal::NotDone(format!(
                "only the report of {id} is left, and not what was to be done: submit it anew"
            )));
        }
    };
    String::from_utf8(bytes).map_err(|_| Refusal::NotDone(format!("the copy of {id} is no text")))
}
