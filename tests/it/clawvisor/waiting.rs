//! What waits for Clawvisor: for a person's decision there, and for an answer at all. Neither takes
//! a slot, and neither is ever a yes.

use serde_json::json;

use super::*;

fn undecided(id: &str) -> Value {
    let mut task = task(id, "session");
    task["status"] = "pending_approval".into();
    task
}

fn long_polls(clawvisor: &Clawvisor, id: &str) -> usize {
    clawvisor.seen_of("GET", &format!("/api/tasks/{id}?wait=true&timeout=5")).len()
}

#[test]
fn an_undecided_task_is_waited_for_without_a_slot_by_a_long_poll() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    for name in ["yes", "no", "late"] {
        clawvisor.put(undecided(&format!("t-{name}")));
    }
    clawvisor.put(task("t-other", "session"));
    let daemon = asking(&lab, &clawvisor).set("--max-concurrent", 1).start();
    for name in ["yes", "no"] {
        lab.send(&marking(&lab, name, &format!("t-{name}")));
        waits_for(&lab, name, "clawvisor_pending");
        assert_eq!(lab.event(name, "approval_required")["why"], "clawvisor_pending");
    }
    // Others pass.
    lab.send(&marking(&lab, "other", "t-other"));
    lab.completed("other");
    wait_until("long polls", PATIENCE, || long_polls(&clawvisor, "t-yes") > 0);
    let beat = lab.heartbeat("both wait", |beat| beat["pending_count"] == 2);
    assert_eq!(beat["pending"][0]["why"], "clawvisor_pending");
    // No person here ends that wait.
    let out = lab.plain_daemon().word("approve").word(&id("yes")).word("--yes").output();
    assert!(out.code == 1 && out.stderr.contains("only Clawvisor"), "{}", out.stderr);
    clawvisor.set_status("t-yes", "active");
    clawvisor.set_status("t-no", "denied");
    assert_eq!(lab.completed("yes")["approval"]["by"], "clawvisor");
    let line = refused(&lab, "no", "clawvisor task t-no is denied");
    assert_eq!(line["clawvisor_status"], "denied");
    assert!(!lab.dropped("no").exists());
    drop(daemon);
    // Nobody decides in time.
    let daemon = asking(&lab, &clawvisor).set("--approval-expiry", 0.5).start();
    lab.send(&marking(&lab, "late", "t-late"));
    let report = lab.ended("late", "cancelled", "not_authorized");
    assert_eq!(report["error"], "not approved within 0.5 s: clawvisor_pending");
    assert_eq!(lab.event("late", "approval_expired")["why"], "clawvisor_pending");
    drop(daemon);
}

#[test]
fn a_task_that_expires_or_whose_scope_is_asked_for_anew_is_followed() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let mut scope = task("t-scope", "standing");
    scope["status"] = "pending_scope_expansion".into();
    clawvisor.put(scope);
    clawvisor.put(undecided("t-expires"));
    let daemon = asking(&lab, &clawvisor).start();
    for name in ["scope", "expires"] {
        lab.send(&marking(&lab, name, &format!("t-{name}")));
        waits_for(&lab, name, "clawvisor_pending");
    }
    clawvisor.set_status("t-expires", "expired");
    clawvisor.set_status("t-scope", "active");
    refused(&lab, "expires", "clawvisor task t-expires is expired");
    lab.completed("scope");
    drop(daemon);
}

#[test]
fn a_clawvisor_that_does_not_wait_is_not_hammered() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.ignore_wait();
    clawvisor.put(undecided("t-1"));
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "a", "t-1"));
    waits_for(&lab, "a", "clawvisor_pending");
    let from = std::time::Instant::now();
    wait_until("three long polls", PATIENCE, || long_polls(&clawvisor, "t-1") >= 3);
    assert!(from.elapsed().as_millis() > 1500, "{:?}", from.elapsed());
    clawvisor.set_status("t-1", "active");
    lab.completed("a");
    drop(daemon);
}

/// Everything that is no answer, once.
fn troubles(redirect: &str) -> Vec<(&'static str, Trouble)> {
    let other = task("t-foreign", "session").to_string();
    let half = "{\"id\":\"t-half\",\"status\":\"acti".to_string();
    vec![
        ("redirect", Trouble::Redirect(redirect.into())),
        ("timeout", Trouble::Answer(408, "{}".into())),
        ("limited", Trouble::Answer(429, "{\"code\":\"RATE_LIMITED\"}".into())),
        ("broken", Trouble::Answer(500, "{\"error\":\"x\"}".into())),
        ("proxy", Trouble::Answer(502, "<html>ngrok</html>".into())),
        ("busy", Trouble::Answer(503, "{}".into())),
        ("html", Trouble::Answer(200, "<html>ngrok</html>".into())),
        ("list", Trouble::Answer(200, "[]".into())),
        ("half", Trouble::Answer(200, half)),
        ("another", Trouble::Answer(200, other)),
        ("reset", Trouble::Reset),
        ("silence", Trouble::Silence),
        ("endless", Trouble::Endless),
    ]
}

#[test]
fn what_is_no_answer_is_never_a_yes_and_is_asked_again() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let elsewhere = Server::start(vec![Answer::Status(200)]);
    let daemon = asking(&lab, &clawvisor).start();
    let all = troubles(&format!("{}/api/tasks/t-redirect", elsewhere.url));
    for (name, trouble) in &all {
        let id = format!("t-{name}");
        clawvisor.put(task(&id, "session"));
        clawvisor.trouble(&id, usize::MAX, trouble.clone());
        lab.send(&marking(&lab, name, &id));
    }
    for (name, _) in &all {
        waits_for(&lab, name, "clawvisor_unreachable");
    }
    for (name, _) in &all {
        let asked = clawvisor.requests("GET", &format!("/api/tasks/t-{name}"), 2);
        assert!(asked.iter().all(|r| r.header("authorization") == format!("Bearer {TOKEN}")));
        assert!(!has_run(&lab, name) && is_pending(&lab, name), "{name}");
    }
    clawvisor.no_trouble();
    for (name, _) in &all {
        lab.completed(name);
    }
    // The token followed no redirect.
    assert!(elsewhere.seen().is_empty());
    drop(daemon);
}

#[test]
fn a_pause_that_clawvisor_asks_for_is_kept() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "session"));
    clawvisor.trouble("t-1", 1, Trouble::With(429, "Retry-After: 2"));
    let daemon = asking(&lab, &clawvisor).start();
    let from = std::time::Instant::now();
    lab.send(&marking(&lab, "a", "t-1"));
    lab.completed("a");
    assert!(from.elapsed().as_secs_f64() > 1.8, "{:?}", from.elapsed());
    assert!(clawvisor.seen_of("GET", "/api/tasks/t-1").len() > 1);
    drop(daemon);
}

#[test]
fn one_task_that_hangs_delays_no_other() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    for id in ["t-hangs", "t-good"] {
        clawvisor.put(task(id, "session"));
    }
    clawvisor.trouble("t-hangs", usize::MAX, Trouble::Silence);
    let slow = asking(&lab, &clawvisor).set("--clawvisor-timeout", 60).set("--max-concurrent", 1);
    let daemon = slow.start();
    lab.send(&marking(&lab, "hangs", "t-hangs"));
    clawvisor.requests("GET", "/api/tasks/t-hangs", 1);
    let from = std::time::Instant::now();
    lab.send(&marking(&lab, "good", "t-good"));
    lab.completed("good");
    assert!(from.elapsed().as_secs() < 20, "{:?}", from.elapsed());
    // It has not been told to wait for anybody, but it is on show.
    let beat = lab.heartbeat("it waits", |beat| beat["pending_count"] == 1);
    assert_eq!(beat["pending"][0]["why"], "clawvisor_unreachable");
    drop(daemon);
}

#[test]
fn an_answer_of_a_while_ago_starts_nothing() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "standing"));
    let gate = lab.gate("gate");
    let daemon = asking(&lab, &clawvisor).set("--max-concurrent", 1);
    let daemon = daemon.set("--clawvisor-poll", 3600).start();
    lab.send(&by_task(&lab, "long", "t-1", &format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.send(&marking(&lab, "next", "t-1"));
    lab.accepted("next");
    // It is queued by a young answer; its turn comes when that is old.
    let from = std::time::Instant::now();
    wait_until("an answer that is old", PATIENCE, || from.elapsed().as_millis() > 5_200);
    let before = clawvisor.seen_of("GET", "/api/tasks/t-1").len();
    clawvisor.set_status("t-1", "expired");
    hold.release();
    refused(&lab, "next", "clawvisor task t-1 is expired");
    assert!(clawvisor.seen_of("GET", "/api/tasks/t-1").len() > before);
    lab.completed("long");
    drop(daemon);
}

#[test]
fn what_waits_is_asked_about_again_by_the_next_daemon() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(undecided("t-1"));
    clawvisor.put(task("t-2", "session"));
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "a", "t-1"));
    waits_for(&lab, "a", "clawvisor_pending");
    // Killed between the question and its answer.
    clawvisor.trouble("t-2", usize::MAX, Trouble::Silence);
    lab.send(&marking(&lab, "b", "t-2"));
    clawvisor.requests("GET", "/api/tasks/t-2", 1);
    daemon.crash();
    assert!(is_pending(&lab, "b") && lab.events("b") == ["received"]);
    clawvisor.no_trouble();
    let daemon = asking(&lab, &clawvisor).start();
    lab.completed("b");
    clawvisor.set_status("t-1", "active");
    lab.completed("a");
    let told = lab.events("a").iter().filter(|event| *event == "approval_required").count();
    assert_eq!(told, 1);
    drop(daemon);
}

#[test]
fn a_daemon_that_is_killed_again_and_again_runs_a_dispatch_once() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    for n in 0..6 {
        clawvisor.put(task(&format!("t-{n}"), "session"));
        clawvisor.trouble(&format!("t-{n}"), 1, Trouble::Slow(60));
    }
    for n in 0..6 {
        let daemon = asking(&lab, &clawvisor).start();
        lab.send(&marking(&lab, &format!("a{n}"), &format!("t-{n}")));
        wait_until("it is asked", PATIENCE, || {
            !clawvisor.seen_of("GET", &format!("/api/tasks/t-{n}")).is_empty()
        });
        pause_as_a_slow_writer(std::time::Duration::from_millis(n * 25));
        daemon.crash();
    }
    let daemon = asking(&lab, &clawvisor).set("--on-interrupt", "retry").start();
    for n in 0..6 {
        let report = lab.report(&format!("a{n}"));
        assert_ne!(report["error_type"], "not_authorized", "{report:#}");
    }
    drop(daemon);
}

#[test]
fn while_too_many_wait_a_file_stays_in_the_inbox() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(undecided("t-1"));
    clawvisor.put(task("t-2", "session"));
    let daemon = asking(&lab, &clawvisor).set("--pending-max", 1).start();
    lab.send(&marking(&lab, "a", "t-1"));
    waits_for(&lab, "a", "clawvisor_pending");
    lab.send(&marking(&lab, "b", "t-2"));
    lab.event("", "pending_full");
    assert!(lab.events("b").is_empty() && lab.dropped("b").exists());
    clawvisor.set_status("t-1", "active");
    lab.completed("a");
    lab.completed("b");
    drop(daemon);
}

#[test]
fn a_copy_that_was_changed_while_clawvisor_was_asked_never_runs() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(undecided("t-1"));
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "a", "t-1"));
    waits_for(&lab, "a", "clawvisor_pending");
    fs::remove_file(lab.dropped("a")).expect("its file");
    let copy = lab.ours().join("pending").join(id("a")).join("dispatch.json");
    let text = text_file(&copy).replace("fake: mark", "fake: mark /tmp/x\\nfake: mark");
    fs::remove_file(&copy).expect("its copy");
    fs::write(&copy, text).expect("another copy");
    clawvisor.set_status("t-1", "active");
    let error = "its copy in pending/ is not what was accepted any more: it never runs";
    let report = lab.failed("a", "not_authorized");
    assert_eq!(report["error"], error);
    assert_eq!(lab.event("a", "not_authorized")["error"], error);
    assert!(!has_run(&lab, "a"));
    drop(daemon);
}

#[test]
fn a_dispatch_that_waits_for_clawvisor_can_be_cancelled_and_denied() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let daemon = asking(&lab, &clawvisor).start();
    for name in ["cancelled", "denied"] {
        clawvisor.put(undecided(&format!("t-{name}")));
        lab.send(&marking(&lab, name, &format!("t-{name}")));
        waits_for(&lab, name, "clawvisor_pending");
    }
    fs::write(lab.inbox().join("cancel-dispatch-cancelled"), "").expect("a request");
    lab.ended("cancelled", "cancelled", "cancelled");
    let out = lab.plain_daemon().word("deny").word(&id("denied")).output();
    assert_eq!(out.code, 0, "{}", out.stderr);
    let report = lab.ended("denied", "cancelled", "not_authorized");
    assert_eq!(report["error"], json!("denied"));
    drop(daemon);
}

#[test]
fn a_file_that_has_to_stay_in_the_inbox_takes_no_task() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let mut only = task("t-1", "session");
    only["planned_calls"] =
        json!([{"service": SERVICE, "action": "spawn-session", "params": {"project": "right"}}]);
    clawvisor.put(only);
    let trusted = lab.project("trusted");
    let daemon = asking(&lab, &clawvisor).set("--pending-max", 1);
    let daemon = daemon.set("--trusted-projects", trusted.display()).start();
    // What is known of the task is young from here on.
    lab.send(&marking(&lab, "wrong", "t-1"));
    lab.failed("wrong", "not_authorized");
    lab.send(&lab.task("fills", "hello"));
    waits_for(&lab, "fills", "no_clawvisor_task");
    lab.send(&marking(&lab, "held", "t-1").with("project", "right"));
    lab.event("", "pending_full");
    fs::remove_file(lab.dropped("held")).expect("its file");
    let out = lab.plain_daemon().word("deny").word(&id("fills")).output();
    assert_eq!(out.code, 0, "{}", out.stderr);
    lab.ended("fills", "cancelled", "not_authorized");
    lab.send(&marking(&lab, "right", "t-1").with("project", "right").in_dir(&trusted));
    lab.completed("right");
    assert!(lab.events("held").is_empty());
    drop(daemon);
}
