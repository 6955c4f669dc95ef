//! The commands beside the daemon, on its level: each works on the store's files, so that it works
//! with the daemon up or down.
//!
//! A command returns a value that becomes an [`Answer`], so that the terminal and whatever else
//! asks print the same. It must use effects and pure only, never a thread of the daemon.

pub mod approve;
pub mod deny;
pub mod keygen;
pub mod sign;

use std::ffi::OsString;

use crate::effects::store::{Store, gstack_home};
use crate::pure::agent::Drivers;
use crate::pure::agent::environment::{DISPATCH_ID, RUN_TOKEN};
use crate::pure::config::{self, Settings, VARIABLE_PREFIX, Variable};

/// What a command has to say.
#[derive(Debug)]
pub struct Answer {
    /// For stdout, whole.
    pub text: String,
    /// One line for stderr.
    pub warning: Option<String>,
}

/// Why a command did not do what it was asked, in one line.
#[derive(Debug)]
pub enum Refusal {
    NotDone(String),
    WrongUsage(String),
}

impl Refusal {
    fn not_done(why: impl ToString) -> Refusal {
        Refusal::NotDone(why.to_string())
    }
}

/// Where a command works.
pub struct Place {
    pub store: Store,
    drivers: Drivers,
    variables: Vec<Variable>,
}

impl Place {
    /// `environment` is the whole environment of the process. Inside a session this is refused: a
    /// session that signs or approves dispatches would do so by accident, or against its operator.
    pub fn outside_of_sessions(
        environment: impl Iterator<Item = (OsString, OsString)>,
        drivers: Drivers,
    ) -> Result<Place, Refusal> {
        let (mut variables, mut home, mut named) = (Vec::new(), None, None);
        for (name, value) in environment {
            let text = name.to_string_lossy();
            if [RUN_TOKEN, DISPATCH_ID].contains(&&*text) {
                return Err(Refusal::NotDone(format!(
                    "{text} is set: this command is not for sessions; type it outside of one"
                )));
            }
            if text.starts_with(VARIABLE_PREFIX) {
                let value = value.into_string().ok();
                variables.push(Variable { name: text.into_owned(), value });
            } else if name == "HOME" && !value.is_empty() {
                home = Some(value);
            } else if name == "GSTACK_HOME" {
                named = Some(value);
            }
        }
        let dir = gstack_home(named, home.as_deref()).map_err(Refusal::NotDone)?;
        let store = Store::new(&dir);
        // Nothing in there is believed before this.
        store.check_ownership().map_err(Refusal::not_done)?;
        let place = Place { store, drivers, variables };
        // What is wrong with the settings is told by whoever needs them.
        if let Ok((settings, _)) = place.settings() {
            place.store.allow(&settings.allowed_uids);
        }
        Ok(place)
    }

    /// The settings that a daemon here would start with, and its agents.
    fn settings(&self) -> Result<(Settings, Drivers), String> {
        let mut settings = Settings::default();
        if let Some(bytes) = self.store.read_config().map_err(|e| e.to_string())? {
            let path = self.store.config_path();
            config::apply_config_file(&mut settings, &bytes)
                .map_err(|e| format!("{}: {e}", path.display()))?;
        }
        config::apply_environment(&mut settings, &self.variables)?;
        let drivers = self.drivers.by(&settings)?;
        Ok((settings, drivers))
    }
}
