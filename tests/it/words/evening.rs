//! The evening of README.md: nine questions of somebody who has only that page, each answered by one
//! command.

use std::collections::BTreeMap;

use gstack_dispatch_daemon::pure::command::table;

use super::{ours, said};
use crate::util::*;

const README: &str = include_str!("../../../README.md");

/// The commands of the evening, by their first word, in order: each without the program's name.
fn shown() -> Vec<(String, Vec<String>)> {
    let section = README.split("## The evening\n").nth(1).expect("the heading");
    let section = section.split("\n## ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.starts_with("| ") && line.contains('`'));
    let command = |row: &str| {
        let typed = row.split('`').nth(1).expect("a command");
        let words = typed.strip_prefix("gstack-dispatch-daemon ").expect("our program");
        let words: Vec<String> = words.split(' ').map(String::from).collect();
        (row.split('|').nth(1).unwrap_or_default().trim().to_string(), words)
    };
    rows.map(command).collect()
}

#[test]
fn each_question_of_the_evening_is_answered_by_its_command() {
    let lab = Lab::new();
    let (gate, project) = (lab.gate("gate"), lab.repository("shop"));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a8b1n5w0kt", "fake: result refusal"));
    lab.ended("a8b1n5w0kt", "failed", "logic_error");
    let orders = format!("fake: turn I look at the tests first.\nfake: block {}", gate.display());
    lab.send(&lab.task("k3f9x2ab7q", orders).in_dir(&project));
    let hold = gate.held();
    lab.send(&lab.task("m2p7c1xz4d", "Say hello.").in_dir(&project));
    lab.heartbeat("one runs, one waits", |beat| beat["active"] == 1 && beat["queued"] == 1);
    let wanted: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("What runs, and what waits?", &["dispatch-k3f9x2ab7q", "dispatch-m2p7c1xz4d"][..]),
        ("How far is it?", &["running", "dispatch-k3f9x2ab7q"]),
        ("Why does it wait, and until when?", &["queued", "dispatch-k3f9x2ab7q"]),
        ("Why has it failed, and what now?", &["failed", "logic_error"]),
        ("What did it cost?", &["FAILED", "COST", "$0.01"]),
        ("What does the agent say now?", &["I look at the tests first."]),
        ("Stop it", &["dispatch-k3f9x2ab7q: "]),
        ("Run it again", &["dispatch-a8b1n5w0kt-r2"]),
        ("Nothing new for an hour", &["pause"]),
    ]);
    let shown = shown();
    assert_eq!(shown.len(), wanted.len());
    for (question, words) in &shown {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if table::find(words[0]).is_none() {
            skipped(&format!("{} is not built yet", words[0]));
            continue;
        }
        let output = ours(&lab, &words);
        let (out, err) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{question} {words:?}: {err}");
        for part in wanted.get(question.as_str()).expect("a known question").iter() {
            assert!(out.contains(part), "{question} {words:?}: {part}: {out}{err}");
        }
    }
    assert!(said(&lab, &["help"]).contains("pause"));
    hold.release();
    lab.report("k3f9x2ab7q");
    drop(daemon);
}
