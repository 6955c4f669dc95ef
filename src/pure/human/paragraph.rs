//! Text that is laid out for reading: paragraphs of at most 80 columns, and words with what is said
//! about them beside.

use super::width;

/// How wide help is, whatever the terminal.
pub const COLUMNS: usize = 80;

/// Lines of at most 80 columns, the first indented by `first`, the others by `others`. A
/// no-break space becomes a blank, and no line is broken there.
pub fn wrapped(text: &str, first: usize, others: usize) -> String {
    let mut out = String::new();
    for (at, line) in width::wrap(text, COLUMNS - first.max(others)).iter().enumerate() {
        let indent = if at == 0 { first } else { others };
        out += &format!("{}{}\n", " ".repeat(indent), line.replace('\u{a0}', " "));
    }
    out
}

/// A word, indented by `indent`, with what is said about it, which begins in `column`. A long word
/// has a line of its own.
pub fn entry(word: &str, said: &str, indent: usize, column: usize) -> String {
    let word = format!("{}{word}", " ".repeat(indent));
    let said = wrapped(said, column, column);
    if width::of(&word) + 2 > column {
        return wrapped(&word, 0, indent + 2) + &said;
    }
    format!("{}{}", width::pad(&word, column), said.trim_start_matches(' '))
}
