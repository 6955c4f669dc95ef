//! Durations: as they are typed (`90`, `90s`, `15m`, `2h`, `7d`), and as they are shown (`45s`,
//! `3m 04s`, `2h 05m`, `3d 4h`). Two units are enough for whoever reads one.

/// Seconds. `None`: it is no duration, or one of more than a thousand years.
pub fn parse(text: &str) -> Option<u64> {
    const SECONDS_MAX: u64 = 366 * 86_400 * 1000;
    let (number, unit_seconds) = match text.as_bytes().last()? {
        b's' => (&text[..text.len() - 1], 1),
        b'm' => (&text[..text.len() - 1], 60),
        b'h' => (&text[..text.len() - 1], 3600),
        b'd' => (&text[..text.len() - 1], 86_400),
        _ => (text, 1),
    };
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = number.parse::<u64>().ok()?.checked_mul(unit_seconds)?;
    (seconds <= SECONDS_MAX).then_some(seconds)
}

pub fn show(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// The same of a number of seconds as reports have them. Half a second counts.
pub fn show_seconds(seconds: f64) -> String {
    show(seconds.round().max(0.0) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_understood() {
        for (text, want) in [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("15m", Some(900)),
            ("2h", Some(7200)),
            ("7d", Some(604_800)),
            ("0", Some(0)),
            ("", None),
            ("s", None),
            ("1.5h", None),
            ("-1", None),
            ("+1", None),
            ("1 h", None),
            ("2w", None),
            ("1é", None),
            ("99999999999999999999", None),
            ("99999999999d", None),
        ] {
            assert_eq!(parse(text), want, "{text}");
        }
    }

    #[test]
    fn two_units_are_shown() {
        for (seconds, want) in [
            (0, "0s"),
            (45, "45s"),
            (60, "1m 00s"),
            (184, "3m 04s"),
            (3600, "1h 00m"),
            (7500, "2h 05m"),
            (86_399, "23h 59m"),
            (86_400, "1d 0h"),
            (273_600, "3d 4h"),
        ] {
            assert_eq!(show(seconds), want);
        }
        assert_eq!((show_seconds(1.5), show_seconds(-3.0)), ("2s".into(), "0s".into()));
    }
}
