//! What `doctor` says of the daemon's own state.

use super::Check;
use crate::pure::human::span;
use crate::pure::liveness::Liveness;

/// `pid`: the one that its beat names. `beat_age_ms`: how long ago it beat.
pub fn check(liveness: Liveness, pid: Option<u32>, beat_age_ms: Option<i64>) -> Check {
    const NAME: &str = "daemon";
    let pid = pid.map_or("unknown".to_string(), |pid| pid.to_string());
    let age = beat_age_ms.map(|age_ms| span::show(age_ms.max(0).unsigned_abs() / 1000));
    let age = age.unwrap_or("an unknown time".into());
    match liveness {
        Liveness::Run => Check::ok(NAME, format!("pid {pid} runs, last beat {age} ago")),
        Liveness::Drain => {
            Check::ok(NAME, format!("pid {pid} stops when its sessions end, last beat {age} ago"))
        }
        Liveness::None | Liveness::Stopped => Check::warn(
            NAME,
            "none runs",
            "gstack-dispatch-daemon, or: gstack-dispatch-daemon service systemd --install",
        ),
        Liveness::Dead => Check::fail(
            NAME,
            format!(
                "dead: pid {pid} beat {age} ago and did not say that it stops; nobody holds the lock"
            ),
            "start it again: gstack-dispatch-daemon; it takes up what is there",
        ),
        Liveness::Hung => Check::fail(
            NAME,
            format!("hung: pid {pid} holds the lock, and its last beat is {age} old"),
            format!("kill -KILL {pid}, and start it again: its sessions are taken up"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::doctor::CheckStatus;

    #[test]
    fn each_state_is_told_with_what_to_type() {
        use CheckStatus::{Fail, Ok, Warn};
        for (liveness, want, word) in [
            (Liveness::Run, Ok, "pid 7 runs, last beat 5s ago"),
            (Liveness::Drain, Ok, "stops when"),
            (Liveness::None, Warn, "none"),
            (Liveness::Stopped, Warn, "none"),
            (Liveness::Dead, Fail, "dead: pid 7"),
            (Liveness::Hung, Fail, "hung: pid 7"),
        ] {
            let found = check(liveness, Some(7), Some(5_000));
            assert!(found.status == want && found.text.contains(word), "{found:?}");
            assert_eq!(found.fix.is_some(), want != Ok);
        }
    }
}
