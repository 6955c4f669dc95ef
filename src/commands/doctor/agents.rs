//! The agents, as the daemon would start them: their programs, the options that we pass, whether
//! somebody has logged in, and what their environment lacks.
//!
//! An agent that is neither named nor installed is nobody's trouble, unless it is the usual one.

use std::ffi::OsString;
use std::path::Path;

use super::Examined;
use super::settings::{ASKED_MAX, ReadSettings};
use crate::effects::agent_program::find_agent;
use crate::effects::process::{Heard, HelperEnd, Question, find_program};
use crate::pure::agent::Driver;
use crate::pure::config::terms;
use crate::pure::dispatch::DEFAULT_AGENT;
use crate::pure::doctor::Check;
use crate::pure::doctor::agents::{arguments, help_arguments, unknown_options};
use crate::pure::text::clip::one_line;

/// How much of what a program says is shown, in characters.
const SHOWN_CHARS_MAX: usize = 120;

pub(super) fn look(examined: &Examined, read: &ReadSettings) -> Vec<Check> {
    let mut checks = Vec::new();
    for driver in read.drivers.rows() {
        let is_named = driver.named(&read.settings).is_some()
            || read.settings.agents.contains_key(driver.name)
            || driver.name == DEFAULT_AGENT;
        let (home, path) = (examined.judged.home(), examined.judged.path());
        match find_agent(driver, &read.settings, home, path) {
            Ok(program) => look_at_one(examined, read, driver, &program, &mut checks),
            Err(what) if is_named => {
                let fix = format!("install it, or name it with --{} PATH", driver.name);
                let fix = if driver.name == DEFAULT_AGENT {
                    fix
                } else {
                    format!(
                        "install it, or name it: agents: {{\"{}\": {{\"program\": …}}}}",
                        driver.name
                    )
                };
                checks.push(Check::fail("agent", format!("{}: {what}", driver.name), fix));
            }
            Err(_) => {
                checks.push(Check::skip("agent", format!("{} is not installed", driver.name)))
            }
        }
    }
    checks.extend(environment(examined));
    checks
}

fn look_at_one(
    examined: &Examined,
    read: &ReadSettings,
    driver: &Driver,
    program: &Path,
    checks: &mut Vec<Check>,
) {
    let (name, shown) = (driver.name, program.display());
    if driver.template.is_some() {
        checks.push(Check::ok("agent", format!("{name} is {shown}; it is yours, and not asked")));
        return;
    }
    let version = ask(examined, program, &["--version"]);
    match &version {
        Ok(heard) if heard.is_fine() => {
            let version = one_line(heard.stdout.trim(), SHOWN_CHARS_MAX);
            checks.push(Check::ok("agent", format!("{name} is {shown}: {version}")));
        }
        asked => {
            let why = why_not(asked);
            let fix = format!("see what it says: {shown} --version");
            checks.push(Check::fail("agent", format!("{name}: {shown} --version {why}"), fix));
            return;
        }
    }
    checks.push(flags(examined, read, driver, program));
    checks.push(login(examined, driver));
}

fn flags(examined: &Examined, read: &ReadSettings, driver: &Driver, program: &Path) -> Check {
    const NAME: &str = "agent_flags";
    let terms = terms::terms(&read.settings, None, driver.name);
    let arguments = arguments(driver, &terms);
    let asked = help_arguments(&arguments);
    let (name, typed) = (driver.name, format!("{} {}", program.display(), asked.join(" ")));
    let help = match ask(examined, program, &asked) {
        Ok(heard) if heard.is_fine() => heard.stdout + &heard.stderr,
        asked => {
            let text = format!("{name}: {typed} {}", why_not(&asked));
            return Check::warn(NAME, text, format!("see what it says: {typed}"));
        }
    };
    if help.trim().is_empty() {
        return Check::warn(NAME, format!("{name}: {typed} says nothing"), typed);
    }
    let unknown = unknown_options(&arguments, &help, driver.checkup.unlisted_options);
    if unknown.is_empty() {
        return Check::ok(NAME, format!("{name} knows the options that it gets"));
    }
    let text = format!("{name}: its help does not list {}", unknown.join(", "));
    Check::fail(NAME, text, format!("update it, or take the option out of config.json: {typed}"))
}

/// As far as it can be told offline. macOS keeps logins in its keychain, where nobody may look.
fn login(examined: &Examined, driver: &Driver) -> Check {
    const NAME: &str = "login";
    let name = driver.name;
    let judged = &examined.judged;
    let variable = |name: &str| judged.get(name).map(OsString::from);
    let checkup = &driver.checkup;
    if let Some(set) = checkup.login_variables.iter().find(|set| judged.get(set).is_some()) {
        return Check::ok(NAME, format!("{name}: {set} is set"));
    }
    let places = checkup.login_files.iter().filter_map(|file| file.place(&variable));
    let places: Vec<_> = places.collect();
    match places.iter().find(|place| place.is_file()) {
        Some(place) => Check::ok(NAME, format!("{name}: {}", place.display())),
        None if cfg!(target_os = "macos") => {
            Check::skip(NAME, format!("{name}: the keychain cannot be looked into"))
        }
        None => {
            let places: Vec<String> =
                places.iter().map(|place| place.display().to_string()).collect();
            let text = format!("{name}: neither {} nor a variable with a login", places.join(", "));
            let fix = format!(
                "log in once, by hand: {}; or set {}",
                driver.program, checkup.login_variables[0]
            );
            Check::warn(NAME, text, fix)
        }
    }
}

fn environment(examined: &Examined) -> Vec<Check> {
    const NAME: &str = "environment";
    let judged = &examined.judged;
    let mut checks = Vec::new();
    if judged.get("USER").is_none() {
        let text = format!("no USER ({}): Claude Code finds no login without it", judged.of);
        checks.push(Check::warn(
            NAME,
            text,
            "set USER where the daemon is started: service --install does",
        ));
    }
    if find_program("git", judged.path(), &[]).is_none() {
        let text = format!("no git on PATH ({}): reports say nothing of commits", judged.of);
        checks.push(Check::warn(
            NAME,
            text,
            "install git, or put its folder on PATH: service --install does",
        ));
    }
    if checks.is_empty() {
        checks.push(Check::ok(NAME, format!("USER and git are there ({})", judged.of)));
    }
    checks
}

fn ask(examined: &Examined, program: &Path, arguments: &[&str]) -> std::io::Result<Heard> {
    let Examined { processes, judged, .. } = examined;
    let variables = Some(&judged.variables);
    processes.ask(&Question { program, arguments, variables, stdin: b"", timeout: ASKED_MAX })
}

fn why_not(asked: &std::io::Result<Heard>) -> String {
    match asked {
        Err(e) => format!("cannot be run: {e}"),
        Ok(Heard { end: HelperEnd::TimedOut, .. }) => {
            format!("has not ended within {} s", ASKED_MAX.as_secs())
        }
        Ok(Heard { end: HelperEnd::Exited(exit), stderr, .. }) => {
            let code = exit.code.map_or("a signal".to_string(), |code| format!("exit code {code}"));
            format!("failed with {code}: {}", one_line(stderr.trim(), SHOWN_CHARS_MAX))
        }
    }
}
