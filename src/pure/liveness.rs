//! Whether a daemon runs here, from the two things that tell: whether somebody holds the lock, and
//! the last beat.
//!
//! The lock says whether there is one, the beat what it is doing. A beat can be older than the
//! daemon that holds the lock by now.

use super::heartbeat::{DaemonState, Heartbeat};

/// A daemon that has not beaten for so long hangs.
pub const HUNG_AFTER_MS: i64 = 5 * 60 * 1000;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Liveness {
    Run,
    /// It begins nothing new and ends with its last session.
    Drain,
    Stopped,
    /// Its last beat says that it runs, but nobody holds the lock.
    Dead,
    /// It holds the lock and does not beat.
    Hung,
    /// There has been none.
    #[default]
    None,
}

impl Liveness {
    pub fn of(is_locked: bool, beat: Option<&Heartbeat>, now_ms: i64) -> Liveness {
        let state = beat.and_then(|beat| beat.state);
        if !is_locked {
            return match (beat, state) {
                (None, _) => Liveness::None,
                (Some(_), Some(DaemonState::Stopped)) => Liveness::Stopped,
                (Some(_), Some(DaemonState::Run | DaemonState::Drain) | None) => Liveness::Dead,
            };
        }
        let is_old = |beat: &Heartbeat| beat.at_ms().is_some_and(|at| now_ms - at > HUNG_AFTER_MS);
        match state {
            // This is the beat of an earlier one: the holder has only begun.
            Some(DaemonState::Stopped) => Liveness::Run,
            _ if beat.is_some_and(is_old) => Liveness::Hung,
            Some(DaemonState::Drain) => Liveness::Drain,
            Some(DaemonState::Run) | None => Liveness::Run,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Liveness::Run => "run",
            Liveness::Drain => "drain",
            Liveness::Stopped => "stopped",
            Liveness::Dead => "dead",
            Liveness::Hung => "hung",
            Liveness::None => "none",
        }
    }

    /// Whether a process holds the directory, hung or not.
    pub fn is_there(self) -> bool {
        match self {
            Liveness::Run | Liveness::Drain | Liveness::Hung => true,
            Liveness::Stopped | Liveness::Dead | Liveness::None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::text::time::rfc3339;

    #[test]
    fn the_lock_says_whether_there_is_one_and_the_beat_what_it_does() {
        use DaemonState::{Drain, Run, Stopped};
        let now_ms = 1_775_226_600_000;
        let beat = |state, age_ms| {
            Some(Heartbeat { state, ts: rfc3339(now_ms - age_ms), ..Heartbeat::default() })
        };
        for (is_locked, beat, want) in [
            (false, None, Liveness::None),
            (false, beat(Some(Stopped), 0), Liveness::Stopped),
            (false, beat(Some(Run), 0), Liveness::Dead),
            (false, beat(Some(Drain), HUNG_AFTER_MS * 9), Liveness::Dead),
            (false, beat(None, 0), Liveness::Dead),
            (true, None, Liveness::Run),
            (true, beat(Some(Run), HUNG_AFTER_MS), Liveness::Run),
            (true, beat(Some(Run), HUNG_AFTER_MS + 1), Liveness::Hung),
            (true, beat(Some(Drain), 0), Liveness::Drain),
            (true, beat(Some(Drain), HUNG_AFTER_MS + 1), Liveness::Hung),
            (true, beat(None, 0), Liveness::Run),
            (true, beat(Some(Stopped), HUNG_AFTER_MS + 1), Liveness::Run),
            (true, Some(Heartbeat::default()), Liveness::Run),
        ] {
            let got = Liveness::of(is_locked, beat.as_ref(), now_ms);
            assert_eq!(got, want, "{is_locked} {beat:?}");
        }
    }
}
