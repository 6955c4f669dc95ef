//! The same id, the same bytes or the same name a second time; and files that are edited, replaced
//! or removed after their acceptance.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::refused;
use crate::util::*;

#[test]
fn an_id_that_runs_or_was_answered_is_refused_and_the_first_answer_stands() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let ran = lab.path("ran");
    let daemon = lab.daemon().start();
    let first = format!("fake: mark {}\nfake: block {}", ran.display(), gate.display());
    lab.send(&lab.task("a", first));
    let hold = gate.held();
    let other = lab.task("a", format!("fake: mark {}", ran.display()));
    lab.place("dispatch-a-second.json", &other.bytes());
    refused(&lab, "dispatch-a-second.json", "duplicate_id");
    hold.release();
    lab.settled("a");
    let answer = fs::read(lab.report_path("a")).expect("the report");
    lab.place("dispatch-a-third.json", &other.bytes());
    refused(&lab, "dispatch-a-third.json", "duplicate_id");
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    assert_eq!(fs::read(lab.report_path("a")).expect("the report"), answer);
    assert_eq!(starts(&ran), ["a"]);
    drop(daemon);
}

#[test]
fn an_id_stays_taken_after_its_report_was_read_and_deleted_and_after_a_restart() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: mark ran"));
    lab.settled("a");
    fs::remove_file(lab.report_path("a")).expect("delete the report, as readers do");
    assert_eq!(daemon.stop(), 0);
    let daemon = lab.daemon().start();
    lab.place("dispatch-again.json", &lab.task("a", "fake: mark ran again").bytes());
    refused(&lab, "dispatch-again.json", "duplicate_id");
    assert_eq!(starts(&lab.path("project-a/ran")), ["a"]);
    drop(daemon);
}

#[test]
fn the_same_bytes_again_are_a_redelivery() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let dispatch = lab.task("a", "fake: mark ran");
    lab.send(&dispatch);
    lab.settled("a");
    let before = fs::metadata(lab.report_path("a")).expect("the report");
    lab.send(&dispatch);
    lab.event("a", "redelivered");
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    let after = fs::metadata(lab.report_path("a")).expect("the report");
    assert_eq!(before.ino(), after.ino());
    assert_eq!(starts(&lab.path("project-a/ran")), ["a"]);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn a_redelivery_of_a_queued_or_running_dispatch_does_not_withdraw_it() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let ran = lab.path("ran");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    let a = lab.task("a", format!("fake: mark {}\nfake: block {}", ran.display(), gate.display()));
    let b = lab.task("b", format!("fake: mark {}", ran.display()));
    lab.send(&a);
    let hold = gate.held();
    lab.send(&b);
    lab.accepted("b");
    // Under the name that they have already (the recorded files are replaced), and under another
    // one.
    lab.send(&a);
    lab.send(&b);
    lab.place("dispatch-b-again.json", &b.bytes());
    lab.event("b", "redelivered");
    lab.send(&lab.task("c", format!("fake: mark {}", ran.display())));
    lab.accepted("c");
    hold.release();
    for name in ["a", "b", "c"] {
        lab.settled(name);
        lab.completed(name);
    }
    assert_eq!(starts(&ran), ["a", "b", "c"]);
    assert_eq!(lab.rejected_count(), 0);
    assert_eq!(lab.waiting(), [""; 0]);
    drop(daemon);
}

#[test]
fn an_edit_after_acceptance_changes_nothing() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.send(&lab.task("b", "fake: mark first"));
    lab.accepted("b");
    let before = fs::metadata(lab.dropped("b")).expect("the dropped file").ino();
    fs::write(lab.dropped("b"), lab.task("b", "fake: mark second").bytes()).expect("edit in place");
    fs::write(lab.dropped("a"), lab.task("a", "fake: mark second").bytes()).expect("edit in place");
    assert_eq!(fs::metadata(lab.dropped("b")).expect("the dropped file").ino(), before);
    hold.release();
    for name in ["a", "b"] {
        lab.settled(name);
        lab.completed(name);
    }
    assert_eq!(starts(&lab.path("project-b/first")), ["b"]);
    assert!(!lab.path("project-b/second").exists());
    assert!(!lab.path("project-a/second").exists());
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
    drop(daemon);
}

#[test]
fn a_queued_dispatch_whose_file_is_removed_is_withdrawn() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    for name in ["b", "c"] {
        lab.send(&lab.task(name, "fake: mark ran"));
        lab.accepted(name);
    }
    fs::remove_file(lab.dropped("b")).expect("withdraw");
    hold.release();
    lab.completed("a");
    let report = lab.settled("b");
    assert_eq!(report["status"], "cancelled", "{report:#}");
    lab.event("b", "withdrawn");
    lab.completed("c");
    assert!(!lab.path("project-b/ran").exists());
    assert!(!lab.events("b").contains(&"spawned".to_string()));
    drop(daemon);
}

#[test]
fn removing_the_file_of_a_running_dispatch_does_not_stop_it() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    fs::remove_file(lab.dropped("a")).expect("remove");
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn another_dispatch_under_the_name_of_a_running_one_is_a_new_drop() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.place("dispatch-a.json", &lab.task("b", "fake: mark ran").bytes());
    lab.accepted("b");
    hold.release();
    for name in ["a", "b"] {
        lab.settled(name);
        lab.completed(name);
    }
    assert_eq!(starts(&lab.path("project-b/ran")), ["b"]);
    assert_eq!(lab.waiting(), [""; 0]);
    drop(daemon);
}

#[test]
fn another_dispatch_under_the_name_of_a_queued_one_is_a_new_drop() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.send(&lab.task("b", "fake: mark ran"));
    lab.accepted("b");
    lab.place("dispatch-b.json", &lab.task("c", "fake: mark ran").bytes());
    lab.accepted("c");
    hold.release();
    lab.settled("c");
    lab.completed("c");
    lab.settled("b");
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
    assert_eq!(starts(&lab.path("project-c/ran")), ["c"]);
    drop(daemon);
}
