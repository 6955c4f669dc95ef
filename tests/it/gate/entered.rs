//! The directory that was judged is the one that is entered, whatever its name leads to meanwhile.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::*;

const DISPATCHES: usize = 60;

fn relink(to: &Path, link: &Path) {
    let beside = link.with_extension("new");
    symlink(to, &beside).expect("symlink");
    fs::rename(&beside, link).expect("rename");
}

/// Where a session stood, by /proc and not by what it was told.
fn where_it_ran(lab: &Lab) -> Vec<String> {
    let text = fs::read_to_string(lab.path("stood")).unwrap_or_default();
    text.lines().map(str::to_string).collect()
}

#[test]
fn a_link_that_is_changed_all_the_time_leads_no_session_into_another_directory() {
    let lab = Lab::new();
    let (trusted, keys) = (lab.project("trusted/here"), lab.project("home/.ssh"));
    let link = lab.path("link");
    symlink(&trusted, &link).expect("symlink");
    let daemon = gated(&lab).set("--max-per-project", 0).set("--max-concurrent", 4).start();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                relink(&keys, &link);
                relink(&trusted, &link);
            }
        });
        let order = format!("fake: try stood pwd -P >>{}", lab.path("stood").display());
        for number in 0..DISPATCHES {
            lab.send(&lab.task(&format!("n{number}"), order.as_str()).in_dir(&link));
        }
        for number in 0..DISPATCHES {
            let report = lab.report(&format!("n{number}"));
            let kind = report["error_type"].as_str().unwrap_or("completed");
            assert!(["completed", "not_authorized", "spawn_failed"].contains(&kind), "{report:#}");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let stood = where_it_ran(&lab);
    assert!(!stood.is_empty(), "some of {DISPATCHES} ran");
    let here = trusted.display().to_string();
    assert!(stood.iter().all(|dir| *dir == here), "{stood:?}");
    drop(daemon);
}

#[test]
fn a_session_stands_in_its_project_and_is_told_its_path() {
    let lab = Lab::new();
    let project = lab.project("real");
    symlink(&project, lab.path("link")).expect("symlink");
    let daemon = lab.daemon().start();
    let dump = lab.path("dump");
    let task = lab.task("a", format!("fake: dump {}", dump.display()));
    lab.send(&task.in_dir(&lab.path("link")));
    lab.completed("a");
    assert_eq!(text_file(dump.join("cwd")).trim(), project.display().to_string());
    let env = text_file(dump.join("env"));
    assert!(env.lines().any(|line| line == format!("PWD={}", project.display())), "{env}");
    drop(daemon);
}
