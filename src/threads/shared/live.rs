//! The settings in force, with the programs of the agents that follow from them.
//!
//! They are replaced as a whole when the operator has changed them (SIGHUP). Whoever needs several
//! of them together takes them once; a session keeps the rules that it was started with.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::pure::config::Settings;

/// Absolute paths of the agent programs that were found, by agent name.
pub type Programs = HashMap<&'static str, PathBuf>;

/// Keys of `projects` and `verify` that name no directory, each with the setting that it stands in.
pub type Unmet = BTreeSet<(&'static str, String)>;

pub struct LiveSettings {
    now: RwLock<(Arc<Settings>, Arc<Programs>)>,
    /// The rules that named no directory when the settings were read; each is told again when it is
    /// met.
    unmet: Mutex<Unmet>,
    listeners: Mutex<Vec<Sender<()>>>,
}

impl LiveSettings {
    pub fn new(settings: Settings, programs: Programs, unmet: Unmet) -> LiveSettings {
        LiveSettings {
            now: RwLock::new((Arc::new(settings), Arc::new(programs))),
            unmet: Mutex::new(unmet),
            listeners: Mutex::default(),
        }
    }

    /// Puts these in force. With `None` the programs stay as they are.
    pub fn replace(&self, settings: Settings, programs: Option<Programs>, unmet: Unmet) {
        let mut now = self.now.write().unwrap_or_else(PoisonError::into_inner);
        now.0 = Arc::new(settings);
        if let Some(programs) = programs {
            now.1 = Arc::new(programs);
        }
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

    pub fn programs(&self) -> Arc<Programs> {
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
