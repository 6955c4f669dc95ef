//! A page of the reference as text of 80 columns.

use super::markup::{Block, PageEntry, plain};
use crate::pure::human::paragraph::{COLUMNS, entry, wrapped};
use crate::pure::human::width;

/// Where what is said about a word begins.
const SAID_COLUMN: usize = 28;
const CODE_INDENT: usize = 4;

/// The blocks, one after the other.
pub fn text(blocks: &[Block]) -> String {
    let mut text = String::new();
    let mut was_bullet = false;
    for block in blocks {
        let is_bullet = matches!(block, Block::Bullet(_));
        let is_close = text.is_empty() || (is_bullet && was_bullet);
        if !is_close {
            text += "\n";
        }
        was_bullet = is_bullet;
        text += &match block {
            Block::Heading(heading) => format!("{}\n", plain(heading)),
            Block::Paragraph(line) => wrapped(&plain(line), 2, 2),
            Block::Bullet(line) => wrapped(&format!("- {}", plain(line)), 2, 4),
            Block::Code(lines) => lines.iter().map(|line| code(line)).collect(),
            Block::Entries(entries) => entries.iter().map(one).collect(),
        };
    }
    text
}

fn one(PageEntry { word, said, depth }: &PageEntry) -> String {
    entry(&plain(word), &plain(said), 2 + 2 * depth, SAID_COLUMN)
}

/// What is too wide is broken, and goes on further to the right.
fn code(line: &str) -> String {
    if width::of(line) + CODE_INDENT <= COLUMNS {
        return format!("{}{line}\n", " ".repeat(CODE_INDENT));
    }
    wrapped(line, CODE_INDENT, 2 * CODE_INDENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_laid_out() {
        let entries = vec![
            PageEntry::new("`id`", "what it is"),
            PageEntry { depth: 1, ..PageEntry::new("inner", "more") },
            PageEntry::new("a-word-that-is-longer-than-its-column", "said"),
        ];
        let blocks = [
            Block::Heading("Head".into()),
            Block::Paragraph(format!("**x**{}", " word".repeat(20))),
            Block::Bullet("one".into()),
            Block::Bullet("two".into()),
            Block::Code(vec!["a  b".into()]),
            Block::Entries(entries),
        ];
        let words = |count: usize| "word ".repeat(count).trim_end().to_string();
        let want = format!(
            "Head\n\n  x {}\n  {}\n\n  - one\n  - two\n\n    a  b\n\n  id{}what it is\n    \
             inner{}more\n  a-word-that-is-longer-than-its-column\n{}said\n",
            words(15),
            words(5),
            " ".repeat(24),
            " ".repeat(19),
            " ".repeat(28)
        );
        assert_eq!(text(&blocks), want);
    }
}
