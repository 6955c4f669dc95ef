//! `release`: asks the daemon to end holds before their time, all of them or those of one agent.
//!
//! What is held is read from the file of holds, which the daemon writes before anything else
//! follows from a hold. A budget that is used up is no hold that anybody can end here.

use super::out::Out;
use super::pause::{Said, already, is_paused, told};
use super::running::{Running, patience, wait_heeded};
use super::{Place, Refusal};
use crate::effects::store::Request;
use crate::pure::command::code::Code;
use crate::pure::command::typed::Typed;
use crate::pure::schedule::hold::Hold;
use crate::pure::text::nearest::nearest;

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let agent = typed.word(0).map_err(Refusal::WrongUsage)?;
    let holds = place.store.read_holds().holds;
    if let Some(agent) = agent {
        check_agent(place, agent, &holds)?;
    }
    let request = Request::Release(agent.map(String::from));
    let is_meant = |hold: &Hold| !hold.is_budget() && agent.is_none_or(|name| hold.agent == name);
    let running = Running::look(place)?;
    let is_asked = || place.store.is_release_asked(agent);
    if !holds.iter().any(is_meant) && !is_asked() {
        let words = agent.map_or("nothing is held".into(), |name| format!("{name} is not held"));
        return already(request, &running, is_paused(place)?, &words, out);
    }
    if !is_asked() {
        place.store.request(&request, "").map_err(Refusal::not_done)?;
    }
    let heed = wait_heeded(place, patience(typed), |_| Ok(!is_asked()))?;
    let done = Said::Words(agent.map_or("released".into(), |name| format!("{name} is released")));
    out.answer(&told(&heed, request, is_paused(place)?, done)?)?;
    Ok(Code::Done)
}

/// The name becomes that of a file, so that it has to be one that there is.
fn check_agent(place: &Place, agent: &str, holds: &[Hold]) -> Result<(), Refusal> {
    let (_, drivers) = place.settings().map_err(Refusal::NotDone)?;
    let is_held = holds.iter().any(|hold| hold.agent == agent) && !agent.contains('/');
    if drivers.names().contains(&agent) || is_held {
        return Ok(());
    }
    let meant = nearest(agent, drivers.names().iter().copied());
    let meant = meant.map(|name| format!(" (did you mean {name}?)")).unwrap_or_default();
    Err(Refusal::WrongUsage(format!("release: there is no agent {agent}{meant}")))
}
