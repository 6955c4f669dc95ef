//! SIGHUP: the settings are read again, and put in force as far as that goes without a restart.
//!
//! A file that is wrong changes nothing. Environment and flags are those of the start. Whoever
//! keeps something of the settings is told (`LiveSettings::listen`); a running session keeps the
//! terms that it was started with.

use std::path::Path;

use super::authority;
use super::shared::context::Context;
use super::shared::live::{AgentTable, Unmet};
use super::shared::sources::Sources;
use crate::effects::http::callback::Sender;
use crate::effects::process::landlock_abi;
use crate::effects::stderr::set_format;
use crate::effects::store::{Rotation, Store};
use crate::pure::audit_event::AuditEvent;
use crate::pure::config::changes::{self, SettingChange};
use crate::pure::config::{Reload, Settings, needs};

struct New {
    changes: Vec<SettingChange>,
    settings: Settings,
    agents: AgentTable,
    sender: Sender,
    warnings: Vec<String>,
    unmet: Unmet,
}

pub fn reload(context: &Context) {
    let New { changes, settings, agents, sender, warnings, unmet } = match read(context) {
        Ok(new) => new,
        Err(e) => {
            log::error!("SIGHUP changes nothing: {e}");
            return context.audit.tell("", &AuditEvent::ConfigRefused { error: e });
        }
    };
    context.sender.become_as(sender);
    context.store.allow(&settings.allowed_uids);
    context.audit.rotate_by(rotation(&settings));
    let before = context.agents();
    set_format(settings.log_format);
    context.live.replace(settings, agents, unmet);
    tell_agents(context, Some(&before));
    if changes.is_empty() {
        log::info!("config: nothing has changed");
    }
    for change in &changes {
        log::info!("config: {change}");
    }
    for warning in warnings {
        log::warn!("{warning}");
    }
    let keys = |reload| {
        let of = changes.iter().filter(|change| change.reload == reload);
        of.map(|change| change.key.to_string()).collect()
    };
    let (changed, needs_restart) = (keys(Reload::Live), keys(Reload::Restart));
    context.audit.tell("", &AuditEvent::ConfigReloaded { changed, needs_restart });
}

fn read(context: &Context) -> Result<New, String> {
    let (now, agents) = (context.settings(), context.agents());
    let found = context.sources.read(&context.store, &agents.drivers)?;
    check_walls(&found.settings)?;
    check_keys(&context.store, &found.settings)?;
    authority::check_url(&found.settings)?;
    let changes = changes::changes(&now, &found.settings);
    let settings = changes::in_force(&now, found.settings);
    let before = Some((&*now, &*agents));
    let agents = context.sources.find_agents(found.drivers, &settings, before)?;
    context.sources.check_launchers(&settings, Some(&now))?;
    let sender = sender(&settings, &context.sources)?;
    let (warnings, unmet) = context.sources.missing(&settings);
    Ok(New { changes, settings, agents, sender, warnings, unmet })
}

/// Whether the kernel can build the walls that the settings want. The error says what to do.
fn check_walls(settings: &Settings) -> Result<(), String> {
    if !needs::is_wall_wanted(settings) {
        return Ok(());
    }
    if let Some(why) = needs::contradiction(settings) {
        return Err(why);
    }
    needs::unmet(settings, landlock_abi()).map_or(Ok(()), Err)
}

/// Whether sessions can be started and dispatches accepted by these settings. The error says what
/// to do.
pub fn check_at_start(store: &Store, settings: &Settings) -> Result<(), String> {
    check_walls(settings)?;
    let found = store.read_keys().map_err(|e| e.to_string())?;
    found.complaints.into_iter().next().map_or(Ok(()), Err)?;
    check_keys(store, settings)
}

/// Whether there is a key, if dispatches must be signed: else nothing would ever be accepted.
fn check_keys(store: &Store, settings: &Settings) -> Result<(), String> {
    if !settings.require_signature || store.read_keys().map_err(|e| e.to_string())?.holds_any() {
        return Ok(());
    }
    Err(format!(
        "require_signature is on, and there is no key in {}; to make one: gstack-dispatch-daemon keygen ed:NAME",
        store.keys_dir().display()
    ))
}

/// Tells where the agents are and which are missing, and asks what they can do. What was told
/// `before` is told no more.
pub fn tell_agents(context: &Context, before: Option<&AgentTable>) {
    let (agents, settings) = (context.agents(), context.settings());
    for driver in agents.drivers.rows() {
        let name = driver.name;
        let found = (agents.programs.get(name), agents.missing.get(name));
        if let Some(program) = found.0 {
            let entry = settings.agents.get(name);
            let env = entry.map(|entry| entry.env.clone()).unwrap_or_default();
            context.can_ask_nobody(driver, program, &env);
        }
        let is_told = |old: &AgentTable| found == (old.programs.get(name), old.missing.get(name));
        match found {
            _ if before.is_some_and(is_told) => {}
            (Some(program), _) => {
                log::info!("{name} is {}", program.display());
            }
            (None, Some(what)) if settings.agents.contains_key(name) => {
                log::warn!("{name} is not there: {what}; its dispatches are unsupported_agent");
            }
            (None, Some(what)) => log::info!("{name} is not there: {what}"),
            (None, None) => {}
        }
    }
}

/// What sends callbacks, with the certificates and proxies that the settings name.
pub fn sender(settings: &Settings, sources: &Sources) -> Result<Sender, String> {
    let ca_file = settings.ca_file.as_deref().map(Path::new);
    Sender::new(ca_file, sources.proxies(settings)).map_err(|e| format!("ca_file: {e}"))
}

pub fn rotation(settings: &Settings) -> Rotation {
    Rotation { max_bytes: settings.audit_max_bytes, keep: settings.audit_keep }
}
