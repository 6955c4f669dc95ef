//! `deny`: asks the daemon never to run a dispatch that waits, and to answer it with the reason.

use std::fmt;

use super::{Place, Refusal};
use crate::effects::store::Room;
use crate::pure::config::verdict_verbs::DenyCall;
use crate::pure::dispatch::DispatchId;

/// A dispatch that never runs.
#[derive(Debug)]
pub struct Denied(DispatchId);

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "denied {}", self.0)
    }
}

pub fn deny(place: &Place, DenyCall { id, reason }: &DenyCall) -> Result<Denied, Refusal> {
    if !place.store.is_in(id, Room::Pending).map_err(Refusal::not_done)? {
        return Err(Refusal::NotDone(format!("{id} does not wait for approval")));
    }
    place.store.ask_denial(id, reason).map_err(Refusal::not_done)?;
    Ok(Denied(id.clone()))
}
