//! The settings that a daemon would start with here: whether they can be read, and whether what
//! they name is there.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Examined;
use crate::effects::process::{CONFINED_VERB, Question, find_program, landlock_abi, our_program};
use crate::effects::project;
use crate::pure::agent::Drivers;
use crate::pure::command::parse::{self, Command};
use crate::pure::config::confine::Confine;
use crate::pure::config::flags::Flags;
use crate::pure::config::{self, Settings, VARIABLE_PREFIX, Variable, needs};
use crate::pure::doctor::Check;
use crate::pure::text::escape::shell_word;

/// How long anything that is asked may take.
pub(super) const ASKED_MAX: Duration = Duration::from_secs(5);
/// A wall around nothing at all, as its hidden verb takes it.
const NO_WALL: &str =
    r#"{"denied":[],"writable":[],"own_writable":[],"own_readable":[],"connect":null}"#;

/// What could be read.
pub(super) struct ReadSettings {
    pub settings: Settings,
    pub drivers: Drivers,
}

/// Reads the file, the variables of the judged environment, the flags of the service and those that
/// were typed, in this order. What is wrong counts as the default.
pub(super) fn read(examined: &Examined, typed: &Flags) -> (ReadSettings, Vec<Check>) {
    const NAME: &str = "config";
    let (mut settings, mut checks) = (Settings::default(), Vec::new());
    let store = &examined.place.store;
    let (path, word) = (store.config_path(), shell_word(&store.config_path().to_string_lossy()));
    let mend = format!("${{EDITOR:-vi}} {word}");
    let mut fail = |text: String, fix: String| checks.push(Check::fail(NAME, text, fix));
    let is_there = match store.read_config() {
        Err(e) => {
            fail(e.to_string(), mend.clone());
            true
        }
        Ok(None) => false,
        Ok(Some(bytes)) => {
            let mut of_file = Settings::default();
            let applied = config::apply_config_file(&mut of_file, &bytes).and_then(|()| {
                let agents = examined.place.drivers.by(&of_file).map(drop);
                agents.map_err(|e| config::with_line(&bytes, &e))
            });
            match applied {
                Ok(()) => settings = of_file,
                Err(e) => fail(format!("{}: {e}", path.display()), mend.clone()),
            }
            true
        }
    };
    let of_us = examined.judged.variables.iter().filter(|(n, _)| n.starts_with(VARIABLE_PREFIX));
    let variables =
        of_us.map(|(name, value)| Variable { name: name.clone(), value: Some(value.clone()) });
    if let Err(e) = config::apply_environment(&mut settings, &variables.collect::<Vec<_>>()) {
        fail(e, "set it right, or unset it, where the daemon is started".into());
    }
    match flags_of_service(examined) {
        Ok(flags) => drop(flags.apply(&mut settings)),
        Err(e) => {
            fail(format!("the service's flags: {e}"), "install it again: service --install".into())
        }
    }
    let _ = typed.apply(&mut settings);
    let drivers = examined.place.drivers.by(&settings).unwrap_or_else(|e| {
        fail(format!("{}: {e}", path.display()), mend.clone());
        examined.place.drivers.clone()
    });
    if let Some(why) = needs::contradiction(&settings) {
        fail(why, mend.clone());
    }
    if let Some(file) = settings.ca_file.as_deref().filter(|file| !Path::new(file).is_file()) {
        fail(format!("ca_file: {file} is no file"), mend);
    }
    if checks.is_empty() {
        let text = match is_there {
            true => format!("{} is right", path.display()),
            false => format!("there is no {}, so that the defaults hold", path.display()),
        };
        checks.push(Check::ok(NAME, text));
    }
    (ReadSettings { settings, drivers }, checks)
}

fn flags_of_service(examined: &Examined) -> Result<Flags, String> {
    let mut words: Vec<OsString> = examined.judged.flags().iter().map(OsString::from).collect();
    if words.first().is_none_or(|word| word != "run") {
        words.insert(0, "run".into());
    }
    match parse::parse(words)? {
        Command::Run(typed) => Ok(typed.flags),
        Command::Other(_) | Command::Help(_) | Command::Version => Ok(Flags::default()),
    }
}

/// Keys that match nothing restrict nothing.
pub(super) fn look_at_projects(examined: &Examined, settings: &Settings) -> Vec<Check> {
    const NAME: &str = "projects";
    let home = examined.judged.home();
    let projects = settings.projects.directories().map(|(key, _)| ("projects", key));
    let verify = settings.verify.directories().map(|(key, _)| ("verify", key));
    let trusted = settings.trusted_projects.iter().flatten();
    let trusted = trusted.map(|place| ("trusted_projects", place.fixed.as_str()));
    let named: Vec<(&str, &str)> = projects.chain(verify).chain(trusted).collect();
    let is_gone = |key: &str| !project::forms(key, home).iter().any(|dir| dir.is_dir());
    let gone = named.iter().filter(|(_, key)| is_gone(key));
    let mut checks: Vec<Check> = gone
        .map(|(setting, key)| {
            let fix = format!("make it, or take it out of {setting} in config.json");
            Check::warn(NAME, format!("{setting}: {key} names no directory"), fix)
        })
        .collect();
    let programs = settings.on_finish.first().map(|program| ("on_finish", program));
    let launcher = settings.launcher.first().map(|program| ("launcher", program));
    for (setting, program) in programs.into_iter().chain(launcher) {
        let place = project::expand(program, home);
        if find_program(&place.to_string_lossy(), examined.judged.path(), &[]).is_none() {
            let fix = format!("install it, or change {setting} in config.json");
            checks.push(Check::warn(NAME, format!("{setting}: {program} is no program"), fix));
        }
    }
    if checks.is_empty() {
        checks
            .push(Check::ok(NAME, format!("{} directories are named, all are there", named.len())));
    }
    checks
}

/// Builds a wall, if sessions are to have one: only that shows that the kernel can.
pub(super) fn try_confinement(examined: &Examined, settings: &Settings) -> Vec<Check> {
    const NAME: &str = "confine";
    if !needs::is_wall_wanted(settings) {
        return vec![Check::skip(NAME, "no session is confined")];
    }
    if let Some(why) = needs::unmet(settings, landlock_abi()) {
        return vec![Check::fail(NAME, why, "--confine=if-possible, or a kernel that can")];
    }
    let path = examined.judged.path();
    let nothing = find_program("true", path, &[PathBuf::from("/usr/bin"), PathBuf::from("/bin")]);
    let built = nothing.zip(our_program().ok()).and_then(|(nothing, ourselves)| {
        let asked = examined.processes.ask(&Question {
            program: &ourselves,
            arguments: &[CONFINED_VERB, NO_WALL, &nothing.to_string_lossy()],
            variables: None,
            stdin: b"",
            timeout: ASKED_MAX,
        });
        asked.ok().map(|heard| heard.is_fine())
    });
    vec![match (built, settings.confine) {
        (Some(true), _) => Check::ok(NAME, "a wall was built and held"),
        (_, Confine::IfPossible) => Check::warn(
            NAME,
            "no wall can be built: sessions run without",
            "see confine in help settings",
        ),
        (_, Confine::On | Confine::Off) => {
            Check::fail(NAME, "no wall can be built: no session starts", "--confine=if-possible")
        }
    }]
}
