//! Which directory a rule of `config.json` holds for: whatever links lead there, and whenever it or
//! they come to be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::util::*;

fn config(lab: &Lab, config: &Value) {
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    fs::write(lab.ours().join("config.json"), config.to_string()).expect("write config.json");
}

/// Which of the rules' models a session in that directory ran with, and whether its project was
/// trusted.
fn terms_in(lab: &Lab, name: &str, dir: &str) -> (String, bool) {
    let dump = lab.path(&format!("dump-{name}"));
    let task = lab.task(name, format!("fake: dump {}", dump.display()));
    lab.send(&task.with("project_dir", dir));
    lab.completed(name);
    let argv = text_file(dump.join("argv"));
    let words: Vec<&str> = argv.split_whitespace().collect();
    let model = words.iter().position(|word| *word == "--model").map(|at| words[at + 1]);
    (model.unwrap_or("none").to_string(), words.contains(&"--strict-mcp-config"))
}

fn link(to: &Path, from: &Path) {
    symlink(to, from).expect("symlink");
}

#[test]
fn a_rule_holds_for_its_directory_whatever_comes_after_the_start() {
    let lab = Lab::new();
    let (real, there) = (lab.project("real"), lab.project("there"));
    link(&there, &lab.path("before"));
    link(&lab.path("not-yet"), &lab.path("dangling"));
    let strict = |model: &str| json!({"strict": true, "model": model});
    let at = |rest: &str| lab.path(rest).display().to_string();
    config(
        &lab,
        &json!({"projects": {
            at("later"): strict("link"), at("before/new"): strict("new"), at("missing"): strict("dir"),
            at("dangling"): strict("dangling"), "~/later": strict("home"),
            at("parent-link/app"): strict("parent"),
        }}),
    );
    let daemon = lab.daemon().start();
    link(&real, &lab.path("later"));
    for made in ["there/new", "missing/sub", "not-yet", "home/later", "parent/app"] {
        fs::create_dir_all(lab.path(made)).expect("create");
    }
    link(&lab.path("parent"), &lab.path("parent-link"));
    for (name, dir, want) in [
        ("a", at("later"), "link"),
        ("b", at("real"), "link"),
        ("c", at("before/new"), "new"),
        ("d", at("there/new"), "new"),
        ("e", at("missing/sub"), "dir"),
        ("f", at("dangling"), "dangling"),
        ("g", at("not-yet"), "dangling"),
        ("h", "~/later".to_string(), "home"),
        ("i", at("home/later"), "home"),
        ("j", at("parent/app"), "parent"),
        ("k", at("parent-link/app"), "parent"),
    ] {
        assert_eq!(terms_in(&lab, name, &dir), (want.to_string(), true), "{dir}");
    }
    assert_eq!(terms_in(&lab, "z", &at("there")), ("none".to_string(), false));
    // Said at the start, and again as soon as such a rule holds.
    let log = daemon.stderr();
    let said = |what: &str, key: &str| {
        let is_it = |line: &&str| line.contains(" WARN ") && line.contains(what);
        log.lines().filter(is_it).filter(|line| line.contains(key)).count()
    };
    assert_eq!(said("names no directory", &at("missing")), 1, "{log}");
    assert_eq!(said("holds from here on", &at("missing")), 1, "{log}");
    assert_eq!(said("holds from here on", "~/later"), 1, "once: {log}");
    drop(daemon);
}

#[test]
fn an_acceptance_command_holds_for_a_directory_that_its_link_leads_to_later() {
    let lab = Lab::new();
    let real = lab.project("real");
    let key = lab.path("link");
    config(&lab, &json!({"verify": {key.display().to_string(): {"argv": ["false"]}}}));
    let daemon = lab.daemon().start();
    link(&real, &key);
    for (name, dir) in [("a", &key), ("b", &real)] {
        lab.send(&lab.task(name, "hello").in_dir(dir));
        lab.failed(name, "verify_failed");
    }
    // A session keeps the terms of its start: taking the link away is no way out.
    let gate = lab.gate("gate");
    lab.send(&lab.task("c", format!("fake: block {}", gate.display())).in_dir(&real));
    let hold = gate.held();
    fs::remove_file(&key).expect("remove the link");
    hold.release();
    lab.failed("c", "verify_failed");
    drop(daemon);
}

#[test]
fn the_nearest_rule_counts_by_where_it_leads_not_by_how_long_its_name_is() {
    let lab = Lab::new();
    let deep = lab.project("some/where/deep/down");
    link(&deep, &lab.path("l"));
    let at = |rest: &str| lab.path(rest).display().to_string();
    let model = |name: &str| json!({"model": name});
    let rules = json!({at("l"): model("near"), at("some/where/deep"): model("far")});
    config(&lab, &json!({ "projects": rules }));
    let daemon = lab.daemon().start();
    assert_eq!(terms_in(&lab, "a", &at("some/where/deep/down")).0, "near");
    assert_eq!(terms_in(&lab, "b", &at("l")).0, "near");
    assert_eq!(terms_in(&lab, "c", &at("some/where/deep")).0, "far");
    drop(daemon);
}

#[test]
fn two_ways_to_a_directory_that_comes_later_are_one_project() {
    let lab = Lab::new();
    lab.project("real");
    link(&lab.path("real"), &lab.path("way"));
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().set("--max-concurrent", 3).start();
    fs::write(lab.ours().join("control/pause"), "").expect("pause");
    lab.event("", "paused");
    let mark = format!("fake: mark {}", ran.display());
    let held = format!("{mark}\nfake: block {}", gate.display());
    lab.send(&lab.task("a", held).in_dir(&lab.path("real/new")));
    lab.accepted("a");
    lab.send(&lab.task("b", mark.as_str()).in_dir(&lab.path("way/new")));
    lab.accepted("b");
    fs::create_dir(lab.path("real/new")).expect("create");
    fs::write(lab.ours().join("control/resume"), "").expect("resume");
    let hold = gate.held();
    // Whoever came before it and may run has been started before it.
    lab.send(&lab.task("c", mark.as_str()));
    lab.completed("c");
    assert_eq!(starts(&ran), ["a", "c"]);
    hold.release();
    lab.completed("b");
    drop(daemon);
}
