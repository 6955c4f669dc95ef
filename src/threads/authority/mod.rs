//! Asks Clawvisor: about the tasks that somebody needs to know of, and to complete those whose
//! dispatch is over ([`completing`]). It runs only where Clawvisor is configured.
//!
//! This thread decides and writes; each question has a short-lived thread of its own, which does
//! nothing but wait, so that a task whose answer hangs delays no other. What is known stands in
//! [`super::shared::authority`], and is lost with the process: whoever waits is asked about again.

mod completing;
mod state;

use std::convert::Infallible;
use std::io::ErrorKind::NotFound;
use std::sync::Arc;
use std::thread::{self, Scope};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, never, select_biased, unbounded};

use self::completing::{Completing, TriedCompletion};
use self::state::ReadyCheck;
use super::events::Event;
use super::shared::context::Context;
use super::shared::level::ExitSignal;
use super::shared::sources::Sources;
use super::shared::tokens::clawvisor_token;
use crate::effects::clock;
use crate::effects::error::Error;
use crate::effects::http::callback::Failure;
use crate::effects::http::clawvisor::{ClawvisorQuestion, Reply};
use crate::effects::store::Store;
use crate::pure::callback::delivery::retry_after;
use crate::pure::callback::destination::Origin;
use crate::pure::config::Settings;
use crate::pure::dispatch::DispatchId;
use crate::pure::gate::asking::{AskingPace, TaskDesk};
use crate::pure::gate::clawvisor::{TaskAnswer, TaskId, read_task};
use crate::pure::text::escape::shell_word;
use crate::pure::upkeep::health::{Holder, Subsystem};

/// How many short questions are under way at once, and how many that may wait for a decision.
const SHORT_MAX: usize = 32;
const LONG_MAX: usize = 128;
/// The time limit of the question whether it is there.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether Clawvisor can be asked by these settings. The error says what to type.
pub fn check(store: &Store, settings: &Settings, sources: &Sources) -> Result<(), String> {
    check_url(settings)?;
    if settings.clawvisor_url.is_none() {
        return Ok(());
    }
    store.look_for_tasks().map_err(|e| e.to_string())?;
    if settings.clawvisor().is_none() {
        return Ok(());
    }
    match clawvisor_token(store, sources) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            let word = shell_word(&store.clawvisor_token_path().to_string_lossy());
            Err(format!(
                "clawvisor_url is set, and there is no token: write it into {word}, and then chmod 600 {word}; or work without it, with --local-only"
            ))
        }
        Err(e) => Err(e.to_string()),
    }
}

/// Whether the URL can be Clawvisor's.
pub fn check_url(settings: &Settings) -> Result<(), String> {
    settings.wrong_clawvisor_url().map_or(Ok(()), |why| Err(format!("clawvisor_url: {why}")))
}

/// Runs until the daemon is done, and then completes what is due, so that the last dispatches'
/// tasks get their first try. `last` is dropped after that.
pub fn run(
    context: &Context,
    wake: Receiver<()>,
    events: Sender<Event>,
    mut exit: ExitSignal,
    last: Sender<Infallible>,
) {
    let settings_changed = context.live.listen();
    let (answered_in, answered) = unbounded();
    thread::scope(|scope| {
        let completing = Completing::new(context);
        let mut inquirer = Inquirer {
            context,
            scope,
            events,
            answered_in,
            completing,
            holder: context.health.holder(),
            short: 0,
            long: 0,
            reached_ms: None,
            ready: ReadyCheck { failures: 0, due_ms: Some(clock::monotonic_ms()), was_made: false },
        };
        let (mut is_stopped, mut last) = (false, Some(last));
        loop {
            inquirer.start_due(is_stopped);
            if is_stopped && !inquirer.completing.is_busy() {
                // What still hangs ends with the process.
                last.take();
            }
            let timer = inquirer.wait(is_stopped).map_or_else(never, after);
            select_biased! {
                recv(answered) -> one => one.into_iter().for_each(|one| inquirer.take_in(one)),
                recv(wake) -> _ => inquirer.completing.look(),
                recv(settings_changed) -> _ => inquirer.completing.look(),
                recv(exit.receiver()) -> _ => {
                    exit = ExitSignal::never();
                    inquirer.completing.look();
                    inquirer.completing.stop();
                    is_stopped = true;
                }
                recv(timer) -> _ => {}
            }
        }
    });
}

struct Inquirer<'scope, 'env> {
    context: &'env Context,
    scope: &'scope Scope<'scope, 'env>,
    events: Sender<Event>,
    answered_in: Sender<Heard>,
    completing: Completing<'env>,
    /// Whose trouble with the token it is.
    holder: Holder,
    /// How many questions are under way.
    short: usize,
    long: usize,
    /// When something was heard of Clawvisor last.
    reached_ms: Option<i64>,
    ready: ReadyCheck,
}

/// A question that is over.
enum Heard {
    Ready(Result<Reply, Failure>, i64),
    Task { id: TaskId, may_wait: bool, began_ms: i64, reply: Result<Reply, Failure> },
    Completion(TriedCompletion),
}

/// What a question needs, read for each one.
struct Means {
    origin: Origin,
    token: String,
    settings: Arc<Settings>,
}

impl<'env> Inquirer<'_, 'env> {
    /// `None`: nobody is to be asked now.
    fn origin(&self) -> Option<Origin> {
        let is_ours = !self.context.level.is_lost();
        self.context.settings().clawvisor().filter(|_| is_ours)
    }

    /// The time until there is something to do although nobody says so.
    fn wait(&self, is_stopped: bool) -> Option<Duration> {
        self.origin()?;
        let now_ms = clock::monotonic_ms();
        let tasks = (!is_stopped).then(|| self.first_due_ms()).flatten();
        let ready = self.ready.due_ms.filter(|_| !is_stopped);
        let due = [tasks, ready, self.completing.first_due_ms()].into_iter().flatten().min()?;
        Some(Duration::from_millis((due - now_ms).max(0).unsigned_abs()))
    }

    /// When the first task is due for which there is room.
    fn first_due_ms(&self) -> Option<i64> {
        let settings = self.context.settings();
        let pace = pace(&settings);
        let known = self.context.authority.known();
        let due = known.tasks.values().filter_map(|desk| desk.next(pace));
        due.filter(|due| self.has_room(due.may_wait)).map(|due| due.at_ms).min()
    }

    fn has_room(&self, may_wait: bool) -> bool {
        if may_wait { self.long < LONG_MAX } else { self.short < SHORT_MAX }
    }

    fn start_due(&mut self, is_stopped: bool) {
        let Some(origin) = self.origin() else { return };
        let now_ms = clock::monotonic_ms();
        if !is_stopped {
            if self.is_ready_due(now_ms) {
                self.ask_whether_ready(origin.clone());
            }
            self.ask_about_tasks(&origin, now_ms);
        }
        while let Some(id) = self.completing.next(clock::monotonic_ms()) {
            let means = self.means(&origin);
            self.complete(&id, means);
        }
    }

    // ------------------------------------------------------------------------------- questions

    fn ask_whether_ready(&mut self, origin: Origin) {
        let (sender, answered_in) = (&self.context.sender, self.answered_in.clone());
        self.spawn(move || {
            let began_ms = clock::monotonic_ms();
            let reply = sender.ask(&ClawvisorQuestion::IsReady, &origin, None, READY_TIMEOUT);
            let _ = answered_in.send(Heard::Ready(reply, began_ms));
        });
    }

    fn ask_about_tasks(&mut self, origin: &Origin, now_ms: i64) {
        let settings = self.context.settings();
        let mut due: Vec<_> = {
            let mut known = self.context.authority.known();
            known.tasks.retain(|_, desk| !desk.is_idle(now_ms));
            let next =
                |(id, desk): (&TaskId, &TaskDesk)| Some((desk.next(pace(&settings))?, id.clone()));
            known.tasks.iter().filter_map(next).filter(|(due, _)| due.at_ms <= now_ms).collect()
        };
        // Whoever is due longest comes first, so that each has its turn.
        due.sort();
        for (due, id) in due {
            if !self.has_room(due.may_wait) {
                continue;
            }
            if let Some(desk) = self.context.authority.known().tasks.get_mut(&id) {
                desk.begin();
            }
            let means = self.means(origin);
            self.ask_about(id, due.may_wait, means);
        }
    }

    fn ask_about(&mut self, id: TaskId, may_wait: bool, means: Result<Means, String>) {
        *(if may_wait { &mut self.long } else { &mut self.short }) += 1;
        let (sender, answered_in) = (&self.context.sender, self.answered_in.clone());
        let began_ms = clock::monotonic_ms();
        let said = answered_in.clone();
        let of = id.clone();
        let body = move || {
            let reply = means.map_err(not_sent).and_then(|means| {
                let wait = may_wait.then_some(means.settings.clawvisor_wait);
                let question = ClawvisorQuestion::Task { id: of.clone(), wait };
                let timeout = means.settings.clawvisor_timeout;
                sender.ask(&question, &means.origin, Some(&means.token), timeout)
            });
            let _ = answered_in.send(Heard::Task { id: of, may_wait, began_ms, reply });
        };
        if !self.spawn(body) {
            let reply = Err(not_sent("no thread could be started".into()));
            let _ = said.send(Heard::Task { id, may_wait, began_ms, reply });
        }
    }

    fn complete(&mut self, id: &DispatchId, means: Result<Means, String>) {
        let Some((entry, task)) = self.completing.begin(id) else { return };
        let (sender, answered_in) = (&self.context.sender, self.answered_in.clone());
        let said = answered_in.clone();
        let again = entry.clone();
        let body = move || {
            let reply = means.map_err(not_sent).and_then(|means| {
                let timeout = means.settings.clawvisor_timeout;
                let question = ClawvisorQuestion::Complete { id: task };
                sender.ask(&question, &means.origin, Some(&means.token), timeout)
            });
            let _ = answered_in.send(Heard::Completion(TriedCompletion { entry, reply }));
        };
        if !self.spawn(body) {
            let reply = Err(not_sent("no thread could be started".into()));
            let _ = said.send(Heard::Completion(TriedCompletion { entry: again, reply }));
        }
    }

    /// Reads the token anew, so that another one counts without a restart.
    fn means(&self, origin: &Origin) -> Result<Means, String> {
        let Context { health, store, sources, .. } = self.context;
        let token = clawvisor_token(store, sources).and_then(|token| {
            let absent = || Error::new("read", store.clawvisor_token_path(), NotFound.into());
            token.ok_or_else(absent)
        });
        match token {
            Ok(token) => {
                health.works_again_for(Subsystem::Secrets, self.holder);
                let (origin, settings) = (origin.clone(), self.context.settings());
                Ok(Means { origin, token, settings })
            }
            Err(e) => {
                health.failed_for(Subsystem::Secrets, self.holder, &e);
                Err(e.to_string())
            }
        }
    }

    /// False: no thread could be started.
    fn spawn(&self, body: impl FnOnce() + Send + 'env) -> bool {
        let builder = thread::Builder::new().name("clawvisor".into());
        let spawned = builder.spawn_scoped(self.scope, body);
        spawned.inspect_err(|e| log::warn!("cannot start a thread: {e}")).is_ok()
    }

    // --------------------------------------------------------------------------------- answers

    fn take_in(&mut self, answered: Heard) {
        match answered {
            Heard::Ready(reply, began_ms) => self.take_ready(reply, began_ms),
            Heard::Task { id, may_wait, began_ms, reply } => {
                let count = if may_wait { &mut self.long } else { &mut self.short };
                *count = count.saturating_sub(1);
                self.take_task(&id, began_ms, reply);
            }
            Heard::Completion(tried) => self.completing.ended(tried),
        }
    }

    fn take_task(&mut self, id: &TaskId, began_ms: i64, reply: Result<Reply, Failure>) {
        let settings = self.context.settings();
        let (answer, asked) = match reply {
            Ok(Reply { status, retry_after: asked, body }) => {
                let asked = asked.and_then(|value| retry_after(&value, clock::unix_ms()));
                (read_task(status, &body, id), asked)
            }
            Err(Failure { why, .. }) => (TaskAnswer::NotNow(why), None),
        };
        let why = match &answer {
            TaskAnswer::NotNow(why) => Some(why.clone()),
            TaskAnswer::Refused(401) => Some("it refuses our token (401)".into()),
            TaskAnswer::Refused(_) | TaskAnswer::Found(_) => None,
        };
        let state = answer.state();
        let now_ms = clock::monotonic_ms();
        let mut known = self.context.authority.known();
        let desk = known.tasks.entry(id.clone()).or_default();
        desk.take(answer, (began_ms, now_ms), asked, pace(&settings));
        let has_waiting = desk.waiting > 0;
        drop(known);
        self.context.authority.tell();
        self.is_reached(state, why, began_ms);
        if has_waiting {
            let _ = self.events.send(Event::TaskAnswered { task: id.clone() });
        }
    }
}

fn not_sent(why: String) -> Failure {
    Failure { why, is_final: false }
}

fn pace(settings: &Settings) -> AskingPace<'_> {
    let poll_ms = settings.clawvisor_poll.as_millis() as i64;
    AskingPace { poll_ms, delays: &settings.clawvisor_delays }
}
