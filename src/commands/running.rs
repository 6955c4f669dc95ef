//! How a command waits until the daemon has heeded a request.
//!
//! It looks four times a second: a request is heeded within a second, and many may be waiting.
//! Nobody is signalled, and no file is written here.

use std::time::{Duration, Instant};

use super::{Place, Refusal};
use crate::effects::terminal;
use crate::pure::command::steer::HEED_SECONDS;
use crate::pure::command::typed::Typed;
use crate::pure::heartbeat::Heartbeat;
use crate::pure::record::condition::DaemonFacts;

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What became of a request.
pub enum Heed {
    Heeded(DaemonFacts),
    /// Nobody is there to heed it; the next daemon does.
    Nobody(DaemonFacts),
    /// A daemon is there, and has not answered in time.
    NotYet(DaemonFacts),
}

impl Heed {
    pub fn daemon(&self) -> &DaemonFacts {
        match self {
            Heed::Heeded(daemon) | Heed::Nobody(daemon) | Heed::NotYet(daemon) => daemon,
        }
    }
}

/// What the daemon that runs has last said. `None`: none runs, or it has not said anything yet; the
/// beat of an earlier one says nothing of it.
pub fn own_beat(daemon: &DaemonFacts) -> Option<&Heartbeat> {
    let holder = daemon.holder?;
    (holder.pid.is_none() || daemon.beat.pid == holder.pid).then_some(&daemon.beat)
}

/// What is said of a daemon that is there and does not answer.
pub fn not_answered(daemon: &DaemonFacts) -> String {
    let pid = daemon.pid().map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    format!("requested; the daemon{pid} has not answered")
}

/// How long a request may wait, as it was typed.
pub fn patience(typed: &Typed) -> Duration {
    Duration::from_secs(typed.seconds("--timeout").unwrap_or(HEED_SECONDS))
}

/// Waits until the request is heeded, or nobody can heed it, or the patience is over.
pub fn wait_heeded(
    place: &Place,
    patience: Duration,
    mut is_heeded: impl FnMut(&DaemonFacts) -> Result<bool, Refusal>,
) -> Result<Heed, Refusal> {
    let (view, began) = (place.view(), Instant::now());
    loop {
        let daemon = view.daemon();
        if is_heeded(&daemon)? {
            return Ok(Heed::Heeded(daemon));
        }
        if !daemon.liveness.is_there() {
            return Ok(Heed::Nobody(daemon));
        }
        let left = patience.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Ok(Heed::NotYet(daemon));
        }
        terminal::pause(left.min(LOOK_EVERY).as_millis() as u64);
    }
}
