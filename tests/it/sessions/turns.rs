//! Whose turn it is: order of acceptance, at most so many at once, and one session at a time in
//! one project, however its directory is spelt.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use super::block;
use crate::util::*;

#[test]
fn dispatches_run_in_the_order_of_their_acceptance() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    let mark = format!("fake: mark {}", ran.display());
    lab.send(&lab.task("first", format!("{mark}\n{}", block(&gate))));
    let hold = gate.held();
    // Neither by name nor by any other order than that in which they came.
    let names = ["m", "z", "a", "q", "b", "y", "c"];
    for (n, name) in names.into_iter().enumerate() {
        lab.send(&lab.task(name, mark.as_str()));
        lab.accepted(name);
        assert_eq!(lab.event(name, "queued")["queue_depth"], n + 1);
    }
    let beat = lab.heartbeat("all of them wait", |b| b["queued"] == names.len());
    assert_eq!(beat["active"], 1);
    hold.release();
    names.iter().for_each(|name| drop(lab.settled(name)));
    assert_eq!(starts(&ran)[1..], names);
    assert!(!lab.events("first").contains(&"queued".to_string()));
    drop(daemon);
}

#[test]
fn never_more_than_the_allowed_number_run_at_once() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 3).start();
    let gates: Vec<_> = (0..3).map(|n| lab.gate(&format!("gate-{n}"))).collect();
    let ran = lab.path("ran");
    let task = |n: usize, middle: String| {
        let mark = format!("fake: mark {}", ran.display());
        lab.task(&n.to_string(), format!("{mark}\n{middle}\n{mark} end"))
    };
    for (n, gate) in gates.iter().enumerate() {
        lab.send(&task(n, block(gate)));
    }
    let holds: Vec<_> = gates.iter().map(Gate::held).collect(); // three at once, then
    for n in 3..24 {
        lab.send(&task(n, "fake: sleep 0.01".into()));
    }
    (3..24).for_each(|n| lab.accepted(&n.to_string()));
    assert_eq!(starts(&ran).len(), 3);
    holds.into_iter().for_each(Hold::release);
    (0..24).for_each(|n| drop(lab.completed(&n.to_string())));
    let mut running = 0;
    for (word, id, _) in marks(&ran) {
        running += if word == "start" { 1 } else { -1 };
        assert!((0..=3).contains(&running), "{running} at once at {id}");
    }
    drop(daemon);
}

/// `a` runs in `first`; `b` waits for it in `second` though a slot is free; `c`, of another
/// project, overtakes.
fn second_waits_for_first(lab: &Lab, first: &Path, second: Value) {
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().set("--max-concurrent", 3).start();
    let mark = format!("fake: mark {}", ran.display());
    lab.send(&lab.task("a", format!("{mark}\n{}", block(&gate))).in_dir(first));
    let hold = gate.held();
    lab.send(&lab.task("b", mark.as_str()).with("project_dir", second));
    lab.accepted("b");
    lab.send(&lab.task("c", mark.as_str()));
    lab.completed("c");
    assert_eq!(starts(&ran), ["a", "c"]);
    hold.release();
    lab.completed("a");
    lab.completed("b");
    assert_eq!(starts(&ran), ["a", "c", "b"]);
    drop(daemon);
}

#[test]
fn one_session_at_a_time_in_one_directory_and_others_overtake() {
    let lab = Lab::new();
    let dir = lab.project("shared");
    second_waits_for_first(&lab, &dir, json!(dir));
}

#[test]
fn other_spellings_of_a_directory_are_the_same_project() {
    let lab = Lab::new();
    let dir = lab.project("shared");
    second_waits_for_first(&lab, &dir, json!(format!("{}/../shared//./", dir.display())));
}

#[test]
fn a_tilde_spells_the_same_project() {
    let lab = Lab::new();
    let dir = lab.home.join("shared");
    fs::create_dir(&dir).expect("create");
    second_waits_for_first(&lab, &dir, json!("~/shared"));
}

#[test]
fn a_symlink_to_a_directory_is_the_same_project() {
    let lab = Lab::new();
    let (dir, link) = (lab.project("shared"), lab.path("link"));
    symlink(&dir, &link).expect("symlink");
    second_waits_for_first(&lab, &dir, json!(link));
}

#[test]
fn two_directories_of_one_repository_are_the_same_project() {
    let lab = Lab::new();
    let top = lab.repository("repository");
    let deep = top.join("crates/one");
    fs::create_dir_all(&deep).expect("create");
    second_waits_for_first(&lab, &top, json!(deep));
}

#[test]
fn two_plain_directories_side_by_side_are_two_projects() {
    let lab = Lab::new();
    let (one, two) = (lab.gate("one"), lab.gate("two"));
    let top = lab.project("top");
    let daemon = lab.daemon().start();
    for (name, gate) in [("a", &one), ("b", &two)] {
        fs::create_dir(top.join(name)).expect("create");
        lab.send(&lab.task(name, block(gate)).in_dir(&top.join(name)));
    }
    let holds = [one.held(), two.held()]; // both at once
    holds.into_iter().for_each(Hold::release);
    lab.completed("a");
    lab.completed("b");
    drop(daemon);
}

#[test]
fn without_a_limit_two_sessions_run_in_one_project() {
    let lab = Lab::new();
    let (one, two) = (lab.gate("one"), lab.gate("two"));
    let dir = lab.project("shared");
    let daemon = lab.daemon().set("--max-per-project", 0).start();
    lab.send(&lab.task("a", block(&one)).in_dir(&dir));
    lab.send(&lab.task("b", block(&two)).in_dir(&dir));
    let holds = [one.held(), two.held()];
    holds.into_iter().for_each(Hold::release);
    lab.completed("a");
    lab.completed("b");
    drop(daemon);
}

#[test]
fn a_project_limit_of_two_lets_two_run_and_the_third_wait() {
    let lab = Lab::new();
    let (one, two, ran) = (lab.gate("one"), lab.gate("two"), lab.path("ran"));
    let dir = lab.project("shared");
    let daemon = lab.daemon().set("--max-per-project", 2).set("--max-concurrent", 4).start();
    lab.send(&lab.task("a", block(&one)).in_dir(&dir));
    lab.send(&lab.task("b", block(&two)).in_dir(&dir));
    let holds = [one.held(), two.held()];
    lab.send(&lab.task("c", format!("fake: mark {}", ran.display())).in_dir(&dir));
    lab.accepted("c");
    lab.send(&lab.task("other", "hello"));
    lab.completed("other");
    assert!(!ran.exists());
    holds.into_iter().for_each(Hold::release);
    lab.completed("c");
    drop(daemon);
}
