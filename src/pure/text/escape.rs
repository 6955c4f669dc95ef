//! Makes text from outside harmless for a terminal and for a log of lines: file names, errors, an
//! agent's words.
//!
//! Must not hide secrets: `redact` does that.

use std::fmt::Write;

/// Shows everything that could move a cursor, forge a line or turn text around as `\u{…}`.
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmful(c) {
            let _ = write!(out, "\\u{{{:x}}}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// The same for a document of JSON, in which controls below U+0020 are escaped already.
pub fn json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        if is_harmful(c) {
            let _ = write!(out, "\\u{:04x}", c as u32);
        } else {
            out.push(c);
        }
    }
    out
}

/// The text as one word of a command that somebody may paste into a shell.
pub fn shell_word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// C0, DEL and C1 controls; zero-width and bidirectional controls.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_shown_and_text_is_not_touched() {
        assert_eq!(line("a\x1b[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\u{a}c\\u{202e}d");
        assert_eq!(line("é – \u{1F600}"), "é – \u{1F600}");
    }

    #[test]
    fn a_document_means_the_same_without_its_controls() {
        let value = serde_json::json!({ "a\x1b": "\u{7f}\u{9b}\u{202e}é\n" });
        let escaped = json(&value.to_string());
        assert_eq!(escaped, r#"{"a\u001b":"\u007f\u009b\u202eé\n"}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).ok(), Some(value));
    }

    #[test]
    fn a_word_for_the_shell_is_one_word() {
        for (text, want) in [
            ("/home/u/.gstack", "/home/u/.gstack"),
            ("/a b", "'/a b'"),
            ("", "''"),
            ("it's", "'it'\\''s'"),
            ("$(id)", "'$(id)'"),
        ] {
            assert_eq!(shell_word(text), want);
        }
    }
}
