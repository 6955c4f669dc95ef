//! JSON text whose texts are redacted one by one, so that it stays JSON. What is no text is left
//! byte for byte: numbers keep their digits, and keys their order.

use std::borrow::Cow;

use super::{MARK, names};

/// What the next text is, as far as it matters here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Any,
    /// The value of a key whose name says that it is a secret.
    Secret,
    /// So are all texts in this list, which is so many lists deep.
    Secrets(usize),
}

pub(super) fn redact(text: &str, shown: impl Fn(&str) -> String) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let (mut at, mut copied, mut next) = (0, 0, Next::Any);
    while at < bytes.len() {
        if bytes[at] != b'"' {
            next = after(bytes[at], next);
            at += 1;
            continue;
        }
        let end = at + literal(&bytes[at..]);
        let said = said(&text[at..end]);
        let is_key = bytes[end..].iter().find(|b| !b.is_ascii_whitespace()) == Some(&b':');
        let hidden = match next {
            Next::Secret | Next::Secrets(_) if !is_key && !said.is_empty() => MARK.to_string(),
            _ => shown(&said),
        };
        if hidden != said {
            out += &text[copied..at];
            out += &serde_json::Value::from(hidden).to_string();
            copied = end;
        }
        next = match next {
            Next::Secrets(depth) => Next::Secrets(depth),
            _ if is_key && names::is_secret(&said) => Next::Secret,
            _ => Next::Any,
        };
        at = end;
    }
    out + &text[copied..]
}

/// What a text with its quotes says.
fn said(literal: &str) -> Cow<'_, str> {
    let bare = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match bare.filter(|bare| !bare.contains('\\')) {
        Some(bare) => bare.into(),
        None => serde_json::from_str::<String>(literal).unwrap_or_default().into(),
    }
}

fn after(byte: u8, next: Next) -> Next {
    match (next, byte) {
        (Next::Secret, b'[') => Next::Secrets(1),
        (Next::Secrets(depth), b'[') => Next::Secrets(depth + 1),
        (Next::Secrets(1), b']') => Next::Any,
        (Next::Secrets(depth), b']') => Next::Secrets(depth - 1),
        (Next::Secret, b':' | b' ' | b'\n' | b'\t' | b'\r') => Next::Secret,
        (Next::Secrets(depth), _) => Next::Secrets(depth),
        (Next::Secret | Next::Any, _) => Next::Any,
    }
}

/// The length of a text with its quotes; to the end, if it does not end.
fn literal(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}
