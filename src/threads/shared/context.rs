//! What every thread may use: the daemon builds it once, threads borrow it, nobody replaces it.
//!
//! What changes while the daemon runs changes inside of its parts. `lock` asks whether we still
//! hold the directory, since it needs several of them.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::Sender;

use super::abilities::{Abilities, Asker, EnvOfAgent};
use super::authority::Authority;
use super::board::Board;
use super::health::Health;
use super::leavings::Leavings;
use super::level::Level;
use super::live::{AgentTable, LiveSettings};
use super::self_checks::SelfChecks;
use super::sources::Sources;
use super::spending::SpendingKeeper;
use crate::effects::http::callback;
use crate::effects::process::Processes;
use crate::effects::project;
use crate::effects::service_manager::ServiceManager;
use crate::effects::store::{Audit, DaemonLock, MovedAside, Store};
use crate::pure::agent::Driver;
use crate::pure::audit_event::AuditEvent;
use crate::pure::command::run::RunUntil;
use crate::pure::config::Settings;
use crate::pure::config::projects::Verify;
use crate::pure::config::terms::{self, Terms};
use crate::pure::dispatch::{Agent, DispatchId};
use crate::pure::text::escape::shell_word;

pub struct Context {
    pub store: Store,
    /// [`Context::has_lock`] asks whether we still hold it.
    pub lock: DaemonLock,
    pub audit: Arc<Audit>,
    pub processes: Processes,
    /// What is known of the agents' programs.
    pub abilities: Abilities,
    /// The temporary directories of sessions that are over.
    pub leavings: Leavings,
    pub live: LiveSettings,
    pub self_checks: SelfChecks,
    /// What was spent within the window of the budget.
    pub spending: SpendingKeeper,
    pub sources: Sources,
    /// What Clawvisor says, where it is asked.
    pub authority: Authority,
    /// The sender of callbacks.
    pub sender: callback::Sender,
    /// The directory that `~/` in a dispatch means.
    pub home: Option<OsString>,
    pub level: Level,
    /// While this is set nothing new is started, and no retry. Intake sets it, from the control
    /// files.
    pub paused: AtomicBool,
    /// When the daemon ends by itself.
    pub until: RunUntil,
    /// What is wrong just now.
    pub health: Health,
    /// What the heartbeat tells.
    pub board: Board,
    /// When an earlier daemon beat last, in milliseconds since 1970.
    pub last_beat_ms: Option<i64>,
    /// Whoever started us and wants to know how we are, if anybody does.
    pub service_manager: ServiceManager,
    /// Tells the thread of `on_finish` which dispatches are retired.
    pub retired: Sender<DispatchId>,
    /// Wakes the courier; a full channel means that it is awake anyway.
    pub outbox_changed: Sender<()>,
}

impl Context {
    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// Tells what had to be moved because it stood where something of ours belongs.
    pub fn tell_moved_aside(&self) {
        for MovedAside { id, from, to } in self.store.take_moved_aside() {
            let (from, to) = (from.display().to_string(), to.display().to_string());
            log::warn!("{from} was in the way and is {to} now");
            let of_dispatch = DispatchId::parse(&id).map_or("", |_| id.as_str());
            self.audit.tell(of_dispatch, &AuditEvent::MovedAside { path: from, to });
        }
    }

    /// What has to stand before one of our commands in a shell, so that it finds this directory.
    pub fn for_shell(&self) -> String {
        let home = self.store.home();
        let usual = self.home.as_deref().map(|user| Path::new(user).join(".gstack"));
        if usual.as_deref() == Some(home) {
            return String::new();
        }
        format!("GSTACK_HOME={} ", shell_word(&home.to_string_lossy()))
    }

    /// The settings that are in force now.
    pub fn settings(&self) -> Arc<Settings> {
        self.live.settings()
    }

    /// The agents that there are now.
    pub fn agents(&self) -> Arc<AgentTable> {
        self.live.agents()
    }

    /// Whether an agent's program can be told that nobody answers its questions. It is asked with
    /// these variables of the settings.
    pub fn can_ask_nobody(&self, driver: &Driver, program: &Path, env: &EnvOfAgent) -> bool {
        self.abilities.can_ask_nobody(&self.asker(), driver, program, env)
    }

    /// What asks the agents' programs.
    pub fn asker(&self) -> Asker<'_> {
        Asker { processes: &self.processes, store: &self.store }
    }

    /// The terms of a session of that agent that starts now in this directory, which is resolved.
    pub fn terms_in(&self, dir: &Path, agent: Agent, id: &DispatchId) -> Terms {
        let settings = self.settings();
        let found = terms::project(&settings, dir, &|key| self.forms(key));
        if let Some((key, _)) = found {
            self.tell_of_use("projects", key, id);
        }
        terms::terms(&settings, found.map(|(_, project)| project), agent)
    }

    /// What must pass before the work of a session in this directory counts, as things stand now.
    pub fn verify_in(&self, dir: &Path, name: &str, id: &DispatchId) -> Option<Verify> {
        let settings = self.settings();
        let (key, verify) = terms::verify(&settings, dir, name, &|key| self.forms(key))?;
        self.tell_of_use("verify", key, id);
        Some(verify.clone())
    }

    fn forms(&self, key: &str) -> [PathBuf; 2] {
        project::forms(key, self.home.as_deref())
    }

    fn tell_of_use(&self, setting: &'static str, key: &str, id: &DispatchId) {
        if self.live.is_met_at_last(setting, key) {
            log::warn!("{setting}: {key}, which named no directory, holds from here on: {id}");
        }
    }
}
