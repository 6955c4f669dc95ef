//! The clocks: wall time for what people read, monotonic time for what is decided, and ticks since
//! boot for what /proc says. Owns the only look at the wall clock. A decision rests on the wall
//! clock only where others name a time by it, since anybody can set it.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use super::failpoint;
use crate::pure::attempt::record::Moment;

/// Milliseconds since 1970. The clock can jump, so nothing is decided by it but what has no other
/// clock: the age of files, and whether a signature is valid.
pub fn unix_ms() -> i64 {
    let now_ms = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    };
    now_ms + failpoint::clock_error_ms()
}

/// The present time, in the form that the files use.
pub fn stamp() -> String {
    crate::pure::text::time::rfc3339(unix_ms())
}

/// Milliseconds on a clock that never jumps and is the same for every process until the next boot.
pub fn monotonic_ms() -> i64 {
    monotonic_us() / 1000
}

/// The same in microseconds.
pub fn monotonic_us() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1000
}

pub fn now() -> Moment {
    Moment { at_ms: unix_ms(), monotonic_ms: monotonic_ms(), boot_id: boot_id().into() }
}

/// Clock ticks since boot, the unit of a process's start time in /proc/PID/stat (100 a second on
/// every Linux).
#[cfg(target_os = "linux")]
pub fn ticks_since_boot() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 100 + now.tv_nsec as u64 / 10_000_000
}

#[cfg(not(target_os = "linux"))]
pub fn ticks_since_boot() -> u64 {
    0
}

/// An id of this boot of the machine: a pid from another boot means nothing. The id is constant
/// where the system does not tell.
pub fn boot_id() -> &'static str {
    static READ: OnceLock<String> = OnceLock::new();
    READ.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
        id.map_or_else(|_| "unknown".into(), |id| id.trim().to_string())
    })
}
