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

/// Does [`line`] to a text of several lines: newlines and tabs stay.
pub fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in text.split_inclusive(['\n', '\t']) {
        let rest = piece.trim_end_matches(['\n', '\t']);
        out.push_str(&line(rest));
        out.push_str(&piece[rest.len()..]);
    }
    out
}

/// The same for a document of JSON, in which controls below U+0020 are escaped already.
pub fn json(document: &str) -> String {
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        if is_harmful(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
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

/// C0, DEL and C1 controls; bidirectional controls; and all that takes no width (Unicode's
/// Default_Ignorable_Code_Point, and the marks of annotations): a model reads what a person does
/// not see.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        )
        || matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}')
        || matches!(c, '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}')
        || matches!(c, '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
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
    fn what_nobody_sees_is_shown() {
        // "rm" in tag characters, which a model reads as if they were letters.
        assert_eq!(line("hi\u{e0072}\u{e006d}"), "hi\\u{e0072}\\u{e006d}");
        for hidden in
            "\u{ad}\u{34f}\u{61c}\u{115f}\u{180e}\u{200b}\u{200d}\u{2060}\u{2064}\u{2066}\u{206a}\
                       \u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{1d173}\u{e0001}\u{e0100}\u{e01ef}"
                .chars()
        {
            assert_eq!(line(&hidden.to_string()), format!("\\u{{{:x}}}", hidden as u32));
        }
    }

    #[test]
    fn a_text_keeps_its_lines() {
        assert_eq!(text("a\tb\n\n\x1bc\r\nd"), "a\tb\n\n\\u{1b}c\\u{d}\nd");
        assert_eq!(text("\u{9b}"), "\\u{9b}");
    }

    #[test]
    fn a_document_means_the_same_without_its_controls() {
        let value = serde_json::json!({ "a\x1b": "\u{7f}\u{9b}\u{202e}é\n\u{e0072}" });
        let escaped = json(&value.to_string());
        assert_eq!(escaped, r#"{"a\u001b":"\u007f\u009b\u202eé\n\udb40\udc72"}"#);
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
