//! The wait itself: through restarts, settings that change, cancels, and more dispatches than may
//! wait.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use super::*;

#[test]
fn what_waits_is_judged_anew_at_each_start() {
    let lab = Lab::new();
    for name in ["a", "b"] {
        let daemon = gated(&lab).start();
        send_to_wait(&lab, name);
        daemon.crash();
    }
    let daemon = gated(&lab).start();
    lab.heartbeat("both wait on", |beat| beat["pending_count"] == 2);
    let asked = |name: &str| lab.events(name).iter().filter(|e| *e == "approval_required").count();
    assert_eq!((asked("a"), asked("b")), (1, 1), "told once");
    drop(daemon);
    let trusts = format!("{},{}", lab.path("trusted").display(), lab.path("project-a").display());
    let daemon = lab.daemon().set("--trusted-projects", trusts).start();
    let report = lab.completed("a");
    assert_eq!(report["approval"]["by"], "trusted_project", "{report:#}");
    drop(daemon);
    let daemon = lab.daemon().start();
    let report = lab.completed("b");
    assert!(report.get("approval").is_none(), "{report:#}");
    drop(daemon);
}

#[test]
fn a_dispatch_keeps_its_place_in_line_while_it_waits() {
    let lab = Lab::new();
    let daemon = gated(&lab).set("--max-concurrent", 1).start();
    let gate = lab.gate("gate");
    let trusted = lab.path("trusted");
    let mark = format!("fake: mark {}", lab.path("ran").display());
    send_to_wait(&lab, "first");
    let task = format!("fake: block {}", gate.display());
    lab.send(&lab.task("runs", task).in_dir(&trusted));
    let hold = gate.held();
    lab.send(&lab.task("second", mark).in_dir(&trusted));
    lab.accepted("second");
    approve(&lab, "first");
    wait_until("in the queue", PATIENCE, || lab.active("first").exists());
    hold.release();
    lab.completed("second");
    assert_eq!(starts(&lab.path("ran")), ["first", "second"]);
    drop(daemon);
}

#[test]
fn what_is_queued_and_not_trusted_any_more_goes_back_to_wait() {
    let lab = Lab::new();
    fs::create_dir_all(lab.ours()).expect("create");
    let trusts = |dirs: &[PathBuf]| {
        let config = json!({"trusted_projects": dirs}).to_string();
        fs::write(lab.ours().join("config.json"), config).expect("write");
    };
    let (mine, project) = (lab.project("trusted"), lab.project("project-a"));
    trusts(&[mine.clone(), project.clone()]);
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    let gate = lab.gate("gate");
    lab.send(&lab.task("runs", format!("fake: block {}", gate.display())).in_dir(&mine));
    let hold = gate.held();
    lab.send(&lab.task("a", format!("fake: mark {}", lab.path("ran").display())));
    lab.accepted("a");
    trusts(std::slice::from_ref(&mine));
    daemon.signal(Signal::HUP);
    lab.event("", "config_reloaded");
    hold.release();
    waits(&lab, "a");
    assert!(!has_run(&lab, "a") && !lab.active("a").exists());
    // Its slot is free.
    lab.send(&lab.task("next", "hello").in_dir(&mine));
    lab.completed("next");
    // Who trusts it by now lets it run at once.
    trusts(&[mine, project]);
    daemon.signal(Signal::HUP);
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_dispatch_that_waits_can_be_cancelled_and_withdrawn_as_ever() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    for name in ["cancelled", "withdrawn"] {
        send_to_wait(&lab, name);
    }
    fs::write(lab.inbox().join("cancel-dispatch-cancelled"), "").expect("cancel");
    lab.ended("cancelled", "cancelled", "cancelled");
    fs::remove_file(lab.dropped("withdrawn")).expect("remove");
    approve(&lab, "withdrawn");
    lab.ended("withdrawn", "cancelled", "cancelled");
    lab.event("withdrawn", "withdrawn");
    assert_eq!(starts(&lab.path("ran")), [""; 0]);
    drop(daemon);
}

#[test]
fn an_id_that_waits_is_taken() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    send_to_wait(&lab, "a");
    lab.place("dispatch-other.json", &lab.task("a", "other words").bytes());
    let (_, why) = lab.rejected("dispatch-other.json");
    assert_eq!(why["reason"], "duplicate_id", "{why}");
    lab.place("dispatch-same.json", &fs::read(lab.dropped("a")).expect("the file"));
    lab.event("a", "redelivered");
    approve(&lab, "a");
    lab.completed("a");
    wait_until("both files are gone", PATIENCE, || lab.waiting().is_empty());
    drop(daemon);
}

#[test]
fn a_file_that_is_written_anew_leaves_what_waits_alone() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    send_to_wait(&lab, "a");
    let digest = sha256(&lab.dropped("a"));
    lab.place("dispatch-a.json", &lab.task("later", "hello").in_dir(&lab.path("trusted")).bytes());
    lab.completed("later");
    lab.event("a", "detached");
    assert_eq!(sha256(&pending(&lab, "a").join("dispatch.json")), digest);
    approve(&lab, "a");
    lab.completed("a");
    drop(daemon);
}

#[test]
fn while_too_many_wait_a_file_that_might_have_to_wait_stays_in_the_inbox() {
    let lab = Lab::new();
    let daemon = gated(&lab).set("--pending-max", 2).set("--heartbeat", 0.2).start();
    for name in ["a", "b"] {
        send_to_wait(&lab, name);
    }
    for name in ["c", "d"] {
        lab.send(&lab.task(name, format!("fake: mark {}", lab.path("ran").display())));
    }
    lab.event("", "pending_full");
    lab.send(&lab.task("trusted", "hello").in_dir(&lab.path("trusted")));
    lab.completed("trusted");
    for name in ["c", "d"] {
        assert_eq!(lab.events(name), [""; 0]);
        assert!(lab.dropped(name).exists());
    }
    approve(&lab, "a");
    lab.completed("a");
    waits(&lab, "c");
    lab.heartbeat("two wait", |beat| beat["pending_count"] == 2);
    assert_eq!(lab.events("d"), [""; 0]);
    let full = || lab.events("").iter().filter(|event| *event == "pending_full").count();
    assert_eq!(full(), 1);
    for name in ["b", "c"] {
        approve(&lab, name);
        lab.completed(name);
    }
    waits(&lab, "d");
    approve(&lab, "d");
    lab.completed("d");
    assert_eq!(full(), 1);
    drop(daemon);
}

#[test]
fn a_file_that_was_held_back_does_not_wait_for_room_that_it_no_longer_needs() {
    let lab = Lab::new();
    fs::create_dir_all(lab.ours()).expect("create");
    let trusts = |dir: PathBuf| {
        let config = json!({"trusted_projects": [dir], "pending_max": 1}).to_string();
        fs::write(lab.ours().join("config.json"), config).expect("write");
    };
    trusts(lab.path("trusted"));
    let daemon = lab.daemon().start();
    send_to_wait(&lab, "a");
    for name in ["b", "c"] {
        lab.send(&lab.task(name, "hello"));
    }
    lab.event("", "pending_full");
    trusts(lab.path("project-b"));
    daemon.signal(Signal::HUP);
    lab.completed("b");
    assert!(pending(&lab, "a").exists());
    assert_eq!(lab.events("c"), [""; 0]);
    approve(&lab, "a");
    waits(&lab, "c");
    drop(daemon);
}

#[test]
fn the_time_in_line_counts_from_the_approval() {
    let lab = Lab::new();
    let start = || gated(&lab).set("--queue-timeout", 1);
    let daemon = start().start();
    send_to_wait(&lab, "a");
    let record = pending(&lab, "a").join("accepted.json");
    drop(daemon);
    // It was accepted an hour ago.
    let mut accepted = json_file(&record);
    accepted["accepted_at"] = json!("2026-01-01T00:00:00.000Z");
    fs::write(&record, accepted.to_string()).expect("write");
    let daemon = start().set("--approval-expiry", 3.0e9).start();
    approve(&lab, "a");
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_changed_copy_whose_file_is_gone_is_refused_whatever_is_asked() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    let names = ["approved", "cancelled", "denied"];
    for name in names {
        send_to_wait(&lab, name);
        let copy = pending(&lab, name).join("dispatch.json");
        let digest = sha256(&copy);
        fs::remove_file(lab.dropped(name)).expect("its file");
        let text = text_file(&copy).replace("fake: mark", "fake: turn x");
        fs::remove_file(&copy).expect("its copy");
        fs::write(&copy, text).expect("another copy");
        match name {
            "approved" => ask(&lab, "approve", name, &digest),
            "denied" => ask(&lab, "deny", name, "no"),
            _ => fs::write(lab.inbox().join("cancel-dispatch-cancelled"), "").expect("cancel"),
        }
        let report = lab.failed(name, "not_authorized");
        let error = "its copy in pending/ is not what was accepted any more: it never runs";
        assert_eq!(report["error"], error, "{report:#}");
        lab.settled(name);
        let told = lab.events(name).iter().filter(|event| *event == "not_authorized").count();
        assert_eq!(told, 1, "{:?}", lab.events(name));
        assert!(!has_run(&lab, name));
    }
    for word in ["approve", "deny"] {
        names.iter().for_each(|name| assert!(!control(&lab, word, name).exists()));
    }
    drop(daemon);
}
