//! The commands beside the daemon, on its level: each works on the store's files, so that it works
//! with the daemon up or down.
//!
//! A command finds a value out, which is an [`out::Reply`], so that the terminal and whatever else
//! asks print the same. It must use effects and pure only, never a thread of the daemon.

pub mod approve;
pub mod cancel;
pub mod config;
pub mod deny;
pub mod doctor;
pub mod help;
pub mod keygen;
pub mod list;
pub mod logs;
pub mod lookup;
pub mod out;
pub mod overview;
pub mod pause;
pub mod release;
pub mod report;
pub mod retry;
mod running;
pub mod schema;
mod see_through;
mod sending;
pub mod service;
pub mod show;
pub mod sign;
pub mod status;
pub mod submit;
pub mod wait;

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::effects::store::{Store, gstack_home};
use crate::pure::agent::Drivers;
use crate::pure::agent::environment::{DISPATCH_ID, RUN_TOKEN};
use crate::pure::command::code::Code;
use crate::pure::command::row::Verb;
use crate::pure::command::typed::Typed;
use crate::pure::config::flags::Flags;
use crate::pure::config::{self as pure_config, Settings, VARIABLE_PREFIX, Variable};
use out::Out;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub enum Refusal {
    NotDone(String),
    WrongUsage(String),
    /// There is no such dispatch, or there are several, which are named.
    NoSuchDispatch {
        why: String,
        others: Vec<String>,
    },
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
            Refusal::NoSuchDispatch { why, others } => {
                out::note(why);
                out::note_lines(others);
                Code::NoSuchDispatch
            }
            Refusal::ReaderGone => Code::Done,
        }
    }
}

/// Does what was typed, and says what came of it.
pub fn run(typed: &Typed, environment: Environment, drivers: Drivers) -> Code {
    let mut out = Out::new(typed, &environment);
    let place = || Place::new(environment, drivers);
    let done = match typed.verb() {
        // It is no command of this table's.
        Verb::Run => Ok(Code::Done),
        Verb::List => place().and_then(|place| list::run(typed, &place, &out)),
        Verb::Status => place().and_then(|place| status::run(typed, &place, &mut out)),
        Verb::Show => place().and_then(|place| show::run(typed, &place, &out)),
        Verb::Wait => place().and_then(|place| wait::run(typed, &place, &out)),
        Verb::Approve => place().and_then(|place| approve::run(typed, &place, &out)),
        Verb::Doctor => place().and_then(|place| doctor::run(typed, &place, &out)),
        Verb::Deny => place().and_then(|place| deny::run(typed, &place, &out)),
        Verb::Logs => place().and_then(|place| logs::run(typed, &place, &out)),
        Verb::Report => place().and_then(|place| report::run(typed, &place, &out)),
        Verb::Keygen => place().and_then(|place| keygen::run(typed, &place, &out)),
        Verb::Service => place().and_then(|place| service::run(typed, &place, &out)),
        Verb::Cancel => place().and_then(|place| cancel::run(typed, &place, &out)),
        Verb::Retry => place().and_then(|place| retry::run(typed, &place, &out)),
        Verb::Config => place().and_then(|place| config::run(typed, &place, &out)),
        Verb::Pause => place().and_then(|place| pause::run(typed, &place, &out)),
        Verb::Release => place().and_then(|place| release::run(typed, &place, &out)),
        Verb::Resume => place().and_then(|place| pause::run_resume(typed, &place, &out)),
        Verb::Submit => place().and_then(|place| submit::run(typed, &place, &out)),
        Verb::Sign => place().and_then(|place| sign::run(typed, &place, &out)),
        Verb::Help => help::run(typed, &out),
        Verb::Man => help::man(&out),
        Verb::Completions => help::completions(typed, &out),
        Verb::Schema => schema::run(typed, place().ok().as_ref(), &out),
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
    /// The terminal, if there is one, takes text and nothing else.
    pub is_dumb: bool,
    /// `USER`, or `LOGNAME`.
    user: Option<String>,
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
                "USER" if !value.is_empty() => found.user = value.into_string().ok(),
                "LOGNAME" if found.user.is_none() && !value.is_empty() => {
                    found.user = value.into_string().ok();
                }
                "NO_COLOR" if !value.is_empty() => found.may_colour = false,
                "TERM" if value == "dumb" => (found.may_colour, found.is_dumb) = (false, true),
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
        self.settings_with(&Flags::default())
    }

    /// The same with these flags.
    fn settings_with(&self, flags: &Flags) -> Result<(Settings, Drivers), String> {
        let mut settings = Settings::default();
        if let Some(bytes) = self.store.read_config().map_err(|e| e.to_string())? {
            let path = self.store.config_path();
            let read = self.drivers.read_config(&mut settings, &bytes);
            read.map_err(|e| pure_config::mistake_in(&path.to_string_lossy(), &e))?;
        }
        pure_config::apply_environment(&mut settings, self.variables())?;
        flags.apply(&mut settings)?;
        let drivers = self.drivers.by(&settings)?;
        Ok((settings, drivers))
    }

    fn variables(&self) -> &[Variable] {
        &self.environment.variables
    }

    /// Who types this.
    fn user(&self) -> String {
        self.environment.user.clone().unwrap_or_else(|| "unknown".into())
    }

    /// The home directory.
    fn user_home(&self) -> Option<&OsStr> {
        self.environment.home.as_deref()
    }
}
