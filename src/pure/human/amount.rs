//! Sizes in powers of 1000 (`3.4 MB`), money (`$0.42`), and counts (`12.3k`).

/// Steps of 1000, with a digit behind the point as long as it tells something.
fn scaled(number: u64, units: &[&str]) -> String {
    let mut value = number as f64;
    let mut at = 0;
    // 999.95 would be shown as 1000.0.
    while value >= 999.5 && at + 1 < units.len() {
        value /= 1000.0;
        at += 1;
    }
    match at {
        0 => format!("{number}{}", units[0]),
        _ if value < 99.95 => format!("{value:.1}{}", units[at]),
        _ => format!("{value:.0}{}", units[at]),
    }
}

/// `3.4 MB`.
pub fn bytes(number: u64) -> String {
    scaled(number, &[" B", " kB", " MB", " GB", " TB", " PB", " EB"])
}

/// `12.3k`.
pub fn count(number: u64) -> String {
    scaled(number, &["", "k", "M", "G", "T"])
}

/// `1 turn`, `12 turns`.
pub fn of(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

/// `$0.42`; what is not nothing is never shown as nothing.
pub fn usd(cost: f64) -> String {
    if cost > 0.0 && cost < 0.005 { "<$0.01".into() } else { format!("${cost:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        for (number, size, short) in [
            (0, "0 B", "0"),
            (999, "999 B", "999"),
            (1000, "1.0 kB", "1.0k"),
            (3_400_000, "3.4 MB", "3.4M"),
            (12_345, "12.3 kB", "12.3k"),
            (123_456, "123 kB", "123k"),
            (999_999, "1.0 MB", "1.0M"),
            (u64::MAX, "18.4 EB", "18446744T"),
        ] {
            assert_eq!((bytes(number).as_str(), count(number).as_str()), (size, short));
        }
        for (cost, want) in [(0.0, "$0.00"), (0.001, "<$0.01"), (0.415, "$0.41"), (12.0, "$12.00")]
        {
            assert_eq!(usd(cost), want);
        }
    }
}
