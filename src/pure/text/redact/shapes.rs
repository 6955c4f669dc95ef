//! Secrets that are known by how they look: the keys of providers, tokens that sign in a bot, JSON
//! web tokens, private keys in PEM, and what follows `Bearer` and `Basic`.
//!
//! A prefix counts at the beginning of a word only. One that is also an ordinary word needs a digit
//! or a capital behind it: `sk-learn-based` is no key.

use std::ops::Range;

use super::{places, run, run_before};

/// How much of a word is looked at to tell a key from a word, in bytes.
const LOOK_BYTES_MAX: usize = 256;
/// The longest id.
const ID_BYTES_MAX: usize = 120;
/// A shorter word behind `Bearer` is a word, unless it has a digit.
const BEARER_BYTES_MIN: usize = 16;

struct Shape {
    prefix: &'static str,
    /// How much must follow, in bytes.
    tail_min: usize,
    /// What may follow besides letters and digits.
    more: &'static [u8],
    /// The tail must have a digit or a capital.
    is_mixed: bool,
}

const fn shape(prefix: &'static str, tail_min: usize, more: &'static [u8]) -> Shape {
    Shape { prefix, tail_min, more, is_mixed: false }
}

const fn mixed(prefix: &'static str, tail_min: usize, more: &'static [u8]) -> Shape {
    Shape { prefix, tail_min, more, is_mixed: true }
}

/// Longer prefixes stand before those that they begin with.
const SHAPES: [Shape; 31] = [
    shape("sk-ant-", 8, b"-_"),
    shape("sk-proj-", 8, b"-_"),
    mixed("sk-", 12, b"-_"),
    shape("sk_live_", 12, b""),
    shape("sk_test_", 12, b""),
    shape("rk_live_", 12, b""),
    shape("rk_test_", 12, b""),
    shape("ghp_", 12, b""),
    shape("gho_", 12, b""),
    shape("ghu_", 12, b""),
    shape("ghr_", 12, b""),
    shape("ghs_", 12, b""),
    shape("github_pat_", 12, b"_"),
    mixed("glpat-", 12, b"-_."),
    mixed("xoxa-", 10, b"-"),
    mixed("xoxb-", 10, b"-"),
    mixed("xoxp-", 10, b"-"),
    mixed("xoxr-", 10, b"-"),
    mixed("xoxs-", 10, b"-"),
    mixed("xapp-", 10, b"-"),
    shape("AIza", 20, b"-_"),
    shape("ya29.", 12, b"-_."),
    shape("npm_", 16, b""),
    mixed("pypi-", 16, b"-_"),
    mixed("hf_", 16, b""),
    shape("dop_v1_", 16, b""),
    shape("AGE-SECRET-KEY-1", 12, b""),
    shape("cvis_", 12, b"+/=_-"),
    shape("cbsec_", 12, b"+/=_-"),
    shape("whsec_", 12, b"+/=_-"),
    shape("GOCSPX-", 12, b"-_"),
];

pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    private_keys(text, found);
    let bytes = text.as_bytes();
    let (mut at, mut not_jwt_before) = (0, 0);
    while at < bytes.len() {
        if !begins_a_word(bytes, at) {
            at += 1;
            continue;
        }
        let end = key(text, at)
            .or_else(|| aws(bytes, at))
            .or_else(|| sendgrid(bytes, at))
            .or_else(|| bot(bytes, at))
            .or_else(|| web_token(bytes, at, &mut not_jwt_before));
        if let Some(end) = end {
            found.extend((!is_in_id(bytes, at)).then_some(at..end));
        } else if let Some(credentials) = after_scheme(text, at) {
            found.push(credentials);
        }
        at = end.unwrap_or(at + 1);
    }
}

/// Whether a place lies in the id of a dispatch, which names files and must be found again.
fn is_in_id(bytes: &[u8], at: usize) -> bool {
    let is_of_it = |b: u8| is_base64url(b) || b == b'.';
    bytes[at - run_before(bytes, at, ID_BYTES_MAX, is_of_it)..].starts_with(b"dispatch-")
}

fn begins_a_word(bytes: &[u8], at: usize) -> bool {
    let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    bytes[at].is_ascii_alphanumeric() && (at == 0 || !goes_on(bytes[at - 1]) || is_bot(bytes, at))
}

/// Telegram's URLs have `/bot` in front of the token.
fn is_bot(bytes: &[u8], at: usize) -> bool {
    bytes[at].is_ascii_digit() && bytes[..at].ends_with(b"/bot")
}

fn key(text: &str, at: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    // Nearly every word differs in its first byte already.
    let begins = |shape: &&Shape| {
        let prefix = shape.prefix.as_bytes();
        prefix[0] == bytes[at] && bytes[at..].starts_with(prefix)
    };
    SHAPES.iter().filter(begins).find_map(|shape| {
        let from = at + shape.prefix.len();
        let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || shape.more.contains(&byte);
        let seen = &bytes[from..from + run(bytes, from, LOOK_BYTES_MAX, is_of_it)];
        let is_mixed = seen.iter().any(|b| b.is_ascii_digit() || b.is_ascii_uppercase());
        let is_key = seen.len() >= shape.tail_min && (is_mixed || !shape.is_mixed);
        is_key.then(|| from + run(bytes, from, usize::MAX, is_of_it))
    })
}

/// `AKIA…` and `ASIA…`: sixteen capitals and digits, and no more.
fn aws(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let is_prefixed = rest.starts_with(b"AKIA") || rest.starts_with(b"ASIA");
    let tail = run(bytes, at + 4, 17, |b| b.is_ascii_uppercase() || b.is_ascii_digit());
    (is_prefixed && tail == 16).then_some(at + 20)
}

/// `SG.x.y`.
fn sendgrid(bytes: &[u8], at: usize) -> Option<usize> {
    if !bytes[at..].starts_with(b"SG.") {
        return None;
    }
    let first = run(bytes, at + 3, LOOK_BYTES_MAX, is_base64url);
    let second_at = at + 3 + first + 1;
    let is_cut = first >= 12 && bytes.get(second_at - 1) == Some(&b'.');
    let second = run(bytes, second_at, usize::MAX, is_base64url);
    (is_cut && second >= 12).then_some(second_at + second)
}

/// A bot's token is `digits:35+`. A digest behind a number is none.
fn bot(bytes: &[u8], at: usize) -> Option<usize> {
    let digits = run(bytes, at, 20, |b| b.is_ascii_digit());
    let from = at + digits + 1;
    if !(6..20).contains(&digits) || bytes.get(from - 1) != Some(&b':') {
        return None;
    }
    let seen = run(bytes, from, LOOK_BYTES_MAX, is_base64url);
    let is_hex = |b: &u8| b.is_ascii_digit() || (b'a'..=b'f').contains(b);
    let is_digest = matches!(seen, 40 | 64) && bytes[from..from + seen].iter().all(is_hex);
    (seen >= 35 && !is_digest).then(|| from + run(bytes, from, usize::MAX, is_base64url))
}

/// `eyJ….….…`; base64 of any other JSON has no full stops. A word that is none is none from any
/// place in it on.
fn web_token(bytes: &[u8], at: usize, not_before: &mut usize) -> Option<usize> {
    if at < *not_before || !bytes[at..].starts_with(b"eyJ") {
        return None;
    }
    let part = |from| from + run(bytes, from, usize::MAX, is_base64url);
    let first = part(at);
    let is_stop = |at: usize| bytes.get(at) == Some(&b'.');
    let second = if is_stop(first) { part(first + 1) } else { first };
    if first - at >= 8 && second > first + 4 && is_stop(second) {
        let mut end = part(second + 1);
        // One that is encrypted has five parts.
        while is_stop(end) && part(end + 1) > end + 1 {
            end = part(end + 1);
        }
        return Some(end);
    }
    *not_before = first;
    None
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// The credentials behind `Bearer` and `Basic`, if they are no ordinary word.
fn after_scheme(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let word = run(bytes, at, 7, |b| b.is_ascii_alphabetic());
    let scheme = &bytes[at..at + word];
    let is_bearer = scheme.eq_ignore_ascii_case(b"bearer");
    if !is_bearer && !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let blanks = run(bytes, at + word, 8, |b| b == b' ' || b == b'\t');
    let from = at + word + blanks;
    let is_of_it = |b: u8| is_base64url(b) || matches!(b, b'.' | b'~' | b'+' | b'/' | b'=');
    let seen = &bytes[from..from + run(bytes, from, LOOK_BYTES_MAX, is_of_it)];
    let has = |wanted: fn(&u8) -> bool| seen.iter().skip(1).any(wanted);
    let has_digit = seen.iter().any(u8::is_ascii_digit);
    let is_mixed = has_digit || has(u8::is_ascii_uppercase) || seen.ends_with(b"=");
    let is_secret = match is_bearer {
        true => seen.len() >= BEARER_BYTES_MIN || (seen.len() >= 6 && has_digit),
        false => seen.len() >= 8 && is_mixed,
    };
    (blanks > 0 && is_secret).then(|| from..from + run(bytes, from, usize::MAX, is_of_it))
}

/// Private keys, also where newlines are written `\n`. One whose beginning or end was cut off is
/// hidden as far as it goes.
fn private_keys(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    let mut done = 0;
    for at in places(text, "-----")
        .filter(|at| bytes[at + 5..].starts_with(b"BEGIN ") || bytes[at + 5..].starts_with(b"END "))
    {
        let Some(header_end) = header_end(bytes, at + 5).filter(|_| at >= done) else {
            continue;
        };
        let is_end = bytes[at + 5] == b'E';
        let (start, end) = if is_end {
            let is_of_it = |b: u8| b.is_ascii_alphanumeric() || b"+/=\\\r\n".contains(&b);
            (at - run_before(bytes, at, at - done, is_of_it), header_end)
        } else {
            let last = text[header_end..].find("-----END ").map(|end| header_end + end);
            let end = last.map(|last| header_end_or_line(bytes, last + 5));
            (at, end.unwrap_or(text.len()))
        };
        found.push(start..end);
        done = end;
    }
}

/// The end of `BEGIN … PRIVATE KEY…-----`.
fn header_end(bytes: &[u8], at: usize) -> Option<usize> {
    let words = run(bytes, at, 64, |b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b' ');
    let is_private = bytes[at..at + words].windows(11).any(|words| words == b"PRIVATE KEY");
    is_private.then(|| at + words + run(bytes, at + words, 5, |b| b == b'-'))
}

fn header_end_or_line(bytes: &[u8], at: usize) -> usize {
    header_end(bytes, at).unwrap_or_else(|| at + run(bytes, at, 64, |b| b != b'\n'))
}
