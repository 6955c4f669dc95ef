//! A dropped file has just one name: who has another one can change it, or lose it, later.

use std::fs;

use super::*;

#[test]
fn a_file_with_another_name_is_refused_once_it_has_stood_still() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--settle", 0.3).start();
    let elsewhere = lab.path("elsewhere.json");
    fs::write(&elsewhere, lab.task("a", "hello").bytes()).expect("write");
    fs::hard_link(&elsewhere, lab.dropped("a")).expect("link");
    let (dir, why) = lab.rejected("dispatch-a.json");
    assert_eq!(why["reason"], "hard_link", "{why}");
    assert!(dir.join("dispatch-a.json").exists() && elsewhere.exists());
    assert_eq!(lab.events("a"), [""; 0], "its content was not read");
    assert!(!lab.report_path("a").exists());
    // The id is not spent.
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_sender_may_link_a_file_into_place_and_unlink_it_elsewhere() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--settle", 1).start();
    let elsewhere = lab.path("elsewhere.json");
    fs::write(&elsewhere, lab.task("a", "hello").bytes()).expect("write");
    fs::hard_link(&elsewhere, lab.dropped("a")).expect("link");
    lab.send(&lab.task("later", "hello"));
    lab.completed("later");
    fs::remove_file(&elsewhere).expect("unlink");
    lab.completed("a");
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

/// Who may send could otherwise have lines of ours, with words of his in them, appended to any file
/// that he can link to.
#[test]
fn the_audit_log_is_written_through_nothing_that_was_planted_there() {
    for is_running in [false, true] {
        let lab = Lab::new();
        let (log, victim) = (lab.inbox().join("audit.jsonl"), lab.home.join("profile"));
        fs::create_dir_all(lab.inbox()).expect("create");
        fs::write(&victim, "alias a=b\n").expect("write");
        let plant = || fs::hard_link(&victim, &log).expect("link");
        if !is_running {
            plant();
        }
        let daemon = lab.daemon().set("--heartbeat", 0.05).start();
        if is_running {
            fs::remove_file(&log).expect("remove");
            plant();
        }
        lab.send(&lab.task("a", "hello"));
        lab.completed("a");
        wait_until("a log of its own", PATIENCE, || {
            fs::metadata(&log).is_ok_and(|meta| std::os::unix::fs::MetadataExt::nlink(&meta) == 1)
        });
        lab.send(&lab.task("b", "hello"));
        lab.completed("b");
        lab.event("b", "completed");
        assert_eq!(text_file(&victim), "alias a=b\n");
        drop(daemon);
    }
}
