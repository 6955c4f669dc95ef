//! Delivers callbacks from the outbox: several at once, one at a time to each host, each with a
//! time limit, and tried again with growing pauses for a day. What is given up lies among the dead,
//! where a person can take it back from.
//!
//! The outbox is the truth: the courier keeps nothing that it could lose. It is never in a worker's
//! way; a worker only puts an entry down and wakes the courier. This thread decides and writes;
//! each try has a short-lived thread of its own, which does nothing but wait for its receiver. A
//! try that was cut off is made again, with the same key. What a broken disk refuses is remembered
//! and written later, or else it would be posted again.

mod secrets;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::thread::{self, Scope};
use std::time::Duration;

use crossbeam_channel::{self as channel, Receiver, after, never, select_biased, unbounded};
use serde_json::Value;

use self::secrets::Secrets;
use super::shared::context::Context;
use super::shared::level::ExitSignal;
use crate::effects::clock;
use crate::effects::error::Error;
use crate::effects::http::callback::{Failure, HttpAnswer, Letter};
use crate::effects::store::OutboxEntry;
use crate::pure::audit_event::AuditEvent;
use crate::pure::callback::delivery::{Delivery, RETRY_AFTER_MAX, delivery, retry_after};
use crate::pure::callback::destination::{Origin, UrlRefusal, destination};
use crate::pure::callback::schedule::{Schedule, pause_after};
use crate::pure::dispatch::DispatchId;
use crate::pure::text::redact::redact;
use crate::pure::text::time::rfc3339;
use crate::pure::upkeep::health::Subsystem;

pub use self::secrets::check_secrets;

/// Runs until the daemon is done, and then goes once more through what is due, so that the last
/// answers get their first try.
pub fn run(context: &Context, changed: Receiver<()>, mut exit: ExitSignal) {
    let (tried_in, tried) = unbounded();
    thread::scope(|scope| {
        let mut courier = Courier {
            context,
            scope,
            tried_in,
            schedule: Schedule::default(),
            unsaved: HashMap::new(),
            in_trouble: false,
        };
        courier.look();
        let mut stopped_at_ms = None;
        loop {
            courier.start_due(stopped_at_ms.unwrap_or_else(clock::monotonic_ms));
            if stopped_at_ms.is_some() && courier.schedule.under_way() == 0 {
                return;
            }
            // What becomes due after the stop is for the next daemon.
            let wait = courier.wait().filter(|_| stopped_at_ms.is_none());
            let timer = wait.map_or_else(never, after);
            select_biased! {
                recv(tried) -> over => over.into_iter().for_each(|over| courier.ended(over)),
                recv(changed) -> _ => courier.look(),
                recv(exit.receiver()) -> _ => {
                    exit = ExitSignal::never();
                    courier.look();
                    stopped_at_ms = Some(clock::monotonic_ms());
                }
                recv(timer) -> _ => if courier.in_trouble { courier.look() },
            }
        }
    });
}

struct Courier<'scope, 'env> {
    context: &'env Context,
    scope: &'scope Scope<'scope, 'env>,
    tried_in: channel::Sender<Tried>,
    /// When each callback is tried next. The wall-clock time in an entry says it only to the next
    /// daemon.
    schedule: Schedule,
    /// What could not be written about tries, by dispatch.
    unsaved: HashMap<DispatchId, Unsaved>,
    /// Something failed since the last look.
    in_trouble: bool,
}

enum Unsaved {
    /// The entry is to be removed.
    Finished(OutboxEntry),
    /// The entry belongs among the dead.
    GivenUp(OutboxEntry),
    Tried(OutboxEntry),
}

/// What became of a try that did not deliver.
enum Undelivered {
    Status(u16),
    Error(String),
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Undelivered::Status(status) => write!(f, "status {status}"),
            // The error is shown as JSON, so that it is seen where the words of others end.
            Undelivered::Error(error) => write!(f, "error {}", Value::from(error.as_str())),
        }
    }
}

/// A try that is over.
struct Tried {
    id: DispatchId,
    entry: OutboxEntry,
    answer: Result<HttpAnswer, Failure>,
    took: Duration,
}

impl Courier<'_, '_> {
    /// Finds out what is new in the outbox, and what is gone from it.
    fn look(&mut self) {
        self.in_trouble = false;
        // Another daemon delivers what lies there.
        if self.context.level.is_lost() {
            return;
        }
        self.save_again();
        match self.context.store.list_outbox() {
            Ok(ids) => {
                let is_there: HashSet<&DispatchId> = ids.iter().collect();
                for id in self.schedule.waiting().iter().filter(|id| !is_there.contains(id)) {
                    self.schedule.forget(id);
                }
                ids.iter().for_each(|id| self.take_on(id));
            }
            Err(e) => self.trouble(&e),
        }
        self.count_dead();
        if !self.in_trouble {
            self.context.health.works_again(Subsystem::Outbox);
        }
    }

    /// Writes again what the disk refused the last time.
    fn save_again(&mut self) {
        for (id, unsaved) in std::mem::take(&mut self.unsaved) {
            match unsaved {
                Unsaved::Finished(entry) => self.remove(id, entry),
                Unsaved::GivenUp(entry) => self.bury(id, entry),
                Unsaved::Tried(entry) => self.update(id, entry),
            }
        }
    }

    fn take_on(&mut self, id: &DispatchId) {
        if self.schedule.knows(id) || self.unsaved.contains_key(id) {
            return;
        }
        let entry = match self.context.store.read_outbox(id) {
            Ok(Some(entry)) => entry,
            Ok(None) => return,
            Err(e) => return self.trouble(&e),
        };
        // While nothing is to be sent, nothing is refused either.
        if self.context.settings().local_only {
            return;
        }
        match self.destination(&entry) {
            Ok(origin) => {
                let due_ms = clock::monotonic_ms() + self.left_ms(&entry);
                self.schedule.put(id.clone(), origin.line(), entry.created_at_ms, due_ms);
            }
            Err(refusal) => self.refuse(id, entry, &refusal),
        }
    }

    fn destination(&self, entry: &OutboxEntry) -> Result<Origin, UrlRefusal> {
        destination(&entry.url, self.context.settings().callback_allow.as_deref())
    }

    /// The time until the next try of an entry that is seen for the first time. An entry that an
    /// earlier daemon tried waits no longer than was decided then, whatever the clock was set to
    /// meanwhile.
    fn left_ms(&self, entry: &OutboxEntry) -> i64 {
        let decided = match entry.tries {
            0 => Duration::ZERO,
            tries => self.pause_after(tries).unwrap_or_default(),
        };
        let decided = decided.max(asked_pause(entry));
        let left_ms = entry.next_at_ms.saturating_sub(clock::unix_ms()).max(0) as u64;
        Duration::from_millis(left_ms).min(decided).as_millis() as i64
    }

    fn pause_after(&self, tries: u32) -> Option<Duration> {
        pause_after(tries, &self.context.settings().callback_delays)
    }

    /// The time until there is something to do although nobody says so.
    fn wait(&self) -> Option<Duration> {
        if self.context.level.is_lost() {
            return None;
        }
        let settings = self.context.settings();
        let due = self.schedule.wait_ms(clock::monotonic_ms());
        let due = due.map(|ms| Duration::from_millis(ms as u64));
        // With `local_only` nothing is sent for now; that may be changed while we run.
        let due =
            due.map(|due| if settings.local_only { due.max(settings.heartbeat) } else { due });
        let pause = self.in_trouble.then_some(settings.trouble_pause);
        [due, pause].into_iter().flatten().min()
    }

    fn start_due(&mut self, now_ms: i64) {
        if self.context.settings().local_only || self.context.level.is_lost() {
            return;
        }
        while let Some(id) = self.schedule.next(now_ms) {
            self.start(id);
        }
    }

    fn start(&mut self, id: DispatchId) {
        let entry = match self.unsaved.get(&id) {
            Some(Unsaved::Tried(entry)) => Ok(Some(entry.clone())),
            Some(Unsaved::Finished(_) | Unsaved::GivenUp(_)) => Ok(None),
            None => self.context.store.read_outbox(&id),
        };
        let entry = match entry {
            Ok(Some(entry)) => entry,
            Ok(None) => return self.schedule.ended(&id, 0, None),
            Err(e) => return self.put_off(&id, &e),
        };
        let origin = match self.destination(&entry) {
            Ok(origin) => origin,
            Err(refusal) => {
                self.schedule.ended(&id, 0, None);
                return self.refuse(&id, entry, &refusal);
            }
        };
        let secrets = Secrets::of(self.context);
        match secrets.wrong() {
            None => self.context.health.works_again(Subsystem::Secrets),
            Some(e) => self.context.health.failed(Subsystem::Secrets, e),
        }
        match secrets.headers(&origin, &entry.idempotency_key, &entry.body) {
            Some(headers) => self.send(id, entry, origin, headers),
            None => self.pause(&id),
        }
    }

    fn send(
        &mut self,
        id: DispatchId,
        entry: OutboxEntry,
        origin: Origin,
        headers: Vec<(&'static str, String)>,
    ) {
        let (sender, tried_in) = (&self.context.sender, self.tried_in.clone());
        let timeout = self.context.settings().callback_timeout;
        let of = id.clone();
        let body = move || {
            let began_ms = clock::monotonic_ms();
            let (url, body) = (&entry.url, &entry.body);
            let answer = sender.post(&Letter { url, origin: &origin, headers, body, timeout });
            let took = Duration::from_millis((clock::monotonic_ms() - began_ms) as u64);
            // The courier waits for every try.
            let _ = tried_in.send(Tried { id: of, entry, answer, took });
        };
        let builder = thread::Builder::new().name("callback".into());
        if let Err(e) = builder.spawn_scoped(self.scope, body) {
            self.put_off(&id, &Error::new("start a thread for the callback of", id.as_str(), e));
        }
    }

    /// Nothing was sent, for a reason that has nothing to do with the receiver.
    fn put_off(&mut self, id: &DispatchId, e: &Error) {
        self.trouble(e);
        self.pause(id);
    }

    /// Nothing was sent, and the receiver has nothing to do with it.
    fn pause(&mut self, id: &DispatchId) {
        let pause_ms = self.context.settings().trouble_pause.as_millis() as i64;
        self.schedule.ended(id, 0, Some(clock::monotonic_ms() + pause_ms));
    }

    fn ended(&mut self, tried: Tried) {
        let Tried { id, mut entry, answer, took } = tried;
        let took_ms = took.as_millis() as i64;
        entry.tries = entry.tries.saturating_add(1);
        let (what, is_final, asked) = match answer {
            Ok(HttpAnswer { status, retry_after: asked }) => match delivery(status) {
                Delivery::Delivered => {
                    self.context.audit.tell(id.as_str(), &AuditEvent::CallbackSent { status });
                    self.schedule.ended(&id, took_ms, None);
                    return self.remove(id, entry);
                }
                Delivery::Again => (Undelivered::Status(status), false, asked),
                Delivery::Final => (Undelivered::Status(status), true, None),
            },
            Err(Failure { why, is_final }) => (Undelivered::Error(redact(&why)), is_final, None),
        };
        let asked = asked.and_then(|value| retry_after(&value, clock::unix_ms()));
        entry.asked_pause_ms = asked.unwrap_or_default().as_millis() as i64;
        let pause = self.pause_after(entry.tries).filter(|_| !is_final);
        let pause = pause.map(|pause| pause.max(asked.unwrap_or_default()));
        self.tell_failure(&id, &what, entry.tries, pause.is_none());
        let pause_ms = pause.map(|pause| pause.as_millis() as i64);
        self.schedule.ended(&id, took_ms, pause_ms.map(|ms| clock::monotonic_ms() + ms));
        match pause_ms {
            Some(ms) => {
                entry.next_at_ms = clock::unix_ms() + ms;
                self.update(id, entry);
            }
            None => self.give_up(id, entry, &what),
        }
    }

    /// No try is made, since no callback may go there.
    fn refuse(&mut self, id: &DispatchId, entry: OutboxEntry, refusal: &UrlRefusal) {
        let what = Undelivered::Error(refusal.to_string());
        self.tell_failure(id, &what, entry.tries, true);
        self.give_up(id.clone(), entry, &what);
    }

    fn give_up(&mut self, id: DispatchId, mut entry: OutboxEntry, what: &Undelivered) {
        let (at, tries) = (rfc3339(clock::unix_ms()), entry.tries);
        entry.given_up = Some(format!("{at}: {what}, after {tries} tries"));
        // Whoever takes it back wants it tried anew.
        (entry.tries, entry.next_at_ms, entry.asked_pause_ms) = (0, 0, 0);
        self.bury(id, entry);
    }

    fn tell_failure(&self, id: &DispatchId, what: &Undelivered, tries: u32, is_final: bool) {
        let last = if is_final { ", the last one" } else { "" };
        log::warn!("callback of {id} failed ({what}), try {tries}{last}");
        let (status, error) = match what {
            Undelivered::Status(status) => (Some(*status), None),
            Undelivered::Error(error) => (None, Some(error.clone())),
        };
        let failed = AuditEvent::CallbackFailed { status, error, tries, is_final };
        self.context.audit.tell(id.as_str(), &failed);
    }

    fn update(&mut self, id: DispatchId, entry: OutboxEntry) {
        if let Err(e) = self.context.store.update_outbox(&entry) {
            self.unsaved.insert(id, Unsaved::Tried(entry));
            self.trouble(&e);
        }
    }

    fn remove(&mut self, id: DispatchId, entry: OutboxEntry) {
        if let Err(e) = self.context.store.remove_outbox(&entry) {
            self.unsaved.insert(id, Unsaved::Finished(entry));
            self.trouble(&e);
        }
    }

    fn bury(&mut self, id: DispatchId, entry: OutboxEntry) {
        match self.context.store.bury_outbox(&entry) {
            Ok(()) => self.count_dead(),
            Err(e) => {
                self.unsaved.insert(id, Unsaved::GivenUp(entry));
                self.trouble(&e);
            }
        }
    }

    fn count_dead(&mut self) {
        match self.context.store.count_dead_callbacks() {
            Ok(count) if self.context.board.put_callbacks_dead(count) => {
                self.context.health.wake_heartbeat();
            }
            Ok(_) => {}
            Err(e) => self.trouble(&e),
        }
    }

    fn trouble(&mut self, e: &Error) {
        self.in_trouble = true;
        self.context.health.failed(Subsystem::Outbox, e);
    }
}

/// What the receiver asked for after the last try.
fn asked_pause(entry: &OutboxEntry) -> Duration {
    Duration::from_millis(entry.asked_pause_ms.max(0) as u64).min(RETRY_AFTER_MAX)
}
