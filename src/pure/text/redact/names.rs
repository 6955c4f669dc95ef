//! Secrets that are known by the name in front of them: `api_key=…`, `"token": "…"` (escaped as
//! often as it may be), `Private-Token: …`, `?access_token=…&`, `--password …`, and the credentials
//! of an `Authorization`.
//!
//! A name counts by how it ends, whatever is put between its words. The id of a dispatch is no
//! name, and neither is a path: `…/.clawvisor-token: Permission denied` says nothing secret.

use std::ops::Range;

use super::{MARK, places, run, run_before};

/// How much of a name is looked at, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// How many blanks may stand between a name, its sign and its value.
const BLANKS_MAX: usize = 16;

const NAMES: [&str; 10] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "accountkey",
    "credential",
];
const AUTHORIZATION: &str = "authorization";
/// What may stand for no value at all.
const NOTHING: [&str; 6] = ["null", "none", "nil", "true", "false", "undefined"];
const SCHEMES: [&str; 9] =
    ["bearer", "basic", "token", "digest", "apikey", "key", "negotiate", "hawk", "oauth"];

/// Whether the value of a key of that name is a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let backwards = name.bytes().rev().filter(u8::is_ascii_alphanumeric);
    let backwards = backwards.map(|byte| byte.to_ascii_lowercase());
    NAMES.iter().any(|known| {
        let mut backwards = backwards.clone();
        known.bytes().rev().all(|byte| backwards.next() == Some(byte))
    })
}

pub(super) fn find(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    // Nothing need be found in what is hidden already.
    let mut hidden_to = 0;
    for at in (0..bytes.len()).filter(|at| matches!(bytes[*at], b'=' | b':')) {
        if at < hidden_to || at > 0 && matches!(bytes[at - 1], b'=' | b':') {
            continue;
        }
        let name = name_before(text, at);
        let secret = if is_authorization(name) {
            credentials(bytes, at)
        } else if is_secret(name) && !is_no_name(text, name, at) {
            value(text, at)
        } else {
            None
        };
        hidden_to = secret.as_ref().map_or(hidden_to, |secret| secret.end);
        found.extend(secret);
    }
    options(text, found);
}

fn is_authorization(name: &str) -> bool {
    let start = name.len().checked_sub(AUTHORIZATION.len());
    let end = start.and_then(|start| name.as_bytes().get(start..));
    end.is_some_and(|end| end.eq_ignore_ascii_case(AUTHORIZATION.as_bytes()))
}

/// The name that a sign at this place gives a value to; empty if there is none.
fn name_before(text: &str, at: usize) -> &str {
    let bytes = text.as_bytes();
    let mut end = at - run_before(bytes, at, BLANKS_MAX, |b| b == b' ' || b == b'\t');
    end -= run_before(bytes, end, 1, is_quote);
    end -= run_before(bytes, end, BLANKS_MAX, |b| b == b'\\');
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_-. ".contains(&b);
    &text[end - run_before(bytes, end, NAME_BYTES_MAX, is_name)..end]
}

/// Whether it is a dispatch's id, a path that an error is about, a shell's directory, or a part of
/// a longer path in some language (`token::Kind`).
fn is_no_name(text: &str, name: &str, at: usize) -> bool {
    let word = name.rsplit(' ').next().unwrap_or_default();
    let start = text[..at].rfind(word).unwrap_or(at);
    let bytes = text.as_bytes();
    let sign = &text[at..];
    let is_file = sign.starts_with(": ") && start > 0 && bytes[start - 1] == b'/';
    let is_directory = matches!(word, "PWD" | "OLDPWD") && sign.starts_with("=/");
    word.starts_with("dispatch-") || is_file || is_directory || sign.starts_with("::")
}

/// The value behind the sign at this place.
fn value(text: &str, at: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut from = at + run(bytes, at, 3, |b| b"=:>".contains(&b));
    from += run(bytes, from, BLANKS_MAX, |b| b == b' ' || b == b'\t');
    let escapes = run(bytes, from, BLANKS_MAX, |b| b == b'\\');
    let rest = text.get(from..)?;
    if rest.starts_with(MARK) || rest.starts_with("//") || rest.starts_with('{') {
        return None;
    }
    let end = match bytes.get(from + escapes) {
        Some(&quote) if is_quote(quote) => {
            from += escapes + 1;
            from + quoted(&bytes[from..], quote, escapes)
        }
        Some(b'[') if escapes == 0 => from + run(bytes, from, usize::MAX, |b| !b"]\n".contains(&b)),
        _ => from + unquoted(&bytes[from..]),
    };
    let value = text.get(from..end)?;
    let word = value.trim_end_matches([',', ';', '.', ')', ']', '}']).to_ascii_lowercase();
    let says_something = !word.is_empty() && !NOTHING.contains(&word.as_str());
    (says_something && value != MARK).then_some(from..end)
}

/// The length of a text up to the quote that ends it: one with as many backslashes as it began
/// with. If it was cut off, it goes to the end.
fn quoted(bytes: &[u8], quote: u8, escapes: usize) -> usize {
    let mut backslashes = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if byte == quote && backslashes <= escapes {
            return at - backslashes;
        }
        backslashes = if byte == b'\\' { backslashes + 1 } else { 0 };
    }
    bytes.len()
}

fn unquoted(bytes: &[u8]) -> usize {
    let is_of_it = |b: u8| !b.is_ascii_whitespace() && !is_quote(b) && b != b'&';
    let length = run(bytes, 0, usize::MAX, is_of_it);
    length - run_before(bytes, length, BLANKS_MAX, |b| b == b'\\')
}

/// What follows the scheme of an `Authorization`, or a long word in its place.
fn credentials(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let mut from = at + 1 + run(bytes, at + 1, BLANKS_MAX, |b| b == b' ');
    from += run(bytes, from, BLANKS_MAX, |b| b == b'\\');
    from += run(bytes, from, 1, is_quote);
    let word = run(bytes, from, NAME_BYTES_MAX, |b| b.is_ascii_alphanumeric() || b == b'-');
    let scheme = bytes[from..from + word].to_ascii_lowercase();
    if SCHEMES.iter().any(|known| known.as_bytes() == scheme) || scheme.starts_with(b"aws4-") {
        from += word;
        from += run(bytes, from, BLANKS_MAX, |b| b == b' ');
    } else if word < 16 {
        return None;
    }
    let length = unquoted(&bytes[from..]);
    let is_mark = bytes[from..].starts_with(MARK.as_bytes());
    (length > 0 && !is_mark).then_some(from..from + length)
}

/// Options whose value is a word of its own: `--password …`.
fn options(text: &str, found: &mut Vec<Range<usize>>) {
    let bytes = text.as_bytes();
    for at in places(text, "--") {
        let from = at + 2;
        let length = run(bytes, from, NAME_BYTES_MAX, |b| {
            b.is_ascii_alphanumeric() || b == b'-' || b == b'_'
        });
        let end = from + length;
        if !is_secret(&text[from..end]) || bytes.get(end) != Some(&b' ') {
            continue;
        }
        let is_option = bytes.get(end + 1).is_none_or(|b| *b == b'-' || b.is_ascii_whitespace());
        found.extend(value(text, end).filter(|_| !is_option));
    }
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}
