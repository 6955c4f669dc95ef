//! When a callback is tried again, and when no more. Counted in tries and their pauses, since the clock on the wall can be set.

use std::time::Duration;

/// The pauses of a callback add up to this before it is given up.
const TRIED_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// Pauses of nothing add up to nothing: each counts as this much at least.
const PAUSE_MIN: Duration = Duration::from_secs(1);

/// The pause after so many failed tries, or `None`: that was the last one. `delays`: before each try; the last one repeats.
pub fn pause_after(tries: u32, delays: &[Duration]) -> Option<Duration> {
    let last = delays.last().copied().unwrap_or_default();
    let pause = |tries: u32| delays.get(tries as usize).copied().unwrap_or(last);
    let counted = |tries: u32| pause(tries).max(PAUSE_MIN);
    // Of the first ones each has its own, of the others the last one's.
    let own = (delays.len() as u32).min(tries);
    let repeated = last.max(PAUSE_MIN).saturating_mul(tries.saturating_sub(own.max(1)));
    let spent = (1..own).map(counted).fold(repeated, Duration::saturating_add);
    (spent < TRIED_FOR).then(|| pause(tries))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(list: &[u64]) -> Vec<Duration> {
        list.iter().map(|s| Duration::from_secs(*s)).collect()
    }

    #[test]
    fn pauses_grow_and_the_last_repeats_for_a_day() {
        let delays = seconds(&[0, 5, 30, 120, 600, 3600]);
        let pauses: Vec<_> = (1..8).map(|n| pause_after(n, &delays)).collect();
        assert_eq!(
            pauses,
            [5, 30, 120, 600, 3600, 3600, 3600].map(|s| Some(Duration::from_secs(s)))
        );
        let tries = (1..1000).find(|n| pause_after(*n, &delays).is_none());
        let waited: Duration =
            (1..tries.expect("an end")).filter_map(|n| pause_after(n, &delays)).sum();
        let hours = waited.as_secs_f64() / 3600.0;
        assert!((24.0..25.0).contains(&hours), "{hours} hours");
    }

    #[test]
    fn no_pause_at_all_comes_to_an_end_too() {
        for delays in [seconds(&[]), seconds(&[0]), seconds(&[0, 0])] {
            assert_eq!(pause_after(1, &delays), Some(Duration::ZERO));
            assert_eq!(pause_after(86_401, &delays), None);
            assert!(pause_after(86_000, &delays).is_some());
            assert_eq!(pause_after(u32::MAX, &delays), None);
        }
    }
}
