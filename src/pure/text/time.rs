//! Time stamps as the seed writes them (`2026-04-03T14:30:00.000Z`), without a date crate.
//!
//! Stamps are for readers. No decision may rest on the wall clock; monotonic time is for that.

const MS_PER_DAY: i64 = 86_400_000;

/// RFC 3339 in UTC with milliseconds. `unix_ms`: milliseconds since 1970-01-01T00:00:00Z.
pub fn rfc3339(unix_ms: i64) -> String {
    let (days, ms) = (unix_ms.div_euclid(MS_PER_DAY), unix_ms.rem_euclid(MS_PER_DAY));
    let (year, month, day) = civil_from_days(days);
    let (h, m, s) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let mut text = String::with_capacity("2026-04-03T14:30:00.000Z".len());
    let parts = [(year, 4, '-'), (month, 2, '-'), (day, 2, 'T'), (h, 2, ':'), (m, 2, ':')];
    for (number, digits, then) in parts.into_iter().chain([(s, 2, '.'), (ms % 1000, 3, 'Z')]) {
        push_digits(&mut text, number, digits);
        text.push(then);
    }
    text
}

/// Writes the last `digits` of a number. A stamp is written a dozen times a dispatch.
fn push_digits(text: &mut String, number: i64, digits: u32) {
    for place in (0..digits).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        text.push(char::from(b'0' + digit.unsigned_abs() as u8));
    }
}

/// The same stamp in a form that is legal in a file name and sorts there.
pub fn file_stamp(unix_ms: i64) -> String {
    rfc3339(unix_ms).replace([':', '-'], "").replace('.', "_")
}

/// Reads back the stamp that a file's name begins with.
pub fn read_file_stamp(name: &str) -> Option<i64> {
    let stamp = name.get(.."20260403T143000_123Z".len())?;
    let part = |from: usize, to: usize| stamp.get(from..to);
    let (date, clock) = ((part(0, 4)?, part(4, 6)?, part(6, 8)?), (part(9, 11)?, part(11, 13)?));
    let ((year, month, day), (hour, minute)) = (date, clock);
    let (second, ms) = (part(13, 15)?, part(16, 19)?);
    parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}.{ms}Z"))
}

/// Reads back what [`rfc3339`] writes; `None` for anything else.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let b = text.as_bytes();
    if b.len() != 24 || !text.is_ascii() || b[10] != b'T' || b[23] != b'Z' {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().ok();
    let days = days_from_civil(number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (h, m, s) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    Some(days * MS_PER_DAY + ((h * 60 + m) * 60 + s) * 1000 + number(20, 23)?)
}

/// Reads a date of HTTP in any of its three forms (RFC 9110, section 5.6.7), in milliseconds since
/// 1970; `None` for anything else.
pub fn parse_http_date(text: &str) -> Option<i64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let words: Vec<&str> = text.split([' ', ',', '-']).filter(|word| !word.is_empty()).collect();
    let (day, month, year, clock) = match words[..] {
        [_, day, month, year, clock, "GMT"] => (day, month, year, clock),
        [_, month, day, clock, year] => (day, month, year, clock),
        _ => return None,
    };
    let number = |word: &str| {
        let is_number = word.len() <= 4 && word.bytes().all(|b| b.is_ascii_digit());
        word.parse::<i64>().ok().filter(|_| is_number)
    };
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let year = match number(year)? {
        // Of two digits: the year that is near.
        year @ 0..70 => year + 2000,
        year @ 70..100 => year + 1900,
        year => year,
    };
    let clock: Vec<i64> = clock.split(':').map(number).collect::<Option<_>>()?;
    let &[hour, minute, second] = &clock[..] else { return None };
    let day = number(day)?;
    let is_time = (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    let days = days_from_civil(year, month, day);
    is_time.then_some(days * MS_PER_DAY + ((hour * 60 + minute) * 60 + second) * 1000)
}

// Days to date and back in the proleptic Gregorian calendar, by 400-year eras of 146,097 days that
// begin on March 1st.
pub fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let (era, doe) = (z.div_euclid(146_097), z.rem_euclid(146_097));
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + i64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

pub fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = year - i64::from(month <= 2);
    let (era, yoe) = (y.div_euclid(400), y.rem_euclid(400));
    let doy = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    era * 146_097 + (yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_are_written_and_read_back() {
        for (ms, want) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_775_226_600_123, "2026-04-03T14:30:00.123Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(ms), want);
            assert_eq!(parse_rfc3339(want), Some(ms));
        }
        assert_eq!(file_stamp(1_775_226_600_123), "20260403T143000_123Z");
        assert_eq!(read_file_stamp("20260403T143000_123Z-0a1b"), Some(1_775_226_600_123));
        assert_eq!(read_file_stamp("20260403"), None);
        assert_eq!(parse_rfc3339("yesterday"), None);
    }
}
