//! Where the settings come from: defaults, `config.json`, the environment and the flags of the
//! start. These are kept, so that they can be read again: only the file among them may have
//! changed.
//!
//! This module also looks whether what the settings name is there. It decides nothing: the table of
//! settings says what is right.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::live::{AgentTable, Unmet};
use crate::effects::agent_program::find_agent;
use crate::effects::process::{find_program, is_executable};
use crate::effects::project;
use crate::effects::store::Store;
use crate::pure::agent::Drivers;
use crate::pure::callback::proxy::EnvProxies;
use crate::pure::config::flags::Flags;
use crate::pure::config::launcher::Launcher;
use crate::pure::config::projects::Verify;
use crate::pure::config::{self, Settings, VARIABLE_PREFIX, Variable, terms};
use crate::pure::dispatch::DEFAULT_AGENT;

/// The variable with the secret of callbacks: Clawvisor's own name for it.
pub const CALLBACK_SECRET: &str = "CLAWVISOR_CALLBACK_SECRET";
/// The variable with the token that Clawvisor knows its agents by.
pub const CLAWVISOR_TOKEN: &str = "CLAWVISOR_AGENT_TOKEN";

/// What does not change as long as the daemon runs.
pub struct Sources {
    variables: Vec<Variable>,
    flags: Flags,
    home: Option<OsString>,
    /// `$PATH`
    path: Option<OsString>,
    proxies: EnvProxies,
    /// The secret of callbacks, if the environment has it.
    callback_secret: Option<OsString>,
    /// Clawvisor's token, if the environment has it.
    clawvisor_token: Option<OsString>,
    /// Where the Clawvisor of this machine's agents is said to be, if the environment says it.
    clawvisor_url: Option<String>,
}

/// The settings, and what people should be told.
pub struct Found {
    pub settings: Settings,
    /// The agents by these settings.
    pub drivers: Drivers,
    pub warnings: Vec<String>,
}

impl Sources {
    /// `environment` is the whole environment of the process.
    pub fn new(environment: impl Iterator<Item = (OsString, OsString)>, flags: Flags) -> Sources {
        let (mut variables, mut home, mut path) = (Vec::new(), None, None);
        let (mut proxies, mut callback_secret) = (EnvProxies::default(), None);
        let (mut clawvisor_token, mut clawvisor_url) = (None, None);
        for (name, value) in environment {
            let text = name.to_string_lossy();
            if text.starts_with(VARIABLE_PREFIX) {
                let value = value.into_string().ok();
                variables.push(Variable { name: text.into_owned(), value });
            } else if name == "HOME" && !value.is_empty() {
                home = Some(value);
            } else if name == "PATH" {
                path = Some(value);
            } else if name == CALLBACK_SECRET {
                callback_secret = Some(value).filter(|value| !value.is_empty());
            } else if name == CLAWVISOR_TOKEN {
                clawvisor_token = Some(value).filter(|value| !value.is_empty());
            } else if name == "CLAWVISOR_URL" {
                let value = value.to_string_lossy().into_owned();
                clawvisor_url = Some(value).filter(|value| !value.is_empty());
            } else if let Some(value) = value.to_str() {
                proxies.take(&text, value);
            }
        }
        Sources {
            variables,
            flags,
            home,
            path,
            proxies,
            callback_secret,
            clawvisor_token,
            clawvisor_url,
        }
    }

    pub fn home(&self) -> Option<&OsStr> {
        self.home.as_deref()
    }

    /// The proxies that callbacks go through.
    pub fn proxies(&self, settings: &Settings) -> EnvProxies {
        if settings.use_env_proxy { self.proxies.clone() } else { EnvProxies::default() }
    }

    pub fn clawvisor_token(&self) -> Option<&OsStr> {
        self.clawvisor_token.as_deref()
    }

    pub fn callback_secret(&self) -> Option<&OsStr> {
        self.callback_secret.as_deref()
    }

    /// Reads the settings. `drivers`: those known so far. The error says what is wrong and how it
    /// is mended.
    pub fn read(&self, store: &Store, drivers: &Drivers) -> Result<Found, String> {
        let mut settings = Settings::default();
        settings.clawvisor_url.clone_from(&self.clawvisor_url);
        if let Some(bytes) = store.read_config().map_err(|e| e.to_string())? {
            let path = store.config_path();
            let applied = drivers.read_config(&mut settings, &bytes);
            applied.map_err(|e| config::mistake_in(&path.to_string_lossy(), &e))?;
        }
        let warnings = config::apply_environment(&mut settings, &self.variables)?;
        self.flags.apply(&mut settings)?;
        for (setting, key) in directories(&settings) {
            if !project::expand(key, self.home()).is_absolute() {
                return Err(format!(
                    "{setting}: {key} is nowhere, since HOME is no directory: name it from /, or set HOME"
                ));
            }
        }
        Ok(Found { drivers: drivers.by(&settings)?, settings, warnings })
    }

    /// Finds each agent's program, as an absolute path. Without any there is nothing to do (the
    /// seed's start-up error). `before`: the settings that were in force, and what was found by
    /// them; what they name alike is not looked for again, since a program that is just being
    /// replaced is no reason to refuse a file.
    pub fn find_agents(
        &self,
        drivers: Drivers,
        settings: &Settings,
        before: Option<(&Settings, &AgentTable)>,
    ) -> Result<AgentTable, String> {
        let (mut programs, mut missing) = (HashMap::new(), HashMap::new());
        for driver in drivers.rows() {
            let same = before.filter(|(old, _)| driver.named(old) == driver.named(settings));
            let known = same.and_then(|(_, table)| table.programs.get(driver.name).cloned());
            match known
                .map_or_else(|| find_agent(driver, settings, self.home(), self.path.as_deref()), Ok)
            {
                Ok(program) => drop(programs.insert(driver.name, program)),
                Err(what) => match (driver.named)(settings) {
                    Some(named) => return Err(not_found(driver.name, named)),
                    None => drop(missing.insert(driver.name, what)),
                },
            }
        }
        if programs.is_empty() {
            let name = DEFAULT_AGENT;
            let others = drivers.rows().map(|row| row.name).filter(|other| *other != name);
            let others = others.collect::<Vec<_>>().join(", ");
            let nor = if others.is_empty() { others } else { format!("; nor is there {others}") };
            return Err(format!(
                "{name} binary not found in PATH or the usual places; name it with --{name} PATH{nor}"
            ));
        }
        Ok(AgentTable { drivers, programs, missing })
    }

    /// Looks for every program that a launcher needs, since no session can start, or be ended,
    /// without it. `before`: the settings that were in force; what they name too is not looked for
    /// again.
    pub fn check_launchers(
        &self,
        settings: &Settings,
        before: Option<&Settings>,
    ) -> Result<(), String> {
        let known: Vec<Launcher> = before.into_iter().flat_map(terms::launchers).collect();
        for launcher in terms::launchers(settings).filter(|launcher| !known.contains(launcher)) {
            for program in launcher.programs() {
                self.find_program(program).map_err(|e| format!("launcher: {e}"))?;
            }
        }
        Ok(())
    }

    /// Finds a program of a launcher, as an absolute path. The error says what was looked for.
    pub fn find_program(&self, program: &str) -> Result<PathBuf, String> {
        if program.contains('/') {
            let path = project::expand(program, self.home());
            let found = find_program(&path.to_string_lossy(), None, &[]);
            return found.ok_or_else(|| format!("{program} is no executable file"));
        }
        let found = find_program(program, self.path.as_deref(), &[]);
        found.ok_or_else(|| format!("no program {program} in PATH"))
    }

    /// Says in words what the settings name that is not there, and gives the directories among it.
    pub fn missing(&self, settings: &Settings) -> (Vec<String>, Unmet) {
        let (mut warnings, mut unmet) = (Vec::new(), Unmet::new());
        for (setting, key) in directories(settings) {
            let [_, dir] = project::forms(key, self.home());
            if !dir.is_dir() {
                warnings.push(format!(
                    "{setting}: {key} names no directory; the rule holds as soon as there is one"
                ));
                unmet.insert((setting, key.to_string()));
            }
        }
        for (key, is_directory, Verify { argv, .. }) in settings.verify.entries() {
            let dir =
                is_directory.then(|| project::resolve_nearest(&project::expand(key, self.home())));
            if !self.may_run(&argv[0], dir.as_deref()) {
                warnings.push(format!("verify: {key}: {} is no program that can be run", argv[0]));
            }
        }
        if let Some(program) = settings.on_finish.first()
            && let Err(why) = self.find_program(program)
        {
            warnings.push(format!("on_finish: {why}"));
        }
        (warnings, unmet)
    }

    /// False only for a program that cannot be run from that directory. If none is known, or none
    /// is there, a relative path says nothing.
    fn may_run(&self, program: &str, dir: Option<&Path>) -> bool {
        if !program.contains('/') {
            return find_program(program, self.path.as_deref(), &[]).is_some();
        }
        if Path::new(program).is_absolute() {
            return is_executable(Path::new(program));
        }
        dir.is_none_or(|dir| !dir.is_dir() || is_executable(&dir.join(program)))
    }
}

fn not_found(agent: &str, named: &str) -> String {
    format!("{agent} binary not found: {named} is no executable file; name it with --{agent} PATH")
}

/// The keys that name directories, each with the setting that it stands in.
fn directories(settings: &Settings) -> impl Iterator<Item = (&'static str, &str)> {
    let projects = settings.projects.directories().map(|(key, _)| ("projects", key));
    let trusted = settings.trusted_projects.iter().flatten();
    let trusted = trusted.map(|place| ("trusted_projects", place.fixed.as_str()));
    projects.chain(settings.verify.directories().map(|(key, _)| ("verify", key))).chain(trusted)
}
