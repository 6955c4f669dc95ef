//! A session that runs by a task: what ends it, what only warns, and what is asked before a retry.

use rustix::process::Signal;

use super::*;

/// A session that stands still by that task, once it runs.
fn standing(lab: &Lab, name: &str, task: &str) -> Hold {
    let gate = lab.gate(&format!("gate-{name}"));
    lab.send(&by_task(lab, name, task, &format!("fake: block {}", gate.display())));
    gate.held()
}

#[test]
fn a_task_that_is_revoked_in_mid_session_ends_it() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let daemon = asking(&lab, &clawvisor).set("--max-concurrent", 4).start();
    for status in ["revoked", "denied", "cancelled"] {
        let id = format!("t-{status}");
        clawvisor.put(task(&id, "session"));
        let hold = standing(&lab, status, &id);
        clawvisor.set_status(&id, status);
        let report = lab.ended(status, "cancelled", "not_authorized");
        assert_eq!(report["error"], format!("clawvisor task {id} is {status}"));
        let line = lab.event(status, "session_revoked");
        assert_eq!(
            (line["attempt"].as_u64(), &line["clawvisor_status"]),
            (Some(1), &status.into())
        );
        lab.settled(status);
        let events = lab.events(status);
        assert_eq!(events.last().map(String::as_str), Some("cancelled"), "{events:?}");
        drop(hold);
    }
    drop(daemon);
    // What was revoked is over, and is not completed.
    assert!(clawvisor.seen_of("POST", "/").is_empty());
}

#[test]
fn an_adopted_session_is_ended_too() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "session"));
    let daemon = asking(&lab, &clawvisor).start();
    let hold = standing(&lab, "a", "t-1");
    daemon.crash();
    clawvisor.set_status("t-1", "revoked");
    let daemon = asking(&lab, &clawvisor).set("--clawvisor-poll", 3600).start();
    let report = lab.ended("a", "cancelled", "not_authorized");
    assert_eq!(report["error"], "clawvisor task t-1 is revoked");
    assert!(lab.events("a").contains(&"adopted".to_string()));
    drop((hold, daemon));
}

#[test]
fn a_daemon_that_dies_while_it_ends_a_revoked_session_says_the_same() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "session"));
    let daemon = asking(&lab, &clawvisor).set("--kill-grace", 30).start();
    let gate = lab.gate("gate");
    let orders = format!("fake: ignore-term\nfake: block {}", gate.display());
    lab.send(&by_task(&lab, "a", "t-1", &orders));
    let hold = gate.held();
    clawvisor.set_status("t-1", "revoked");
    lab.event("a", "session_revoked");
    let stop = lab.active("a").join("attempt-1/stop.json");
    wait_until("the cause is on record", PATIENCE, || stop.exists());
    daemon.crash();
    clawvisor.trouble("", usize::MAX, Trouble::Silence);
    let daemon = asking(&lab, &clawvisor).start();
    let report = lab.ended("a", "cancelled", "not_authorized");
    assert_eq!(report["error"], "clawvisor task t-1 is revoked");
    drop((hold, daemon));
}

#[test]
fn a_task_that_expires_or_is_completed_in_mid_session_is_a_warning() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let daemon = asking(&lab, &clawvisor).start();
    for status in ["expired", "completed"] {
        let id = format!("t-{status}");
        clawvisor.put(task(&id, "standing"));
        let hold = standing(&lab, status, &id);
        clawvisor.set_status(&id, status);
        let asked = clawvisor.seen_of("GET", &format!("/api/tasks/{id}")).len();
        clawvisor.requests("GET", &format!("/api/tasks/{id}"), asked + 2);
        hold.release();
        let report = lab.completed(status);
        let warning = format!("clawvisor task {id} became {status} while the session ran");
        let warnings = report["warnings"].as_array().expect("warnings");
        assert!(warnings.iter().any(|said| *said == warning.as_str()), "{report:#}");
    }
    drop(daemon);
}

#[test]
fn what_says_nothing_clear_ends_no_session() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let daemon = asking(&lab, &clawvisor).set("--clawvisor-timeout", 0.3).start();
    clawvisor.put(task("t-1", "standing"));
    let hold = standing(&lab, "a", "t-1");
    let revoked = task("t-another", "session").to_string().replace("active", "revoked");
    for trouble in [
        Trouble::Answer(401, "{}".into()),
        Trouble::Answer(403, "{}".into()),
        Trouble::Answer(404, "{}".into()),
        Trouble::Answer(503, "{\"status\":\"revoked\"}".into()),
        Trouble::Answer(200, revoked),
        Trouble::Answer(200, "revoked".into()),
        Trouble::Silence,
        Trouble::Reset,
    ] {
        clawvisor.trouble("t-1", usize::MAX, trouble);
        let asked = clawvisor.seen_of("GET", "/api/tasks/t-1").len();
        clawvisor.requests("GET", "/api/tasks/t-1", asked + 2);
    }
    clawvisor.no_trouble();
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn before_a_retry_a_no_ends_it_and_no_answer_is_asked_again_without_a_slot() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let daemon = asking(&lab, &clawvisor).set("--clawvisor-poll", 3600);
    let daemon = daemon.set("--max-concurrent", 1).set("--rate-limit-backoff", 5.5).start();
    let limited = "fake: once result error 429 rate_limit wait";
    for (name, lifetime) in [("ends", "session"), ("waits", "session"), ("other", "session")] {
        clawvisor.put(task(&format!("t-{name}"), lifetime));
    }
    lab.send(&by_task(&lab, "ends", "t-ends", limited));
    lab.event("ends", "retried");
    clawvisor.set_status("t-ends", "expired");
    let report = lab.failed("ends", "not_authorized");
    assert_eq!(report["error"], "clawvisor task t-ends is expired");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    assert_eq!(lab.event("ends", "not_authorized")["clawvisor_status"], "expired");
    lab.send(&by_task(&lab, "waits", "t-waits", limited));
    lab.event("waits", "retried");
    clawvisor.trouble("t-waits", usize::MAX, Trouble::Answer(503, "{}".into()));
    let asked = clawvisor.seen_of("GET", "/api/tasks/t-waits").len();
    clawvisor.requests("GET", "/api/tasks/t-waits", asked + 2);
    // Its slot is free, and it is no dispatch that waits to be allowed.
    lab.send(&marking(&lab, "other", "t-other"));
    lab.completed("other");
    assert!(!is_pending(&lab, "waits") && lab.active("waits").exists());
    lab.heartbeat("it is queued", |beat| beat["queued"] == 1 && beat["pending_count"].is_null());
    clawvisor.no_trouble();
    let report = lab.completed("waits");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(2), "{report:#}");
    drop(daemon);
}

#[test]
fn a_retry_that_waits_for_clawvisor_can_be_cancelled_and_outlives_the_daemon() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let limited = "fake: once result error 429 rate_limit wait";
    let start = || asking(&lab, &clawvisor).set("--rate-limit-backoff", 5.5);
    let daemon = start().set("--clawvisor-poll", 3600).start();
    for name in ["lives", "cancelled"] {
        clawvisor.put(task(&format!("t-{name}"), "session"));
        lab.send(&by_task(&lab, name, &format!("t-{name}"), limited));
        lab.event(name, "retried");
        clawvisor.trouble(&format!("t-{name}"), usize::MAX, Trouble::Answer(503, "{}".into()));
        let asked = clawvisor.seen_of("GET", &format!("/api/tasks/t-{name}")).len();
        clawvisor.requests("GET", &format!("/api/tasks/t-{name}"), asked + 1);
    }
    lab.heartbeat("both wait", |beat| beat["queued"] == 2 && beat["active"] == 0);
    fs::write(lab.inbox().join(format!("cancel-{}", id("cancelled"))), "").expect("a request");
    let report = lab.ended("cancelled", "cancelled", "cancelled");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    daemon.crash();
    clawvisor.no_trouble();
    let daemon = start().start();
    let report = lab.completed("lives");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(2), "{report:#}");
    drop(daemon);
}

#[test]
fn a_place_that_was_allowed_is_not_judged_again_before_a_retry() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    let daemon = lab.daemon().set("--rate-limit-backoff", 1).start();
    let limited = "fake: once result error 429 rate_limit wait";
    let open = lab.task("open", limited);
    let dir = lab.project("project-open");
    lab.send(&open);
    lab.event("open", "retried");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("a mode");
    let report = lab.completed("open");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(2), "{report:#}");
    // A new one is.
    lab.send(&lab.task("new", "hello").in_dir(&dir));
    lab.failed("new", "not_authorized");
    drop(daemon);
}

#[test]
fn a_clawvisor_that_is_turned_off_while_sessions_run_ends_none() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "session"));
    let daemon = asking(&lab, &clawvisor).start();
    let hold = standing(&lab, "a", "t-1");
    fs::write(lab.ours().join("config.json"), r#"{"local_only": true}"#).expect("settings");
    daemon.signal(Signal::HUP);
    lab.event("", "config_reloaded");
    clawvisor.set_status("t-1", "revoked");
    hold.release();
    lab.completed("a");
    lab.settled("a");
    drop(daemon);
    assert!(clawvisor.seen_of("POST", "/").is_empty());
}
