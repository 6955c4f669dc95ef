//! A pause of all work, as the request for it says: until somebody resumes, or until a time.
//!
//! The time is one of the wall clock, since a person names it and it must hold through restarts.
//! What is no time pauses until somebody resumes: a mistake there must not let anything start.

use crate::pure::text::time::parse_rfc3339;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    UntilResumed,
    /// Milliseconds since 1970.
    Until(i64),
}

impl Pause {
    /// Reads a request: it is empty, or holds the end in RFC 3339.
    pub fn read(text: &str) -> Pause {
        parse_rfc3339(text.trim()).map_or(Pause::UntilResumed, Pause::Until)
    }

    /// The end, in milliseconds since 1970, if it has one.
    pub fn until_ms(self) -> Option<i64> {
        match self {
            Pause::UntilResumed => None,
            Pause::Until(until_ms) => Some(until_ms),
        }
    }

    pub fn is_over(self, now_ms: i64) -> bool {
        self.until_ms().is_some_and(|until_ms| until_ms <= now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_at_the_time_that_its_request_names() {
        for (text, pause) in [
            ("", Pause::UntilResumed),
            ("\n", Pause::UntilResumed),
            ("1970-01-01T00:00:01.000Z", Pause::Until(1000)),
            (" 1970-01-01T00:00:01.000Z\n", Pause::Until(1000)),
            ("noon", Pause::UntilResumed),
        ] {
            assert_eq!(Pause::read(text), pause, "{text:?}");
        }
        let until = Pause::Until(1000);
        assert!(!until.is_over(999) && until.is_over(1000));
        assert!(!Pause::UntilResumed.is_over(i64::MAX));
    }
}
