//! The local time zone: which time the clock on the wall shows at an instant, and back.
//!
//! Must not read the zone's data: [`crate::effects::zone`] brings them.

use crate::pure::text::time::{civil_from_days, days_from_civil};

const SECONDS_PER_DAY: i64 = 86_400;

/// A time zone with all its rules.
#[derive(Debug, Clone)]
pub struct Zone(tz::TimeZone);

/// What the clock on the wall shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    pub year: i64,
    pub month: i64,
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    /// Minutes east of UTC.
    pub offset_minutes: i64,
}

impl Zone {
    pub fn new(zone: tz::TimeZone) -> Zone {
        Zone(zone)
    }

    pub fn utc() -> Zone {
        Zone(tz::TimeZone::utc())
    }

    /// `unix_ms`: milliseconds since 1970-01-01T00:00:00Z.
    pub fn local(&self, unix_ms: i64) -> LocalTime {
        let seconds = unix_ms.div_euclid(1000);
        let offset = self.offset_seconds(seconds);
        let shown = seconds + offset;
        let (days, of_day) = (shown.div_euclid(SECONDS_PER_DAY), shown.rem_euclid(SECONDS_PER_DAY));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        LocalTime { year, month, day, hour, minute, second, offset_minutes: offset / 60 }
    }

    /// When that day begins here, in milliseconds since 1970.
    pub fn midnight_ms(&self, year: i64, month: i64, day: i64) -> i64 {
        let shown = days_from_civil(year, month, day) * SECONDS_PER_DAY;
        let near = shown - self.offset_seconds(shown);
        // The offset may change between the two.
        (shown - self.offset_seconds(near)) * 1000
    }

    /// A zone that says nothing about an instant is taken for UTC.
    fn offset_seconds(&self, unix_seconds: i64) -> i64 {
        self.0.find_local_time_type(unix_seconds).map_or(0, |found| found.ut_offset().into())
    }
}

impl LocalTime {
    /// `2026-11-20`.
    pub fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// `14:05`.
    pub fn clock(&self) -> String {
        format!("{:02}:{:02}", self.hour, self.minute)
    }

    /// `+09:00`.
    pub fn offset(&self) -> String {
        let (sign, minutes) = match self.offset_minutes {
            ..0 => ('-', -self.offset_minutes),
            0.. => ('+', self.offset_minutes),
        };
        format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::text::time::parse_rfc3339;

    fn berlin() -> Zone {
        let rule = "CET-1CEST,M3.5.0,M10.5.0/3";
        Zone(tz::TimeZone::from_posix_tz(rule).expect("a rule"))
    }

    #[test]
    fn the_clock_on_the_wall_is_shown_with_its_offset() {
        for (stamp, date, clock, offset) in [
            ("2026-07-01T12:05:02.000Z", "2026-07-01", "14:05", "+02:00"),
            ("2026-12-31T23:30:00.000Z", "2027-01-01", "00:30", "+01:00"),
            ("2026-03-29T00:59:59.000Z", "2026-03-29", "01:59", "+01:00"),
            ("2026-03-29T01:00:00.000Z", "2026-03-29", "03:00", "+02:00"),
        ] {
            let local = berlin().local(parse_rfc3339(stamp).expect(stamp));
            assert_eq!((local.date().as_str(), local.clock().as_str()), (date, clock));
            assert_eq!(local.offset(), offset);
        }
        let west = Zone(tz::TimeZone::fixed(-12_600).expect("an offset"));
        assert_eq!(west.local(0).offset(), "-03:30");
    }

    #[test]
    fn a_day_begins_at_its_own_midnight() {
        for (day, want) in [
            ((2026, 7, 1), "2026-06-30T22:00:00.000Z"),
            ((2026, 3, 29), "2026-03-28T23:00:00.000Z"),
            ((2026, 3, 30), "2026-03-29T22:00:00.000Z"),
            ((2026, 10, 25), "2026-10-24T22:00:00.000Z"),
        ] {
            assert_eq!(Some(berlin().midnight_ms(day.0, day.1, day.2)), parse_rfc3339(want));
        }
    }
}
