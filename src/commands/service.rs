//! `service`: makes the daemon a service of systemd, launchd or cron: prints the text, puts it
//! where it belongs, or takes it away. It starts and stops nothing: what to type for that is said.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::out::{Out, Reply};
use super::{Place, Refusal};
use crate::effects::agent_program::{find_agent, interpreter_of};
use crate::effects::process::{self, Heard, Processes, Question, find_program};
use crate::effects::service_files::{ServicePlaces, install_service_file, remove_service_file};
use crate::pure::command::code::Code;
use crate::pure::command::parse::{self, Command};
use crate::pure::command::service::{ServiceCall, ServiceDeed};
use crate::pure::command::typed::Typed;
use crate::pure::config::Settings;
use crate::pure::config::flags::Flags;
use crate::pure::human::look::Look;
use crate::pure::service::{
    SERVICE_NAME, Service, ServiceKind, cron, launchd, search_path, systemd,
};
use crate::pure::text::escape::{self, shell_word};

/// How long `crontab` may take.
const CRONTAB_MAX: Duration = Duration::from_secs(5);

/// The text of a service.
struct ServiceText {
    kind: ServiceKind,
    text: String,
}

impl Reply for ServiceText {
    fn text(&self, _: &Look) -> String {
        self.text.clone()
    }

    fn json(&self) -> Value {
        json!({ "service": self.kind.name(), "text": self.text })
    }
}

/// What was done about a service, and where.
struct ServiceChange {
    kind: ServiceKind,
    place: String,
    is_installed: bool,
    has_changed: bool,
}

impl Reply for ServiceChange {
    fn text(&self, _: &Look) -> String {
        escape::line(&self.place) + "\n"
    }

    fn json(&self) -> Value {
        json!({
            "service": self.kind.name(), "file": self.place,
            "installed": self.is_installed, "changed": self.has_changed,
        })
    }
}

pub fn run(typed: &Typed, place: &Place, out: &Out) -> Result<Code, Refusal> {
    let call = ServiceCall::of(typed).map_err(Refusal::WrongUsage)?;
    match call.deed {
        ServiceDeed::Print => {
            out.answer(&ServiceText { kind: call.kind, text: text(place, &call)? })?;
        }
        ServiceDeed::Install => {
            place.may_act()?;
            let text = text(place, &call)?;
            let change = change(place, call.kind, Some(&text))?;
            out.answer(&change)?;
            tell_of_gstack(place, out)?;
            out.note(&what_starts_it(&change));
        }
        ServiceDeed::Uninstall => {
            place.may_act()?;
            let change = change(place, call.kind, None)?;
            out.answer(&change)?;
            out.note(&what_stops_it(&change));
        }
    }
    Ok(Code::Done)
}

// --------------------------------------------------------------------------------------- the text

fn text(place: &Place, call: &ServiceCall) -> Result<String, Refusal> {
    let service = service(place, call)?;
    let text = match call.kind {
        ServiceKind::Systemd => systemd::unit(&service),
        ServiceKind::Launchd => launchd::plist(&service),
        ServiceKind::Cron => cron::block(&service),
    };
    text.map_err(Refusal::NotDone)
}

fn service(place: &Place, call: &ServiceCall) -> Result<Service, Refusal> {
    let typed = [OsString::from("run")].into_iter().chain(call.flags.iter().map(OsString::from));
    let flags = match parse::parse(typed).map_err(Refusal::WrongUsage)? {
        Command::Run(typed) => typed.flags,
        Command::Other(_) | Command::Help(_) | Command::Version => {
            return Err(Refusal::WrongUsage("behind -- stand flags of the daemon".into()));
        }
    };
    let mut settings = Settings::default();
    flags.apply(&mut settings).map_err(Refusal::WrongUsage)?;
    let gstack_home = place.environment.gstack_home.is_some().then(|| utf8(&place.home));
    let users = ["USER", "LOGNAME"].map(process::variable).into_iter().flatten();
    let user = users.filter_map(|user| user.into_string().ok()).find(|user| !user.is_empty());
    Ok(Service {
        program: utf8(&process::our_program().map_err(Refusal::not_done)?)?,
        flags: call.flags.clone(),
        path: path(place, &with_file(place, &flags))?,
        gstack_home: gstack_home.transpose()?,
        home: utf8(&user_home(place)?)?,
        user,
        stops_within: settings.drain_timeout + settings.kill_grace,
    })
}

/// The settings that say where the agents are: those of the file too, as far as it can be read.
fn with_file(place: &Place, flags: &Flags) -> Settings {
    let mut settings = place.settings().map(|(settings, _)| settings).unwrap_or_default();
    let _ = flags.apply(&mut settings);
    settings
}

/// The folders of the agents' programs, of what runs them, and of git, and then the usual ones.
fn path(place: &Place, settings: &Settings) -> Result<String, Refusal> {
    let (home, path) = (place.environment.home.as_deref(), process::variable("PATH"));
    let drivers = place.drivers.by(settings).unwrap_or_else(|_| place.drivers.clone());
    let found =
        drivers.rows().filter_map(|row| find_agent(row, settings, home, path.as_deref()).ok());
    let agents: Vec<PathBuf> = found.collect();
    let others = agents.iter().filter_map(|agent| interpreter_of(agent)).chain(["git".into()]);
    let others = others.filter_map(|name| find_program(&name, path.as_deref(), &[]));
    let programs: Vec<PathBuf> = agents.iter().cloned().chain(others).collect();
    let folders = programs.iter().filter_map(|program| program.parent());
    let folders = folders.map(utf8).collect::<Result<Vec<_>, _>>()?;
    Ok(search_path(folders.iter().map(String::as_str)))
}

fn utf8(path: &Path) -> Result<String, Refusal> {
    let text = path.to_str().map(str::to_string);
    text.ok_or_else(|| Refusal::NotDone(format!("{} is not UTF-8", path.display())))
}

fn user_home(place: &Place) -> Result<PathBuf, Refusal> {
    let home = place.environment.home.as_ref().map(PathBuf::from);
    let home = home.filter(|home| home.is_absolute());
    home.ok_or_else(|| Refusal::NotDone("HOME is not set: the service is one of a user".into()))
}

// ------------------------------------------------------------------------------------- its place

fn places(place: &Place) -> Result<ServicePlaces, Refusal> {
    let config_home = process::variable("XDG_CONFIG_HOME");
    Ok(ServicePlaces::new(&user_home(place)?, config_home.as_deref()))
}

/// Puts the text in its place; `None` takes ours away.
fn change(place: &Place, kind: ServiceKind, text: Option<&str>) -> Result<ServiceChange, Refusal> {
    let places = places(place)?;
    let (file, has_changed) = match kind {
        ServiceKind::Systemd => (utf8(&places.unit)?, change_file(&places.unit, text)?),
        ServiceKind::Launchd => (utf8(&places.plist)?, change_file(&places.plist, text)?),
        ServiceKind::Cron => ("crontab".into(), change_crontab(text)?),
    };
    Ok(ServiceChange { kind, place: file, is_installed: text.is_some(), has_changed })
}

fn change_file(path: &Path, text: Option<&str>) -> Result<bool, Refusal> {
    let changed = match text {
        Some(text) => install_service_file(path, text),
        None => remove_service_file(path),
    };
    changed.map_err(Refusal::not_done)
}

fn change_crontab(block: Option<&str>) -> Result<bool, Refusal> {
    let processes = Processes::new(|_| true);
    let table = crontab(&processes)?.unwrap_or_default();
    let new = match block {
        Some(block) => Some(cron::with_block(&table, block).map_err(Refusal::NotDone)?),
        None => cron::without_block(&table).map_err(Refusal::NotDone)?,
    };
    let Some(new) = new.filter(|new| *new != table) else { return Ok(false) };
    let heard = ask_crontab(&processes, "-", new.as_bytes())?;
    if !heard.is_fine() {
        let said = escape::line(heard.stderr.trim());
        return Err(Refusal::NotDone(format!("crontab does not take the lines: {said}")));
    }
    Ok(true)
}

/// Our crontab. `None`: there is none.
pub(super) fn crontab(processes: &Processes) -> Result<Option<String>, Refusal> {
    let heard = ask_crontab(processes, "-l", b"")?;
    if heard.is_fine() && !heard.stdout.contains('\u{fffd}') {
        return Ok(Some(heard.stdout));
    }
    if heard.stderr.contains("no crontab for") {
        return Ok(None);
    }
    let said = match heard.is_fine() {
        true => "it is not UTF-8: put the lines of --print in by hand, with crontab -e".into(),
        false => escape::line(heard.stderr.trim()),
    };
    Err(Refusal::NotDone(format!("cannot read the crontab: {said}")))
}

fn ask_crontab(processes: &Processes, argument: &str, stdin: &[u8]) -> Result<Heard, Refusal> {
    let path = process::variable("PATH");
    let program = find_program("crontab", path.as_deref(), &[PathBuf::from("/usr/bin")]);
    let program = program.ok_or_else(|| {
        Refusal::NotDone(
            "there is no program crontab: install cron, or take another service".into(),
        )
    })?;
    let asked = processes.ask(&Question {
        program: &program,
        arguments: &[argument],
        variables: None,
        stdin,
        timeout: CRONTAB_MAX,
    });
    asked.map_err(|e| Refusal::NotDone(format!("cannot run {}: {e}", program.display())))
}

// --------------------------------------------------------------------------------- what to type

/// gstack's own unit runs another daemon on the same directory; only one of them would work.
fn tell_of_gstack(place: &Place, out: &Out) -> Result<(), Refusal> {
    if let Some(found) = places(place)?.found_of_gstack() {
        out.note(&format!(
            "this replaces gstack's own {}: {}",
            found.display(),
            end_of_gstack(found)
        ));
    }
    Ok(())
}

/// What ends gstack's own unit and takes it away.
pub(super) fn end_of_gstack(file: &Path) -> String {
    let word = shell_word(&file.to_string_lossy());
    match file.extension().is_some_and(|extension| extension == "plist") {
        true => format!("launchctl unload {word}; rm {word}"),
        false => format!(
            "systemctl --user disable --now {}; rm {word}; systemctl --user daemon-reload",
            file.file_stem().unwrap_or_default().to_string_lossy()
        ),
    }
}

fn what_starts_it(change: &ServiceChange) -> String {
    let word = shell_word(&change.place);
    match (change.kind, change.has_changed) {
        (ServiceKind::Systemd, _) => format!(
            "to start it: systemctl --user daemon-reload && systemctl --user enable --now {SERVICE_NAME} \
             && loginctl enable-linger; after a change: systemctl --user restart {SERVICE_NAME}"
        ),
        (ServiceKind::Launchd, _) => format!(
            "to start it: launchctl load -w {word}; after a change: launchctl unload {word} first"
        ),
        (ServiceKind::Cron, true) => "cron starts it within a minute".into(),
        (ServiceKind::Cron, false) => "it is there already; cron keeps it running".into(),
    }
}

fn what_stops_it(change: &ServiceChange) -> String {
    if !change.has_changed {
        return format!("nothing of ours is in {}", change.place);
    }
    match change.kind {
        ServiceKind::Systemd => format!(
            "to stop it: systemctl --user disable --now {SERVICE_NAME}; systemctl --user daemon-reload"
        ),
        ServiceKind::Launchd => format!("to stop it: launchctl remove {SERVICE_NAME}"),
        ServiceKind::Cron => "a daemon that runs goes on: end it with SIGTERM".into(),
    }
}
