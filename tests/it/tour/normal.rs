//! What differs from run to run, and what stands for it in a snapshot. Everything else must be the
//! same to the letter, but for how many blanks stand between two columns of one line.

use serde_json::Value;

use crate::util::*;

/// In a pattern `9` is one digit, `#` one or more, `?` a hexadecimal digit. No letter or digit
/// stands beside what is found, and no colon with a digit. Of several that begin at one place the first in this order counts.
const RULES: [(&str, &str); 18] = [
    ("9999-99-99T99:99:99.999Z", "UTC-TIME"),
    ("9999-99-99 99:99:99 +00:00", "LOCAL-TIME"),
    ("until 9999-99-99 99:99", "until CLOCK"),
    ("until 99:99", "until CLOCK"),
    ("at 9999-99-99 99:99", "at CLOCK"),
    ("at 99:99", "at CLOCK"),
    ("9999-99-99 99:99", "LOCAL-MINUTE"),
    ("????????-????-????-????-????????????", "SESSION"),
    ("pid #", "pid PID"),
    ("#h 99m", "SPAN"),
    ("#m 99s", "SPAN"),
    ("#.#s", "SPAN"),
    ("#s", "SPAN"),
    // What a session says holds paths, which are longer or shorter.
    ("# B of output", "SIZE of output"),
    ("#.# kB of output", "SIZE of output"),
    ("# kB of output", "SIZE of output"),
    ("I read # characters", "I read SOME characters"),
    ("gstack-dispatch-daemon #.#.#", "gstack-dispatch-daemon VERSION"),
];

/// In JSON: times, sizes and digests of what holds paths, pids, the version.
const KEYS: [&str; 7] =
    ["elapsed", "duration", "pid", "output_bytes", "output_length", "version", "sha256"];

/// Texts of this run, such as paths and ids that were drawn, each with what stands for it.
pub type Names = Vec<(String, String)>;

pub fn text(text: &str, names: &Names) -> String {
    let line = |line: &str| one_line(line, names) + "\n";
    text.lines().map(line).collect()
}

pub fn json(value: &mut Value, names: &Names) {
    match value {
        Value::String(text) => *text = replaced(text, names),
        Value::Array(items) => items.iter_mut().for_each(|item| json(item, names)),
        Value::Object(entries) => {
            for (key, value) in entries {
                match KEYS.contains(&key.as_str()) {
                    true => *value = format!("SOME {}", key.to_uppercase()).into(),
                    false => json(value, names),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What a command says on stderr, without what it waits for: whether that was over when it came is
/// a matter of luck.
pub fn told(said: &str, names: &Names) -> String {
    let waits = [": running", ": queued", ": inbox", ": waits "];
    let is_progress = |line: &&str| {
        let rest = line.strip_prefix("gstack-dispatch-daemon: dispatch-");
        rest.is_some_and(|rest| waits.iter().any(|word| rest.contains(word)))
    };
    let lines = said.lines().filter(|line| !is_progress(line));
    lines.map(|line| format!("! {}\n", one_line(line, names))).collect()
}

/// Where a cell is wider or narrower than last time, so is the gap behind it.
fn one_line(line: &str, names: &Names) -> String {
    let line = replaced(line, names);
    let indent = line.len() - line.trim_start().len();
    let (blanks, mut rest) = line.split_at(indent);
    let mut narrow = blanks.to_string();
    while let Some(at) = rest.find("  ") {
        narrow += &rest[..at];
        narrow += "  ";
        rest = rest[at..].trim_start_matches(' ');
    }
    narrow + rest
}

fn replaced(text: &str, names: &Names) -> String {
    let mut text = text.to_string();
    for (from, to) in names {
        text = text.replace(from, to);
    }
    let (mut done, mut at) = (String::new(), 0);
    while at < text.len() {
        let is_at_word = done.chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric());
        let found = RULES.iter().filter(|_| is_at_word);
        let found = found.filter_map(|(pattern, to)| Some((matched(pattern, &text[at..])?, to)));
        match found.into_iter().next() {
            Some((length, to)) => {
                done += to;
                at += length;
            }
            None => {
                let next = text[at..].chars().next().expect("a character");
                done.push(next);
                at += next.len_utf8();
            }
        }
    }
    done
}

/// How many bytes at the beginning of the text are such.
fn matched(pattern: &str, text: &str) -> Option<usize> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    for wanted in pattern.bytes() {
        let found = *bytes.get(at)?;
        at += 1;
        match wanted {
            b'9' | b'#' if !found.is_ascii_digit() => return None,
            b'?' if !found.is_ascii_hexdigit() => return None,
            b'9' | b'?' => {}
            b'#' => at += bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count(),
            _ if wanted != found => return None,
            _ => {}
        }
    }
    let goes_on = match bytes.get(at) {
        Some(b':') => bytes.get(at + 1).is_some_and(u8::is_ascii_digit),
        next => next.is_some_and(u8::is_ascii_alphanumeric),
    };
    (!goes_on).then_some(at)
}

/// The texts of a test's own directory.
pub fn names_of(lab: &Lab) -> Names {
    let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_string();
    vec![(path(&lab.dir), "/tour".into())]
}

#[test]
fn what_differs_is_replaced_and_nothing_else() {
    let names = vec![("/tmp/x-1".to_string(), "/tour".to_string())];
    for (given, want) in [
        ("pid 6213 for 3m 04s, 2 of 2", "pid PID for SPAN, 2 of 2\n"),
        ("a      b\n  c  d", "a  b\n  c  d\n"),
        ("2026-11-26 14:05:02 +00:00 (3s ago)", "LOCAL-TIME (SPAN ago)\n"),
        ("429s1 dispatch-12s 12 turns", "429s1 dispatch-SPAN 12 turns\n"),
        ("at 2026-11-26T14:05:02.123Z in /tmp/x-1/home", "at UTC-TIME in /tour/home\n"),
        ("b1880125-ea64-4eed-98de-72318e7b6327é", "SESSION\u{e9}\n"),
    ] {
        assert_eq!(text(given, &names), want);
    }
    let mut value = serde_json::json!({ "elapsed": 3, "turns": 3, "all": [{ "pid": 1 }, "2s"] });
    json(&mut value, &names);
    let want = serde_json::json!({
        "elapsed": "SOME ELAPSED", "turns": 3, "all": [{ "pid": "SOME PID" }, "SPAN"]
    });
    assert_eq!(value, want);
}
