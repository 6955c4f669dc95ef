//! What fits the eye and the head: files say what they own and stay small, functions are at most 70
//! lines long, comments at most 100 columns wide.

use super::{Source, sources};

/// Lines of a source file without its tests.
const LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const COMMENT_COLUMNS_MAX: usize = 100;

fn untidy(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        if !source.text.starts_with("//!") {
            wrong.push(format!("{} does not say what it owns", source.name));
        }
        let lines = source.code().count();
        if lines > LINES_MAX {
            wrong.push(format!("{} has {lines} lines", source.name));
        }
        if source.says("unsafe ") || source.says("todo!") || source.says("unimplemented!") {
            wrong.push(format!("{} has unsafe or unfinished code", source.name));
        }
    }
    wrong
}

/// The name of the function that begins on this line.
fn function_in(line: &str) -> Option<&str> {
    let words = ["pub", "pub(crate)", "pub(super)", "const", "extern"];
    let mut line = line.trim_start();
    while let Some((word, rest)) = line.split_once(' ') {
        if word == "fn" {
            return rest.split(['(', '<']).next();
        }
        line = words.contains(&word).then_some(rest)?;
    }
    None
}

/// How many lines a function has that begins with the first one. Its body is closed where rustfmt
/// puts the brace: just below the function's first word.
fn length(lines: &[&str]) -> usize {
    let indent: String = lines[0].chars().take_while(|c| c.is_whitespace()).collect();
    let opens = |line: &&str| line.ends_with(['{', '}', ';']);
    let head = lines.iter().position(opens).unwrap_or_default();
    if !lines[head].ends_with('{') {
        return head + 1;
    }
    let closed = lines.iter().position(|line| *line == format!("{indent}}}"));
    closed.map_or(lines.len(), |last| last + 1)
}

fn long_functions(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let lines: Vec<&str> = source.code().map(str::trim_end).collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = function_in(line) else { continue };
            if length(&lines[at..]) > FUNCTION_LINES_MAX {
                wrong.push(format!("{}: {name}", source.name));
            }
        }
    }
    wrong
}

fn wide_comments(sources: &[Source]) -> Vec<String> {
    let mut wrong = Vec::new();
    for source in sources {
        let is_wide = |line: &&str| {
            line.trim_start().starts_with("//") && line.chars().count() > COMMENT_COLUMNS_MAX
        };
        let count = source.text.lines().filter(is_wide).count();
        if count > 0 {
            wrong.push(format!("{}: {count}", source.name));
        }
    }
    wrong
}

#[test]
fn files_say_what_they_own_and_stay_small() {
    assert_eq!(untidy(&sources()), Vec::<String>::new());
}

#[test]
fn functions_are_short() {
    assert_eq!(long_functions(&sources()), Vec::<String>::new());
}

#[test]
fn comments_are_narrow() {
    assert_eq!(wide_comments(&sources()), Vec::<String>::new());
}

#[test]
fn what_is_too_long_or_too_wide_is_found() {
    assert_eq!(untidy(&[Source::new("x.rs", "fn f() {}")]).len(), 1);
    let long = format!("//! x\n{}", "\n".repeat(LINES_MAX));
    assert_eq!(untidy(&[Source::new("x.rs", &long)]).len(), 1);

    let body = |lines: usize| "        g('}');\n".repeat(lines);
    let function = |head: &str, lines| {
        let text = format!("impl X {{\n    {head}{}    }}\n}}\n{}", body(lines), body(70));
        long_functions(&[Source::new("x.rs", &text)])
    };
    let wide_head = "pub(super) const fn f<'a>(\n        x: &'a str,\n    ) -> u8 {\n";
    assert_eq!(function("fn f() {\n", 68), Vec::<String>::new());
    assert_eq!(function("fn f() {\n", 69), ["x.rs: f"]);
    assert_eq!(function(wide_head, 66), Vec::<String>::new());
    assert_eq!(function(wide_head, 67), ["x.rs: f"]);
    let no_body = format!("trait T {{\n    fn f(&self);\n{}    }}\n", body(70));
    assert_eq!(long_functions(&[Source::new("x.rs", &no_body)]), Vec::<String>::new());

    let comment = |columns: usize| {
        wide_comments(&[Source::new("x.rs", &format!("    /// {}\n", "é".repeat(columns - 8)))])
    };
    assert_eq!(comment(100), Vec::<String>::new());
    assert_eq!(comment(101), ["x.rs: 1"]);
}
