//! Secrets that we hold ourselves, known by value: whatever shape they have, and in each form in
//! which they are usually written.

use std::ops::Range;

use super::{found, hidden, json};

/// A shorter one would hide half of an ordinary text, in bytes.
const SECRET_BYTES_MIN: usize = 8;
/// What stands in front of our own kinds.
const PREFIXES: [&str; 4] = ["whsec_", "cbsec_", "cvis_", "Bearer "];

/// The secrets that we hold.
#[derive(Clone, Default)]
pub struct Held {
    forms: Vec<String>,
}

impl std::fmt::Debug for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Held({} forms)", self.forms.len())
    }
}

impl Held {
    pub const fn new() -> Held {
        Held { forms: Vec::new() }
    }

    /// Whether a secret is hidden by value already.
    pub fn has(&self, secret: &str) -> bool {
        self.forms.iter().any(|form| form == secret.trim())
    }

    /// Hides a secret from now on. One of fewer than 8 bytes is not hidden by value: too much
    /// ordinary text would go with it.
    pub fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        let bare = PREFIXES.iter().find_map(|prefix| secret.strip_prefix(prefix));
        for one in [Some(secret), bare].into_iter().flatten() {
            let percent = one.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
            let forms = [one.to_string(), percent, one.replace('/', "\\/"), upper_hex(one)];
            for form in forms {
                if form.len() >= SECRET_BYTES_MIN && !self.forms.contains(&form) {
                    self.forms.push(form);
                }
            }
        }
    }

    /// The text with everything hidden that is one of these secrets, or looks like any.
    pub fn redact(&self, text: &str) -> String {
        let mut all = found(text);
        for form in &self.forms {
            all.extend(text.match_indices(form.as_str()).map(|(at, _)| at..at + form.len()));
            all.extend(cut_off(text, form));
        }
        hidden(text, all)
    }

    /// The same for a text that is JSON: in each of its texts, and nowhere else.
    pub fn redact_json(&self, text: &str) -> String {
        json::redact(text, |text| self.redact(text))
    }
}

/// A hexadecimal key may be written in capitals.
fn upper_hex(secret: &str) -> String {
    let is_hex = secret.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hex { secret.to_ascii_uppercase() } else { secret.to_string() }
}

/// What is left of a secret where a text was cut off in the middle of it.
fn cut_off(text: &str, secret: &str) -> Option<Range<usize>> {
    // The mark of a cut.
    let end = text.strip_suffix('…').unwrap_or(text).len();
    let longest = (secret.len() - 1).min(end);
    let cuts = (SECRET_BYTES_MIN..=longest).rev().filter(|length| secret.is_char_boundary(*length));
    let mut cuts = cuts.filter(|length| text[..end].ends_with(&secret[..*length]));
    cuts.next().map(|length| end - length..end)
}
