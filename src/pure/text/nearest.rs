//! Finds the name that somebody probably meant who wrote one that nobody knows.
//!
//! This only ever helps a person to see a typo: nothing may be decided by it. No hint is better
//! than a wrong one, so it would rather say nothing than guess wildly.

/// A longer word is no typo of anything, and would cost time.
const WORD_CHARS_MAX: usize = 64;
/// A part of a name that is shorter than this stands in too many names.
const PART_CHARS_MIN: usize = 3;

/// The one of `known` that `word` is probably a misspelling of, or a part of (`ttl` of
/// `ttl_seconds`). Letter case makes no difference, nor does `-` for `_`.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    if word.is_empty() || word.len() > WORD_CHARS_MAX {
        return None;
    }
    let ranked = known.into_iter().filter_map(|name| Some((rank(&word, &plain(name))?, name)));
    ranked.min_by_key(|(rank, _)| *rank).map(|(_, name)| name)
}

/// How far `word` is from `name`, the smaller the nearer: how many letters are misspelled, or, if
/// it is a part of the name, how much is left over.
fn rank(word: &[char], name: &[char]) -> Option<(usize, usize)> {
    let distance = distance(word, name);
    if distance <= (word.len().max(name.len()) / 3).max(1) {
        return Some((0, distance));
    }
    let is_part = word.len() >= PART_CHARS_MIN && has_part(name, word);
    is_part.then_some((1, name.len()))
}

fn plain(text: &str) -> Vec<char> {
    let same = |c: char| if c == '-' { '_' } else { c.to_ascii_lowercase() };
    text.chars().take(WORD_CHARS_MAX + 1).map(same).collect()
}

/// Whether `part` stands in `name` between underscores, or at its ends.
fn has_part(name: &[char], part: &[char]) -> bool {
    let is_edge = |at: Option<&char>| at.is_none_or(|c| *c == '_');
    name.windows(part.len()).enumerate().any(|(start, window)| {
        let before = start.checked_sub(1).and_then(|at| name.get(at));
        window == part && is_edge(before) && is_edge(name.get(start + part.len()))
    })
}

/// How many letters must be inserted, removed, replaced, or swapped with their neighbour (optimal
/// string alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut cost = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(before[j - 2] + 1);
            }
            row.push(cost);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 8] = [
        "id",
        "task",
        "project",
        "project_dir",
        "callback_url",
        "clawvisor_task_id",
        "allow_tools",
        "ttl_seconds",
    ];

    #[test]
    fn a_typo_is_recognised_and_a_wild_guess_is_not_made() {
        for (word, want) in [
            ("allow_tool", Some("allow_tools")),
            ("allow-tools", Some("allow_tools")),
            ("ALLOW_TOOLS", Some("allow_tools")),
            ("ttl", Some("ttl_seconds")),
            ("ttl_secs", Some("ttl_seconds")),
            ("ttl_sceonds", Some("ttl_seconds")),
            ("taks", Some("task")),
            ("projet", Some("project")),
            ("projectdir", Some("project_dir")),
            ("dir", Some("project_dir")),
            ("url", Some("callback_url")),
            ("callbackUrl", Some("callback_url")),
            ("ID", Some("id")),
            ("priority", None),
            ("model", None),
            ("x", None),
            ("", None),
            ("é", None),
        ] {
            assert_eq!(nearest(word, KNOWN), want, "{word}");
        }
        assert_eq!(nearest(&"task".repeat(100_000), KNOWN), None);
        assert_eq!(nearest("task", []), None);
    }

    #[test]
    fn of_two_the_nearer_is_named_and_of_two_alike_the_first() {
        assert_eq!(nearest("abcd", ["abxx", "abcx", "abcy"]), Some("abcx"));
        assert_eq!(nearest("max", ["max_turns_in_all", "max_turns"]), Some("max_turns"));
    }

    #[test]
    fn letters_are_counted() {
        let between = |a: &str, b: &str| distance(&plain(a), &plain(b));
        for (a, b, want) in [
            ("", "", 0),
            ("", "ab", 2),
            ("abc", "abc", 0),
            ("abc", "acb", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!((between(a, b), between(b, a)), (want, want), "{a} {b}");
        }
    }
}
