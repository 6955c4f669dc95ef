//! What follows from a receiver's answer: delivered, tried again, or given up; and how long it asks
//! us to wait.

use core::time::Duration;

use crate::pure::text::time::parse_http_date;

/// A receiver may ask for so long a pause, and no longer.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60 * 60);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    Delivered,
    Again,
    /// No later try will do better.
    Final,
}

/// By the answer's status. OpenClaw's hooks mean "again" by 409.
pub fn delivery(status: u16) -> Delivery {
    match status {
        200..=299 => Delivery::Delivered,
        408 | 409 | 425 | 429 => Delivery::Again,
        400..=499 => Delivery::Final,
        _ => Delivery::Again,
    }
}

/// The pause that a `Retry-After` asks for, in seconds or as a date (RFC 9110, section 10.2.3).
/// `None`: it asks for none, or cannot be understood.
pub fn retry_after(value: &str, now_ms: i64) -> Option<Duration> {
    let value = value.trim();
    let pause = if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // A number that is too large for us is a very long time.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let left_ms = parse_http_date(value)?.saturating_sub(now_ms);
        Duration::from_millis(u64::try_from(left_ms).ok()?)
    };
    Some(pause.min(RETRY_AFTER_MAX)).filter(|pause| !pause.is_zero())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_2xx_delivers_and_only_what_a_receiver_may_change_its_mind_about_is_tried_again() {
        for (status, want) in [
            (200, Delivery::Delivered),
            (299, Delivery::Delivered),
            (100, Delivery::Again),
            (300, Delivery::Again),
            (302, Delivery::Again),
            (400, Delivery::Final),
            (401, Delivery::Final),
            (404, Delivery::Final),
            (408, Delivery::Again),
            (409, Delivery::Again),
            (410, Delivery::Final),
            (413, Delivery::Final),
            (425, Delivery::Again),
            (429, Delivery::Again),
            (499, Delivery::Final),
            (500, Delivery::Again),
            (503, Delivery::Again),
            (599, Delivery::Again),
            (600, Delivery::Again),
        ] {
            assert_eq!(delivery(status), want, "{status}");
        }
    }

    #[test]
    fn a_receiver_may_name_a_pause_of_an_hour_at_most() {
        const NOW_MS: i64 = 784_111_777_000; // Sun, 06 Nov 1994 08:49:37 GMT
        for (value, want) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("3600", Some(3600)),
            ("3601", Some(3600)),
            ("99999999999999999999999", Some(3600)),
            ("0", None),
            ("", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun Nov  6 08:50:37 1994", Some(60)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("Sun, 06 Nov 1994 08:48:37 GMT", None),
            ("Mon, 07 Nov 1994 08:49:37 GMT", Some(3600)),
            ("Sun, 06 Nov 1994 08:50:37 CET", None),
            ("Sun, 06 Nix 1994 08:50:37 GMT", None),
            ("Sun, 36 Nov 1994 08:50:37 GMT", None),
        ] {
            let got = retry_after(value, NOW_MS).map(|pause| pause.as_secs());
            assert_eq!(got, want, "{value:?}");
        }
    }
}
