//! The signals: SIGTERM and SIGINT raise the level, SIGHUP reads the settings again.
//!
//! Nothing is ended here: the owners of sessions see the level, and end or leave them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::reload;
use super::shared::context::Context;
use crate::pure::config::OnShutdown;

/// Registers the handlers, before any thread or child is started.
pub fn register() -> io::Result<Signals> {
    // Whoever started us may have left SIGCHLD ignored: our children's ends would be lost, and
    // wait-timeout, which calls the handler before its own, would jump to address 1
    // (alexcrichton/wait-timeout#44). The flag itself is not read.
    signal_hook::flag::register(SIGCHLD, Arc::new(AtomicBool::new(false)))?;
    // This makes a file of ours that may not grow an error of that write, and no death. It is a
    // handler and not SIG_IGN, which a session would inherit: a handler is gone with its exec.
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    Signals::new([SIGTERM, SIGINT, SIGHUP])
}

/// The thread's loop.
pub fn run(mut signals: Signals, context: &Context) {
    for signal in signals.forever() {
        match signal {
            SIGINT => stop(context, "SIGINT"),
            SIGTERM => stop(context, "SIGTERM"),
            SIGHUP => context.service_manager.while_reloading(|| reload::reload(context)),
            _ => {}
        }
    }
}

/// The first signal lets running sessions finish, the next one ends them.
fn stop(context: &Context, signal: &str) {
    let running = context.board.running_ids();
    if context.level.raise_to_drain() {
        let settings = context.settings();
        let wait = Some(settings.drain_timeout);
        let wait = wait.filter(|_| settings.on_shutdown != OnShutdown::Leave);
        log::info!("{signal}: {}", what_follows(&running, wait));
    } else if !context.level.is_last_try() {
        log::info!("{signal} again: ending running sessions now");
        context.level.raise_to_kill();
    }
}

/// How many ids a line names.
const NAMED_MAX: usize = 3;

/// Says what follows, to whoever pressed Ctrl-C. `wait` is how long sessions may go on, unless they
/// are left running.
fn what_follows(running: &[String], wait: Option<Duration>) -> String {
    let mut names = running.iter().take(NAMED_MAX).cloned().collect::<Vec<_>>().join(", ");
    if running.len() > NAMED_MAX {
        names += &format!(" and {} more", running.len() - NAMED_MAX);
    }
    let (count, sessions) = match running.len() {
        0 => return "stopping".into(),
        1 => (1, "session"),
        count => (count, "sessions"),
    };
    match wait {
        Some(wait) => {
            let seconds = wait.as_secs_f64();
            format!(
                "taking nothing new, waiting up to {seconds} s for {count} running {sessions} ({names}); \
                 again: end them now"
            )
        }
        None => format!("stopping; {count} {sessions} left running for the next daemon ({names})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_stops_it_is_told_what_follows() {
        let ids = |n: usize| -> Vec<String> { (1..=n).map(|n| format!("dispatch-{n}")).collect() };
        let minute = Some(Duration::from_secs(60));
        for (running, wait, want) in [
            (0, minute, "stopping"),
            (0, None, "stopping"),
            (
                1,
                minute,
                "taking nothing new, waiting up to 60 s for 1 running session (dispatch-1); again: end them now",
            ),
            (
                5,
                Some(Duration::from_millis(500)),
                "taking nothing new, waiting up to 0.5 s for 5 running sessions \
                 (dispatch-1, dispatch-2, dispatch-3 and 2 more); again: end them now",
            ),
            (
                2,
                None,
                "stopping; 2 sessions left running for the next daemon (dispatch-1, dispatch-2)",
            ),
        ] {
            assert_eq!(what_follows(&ids(running), wait), want);
        }
    }
}
