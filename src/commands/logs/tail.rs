//! Finds where the last lines of a dispatch's logs begin, without reading what stands before.
//!
//! Lines are counted as they are shown, since a line of a stream may give none or many: from the
//! last attempt backwards, each from a place that lies four times as far from its end as the one
//! before, until there are enough.

use std::io;

use super::telling::{Subject, Telling};
use crate::effects::error::Result;

/// How near the end of a stream the count begins first, in bytes.
const NEAR_BYTES: u64 = 64 * 1024;

/// Where the telling begins, and how many lines are left out then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TailStart {
    pub attempt: u32,
    /// Within the last bytes of that attempt's stream. `None`: with its beginning.
    pub near_end: Option<u64>,
    pub skip: u64,
}

/// `count` tells what a subject gives from there: how many lines it makes.
pub fn tail_start(
    subject: Subject,
    lines: u64,
    count: &dyn Fn(&mut Telling) -> Result<u64>,
) -> Result<TailStart> {
    let mut wanted = lines;
    let numbers = Telling::numbers(&subject)?;
    for number in numbers.into_iter().rev() {
        let alone = Subject { only: Some(number), ..subject };
        let size = subject.logs.stream(number).ok().flatten().map_or(Ok(0), |one| one.size())?;
        let mut bytes = NEAR_BYTES;
        loop {
            let near_end = Some(bytes).filter(|bytes| *bytes < size);
            let found = count(&mut Telling::from(alone, number, near_end))?;
            if found >= wanted {
                return Ok(TailStart { attempt: number, near_end, skip: found - wanted });
            }
            if near_end.is_none() {
                wanted -= found;
                break;
            }
            bytes = bytes.saturating_mul(4);
        }
    }
    Ok(TailStart { attempt: 0, near_end: None, skip: 0 })
}

/// Counts lines and keeps nothing of them.
#[derive(Default)]
pub struct LineCounter(pub u64);

impl io::Write for LineCounter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
