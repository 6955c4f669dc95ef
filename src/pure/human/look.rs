//! How an answer is to look: the time, the zone, the home directory, the terminal and its colours,
//! as values. Owns how an instant and a path are shown.

use super::span;
use super::width;
use super::zone::Zone;

const DAY_MS: i64 = 86_400_000;

/// What is shown in a colour. A colour never says anything that the text does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
    Busy,
}

impl Style {
    /// The parameter of SGR (ECMA-48, 8.3.117).
    fn sgr(self) -> Option<&'static str> {
        match self {
            Style::Plain => None,
            Style::Bold => Some("1"),
            Style::Dim => Some("2"),
            Style::Good => Some("32"),
            Style::Bad => Some("31"),
            Style::Busy => Some("36"),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Look {
    /// Columns of the terminal. `None`: nothing is cut.
    pub width: Option<usize>,
    pub has_colour: bool,
    pub zone: Zone,
    /// Milliseconds since 1970.
    pub now_ms: i64,
    /// The home directory, which is shown as `~`.
    pub home: Option<String>,
}

impl Look {
    /// Puts a text that was cut and escaped into its colour.
    pub fn paint(&self, style: Style, text: &str) -> String {
        match style.sgr().filter(|_| self.has_colour && !text.is_empty()) {
            Some(sgr) => format!("\u{1b}[{sgr}m{text}\u{1b}[0m"),
            None => text.to_string(),
        }
    }

    /// Cuts a line to the terminal.
    pub fn fit(&self, line: &str) -> String {
        match self.width {
            Some(columns) => width::cut(line, columns),
            None => line.to_string(),
        }
    }

    /// `~/shop`, with everything in it still to be escaped.
    pub fn path(&self, path: &str) -> String {
        let home = self.home.as_deref().filter(|home| home.len() > 1);
        match home.and_then(|home| path.strip_prefix(home)) {
            Some("") => "~".into(),
            Some(rest) if rest.starts_with('/') => format!("~{rest}"),
            Some(_) | None => path.into(),
        }
    }

    /// `3m 04s ago`, `in 2h 05m`; what is more than a day away: `2026-11-20 14:05`.
    pub fn when(&self, at_ms: i64) -> String {
        if (self.now_ms - at_ms).abs() < DAY_MS {
            return self.relative(at_ms);
        }
        let local = self.zone.local(at_ms);
        format!("{} {}", local.date(), local.clock())
    }

    /// `2026-11-26 14:05:02 +09:00 (3m 04s ago)`.
    pub fn instant(&self, at_ms: i64) -> String {
        format!("{} ({})", self.stamp(at_ms), self.relative(at_ms))
    }

    /// `2026-11-26 14:05:02 +09:00`.
    pub fn stamp(&self, at_ms: i64) -> String {
        let local = self.zone.local(at_ms);
        let (date, clock, second) = (local.date(), local.clock(), local.second);
        format!("{date} {clock}:{second:02} {}", local.offset())
    }

    /// `14:05 (in 2h 05m)`, with the date if it is another day's.
    pub fn until(&self, at_ms: i64) -> String {
        let (at, now) = (self.zone.local(at_ms), self.zone.local(self.now_ms));
        let date = if at.date() == now.date() { String::new() } else { at.date() + " " };
        format!("{date}{} ({})", at.clock(), self.relative(at_ms))
    }

    fn relative(&self, at_ms: i64) -> String {
        match self.now_ms - at_ms {
            since @ 0.. => format!("{} ago", span::show(since.unsigned_abs() / 1000)),
            until => format!("in {}", span::show(until.unsigned_abs().div_ceil(1000))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::text::time::parse_rfc3339;

    fn look() -> Look {
        Look {
            width: Some(10),
            has_colour: true,
            zone: Zone::new(tz::TimeZone::fixed(9 * 3600).expect("an offset")),
            now_ms: parse_rfc3339("2026-11-26T05:08:06.000Z").expect("a stamp"),
            home: Some("/home/u".into()),
        }
    }

    #[test]
    fn an_instant_is_told_by_how_far_it_is() {
        let look = look();
        let ms = |seconds: i64| look.now_ms + seconds * 1000;
        for (at, when, until) in [
            (ms(-184), "3m 04s ago", "14:05 (3m 04s ago)"),
            (ms(7500), "in 2h 05m", "16:13 (in 2h 05m)"),
            (ms(0), "0s ago", "14:08 (0s ago)"),
            (ms(-86_400), "2026-11-25 14:08", "2026-11-25 14:08 (1d 0h ago)"),
            (ms(40_000), "in 11h 06m", "2026-11-27 01:14 (in 11h 06m)"),
        ] {
            assert_eq!((look.when(at), look.until(at)), (when.into(), until.into()));
        }
        assert_eq!(look.instant(ms(-184)), "2026-11-26 14:05:02 +09:00 (3m 04s ago)");
    }

    #[test]
    fn the_home_directory_is_a_tilde() {
        for (path, want) in [
            ("/home/u", "~"),
            ("/home/u/shop", "~/shop"),
            ("/home/user", "/home/user"),
            ("/srv/home/u", "/srv/home/u"),
        ] {
            assert_eq!(look().path(path), want);
        }
        let rootless = Look { home: Some("/".into()), ..look() };
        assert_eq!(rootless.path("/srv"), "/srv");
    }

    #[test]
    fn colours_are_there_only_if_they_are_wanted() {
        assert_eq!(look().paint(Style::Bad, "failed"), "\u{1b}[31mfailed\u{1b}[0m");
        assert_eq!(look().paint(Style::Plain, "x"), "x");
        let plain = Look { has_colour: false, ..look() };
        assert_eq!(plain.paint(Style::Bad, "failed"), "failed");
        assert_eq!((look().fit("abcdefghijk"), plain.fit("a")), ("abcdefghi…".into(), "a".into()));
    }
}
