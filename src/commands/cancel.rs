//! `cancel`: asks the daemon to end dispatches, and says of each what became of that.
//!
//! All of them are found before anything is asked for any. Whether the daemon has heeded a request
//! is on record: the dispatch has ended, or the audit log says that its end was asked for.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::lookup;
use super::out::{Out, Reply};
use super::pause::NOBODY;
use super::running::{Heed, not_answered, patience, wait_heeded};
use super::{Place, Refusal};
use crate::effects::store::{Request, View};
use crate::pure::command::code::Code;
use crate::pure::command::typed::Typed;
use crate::pure::dispatch::DispatchId;
use crate::pure::human::look::Look;
use crate::pure::liveness::Liveness;
use crate::pure::record::DispatchState;

/// What became of one request.
struct Cancelled {
    id: DispatchId,
    heeded: bool,
    state: DispatchState,
    daemon: Liveness,
}

impl Reply for Cancelled {
    fn text(&self, _: &Look) -> String {
        let words = match (self.state, self.heeded) {
            (DispatchState::Cancelled, _) => "cancelled",
            (_, true) => "being ended",
            (_, false) => NOBODY,
        };
        format!("{}: {words}\n", self.id)
    }

    fn json(&self) -> Value {
        json!({
            "id": self.id.as_str(),
            "request": request(&self.id).name(),
            "heeded": self.heeded,
            "state": self.state.name(),
            "daemon": self.daemon.name(),
        })
    }
}

fn request(id: &DispatchId) -> Request {
    Request::Cancel(Ok(id.clone()))
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let view = place.view();
    let mut ids = Vec::new();
    for word in &typed.words {
        let id = lookup::id_of(&lookup::one(&view, word)?)?;
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let until = Instant::now() + patience(typed);
    // One that cannot be asked for does not keep the others from being asked for.
    let asked: Vec<Result<(), Refusal>> = ids.iter().map(|id| ask(place, &view, id)).collect();
    let mut code = Code::Done;
    for (id, asked) in ids.iter().zip(asked) {
        let left = until.saturating_duration_since(Instant::now());
        match asked.and_then(|()| wait(place, &view, id, left)) {
            Ok(cancelled) => out.answer(&cancelled)?,
            Err(refusal) => code = refusal.tell(),
        }
    }
    Ok(code)
}

/// Asks for the end of a dispatch that is open, unless that was asked for.
fn ask(place: &Place, view: &View, id: &DispatchId) -> Result<(), Refusal> {
    if state(view, id)?.is_open() && !place.store.is_cancel_asked(id.as_str()) {
        place.store.request(&request(id), "").map_err(Refusal::not_done)?;
    }
    Ok(())
}

fn wait(place: &Place, view: &View, id: &DispatchId, left: Duration) -> Result<Cancelled, Refusal> {
    let mut now = state(view, id)?;
    let heed = wait_heeded(place, left, |_| {
        now = state(view, id)?;
        // What has not begun ends at once; that is waited for.
        Ok(!now.is_open()
            || (now == DispatchState::Running
                && view.is_cancel_on_record(id).map_err(Refusal::not_done)?))
    })?;
    let daemon = heed.daemon().liveness;
    let heeded = match heed {
        Heed::Heeded(_) => true,
        Heed::Nobody(_) => false,
        Heed::NotYet(daemon) => {
            return Err(Refusal::NotDone(format!("{id}: {}", not_answered(&daemon))));
        }
    };
    if !now.is_open() && now != DispatchState::Cancelled {
        return Err(Refusal::NotDone(format!("{id} has ended before: {}", now.name())));
    }
    Ok(Cancelled { id: id.clone(), heeded, state: now, daemon })
}

fn state(view: &View, id: &DispatchId) -> Result<DispatchState, Refusal> {
    let facts = view.find(id).map_err(Refusal::not_done)?;
    let facts = facts.ok_or_else(|| Refusal::NotDone(format!("{id} is not there any more")))?;
    Ok(facts.state())
}
