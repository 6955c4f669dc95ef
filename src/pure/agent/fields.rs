//! Fields of agents' events, as far as they are kept: names and ids, numbers, times,
//! session ids, error messages.
//!
//! Owns their bounds and their forms. Must not know which event a field stands in: that is each
//! driver's own. A session id may become an argument of a later start, so it has to look like one.

use serde_json::Value;

use super::WORD_BYTES_MAX;
use crate::pure::report::ERROR_CHARS_MAX;
use crate::pure::text::clip::{clip, one_line};

/// Calls of tools that a reader remembers until their answers come, and as many tasks. Without this
/// bound a stream could fill the daemon's memory.
pub(super) const IDS_MAX: usize = 1000;
/// A larger time is in milliseconds: in seconds it would be after the year 5000.
const EPOCH_SECONDS_MAX: u64 = 100_000_000_000;

pub(super) fn word(value: &Value) -> Option<String> {
    value.as_str().map(|text| clip(text, WORD_BYTES_MAX))
}

/// A number without a sign, also one written as `429.0`.
pub(super) fn number(value: &Value) -> Option<u64> {
    let float = || value.as_f64().filter(|float| *float >= 0.0);
    value.as_u64().or_else(|| float().map(|float| float as u64))
}

/// Like [`number`]; 0 where there is none.
pub(super) fn whole(value: &Value) -> u64 {
    number(value).unwrap_or_default()
}

/// Seconds since 1970, of a time in seconds or in milliseconds.
pub(super) fn epoch_seconds(time: u64) -> u64 {
    if time > EPOCH_SECONDS_MAX { time / 1000 } else { time }
}

/// One line of what the agent said of an error. It may have said nothing.
pub(super) fn error_line(said: &str, agent: &str) -> String {
    match one_line(said, ERROR_CHARS_MAX) {
        line if line.is_empty() => format!("{agent} reported an error without a message"),
        line => line,
    }
}

/// The texts of a tool's answer: one, or several blocks.
pub(super) fn texts(content: &Value) -> Vec<&str> {
    match content {
        Value::String(text) => vec![text],
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn session_id(event: &Value) -> Option<String> {
    let id = event["session_id"].as_str()?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_id = is_plain && !id.starts_with('-') && (1..=64).contains(&id.len());
    is_id.then(|| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_id_that_could_be_an_option_or_a_path_is_none() {
        for (id, wanted) in
            [("0f8b4c1e-0000", true), ("-x", false), ("a/b", false), ("", false), ("a b", false)]
        {
            assert_eq!(session_id(&json!({ "session_id": id })).is_some(), wanted, "{id}");
        }
        assert!(session_id(&json!({"session_id": "a".repeat(65)})).is_none());
    }

    #[test]
    fn numbers_have_no_sign_and_words_an_end() {
        assert_eq!([json!(7), json!(7.0), json!(-1), json!("7")].map(|v| whole(&v)), [7, 7, 0, 0]);
        let long = word(&json!("é".repeat(WORD_BYTES_MAX))).unwrap_or_default();
        assert!(long.len() <= WORD_BYTES_MAX && !long.is_empty());
    }
}
