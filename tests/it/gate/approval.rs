//! What a person says to a dispatch that waits: yes, no, or nothing in time.

use std::fs;

use serde_json::json;

use super::*;

#[test]
fn a_trusted_project_runs_at_once_and_another_waits_until_it_is_approved() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    let below = lab.project("trusted/deep/er");
    lab.send(&lab.task("a", "hello").in_dir(&below));
    let report = lab.completed("a");
    assert_eq!(report["approval"]["by"], "trusted_project", "{report:#}");
    assert!(is_stamp(&report["approval"]["at"]), "{report:#}");

    assert!(!daemon.stderr().contains("can run anything as you"), "{}", daemon.stderr());
    let line = send_to_wait(&lab, "b");
    assert_eq!(line["why"], "untrusted_project", "{line}");
    assert_eq!(line["sha256"], sha256(&lab.dropped("b")), "{line}");
    assert!(is_stamp(&line["expires_at"]), "{line}");
    let said =
        format!("GSTACK_HOME={} gstack-dispatch-daemon approve {}", lab.gstack.display(), id("b"));
    assert!(daemon.stderr().contains(&said), "the line to type: {}", daemon.stderr());
    let beat = lab.heartbeat("one waits", |beat| beat["pending_count"] == 1);
    let shown = &beat["pending"][0];
    assert_eq!(
        (&shown["id"], &shown["project"], &shown["why"], &shown["expires_at"]),
        (&json!(id("b")), &json!("project-b"), &json!("untrusted_project"), &line["expires_at"]),
        "{beat:#}"
    );
    assert_eq!((beat["queued"].as_u64(), beat["active"].as_u64()), (Some(0), Some(0)), "{beat:#}");
    assert!(!lab.active("b").exists() && lab.dropped("b").exists());
    // Others pass it.
    lab.send(&lab.task("c", "hello").in_dir(&below));
    lab.completed("c");
    assert!(!has_run(&lab, "b"));

    approve(&lab, "b");
    let report = lab.settled("b");
    assert_eq!(report["approval"]["by"], "person", "{report:#}");
    assert!(has_run(&lab, "b"));
    let line = lab.event("b", "approved");
    assert_eq!(
        (&line["by"], &line["sha256"]),
        (&json!("person"), &json!(sha256(&lab.finished("b").join("dispatch.json"))))
    );
    assert_eq!(line["uid"], rustix::process::getuid().as_raw(), "{line}");
    heeded(&lab, "approve", "b");
    lab.heartbeat("none waits", |beat| beat.get("pending_count").is_none());
    let events = lab.events("b");
    let order = ["received", "approval_required", "approved", "spawned", "completed"];
    assert_eq!(events, order);
    drop(daemon);
}

#[test]
fn a_gate_that_is_not_configured_says_nothing() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    let report = lab.completed("a");
    assert!(report.get("approval").is_none(), "{report:#}");
    let said = "can run anything as you";
    assert_eq!(daemon.stderr().matches(said).count(), 1, "{}", daemon.stderr());
    let beat = lab.heartbeat("any", |_| true);
    assert!(beat.get("pending").is_none() && beat.get("pending_count").is_none(), "{beat:#}");
    drop(daemon);
}

#[test]
fn an_empty_list_trusts_nothing() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--trusted-projects", "").start();
    send_to_wait(&lab, "a");
    ask(&lab, "deny", "a", "");
    let report = lab.ended("a", "cancelled", "not_authorized");
    assert_eq!(report["error"], "denied", "{report:#}");
    drop(daemon);
}

#[test]
fn a_denied_dispatch_is_answered_and_never_runs() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let daemon = gated(&lab).start();
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    waits(&lab, "a");
    ask(&lab, "deny", "a", "not this way");
    let report = lab.ended("a", "cancelled", "not_authorized");
    assert_eq!(report["error"], "denied: not this way", "{report:#}");
    assert_eq!(lab.event("a", "denied")["reason"], "not this way");
    assert_eq!(lab.event("a", "cancelled")["error_type"], "not_authorized");
    lab.event("a", "callback_sent");
    heeded(&lab, "deny", "a");
    wait_until("in finished/", PATIENCE, || lab.finished("a").join("report.json").exists());
    assert!(!pending(&lab, "a").exists() && lab.waiting().is_empty() && !has_run(&lab, "a"));
    drop(daemon);
}

#[test]
fn a_no_wins_over_a_yes() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    send_to_wait(&lab, "a");
    let digest = sha256(&pending(&lab, "a").join("dispatch.json"));
    drop(daemon);
    ask(&lab, "approve", "a", &digest);
    ask(&lab, "deny", "a", "no");
    let daemon = gated(&lab).start();
    lab.ended("a", "cancelled", "not_authorized");
    for word in ["approve", "deny"] {
        heeded(&lab, word, "a");
    }
    assert!(!has_run(&lab, "a"));
    drop(daemon);
}

#[test]
fn what_nobody_allows_in_time_is_given_up() {
    let lab = Lab::new();
    let daemon = gated(&lab).set("--approval-expiry", 0.5).start();
    send_to_wait(&lab, "a");
    let report = lab.ended("a", "cancelled", "not_authorized");
    assert_eq!(report["error"], "not approved within 0.5 s: untrusted_project", "{report:#}");
    assert_eq!(lab.event("a", "approval_expired")["why"], "untrusted_project");
    assert!(!has_run(&lab, "a"));
    drop(daemon);
}

#[test]
fn an_approval_of_other_bytes_or_of_what_does_not_wait_is_ignored() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    send_to_wait(&lab, "a");
    for (number, text) in ["0".repeat(64), String::new(), "yes".into()].into_iter().enumerate() {
        ask(&lab, "approve", "a", &text);
        heeded(&lab, "approve", "a");
        wait_until("told", PATIENCE, || {
            let lines = lab.audit_of("a");
            let ignored = lines.iter().filter(|line| line["event"] == "approval_ignored");
            ignored.filter(|line| line["why"] == "digest").count() == number + 1
        });
    }
    for word in ["approve", "deny"] {
        ask(&lab, word, "unknown", &"0".repeat(64));
        heeded(&lab, word, "unknown");
    }
    assert_eq!(lab.event("unknown", "approval_ignored")["why"], "not_pending");
    // Only `control/` counts: neither a file in the drop zone nor a field of the dispatch does.
    let digest = sha256(&pending(&lab, "a").join("dispatch.json"));
    fs::write(lab.inbox().join(format!("approve-{}", id("a"))), &digest).expect("write");
    lab.send(
        &lab.task("b", "hello").with("approved", true).with("approval", json!({"by": "person"})),
    );
    waits(&lab, "b");
    assert!(pending(&lab, "a").exists() && !has_run(&lab, "a"));
    for name in ["a", "b"] {
        approve(&lab, name);
        lab.completed(name);
    }
    drop(daemon);
}

#[test]
fn a_request_that_is_written_in_two_steps_is_waited_for() {
    let lab = Lab::new();
    let daemon = gated(&lab).set("--settle", 5).start();
    send_to_wait(&lab, "a");
    let digest = sha256(&pending(&lab, "a").join("dispatch.json"));
    fs::write(control(&lab, "approve", "a"), "").expect("write");
    pause_as_a_slow_writer(std::time::Duration::from_millis(50));
    fs::write(control(&lab, "approve", "a"), digest).expect("write");
    lab.completed("a");
    drop(daemon);
}

/// What somebody changes in the folder of a dispatch that waits.
#[derive(Clone, Copy, PartialEq)]
enum Changed {
    Copy,
    CopyWhileDown,
    /// So that the two fit each other.
    CopyAndDigest,
    /// There is the record of an attempt that never was, with other bytes for a trusted project.
    AttemptWhileDown,
}

fn forge_attempt(lab: &Lab) {
    lab.send(&lab.task("model", "hello").in_dir(&lab.path("trusted")));
    lab.settled("model");
    let mut record = json_file(&lab.finished("model").join("attempt-1/attempt.json"));
    record["accepted"] = json_file(&pending(lab, "a").join("accepted.json"));
    let task = format!("fake: mark {}", lab.path("ran").display());
    let other = lab.task("a", task).in_dir(&lab.path("trusted"));
    record["dispatch"] = String::from_utf8(other.bytes()).expect("UTF-8").into();
    let forged = pending(lab, "a").join("attempt-1");
    fs::create_dir(&forged).expect("create");
    fs::write(forged.join("attempt.json"), record.to_string()).expect("write");
}

#[test]
fn a_copy_that_was_changed_never_runs() {
    use Changed::{AttemptWhileDown, Copy, CopyAndDigest, CopyWhileDown};
    for changed in [Copy, CopyWhileDown, CopyAndDigest, AttemptWhileDown] {
        let lab = Lab::new();
        let mut daemon = Some(gated(&lab).start());
        send_to_wait(&lab, "a");
        let copy = pending(&lab, "a").join("dispatch.json");
        let digest = sha256(&copy);
        if changed == AttemptWhileDown {
            forge_attempt(&lab);
        }
        if matches!(changed, CopyWhileDown | AttemptWhileDown) {
            drop(daemon.take());
        }
        let other = format!("fake: mark {}\nother words", lab.path("ran").display());
        fs::write(&copy, lab.task("a", other).bytes()).expect("write");
        if changed == CopyAndDigest {
            let record = pending(&lab, "a").join("accepted.json");
            let text = text_file(&record).replace(&digest, &sha256(&copy));
            fs::write(&record, text).expect("write");
        }
        ask(&lab, "approve", "a", &digest);
        let daemon = daemon.unwrap_or_else(|| gated(&lab).start());
        let report = lab.failed("a", "not_authorized");
        assert!(report["error"].as_str().is_some_and(|e| e.contains("not what was accepted")));
        lab.event("a", "not_authorized");
        wait_until("in finished/", PATIENCE, || lab.finished("a").exists());
        assert!(!has_run(&lab, "a") && !pending(&lab, "a").exists());
        drop(daemon);
    }
}

/// A session runs as our user, and another dispatch's folder is no further away than its own.
#[test]
fn what_was_approved_is_all_that_runs_whatever_becomes_of_its_folder_in_the_queue() {
    let lab = Lab::new();
    let daemon = gated(&lab).start();
    fs::write(lab.ours().join("control/pause"), "").expect("pause");
    lab.event("", "paused");
    send_to_wait(&lab, "a");
    let digest = sha256(&pending(&lab, "a").join("dispatch.json"));
    approve(&lab, "a");
    let folder = lab.active("a");
    wait_until("in the queue", PATIENCE, || folder.exists());
    let other = lab.task("a", format!("fake: mark {}", lab.path("other").display()));
    fs::write(folder.join("dispatch.json"), other.bytes()).expect("write");
    // So that everything there fits.
    for record in ["accepted.json", "approval.json"] {
        let record = folder.join(record);
        let text = text_file(&record).replace(&digest, &sha256(&folder.join("dispatch.json")));
        fs::write(&record, text).expect("write");
    }
    fs::write(lab.ours().join("control/resume"), "").expect("resume");
    // The approval that stood there is as good as the rest of the folder.
    wait_until("it waits again", PATIENCE, || pending(&lab, "a").join("pending.json").exists());
    assert_eq!(sha256(&pending(&lab, "a").join("dispatch.json")), digest);
    assert!(!has_run(&lab, "a"));
    approve(&lab, "a");
    lab.settled("a");
    assert!(has_run(&lab, "a"));
    assert!(!lab.path("other").exists(), "other words ran than those that were approved");
    drop(daemon);
}

#[test]
fn a_signature_that_was_written_into_the_record_of_what_waits_counts_for_nothing() {
    let lab = Lab::new();
    fs::create_dir_all(lab.ours()).expect("create");
    let settings = |place: &str| {
        let config = json!({"trusted_projects": [place], "signed_is_approved": true});
        fs::write(lab.ours().join("config.json"), config.to_string()).expect("write");
    };
    settings("/nowhere");
    let daemon = lab.daemon().start();
    send_to_wait(&lab, "a");
    let record = pending(&lab, "a").join("accepted.json");
    let mut accepted = json_file(&record);
    accepted["signed"] = json!({"form": "strong", "kid": "k", "exp": 9_999_999_999_u64});
    fs::write(&record, accepted.to_string()).expect("write");
    settings("/nowhere/else");
    daemon.signal(rustix::process::Signal::HUP);
    lab.event("", "config_reloaded");
    send_to_wait(&lab, "b");
    assert!(!has_run(&lab, "a") && pending(&lab, "a").exists());
    approve(&lab, "a");
    let report = lab.settled("a");
    assert_eq!(report["approval"]["by"], "person", "{report:#}");
    // It has not even been in the queue before.
    let asked = lab.events("a").into_iter().filter(|event| event == "approval_required");
    assert_eq!(asked.count(), 1);
    drop(daemon);
}

/// A session runs as our user, and `pending/` is no further away than its own folder.
#[test]
fn what_has_its_answer_neither_waits_nor_runs_again_whatever_stands_in_pending() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let ran = lab.path("ran");
    lab.send(&lab.task("a", format!("fake: mark {}", ran.display())));
    lab.settled("a");
    drop(daemon);
    let report = text_file(lab.report_path("a"));
    fs::create_dir(pending(&lab, "a")).expect("create");
    for name in ["accepted.json", "dispatch.json"] {
        fs::copy(lab.finished("a").join(name), pending(&lab, "a").join(name)).expect("copy");
    }
    for trusts in [false, true] {
        let daemon = if trusts { lab.daemon().start() } else { gated(&lab).start() };
        lab.send(&lab.task("next", "hello").in_dir(&lab.project("trusted")));
        lab.completed("next");
        assert!(!pending(&lab, "a").exists() && !lab.active("a").exists());
        assert_eq!(text_file(lab.report_path("a")), report);
        assert_eq!(text_file(lab.finished("a").join("report.json")), report);
        assert_eq!(starts(&ran), ["a"]);
        drop(daemon);
    }
}

#[test]
fn an_approval_holds_for_its_directory_alone() {
    let lab = Lab::new();
    let (one, other) = (lab.project("one"), lab.project("other"));
    let link = lab.path("link");
    std::os::unix::fs::symlink(&one, &link).expect("symlink");
    let daemon = gated(&lab).start();
    fs::write(lab.ours().join("control/pause"), "").expect("pause");
    lab.event("", "paused");
    let ran = format!("fake: mark {}", lab.path("ran").display());
    lab.send(&lab.task("a", ran).in_dir(&link));
    waits(&lab, "a");
    approve(&lab, "a");
    lab.event("a", "approved");
    wait_until("in the queue", PATIENCE, || lab.active("a").exists());
    fs::remove_file(&link).expect("remove");
    std::os::unix::fs::symlink(&other, &link).expect("symlink");
    fs::write(lab.ours().join("control/resume"), "").expect("resume");
    wait_until("it waits again", PATIENCE, || pending(&lab, "a").exists());
    assert!(!has_run(&lab, "a"));
    let record = json_file(&pending(&lab, "a").join("pending.json"));
    assert_eq!(record["dir"], other.display().to_string(), "{record}");
    approve(&lab, "a");
    lab.completed("a");
    drop(daemon);
}
