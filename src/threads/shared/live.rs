//! The settings in force, with the agents and their programs that follow from them.
//!
//! They are replaced as a whole when the operator has changed them (SIGHUP). Whoever needs several
//! of them together takes them once; a session keeps the rules that it was started with.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::pure::agent::Drivers;
use crate::pure::config::Settings;

/// The agents that the settings name or that are built in, and where their programs are.
pub struct AgentTable {
    pub drivers: Drivers,
    /// Absolute paths, by agent name.
    pub programs: HashMap<&'static str, PathBuf>,
    /// What was looked for, and where, of those that were not found.
    pub missing: HashMap<&'static str, String>,
}

impl AgentTable {
    /// Why a dispatch that names this agent cannot be done.
    pub fn unsupported(&self, agent: &str) -> String {
        let looked_for = self.missing.get(agent).map(|what| format!(": {what}"));
        format!("unsupported agent: {agent}{}", looked_for.unwrap_or_default())
    }
}

/// Keys of `projects` and `verify` that name no directory, each with the setting that it stands in.
pub type Unmet = BTreeSet<(&'static str, String)>;

pub struct LiveSettings {
    now: RwLock<(Arc<Settings>, Arc<AgentTable>)>,
    /// The rules that named no directory when the settings were read; each is told again when it is
    /// met.
    unmet: Mutex<Unmet>,
    listeners: Mutex<Vec<Sender<()>>>,
}

impl LiveSettings {
    pub fn new(settings: Settings, agents: AgentTable, unmet: Unmet) -> LiveSettings {
        LiveSettings {
            now: RwLock::new((Arc::new(settings), Arc::new(agents))),
            unmet: Mutex::new(unmet),
            listeners: Mutex::default(),
        }
    }

    /// Puts these in force.
    pub fn replace(&self, settings: Settings, agents: AgentTable, unmet: Unmet) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        *now = (Arc::new(settings), Arc::new(agents));
        drop(now);
        *self.unmet.lock().unwrap_or_else(PoisonError::into_inner) = unmet;
        for listener in self.listeners.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // If it is full, the listener has not looked since the last time, and will.
            let _ = listener.try_send(());
        }
    }

    /// The settings that are in force now.
    pub fn settings(&self) -> Arc<Settings> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    pub fn agents(&self) -> Arc<AgentTable> {
        self.now.read().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    /// Gives a message after each replacement, for threads that keep something of the settings.
    pub fn listen(&self) -> Receiver<()> {
        let (sender, receiver) = bounded(1);
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        receiver
    }

    /// True the first time that a rule of [`Unmet`] holds.
    pub fn is_met_at_last(&self, setting: &'static str, key: &str) -> bool {
        let mut unmet = self.unmet.lock().unwrap_or_else(PoisonError::into_inner);
        unmet.remove(&(setting, key.to_string()))
    }
}
