//! Where no session works, whoever asks: refused with a report, whether the gate is configured or
//! not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use super::*;

fn refused(lab: &Lab, name: &str, dir: &str, says: &str) {
    let ran = lab.path("ran");
    let task = lab.task(name, format!("fake: mark {}", ran.display()));
    lab.send(&task.with("project_dir", dir));
    let report = lab.failed(name, "not_authorized");
    let error = report["error"].as_str().expect("an error");
    assert!(error.starts_with("project_dir ") && error.contains(says), "{dir}: {error}");
    assert_eq!(lab.event(name, "not_authorized")["error"], error);
    lab.event(name, "failed");
    assert!(!has_run(lab, name), "{dir}");
}

#[test]
fn no_session_works_where_it_could_give_itself_orders() {
    let trusting = |lab: &Lab| lab.path("").display().to_string();
    for gated in [false, true] {
        let lab = Lab::new();
        for dir in ["home/.ssh/keys", "home/.claude/projects", "home/git/shop", "gstack"] {
            fs::create_dir_all(lab.path(dir)).expect("create");
        }
        symlink(lab.path("home/.ssh"), lab.path("harmless")).expect("symlink");
        symlink(lab.path("gstack"), lab.path("state")).expect("symlink");
        let mut start = lab.daemon();
        if gated {
            start = start.set("--trusted-projects", format!("/,{}", trusting(&lab)));
        }
        let daemon = start.start();
        let at = |rest: &str| lab.path(rest).display().to_string();
        for (number, (dir, says)) in [
            ("/".to_string(), "is the root directory"),
            ("~".into(), "is the home directory"),
            (at("home"), "is the home directory"),
            ("~/.ssh".into(), "is no project"),
            (at("home/.ssh/keys"), "lies in"),
            (at("harmless"), "is no project"),
            (at("harmless/keys"), "lies in"),
            ("~/.claude".into(), "is no project"),
            ("~/.claude/projects".into(), "lies in"),
            ("~/git/../.claude/projects".into(), "lies in"),
            (at("gstack"), "is no project"),
            (at("state"), "is no project"),
            (at("gstack/dispatch"), "lies in"),
            (at("gstack/dispatchd/pending"), "lies in"),
            (lab.dir.display().to_string(), "contains"),
            (lab.dir.parent().expect("above").display().to_string(), "contains"),
        ]
        .into_iter()
        .enumerate()
        {
            refused(&lab, &format!("r{number}"), &dir, says);
        }
        lab.send(&lab.task("fine", "hello").with("project_dir", "~/git/shop"));
        lab.completed("fine");
        drop(daemon);
    }
}

#[test]
fn a_directory_that_everybody_can_write_to_is_refused_unless_it_is_trusted() {
    let lab = Lab::new();
    let open = lab.project("open");
    for mode in [0o777, 0o1777] {
        fs::set_permissions(&open, fs::Permissions::from_mode(mode)).expect("chmod");
        let daemon = lab.daemon().start();
        let says = format!("(mode {mode:04o}): chmod o-w {}", open.display());
        refused(&lab, &format!("r{mode:o}"), &open.display().to_string(), &says);
        drop(daemon);
        let daemon = lab.daemon().set("--trusted-projects", open.display()).start();
        let name = format!("t{mode:o}");
        lab.send(&lab.task(&name, "hello").in_dir(&open));
        lab.completed(&name);
        drop(daemon);
    }
}

#[test]
fn a_directory_of_another_user_is_refused_unless_it_is_trusted() {
    if !is_root() {
        return skipped("only root can make what belongs to another user");
    }
    let lab = Lab::new();
    let theirs = lab.project("theirs");
    chown(&theirs, Some(65534), None).expect("chown");
    let daemon = lab.daemon().start();
    refused(&lab, "r", &theirs.display().to_string(), "belongs to another user (uid 65534)");
    drop(daemon);
    let daemon = lab.daemon().set("--trusted-projects", theirs.display()).start();
    lab.send(&lab.task("t", "hello").in_dir(&theirs));
    lab.completed("t");
    drop(daemon);
}

/// The place is judged again when its turn comes: what was fine at the acceptance leads into the
/// user's keys by then.
#[test]
fn a_directory_that_leads_elsewhere_at_its_turn_is_refused() {
    let lab = Lab::new();
    let (fine, keys, link) = (lab.project("fine"), lab.path("home/.ssh"), lab.path("link"));
    fs::create_dir_all(&keys).expect("create");
    let relink = |to: &Path| {
        let _ = fs::remove_file(&link);
        symlink(to, &link).expect("symlink");
    };
    relink(&fine);
    let daemon = lab.daemon().start();
    fs::write(lab.ours().join("control/pause"), "").expect("pause");
    lab.event("", "paused");
    lab.send(&lab.task("a", format!("fake: mark {}", lab.path("ran").display())).in_dir(&link));
    lab.accepted("a");
    relink(&keys);
    fs::write(lab.ours().join("control/resume"), "").expect("resume");
    lab.failed("a", "not_authorized");
    assert!(!has_run(&lab, "a"));
    drop(daemon);
}

/// What attempt 1 was allowed is no leave for another directory.
#[test]
fn a_retry_does_not_follow_a_link_that_leads_elsewhere_by_now() {
    let lab = Lab::new();
    let (trusted, other, link) = (lab.project("trusted"), lab.project("other"), lab.path("link"));
    symlink(&trusted, &link).expect("symlink");
    let daemon = gated(&lab).set("--rate-limit-backoff", 2).start();
    let mark = format!("fake: mark {}", lab.path("ran").display());
    let task = format!("{mark}\nfake: result error 429 rate_limit");
    lab.send(&lab.task("a", task).in_dir(&link));
    lab.event("a", "retried");
    fs::remove_file(&link).expect("remove");
    symlink(&other, &link).expect("symlink");
    let report = lab.failed("a", "not_authorized");
    assert_eq!(starts(&lab.path("ran")), ["a"], "{report:#}");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    drop(daemon);
}
