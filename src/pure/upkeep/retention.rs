//! Decides which finished work is removed: what is too old, and then the oldest of the rest until
//! what is left is small enough. Must not remove anything itself, nor ask for the time: a wrong
//! clock would make everything look too old at once, so whether it is believed is decided here.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Whether ages by the wall clock can be believed. A machine that comes up with a wrong clock, and
/// a clock that is set, would make everything look too old at once; then nothing is removed until a
/// day has gone by.
#[derive(Debug)]
pub struct WallClock {
    /// The wall clock's milliseconds since 1970, less those of the monotonic clock.
    offset_ms: i64,
    doubted_until_ms: i64,
}

/// Adjustments and a short sleep of the machine add up to no more than this.
const SET_BY_MAX_MS: i64 = 60 * 60 * 1000;
/// A daemon that was away for longer cannot tell a holiday from a wrong clock.
const AWAY_MAX_MS: i64 = 7 * 24 * 60 * 60 * 1000;
const DOUBTED_FOR_MS: i64 = 24 * 60 * 60 * 1000;

impl WallClock {
    /// `last_seen_ms`: when an earlier daemon beat last, by the wall clock.
    pub fn new(last_seen_ms: Option<i64>, wall_ms: i64, monotonic_ms: i64) -> WallClock {
        let is_odd = last_seen_ms.is_some_and(|last| (wall_ms - last).abs() > AWAY_MAX_MS);
        let doubted_until_ms = if is_odd { monotonic_ms + DOUBTED_FOR_MS } else { monotonic_ms };
        WallClock { offset_ms: wall_ms - monotonic_ms, doubted_until_ms }
    }

    /// Whether the wall clock is believed now. This is asked with each beat.
    pub fn is_believed(&mut self, wall_ms: i64, monotonic_ms: i64) -> bool {
        let offset_ms = wall_ms - monotonic_ms;
        if (offset_ms - self.offset_ms).abs() > SET_BY_MAX_MS {
            self.doubted_until_ms = monotonic_ms + DOUBTED_FOR_MS;
        }
        self.offset_ms = offset_ms;
        monotonic_ms >= self.doubted_until_ms
    }
}

/// Something that is kept for a while. The order is that of age, so that the oldest is the
/// greatest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    pub age: Duration,
    pub name: String,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShelfLimits {
    /// Zero: things are kept for ever.
    pub keep: Duration,
    /// Zero: there is no limit on the bytes.
    pub bytes_max: u64,
}

impl ShelfLimits {
    pub fn is_too_old(&self, age: Duration) -> bool {
        !self.keep.is_zero() && age >= self.keep
    }

    /// How long it is until something of this age is too old.
    pub fn time_left(&self, age: Duration) -> Duration {
        if self.keep.is_zero() { Duration::MAX } else { self.keep.saturating_sub(age) }
    }
}

/// Which of `items` go, oldest first. `bytes` is the size of everything that is kept, in `items` or
/// not.
pub fn to_remove(mut items: Vec<Kept>, bytes: u64, limits: &ShelfLimits) -> Vec<Kept> {
    items.sort_by(|a, b| b.cmp(a));
    let mut left = bytes;
    items.retain(|item| {
        let too_much = limits.bytes_max > 0 && left > limits.bytes_max && item.bytes > 0;
        let goes = limits.is_too_old(item.age) || too_much;
        if goes {
            left = left.saturating_sub(item.bytes);
        }
        goes
    });
    items
}

/// What one look through all that is kept has found: the sum of the sizes, and a limited number of
/// the oldest, however many there are.
#[derive(Debug, Default)]
pub struct Survey {
    bytes: u64,
    oldest: BinaryHeap<Reverse<Kept>>,
}

/// How many of the oldest are remembered.
pub const OLDEST_MAX: usize = 256;

impl Survey {
    pub fn add(&mut self, item: Kept) {
        self.bytes += item.bytes;
        self.oldest.push(Reverse(item));
        if self.oldest.len() > OLDEST_MAX {
            self.oldest.pop();
        }
    }

    /// What goes. If that is all that was remembered, another look may find more.
    pub fn to_remove(self, limits: &ShelfLimits) -> Vec<Kept> {
        let items = self.oldest.into_iter().map(|Reverse(item)| item).collect();
        to_remove(items, self.bytes, limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    #[test]
    fn a_clock_that_was_set_is_not_believed_for_a_day() {
        const HOUR_MS: i64 = 60 * 60 * 1000;
        const NOW_MS: i64 = 1_800_000_000_000;
        for (last_seen_ms, want) in [
            (None, true),
            (Some(NOW_MS - 100 * HOUR_MS), true),
            (Some(NOW_MS - 200 * HOUR_MS), false),
            (Some(NOW_MS + 200 * HOUR_MS), false),
        ] {
            let mut clock = WallClock::new(last_seen_ms, NOW_MS, 5);
            assert_eq!(clock.is_believed(NOW_MS + 10, 15), want, "{last_seen_ms:?}");
            assert!(clock.is_believed(NOW_MS + 25 * HOUR_MS, 25 * HOUR_MS), "{last_seen_ms:?}");
        }
        for set_by_ms in [3000 * HOUR_MS, -3000 * HOUR_MS, 2 * HOUR_MS] {
            let mut clock = WallClock::new(None, NOW_MS, 0);
            let mut at = |hours: i64, set_by_ms: i64| {
                let monotonic_ms = hours * HOUR_MS;
                clock.is_believed(NOW_MS + monotonic_ms + set_by_ms, monotonic_ms)
            };
            assert!(at(1, 0) && at(2, HOUR_MS / 2));
            assert!(!at(3, set_by_ms) && !at(26, set_by_ms), "set by {set_by_ms}");
            assert!(at(27, set_by_ms), "it is the right one by now");
            assert!(!at(28, 0), "and set back");
        }
    }

    fn items(list: &[(&str, u64, u64)]) -> Vec<Kept> {
        let kept = |&(name, days, bytes): &(&str, u64, u64)| Kept {
            age: Duration::from_secs(days * DAY),
            name: name.into(),
            bytes,
        };
        list.iter().map(kept).collect()
    }

    fn limits(days: u64, bytes_max: u64) -> ShelfLimits {
        ShelfLimits { keep: Duration::from_secs(days * DAY), bytes_max }
    }

    #[test]
    fn what_is_too_old_goes_and_then_the_oldest_until_the_rest_fits() {
        let three: &[(&str, u64, u64)] = &[("new", 1, 10), ("old", 20, 10), ("middle", 5, 10)];
        for (list, limits, want) in [
            (&[][..], limits(14, 100), &[][..]),
            (three, limits(14, 100), &["old"]),
            (three, limits(14, 0), &["old"]),
            (three, limits(0, 0), &[]),
            (three, limits(0, 30), &[]),
            (three, limits(0, 29), &["old"]),
            (three, limits(0, 15), &["old", "middle"]),
            (three, limits(14, 20), &["old"]),
            (three, limits(14, 9), &["old", "middle", "new"]),
            (three, limits(20, 0), &["old"]),
            (three, limits(21, 0), &[]),
            // What is empty makes no room, and what is too old goes though it is empty.
            (&[("empty", 9, 0), ("full", 3, 50)], limits(0, 10), &["full"]),
            (&[("empty", 9, 0), ("full", 3, 50)], limits(9, 0), &["empty"]),
        ] {
            let items = items(list);
            let bytes = items.iter().map(|item| item.bytes).sum();
            let gone = to_remove(items, bytes, &limits);
            let names: Vec<&str> = gone.iter().map(|item| item.name.as_str()).collect();
            assert_eq!(names, want, "{list:?} {limits:?}");
        }
    }

    #[test]
    fn a_survey_remembers_the_oldest_and_counts_all() {
        let mut survey = Survey::default();
        let count = OLDEST_MAX as u64 + 100;
        for n in 0..count {
            let name = format!("{n:04}");
            survey.add(Kept { age: Duration::from_secs((n * 7919) % count), name, bytes: 1 });
        }
        let gone = survey.to_remove(&limits(0, count - 3));
        let ages: Vec<u64> = gone.iter().map(|item| item.age.as_secs()).collect();
        assert_eq!(ages, [count - 1, count - 2, count - 3]);
    }
}
