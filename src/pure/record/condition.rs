//! How it stands with the daemon: from the lock, which tells whether one runs, and from the
//! heartbeat, which may be a beat old.

use serde::Serialize;

use crate::pure::dispatch::DispatchId;
use crate::pure::heartbeat::{DaemonState, Heartbeat, HeartbeatSession};

/// A daemon whose last beat is older than this, in milliseconds, hangs.
pub const HUNG_AFTER_MS: i64 = 5 * 60_000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DaemonCondition {
    Run,
    /// It begins nothing new and ends with its last session.
    Drain,
    Stopped,
    /// It says that it runs, but nobody holds the lock.
    Dead,
    /// It holds the lock and has not beaten for long.
    Hung,
    /// There is, and was, none.
    #[default]
    None,
}

impl DaemonCondition {
    /// `holder`: the pid that the lock's file names, if somebody holds the lock, and when it was
    /// taken, in milliseconds since 1970.
    pub fn new(
        holder: Option<LockHolder>,
        beat: Option<&Heartbeat>,
        now_ms: i64,
    ) -> DaemonCondition {
        let Some(holder) = holder else {
            return match beat.and_then(|beat| beat.state) {
                Some(DaemonState::Run | DaemonState::Drain) => DaemonCondition::Dead,
                Some(DaemonState::Stopped) => DaemonCondition::Stopped,
                None => DaemonCondition::None,
            };
        };
        // The beat of an earlier daemon says nothing about the one that has just started.
        let own = beat.filter(|beat| holder.pid.is_none() || beat.pid == holder.pid);
        let last_ms = own.and_then(Heartbeat::at_ms).into_iter().chain(holder.since_ms).max();
        match own.and_then(|beat| beat.state) {
            _ if last_ms.is_some_and(|last| now_ms - last > HUNG_AFTER_MS) => DaemonCondition::Hung,
            Some(DaemonState::Drain | DaemonState::Stopped) => DaemonCondition::Drain,
            Some(DaemonState::Run) | None => DaemonCondition::Run,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            DaemonCondition::Run => "run",
            DaemonCondition::Drain => "drain",
            DaemonCondition::Stopped => "stopped",
            DaemonCondition::Dead => "dead",
            DaemonCondition::Hung => "hung",
            DaemonCondition::None => "none",
        }
    }

    /// Whether a daemon holds the directory, whatever else it does.
    pub fn is_there(self) -> bool {
        matches!(self, DaemonCondition::Run | DaemonCondition::Drain | DaemonCondition::Hung)
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
    pub condition: DaemonCondition,
    pub holder: Option<LockHolder>,
    pub beat: Heartbeat,
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// Nothing new starts.
    pub is_paused: bool,
    /// When the pause ends by itself, in milliseconds since 1970.
    pub paused_until_ms: Option<i64>,
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
            (None, None, DaemonCondition::None),
            (None, beat(Run, 1, 0), DaemonCondition::Dead),
            (None, beat(Drain, 1, 0), DaemonCondition::Dead),
            (None, beat(Stopped, 1, 0), DaemonCondition::Stopped),
            (held(1, 400_000), beat(Run, 1, 10_000), DaemonCondition::Run),
            (held(1, 400_000), beat(Drain, 1, 10_000), DaemonCondition::Drain),
            // It is about to let go of the lock.
            (held(1, 400_000), beat(Stopped, 1, 10), DaemonCondition::Drain),
            (held(1, 400_000), beat(Run, 1, 300_001), DaemonCondition::Hung),
            // It has just started, and has not beaten yet.
            (held(2, 10), beat(Run, 1, 900_000), DaemonCondition::Run),
            (held(2, 10), beat(Stopped, 1, 900_000), DaemonCondition::Run),
            (held(2, 10), None, DaemonCondition::Run),
            (held(2, 300_001), beat(Run, 1, 900_000), DaemonCondition::Hung),
        ] {
            assert_eq!(
                DaemonCondition::new(holder, beat.as_ref(), NOW_MS),
                want,
                "{holder:?} {beat:?}"
            );
        }
    }
}
