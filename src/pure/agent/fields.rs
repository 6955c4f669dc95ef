//! Fields of agents' events, as far as they are kept: names and ids, numbers, session ids.
//!
//! Owns their bounds and their forms. Must not know which event a field stands in: that is each
//! driver's own. A session id may become an argument of a later start, so it has to look like one.

use serde_json::Value;

use super::WORD_BYTES_MAX;
use crate::pure::text::clip::clip;

/// Calls of tools that a reader remembers until their answers come.
pub(super) const CALLS_MAX: usize = 1000;

pub(super) fn word(value: &Value) -> Option<String> {
    value.as_str().map(|text| clip(text, WORD_BYTES_MAX))
}

/// A number without a sign, also one written as `429.0`; 0 where there is none.
pub(super) fn whole(value: &Value) -> u64 {
    let float = || value.as_f64().filter(|float| *float >= 0.0);
    value.as_u64().or_else(|| float().map(|float| float as u64)).unwrap_or_default()
}

pub(super) fn session_id(event: &Value) -> Option<String> {
    let id = event["session_id"].as_str()?;
    let is_plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_id = is_plain && !id.starts_with('-') && (1..=64).contains(&id.len());
    is_id.then(|| id.to_string())
}

/// The program of a Claude Code permission that allows all commands which begin like it, as in
/// `Bash(git:*)`; empty for `Bash`, which allows every command.
pub(super) fn allowed_command(permission: &str) -> Option<&str> {
    match permission.strip_prefix("Bash")? {
        "" => Some(""),
        pattern => pattern.strip_prefix('(')?.strip_suffix(":*)").filter(|begin| !begin.is_empty()),
    }
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

    #[test]
    fn only_a_permission_for_a_beginning_names_a_command() {
        for (permission, wanted) in [
            ("Bash", Some("")),
            ("Bash(git:*)", Some("git")),
            ("Bash(gh pr create:*)", Some("gh pr create")),
            ("Bash(npm test)", None),
            ("Bash(:*)", None),
            ("BashOutput", None),
            ("WebFetch", None),
        ] {
            assert_eq!(allowed_command(permission), wanted, "{permission}");
        }
    }
}
