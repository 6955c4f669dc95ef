//! Where the settings come from: defaults, `config.json`, the environment and the flags of the
//! start. These are kept, so that they can be read again: only the file among them may have
//! changed.
//!
//! This module also looks whether what the settings name is there. It decides nothing: the table of
//! settings says what is right.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::live::{Programs, Unmet};
use crate::effects::process::{find_program, is_executable};
use crate::effects::project;
use crate::effects::store::Store;
use crate::pure::agent::Drivers;
use crate::pure::config::cli::Flags;
use crate::pure::config::projects::Verify;
use crate::pure::config::{self, Settings, VARIABLE_PREFIX, Variable, strict_json};
use crate::pure::dispatch::DEFAULT_AGENT;
use crate::pure::text::escape;

/// What does not change as long as the daemon runs.
pub struct Sources {
    variables: Vec<Variable>,
    flags: Flags,
    home: Option<OsString>,
    /// `$PATH`
    path: Option<OsString>,
}

/// The settings, and what people should be told.
pub struct Found {
    pub settings: Settings,
    pub warnings: Vec<String>,
}

impl Sources {
    /// `environment` is the whole environment of the process.
    pub fn new(environment: impl Iterator<Item = (OsString, OsString)>, flags: Flags) -> Sources {
        let (mut variables, mut home, mut path) = (Vec::new(), None, None);
        for (name, value) in environment {
            let text = name.to_string_lossy();
            if text.starts_with(VARIABLE_PREFIX) {
                let value = value.into_string().ok();
                variables.push(Variable { name: text.into_owned(), value });
            } else if name == "HOME" && !value.is_empty() {
                home = Some(value);
            } else if name == "PATH" {
                path = Some(value);
            }
        }
        Sources { variables, flags, home, path }
    }

    pub fn home(&self) -> Option<&OsStr> {
        self.home.as_deref()
    }

    /// Reads the settings. The error says what is wrong and how it is mended.
    pub fn read(&self, store: &Store) -> Result<Found, String> {
        let mut settings = Settings::default();
        if let Some(bytes) = store.read_config().map_err(|e| e.to_string())? {
            let path = store.config_path();
            let applied = strict_json::parse(&bytes)
                .and_then(|config| config::apply_config(&mut settings, &config));
            applied.map_err(|e| {
                let word = escape::shell_word(&path.to_string_lossy());
                format!("{}: {e}; to mend it: ${{EDITOR:-vi}} {word}", path.display())
            })?;
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
        Ok(Found { settings, warnings })
    }

    /// Finds each agent's program, as an absolute path. Without any there is nothing to do (the
    /// seed's start-up error).
    pub fn find_agents(&self, drivers: &Drivers, settings: &Settings) -> Result<Programs, String> {
        let mut programs = Programs::new();
        for driver in drivers.rows() {
            let (name, named) = (driver.name, (driver.named)(settings));
            let places = driver.places.iter().map(|place| project::expand(place, self.home()));
            let places: Vec<PathBuf> = places.filter(|place| !place.starts_with("~")).collect();
            let program = named.unwrap_or(driver.program);
            if let Some(program) = find_program(program, self.path.as_deref(), &places) {
                programs.insert(name, program);
            } else if let Some(named) = named {
                return Err(format!(
                    "{name} binary not found: {named} is no executable file; name it with --{name} PATH"
                ));
            }
        }
        if programs.is_empty() {
            let name = DEFAULT_AGENT;
            return Err(format!(
                "{name} binary not found in PATH or the usual places; name it with --{name} PATH"
            ));
        }
        Ok(programs)
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

/// The keys that name directories, each with the setting that it stands in.
fn directories(settings: &Settings) -> impl Iterator<Item = (&'static str, &str)> {
    let projects = settings.projects.directories().map(|(key, _)| ("projects", key));
    projects.chain(settings.verify.directories().map(|(key, _)| ("verify", key)))
}
