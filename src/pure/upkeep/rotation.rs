//! Decides how a log grows: where the next line begins, when the log is put aside, and which files
//! then move up by one number: `log` becomes `log.1`, `.1` becomes `.2`. Must not write or rename
//! anything itself: a crash can fall between two steps, so the decision has to be right for
//! whatever it left.

/// Whether a log is put aside before the next line. `max_bytes` 0: it never is. A log with nothing
/// in it stays, however long that line is.
pub fn is_due(bytes: u64, line_bytes: u64, max_bytes: u64) -> bool {
    max_bytes > 0 && bytes > 0 && bytes + line_bytes > max_bytes
}

/// The kernel writes a file in pieces that end at multiples of this, and a process that is killed
/// between two of them leaves half of what it wrote (generic_perform_write in Linux).
const PIECE_BYTES: u64 = 4096;

/// How many blanks go in front of the next line, so that no kill can tear it. A line that is longer
/// than a piece gets none.
pub fn blanks_before(bytes: u64, line_bytes: u64) -> u64 {
    let left = PIECE_BYTES - bytes % PIECE_BYTES;
    if left < line_bytes && line_bytes <= PIECE_BYTES { left } else { 0 }
}

/// Whether that is the end of a log whose last line is half a line. Blanks are none: the next line
/// goes on behind them.
pub fn is_torn(end: &[u8]) -> bool {
    end.rsplit(|byte| *byte == b'\n').next().is_some_and(|last| last.iter().any(|b| *b != b' '))
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
    fn no_line_lies_across_two_pieces_unless_it_is_longer_than_one() {
        for (bytes, line, want) in [
            (0, 100, 0),
            (0, 4096, 0),
            (0, 4097, 0),
            (3996, 100, 0),
            (3997, 100, 99),
            (4095, 2, 1),
            (4096, 100, 0),
            (8000, 4096, 192),
            (8000, 4097, 0),
        ] {
            assert_eq!(blanks_before(bytes, line), want, "{line} after {bytes}");
        }
    }

    #[test]
    fn blanks_at_the_end_are_no_torn_line() {
        for (end, want) in [
            (&b"{}\n"[..], false),
            (b"", false),
            (b"{}\n   ", false),
            (b"   ", false),
            (b"{}\n   {", true),
            (b"{}", true),
            (b"{}\n{\"a\":\" ", true),
            (b"{}\n\0\0", true),
        ] {
            assert_eq!(is_torn(end), want, "{:?}", end.escape_ascii().to_string());
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
