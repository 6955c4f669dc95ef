//! What a service manager asks of the daemon (sd_notify(3), sd_watchdog_enabled(3)), as values: how
//! often it wants to hear that we live, and the words in which it is told how we are.
//!
//! Must not read the environment or send anything. Whoever sends owns the socket.

use std::time::Duration;

/// A manager that wants to hear of us more often than this is told this often.
const PERIOD_MIN: Duration = Duration::from_millis(10);

/// How often the manager is told that we live: each half of the time after which it believes that
/// we hang. `usec` and `pid` are `$WATCHDOG_USEC` and `$WATCHDOG_PID`. `None`: nobody asked for it,
/// or another process was asked.
pub fn watchdog_period(usec: Option<&str>, pid: Option<&str>, our_pid: u32) -> Option<Duration> {
    let is_for_us = pid.is_none_or(|pid| pid.trim().parse() == Ok(our_pid));
    let asked_us: u64 = usec?.trim().parse().ok().filter(|us| *us > 0 && is_for_us)?;
    Some((Duration::from_micros(asked_us) / 2).max(PERIOD_MIN))
}

/// What a service manager is told about the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServiceState {
    /// It takes files.
    Ready,
    Alive,
    /// It reads its settings again, since this time on the clock that counts from the boot. `Ready`
    /// follows. Only `Type=notify-reload` needs it.
    Reloading {
        monotonic_us: i64,
    },
    Stopping,
}

impl ServiceState {
    /// The datagram.
    pub fn message(self) -> String {
        match self {
            ServiceState::Ready => "READY=1".into(),
            ServiceState::Alive => "WATCHDOG=1".into(),
            ServiceState::Reloading { monotonic_us } => {
                format!("RELOADING=1\nMONOTONIC_USEC={monotonic_us}")
            }
            ServiceState::Stopping => "STOPPING=1".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_of_us_each_half_of_what_it_asked_for() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (usec, pid, want) in [
            (None, None, None),
            (None, Some("7"), None),
            (Some("30000000"), None, ms(15_000)),
            (Some("30000000"), Some("7"), ms(15_000)),
            (Some("30000000"), Some("8"), None),
            (Some("30000000"), Some("x"), None),
            (Some("0"), None, None),
            (Some("-1"), None, None),
            (Some("x"), None, None),
            (Some(""), None, None),
            (Some("2"), None, ms(10)),
        ] {
            assert_eq!(watchdog_period(usec, pid, 7), want, "{usec:?} {pid:?}");
        }
    }

    #[test]
    fn each_state_has_the_words_of_sd_notify() {
        let reloading = ServiceState::Reloading { monotonic_us: 12 };
        for (state, want) in [
            (ServiceState::Ready, "READY=1"),
            (ServiceState::Alive, "WATCHDOG=1"),
            (reloading, "RELOADING=1\nMONOTONIC_USEC=12"),
            (ServiceState::Stopping, "STOPPING=1"),
        ] {
            assert_eq!(state.message(), want);
        }
    }
}
