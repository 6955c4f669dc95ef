//! Texts of others, cut to what is kept or shown of them.
//!
//! Owns the two ways to cut: by bytes, for what is kept in memory, and by characters on one line,
//! for what people read. Must not decide how much is kept: whoever keeps it does.

/// At most `bytes_max` bytes of a text, cut between two characters.
pub fn clip(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_string()
}

/// A text for one line of a report: no line breaks, control characters or terminal colours, at most
/// `chars_max`.
pub fn one_line(text: &str, chars_max: usize) -> String {
    let mut line = String::new();
    let mut length = 0;
    let mut gap = false;
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        if char == '\u{1b}' && chars.next_if_eq(&'[').is_some() {
            while chars.next().is_some_and(|char| !char.is_ascii_alphabetic()) {}
        } else if char.is_whitespace() || char.is_control() {
            gap = length > 0;
        } else {
            let wanted = 1 + usize::from(gap);
            if length + wanted > chars_max {
                line.pop();
                line.push('…');
                break;
            }
            if gap {
                line.push(' ');
            }
            line.push(char);
            length += wanted;
            gap = false;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clip_keeps_whole_characters() {
        for (text, max, kept) in
            [("abc", 9, "abc"), ("aéb", 2, "a"), ("aéb", 3, "aé"), ("é", 0, "")]
        {
            assert_eq!(clip(text, max), kept);
        }
    }

    #[test]
    fn one_line_is_one_bounded_line() {
        for (text, max, line) in [
            ("  a\r\n\tb\0 c\n", 99, "a b c"),
            ("\u{1b}[31merror:\u{1b}[0m no", 99, "error: no"),
            ("abcdef", 6, "abcdef"),
            ("abcdef", 5, "abcd…"),
            ("ab cd", 4, "ab …"),
            ("éééé", 3, "éé…"),
            ("", 3, ""),
        ] {
            assert_eq!(one_line(text, max), line, "{text:?}");
            assert!(one_line(text, max).chars().count() <= max);
        }
    }
}
