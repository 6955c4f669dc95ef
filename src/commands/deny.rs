//! `deny`: asks the daemon never to run a dispatch that waits, and to answer it with the reason.

use serde_json::{Value, json};

use super::out::{Out, Reply};
use super::{Place, Refusal, lookup};
use crate::effects::store::Room;
use crate::pure::command::code::Code;
use crate::pure::command::typed::Typed;
use crate::pure::command::verdict::DenyCall;
use crate::pure::dispatch::DispatchId;
use crate::pure::human::look::Look;

/// A dispatch that never runs.
#[derive(Debug)]
struct Denied(DispatchId);

impl Reply for Denied {
    fn text(&self, _: &Look) -> String {
        format!("denied {}\n", self.0)
    }

    fn json(&self) -> Value {
        json!({ "id": self.0.as_str(), "denied": true })
    }
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let call = DenyCall::of(typed).map_err(Refusal::WrongUsage)?;
    place.may_act()?;
    let id = lookup::id_of(&lookup::one(&place.view(), &typed.words[0])?)?;
    out.answer(&deny(place, &id, &call)?)?;
    Ok(Code::Done)
}

fn deny(place: &Place, id: &DispatchId, call: &DenyCall) -> Result<Denied, Refusal> {
    if !place.store.is_in(id, Room::Pending).map_err(Refusal::not_done)? {
        return Err(Refusal::NotDone(format!("{id} does not wait for approval")));
    }
    place.store.ask_denial(id, &call.reason).map_err(Refusal::not_done)?;
    Ok(Denied(id.clone()))
}
