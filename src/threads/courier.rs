//! Delivers callbacks from the outbox: one at a time, each with a time limit, again and again with growing pauses for a day.
//!
//! The outbox is the truth: the courier keeps nothing that it could lose. It is never in a worker's way; a worker only puts
//! an entry down and pokes it. A try that was cut off is made again, with the same key. What a broken disk does not take down
//! is remembered and written later: else each look would post it again.

use std::collections::HashMap;
use std::convert::Infallible;
use std::time::Duration;

use crossbeam_channel::{Receiver, after, never, select_biased};
use serde_json::json;

use super::Context;
use crate::effects::callback::Sender;
use crate::effects::clock;
use crate::effects::error::Error;
use crate::effects::store::OutboxEntry;
use crate::pure::trouble::Place;

/// How long an answer is tried to be delivered.
const GIVE_UP_AFTER_MS: i64 = 24 * 60 * 60 * 1000;
/// 410 Gone: the receiver asks never to be tried again (RFC 9110, section 15.5.11).
const GONE: u16 = 410;

/// Runs until `running` is disconnected; then once more through what is due, so that the last answers get their first try.
pub fn run(
    context: &Context,
    sender: &Sender,
    changed: Receiver<()>,
    running: Receiver<Infallible>,
) {
    let mut courier = Courier { context, sender, unsaved: HashMap::new(), failed: None };
    loop {
        let wait_ms = courier.deliver_due();
        let timer = wait_ms.map_or_else(never, |ms| after(Duration::from_millis(ms)));
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
    /// Why, since the last look.
    failed: Option<Error>,
}

enum Unsaved {
    /// It is to be removed.
    Finished,
    Tried(OutboxEntry),
}

impl Courier<'_> {
    /// Tries everything that is due. Gives the milliseconds until the next one is.
    fn deliver_due(&mut self) -> Option<u64> {
        let entries = self.context.store.list_outbox();
        let mut entries = entries.unwrap_or_else(|e| {
            self.failed = Some(e);
            Vec::new()
        });
        entries.sort_by_key(|entry| entry.created_at_ms);
        let mut soonest: Option<i64> = None;
        for entry in entries {
            let Some(entry) = self.save_again(entry) else { continue };
            let wait = self.wait_ms(&entry);
            let wait = if wait > 0 { Some(wait) } else { self.deliver(entry) };
            soonest = [soonest, wait].into_iter().flatten().min();
        }
        match self.failed.take() {
            Some(e) => {
                self.context.failed(Place::Outbox, &e);
                let pause_ms = self.context.settings.trouble_pause.as_millis() as i64;
                soonest = Some(soonest.unwrap_or(pause_ms).min(pause_ms));
            }
            None => self.context.works(Place::Outbox),
        }
        soonest.map(|ms| ms.max(1) as u64)
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

    /// Until the entry's next try. Never longer than the longest pause, whatever the clock was set to meanwhile.
    fn wait_ms(&self, entry: &OutboxEntry) -> i64 {
        let delays = &self.context.settings.callback_delays;
        let longest = delays.iter().max().map_or(0, Duration::as_millis);
        (entry.next_at_ms - clock::unix_ms()).min(longest as i64)
    }

    /// One try. Gives the wait until the next one, if there is to be one.
    fn deliver(&mut self, mut entry: OutboxEntry) -> Option<i64> {
        let context = self.context;
        let answer = self.sender.post(&entry.url, &entry.idempotency_key, &entry.body);
        entry.tries += 1;
        let id = entry.dispatch_id.clone();
        if let Ok(status @ 200..=299) = answer {
            context.audit.record("callback_sent", &id, &[("status", json!(status))]);
            self.remove(&entry);
            return None;
        }
        let now = clock::unix_ms();
        let too_old = now - entry.created_at_ms >= GIVE_UP_AFTER_MS;
        let is_final = too_old || answer == Ok(GONE);
        let what = match &answer {
            Ok(status) => ("status", json!(status)),
            Err(error) => ("error", json!(error)),
        };
        let (word, value) = &what;
        log::warn!("callback of {id} failed ({word} {value}), try {}", entry.tries);
        let details = [what, ("try", json!(entry.tries)), ("final", json!(is_final))];
        context.audit.record("callback_failed", &id, &details);
        if is_final {
            self.remove(&entry);
            return None;
        }
        let delays = &context.settings.callback_delays;
        let delay = delays.get(entry.tries as usize).or(delays.last()).copied().unwrap_or_default();
        entry.next_at_ms = now + delay.as_millis() as i64;
        self.update(&entry);
        Some(delay.as_millis() as i64)
    }

    fn update(&mut self, entry: &OutboxEntry) {
        if let Err(e) = self.context.store.update_outbox(entry) {
            self.unsaved.insert(entry.dispatch_id.clone(), Unsaved::Tried(entry.clone()));
            self.failed = Some(e);
        }
    }

    fn remove(&mut self, entry: &OutboxEntry) {
        if let Err(e) = self.context.store.remove_outbox(entry) {
            self.unsaved.insert(entry.dispatch_id.clone(), Unsaved::Finished);
            self.failed = Some(e);
        }
    }
}
