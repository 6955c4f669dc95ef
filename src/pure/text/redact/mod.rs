//! Takes secrets out of text before anybody else reads it: by their shape, by the name in front of
//! them, and by value where we hold them ourselves. It errs on the side of hiding.
//!
//! Must not touch what only looks random: digests, UUIDs, ids of sessions, idempotency keys. Each
//! idea finds ranges of the original text, which are hidden together, so that no idea has to know
//! of another. Each looks at a place a bounded number of times: a session chooses what it says, and
//! a long line of it must not keep the daemon busy.

mod held;
mod json;
mod names;
mod shapes;
mod urls;

use std::ops::Range;

pub use held::Held;

/// What stands in the place of a secret.
const MARK: &str = "[redacted]";

/// The text with everything hidden that looks like a secret.
pub fn redact(text: &str) -> String {
    hidden(text, found(text))
}

/// What looks like a secret, in no order.
fn found(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    shapes::find(text, &mut found);
    names::find(text, &mut found);
    urls::find(text, &mut found);
    found
}

fn hidden(text: &str, mut found: Vec<Range<usize>>) -> String {
    found.sort_by_key(|range| range.start);
    let (mut out, mut shown) = (String::with_capacity(text.len()), 0);
    for range in found {
        if range.end <= shown {
            continue;
        }
        // What overlaps, or touches, is one secret.
        if range.start > shown || shown == 0 {
            out += &text[shown..range.start];
            out += MARK;
        }
        shown = range.end;
    }
    out + &text[shown..]
}

/// Where this stands in a text. Most texts are a few bytes long, and `str::match_indices` spends
/// more than that on getting ready.
fn places(text: &str, wanted: &'static str) -> impl Iterator<Item = usize> {
    let (bytes, wanted) = (text.as_bytes(), wanted.as_bytes());
    let may_begin = move |at: &usize| bytes[*at] == wanted[0];
    (0..bytes.len()).filter(may_begin).filter(move |at| bytes[*at..].starts_with(wanted))
}

/// How many of the bytes from `at` on are among `wanted`, at most `most`.
fn run(bytes: &[u8], at: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
    bytes.iter().skip(at).take(most).take_while(|byte| wanted(**byte)).count()
}

/// How many of the bytes before `at` are among `wanted`, at most `most`.
fn run_before(bytes: &[u8], at: usize, most: usize, wanted: impl Fn(u8) -> bool) -> usize {
    bytes[..at].iter().rev().take(most).take_while(|byte| wanted(**byte)).count()
}

#[cfg(test)]
#[path = "redact_tests.rs"]
mod tests;
