//! A task that was for one dispatch is completed once its report is out, and no other task is.

use serde_json::json;

use super::*;

fn completions(clawvisor: &Clawvisor, id: &str) -> usize {
    clawvisor.seen_of("POST", &format!("/api/tasks/{id}/complete")).len()
}

#[test]
fn a_session_task_is_completed_after_the_report_and_others_are_left_alone() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let report_of = |name: &str| lab.report_path(name).exists();
    for lifetime in ["session", "sliding", "standing"] {
        clawvisor.put(task(&format!("t-{lifetime}"), lifetime));
    }
    let daemon = asking(&lab, &clawvisor).start();
    for lifetime in ["sliding", "standing", "session"] {
        lab.send(&marking(&lab, lifetime, &format!("t-{lifetime}")));
        lab.completed(lifetime);
    }
    let line = lab.event("session", "clawvisor_completed");
    assert_eq!(
        (&line["status"], &line["try"], &line["final"]),
        (&json!(200), &json!(1), &json!(true))
    );
    assert!(report_of("session"));
    assert_eq!(clawvisor.status("t-session"), "completed");
    let posts = clawvisor.seen_of("POST", "/");
    assert_eq!(posts.len(), 1, "{posts:?}");
    let post = &posts[0];
    assert!(post.body.is_empty() && post.header("authorization") == format!("Bearer {TOKEN}"));
    drop(daemon);
    assert_eq!(fs::read_dir(lab.ours().join("completing")).expect("a folder").count(), 0);
    // A failure closes it too.
    clawvisor.put(task("t-fails", "session"));
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&by_task(&lab, "fails", "t-fails", "fake: result refusal"));
    assert_eq!(lab.report("fails")["status"], "failed");
    lab.event("fails", "clawvisor_completed");
    drop(daemon);
}

#[test]
fn completing_is_tried_again_until_it_is_answered_and_through_kill_9() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "session"));
    clawvisor.trouble("complete", 2, Trouble::Answer(503, "{}".into()));
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "a", "t-1"));
    lab.completed("a");
    let line = lab.event("a", "clawvisor_complete_failed");
    assert_eq!((&line["status"], &line["final"]), (&json!(503), &json!(false)));
    let line = lab.event("a", "clawvisor_completed");
    assert_eq!(line["try"], 3);
    // The answer is lost: only the next daemon learns that it came through.
    clawvisor.put(task("t-2", "session"));
    clawvisor.trouble("complete", 1, Trouble::Silence);
    lab.send(&marking(&lab, "b", "t-2"));
    lab.completed("b");
    wait_until("it is being completed", PATIENCE, || completions(&clawvisor, "t-2") == 1);
    daemon.crash();
    clawvisor.set_status("t-2", "completed");
    let daemon = asking(&lab, &clawvisor).start();
    let line = lab.event("b", "clawvisor_completed");
    assert_eq!((&line["status"], &line["try"]), (&json!(409), &json!(2)));
    // Nobody completes it again.
    drop(daemon);
    let daemon = asking(&lab, &clawvisor).start();
    drop(daemon);
    assert_eq!(completions(&clawvisor, "t-2"), 2);
}

#[test]
fn what_is_not_ours_to_complete_is_left_to_the_orchestrator() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "session"));
    clawvisor.belong_to_sibling();
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "a", "t-1"));
    let line = lab.event("a", "clawvisor_complete_skipped");
    assert_eq!((&line["status"], &line["final"]), (&json!(403), &json!(true)));
    drop(daemon);
    assert_eq!(completions(&clawvisor, "t-1"), 1);
}

#[test]
fn what_cannot_be_completed_is_told_and_given_up() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let daemon = asking(&lab, &clawvisor).start();
    for (name, status, body) in [
        ("gone", 404, "{\"error\":\"task not found\"}"),
        ("done", 409, "{\"error\":\"task is not active or expired (status: completed)\"}"),
        ("bad", 400, "{}"),
    ] {
        clawvisor.put(task(&format!("t-{name}"), "session"));
        clawvisor.trouble("complete", 1, Trouble::Answer(status, body.into()));
        lab.send(&marking(&lab, name, &format!("t-{name}")));
        let line = lab.event(name, "clawvisor_complete_failed");
        assert_eq!((&line["status"], &line["final"]), (&json!(status), &json!(true)), "{name}");
        lab.settled(name);
    }
    drop(daemon);
}

#[test]
fn a_dispatch_that_was_refused_closes_no_task_of_another() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "session"));
    let gate = lab.gate("gate");
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&by_task(&lab, "first", "t-1", &format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.send(&marking(&lab, "second", "t-1"));
    refused(&lab, "second", "clawvisor task t-1 is for one dispatch, and dispatch-first has it");
    lab.settled("second");
    // One that is cancelled while it waits has no task either.
    clawvisor.trouble("t-1", usize::MAX, Trouble::Answer(503, "{}".into()));
    // From here on the young answer is none.
    let asked = clawvisor.seen_of("GET", "/api/tasks/t-1").len();
    clawvisor.requests("GET", "/api/tasks/t-1", asked + 2);
    lab.send(&marking(&lab, "third", "t-1"));
    waits_for(&lab, "third", "clawvisor_unreachable");
    fs::write(lab.inbox().join("cancel-dispatch-third"), "").expect("a request");
    lab.ended("third", "cancelled", "cancelled");
    lab.settled("third");
    assert_eq!(completions(&clawvisor, "t-1"), 0);
    assert_eq!(clawvisor.status("t-1"), "active");
    clawvisor.no_trouble();
    hold.release();
    lab.completed("first");
    lab.event("first", "clawvisor_completed");
    drop(daemon);
}

#[test]
fn a_task_of_a_dispatch_that_was_refused_before_it_ran_is_free_again() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "session"));
    let link = lab.path("link");
    let good = lab.project("good");
    std::os::unix::fs::symlink(&good, &link).expect("a link");
    // It waits for a person, and has the task; at its turn its directory leads home.
    let trusted = lab.project("trusted");
    let daemon = asking(&lab, &clawvisor).set("--trusted-projects", trusted.display()).start();
    lab.send(&marking(&lab, "first", "t-1").in_dir(&link));
    waits_for(&lab, "first", "untrusted_project");
    assert_eq!(text_file(lab.ours().join("tasks/t-1")), "dispatch-first\n");
    fs::remove_file(&link).expect("the link");
    std::os::unix::fs::symlink(&lab.home, &link).expect("another link");
    let out = lab.plain_daemon().word("approve").word(&id("first")).word("--yes").output();
    assert_eq!(out.code, 0, "{}", out.stderr);
    lab.failed("first", "not_authorized");
    lab.settled("first");
    lab.send(&marking(&lab, "second", "t-1").in_dir(&trusted));
    lab.completed("second");
    drop(daemon);
}

#[test]
fn an_end_that_a_power_cut_takes_back_completes_no_task_twice() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "session"));
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "a", "t-1"));
    lab.completed("a");
    lab.event("a", "clawvisor_completed");
    lab.settled("a");
    drop(daemon);
    fs::rename(lab.finished("a"), lab.active("a")).expect("its folder as it was");
    let daemon = asking(&lab, &clawvisor).start();
    lab.settled("a");
    drop(daemon);
    assert_eq!(completions(&clawvisor, "t-1"), 1);
    assert!(!lab.events("a").contains(&"clawvisor_complete_failed".to_string()));
}
