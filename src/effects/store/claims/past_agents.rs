//! The names of agents that accepted dispatches have and the settings have not, since they changed
//! while no daemon ran.
//!
//! What was accepted stays a dispatch: it is answered under the agent's own name. A name is kept
//! until the daemon ends, as those of the settings are; a session can write records, so there is an
//! end to how many are.

use std::sync::{Mutex, PoisonError};

use crate::pure::dispatch::Agent;

const NAMES_MAX: usize = 1000;

#[derive(Debug, Default)]
pub(in crate::effects::store) struct PastAgents(Mutex<Vec<Agent>>);

impl PastAgents {
    /// The name, to be kept. `None`: there are too many.
    pub(in crate::effects::store) fn keep(&self, name: &str) -> Option<Agent> {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = names.iter().find(|known| **known == name) {
            return Some(known);
        }
        if names.len() >= NAMES_MAX {
            return None;
        }
        let kept: Agent = Box::leak(Box::<str>::from(name));
        names.push(kept);
        Some(kept)
    }
}
