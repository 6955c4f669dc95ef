//! The man page, from the rows and the topics: all of the reference in one place.
//!
//! Owns how a page becomes roff (man macros). Must not say anything that help does not say.

use super::help::{INTRODUCTION, PROGRAM, SIGNALS};
use super::row::{CommandRow, Verb};
use super::table::COMMANDS;
use super::topic;
use crate::pure::reference::markup::{Block, Mark, PageEntry, pieces};
use crate::pure::reference::topic::{TOPICS, Topic};

/// When the reference was last gone through as a whole.
const DATE: &str = "2026-11-26";
const LINE_BYTES_MAX: usize = 78;

pub fn page() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(".TH GSTACK\\-DISPATCH\\-DAEMON 1 {DATE} \"{version}\" \"\"\n");
    page += ".SH NAME\n";
    page += "gstack\\-dispatch\\-daemon \\- hands coding dispatches to a headless coding agent\n";
    page += ".SH SYNOPSIS\n";
    page += &format!(
        ".B {0}\n[run] [\\fIOPTIONS\\fR]\n.br\n.B {0}\n\\fICOMMAND\\fR ...\n",
        word(PROGRAM)
    );
    page += ".SH DESCRIPTION\n";
    let about = INTRODUCTION.split("\n\n").nth(2).unwrap_or_default();
    page += &format!("{}\n.PP\n{}\n", lines(about), lines(&SIGNALS.replace('\n', " ")));
    page += ".SH COMMANDS\n";
    page += "Each prints its answer as JSON with \\-\\-json, and its help with \\-\\-help.\n";
    page += &COMMANDS
        .iter()
        .filter(|row| row.verb != Verb::Run)
        .map(|row| command(row))
        .collect::<String>();
    // The two that other programs' pages have under these names come last, as there.
    let is_last = |topic: &&Topic| matches!(topic.name, "files" | "exit-codes");
    for topic in TOPICS.iter().filter(|topic| !is_last(topic)).chain(TOPICS.iter().filter(is_last))
    {
        let name = match topic.name {
            "exit-codes" => "EXIT STATUS".to_string(),
            name => name.to_uppercase(),
        };
        page += &format!(".SH {name}\n");
        page += &roff(&topic::blocks(topic));
    }
    page
}

fn command(row: &CommandRow) -> String {
    let mut text = format!(".SS {}\n{}.\n", word(&row.usage()), lines(&capital(row.help)));
    for paragraph in row.more.split('\n').filter(|paragraph| !paragraph.is_empty()) {
        text += &format!(".PP\n{}\n", lines(paragraph));
    }
    for option in row.options {
        text += &tagged(&format!("\\fB{}\\fR", word(&option.usage())), &lines(option.help));
    }
    if row.takes_settings {
        text += ".PP\nThe daemon's own flags may stand here too.\n";
    }
    if !row.examples.is_empty() {
        text += ".PP\n.nf\n";
        text += &row
            .examples
            .iter()
            .map(|one| format!("{PROGRAM} {one}\n"))
            .map(|one| code(&one))
            .collect::<String>();
        text += ".fi\n";
    }
    text
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().into_iter().flat_map(char::to_uppercase).chain(chars).collect()
}

/// A paragraph macro directly behind a heading would be empty.
fn roff(blocks: &[Block]) -> String {
    let mut text = String::new();
    let mut is_behind_heading = true;
    for block in blocks {
        let paragraph = if is_behind_heading { "" } else { ".PP\n" };
        is_behind_heading = matches!(block, Block::Heading(_));
        text += &match block {
            Block::Heading(heading) => format!(".SS {}\n", line(heading)),
            Block::Paragraph(words) => format!("{paragraph}{}\n", lines(words)),
            Block::Bullet(words) => format!(".IP \\(bu 2\n{}\n", lines(words)),
            Block::Code(lines) => {
                let lines: String = lines.iter().map(|line| code(&format!("{line}\n"))).collect();
                format!("{paragraph}.nf\n{lines}.fi\n")
            }
            Block::Entries(entries) => entries.iter().map(entry).collect(),
        };
    }
    text
}

fn entry(PageEntry { word, said, depth }: &PageEntry) -> String {
    let one = tagged(&line(word), &lines(said));
    if *depth == 0 { one } else { format!(".RS {}\n{one}.RE\n", 2 * depth) }
}

fn tagged(word: &str, said: &str) -> String {
    format!(".TP\n{word}\n{said}\n")
}

/// A line of text with its marks as fonts.
fn line(text: &str) -> String {
    let piece = |(mark, text): (Mark, String)| match mark {
        Mark::Plain => escaped(&text, false),
        Mark::Code => format!("\\fB{}\\fR", word(&text)),
        Mark::Strong => format!("\\fI{}\\fR", escaped(&text, false)),
    };
    let text: String = pieces(text).into_iter().map(piece).collect();
    protected(text.trim())
}

/// The same of a text that may be long: readers of roff want short lines.
fn lines(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in line(text).split(' ') {
        match lines.last_mut() {
            Some(last) if last.is_empty() => last.push_str(word),
            Some(last) if last.len() + 1 + word.len() <= LINE_BYTES_MAX => {
                *last = format!("{last} {word}");
            }
            _ => lines.push(protected(word)),
        }
    }
    lines.join("\n")
}

/// A line that is typed or shown as it stands.
fn code(text: &str) -> String {
    protected(&escaped(text, true))
}

/// Text in which a dash is what is typed.
fn word(text: &str) -> String {
    escaped(text, true)
}

/// What begins with one of these is a request otherwise.
fn protected(text: &str) -> String {
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text.to_string() }
}

/// Old readers know ASCII only.
fn escaped(text: &str, is_typed: bool) -> String {
    let one = |c: char| match c {
        '\\' => "\\e".to_string(),
        '-' if is_typed => "\\-".into(),
        '\u{a0}' => "\\~".into(),
        '…' => "...".into(),
        '–' => "\\(en".into(),
        '−' => "\\-".into(),
        '≤' => "\\(<=".into(),
        '’' => "'".into(),
        '↻' => "(restart)".into(),
        '\'' => "\\(aq".into(),
        '`' => "\\(ga".into(),
        '^' => "\\(ha".into(),
        '~' => "\\(ti".into(),
        c if c.is_ascii() => c.to_string(),
        c => format!("\\[u{:04X}]", c as u32),
    };
    text.chars().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_its_sections_and_all_of_the_reference() {
        let page = page();
        let sections: Vec<&str> =
            page.lines().filter_map(|line| line.strip_prefix(".SH ")).collect();
        for section in ["NAME", "SYNOPSIS", "COMMANDS", "FILES", "EXIT STATUS"] {
            assert!(sections.contains(&section), "{section}");
        }
        assert_eq!(sections.len(), 4 + TOPICS.len());
        for row in COMMANDS.iter().filter(|row| row.verb != Verb::Run) {
            assert!(page.contains(&format!(".SS {}", word(&row.usage()))), "{}", row.name);
        }
    }

    #[test]
    fn it_is_ascii_and_no_text_is_a_request() {
        let page = page();
        assert!(page.is_ascii() && !page.contains("\\[u"), "a character without its roff name");
        let requests =
            [".TH", ".SH", ".SS", ".PP", ".TP", ".IP", ".B ", ".br", ".nf", ".fi", ".RS", ".RE"];
        for line in page.lines().filter(|line| line.starts_with(['.', '\''])) {
            assert!(requests.iter().any(|request| line.starts_with(request)), "{line}");
        }
        assert_eq!(line(".x `a-b` it's \\ c"), "\\&.x \\fBa\\-b\\fR it\\(aqs \\e c");
    }
}
