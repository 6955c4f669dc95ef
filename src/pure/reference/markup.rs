//! Reads the texts of the topics: the little of Markdown that they use, so that they can be read
//! where they lie, too.
//!
//! Headings (`## `), paragraphs, bullets (`- `), fenced code, tables (the first cell of a row is
//! what the others say something about), and lines `<!-- name -->`, which stand for a table that
//! comes from the code. In a line: `` `code` ``, `**strong**`, `*emphasis*`, links.

/// A part of a page.
#[derive(Clone, Debug, PartialEq)]
pub enum Block {
    Heading(String),
    Paragraph(String),
    Bullet(String),
    Code(Vec<String>),
    Entries(Vec<PageEntry>),
}

/// A word with what is said about it.
#[derive(Clone, Debug, PartialEq)]
pub struct PageEntry {
    pub word: String,
    pub said: String,
    /// 1: it belongs to the one before it that has 0.
    pub depth: usize,
}

impl PageEntry {
    pub fn new(word: impl Into<String>, said: impl Into<String>) -> PageEntry {
        PageEntry { word: word.into(), said: said.into(), depth: 0 }
    }
}

/// `table` gives what a line `<!-- name -->` stands for.
pub fn blocks(text: &str, table: &dyn Fn(&str) -> Vec<PageEntry>) -> Vec<Block> {
    let (mut blocks, mut lines) = (Vec::new(), text.lines().peekable());
    while let Some(line) = lines.next() {
        if let Some(heading) = line.strip_prefix("## ") {
            blocks.push(Block::Heading(heading.into()));
        } else if let Some(name) = comment(line) {
            blocks.push(Block::Entries(table(name)));
        } else if line.starts_with("```") {
            let code = lines.by_ref().take_while(|line| !line.starts_with("```"));
            blocks.push(Block::Code(code.map(String::from).collect()));
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            blocks.push(Block::Entries(entries(&rows)));
        } else if !line.trim().is_empty() {
            let (mut text, is_bullet) = match line.strip_prefix("- ") {
                Some(rest) => (rest.to_string(), true),
                None => (line.to_string(), false),
            };
            while let Some(more) = lines.next_if(|line| is_continued(line)) {
                text = format!("{text} {}", more.trim());
            }
            blocks.push(if is_bullet { Block::Bullet(text) } else { Block::Paragraph(text) });
        }
    }
    blocks
}

fn comment(line: &str) -> Option<&str> {
    line.strip_prefix("<!-- ")?.strip_suffix(" -->")
}

fn is_continued(line: &str) -> bool {
    let begins = ["## ", "- ", "|", "```", "<!--"];
    !line.trim().is_empty() && !begins.iter().any(|begin| line.starts_with(begin))
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split(" | ").map(|cell| cell.trim_matches([' ', '|'])).collect()
}

/// The header and the line below it are not rows. A cell behind the second has its header's word
/// in front.
fn entries(rows: &[Vec<&str>]) -> Vec<PageEntry> {
    let Some((header, rows)) = rows.split_first() else { return Vec::new() };
    let said = |row: &[&str]| {
        let named = row.iter().enumerate().skip(1).filter(|(_, cell)| !cell.is_empty());
        let named = named.map(|(at, cell)| match header.get(at) {
            Some(name) if at > 1 && !name.is_empty() => format!("{name}: {cell}"),
            Some(_) | None => cell.to_string(),
        });
        named.collect::<Vec<_>>().join("; ")
    };
    rows.iter().skip(1).map(|row| PageEntry::new(row[0], said(row))).collect()
}

/// How a piece of a line is set off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Plain,
    Code,
    Strong,
}

/// The pieces of a line, without their marks. A link keeps its words, and where it leads if that
/// is elsewhere.
pub fn pieces(line: &str) -> Vec<(Mark, String)> {
    let mut pieces: Vec<(Mark, String)> = Vec::new();
    let (mut is_strong, mut rest) = (false, line);
    while !rest.is_empty() {
        let mark = if is_strong { Mark::Strong } else { Mark::Plain };
        if let Some((code, after)) = code(rest) {
            pieces.push((Mark::Code, code.into()));
            rest = after;
        } else if let Some((words, after)) = link(rest) {
            pieces.extend(self::pieces(&words));
            rest = after;
        } else if let Some(after) = rest.strip_prefix("**") {
            is_strong = !is_strong;
            rest = after;
        } else if let Some(after) = rest.strip_prefix("\\*") {
            pieces.push((mark, "*".into()));
            rest = after;
        } else {
            let mut chars = rest.chars();
            // A star alone is emphasis, for which there is no mark.
            pieces.extend(chars.next().filter(|c| *c != '*').map(|c| (mark, c.to_string())));
            rest = chars.as_str();
        }
    }
    joined(pieces)
}

fn joined(pieces: Vec<(Mark, String)>) -> Vec<(Mark, String)> {
    let mut joined: Vec<(Mark, String)> = Vec::new();
    for (mark, text) in pieces {
        match joined.last_mut() {
            Some((last, line)) if *last == mark => line.push_str(&text),
            _ => joined.push((mark, text)),
        }
    }
    joined
}

/// What stands between backticks, of which there may be two.
fn code(text: &str) -> Option<(&str, &str)> {
    let fence = if text.starts_with("``") { "`` " } else { "`" };
    let (code, after) =
        text.strip_prefix(fence)?.split_once(&*fence.chars().rev().collect::<String>())?;
    Some((code, after))
}

fn link(text: &str) -> Option<(String, &str)> {
    let (words, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (target, after) = rest.split_once(')')?;
    if words.contains(['[', ']']) {
        return None;
    }
    let words = match target.starts_with("http") {
        true => format!("{words} ({target})"),
        false => words.to_string(),
    };
    Some((words, after))
}

/// A line without its marks.
pub fn plain(line: &str) -> String {
    pieces(line).into_iter().map(|(_, text)| text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_is_understood() {
        let text = "one `a*b`\ntwo\n\n## Head\n- a\n  b\n- c\n\n```sh\n| x\n```\n| w | |\n|---|---|\n\
                    | `a` | b | \n<!-- fields -->\n";
        let table = |name: &str| vec![PageEntry::new(name, "x")];
        assert_eq!(
            blocks(text, &table),
            [
                Block::Paragraph("one `a*b` two".into()),
                Block::Heading("Head".into()),
                Block::Bullet("a b".into()),
                Block::Bullet("c".into()),
                Block::Code(vec!["| x".into()]),
                Block::Entries(vec![PageEntry::new("`a`", "b")]),
                Block::Entries(vec![PageEntry::new("fields", "x")]),
            ]
        );
    }

    #[test]
    fn a_third_cell_has_the_word_of_its_column() {
        let rows = ["| a | when | retry |", "|---|---|---|", "| x | 429 | once |", "| y | – | |"];
        let rows: Vec<_> = rows.iter().map(|row| cells(row)).collect();
        assert_eq!(
            entries(&rows),
            [PageEntry::new("x", "429; retry: once"), PageEntry::new("y", "–")]
        );
    }

    #[test]
    fn a_line_loses_its_marks_and_nothing_else() {
        for (line, want) in [
            ("a **b `c*`** *d* \\* [e](#f)", "a b c* d * e"),
            ("[Hooks](https://h.example) `x[y](z)`", "Hooks (https://h.example) x[y](z)"),
            ("`` `code` `` a[0] b", "`code` a[0] b"),
            ("| – [x", "| – [x"),
        ] {
            assert_eq!(plain(line), want);
        }
        let marked = pieces("a **b** `c`");
        let marks: Vec<Mark> = marks_of(&marked);
        assert_eq!(marks, [Mark::Plain, Mark::Strong, Mark::Plain, Mark::Code]);
    }

    fn marks_of(pieces: &[(Mark, String)]) -> Vec<Mark> {
        pieces.iter().map(|(mark, _)| *mark).collect()
    }
}
