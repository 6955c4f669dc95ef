//! Text from outside, made inert for a page.
//!
//! Owns the escaping: everything that has a meaning in HTML, in text or in a quoted attribute, and
//! everything that could turn text around or hide it.

use crate::pure::text::escape;

pub(super) type Html = String;

/// Appends a text of one line or several.
pub(super) fn text(page: &mut Html, said: &str) {
    said.chars().for_each(|c| put(page, c));
}

/// Appends as much of a text as gives at most so many bytes of the page.
pub(super) fn clipped(page: &mut Html, said: &str, bytes_max: usize) {
    let begin = page.len();
    for c in said.chars() {
        let before = page.len();
        put(page, c);
        if page.len() - begin > bytes_max {
            page.truncate(before);
            page.push('…');
            return;
        }
    }
}

fn put(page: &mut Html, c: char) {
    match c {
        '&' => page.push_str("&amp;"),
        '<' => page.push_str("&lt;"),
        '>' => page.push_str("&gt;"),
        '"' => page.push_str("&quot;"),
        '\'' => page.push_str("&#39;"),
        ' '..='~' | '\n' | '\t' => page.push(c),
        c => page.push_str(&escape::text(c.encode_utf8(&mut [0; 4]))),
    }
}

/// Whether it is the address of a web page, so that a link to it does nothing else.
pub(super) fn is_web_address(address: &str) -> bool {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    let is_plain =
        |c: char| c.is_ascii_graphic() && !matches!(c, '"' | '\'' | '<' | '>' | '\\' | '`');
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['))
        && address.chars().all(is_plain)
}
