//! A line that is not quite JSON: what JavaScript writes and serde_json refuses.
//!
//! Owns one repair, tried only on a line that does not parse: lone surrogates, bad UTF-8, raw
//! control characters. Must not invent anything that is not in the line.

use serde_json::Value;

/// The object of a line.
pub fn parse(line: &[u8]) -> Option<Value> {
    let value = match serde_json::from_slice(line) {
        Ok(value) => value,
        Err(_) => serde_json::from_str(&mend(line)).ok()?,
    };
    Some(value).filter(Value::is_object)
}

/// The same text without what serde_json refuses in strings.
fn mend(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut mended = String::with_capacity(rest.len());
    let special = |char: char| char == '\\' || char < ' ';
    while let Some(at) = rest.find(special) {
        mended.push_str(&rest[..at]);
        rest = &rest[at..];
        let (length, replacement) = match (half(rest), rest.get(6..).and_then(half)) {
            (Some(Half::High), Some(Half::Low)) => (12, None),
            (Some(_), _) => (6, Some("\u{fffd}")),
            (None, _) if !rest.starts_with('\\') => (1, Some(" ")),
            (None, _) => (1 + rest[1..].chars().next().map_or(0, char::len_utf8), None),
        };
        mended.push_str(replacement.unwrap_or(&rest[..length]));
        rest = &rest[length..];
    }
    mended.push_str(rest);
    mended
}

enum Half {
    High,
    Low,
}

/// The half of a surrogate pair that a text begins with, if it does.
fn half(text: &str) -> Option<Half> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    match u16::from_str_radix(digits, 16).ok()? {
        0xD800..=0xDBFF => Some(Half::High),
        0xDC00..=0xDFFF => Some(Half::Low),
        _ => None,
    }
}
