//! What is read of the page, and of a table: words and columns.

/// The words of a page as they stand one after the other, one element a line. What is drawn has
/// other places each time; only what its parts are called is read.
pub fn words(page: &str) -> String {
    let mut text = String::new();
    let mut inside: Vec<String> = Vec::new();
    for part in page.split('<').skip(1) {
        let (tag, words) = part.split_once('>').expect("the end of a tag");
        let name = tag.split([' ', '\n', '/']).next().unwrap_or_default();
        match tag.strip_prefix('/') {
            // What stands in it may have been left open.
            Some(name) => inside.truncate(inside.iter().rposition(|i| i == name).unwrap_or(0)),
            None if is_alone(tag, name) => {}
            None => inside.push(name.to_string()),
        }
        let has = |name: &str| inside.iter().any(|outer| outer == name);
        let is_seen = !has("script") && !has("style");
        let is_drawn = has("svg") && !has("title");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        if is_seen && !is_drawn && !words.is_empty() {
            text += &words;
            text.push('\n');
        }
    }
    text
}

/// What never has an end of its own.
fn is_alone(tag: &str, name: &str) -> bool {
    let names = ["!doctype", "meta", "link", "br", "input", "hr", "img", "col", "wbr"];
    tag.ends_with('/') || tag.starts_with('!') || names.contains(&name.to_lowercase().as_str())
}

/// Each word of the head stands over the beginning of a cell of every row that reaches so far.
pub fn is_aligned(table: &str) {
    let mut lines = table.lines();
    let head = lines.next().expect("a head");
    let starts = |line: &str, at: usize| {
        let chars: Vec<char> = line.chars().collect();
        let is_blank = |at: usize| chars.get(at).is_none_or(|c| *c == ' ');
        at == 0 || is_blank(at - 1) && (is_blank(at) || is_blank(at - 2)) || chars.len() <= at
    };
    let mut columns = vec![0];
    columns.extend(
        head.match_indices("  ")
            .map(|(at, _)| at + 2)
            .filter(|at| head.as_bytes().get(*at).is_some_and(|byte| *byte != b' ')),
    );
    for line in lines {
        for at in &columns {
            assert!(starts(line, *at), "column {at} of {line:?} is not under {head:?}");
        }
    }
}

#[test]
fn a_page_is_read_without_what_is_drawn() {
    let page = "<!doctype html><style>a {}</style><h1>All\n of it</h1><svg><text>12:00</text>\
                <g><title>cart, completed</title></g></svg><br><ul><li>a &lt; <b>b</b> c</ul>";
    assert_eq!(words(page), "All of it\ncart, completed\na &lt;\nb\nc\n");
}

#[test]
#[should_panic = "column 4"]
fn a_cell_beside_its_column_is_seen() {
    is_aligned("ID  STATE\na   run\nbcd run\nbcde run");
}
