//! Whether a daemon runs, by its lock and its last beat.

use super::Check;
use crate::pure::heartbeat::DaemonState;
use crate::pure::human::span;

/// A living daemon's last beat is never older than this.
const HUNG_AFTER_MS: i64 = 5 * 60 * 1000;

/// What was seen of the daemon.
#[derive(Clone, Debug)]
pub struct SeenDaemon {
    pub holds_lock: bool,
    pub pid: Option<u32>,
    pub state: Option<DaemonState>,
    pub beat_age_ms: Option<i64>,
}

pub fn check(seen: &SeenDaemon) -> Check {
    const NAME: &str = "daemon";
    let pid = seen.pid.map_or("unknown".to_string(), |pid| pid.to_string());
    let age = seen.beat_age_ms.map(|age_ms| span::show(age_ms.max(0).unsigned_abs() / 1000));
    let is_over = matches!(seen.state, None | Some(DaemonState::Stopped));
    match (seen.holds_lock, age) {
        (false, _) if is_over => Check::warn(
            NAME,
            "none runs",
            "gstack-dispatch-daemon, or: gstack-dispatch-daemon service systemd --install",
        ),
        (false, age) => Check::fail(
            NAME,
            format!(
                "dead: pid {pid} says that it runs (last beat {} ago), and nobody holds the lock",
                age.unwrap_or_default()
            ),
            "start it again: gstack-dispatch-daemon; it takes up what is there",
        ),
        (true, Some(age)) if seen.beat_age_ms.is_some_and(|age_ms| age_ms > HUNG_AFTER_MS) => {
            Check::fail(
                NAME,
                format!("hung: pid {pid} holds the lock, and its last beat is {age} old"),
                format!("kill -KILL {pid}, and start it again: its sessions are taken up"),
            )
        }
        (true, Some(age)) => Check::ok(NAME, format!("pid {pid} runs, last beat {age} ago")),
        (true, None) => Check::warn(
            NAME,
            format!("pid {pid} holds the lock and has not beaten yet"),
            "look again in a minute",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::doctor::CheckStatus;

    #[test]
    fn a_daemon_is_judged_by_its_lock_and_its_beat() {
        use CheckStatus::{Fail, Ok, Warn};
        let (run, stopped) = (Some(DaemonState::Run), Some(DaemonState::Stopped));
        for (holds_lock, state, age_ms, want, word) in [
            (false, None, None, Warn, "none"),
            (false, stopped, Some(1000), Warn, "none"),
            (false, run, Some(1000), Fail, "dead"),
            (false, Some(DaemonState::Drain), Some(9_000_000), Fail, "dead"),
            (true, run, Some(29_000), Ok, "pid 7 runs"),
            (true, run, Some(-5), Ok, "pid 7 runs"),
            (true, run, Some(300_001), Fail, "hung"),
            (true, None, None, Warn, "not beaten"),
        ] {
            let seen = SeenDaemon { holds_lock, pid: Some(7), state, beat_age_ms: age_ms };
            let found = check(&seen);
            assert!(found.status == want && found.text.contains(word), "{seen:?}: {found:?}");
            assert_eq!(found.fix.is_some(), want != Ok);
        }
    }
}
