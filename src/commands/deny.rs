//! `deny`: asks the daemon never to run a dispatch that waits, and to answer it with the reason.

use super::{Answer, Place, Refusal};
use crate::effects::store::Room;
use crate::pure::config::verdict_verbs::DenyCall;
use crate::pure::dispatch::DispatchId;

/// A dispatch that never runs.
#[derive(Debug)]
pub struct Denied(DispatchId);

impl From<Denied> for Answer {
    fn from(Denied(id): Denied) -> Answer {
        Answer { text: format!("denied {id}\n"), warning: None }
    }
}

pub fn deny(place: &Place, DenyCall { id, reason }: &DenyCall) -> Result<Denied, Refusal> {
    if !place.store.is_in(id, Room::Pending).map_err(Refusal::not_done)? {
        return Err(Refusal::NotDone(format!("{id} does not wait for approval")));
    }
    place.store.ask_denial(id, reason).map_err(Refusal::not_done)?;
    Ok(Denied(id.clone()))
}
