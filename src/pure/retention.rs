//! What of the past is removed: what is too old, and of the rest the oldest, until what is left is small enough.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Something that is kept for a while. In order of age, so that the oldest is the greatest.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kept {
    pub age: Duration,
    pub name: String,
    pub bytes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Zero: for ever.
    pub keep: Duration,
    /// Zero: any number.
    pub bytes_max: u64,
}

impl Limits {
    pub fn is_too_old(&self, age: Duration) -> bool {
        !self.keep.is_zero() && age >= self.keep
    }

    /// Until it is.
    pub fn time_left(&self, age: Duration) -> Duration {
        if self.keep.is_zero() { Duration::MAX } else { self.keep.saturating_sub(age) }
    }
}

/// Which of `items` go, oldest first. `bytes`: of everything that is kept, `items` or not.
pub fn to_remove(mut items: Vec<Kept>, bytes: u64, limits: &Limits) -> Vec<Kept> {
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

/// What one look through all that is kept has come to: the sum, and only so many of the oldest, however many there are.
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
    pub fn to_remove(self, limits: &Limits) -> Vec<Kept> {
        let items = self.oldest.into_iter().map(|Reverse(item)| item).collect();
        to_remove(items, self.bytes, limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60;

    fn items(list: &[(&str, u64, u64)]) -> Vec<Kept> {
        let kept = |&(name, days, bytes): &(&str, u64, u64)| Kept {
            age: Duration::from_secs(days * DAY),
            name: name.into(),
            bytes,
        };
        list.iter().map(kept).collect()
    }

    fn limits(days: u64, bytes_max: u64) -> Limits {
        Limits { keep: Duration::from_secs(days * DAY), bytes_max }
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
