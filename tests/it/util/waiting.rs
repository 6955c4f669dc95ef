//! Waiting: for what can be seen, with a deadline, never for a fixed time. Only failures wait to
//! the end.

use std::thread;
use std::time::{Duration, Instant};

use super::dump::dump;

/// How long anything may take that should happen at once: generous, for a loaded machine. Only
/// failures wait for it.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Waits for a condition; when the deadline passes, prints what there is and panics.
pub fn wait_until(what: &str, deadline: Duration, mut condition: impl FnMut() -> bool) {
    wait_for(what, deadline, || condition().then_some(()))
}

/// The same for something that has a value once it is there.
pub fn wait_for<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        if start.elapsed() > deadline {
            dump();
            panic!("waited {deadline:?} in vain: {what}");
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// A slow sender's pause between two pieces.
pub fn pause_as_a_slow_writer(span: Duration) {
    thread::sleep(span);
}
