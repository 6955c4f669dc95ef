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
