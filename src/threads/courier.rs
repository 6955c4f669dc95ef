//! Delivers callbacks from the outbox: one at a time, each with a time limit, again and again with growing pauses for a day.
//!
//! The outbox is the truth: the courier keeps nothing that it could lose. It is never in a worker's way; a worker only puts
//! an entry down and pokes it. A try that was cut off is made again, with the same key. What a broken disk does not take down
//! is remembered and written later: else each look would post it again.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, after, never, select_biased};
use serde_json::json;

use super::Context;
use crate::effects::callback::Sender;
use crate::effects::clock;
use crate::effects::error::Error;
use crate::effects::store::OutboxEntry;
use crate::pure::delivery;
use crate::pure::trouble::Place;

/// 410 Gone: the receiver asks never to be tried again (RFC 9110, section 15.5.11).
const GONE: u16 = 410;

/// Runs until `running` is disconnected; then once more through what is due, so that the last answers get their first try.
pub fn run(
    context: &Context,
    sender: &Sender,
    changed: Receiver<()>,
    running: Receiver<Infallible>,
) {
    let mut courier =
        Courier { context, sender, unsaved: HashMap::new(), due: HashMap::new(), failed: None };
    loop {
        let timer = courier.deliver_due().map_or_else(never, after);
        select_biased! {
            recv(changed) -> _ => {}
            recv(running) -> _ => {
                courier.deliver_due();
                return;
            }
            recv(timer) -> _ => {}
        }
    }
}

struct Courier<'c> {
    context: &'c Context,
    sender: &'c Sender,
    /// What could not be written of tries, by dispatch.
    unsaved: HashMap<String, Unsaved>,
    /// When each is tried next. The time on the wall says it only to the next daemon.
    due: HashMap<String, Instant>,
    /// Why, since the last look.
    failed: Option<Error>,
}

enum Unsaved {
    /// It is to be removed.
    Finished,
    Tried(OutboxEntry),
}

impl Courier<'_> {
    /// Tries everything that is due. Gives the time until the next one is.
    fn deliver_due(&mut self) -> Option<Duration> {
        let entries = self.context.store.list_outbox();
        let mut entries = entries.unwrap_or_else(|e| {
            self.failed = Some(e);
            Vec::new()
        });
        entries.sort_by_key(|entry| entry.created_at_ms);
        let mut soonest: Option<Duration> = None;
        for entry in entries {
            let Some(entry) = self.save_again(entry) else { continue };
            let wait = self.wait(&entry);
            let wait = if wait.is_zero() { self.deliver(entry) } else { Some(wait) };
            soonest = [soonest, wait].into_iter().flatten().min();
        }
        match self.failed.take() {
            Some(e) => {
                self.context.failed(Place::Outbox, &e);
                let pause = self.context.settings().trouble_pause;
                soonest = Some(soonest.unwrap_or(pause).min(pause));
            }
            None => self.context.works(Place::Outbox),
        }
        soonest
    }

    /// What the disk says is behind, if the last write failed. `None`: it is done with.
    fn save_again(&mut self, entry: OutboxEntry) -> Option<OutboxEntry> {
        match self.unsaved.remove(&entry.dispatch_id) {
            None => Some(entry),
            Some(Unsaved::Finished) => {
                self.remove(&entry);
                None
            }
            Some(Unsaved::Tried(entry)) => {
                self.update(&entry);
                Some(entry)
            }
        }
    }

    /// Until the entry's next try. One that an earlier daemon tried waits no longer than was decided then, whatever the clock
    /// was set to meanwhile.
    fn wait(&mut self, entry: &OutboxEntry) -> Duration {
        let decided = match entry.tries {
            0 => Duration::ZERO,
            tries => self.pause_after(tries).unwrap_or_default(),
        };
        let first_seen = || {
            let left_ms = (entry.next_at_ms - clock::unix_ms()).max(0) as u64;
            Instant::now() + Duration::from_millis(left_ms).min(decided)
        };
        let due = *self.due.entry(entry.dispatch_id.clone()).or_insert_with(first_seen);
        due.saturating_duration_since(Instant::now())
    }

    fn pause_after(&self, tries: u32) -> Option<Duration> {
        delivery::pause_after(tries, &self.context.settings().callback_delays)
    }

    /// One try. Gives the wait until the next one, if there is to be one.
    fn deliver(&mut self, mut entry: OutboxEntry) -> Option<Duration> {
        let context = self.context;
        let answer = self.sender.post(&entry.url, &entry.idempotency_key, &entry.body);
        entry.tries = entry.tries.saturating_add(1);
        let id = entry.dispatch_id.clone();
        if let Ok(status @ 200..=299) = answer {
            context.audit.record("callback_sent", &id, &[("status", json!(status))]);
            self.remove(&entry);
            return None;
        }
        let pause = self.pause_after(entry.tries).filter(|_| answer != Ok(GONE));
        let what = match &answer {
            Ok(status) => ("status", json!(status)),
            Err(error) => ("error", json!(error)),
        };
        let (word, value) = &what;
        log::warn!("callback of {id} failed ({word} {value}), try {}", entry.tries);
        let details = [what, ("try", json!(entry.tries)), ("final", json!(pause.is_none()))];
        context.audit.record("callback_failed", &id, &details);
        let Some(pause) = pause else {
            self.remove(&entry);
            return None;
        };
        entry.next_at_ms = clock::unix_ms() + pause.as_millis() as i64;
        self.due.insert(id, Instant::now() + pause);
        self.update(&entry);
        Some(pause)
    }

    fn update(&mut self, entry: &OutboxEntry) {
        if let Err(e) = self.context.store.update_outbox(entry) {
            self.unsaved.insert(entry.dispatch_id.clone(), Unsaved::Tried(entry.clone()));
            self.failed = Some(e);
        }
    }

    fn remove(&mut self, entry: &OutboxEntry) {
        self.due.remove(&entry.dispatch_id);
        if let Err(e) = self.context.store.remove_outbox(entry) {
            self.unsaved.insert(entry.dispatch_id.clone(), Unsaved::Finished);
            self.failed = Some(e);
        }
    }
}
