//! The seed and ours, side by side: the same dispatch files, the same fake agent, the same signals;
//! what can be seen of both is compared field by field. Each difference must be explained by a row
//! of [`differences`], which is the README's table "different from the seed on
//! purpose"; and each row must be shown by its cases. Anything else is a bug.
//!
//! The seed runs on Bun (`tests/seed.sh`); where that cannot be had, the test says so in
//! skipped.txt and on stderr. `DIFFERENTIAL=name,name` runs only these cases and prints their
//! facts, without the check that every row was shown.

mod cases;
mod differences;
mod side;

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use self::cases::{Case, Place};
use self::side::{Facts, Side, Who};

/// Facts by case.
type Seen = Mutex<BTreeMap<&'static str, Facts>>;

#[test]
fn the_seed_and_ours_differ_only_on_purpose() {
    let Some(seed) = seed_or_skip() else { return };
    let only = std::env::var("DIFFERENTIAL").ok();
    let wanted = |case: &Case| only.as_ref().is_none_or(|o| o.split(',').any(|n| n == case.name));
    let all = cases::all();
    let cases: Vec<&Case> = all.iter().filter(|case| wanted(case)).collect();
    assert!(all.len() >= 40, "only {} cases", all.len());

    let (of_seed, of_ours) = (Seen::default(), Seen::default());
    let seed_words = || Who::Seed(seed.clone());
    thread::scope(|scope| {
        for case in cases.iter().filter(|case| case.place == Place::Slow) {
            let (seed_words, of_seed, of_ours) = (&seed_words, &of_seed, &of_ours);
            scope.spawn(move || run(seed_words(), true, &[case], of_seed));
            scope.spawn(move || run(Who::Ours, true, &[case], of_ours));
        }
        scope.spawn(|| run_quick(&seed_words, &cases, &of_seed));
        scope.spawn(|| run_quick(&|| Who::Ours, &cases, &of_ours));
    });
    let (of_seed, of_ours) = (facts_of(of_seed), facts_of(of_ours));
    let seen = differences::compare(&of_seed, &of_ours, only.is_none());
    println!("{} cases, {} facts, {} differ", cases.len(), seen.facts, seen.differences);
    let is_told = |name: &str| only.is_some() || seen.wrong.iter().any(|w| w.contains(name));
    for (name, facts) in of_seed.iter().filter(|(name, _)| is_told(name)) {
        println!("{name}\n  the seed: {facts:#?}\n  ours: {:#?}", of_ours[name]);
    }
    assert!(seen.wrong.is_empty(), "{} unexplained:\n{}", seen.wrong.len(), seen.wrong.join("\n"));
}

/// The cases that share a daemon, then those that need one of their own.
fn run_quick(who: &dyn Fn() -> Who, cases: &[&Case], seen: &Seen) {
    let of_place =
        |place| -> Vec<&Case> { cases.iter().copied().filter(|c| c.place == place).collect() };
    run(who(), false, &of_place(Place::Common), seen);
    for case in of_place(Place::Own) {
        run(who(), false, &[case], seen);
    }
}

fn run(who: Who, plain: bool, cases: &[&Case], seen: &Seen) {
    let mut side = Side::new(who, plain);
    for case in cases {
        side.begin(case.name);
        (case.act)(&mut side);
        seen.lock().expect("facts").insert(case.name, side.take_facts());
    }
    side.close();
}

fn facts_of(seen: Seen) -> BTreeMap<&'static str, Facts> {
    seen.into_inner().expect("facts")
}

/// The command that runs the seed.
fn seed_or_skip() -> Option<[String; 2]> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/seed.sh");
    let run = Command::new(script).output().expect("tests/seed.sh");
    let said = String::from_utf8_lossy(&run.stderr).trim().to_string();
    if run.status.code() == Some(77) {
        let line =
            format!("SKIPPED: the differential test: {}", said.trim_start_matches("SKIPPED: "));
        eprintln!("{line}");
        let list = Path::new(env!("CARGO_TARGET_TMPDIR")).join("skipped.txt");
        let file = OpenOptions::new().create(true).append(true).open(&list);
        let added = file.and_then(|mut file| writeln!(file, "{line}"));
        added.unwrap_or_else(|e| panic!("cannot add to {}: {e}", list.display()));
        return None;
    }
    assert!(run.status.success(), "tests/seed.sh: {said}");
    let command = String::from_utf8(run.stdout).expect("UTF-8");
    let (bun, seed) = command.trim().rsplit_once(' ').expect("two words");
    Some([bun.to_string(), seed.to_string()])
}
