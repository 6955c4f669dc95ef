//! What a command sees of the daemon, and how it waits until the daemon has heeded a request.
//!
//! A command that waits looks four times a second: a request is heeded within a second, and many
//! may be waiting. Nobody is signalled, and no file is written here.

use std::thread;
use std::time::{Duration, Instant};

use super::{Place, Refusal};
use crate::effects::clock;
use crate::pure::command::steer::HEED_SECONDS;
use crate::pure::command::typed::Typed;
use crate::pure::heartbeat::Heartbeat;
use crate::pure::liveness::Liveness;

const LOOK_EVERY: Duration = Duration::from_millis(250);

/// The daemon at one moment.
pub struct Running {
    pub liveness: Liveness,
    /// Its last beat, or that of the last one where none runs.
    pub beat: Option<Heartbeat>,
}

impl Running {
    pub fn look(place: &Place) -> Result<Running, Refusal> {
        let is_locked = place.store.is_locked().map_err(Refusal::not_done)?;
        let beat = place.store.read_heartbeat().filter(|beat| {
            // The beat of an earlier daemon says nothing of the one that has begun.
            !is_locked || beat.pid.is_none() || beat.pid == place.store.lock_holder()
        });
        let liveness = Liveness::of(is_locked, beat.as_ref(), clock::unix_ms());
        Ok(Running { liveness, beat })
    }

    pub fn is_there(&self) -> bool {
        self.liveness.is_there()
    }

    /// Of one that does not answer.
    pub fn name(&self) -> String {
        let pid = self.beat.as_ref().and_then(|beat| beat.pid);
        pid.map_or("the daemon".into(), |pid| format!("the daemon (pid {pid})"))
    }
}

/// What became of a request.
pub enum Heed {
    Heeded(Running),
    /// Nobody is there to heed it; the next daemon does.
    Nobody(Running),
    /// A daemon is there, and has not answered in time.
    NotYet(Running),
}

impl Heed {
    pub fn running(&self) -> &Running {
        match self {
            Heed::Heeded(running) | Heed::Nobody(running) | Heed::NotYet(running) => running,
        }
    }
}

/// How long a request may wait, as it was typed.
pub fn patience(typed: &Typed) -> Duration {
    Duration::from_secs(typed.seconds("--timeout").unwrap_or(HEED_SECONDS))
}

/// Waits until the request is heeded, or nobody can heed it, or the patience is over.
pub fn wait_heeded(
    place: &Place,
    patience: Duration,
    mut is_heeded: impl FnMut(&Running) -> Result<bool, Refusal>,
) -> Result<Heed, Refusal> {
    let began = Instant::now();
    loop {
        let running = Running::look(place)?;
        if is_heeded(&running)? {
            return Ok(Heed::Heeded(running));
        }
        if !running.is_there() {
            return Ok(Heed::Nobody(running));
        }
        let left = patience.saturating_sub(began.elapsed());
        if left.is_zero() {
            return Ok(Heed::NotYet(running));
        }
        thread::sleep(left.min(LOOK_EVERY));
    }
}
