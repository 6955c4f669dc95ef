//! The wiring: builds what the threads share, recovers, starts them, and waits for the end. Nothing
//! is decided here.
//!
//! The order is the point: signals and ownership are seen to before anything is believed, and the
//! lock is held before anything is recovered.

use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::io::{IsTerminal, stderr, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, Scope};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};

use crate::effects::process::Processes;
use crate::effects::service_manager::ServiceManager;
use crate::effects::stderr::set_format;
use crate::effects::store::{Mended, Store, gstack_home};
use crate::effects::{clock, error};
use crate::pure::agent::Drivers;
use crate::pure::audit_event::AuditEvent;
use crate::pure::command::run::RunUntil;
use crate::pure::config::Settings;
use crate::pure::config::flags::Flags;
use crate::pure::dispatch::DispatchId;
use crate::pure::heartbeat::DaemonState;
use crate::threads::events::{Event, Job};
use crate::threads::heartbeat;
use crate::threads::intake::{Intake, Wires};
use crate::threads::recover::{Recovered, left_behind, recover};
use crate::threads::recover_pending::recover_pending;
use crate::threads::shared::abilities::Abilities;
use crate::threads::shared::authority::Authority;
use crate::threads::shared::board::{Board, Changed};
use crate::threads::shared::context::Context;
use crate::threads::shared::health::Health;
use crate::threads::shared::leavings::Leavings;
use crate::threads::shared::level::{DrainSignal, ExitSignal, Level};
use crate::threads::shared::live::LiveSettings;
use crate::threads::shared::self_checks::SelfChecks;
use crate::threads::shared::sources::{Found, Sources};
use crate::threads::shared::spending::SpendingKeeper;
use crate::threads::{authority, courier, on_finish, reload, signals, worker};

/// A living daemon's heartbeat is never older than this.
const STALE_HEARTBEAT_MS: i64 = 5 * 60 * 1000;
/// How long a finished daemon waits until its last callbacks have had their first try, and its last
/// reports were given to the operator's program.
const LAST_CALLBACKS_MAX: Duration = Duration::from_secs(2);

/// Runs the daemon to its end. The error is one line for the user.
pub fn run(flags: &Flags, until: RunUntil, drivers: Drivers) -> Result<ExitCode, String> {
    // This comes before anything else can be interrupted half-way.
    let signals = signals::register().map_err(|e| format!("cannot watch for signals: {e}"))?;
    let sources = Sources::new(std::env::vars_os(), flags.clone());
    let home = sources.home().map(OsStr::to_os_string);
    let store = name_store(home.as_ref())?;
    // This comes before a word in there is believed.
    store.check_above(home.as_deref().map(Path::new)).map_err(text)?;
    let mut mended = store.check_ownership().map_err(text)?;
    let Found { settings, drivers, warnings } = sources.read(&store, &drivers)?;
    set_format(settings.log_format);
    store.allow(&settings.allowed_uids);
    reload::check_at_start(&store, &settings)?;
    let far = far_away(&store, &settings)?;
    mended.extend(store.make_directories().map_err(text)?);
    let Some(lock) = store.lock(settings.lock_wait).map_err(text)? else {
        return second_daemon(&store);
    };
    let agents = sources.find_agents(drivers, &settings, None)?;
    sources.check_launchers(&settings, None)?;
    courier::check_secrets(&store, &settings, &sources)?;
    authority::check(&store, &settings, &sources)?;
    let sender = reload::sender(&settings, &sources)?;
    let (outbox_changed, outbox) = bounded(1);
    let ((changed, board), (asked_in, asked)) = (bounded(1), bounded(1));
    let (retired_in, retired) = unbounded();
    let (missing, unmet) = sources.missing(&settings);
    let (level, drain) = Level::new();
    let audit = Arc::new(store.open_audit(reload::rotation(&settings)).map_err(text)?);
    let context = Context {
        health: Health::new(audit.clone(), changed.clone()),
        audit,
        processes: Processes::new(|variable| agents.drivers.inherits(variable)),
        abilities: Abilities::default(),
        leavings: Leavings::default(),
        level,
        until,
        paused: AtomicBool::new(store.is_paused()),
        board: Board::default(),
        last_beat_ms: store.heartbeat_at_ms(),
        store,
        lock,
        live: LiveSettings::new(settings, agents, unmet),
        self_checks: SelfChecks::default(),
        spending: SpendingKeeper::default(),
        sources,
        authority: Authority::new(asked_in),
        sender,
        home,
        service_manager: ServiceManager::of(std::env::var_os),
        outbox_changed,
        retired: retired_in,
    };
    heartbeat::write(&context, DaemonState::Run);
    announce(&context, &mended, [warnings, missing].concat(), far);
    thread::scope(|scope| {
        let daemon = Daemon { context: &context, scope };
        let wake_ups = WakeUps { drain, outbox, retired, asked, changed, board };
        let code = daemon.run(signals, wake_ups).unwrap_or_else(|e| {
            log::error!("{e}");
            1
        });
        heartbeat::write(&context, DaemonState::Stopped);
        let pid = std::process::id();
        context.audit.tell("", &AuditEvent::DaemonStopped { pid });
        log::info!("stopped");
        // A return would wait for threads that wait for signals, or for a callback that hangs.
        std::process::exit(code)
    })
}

/// Gives intake what an earlier daemon left, but for what already runs.
fn hand_over(recovered: Recovered, intake: &mut Intake) {
    intake.learn_earlier(recovered.notices);
    intake.park_recovered(recovered.parked, recovered.unread);
    let pending = recovered.pending.iter().map(|(claim, _)| claim);
    intake.count_on_from(recovered.waiting.iter().chain(pending).map(|claim| claim.seq));
    for claim in recovered.waiting {
        intake.enqueue(claim);
    }
    for (claim, record) in recovered.pending {
        intake.enter_pending(claim, record);
    }
}

fn text(e: error::Error) -> String {
    e.to_string()
}

fn name_store(home: Option<&OsString>) -> Result<Store, String> {
    let named = std::env::var_os("GSTACK_HOME");
    let mut store = Store::new(&gstack_home(named, home.map(OsString::as_os_str))?);
    if let Some(base) = std::env::var_os("TMPDIR") {
        store.make_tmp_below(Path::new(&base));
    }
    Ok(store)
}

/// The network file system that we are on, if the operator allows one; otherwise that is an error.
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

/// Whoever works off what is there gives the last callbacks their whole time.
fn last_callbacks_max(context: &Context) -> Duration {
    let of_once =
        Some(context.settings().callback_timeout).filter(|_| context.until == RunUntil::WorkedOff);
    of_once.unwrap_or_default().max(LAST_CALLBACKS_MAX)
}

/// Whether something is left that `--once` should have worked off and could not, for what is wrong
/// with the machine or with a dispatch's own files.
fn is_undone(context: &Context) -> bool {
    let is_parked = !context.board.get().parked.is_empty();
    let why = context.health.degraded().or_else(|| is_parked.then(|| "parked".into()));
    let why = why.filter(|_| context.until == RunUntil::WorkedOff);
    if let Some(why) = &why {
        log::error!("not everything could be worked off: {why}");
    }
    why.is_some()
}

/// Answers cron's "make sure that it runs": quietly, unless a person looks on, or the daemon that
/// holds the lock looks dead.
fn second_daemon(store: &Store) -> Result<ExitCode, String> {
    let pid = store.lock_holder().or_else(|| store.heartbeat_pid());
    let who = pid.map_or("another daemon".to_string(), |pid| format!("pid {pid}"));
    let age_ms = store.heartbeat_at_ms().map(|at| clock::unix_ms() - at);
    match age_ms {
        Some(age_ms) if age_ms > STALE_HEARTBEAT_MS => Err(format!(
            "{who} runs here already, but its last heartbeat is {} minutes old: is it hanging?",
            age_ms / 60_000
        )),
        _ => {
            let line = format!("{who} runs here already");
            if stdout().is_terminal() {
                println!("{line}");
            } else if stderr().is_terminal() {
                eprintln!("{line}");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn announce(context: &Context, mended: &[Mended], warnings: Vec<String>, far: Option<&str>) {
    let store = &context.store;
    mended.iter().for_each(|dir| log::warn!("{dir}"));
    warnings.iter().for_each(|warning| log::warn!("{warning}"));
    if let Some(name) = far {
        log::warn!("{} is on a network file system ({name})", store.home().display());
    }
    let settings = context.settings();
    log::info!(
        "started {} (max_concurrent={}, local_only={})",
        env!("CARGO_PKG_VERSION"),
        settings.max_concurrent,
        settings.local_only
    );
    reload::tell_agents(context, None);
    if !settings.is_gated() {
        log::warn!(
            "whoever can write into {} can run anything as you: trusted_projects or require_signature would narrow that",
            store.drop_zone().display()
        );
    }
    if rustix::process::geteuid().is_root() {
        log::warn!("running as root: every dispatch runs with root's rights");
    }
    log::info!("watching {}", store.drop_zone().display());
    let (pid, version) = (std::process::id(), env!("CARGO_PKG_VERSION").into());
    context.audit.tell("", &AuditEvent::DaemonStarted { pid, version });
}

/// The channels that wake the threads.
struct WakeUps {
    drain: DrainSignal,
    outbox: Receiver<()>,
    retired: Receiver<DispatchId>,
    asked: Receiver<()>,
    changed: Changed,
    board: Receiver<()>,
}

struct Daemon<'scope, 'env> {
    context: &'env Context,
    scope: &'scope Scope<'scope, 'env>,
}

impl<'env> Daemon<'_, 'env> {
    fn run(
        self,
        signals: signal_hook::iterator::Signals,
        WakeUps { drain, outbox, retired, asked, changed, board }: WakeUps,
    ) -> Result<i32, String> {
        let context = self.context;
        let settings = &context.settings();
        let signals_handle = signals.handle();
        let (until_exit, exit) = ExitSignal::new();
        let (events_in, events) = unbounded::<Event>();
        let (jobs_in, jobs) = bounded::<Job>(0);
        let (ready_in, ready) = bounded(1);
        // Nothing is ever sent on these two: each is disconnected when its thread has ended.
        let (done_in, done) = bounded::<Infallible>(0);
        let (last_in, last) = bounded::<Infallible>(0);

        self.spawn("signals", move || signals::run(signals, context))?;
        let beat_until = exit.clone();
        self.spawn("heartbeat", move || heartbeat::run(context, board, beat_until))?;

        let mut recovered = recover(context).map_err(text)?;
        recover_pending(context, &mut recovered).map_err(text)?;
        context.leavings.note(left_behind(context, &recovered));
        if let Err(e) = context.store.put_back_answered() {
            log::warn!("{e}");
        }
        let wires = Wires { jobs: jobs_in, events, drain: drain.clone(), changed };
        let mut intake = Intake::new(context, wires);
        let taken_up = std::mem::take(&mut recovered.taken_up);
        hand_over(recovered, &mut intake);
        for (mut claim, step) in taken_up {
            let cancel = intake.adopt(&mut claim);
            let (events, drain) = (events_in.clone(), drain.clone());
            self.spawn("adopter", move || {
                worker::take_up(context, claim, step, &cancel, &events, &drain)
            })?;
        }
        for number in 1..=settings.max_concurrent {
            let (jobs, events, drain) = (jobs.clone(), events_in.clone(), drain.clone());
            let name = format!("worker-{number}");
            self.spawn(&name, move || worker::run(context, &jobs, &events, &drain))?;
        }
        self.ask_clawvisor(asked, events_in, (exit.clone(), last_in.clone()))?;
        drop(jobs);
        self.spawn("intake", move || {
            intake.run(ready_in);
            drop(done_in);
        })?;
        let (courier_exit, last_too) = (exit.clone(), last_in.clone());
        self.spawn("courier", move || {
            courier::run(context, outbox, courier_exit);
            drop(last_too);
        })?;
        self.spawn("on_finish", move || {
            on_finish::run(context, &retired, exit);
            drop(last_in);
        })?;
        if ready.recv().is_ok() {
            log::info!("ready");
            context.service_manager.tell_ready();
        }
        self.wait(&drain, &done);

        drop(until_exit);
        let _ = last.recv_timeout(last_callbacks_max(context));
        signals_handle.close();
        let level = &context.level;
        Ok(i32::from(level.is_kill() || level.is_lost() || is_undone(context)))
    }

    /// Starts the thread that asks Clawvisor, where there is one to be asked.
    fn ask_clawvisor(
        &self,
        asked: Receiver<()>,
        events: Sender<Event>,
        (exit, last): (ExitSignal, Sender<Infallible>),
    ) -> Result<(), String> {
        let context = self.context;
        if context.settings().clawvisor_url.is_none() {
            return Ok(());
        }
        self.spawn("authority", move || authority::run(context, asked, events, exit, last))
    }

    fn spawn(&self, name: &str, body: impl FnOnce() + Send + 'env) -> Result<(), String> {
        let builder = thread::Builder::new().name(name.into());
        builder
            .spawn_scoped(self.scope, body)
            .map_err(|e| format!("cannot start thread {name}: {e}"))?;
        Ok(())
    }

    /// Waits until intake has nothing left, which is when the last session has ended.
    fn wait(&self, drain: &DrainSignal, done: &Receiver<Infallible>) {
        let _ = drain.receiver().recv();
        self.context.service_manager.tell_stopping();
        let timeout = self.context.settings().drain_timeout;
        if done.recv_timeout(timeout) == Err(RecvTimeoutError::Timeout) {
            log::warn!("sessions still run after {timeout:?}: ending them");
            self.context.level.raise_to_kill();
            // Nobody waits for sessions that another daemon goes on with.
            if !self.context.level.is_lost() {
                let _ = done.recv();
            }
        }
    }
}
