//! Points in time as they are typed: how long ago (`2h`, `7d`), a day (`2026-11-20`, from its local
//! midnight), or RFC 3339 with any offset.

use super::span;
use super::zone::Zone;
use crate::pure::text::time::days_from_civil;

/// What a text that is none of them is answered with.
pub const EXPECTED: &str = "expected 90s, 15m, 2h, 7d, 2026-11-20 or 2026-11-20T14:05:00Z";

/// Milliseconds since 1970.
pub fn parse(text: &str, zone: &Zone, now_ms: i64) -> Option<i64> {
    if let Some(seconds) = span::parse(text) {
        return Some(now_ms.saturating_sub_unsigned(seconds * 1000));
    }
    let (year, month, day) = date(text.get(..10)?)?;
    match text.get(10..)? {
        "" => Some(zone.midnight_ms(year, month, day)),
        time => {
            let ms = days_from_civil(year, month, day) * 86_400_000;
            Some(ms + clock(time.strip_prefix(['T', 't', ' '])?)?)
        }
    }
}

fn date(text: &str) -> Option<(i64, i64, i64)> {
    let mut parts = text.split('-').map(digits);
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day) && text.len() == 10;
    (is_date && parts.next().is_none()).then_some((year, month, day))
}

/// `14:05:00.123+09:00`, in milliseconds since the day began in UTC.
fn clock(text: &str) -> Option<i64> {
    let zone_at = text.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = text.split_at(zone_at);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = time.split(':').map(digits);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    digits(fraction)?;
    let ms = digits(&format!("{fraction:0<3}")[..3])?;
    if hour > 23 || minute > 59 || second > 60 || parts.next().is_some() {
        return None;
    }
    let offset_minutes = match zone {
        "Z" | "z" => 0,
        _ => {
            let (hours, minutes) = zone[1..].split_once(':')?;
            let minutes = digits(hours)? * 60 + digits(minutes)?;
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    Some(((hour * 60 + minute - offset_minutes) * 60 + second) * 1000 + ms)
}

fn digits(text: &str) -> Option<i64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::text::time::parse_rfc3339;

    #[test]
    fn each_form_is_understood_and_nothing_else() {
        let zone = Zone::new(tz::TimeZone::fixed(9 * 3600).expect("an offset"));
        let now_ms = parse_rfc3339("2026-11-26T12:00:00.000Z").expect("a stamp");
        for (text, want) in [
            ("2h", Some("2026-11-26T10:00:00.000Z")),
            ("0", Some("2026-11-26T12:00:00.000Z")),
            ("2026-11-20", Some("2026-11-19T15:00:00.000Z")),
            ("2026-11-20T14:05:00Z", Some("2026-11-20T14:05:00.000Z")),
            ("2026-11-20T14:05:00.5+09:00", Some("2026-11-20T05:05:00.500Z")),
            ("2026-11-20T00:30:00.123456-01:30", Some("2026-11-20T02:00:00.123Z")),
            ("2026-13-20", None),
            ("2026-11-2", None),
            ("2026-11-20T14:05", None),
            ("2026-11-20T14:05:00", None),
            ("2026-11-20T24:05:00Z", None),
            ("2026-11-20T14:05:00.Z", None),
            ("2026-11-20T14:05:00.é+09:00", None),
            ("yesterday", None),
            ("éééééééééé", None),
            ("", None),
        ] {
            assert_eq!(parse(text, &zone, now_ms), want.and_then(parse_rfc3339), "{text}");
        }
    }
}
