//! `config.json` as a whole: from its bytes to settings, and on which line of it a mistake stands.
//!
//! The daemon and every command read the file through here, so that all of them say the same of a
//! mistake. Errors are found in values, where nobody knows lines any more; an error begins with the
//! keys that lead to its place, and they are followed through the text once more.

use super::sources::apply_config;
use super::{Settings, UNKNOWN_SETTING, strict_json};
use crate::pure::text::clip::one_line;
use crate::pure::text::escape::shell_word;
use crate::pure::text::members::{Member, line_of, members};

/// How much of a key an error shows, in characters.
const KEY_CHARS_MAX: usize = 100;
/// How much of an error is shown, in characters: a wrong value may be long.
const ERROR_CHARS_MAX: usize = 500;

/// Applies the bytes of `config.json`. The error names the line, the key, what is wrong with the
/// value, and the key that was probably meant.
pub fn apply_config_file(settings: &mut Settings, bytes: &[u8]) -> Result<(), String> {
    let config = strict_json::parse(bytes)?;
    apply_config(settings, &config).map_err(|e| with_line(bytes, &e))
}

/// The same error with the line of what it names first. `bytes`: the file, which is JSON.
pub fn with_line(bytes: &[u8], error: &str) -> String {
    let line = line(bytes, error).map(|line| format!("line {line}: "));
    one_line(&format!("{}{error}", line.unwrap_or_default()), ERROR_CHARS_MAX)
}

/// The whole error for a mistake in that file, with the way out.
pub fn mistake_in(path: &str, error: &str) -> String {
    format!("{path}: {error}; to mend it: ${{EDITOR:-vi}} {}", shell_word(path))
}

fn line(bytes: &[u8], error: &str) -> Option<usize> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (mut object, mut object_at, mut key_at) = (text, 0, None);
    let mut rest = error;
    while let Some((member, after)) = members(object).and_then(|all| named_first(all, rest)) {
        key_at = Some(object_at + member.key_at);
        (object, object_at) = (member.value, object_at + member.value_at);
        match after.strip_prefix(": ") {
            Some(after) => rest = after,
            None => break,
        }
    }
    key_at.map(|at| line_of(text, at))
}

/// The member whose key the error begins with, and what the error says after it.
fn named_first<'t, 'e>(members: Vec<Member<'t>>, error: &'e str) -> Option<(Member<'t>, &'e str)> {
    let error = error.strip_prefix(UNKNOWN_SETTING).unwrap_or(error);
    let named = members.into_iter().filter_map(|member| {
        let shown = error.strip_prefix(&one_line(&member.key, KEY_CHARS_MAX));
        let after = shown.or_else(|| error.strip_prefix(&member.key))?;
        let is_whole = after.is_empty() || after.starts_with([':', ' ']);
        is_whole.then_some((member, after))
    });
    named.min_by_key(|(_, after)| after.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistake_names_its_line_its_key_its_value_and_what_was_probably_meant() {
        for (text, want) in [
            ("{\"max_turns\": 0}", "line 1: max_turns: must be at least 1, not 0"),
            (
                "{\n\n \"model\": \"m\",\n \"max_concurent\": 3\n}",
                "line 4: unknown setting max_concurent (did you mean max_concurrent?)",
            ),
            ("{\n \"colour\": 3}", "line 2: unknown setting colour"),
            ("{\n \"a b\": 3}", "line 2: unknown setting a b"),
            ("{\n \"settle_seconds\":\n -1\n}", "line 2: settle_seconds: -1 is not a number"),
            (
                "{\"projects\": {\n\"/a\": {},\n\"/a: b\": {\n\"max_turns\": \"many\"}}}",
                "line 4: projects: /a: b: max_turns: \"many\" is not a number",
            ),
            (
                "{\"projects\": {\n\"/a\": {\n\"modell\": \"x\"}}}",
                "line 3: projects: /a: unknown setting modell (did you mean model?)",
            ),
            (
                "{\n\"callback_bearer\": {\n\"x\": \"~/y\"}}",
                "line 3: callback_bearer: x is no origin, such as http://host:8080",
            ),
            ("{\n\"strict\": true,\n\"strict\": false}", "strict stands twice at line 3 column 16"),
            ("{\n\"strict\" true}", "it is not JSON: expected `:` at line 2 column 10"),
            ("[]", "it must hold one JSON object"),
        ] {
            let got = apply_config_file(&mut Settings::default(), text.as_bytes());
            assert_eq!(got, Err(want.to_string()), "{text}");
        }
    }

    #[test]
    fn a_long_or_hostile_mistake_stays_one_short_line() {
        let key = "k\\n\\u001b[2J".repeat(2000);
        let long = "v".repeat(100_000);
        for text in [
            format!("{{\"{key}\": 1}}"),
            format!("{{\n\"max_turns\": \"{long}\"}}"),
            format!("{{\"projects\": {{\"/{long}\": 7}}}}"),
        ] {
            let error = apply_config_file(&mut Settings::default(), text.as_bytes());
            let error = error.expect_err("a mistake");
            assert!(error.starts_with("line ") && error.chars().count() <= 500, "{error}");
            assert!(!error.contains(['\n', '\u{1b}']), "{error}");
        }
    }
}
