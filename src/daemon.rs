//! The wiring: builds what the threads share, recovers, starts them, and waits for the end. Nothing is decided here.

use std::collections::HashMap;
use std::convert::Infallible;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread::{self, Scope};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded, unbounded};
use serde_json::json;

use crate::effects::callback::Sender;
use crate::effects::process::{Processes, find_program};
use crate::effects::store::{Rotation, Store};
use crate::effects::{clock, error, project};
use crate::pure::agent::DRIVERS;
use crate::pure::cli::Flags;
use crate::pure::config::{self, Settings};
use crate::threads::health::Health;
use crate::threads::heartbeat::{self, Board, Changed};
use crate::threads::intake::{Intake, Wires};
use crate::threads::recover::recover;
use crate::threads::signals::{self, Level};
use crate::threads::{Context, Event, Job, LiveSettings, courier, worker};

/// A heartbeat older than this is not that of a living daemon.
const STALE_HEARTBEAT_MS: i64 = 5 * 60 * 1000;
/// How long a finished daemon waits for its last callbacks to have had their first try.
const LAST_CALLBACKS_MAX: Duration = Duration::from_secs(2);

/// Runs the daemon to its end. The error is one line for the user.
pub fn run(flags: &Flags) -> Result<ExitCode, String> {
    // Before anything else can be interrupted half-way.
    let signals = signals::register().map_err(|e| format!("cannot watch for signals: {e}"))?;
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    let store = Store::new(&gstack_home(home.as_ref())?);
    let settings = read_settings(&store, flags)?;
    let far = far_away(&store, &settings)?;
    let tightened = store.make_directories().map_err(text)?;
    let Some(_lock) = store.lock(settings.lock_wait).map_err(text)? else {
        return second_daemon(&store);
    };
    let programs = find_agents(&settings, home.as_deref().map(Path::new))?;
    let ca_file = settings.ca_file.as_deref().map(Path::new);
    let sender = Sender::new(ca_file).map_err(text)?;
    let (outbox_changed, outbox_news) = bounded(1);
    let (changed, news) = bounded(1);
    let rotation = Rotation { max_bytes: settings.audit_max_bytes, keep: settings.audit_keep };
    let context = Context {
        audit: store.open_audit(rotation).map_err(text)?,
        processes: Processes::new(),
        level: Level::default(),
        health: Health::new(changed.clone()),
        board: Board::default(),
        last_beat_ms: store.heartbeat_at_ms(),
        store,
        live: LiveSettings::new(settings),
        programs,
        home,
        outbox_changed,
    };
    heartbeat::write(&context, "run");
    for dir in tightened {
        log::warn!("{} was open to others and is private now (0700)", dir.display());
    }
    if let Some(name) = far {
        log::warn!("{} is on a network file system ({name})", context.store.home().display());
    }
    announce(&context);
    thread::scope(|scope| {
        let daemon = Daemon { context: &context, scope };
        let code = daemon.run(signals, sender, outbox_news, (changed, news)).unwrap_or_else(|e| {
            log::error!("{e}");
            1
        });
        heartbeat::write(&context, "stopped");
        let pid = json!(std::process::id());
        context.audit.record("daemon_stopped", "", &[("pid", pid)]);
        log::info!("stopped");
        // Not by return: that would wait for threads that wait for signals, or for a callback that hangs.
        std::process::exit(code)
    })
}

fn text(e: error::Error) -> String {
    e.to_string()
}

fn gstack_home(home: Option<&OsString>) -> Result<PathBuf, String> {
    let named = std::env::var_os("GSTACK_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let dir = named.or_else(|| home.map(|home| Path::new(home).join(".gstack")));
    let dir =
        dir.ok_or("neither GSTACK_HOME nor HOME is set: cannot tell where the dispatches are")?;
    std::path::absolute(&dir).map_err(|e| format!("cannot use {}: {e}", dir.display()))
}

/// Defaults, then `config.json`, then the environment, then the flags.
fn read_settings(store: &Store, flags: &Flags) -> Result<Settings, String> {
    let mut settings = Settings::default();
    if let Some(bytes) = store.read_config().map_err(text)? {
        let path = store.config_path();
        let wrong = |e: String| format!("{}: {e}", path.display());
        let config = serde_json::from_slice(&bytes).map_err(|e| wrong(e.to_string()))?;
        config::apply_config(&mut settings, &config).map_err(wrong)?;
    }
    let lookup = |name: &str| std::env::var(name).ok();
    config::apply_environment(&mut settings, &lookup)?;
    flags.apply(&mut settings)?;
    let home = std::env::var_os("HOME");
    let resolve = |dir: &str| project::canonical(dir, home.as_deref());
    settings.projects.resolve(resolve);
    settings.verify.resolve(resolve);
    Ok(settings)
}

/// The network file system below us, if the operator wants to be on one; else that is an error.
fn far_away(store: &Store, settings: &Settings) -> Result<Option<&'static str>, String> {
    match store.network_file_system().map_err(text)? {
        Some(name) if !settings.allow_network_fs => Err(format!(
            "{} is on a network file system ({name}), where locks and renames are not safe: set GSTACK_HOME to a \
             directory on a local disk, or take the risk with --allow-network-fs",
            store.home().display()
        )),
        far => Ok(far),
    }
}

/// Cron's "make sure that it runs": quiet, unless the one that holds the lock looks dead.
fn second_daemon(store: &Store) -> Result<ExitCode, String> {
    let age_ms = store.heartbeat_at_ms().map(|at| clock::unix_ms() - at);
    match age_ms {
        Some(age_ms) if age_ms > STALE_HEARTBEAT_MS => Err(format!(
            "another daemon holds the lock, but its last heartbeat is {} minutes old: is it hanging?",
            age_ms / 60_000
        )),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Where each agent's program is, absolute. Without Claude Code there is nothing to do (the seed's start-up error).
fn find_agents(
    settings: &Settings,
    home: Option<&Path>,
) -> Result<HashMap<&'static str, PathBuf>, String> {
    let path = std::env::var_os("PATH");
    // Where its installers put it; cron's and systemd's PATH have none of these.
    let user_places = [".local/bin", ".claude/local", "bin", ".npm-global/bin", ".bun/bin"];
    let mut places: Vec<PathBuf> =
        home.into_iter().flat_map(|h| user_places.map(|p| h.join(p))).collect();
    places.extend(["/usr/local/bin", "/opt/homebrew/bin"].map(PathBuf::from));
    let mut programs = HashMap::new();
    for driver in DRIVERS {
        let named = (driver.name == "claude").then_some(settings.claude.as_deref()).flatten();
        if let Some(program) =
            find_program(named.unwrap_or(driver.program), path.as_deref(), &places)
        {
            programs.insert(driver.name, program);
        } else if let Some(named) = named {
            return Err(format!("claude binary not found: {named} is no executable file"));
        }
    }
    if programs.is_empty() {
        return Err(
            "claude binary not found in PATH or the usual places; name it with --claude PATH"
                .into(),
        );
    }
    Ok(programs)
}

fn announce(context: &Context) {
    let Context { store, programs, .. } = context;
    let settings = context.settings();
    log::info!(
        "started {} (max_concurrent={}, local_only={})",
        env!("CARGO_PKG_VERSION"),
        settings.max_concurrent,
        settings.local_only
    );
    for (name, program) in programs {
        log::info!("{name} is {}", program.display());
    }
    if rustix::process::geteuid().is_root() {
        log::warn!("running as root: every dispatch runs with root's rights");
    }
    log::info!("watching {}", store.drop_zone().display());
    let details =
        [("pid", json!(std::process::id())), ("version", json!(env!("CARGO_PKG_VERSION")))];
    context.audit.record("daemon_started", "", &details);
}

struct Daemon<'scope, 'env> {
    context: &'env Context,
    scope: &'scope Scope<'scope, 'env>,
}

impl<'env> Daemon<'_, 'env> {
    fn run(
        self,
        signals: signal_hook::iterator::Signals,
        sender: Sender,
        outbox_news: Receiver<()>,
        (changed, news): (Changed, Receiver<()>),
    ) -> Result<i32, String> {
        let context = self.context;
        let settings = &context.settings();
        let signals_handle = signals.handle();
        // Nothing is ever sent on these two: that their one sender is gone is the message.
        let (running, stopping) = bounded::<Infallible>(0);
        let (alive, ended) = bounded::<Infallible>(0);
        let (events_in, events) = unbounded::<Event>();
        let (jobs_in, jobs) = bounded::<Job>(0);
        let (ready_in, ready) = bounded(1);
        let (done_in, done) = bounded::<Infallible>(0);
        let (last_in, last) = bounded::<Infallible>(0);

        self.spawn("signals", move || signals::run(signals, &context.level, running))?;
        let beat_until = ended.clone();
        self.spawn("heartbeat", move || heartbeat::run(context, news, beat_until))?;

        let recovered = recover(context).map_err(text)?;
        if let Err(e) = context.store.put_back_answered() {
            log::warn!("{e}");
        }
        let wires = Wires { jobs: jobs_in, events, running: stopping.clone(), changed };
        let mut intake = Intake::new(context, wires);
        intake.recall_notices(recovered.notices);
        intake.park_recovered(recovered.parked, recovered.unread);
        for claim in recovered.waiting {
            intake.recall(claim);
        }
        for (claim, step) in recovered.taken_up {
            let cancel = intake.occupy(&claim);
            let (events, stopping) = (events_in.clone(), stopping.clone());
            self.spawn("adopter", move || {
                worker::take_up(context, claim, step, &cancel, &events, &stopping)
            })?;
        }
        for number in 1..=settings.max_concurrent {
            let (jobs, events, stopping) = (jobs.clone(), events_in.clone(), stopping.clone());
            let name = format!("worker-{number}");
            self.spawn(&name, move || worker::run(context, &jobs, &events, &stopping))?;
        }
        drop((jobs, events_in));
        self.spawn("intake", move || {
            intake.run(ready_in);
            drop(done_in);
        })?;
        self.spawn("courier", move || {
            courier::run(context, &sender, outbox_news, ended);
            drop(last_in);
        })?;
        if ready.recv().is_ok() {
            log::info!("ready");
        }
        self.wait(&stopping, &done);

        drop(alive);
        let _ = last.recv_timeout(LAST_CALLBACKS_MAX);
        signals_handle.close();
        Ok(i32::from(context.level.is_kill()))
    }

    fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'env) -> Result<(), String> {
        let builder = thread::Builder::new().name(name.into());
        builder
            .spawn_scoped(self.scope, body)
            .map_err(|e| format!("cannot start thread {name}: {e}"))?;
        Ok(())
    }

    /// Until intake has nothing left: that is when the last session has ended.
    fn wait(&self, stopping: &Receiver<Infallible>, done: &Receiver<Infallible>) {
        let _ = stopping.recv();
        let timeout = self.context.settings().drain_timeout;
        if done.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {
            log::warn!("sessions still run after {timeout:?}: ending them");
            self.context.level.raise_to_kill();
            let _ = done.recv();
        }
    }
}
