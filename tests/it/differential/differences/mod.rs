//! Every difference between the seed and ours that is meant: by its row of the README's table, with
//! the cases that show it and the facts in which they differ. What is found and stands here nowhere
//! is a bug, in the daemon or in the README.
//!
//! Strict both ways: an entry of which a case or a fact is never seen fails too. In a pattern `*`
//! stands for any text.

mod daemon;
mod files;
mod sessions;

use std::collections::{BTreeMap, BTreeSet};

use super::side::Facts;

/// `(fact, seed, ours)`
type Shown = (&'static str, &'static str, &'static str);

/// Several entries may explain one row of the README.
pub struct Difference {
    /// The first column of the README's row.
    pub key: &'static str,
    pub seed: &'static str,
    pub ours: &'static str,
    pub why: &'static str,
    cases: &'static [&'static str],
    facts: &'static [Shown],
}

/// The README's row that no case can show: with that argument the seed runs no session at all, so
/// `tests/seed.sh` takes it out (and fails if it is not there).
pub const TAKEN_OUT: &str = "`--project`";

/// Not run, and kept.
const KEPT: Shown = ("rejected file kept", "no", "yes");
const ANSWERED: Shown = ("report", "no", "yes");

/// All of them.
fn all() -> impl Iterator<Item = &'static Difference> {
    [files::ROWS, sessions::ROWS, daemon::ROWS].into_iter().flatten()
}

/// Facts that are only there together with another one that is always there: a report, a session,
/// an audit line.
const CONDITIONAL: [&str; 4] = ["report ", "session ", "audit ", "received "];

/// One fact in which a case differs.
struct Found<'a> {
    case: &'a str,
    fact: &'a str,
    seed: &'a str,
    ours: &'a str,
}

pub struct Comparison {
    pub facts: usize,
    pub differences: usize,
    pub wrong: Vec<String>,
}

type ByCase = BTreeMap<&'static str, Facts>;

/// Compares what was seen of all cases. `is_whole`: every case ran, so that every entry must have
/// been seen.
pub fn compare(seed: &ByCase, ours: &ByCase, is_whole: bool) -> Comparison {
    let (mut facts, mut found, mut wrong) = (0, Vec::new(), Vec::new());
    for (case, of_seed) in seed {
        let of_ours = &ours[case];
        let names: BTreeSet<&String> = of_seed.keys().chain(of_ours.keys()).collect();
        for fact in names {
            match (of_seed.get(fact), of_ours.get(fact)) {
                (Some(seed), Some(ours))
                    if fact.starts_with("audit ") && lines(seed) != lines(ours) => {}
                (Some(seed), Some(ours)) => {
                    facts += 1;
                    found.extend((seed != ours).then_some(Found { case, fact, seed, ours }));
                }
                _ if CONDITIONAL.iter().any(|start| fact.starts_with(start)) => {}
                (one, two) => {
                    wrong.push(format!("{case}: {fact} on one side only: {one:?} {two:?}"))
                }
            }
        }
    }
    let unexplained = found.iter().filter(|f| !all().any(|d| explains(d, f)));
    wrong
        .extend(unexplained.map(|f| {
            format!("{}: {}\n    seed: {}\n    ours: {}", f.case, f.fact, f.seed, f.ours)
        }));
    if is_whole {
        wrong.extend(all().flat_map(|difference| not_shown(difference, &found)));
    }
    Comparison { facts, differences: found.len(), wrong }
}

/// The audit lines that one fact tells of; that there are more of them is what `events` tells.
fn lines(details: &str) -> usize {
    details.split("; ").count()
}

fn explains(difference: &Difference, found: &Found) -> bool {
    difference.cases.iter().any(|case| fits(case, found.case))
        && difference.facts.iter().any(|shown| shows(shown, found))
}

fn shows((fact, seed, ours): &Shown, found: &Found) -> bool {
    fits(fact, found.fact) && fits(seed, found.seed) && fits(ours, found.ours)
}

/// The cases and facts of an entry that nothing was found for.
fn not_shown(difference: &Difference, found: &[Found]) -> Vec<String> {
    let key = difference.key;
    let of_it: Vec<&Found> = found.iter().filter(|f| explains(difference, f)).collect();
    let cases = difference.cases.iter().filter(|case| !of_it.iter().any(|f| fits(case, f.case)));
    let facts = difference.facts.iter().filter(|shown| !of_it.iter().any(|f| shows(shown, f)));
    let cases = cases.map(|case| format!("{key}: {case} does not show it"));
    cases.chain(facts.map(|shown| format!("{key}: no case shows {shown:?}"))).collect()
}

/// `*` stands for any text.
fn fits(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let cuts = (0..=text.len()).filter(|at| text.is_char_boundary(*at));
            rest.is_empty() || cuts.into_iter().any(|at| fits(rest, &text[at..]))
        }),
    }
}

#[test]
fn patterns_fit_whole_texts() {
    for (pattern, text, wanted) in [
        ("a", "a", true),
        ("a", "ab", false),
        ("a*", "ab", true),
        ("*b", "ab", true),
        ("*b", "abc", false),
        ("a*c*", "abcd", true),
        ("a*c*", "abd", false),
        ("*", "", true),
    ] {
        assert_eq!(fits(pattern, text), wanted, "{pattern} {text}");
    }
}

#[test]
fn a_difference_without_a_row_and_a_row_without_a_difference_are_found() {
    let facts = |values: &[(&str, &str)]| -> Facts {
        values.iter().map(|(fact, value)| (fact.to_string(), value.to_string())).collect()
    };
    let compare_one = |seed: &[(&str, &str)], ours: &[(&str, &str)], is_whole| {
        let of = |values| ByCase::from([("ttl", facts(values))]);
        compare(&of(seed), &of(ours), is_whole).wrong
    };
    assert_eq!(compare_one(&[("starts", "2")], &[("starts", "1")], false), [""; 0]);
    assert_eq!(compare_one(&[("starts", "2")], &[("starts", "3")], false).len(), 1);
    assert_eq!(compare_one(&[("exit", "0")], &[], false).len(), 1);
    assert_eq!(compare_one(&[("report status", "failed")], &[], false), [""; 0]);
    assert!(compare_one(&[("starts", "2")], &[("starts", "1")], true).len() > all().count());
}

/// The README's table and this one are the same.
#[test]
fn every_difference_is_a_row_of_the_readme() {
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let text = std::fs::read_to_string(readme).expect("README.md");
    let rows = rows_of(&text);
    let keys: BTreeSet<&str> = all().map(|difference| difference.key).collect();
    let missing = all().filter(|d| !rows.contains(&plain(d.key)));
    let missing: Vec<String> =
        missing.map(|d| format!("| {} | {} | {} | ({})", d.key, d.seed, d.ours, d.why)).collect();
    assert!(missing.is_empty(), "rows that README.md lacks:\n{}", missing.join("\n"));
    let shown: BTreeSet<String> = keys.into_iter().chain([TAKEN_OUT]).map(plain).collect();
    let unknown: Vec<&String> = rows.iter().filter(|row| !shown.contains(*row)).collect();
    assert!(unknown.is_empty(), "rows of README.md that no case shows: {unknown:?}");
}

/// The first column of the table under "Different from the seed on purpose".
fn rows_of(readme: &str) -> BTreeSet<String> {
    let section =
        readme.split("\n## ").find(|s| s.to_lowercase().starts_with("different from the seed"));
    let table = section.expect("the README's section").lines().filter(|l| l.starts_with('|'));
    // Below the head and its line.
    table.skip(2).filter_map(|line| line.split('|').nth(1)).map(plain).collect()
}

/// Without what is only typography.
fn plain(text: &str) -> String {
    let text = text.replace(['`', '*', '_'], "").to_lowercase();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
