//! The moments that `--since` takes: a duration before now, a day (which begins at its midnight
//! here), an instant in RFC 3339, or everything.

use super::span;
use super::zone::Zone;
use crate::pure::text::time::{days_from_civil, parse_rfc3339};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    All,
    /// Seconds before now.
    Ago(u64),
    Day {
        year: i64,
        month: i64,
        day: i64,
    },
    /// Milliseconds since 1970.
    At(i64),
}

impl Since {
    pub fn parse(text: &str) -> Option<Since> {
        if text == "all" {
            return Some(Since::All);
        }
        let day = || date(text).map(|(year, month, day)| Since::Day { year, month, day });
        let ago = span::parse(text).map(Since::Ago);
        ago.or_else(day).or_else(|| instant(text).map(Since::At))
    }

    /// Milliseconds since 1970. `None`: from the beginning.
    pub fn ms(self, now_ms: i64, zone: &Zone) -> Option<i64> {
        match self {
            Since::All => None,
            Since::Ago(seconds) => Some(now_ms.saturating_sub(seconds as i64 * 1000)),
            Since::Day { year, month, day } => Some(zone.midnight_ms(year, month, day)),
            Since::At(ms) => Some(ms),
        }
    }
}

/// `2026-11-20`.
fn date(text: &str) -> Option<(i64, i64, i64)> {
    let bytes = text.as_bytes();
    let is_form = |(at, byte): (usize, &u8)| match at {
        4 | 7 => *byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    if bytes.len() != 10 || !bytes.iter().enumerate().all(is_form) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    if !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    let length = days_from_civil(next.0, next.1, 1) - days_from_civil(year, month, 1);
    (day <= length).then_some((year, month, day))
}

/// `2026-11-20T14:05:00Z`, with a fraction of a second or not, with any offset.
fn instant(text: &str) -> Option<i64> {
    date(text.get(..10)?)?;
    let (seconds, rest) = text.split_at_checked(19)?;
    let at_digits = |at: usize| seconds.get(at..at + 2)?.parse::<u32>().ok();
    let is_clock = at_digits(11)? < 24 && at_digits(14)? < 60 && at_digits(17)? <= 60;
    let (fraction, zone) = match rest.strip_prefix('.') {
        Some(rest) => rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?),
        None => ("0", rest),
    };
    let is_form = is_clock && !fraction.is_empty() && seconds.as_bytes()[13] == b':';
    let utc_ms = parse_rfc3339(&format!("{seconds}.{:0<3.3}Z", fraction)).filter(|_| is_form)?;
    Some(utc_ms - offset_minutes(zone)? * 60_000)
}

/// `Z`, `+09:00`.
fn offset_minutes(zone: &str) -> Option<i64> {
    if zone == "Z" || zone == "z" {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = zone[1..].split_once(':')?;
    let number = |text: &str, max: i64| {
        let is_number = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse::<i64>().ok().filter(|number| is_number && *number < max)
    };
    Some(sign * (number(hours, 24)? * 60 + number(minutes, 60)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_understood_and_nothing_else() {
        let at = |stamp: &str| Some(Since::At(parse_rfc3339(stamp).expect(stamp)));
        for (text, want) in [
            ("all", Some(Since::All)),
            ("24h", Some(Since::Ago(86_400))),
            ("90", Some(Since::Ago(90))),
            ("2026-11-20", Some(Since::Day { year: 2026, month: 11, day: 20 })),
            ("2024-02-29", Some(Since::Day { year: 2024, month: 2, day: 29 })),
            ("2026-11-20T14:05:00Z", at("2026-11-20T14:05:00.000Z")),
            ("2026-11-20T14:05:00.5Z", at("2026-11-20T14:05:00.500Z")),
            ("2026-11-20T14:05:00.123456+09:00", at("2026-11-20T05:05:00.123Z")),
            ("2026-11-20T14:05:00-03:30", at("2026-11-20T17:35:00.000Z")),
            ("2026-02-29", None),
            ("2026-13-01", None),
            ("2026-11-31", None),
            ("2026-11-20T24:00:00Z", None),
            ("2026-11-20T14:05:00", None),
            ("2026-11-20T14:05Z", None),
            ("2026-11-20 14:05:00Z", None),
            ("2026-11-20T14:05:00.Z", None),
            ("2026-11-20T14:05:00+9:00", None),
            ("yesterday", None),
            ("ééééé", None),
            ("", None),
        ] {
            assert_eq!(Since::parse(text), want, "{text}");
        }
        let tokyo = Zone::new(tz::TimeZone::fixed(9 * 3600).expect("an offset"));
        let day = Since::parse("2026-11-20").and_then(|since| since.ms(0, &tokyo));
        assert_eq!(day, parse_rfc3339("2026-11-19T15:00:00.000Z"));
        assert_eq!(Since::Ago(2).ms(5000, &tokyo), Some(3000));
        assert_eq!(Since::All.ms(5000, &tokyo), None);
    }
}
