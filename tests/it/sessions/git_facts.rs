//! What the report says of the project's repository, and that the look at it runs no program of
//! the repository.

use std::fs;

use serde_json::{Value, json};

use crate::util::*;

#[test]
fn the_report_tells_commits_branch_and_dirty_files() {
    let lab = Lab::new();
    let repository = lab.repository("repository");
    git(&repository, "checkout -q -b feature/x");
    let before = git(&repository, "rev-parse HEAD");
    let daemon = lab.daemon().start();
    let task = "fake: write one.txt 1\nfake: commit one\nfake: write two.txt 2\nfake: commit two\nfake: write dirty.txt x";
    lab.send(&lab.task("a", task).in_dir(&repository));
    let report = lab.completed("a");
    let after = git(&repository, "rev-parse HEAD");
    assert_ne!(before, after);
    let wanted = json!({
        "branch": "feature/x", "head_before": before, "head_after": after, "commits": 2, "dirty_files": 1,
    });
    assert_eq!(report["git"], wanted, "{report:#}");
    assert_eq!(report["commits"], 2);
    drop(daemon);
}

#[test]
fn a_session_without_commits_has_made_none() {
    let lab = Lab::new();
    let repository = lab.repository("repository");
    let inside = repository.join("deep/inside");
    fs::create_dir_all(&inside).expect("create");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").in_dir(&inside));
    let report = lab.completed("a");
    assert_eq!(report["git"]["commits"], 0, "{report:#}");
    assert_eq!(report["git"]["head_before"], report["git"]["head_after"]);
    // Unknown (absent) where nothing was looked at.
    assert_eq!(report["git"].get("dirty_files").unwrap_or(&json!(0)), 0);
    drop(daemon);
}

#[test]
fn an_edit_deep_in_the_tree_is_never_reported_as_clean() {
    let lab = Lab::new();
    let repository = lab.repository("repository");
    let deep = repository.join("a/b/c/d");
    fs::create_dir_all(&deep).expect("create");
    fs::write(deep.join("file"), "before\n").expect("write");
    git(&repository, "add -A");
    git(&repository, "commit -q -m deep");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: write a/b/c/d/file after").in_dir(&repository));
    let report = lab.completed("a");
    assert_eq!(report["git"].get("dirty_files").unwrap_or(&json!(1)), 1, "{report:#}");
    drop(daemon);
}

#[test]
fn packed_refs_worktrees_and_detached_heads_are_understood() {
    let lab = Lab::new();
    let repository = lab.repository("repository");
    let worktree = lab.path("worktree");
    git(&repository, &format!("worktree add -q -b side {}", worktree.display()));
    git(&repository, "pack-refs --all --prune");
    let detached = lab.path("detached");
    git(&repository, &format!("worktree add -q --detach {}", detached.display()));
    let head = git(&repository, "rev-parse HEAD");
    let daemon = lab.daemon().start();
    let task = "fake: write one.txt 1\nfake: commit one";
    for (name, dir, branch) in [
        ("packed", &repository, json!("main")),
        ("worktree", &worktree, json!("side")),
        ("detached", &detached, Value::Null),
    ] {
        lab.send(&lab.task(name, task).in_dir(dir));
        let report = lab.completed(name);
        assert_eq!(report["git"]["head_before"], head, "{name}: {report:#}");
        assert_eq!(report["git"]["head_after"], git(dir, "rev-parse HEAD"), "{name}: {report:#}");
        assert_eq!(report["git"]["commits"], 1, "{name}: {report:#}");
        if branch != Value::Null {
            assert_eq!(report["git"]["branch"], branch, "{name}: {report:#}");
        }
    }
    drop(daemon);
}

#[test]
fn a_repository_without_a_commit_gets_its_first_one() {
    let lab = Lab::new();
    let repository = lab.project("new");
    git(&repository, "init -q -b main");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: write one.txt 1\nfake: commit one").in_dir(&repository));
    let report = lab.completed("a");
    assert!(report["git"].get("head_before").is_none(), "{report:#}");
    assert_eq!(report["git"]["head_after"], git(&repository, "rev-parse HEAD"));
    assert_eq!(report["git"]["branch"], "main");
    drop(daemon);
}

#[test]
fn the_look_at_git_runs_no_program_of_the_repository() {
    let lab = Lab::new();
    let repository = lab.repository("repository");
    let trap = lab.path("trap-sprung");
    let command = format!("touch {}", trap.display());
    for key in ["core.fsmonitor", "core.sshCommand", "diff.external", "core.pager"] {
        let set = ["config", key, &command];
        let run = std::process::Command::new("git").args(set).current_dir(&repository).status();
        assert!(run.expect("git config").success());
    }
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: write one.txt 1").in_dir(&repository));
    let report = lab.completed("a");
    assert_eq!(report["git"]["dirty_files"], 1, "{report:#}");
    assert!(!trap.exists(), "a program of the repository's config was run");
    drop(daemon);
}
