//! What all queries begin with: the daemon, and everything that is open, as records; and what ended
//! last.
//!
//! The daemon is looked at first: a heartbeat may be older than what the files say, never the other
//! way round.

use std::collections::HashSet;

use super::{Place, Refusal};
use crate::effects::store::View;
use crate::pure::record::condition::DaemonFacts;
use crate::pure::record::facts::{DispatchFacts, Stage};
use crate::pure::record::waits::Peers;
use crate::pure::record::{DispatchState, Record};

/// The daemon and all that is open, at one moment.
pub struct Overview {
    pub daemon: DaemonFacts,
    /// In the order in which they are listed: at work, by turn, waiting for approval, dropped.
    pub open: Vec<Record>,
    pub peers: Peers,
    /// What ended while they were read.
    meanwhile: Vec<DispatchFacts>,
}

impl Place {
    pub fn view(&self) -> View<'_> {
        self.store.view(self.environment.home.as_deref())
    }
}

impl Overview {
    pub fn read(view: &View) -> Result<Overview, Refusal> {
        let daemon = view.daemon();
        let facts = view.all_open().map_err(Refusal::not_done)?;
        let peers = Peers::new(facts.iter());
        let record = |facts: &DispatchFacts| Record::new(facts, &daemon, &peers);
        let mut open: Vec<Record> =
            facts.iter().filter(|facts| facts.state().is_open()).map(record).collect();
        open.sort_by(|one, two| order(one).cmp(&order(two)));
        let has_ended = |facts: &DispatchFacts| matches!(facts.stage, Stage::Ended(_));
        let meanwhile = facts.into_iter().filter(has_ended).collect();
        Ok(Overview { daemon, open, peers, meanwhile })
    }

    /// Only the daemon: nothing is looked at that is open.
    pub fn of_daemon(view: &View) -> Overview {
        let (open, meanwhile) = (Vec::new(), Vec::new());
        Overview { daemon: view.daemon(), open, peers: Peers::default(), meanwhile }
    }

    pub fn in_state(&self, state: DispatchState) -> impl Iterator<Item = &Record> {
        self.open.iter().filter(move |record| record.state == Some(state))
    }

    pub fn record(&self, facts: &DispatchFacts) -> Record {
        Record::new(facts, &self.daemon, &self.peers)
    }

    /// Takes out what has ended since it was read.
    pub fn forget(&mut self, ended: &[Record]) {
        let ids: HashSet<&str> = ended.iter().filter_map(|record| record.id.as_deref()).collect();
        self.open.retain(|record| record.id.as_deref().is_none_or(|id| !ids.contains(id)));
    }

    /// What ended last, newest first, as long as `wants` says so; each of them as a record.
    pub fn ended(
        &self,
        view: &View,
        wants: &mut dyn FnMut(Record) -> Wants,
    ) -> Result<(), Refusal> {
        for facts in view.ended(&self.meanwhile).map_err(Refusal::not_done)? {
            if wants(self.record(&facts.map_err(Refusal::not_done)?)) == Wants::NoMore {
                break;
            }
        }
        Ok(())
    }
}

/// Whether older ones are of interest too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    More,
    NoMore,
}

fn order(record: &Record) -> (u8, usize, Option<&str>, Option<&str>) {
    let stage = match record.shown_state() {
        DispatchState::Running => 0,
        DispatchState::Queued => 1,
        DispatchState::Pending => 2,
        _ => 3,
    };
    let since = record.started_at.as_deref().filter(|_| stage == 0);
    let since = since.or(record.accepted_at.as_deref());
    (stage, record.position.unwrap_or_default(), since, record.id.as_deref())
}
