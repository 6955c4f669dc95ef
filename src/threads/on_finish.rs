//! Gives each report to the operator's program, one after the other: at least once, through
//! crashes, and in nobody's way.
//!
//! A worker only notes the report on disk and wakes this thread. How the program ended is told, and
//! nothing else follows from it: the dispatch has its answer already.

use std::cell::Cell;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::TryRecvError::Disconnected;
use crossbeam_channel::{Receiver, after, select_biased};

use super::shared::context::Context;
use super::shared::level::ExitSignal;
use crate::effects::error;
use crate::effects::process::{HelperEnd, Hook};
use crate::effects::store::OutputFile;
use crate::pure::agent::environment::DISPATCH_ID;
use crate::pure::attempt::outcome::Exit;
use crate::pure::audit_event::AuditEvent;
use crate::pure::dispatch::DispatchId;
use crate::pure::text::redact::redact;

/// How much of what the program writes is kept.
const LOG_BYTES_MAX: u64 = 64 * 1024;
/// How long the program may still run when the daemon ends; the next one runs it again.
const LAST_RUN_MAX: Duration = Duration::from_millis(1500);

/// Runs until the daemon is done. `news` brings the dispatches that are retired.
pub fn run(context: &Context, news: &Receiver<DispatchId>, exit: ExitSignal) {
    let mut finisher = Finisher { context, exit, until: Cell::new(None), waiting: VecDeque::new() };
    match context.store.list_finishing() {
        Ok(ids) => finisher.waiting.extend(ids),
        Err(e) => log::warn!("{e}"),
    }
    loop {
        finisher.waiting.extend(news.try_iter());
        if !finisher.may_go_on() {
            return;
        }
        let Some(id) = finisher.waiting.pop_front() else {
            if finisher.until.get().is_some() {
                return;
            }
            select_biased! {
                recv(news) -> id => finisher.waiting.extend(id),
                recv(finisher.exit.receiver()) -> _ => {}
            }
            continue;
        };
        if let Err(e) = finisher.tell(&id) {
            log::warn!("on_finish of {id}: {e}");
            if finisher.until.get().is_some() {
                return;
            }
            finisher.waiting.push_front(id);
            select_biased! {
                recv(finisher.exit.receiver()) -> _ => {}
                recv(after(context.settings().trouble_pause)) -> _ => {}
            }
        }
    }
}

struct Finisher<'a> {
    context: &'a Context,
    exit: ExitSignal,
    /// Until when something may run, once the daemon is about to end.
    until: Cell<Option<Instant>>,
    waiting: VecDeque<DispatchId>,
}

/// How a run came out, for the audit log.
enum Ran {
    Ended(HelperEnd),
    NotStarted(String),
    /// The daemon ends; the next one runs it again.
    Cut,
}

impl Finisher<'_> {
    fn may_go_on(&self) -> bool {
        if self.until.get().is_none() && self.exit.receiver().try_recv() == Err(Disconnected) {
            self.until.set(Some(Instant::now() + LAST_RUN_MAX));
        }
        let has_time = self.until.get().is_none_or(|until| Instant::now() < until);
        has_time && !self.context.level.is_lost()
    }

    /// Runs the program with one report, if that has not been done. The error is one of the machine
    /// or the disk, and it is worth another try.
    fn tell(&self, id: &DispatchId) -> Result<(), error::Error> {
        let store = &self.context.store;
        let Some(report) = store.open_finishing(id)? else { return Ok(()) };
        // Another daemon that holds the directory tells what stands there.
        if !self.context.has_lock() {
            return Ok(());
        }
        let settings = self.context.settings();
        let Some((program, arguments)) = settings.on_finish.split_first() else {
            log::warn!("on_finish is not set any more: the report of {id} is told to nobody");
            return store.remove_finishing(id);
        };
        let began = Instant::now();
        let ran = match self.context.sources.find_program(program) {
            Err(why) => Ran::NotStarted(why),
            Ok(program) => self.run(id, &program, arguments, report)?,
        };
        let (end, failure) = match ran {
            Ran::Cut => return Ok(()),
            Ran::Ended(end) => (Some(end), None),
            Ran::NotStarted(why) => (None, Some(redact(&why))),
        };
        self.log(id, end, failure, began.elapsed());
        store.remove_finishing(id)
    }

    fn run(
        &self,
        id: &DispatchId,
        program: &PathBuf,
        arguments: &[String],
        report: OutputFile,
    ) -> Result<Ran, error::Error> {
        let (store, settings) = (&self.context.store, self.context.settings());
        let hook = Hook {
            program,
            arguments,
            directory: store.home(),
            variable: (DISPATCH_ID, id.as_str()),
            stdin: report,
            log: store.finish_log(id)?,
            log_bytes_max: LOG_BYTES_MAX,
            timeout: settings.on_finish_timeout,
        };
        match self.context.processes.run_hook(hook, || self.may_go_on()) {
            Ok(end) => Ok(end.map_or(Ran::Cut, Ran::Ended)),
            Err(e) if error::fault(&e).is_everywhere() => Err(error::Error::new("run", program, e)),
            Err(e) => Ok(Ran::NotStarted(format!("cannot run {}: {e}", program.display()))),
        }
    }

    fn log(&self, id: &DispatchId, end: Option<HelperEnd>, error: Option<String>, took: Duration) {
        let exit = match end {
            Some(HelperEnd::Exited(exit)) => exit,
            Some(HelperEnd::TimedOut) | None => Exit { code: None, signal: None },
        };
        let timed_out = end == Some(HelperEnd::TimedOut);
        let words = match (&error, exit.code) {
            (Some(why), _) => why.clone(),
            (None, _) if timed_out => "its time was up, and it was ended".into(),
            (None, Some(0)) => String::new(),
            (None, Some(code)) => format!("it ended with exit code {code}"),
            (None, None) => "it was ended by a signal".into(),
        };
        if words.is_empty() {
            log::debug!("on_finish was told of {id}");
        } else {
            log::warn!("on_finish of {id}: {words}");
        }
        let duration = took.as_millis() as f64 / 1000.0;
        let (exit_code, signal) = (exit.code, exit.signal);
        let told = AuditEvent::OnFinish { exit_code, signal, timed_out, error, duration };
        self.context.audit.tell(id.as_str(), &told);
    }
}
