//! A signature that is shown twice starts nothing twice: through a restart, after the answer was
//! taken away, and after everything of the dispatch was pruned.

use super::*;

#[test]
fn the_same_bytes_again_are_a_redelivery_whatever_became_of_their_time_and_answer() {
    let lab = Lab::new();
    keygen(&lab, "a");
    let count = lab.path("starts");
    let order = format!("fake: mark {} start", count.display());
    let daemon = lab.daemon().start();
    let dispatch = signed(&lab, &lab.task("x", order), &["--ttl", "2"]);
    let exp = now() + 3;
    lab.send(&dispatch);
    lab.settled("x");
    fs::remove_file(lab.report_path("x")).expect("take the answer away");
    wait_until("its signature ran out", PATIENCE, || now() > exp);
    let again = |times: usize| {
        lab.send(&dispatch);
        wait_until("a redelivery", PATIENCE, || {
            lab.events("x").iter().filter(|event| *event == "redelivered").count() == times
        });
        wait_until("its file is removed", PATIENCE, || lab.waiting().is_empty());
    };
    again(1);
    // Other bytes that are right are told that the id is taken; wrong ones are not.
    lab.send(&signed(&lab, &lab.task("x", "other"), &[]));
    rejected_again(&lab, "duplicate_id");
    lab.send(&dispatch.clone().with("task", "other"));
    rejected_again(&lab, "signature");
    drop(daemon);
    let daemon = lab.daemon().start();
    again(2);
    assert_eq!(starts(&count), ["x"]);
    drop(daemon);
}

fn rejected_again(lab: &Lab, reason: &str) {
    let (dir, why) = lab.rejected("dispatch-x.json");
    assert_eq!(why["reason"], reason, "{why}");
    fs::remove_dir_all(dir).expect("forget it");
}

#[test]
fn a_signed_id_stays_taken_after_all_of_its_dispatch_was_pruned() {
    let lab = Lab::new();
    keygen(&lab, "a");
    let count = lab.path("starts");
    let order = format!("fake: mark {} start", count.display());
    let start = || lab.daemon().set("--heartbeat", 0.05).set("--reports-keep-days", 0.000001);
    let daemon = start().start();
    let dispatch = signed(&lab, &lab.task("x", &order), &[]);
    let other = signed(&lab, &lab.task("x", "other"), &[]);
    let plain = lab.task("x", "unsigned");
    lab.send(&dispatch);
    lab.send(&lab.task("y", &order));
    lab.report("x");
    lab.report("y");
    drop(daemon);
    // Everything is looked through at a start.
    let mut daemon = start().start();
    for name in ["x", "y"] {
        wait_until("it is pruned", PATIENCE, || !lab.finished(name).exists());
        fs::remove_file(lab.report_path(name)).expect("take the answer away");
    }
    for restart in [false, true] {
        if restart {
            drop(daemon);
            daemon = start().start();
        }
        for again in [&dispatch, &other, &plain] {
            lab.send(again);
            rejected_for(&lab, "x", "replayed");
        }
    }
    // What was not signed is forgotten, as ever.
    lab.send(&lab.task("y", &order));
    lab.report("y");
    assert_eq!(starts(&count).iter().filter(|name| *name == "x").count(), 1);
    assert_eq!(starts(&count).iter().filter(|name| *name == "y").count(), 2);
    let spent = fs::read_dir(lab.ours().join("spent")).expect("spent").count();
    assert_eq!(spent, 1);
    drop(daemon);
}

#[test]
fn an_id_that_no_signature_needs_any_more_is_forgotten() {
    let lab = Lab::new();
    keygen(&lab, "a");
    let spent = lab.ours().join("spent");
    fs::create_dir_all(&spent).expect("create spent");
    for (name, hours) in [("old", 73), ("new", 71)] {
        let path = spent.join(id(name));
        fs::write(&path, "").expect("write");
        let age = std::time::Duration::from_secs(hours * 3600);
        let file = fs::File::options().write(true).open(&path).expect("open");
        file.set_modified(std::time::SystemTime::now() - age).expect("set its time");
    }
    let daemon = lab.daemon().set("--heartbeat", 0.05).start();
    wait_until("the old one is gone", PATIENCE, || !spent.join(id("old")).exists());
    lab.send(&lab.task("old", "hello"));
    lab.completed("old");
    lab.send(&lab.task("new", "hello"));
    rejected_for(&lab, "new", "replayed");
    drop(daemon);
}

/// A session can remove the records of its own dispatch; its id stays taken all the same.
#[test]
fn an_id_whose_records_a_session_removed_stays_taken_too() {
    let lab = Lab::new();
    keygen(&lab, "a");
    let claim = lab.active("x");
    let order = format!("fake: try gone cd {} && rm accepted.json */attempt.json", claim.display());
    let start = || lab.daemon().set("--heartbeat", 0.05).set("--reports-keep-days", 0.000001);
    let daemon = start().start();
    let dispatch = signed(&lab, &lab.task("x", order), &[]);
    lab.send(&dispatch);
    lab.report("x");
    assert_eq!(text_file(lab.path("project-x").join("tried")), "gone 0\n");
    drop(daemon);
    let daemon = start().start();
    wait_until("it is pruned", PATIENCE, || !lab.finished("x").exists());
    fs::remove_file(lab.report_path("x")).expect("take the answer away");
    lab.send(&dispatch);
    rejected_for(&lab, "x", "replayed");
    drop(daemon);
}

/// Somebody else's session can remove a claim that waits; what was found out about its signature
/// must not go with it.
#[test]
fn a_claim_that_is_put_back_from_its_file_keeps_what_its_signature_showed() {
    let lab = Lab::new();
    keygen(&lab, "a");
    let control = lab.ours().join("control");
    let daemon = lab.daemon().start();
    fs::write(control.join("pause"), "").expect("pause");
    lab.event("", "paused");
    lab.send(&signed(&lab, &lab.task("x", "hello"), &[]));
    lab.accepted("x");
    daemon.crash();
    // The next daemon knows of it by its folder alone, and keeps nothing else in memory.
    let daemon = lab.daemon().start();
    fs::remove_dir_all(lab.active("x")).expect("remove the claim");
    fs::write(control.join("resume"), "").expect("resume");
    went_on(&lab, "x", Some("strong"), Some("a"));
    lab.settled("x");
    let accepted = json_file(&lab.finished("x").join("accepted.json"));
    assert!(accepted["signed"]["exp"].is_u64(), "{accepted}");
    drop(daemon);
}
