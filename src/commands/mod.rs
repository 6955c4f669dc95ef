//! The commands beside the daemon, on its level: each works on the store's files, so that it works
//! with the daemon up or down.
//!
//! A command finds a value out, which is an [`out::Reply`], so that the terminal and whatever else
//! asks print the same. It must use effects and pure only, never a thread of the daemon.

pub mod approve;
pub mod deny;
pub mod keygen;
pub mod out;
pub mod sign;

use std::ffi::OsString;
use std::path::PathBuf;

use crate::effects::store::{Store, gstack_home};
use crate::pure::agent::Drivers;
use crate::pure::agent::environment::{DISPATCH_ID, RUN_TOKEN};
use crate::pure::command::code::Code;
use crate::pure::command::row::Verb;
use crate::pure::command::typed::Typed;
use crate::pure::config::{self, Settings, VARIABLE_PREFIX, Variable, strict_json};
use out::Out;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Refusal {
    NotDone(String),
    WrongUsage(String),
    /// Nobody reads the answer any more, which is no failure.
    ReaderGone,
}

impl Refusal {
    fn not_done(why: impl ToString) -> Refusal {
        Refusal::NotDone(why.to_string())
    }

    /// Says why on stderr.
    pub fn tell(&self) -> Code {
        match self {
            Refusal::NotDone(why) => {
                out::note(why);
                Code::NotDone
            }
            Refusal::WrongUsage(why) => {
                out::note(why);
                Code::WrongUsage
            }
            Refusal::ReaderGone => Code::Done,
        }
    }
}

/// Does what was typed, and says what came of it.
pub fn run(typed: &Typed, environment: Environment, drivers: Drivers) -> Code {
    let out = Out::new(typed, &environment);
    let place = || Place::new(environment, drivers);
    let done = match typed.verb() {
        // It is no command of this table's.
        Verb::Run => Ok(Code::Done),
        Verb::Approve => place().and_then(|place| approve::run(typed, &place, &out)),
        Verb::Deny => place().and_then(|place| deny::run(typed, &place, &out)),
        Verb::Keygen => place().and_then(|place| keygen::run(typed, &place, &out)),
        Verb::Sign => place().and_then(|place| sign::run(typed, &place, &out)),
    };
    done.unwrap_or_else(|refusal| refusal.tell())
}

/// What of the environment's variables concerns the commands.
#[derive(Debug, Default)]
pub struct Environment {
    pub home: Option<OsString>,
    gstack_home: Option<OsString>,
    /// `TZ`.
    pub zone: Option<String>,
    /// Neither `NO_COLOR` nor a dumb terminal is against it.
    pub may_colour: bool,
    /// The variable that only a session has.
    session: Option<String>,
    variables: Vec<Variable>,
}

impl Environment {
    /// `all`: the whole environment of the process.
    pub fn new(all: impl Iterator<Item = (OsString, OsString)>) -> Environment {
        let mut found = Environment { may_colour: true, ..Environment::default() };
        for (name, value) in all {
            match &*name.to_string_lossy() {
                name @ (RUN_TOKEN | DISPATCH_ID) => found.session = Some(name.into()),
                name if name.starts_with(VARIABLE_PREFIX) => {
                    let value = value.into_string().ok();
                    found.variables.push(Variable { name: name.into(), value });
                }
                "HOME" if !value.is_empty() => found.home = Some(value),
                "GSTACK_HOME" => found.gstack_home = Some(value),
                "TZ" => found.zone = value.into_string().ok(),
                "NO_COLOR" if !value.is_empty() => found.may_colour = false,
                "TERM" if value == "dumb" => found.may_colour = false,
                _ => {}
            }
        }
        found
    }
}

/// Where a command works.
pub struct Place {
    /// `$GSTACK_HOME`, which need not be there.
    pub home: PathBuf,
    pub store: Store,
    drivers: Drivers,
    environment: Environment,
}

impl Place {
    fn new(environment: Environment, drivers: Drivers) -> Result<Place, Refusal> {
        let dir = gstack_home(environment.gstack_home.clone(), environment.home.as_deref());
        let home = dir.map_err(Refusal::NotDone)?;
        Ok(Place { store: Store::new(&home), home, drivers, environment })
    }

    /// A command that changes something is refused inside a session, which would type it by
    /// accident, or against its operator; and where others could have written what it reads.
    fn may_act(&self) -> Result<(), Refusal> {
        if let Some(name) = &self.environment.session {
            return Err(Refusal::NotDone(format!(
                "{name} is set: this command is not for sessions; type it outside of one"
            )));
        }
        // Nothing in there is believed before this.
        self.store.check_ownership().map_err(Refusal::not_done)?;
        // What is wrong with the settings is told by whoever needs them.
        if let Ok((settings, _)) = self.settings() {
            self.store.allow(&settings.allowed_uids);
        }
        Ok(())
    }

    /// The settings that a daemon here would start with, and its agents.
    fn settings(&self) -> Result<(Settings, Drivers), String> {
        let mut settings = Settings::default();
        if let Some(bytes) = self.store.read_config().map_err(|e| e.to_string())? {
            let path = self.store.config_path();
            strict_json::parse(&bytes)
                .and_then(|config| config::apply_config(&mut settings, &config))
                .map_err(|e| format!("{}: {e}", path.display()))?;
        }
        config::apply_environment(&mut settings, &self.environment.variables)?;
        let drivers = self.drivers.by(&settings)?;
        Ok((settings, drivers))
    }
}
