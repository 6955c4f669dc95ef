//! How it stands with the daemon: from the lock, which tells whether one runs, and from the
//! heartbeat, which may be a beat old.

use crate::pure::dispatch::DispatchId;
use crate::pure::heartbeat::{Heartbeat, HeartbeatSession};
use crate::pure::liveness::{HUNG_AFTER_MS, Liveness};
use crate::pure::schedule::pause::Pause;

/// `holder`: who holds the lock, if somebody does.
pub fn liveness(holder: Option<LockHolder>, beat: Option<&Heartbeat>, now_ms: i64) -> Liveness {
    let Some(holder) = holder else { return Liveness::of(false, beat, now_ms) };
    // The beat of an earlier daemon says nothing about the one that has just started.
    let own = beat.filter(|beat| holder.pid.is_none() || beat.pid == holder.pid);
    let is_old = holder.since_ms.is_some_and(|since| now_ms - since > HUNG_AFTER_MS);
    match own {
        None if is_old => Liveness::Hung,
        own => Liveness::of(true, own, now_ms),
    }
}

/// Who holds the lock, as the lock's own file says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LockHolder {
    pub pid: Option<u32>,
    /// Milliseconds since 1970.
    pub since_ms: Option<i64>,
}

/// The daemon of a directory at one moment.
#[derive(Clone, Debug, Default)]
pub struct DaemonFacts {
    pub liveness: Liveness,
    pub holder: Option<LockHolder>,
    pub beat: Heartbeat,
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// Nothing new starts.
    pub pause: Option<Pause>,
    /// How many sessions may run in one lane; 0 = no limit.
    pub max_per_lane: usize,
}

impl DaemonFacts {
    /// What the heartbeat tells of that session, if the daemon that wrote it still runs.
    pub fn session(&self, id: &DispatchId) -> Option<&HeartbeatSession> {
        self.beat.sessions.iter().find(|session| session.id == id.as_str())
    }

    /// The pid of the daemon that runs, or of the one that did.
    pub fn pid(&self) -> Option<u32> {
        self.holder.and_then(|holder| holder.pid).or(self.beat.pid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::heartbeat::DaemonState;
    use crate::pure::text::time::rfc3339;

    #[test]
    fn the_lock_tells_whether_one_runs_and_the_beat_how_it_is() {
        use DaemonState::{Drain, Run, Stopped};
        const NOW_MS: i64 = 1_000_000_000;
        let beat = |state, pid, age_ms: i64| {
            let ts = rfc3339(NOW_MS - age_ms);
            Some(Heartbeat { state: Some(state), pid: Some(pid), ts, ..Heartbeat::default() })
        };
        let held =
            |pid, age_ms| Some(LockHolder { pid: Some(pid), since_ms: Some(NOW_MS - age_ms) });
        for (holder, beat, want) in [
            (None, None, Liveness::None),
            (None, beat(Run, 1, 0), Liveness::Dead),
            (None, beat(Drain, 1, 0), Liveness::Dead),
            (None, beat(Stopped, 1, 0), Liveness::Stopped),
            (held(1, 400_000), beat(Run, 1, 10_000), Liveness::Run),
            (held(1, 400_000), beat(Drain, 1, 10_000), Liveness::Drain),
            (held(1, 400_000), beat(Run, 1, 300_001), Liveness::Hung),
            // It has just started, and has not beaten yet.
            (held(2, 10), beat(Run, 1, 900_000), Liveness::Run),
            (held(2, 10), beat(Stopped, 1, 900_000), Liveness::Run),
            (held(2, 10), None, Liveness::Run),
            (held(2, 300_001), beat(Run, 1, 900_000), Liveness::Hung),
        ] {
            assert_eq!(super::liveness(holder, beat.as_ref(), NOW_MS), want, "{holder:?} {beat:?}");
        }
    }
}
