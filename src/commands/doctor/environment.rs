//! Under whose environment the agents are judged: that of the installed unit, property list or line
//! of the crontab, and else ours. And whether that service is as it should be.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::Examined;
use crate::commands::service;
use crate::effects::process::{self, Processes, find_program, is_executable};
use crate::effects::service_files::{ServicePlaces, read_service_file};
use crate::pure::doctor::Check;
use crate::pure::doctor::services::{self, SeenService};
use crate::pure::service::installed::InstalledService;
use crate::pure::service::{LABEL_OF_GSTACK, ServiceKind, cron, launchd, systemd};

pub(super) struct Judged {
    pub variables: BTreeMap<String, String>,
    /// In words.
    pub of: String,
    /// The service and where its text is.
    installed: Option<(InstalledService, String)>,
    /// The file of gstack's own installer.
    of_gstack: Option<PathBuf>,
}

impl Judged {
    pub fn find(processes: &Processes) -> Judged {
        let ours = process::variables();
        let home = ours.get("HOME").cloned().unwrap_or_default();
        let config_home = process::variable("XDG_CONFIG_HOME");
        let places = ServicePlaces::new(Path::new(&home), config_home.as_deref());
        let of_gstack = places.found_of_gstack().map(Path::to_path_buf);
        let installed = find_installed(&places, &home, &ours, processes);
        let (variables, of) = match &installed {
            None => (ours, "its own".to_string()),
            Some((service, file)) => {
                (with_session(service, &ours), format!("{}: {file}", service.kind.name()))
            }
        };
        Judged { variables, of, installed, of_gstack }
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn path(&self) -> Option<&OsStr> {
        self.variables.get("PATH").map(OsStr::new)
    }

    pub fn home(&self) -> Option<&OsStr> {
        self.get("HOME").map(OsStr::new)
    }

    /// The flags with which the service starts the daemon.
    pub fn flags(&self) -> &[String] {
        self.installed.as_ref().map_or(&[], |(service, _)| service.flags())
    }
}

fn find_installed(
    places: &ServicePlaces,
    home: &str,
    ours: &BTreeMap<String, String>,
    processes: &Processes,
) -> Option<(InstalledService, String)> {
    let shown = |path: &Path| path.display().to_string();
    let text = |path: &Path| read_service_file(path).ok().flatten();
    if let Some(unit) = text(&places.unit).and_then(|text| systemd::read(&text, home)) {
        return Some((unit, shown(&places.unit)));
    }
    if let Some(list) = text(&places.plist).and_then(|text| launchd::read(&text, home)) {
        return Some((list, shown(&places.plist)));
    }
    let user = ours.get("LOGNAME").or_else(|| ours.get("USER")).map(String::as_str);
    let table = service::crontab(processes).ok().flatten()?;
    cron::read(&table, home, user).map(|line| (line, "the crontab".into()))
}

/// What the managers of a user's session give to each service besides.
fn with_session(
    service: &InstalledService,
    ours: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let given: &[&str] = match service.kind {
        ServiceKind::Systemd => &["USER", "LOGNAME", "SHELL", "LANG", "XDG_RUNTIME_DIR"],
        ServiceKind::Launchd => &["USER", "LOGNAME", "SHELL", "TMPDIR"],
        ServiceKind::Cron => &["LOGNAME"],
    };
    let given = ours.iter().filter(|(name, _)| given.contains(&name.as_str()));
    let mut all: BTreeMap<String, String> =
        given.map(|(name, value)| (name.clone(), value.clone())).collect();
    all.extend(service.variables.clone());
    all
}

pub(super) fn look_at_service(examined: &Examined) -> Vec<Check> {
    let judged = &examined.judged;
    let mut checks = Vec::new();
    match &judged.installed {
        None => checks.push(Check::skip("service", "none is installed")),
        Some((installed, place)) => {
            let program = installed.argv.first().map(PathBuf::from).unwrap_or_default();
            let has_program = match program.is_absolute() {
                true => is_executable(&program),
                false => find_program(&installed.argv[0], judged.path(), &[]).is_some(),
            };
            let seen = SeenService {
                installed: installed.clone(),
                place: place.clone(),
                has_program,
                lingers: (installed.kind == ServiceKind::Systemd)
                    .then(|| lingers(judged))
                    .flatten(),
                is_this_directory: is_this_directory(examined, installed),
            };
            checks.extend(services::service(&seen));
        }
    }
    if let Some(file) = &judged.of_gstack {
        let text =
            format!("gstack's own {LABEL_OF_GSTACK} runs another daemon here: {}", file.display());
        checks.push(Check::warn("service", text, service::end_of_gstack(file)));
    }
    checks
}

/// systemd keeps a file for each user whose services outlive a logout (loginctl(1)). `None`: it
/// does not run here.
fn lingers(judged: &Judged) -> Option<bool> {
    let user = judged.get("USER").or(judged.get("LOGNAME"))?;
    let dir = Path::new("/var/lib/systemd/linger");
    Path::new("/run/systemd/system").exists().then(|| dir.join(user).exists())
}

fn is_this_directory(examined: &Examined, installed: &InstalledService) -> bool {
    let named = installed.variables.get("GSTACK_HOME").map(OsString::from);
    let home = installed.variables.get("HOME").map(OsStr::new);
    let theirs = crate::effects::store::gstack_home(named, home);
    theirs.is_ok_and(|theirs| theirs == examined.place.home)
}
