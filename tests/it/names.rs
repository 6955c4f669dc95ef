//! A file of the drop zone that is renamed, copied or written anew while its dispatch waits or
//! runs: what was accepted stays what it is, and every file that was dropped has an answer of its
//! own.

use std::fs::{self, File};
use std::io::Write;
use std::time::{Duration, Instant};

use crate::util::*;

/// A daemon whose one slot is held by `first`, so that what is sent next waits.
fn busy(lab: &Lab) -> (Daemon, Hold) {
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("first", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    (daemon, hold)
}

fn all_complete(lab: &Lab, names: &[&str]) {
    for name in names {
        lab.settled(name);
        lab.completed(name);
    }
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
}

fn is_withdrawn(lab: &Lab, name: &str) {
    lab.settled(name);
    lab.ended(name, "cancelled", "cancelled");
    lab.event(name, "withdrawn");
    assert!(!lab.events(name).contains(&"spawned".to_string()));
}

/// Says that `name` was rejected under an id that has its dispatch.
fn is_duplicate(lab: &Lab, file: &str) {
    let (_, why) = lab.rejected(file);
    assert_eq!(why["reason"], "duplicate_id", "{why:#}");
}

// --------------------------------------------------------------------------------------- rewritten

#[test]
fn another_dispatch_written_into_the_file_of_a_running_one_is_a_new_drop() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    fs::write(lab.dropped("first"), lab.task("b", "fake: mark ran").bytes()).expect("write");
    lab.accepted("b");
    hold.release();
    all_complete(&lab, &["first", "b"]);
    assert_eq!(starts(&lab.path("project-b/ran")), ["b"]);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn another_dispatch_written_into_the_file_of_a_queued_one_is_a_new_drop_and_both_run() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    lab.send(&lab.task("a", "fake: mark ran"));
    lab.accepted("a");
    fs::write(lab.dropped("a"), lab.task("b", "fake: mark ran").bytes()).expect("write");
    lab.accepted("b");
    assert!(lab.active("a").join("detached").exists());
    // Over that one's name, too: whatever a sender does, each is answered.
    lab.place("dispatch-a.json", &lab.task("c", "fake: mark ran").bytes());
    lab.accepted("c");
    hold.release();
    all_complete(&lab, &["first", "a", "b", "c"]);
    for name in ["a", "b", "c"] {
        assert_eq!(starts(&lab.path(&format!("project-{name}/ran"))), [name]);
    }
    let line = lab.event("a", "detached");
    assert_eq!(line["file"], "dispatch-a.json", "{line}");
    drop(daemon);
}

#[test]
fn other_bytes_with_the_same_id_are_a_duplicate_wherever_their_dispatch_stands() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    lab.send(&lab.task("a", "fake: mark first"));
    lab.accepted("a");
    for name in ["first", "a"] {
        fs::write(lab.dropped(name), lab.task(name, "fake: mark second").bytes()).expect("write");
        is_duplicate(&lab, &format!("{}.json", id(name)));
    }
    hold.release();
    all_complete(&lab, &["first", "a"]);
    assert_eq!(starts(&lab.path("project-a/first")), ["a"]);
    assert!(!lab.path("project-a/second").exists());
    assert!(!lab.path("project-first/second").exists());
    drop(daemon);
}

#[test]
fn what_was_written_anew_and_removed_withdraws_the_new_one_alone() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    lab.send(&lab.task("a", "fake: mark ran"));
    lab.accepted("a");
    fs::write(lab.dropped("a"), lab.task("b", "fake: mark ran").bytes()).expect("write");
    lab.accepted("b");
    fs::remove_file(lab.dropped("a")).expect("withdraw");
    hold.release();
    is_withdrawn(&lab, "b");
    all_complete(&lab, &["first", "a"]);
    drop(daemon);
}

#[test]
fn a_file_that_is_written_anew_slowly_is_judged_when_it_stands_still() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).set("--settle", 1).start();
    lab.send(&lab.task("first", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.send(&lab.task("a", "fake: mark ran"));
    lab.accepted("a");
    let bytes = lab.task("b", "fake: mark ran").bytes();
    let mut file = File::create(lab.dropped("a")).expect("write it anew");
    file.write_all(&bytes[..20]).expect("its beginning");
    lab.send(&lab.task("c", "hello"));
    lab.accepted("c");
    file.write_all(&bytes[20..]).expect("the rest");
    drop(file);
    lab.accepted("b");
    hold.release();
    all_complete(&lab, &["first", "a", "b", "c"]);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn nonsense_written_into_a_known_file_is_rejected_and_the_dispatch_runs() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    lab.send(&lab.task("a", "fake: mark ran"));
    lab.accepted("a");
    fs::write(lab.dropped("a"), "no JSON").expect("write");
    lab.rejected("dispatch-a.json");
    hold.release();
    all_complete(&lab, &["first", "a"]);
    drop(daemon);
}

#[test]
fn what_a_known_file_became_while_no_daemon_ran_is_seen_at_the_start() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    for name in ["a", "b", "c", "d"] {
        lab.send(&lab.task(name, "fake: mark first"));
        lab.accepted(name);
    }
    daemon.crash();
    // The same inode, another one, the same id; and `d` is renamed.
    fs::write(lab.dropped("a"), lab.task("e", "fake: mark ran").bytes()).expect("write");
    lab.place("dispatch-b.json", &lab.task("f", "fake: mark ran").bytes());
    fs::write(lab.dropped("c"), lab.task("c", "fake: mark second").bytes()).expect("write");
    fs::rename(lab.dropped("d"), lab.inbox().join("dispatch-moved.json")).expect("rename");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    hold.release();
    all_complete(&lab, &["first", "a", "b", "c", "d", "e", "f"]);
    is_duplicate(&lab, "dispatch-c.json");
    for name in ["a", "b", "c", "d"] {
        assert_eq!(starts(&lab.path(&format!("project-{name}/first"))), [name]);
    }
    assert!(!lab.path("project-c/second").exists());
    drop(daemon);
}

#[test]
fn what_was_detached_stays_so_through_a_restart() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    lab.send(&lab.task("a", "fake: mark ran"));
    lab.accepted("a");
    fs::write(lab.dropped("a"), "no JSON").expect("write");
    lab.rejected("dispatch-a.json");
    daemon.crash();
    assert_eq!(lab.waiting(), ["dispatch-first.json"]);
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    hold.release();
    all_complete(&lab, &["first", "a"]);
    drop(daemon);
}

/// Size and time tell nothing then; the bytes do, when the answered file is to be removed.
#[test]
fn a_rewriting_that_hides_itself_is_found_when_the_file_is_to_go() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    let other = lab.task("other", format!("fake: block {}", lab.path("gate").display()));
    let file = lab.dropped("first");
    let written = fs::metadata(&file).and_then(|meta| meta.modified()).expect("its time");
    fs::write(&file, other.bytes()).expect("write");
    let times = |file: &File| file.set_modified(written);
    File::options().write(true).open(&file).and_then(|f| times(&f)).expect("set its time");
    hold.release();
    lab.settled("first");
    lab.completed("first");
    lab.accepted("other");
    Gate::at(lab.path("gate")).held().release();
    all_complete(&lab, &["other"]);
    drop(daemon);
}

// --------------------------------------------------------------------------------- renamed, copied

#[test]
fn a_queued_dispatch_whose_file_is_renamed_runs() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    for name in ["a", "b", "c"] {
        lab.send(&lab.task(name, "fake: mark ran"));
        lab.accepted(name);
    }
    fs::rename(lab.dropped("a"), lab.inbox().join("dispatch-moved.json")).expect("rename");
    fs::rename(lab.dropped("c"), lab.inbox().join("dispatch-c.tmp")).expect("rename");
    hold.release();
    lab.settled("first");
    all_complete_but_tmp(&lab, &["a", "b"]);
    is_withdrawn(&lab, "c");
    assert_eq!(starts(&lab.path("project-a/ran")), ["a"]);
    assert!(!lab.path("project-c/ran").exists());
    drop(daemon);
}

fn all_complete_but_tmp(lab: &Lab, names: &[&str]) {
    for name in names {
        lab.settled(name);
        lab.completed(name);
    }
    wait_until("the rest", PATIENCE, || lab.waiting() == ["dispatch-c.tmp"]);
}

#[test]
fn a_copy_of_a_queued_dispatch_is_a_second_name_of_it() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    let again = lab.inbox().join("dispatch-again.json");
    for name in ["a", "b"] {
        lab.send(&lab.task(name, "fake: mark ran"));
        lab.accepted(name);
    }
    lab.place("dispatch-again.json", &lab.task("a", "fake: mark ran").bytes());
    lab.event("a", "redelivered");
    // Linked and unlinked, it never has two names that are looked at.
    let link = lab.inbox().join(".link");
    fs::hard_link(lab.dropped("b"), &link).expect("link");
    fs::remove_file(lab.dropped("b")).expect("remove the first name");
    fs::rename(link, lab.inbox().join("dispatch-link.json")).expect("rename");
    lab.event("b", "redelivered");
    fs::remove_file(lab.dropped("a")).expect("remove the first name");
    lab.send(&lab.task("c", "hello"));
    lab.accepted("c");
    assert!(again.exists(), "a valid file was removed");
    hold.release();
    all_complete(&lab, &["first", "a", "b", "c"]);
    assert_eq!(starts(&lab.path("project-a/ran")), ["a"]);
    assert_eq!(lab.rejected_count(), 0);
    assert!(!daemon.stderr().contains("new id"), "{}", daemon.stderr());
    drop(daemon);
}

#[test]
fn a_dispatch_is_withdrawn_when_its_last_name_is_gone() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    lab.send(&lab.task("a", "fake: mark ran"));
    lab.accepted("a");
    lab.place("dispatch-again.json", &lab.task("a", "fake: mark ran").bytes());
    lab.event("a", "redelivered");
    fs::remove_file(lab.dropped("a")).expect("remove one");
    fs::remove_file(lab.inbox().join("dispatch-again.json")).expect("remove the other");
    hold.release();
    all_complete(&lab, &["first"]);
    is_withdrawn(&lab, "a");
    drop(daemon);
}

#[test]
fn a_copy_of_a_running_dispatch_is_removed_and_a_renamed_file_of_one_stays() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    let bytes = fs::read(lab.dropped("first")).expect("its bytes");
    lab.place("dispatch-again.json", &bytes);
    lab.event("first", "redelivered");
    wait_until("the copy gone", PATIENCE, || lab.waiting() == ["dispatch-first.json"]);
    let moved = lab.inbox().join("dispatch-moved.json");
    fs::rename(lab.dropped("first"), &moved).expect("rename");
    lab.send(&lab.task("a", "hello"));
    lab.accepted("a");
    assert!(moved.exists(), "its last name was removed");
    hold.release();
    all_complete(&lab, &["first", "a"]);
    drop(daemon);
}

#[test]
fn touching_a_known_file_changes_nothing() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    lab.send(&lab.task("a", "fake: mark ran"));
    lab.accepted("a");
    let bytes = fs::read(lab.dropped("a")).expect("its bytes");
    fs::write(lab.dropped("a"), &bytes).expect("write the same");
    lab.send(&lab.task("b", "hello"));
    lab.accepted("b");
    assert!(!lab.active("a").join("detached").exists());
    fs::remove_file(lab.dropped("a")).expect("withdraw");
    hold.release();
    all_complete(&lab, &["first", "b"]);
    is_withdrawn(&lab, "a");
    drop(daemon);
}

#[test]
fn a_file_that_is_replaced_by_the_same_bytes_stays_the_dispatchs() {
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    let a = lab.task("a", "fake: mark ran");
    lab.send(&a);
    lab.accepted("a");
    for _ in 0..3 {
        lab.send(&a);
    }
    hold.release();
    all_complete(&lab, &["first", "a"]);
    drop(daemon);
}

#[test]
fn many_files_that_are_removed_at_once_are_withdrawn_with_few_looks_at_the_drop_zone() {
    const COUNT: usize = 150;
    let lab = Lab::new();
    let (daemon, hold) = busy(&lab);
    let names: Vec<String> = (0..COUNT).map(|n| n.to_string()).collect();
    for name in &names {
        lab.send(&lab.task(name, "fake: mark ran"));
    }
    names.iter().for_each(|name| lab.accepted(name));
    for name in &names {
        fs::remove_file(lab.dropped(name)).expect("withdraw");
    }
    let start = Instant::now();
    hold.release();
    for name in &names {
        is_withdrawn(&lab, name);
    }
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    lab.send(&lab.task("next", "hello"));
    all_complete(&lab, &["first", "next"]);
    drop(daemon);
}

/// Where no event tells of it, what was renamed and what was removed look alike until the drop zone
/// has been looked through.
#[cfg(target_os = "linux")]
#[test]
fn a_renamed_file_is_looked_for_before_its_dispatch_counts_as_withdrawn() {
    let lab = Lab::new();
    if !can_run_under(&WITHOUT_EVENTS) {
        return skipped("no user namespace in which nothing can be watched");
    }
    let gate = lab.gate("gate");
    let start = lab.daemon().set("--max-concurrent", 1).set("--poll", 2).under(&WITHOUT_EVENTS);
    let daemon = start.start();
    lab.send(&lab.task("first", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    for name in ["a", "b"] {
        lab.send(&lab.task(name, "fake: mark ran"));
    }
    // Both are found by one look; the next one comes in two seconds.
    lab.accepted("b");
    fs::rename(lab.dropped("a"), lab.inbox().join("dispatch-moved.json")).expect("rename");
    fs::remove_file(lab.dropped("b")).expect("remove");
    hold.release();
    all_complete(&lab, &["first", "a"]);
    is_withdrawn(&lab, "b");
    assert!(daemon.stderr().contains("looking every"), "{}", daemon.stderr());
    drop(daemon);
}
