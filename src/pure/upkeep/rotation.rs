//! Decides when a log is put aside, and which files then move up by one number: `log` becomes
//! `log.1`, `.1` becomes `.2`. Must not rename anything itself: a crash can fall between two
//! renames, so the decision has to be right for whatever it left.

/// Whether a log is put aside before the next line. `max_bytes` 0: it never is. A log with nothing
/// in it stays, however long that line is.
pub fn is_due(bytes: u64, line_bytes: u64, max_bytes: u64) -> bool {
    max_bytes > 0 && bytes > 0 && bytes + line_bytes > max_bytes
}

/// Which numbers move up by one, in the order of the renames; 0 is the log itself. `keep` is how
/// many old logs there may be. The last rename takes the place of the oldest, unless a number is
/// free: a crash between the renames leaves one, and nothing need go then.
pub fn moves(keep: u32, is_there: impl Fn(u32) -> bool) -> Vec<u32> {
    let free = (1..=keep).find(|number| !is_there(*number)).unwrap_or(keep);
    (0..free).rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_put_aside_before_it_would_grow_too_large() {
        for (bytes, line, max, due) in [
            (90, 10, 100, false),
            (91, 10, 100, true),
            (0, 1000, 100, false),
            (1, 1000, 100, true),
            (1_000_000, 10, 0, false),
        ] {
            assert_eq!(is_due(bytes, line, max), due, "{bytes} + {line} of {max}");
        }
    }

    #[test]
    fn numbers_move_up_from_the_first_free_one() {
        for (keep, there, want) in [
            (3, &[][..], &[0][..]),
            (3, &[1], &[1, 0]),
            (3, &[1, 2, 3], &[2, 1, 0]),
            (3, &[2, 3], &[0]),
            (3, &[1, 3], &[1, 0]),
            (1, &[1], &[0]),
        ] {
            assert_eq!(moves(keep, |n| there.contains(&n)), want, "keep {keep}, there {there:?}");
        }
    }
}
