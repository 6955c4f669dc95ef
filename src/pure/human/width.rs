//! How wide text is on a terminal, and text cut and wrapped by that. Wide characters (East Asian
//! Width W and F of Unicode 16, and emoji) take two columns, marks that sit on others none.
//!
//! Must be given escaped text: controls have no width that anybody could know.

/// Ranges that take two columns.
const WIDE: &[(u32, u32)] = &[
    (0x1100, 0x115f),
    (0x231a, 0x231b),
    (0x2329, 0x232a),
    (0x23e9, 0x23ec),
    (0x23f0, 0x23f0),
    (0x23f3, 0x23f3),
    (0x25fd, 0x25fe),
    (0x2614, 0x2615),
    (0x2630, 0x2637),
    (0x2648, 0x2653),
    (0x267f, 0x267f),
    (0x268a, 0x268f),
    (0x2693, 0x2693),
    (0x26a1, 0x26a1),
    (0x26aa, 0x26ab),
    (0x26bd, 0x26be),
    (0x26c4, 0x26c5),
    (0x26ce, 0x26ce),
    (0x26d4, 0x26d4),
    (0x26ea, 0x26ea),
    (0x26f2, 0x26f3),
    (0x26f5, 0x26f5),
    (0x26fa, 0x26fa),
    (0x26fd, 0x26fd),
    (0x2705, 0x2705),
    (0x270a, 0x270b),
    (0x2728, 0x2728),
    (0x274c, 0x274c),
    (0x274e, 0x274e),
    (0x2753, 0x2755),
    (0x2757, 0x2757),
    (0x2795, 0x2797),
    (0x27b0, 0x27b0),
    (0x27bf, 0x27bf),
    (0x2b1b, 0x2b1c),
    (0x2b50, 0x2b50),
    (0x2b55, 0x2b55),
    (0x2e80, 0x303e),
    (0x3041, 0x3247),
    (0x3250, 0x4dbf),
    (0x4dc0, 0xa4cf),
    (0xa960, 0xa97c),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe10, 0xfe19),
    (0xfe30, 0xfe6b),
    (0xff01, 0xff60),
    (0xffe0, 0xffe6),
    (0x16fe0, 0x18aff),
    (0x1aff0, 0x1b2fb),
    (0x1d300, 0x1d376),
    (0x1f004, 0x1f004),
    (0x1f0cf, 0x1f0cf),
    (0x1f18e, 0x1f18e),
    (0x1f191, 0x1f19a),
    (0x1f1e6, 0x1f265),
    (0x1f300, 0x1f64f),
    (0x1f680, 0x1f6ff),
    (0x1f7e0, 0x1f7f0),
    (0x1f900, 0x1faff),
    (0x20000, 0x3fffd),
];

/// Ranges that take no column: marks that sit on the character before, selectors.
const NONE: &[(u32, u32)] = &[
    (0x300, 0x36f),
    (0x483, 0x489),
    (0x591, 0x5bd),
    (0x610, 0x61a),
    (0x64b, 0x65f),
    (0x6d6, 0x6dc),
    (0x93c, 0x93c),
    (0x94d, 0x94d),
    (0xe31, 0xe31),
    (0xe34, 0xe3a),
    (0xe47, 0xe4e),
    (0x1160, 0x11ff),
    (0x1ab0, 0x1aff),
    (0x1dc0, 0x1dff),
    (0x20d0, 0x20ff),
    (0x302a, 0x302d),
    (0x3099, 0x309a),
    (0xfe00, 0xfe0f),
    (0xfe20, 0xfe2f),
    (0xe0100, 0xe01ef),
];

fn is_in(ranges: &[(u32, u32)], c: u32) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= c);
    after > 0 && c <= ranges[after - 1].1
}

pub fn of_char(c: char) -> usize {
    let c = c as u32;
    match c {
        0..0x300 => 1,
        _ if is_in(NONE, c) => 0,
        _ if is_in(WIDE, c) => 2,
        _ => 1,
    }
}

/// How many columns a text takes.
pub fn of(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.chars().map(of_char).sum() }
}

/// The same for text that has been coloured.
pub fn of_painted(text: &str) -> usize {
    let mut columns = 0;
    let mut rest = text;
    while let Some((plain, painted)) = rest.split_once("\u{1b}[") {
        columns += of(plain);
        rest = painted.split_once('m').map_or("", |(_, rest)| rest);
    }
    columns + of(rest)
}

/// The text within so many columns; what was cut ends with `…`.
pub fn cut(text: &str, columns: usize) -> String {
    if of(text) <= columns {
        return text.to_string();
    }
    let Some(room) = columns.checked_sub(1) else { return String::new() };
    let (head, _) = split(text, room);
    format!("{head}…")
}

/// The beginning of the text that fits into so many columns, and the rest.
fn split(text: &str, columns: usize) -> (&str, &str) {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += of_char(c);
        if used > columns {
            return text.split_at(at);
        }
    }
    (text, "")
}

/// Fills up with blanks.
pub fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(of(text));
    format!("{text}{}", " ".repeat(missing))
}

/// Lines of at most so many columns, broken between words where that goes. There is at least one.
/// Blanks at the beginning stay there.
pub fn wrap(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let words = text.trim_start_matches(' ');
    let mut lines = Vec::new();
    let mut line = " ".repeat((text.len() - words.len()).min(columns - 2));
    let mut is_empty = true;
    for mut word in words.split(' ') {
        if !is_empty && of(&line) + 1 + of(word) > columns {
            lines.push(std::mem::take(&mut line));
        } else if !is_empty {
            line.push(' ');
        }
        while of(&line) + of(word) > columns {
            let (head, rest) = split(word, columns - of(&line));
            line.push_str(head);
            lines.push(std::mem::take(&mut line));
            word = rest;
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_can_be_searched() {
        for ranges in [WIDE, NONE] {
            assert!(ranges.iter().all(|(first, last)| first <= last));
            assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }

    #[test]
    fn wide_characters_count_two_and_marks_none() {
        for (text, want) in [
            ("", 0),
            ("abc…", 4),
            ("日本語", 6),
            ("é", 1),
            ("e\u{301}", 1),
            ("한글", 4),
            ("🦀x", 3),
        ] {
            assert_eq!(of(text), want, "{text}");
        }
    }

    #[test]
    fn colours_take_no_room() {
        assert_eq!(of_painted("\u{1b}[31m日本\u{1b}[0m x"), 6);
    }

    #[test]
    fn what_is_cut_fits() {
        for (text, columns, want) in [
            ("abc", 3, "abc"),
            ("abcd", 3, "ab…"),
            ("日本語", 6, "日本語"),
            ("日本語", 5, "日本…"),
            ("日本語", 4, "日…"),
            ("日本語", 2, "…"),
            ("ab", 1, "…"),
            ("ab", 0, ""),
        ] {
            assert_eq!(cut(text, columns), want);
            assert!(of(&cut(text, columns)) <= columns);
        }
    }

    #[test]
    fn words_are_kept_whole_where_that_goes() {
        for (text, columns, want) in [
            ("", 5, &[""][..]),
            ("ab cd ef", 5, &["ab cd", "ef"]),
            ("abcdefgh", 3, &["abc", "def", "gh"]),
            ("a bcdefgh", 3, &["a", "bcd", "efg", "h"]),
            ("日本 語", 4, &["日本", "語"]),
            ("  a b c", 5, &["  a b", "c"]),
            ("a  b", 5, &["a  b"]),
            ("日本語", 1, &["日", "本", "語"]),
        ] {
            assert_eq!(wrap(text, columns), want, "{text}");
        }
    }
}
