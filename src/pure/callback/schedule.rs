//! Decides whose turn it is among callbacks, when a failed one is tried again, and when it is given
//! up.
//!
//! Each host gets one callback at a time, so that a host that does not answer holds up only what is
//! meant for it. The number of senders is limited, and slow hosts get half of them at most, so that
//! there is always one for a host that answers. Pauses are counted in tries, since the wall clock
//! can be set.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use crate::pure::dispatch::DispatchId;

/// The pauses of a callback add up to this before it is given up.
const TRIED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Each pause counts as this much at least, since pauses of nothing would add up to nothing.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// At most this many tries are under way at once.
const SENDERS_MAX: usize = 32;
/// At most this many of them go to hosts that were slow the last time.
const SLOW_SENDERS_MAX: usize = 16;
/// A host that took longer than this for a try is slow.
const SLOW_MS: i64 = 2_000;

/// The pause after this many failed tries. `None`: that was the last try. `delays` holds the pause
/// before each try, and its last one repeats.
pub fn pause_after(tries: u32, delays: &[Duration]) -> Option<Duration> {
    let last = delays.last().copied().unwrap_or_default();
    let pause = |tries: u32| delays.get(tries as usize).copied().unwrap_or(last);
    let counted = |tries: u32| pause(tries).max(PAUSE_MIN);
    // Each of the first tries has a pause of its own, and all others have the last one.
    let own = (delays.len() as u32).min(tries);
    let repeated = last.max(PAUSE_MIN).saturating_mul(tries.saturating_sub(own.max(1)));
    let spent = (1..own).map(counted).fold(repeated, Duration::saturating_add);
    (spent < TRIED_FOR).then(|| pause(tries))
}

/// The callbacks that wait to be sent, one line for each host. Times are milliseconds on one
/// monotonic clock.
#[derive(Debug, Default)]
pub struct Schedule {
    hosts: BTreeMap<String, Host>,
    known: HashMap<DispatchId, Known>,
    under_way: usize,
    slow_under_way: usize,
}

#[derive(Debug, Default)]
struct Host {
    line: BTreeSet<Turn>,
    is_busy: bool,
    is_slow: bool,
}

/// The order within a line: when a callback is due, then when it came to be.
type Turn = (i64, i64, DispatchId);

#[derive(Clone, Debug)]
struct Known {
    origin: String,
    created_ms: i64,
    /// `None`: a try is under way.
    due_ms: Option<i64>,
}

impl Schedule {
    pub fn knows(&self, id: &DispatchId) -> bool {
        self.known.contains_key(id)
    }

    /// The callbacks that wait, without those under way.
    pub fn waiting(&self) -> Vec<DispatchId> {
        let waiting = self.known.iter().filter(|(_, known)| known.due_ms.is_some());
        waiting.map(|(id, _)| id.clone()).collect()
    }

    pub fn under_way(&self) -> usize {
        self.under_way
    }

    /// Adds a callback that is not known yet.
    pub fn put(&mut self, id: DispatchId, origin: String, created_ms: i64, due_ms: i64) {
        let host = self.hosts.entry(origin.clone()).or_default();
        host.line.insert((due_ms, created_ms, id.clone()));
        self.known.insert(id, Known { origin, created_ms, due_ms: Some(due_ms) });
    }

    /// Forgets a callback that waited and is gone.
    pub fn forget(&mut self, id: &DispatchId) {
        let Some(known) = self.known.get(id).cloned() else { return };
        let Some(due_ms) = known.due_ms else { return };
        self.known.remove(id);
        if let Some(host) = self.hosts.get_mut(&known.origin) {
            host.line.remove(&(due_ms, known.created_ms, id.clone()));
        }
        self.tidy(&known.origin);
    }

    /// Takes the callback whose turn it is out of its line; it is under way until
    /// [`Schedule::ended`].
    pub fn next(&mut self, now_ms: i64) -> Option<DispatchId> {
        let ready = self.ready().filter(|(_, turn, _)| turn.0 <= now_ms);
        let (origin, turn, is_slow) = ready.min_by_key(|(_, turn, slow)| (*slow, *turn))?;
        let (origin, turn) = (origin.clone(), turn.clone());
        let host = self.hosts.get_mut(&origin)?;
        host.line.remove(&turn);
        host.is_busy = true;
        self.under_way += 1;
        self.slow_under_way += usize::from(is_slow);
        self.known.get_mut(&turn.2)?.due_ms = None;
        Some(turn.2)
    }

    /// Ends a try that took `took_ms`. The callback is due again at `due_ms`, if it is tried again.
    pub fn ended(&mut self, id: &DispatchId, took_ms: i64, due_ms: Option<i64>) {
        let Some(known) = self.known.remove(id) else { return };
        if let Some(host) = self.hosts.get_mut(&known.origin) {
            self.under_way -= 1;
            self.slow_under_way -= usize::from(host.is_slow);
            host.is_busy = false;
            host.is_slow = took_ms >= SLOW_MS;
        }
        match due_ms {
            Some(due_ms) => self.put(id.clone(), known.origin, known.created_ms, due_ms),
            None => self.tidy(&known.origin),
        }
    }

    /// Milliseconds until the next callback is due, as far as that depends on time alone.
    pub fn wait_ms(&self, now_ms: i64) -> Option<i64> {
        self.ready().map(|(_, turn, _)| turn.0.saturating_sub(now_ms).max(0)).min()
    }

    /// The first in line of each host to which something may go now, with whether that host is
    /// slow.
    fn ready(&self) -> impl Iterator<Item = (&String, &Turn, bool)> {
        let has_sender = self.under_way < SENDERS_MAX;
        let has_slow_sender = self.slow_under_way < SLOW_SENDERS_MAX;
        let may_go =
            move |host: &Host| has_sender && !host.is_busy && (!host.is_slow || has_slow_sender);
        let hosts = self.hosts.iter().filter(move |(_, host)| may_go(host));
        hosts.filter_map(|(origin, host)| Some((origin, host.line.first()?, host.is_slow)))
    }

    /// Forgets a host for which nothing waits.
    fn tidy(&mut self, origin: &str) {
        if self.hosts.get(origin).is_some_and(|host| host.line.is_empty() && !host.is_busy) {
            self.hosts.remove(origin);
        }
    }
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
