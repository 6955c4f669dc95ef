//! Delivers callbacks from the outbox: one at a time, each with a time limit, again and again with growing pauses for a day.
//!
//! The outbox is the truth: the courier keeps nothing that it could lose. It is never in a worker's way; a worker only puts
//! an entry down and pokes it. A try that was cut off is made again, with the same key.

use std::convert::Infallible;
use std::time::Duration;

use crossbeam_channel::{Receiver, after, never, select_biased};
use serde_json::json;

use super::Context;
use crate::effects::callback::Sender;
use crate::effects::clock;
use crate::effects::store::OutboxEntry;

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
    loop {
        let wait_ms = deliver_due(context, sender);
        let timer = wait_ms.map_or_else(never, |ms| after(Duration::from_millis(ms)));
        select_biased! {
            recv(changed) -> _ => {}
            recv(running) -> _ => {
                deliver_due(context, sender);
                return;
            }
            recv(timer) -> _ => {}
        }
    }
}

/// Tries everything that is due. Gives the milliseconds until the next one is.
fn deliver_due(context: &Context, sender: &Sender) -> Option<u64> {
    let mut entries = match context.store.list_outbox() {
        Ok(entries) => entries,
        Err(e) => {
            log::error!("{e}");
            return Some(60_000);
        }
    };
    entries.sort_by_key(|entry| entry.created_at_ms);
    let mut soonest: Option<i64> = None;
    for entry in entries {
        let wait = wait_ms(context, &entry);
        let wait = if wait > 0 { Some(wait) } else { deliver(context, sender, entry) };
        soonest = [soonest, wait].into_iter().flatten().min();
    }
    soonest.map(|ms| ms.max(1) as u64)
}

/// Until the entry's next try. Never longer than the longest pause, whatever the clock was set to meanwhile.
fn wait_ms(context: &Context, entry: &OutboxEntry) -> i64 {
    let longest = context.settings.callback_delays.iter().max().map_or(0, Duration::as_millis);
    (entry.next_at_ms - clock::unix_ms()).min(longest as i64)
}

/// One try. Gives the wait until the next one, if there is to be one.
fn deliver(context: &Context, sender: &Sender, mut entry: OutboxEntry) -> Option<i64> {
    let answer = sender.post(&entry.url, &entry.idempotency_key, &entry.body);
    entry.tries += 1;
    let id = entry.dispatch_id.clone();
    if let Ok(status @ 200..=299) = answer {
        context.audit.record("callback_sent", &id, &[("status", json!(status))]);
        remove(context, &entry);
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
        remove(context, &entry);
        return None;
    }
    let delays = &context.settings.callback_delays;
    let delay = delays.get(entry.tries as usize).or(delays.last()).copied().unwrap_or_default();
    entry.next_at_ms = now + delay.as_millis() as i64;
    if let Err(e) = context.store.update_outbox(&entry) {
        log::error!("{e}");
    }
    Some(delay.as_millis() as i64)
}

fn remove(context: &Context, entry: &OutboxEntry) {
    if let Err(e) = context.store.remove_outbox(entry) {
        log::error!("{e}");
    }
}
