//! Each row of the gate's table, through the daemon.

use serde_json::json;

use super::*;

const NOT_COVERED: &str = "does not cover local.gstack-coding spawn-session";

#[test]
fn an_active_task_that_covers_it_lets_a_dispatch_run() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "standing"));
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "a", "t-1"));
    let report = lab.completed("a");
    let approval = &report["approval"];
    assert_eq!(
        (&approval["by"], &approval["clawvisor_task_id"]),
        (&json!("clawvisor"), &json!("t-1"))
    );
    assert!(is_stamp(&approval["at"]), "{approval}");
    assert!(has_run(&lab, "a"));
    let events = lab.events("a");
    assert_eq!(&events[..2], ["received", "spawned"]);
    assert!(!events.contains(&"approval_required".to_string()), "{events:?}");
    // A second one, while the first answer may still be young, is asked about by the same task.
    lab.send(&marking(&lab, "b", "t-1"));
    lab.completed("b");
    let beat = lab.heartbeat("clawvisor is ready", |beat| beat["clawvisor"]["state"] == "ready");
    assert!(is_stamp(&beat["clawvisor"]["since"]), "{beat}");
    let state = lab.event("", "clawvisor_state");
    assert_eq!((&state["state"], &state["error"]), (&json!("ready"), &Value::Null));
    drop(daemon);
    for request in clawvisor.seen_of("GET", "/api/tasks/") {
        assert_eq!(request.header("authorization"), format!("Bearer {TOKEN}"));
        assert!(request.header("cookie").is_empty());
    }
}

#[test]
fn a_task_that_is_no_yes_refuses_the_dispatch() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let daemon = asking(&lab, &clawvisor).start();
    for status in ["denied", "revoked", "cancelled", "completed", "expired", "enchanted"] {
        let id = format!("t-{status}");
        let mut of_status = task(&id, "session");
        of_status["status"] = status.into();
        clawvisor.put(of_status);
        lab.send(&marking(&lab, status, &id));
        let line = refused(&lab, status, &format!("clawvisor task {id} is {status}"));
        assert_eq!(line["clawvisor_status"], status);
        lab.settled(status);
        let events = lab.events(status);
        assert_eq!(events.last().map(String::as_str), Some("failed"), "{events:?}");
        assert!(!events.contains(&"approval_required".to_string()), "{events:?}");
    }
    lab.send(&marking(&lab, "unknown", "t-unknown"));
    let line = refused(&lab, "unknown", "clawvisor knows no task t-unknown (404)");
    assert_eq!(line["clawvisor_status"], Value::Null);
    clawvisor.trouble("t-403", 9, Trouble::Answer(403, "{}".into()));
    lab.send(&marking(&lab, "forbidden", "t-403"));
    refused(&lab, "forbidden", "clawvisor does not show us task t-403 (403)");
    clawvisor.know_token("cvis_another");
    lab.send(&marking(&lab, "token", "t-1"));
    refused(&lab, "token", "clawvisor refuses our token (401)");
    lab.heartbeat("the token is refused", |beat| beat["clawvisor"]["state"] == "token_refused");
    drop(daemon);
    assert!(clawvisor.seen_of("POST", "/").is_empty());
}

#[test]
fn an_id_that_cannot_be_one_is_never_sent() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let daemon = asking(&lab, &clawvisor).start();
    let long = "a".repeat(129);
    for (name, id) in [
        ("path", "../callbacks/register"),
        ("query", "t-1?wait=true"),
        ("blank", "t 1"),
        ("long", &long),
    ] {
        lab.send(&marking(&lab, name, id));
        let report = lab.failed(name, "not_authorized");
        let error = report["error"].as_str().unwrap_or_default();
        assert!(error.contains("is no id of a task"), "{error}");
    }
    drop(daemon);
    let paths: Vec<_> = clawvisor.seen().into_iter().map(|request| request.path).collect();
    assert!(paths.iter().all(|path| path == "/ready"), "{paths:?}");
}

#[test]
fn a_task_covers_what_its_actions_and_planned_calls_say() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let mut other = task("t-other", "standing");
    other["authorized_actions"][0]["service"] = "local.mail".into();
    clawvisor.put(other);
    let mut bound = task("t-bound", "standing");
    let dir = lab.project("project-bound").canonicalize().expect("a directory");
    bound["planned_calls"] = json!([{
        "service": SERVICE, "action": "spawn-session",
        "params": {"dispatch_id": "dispatch-bound", "project_dir": dir},
    }]);
    clawvisor.put(bound);
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "other", "t-other"));
    let line = refused(&lab, "other", &format!("clawvisor task t-other {NOT_COVERED}"));
    assert_eq!(line["clawvisor_status"], "active");
    lab.send(&marking(&lab, "bound", "t-bound"));
    lab.completed("bound");
    lab.send(&marking(&lab, "elsewhere", "t-bound"));
    refused(&lab, "elsewhere", &format!("clawvisor task t-bound {NOT_COVERED}"));
    drop(daemon);
}

#[test]
fn the_scope_may_be_bound_to_text_and_place_or_be_the_status_alone() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "standing"));
    let wanted = marking(&lab, "exact", "t-2");
    let dir = lab.project("project-exact").canonicalize().expect("a directory");
    let text = wanted.0["task"].as_str().expect("a text").to_string();
    let file = lab.path("text");
    fs::write(&file, text).expect("a text");
    let mut exact = task("t-2", "standing");
    exact["planned_calls"] = json!([{
        "service": SERVICE, "action": "spawn-session",
        "params": {"task_sha256": sha256(&file), "project_dir": dir},
    }]);
    clawvisor.put(exact);
    let daemon = asking(&lab, &clawvisor).set("--clawvisor-scope", "bound").start();
    lab.send(&marking(&lab, "loose", "t-1"));
    refused(&lab, "loose", &format!("clawvisor task t-1 {NOT_COVERED}"));
    lab.send(&wanted);
    lab.completed("exact");
    drop(daemon);
    let mut any = task("t-3", "standing");
    any["authorized_actions"] = Value::Null;
    clawvisor.put(any);
    let daemon = asking(&lab, &clawvisor).set("--clawvisor-scope", "status").start();
    lab.send(&marking(&lab, "status", "t-3"));
    lab.completed("status");
    drop(daemon);
}

#[test]
fn the_list_of_trusted_projects_holds_besides_unless_a_person_saw_the_directory() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "standing"));
    let mut seen = task("t-seen", "standing");
    let dir = lab.project("project-seen").canonicalize().expect("a directory");
    seen["planned_calls"] =
        json!([{"service": SERVICE, "action": "*", "params": {"project_dir": dir}}]);
    clawvisor.put(seen);
    let trusted = lab.project("trusted");
    let daemon = asking(&lab, &clawvisor).set("--trusted-projects", trusted.display()).start();
    lab.send(&marking(&lab, "inside", "t-1").in_dir(&trusted));
    assert_eq!(lab.completed("inside")["approval"]["by"], "clawvisor");
    lab.send(&marking(&lab, "seen", "t-seen"));
    assert_eq!(lab.completed("seen")["approval"]["by"], "clawvisor");
    lab.send(&marking(&lab, "outside", "t-1"));
    waits_for(&lab, "outside", "untrusted_project");
    assert_eq!(lab.event("outside", "approval_required")["why"], "untrusted_project");
    let out = lab.plain_daemon().word("approve").word(&id("outside")).word("--yes").output();
    assert_eq!(out.code, 0, "{}", out.stderr);
    let report = lab.completed("outside");
    assert_eq!(report["approval"]["by"], "person");
    assert_eq!(report["approval"]["clawvisor_task_id"], "t-1");
    drop(daemon);
}

#[test]
fn what_wants_to_be_asked_each_time_or_names_no_task_waits_for_a_person() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let mut each = task("t-each", "standing");
    each["authorized_actions"][0]["auto_execute"] = false.into();
    clawvisor.put(each);
    let trusted = lab.project("trusted");
    let daemon = asking(&lab, &clawvisor).set("--trusted-projects", trusted.display()).start();
    lab.send(&marking(&lab, "each", "t-each").in_dir(&trusted));
    waits_for(&lab, "each", "per_request");
    let mark = format!("fake: mark {}", lab.path("ran").display());
    lab.send(&lab.task("none", &mark).in_dir(&trusted));
    waits_for(&lab, "none", "no_clawvisor_task");
    assert_eq!(lab.event("each", "approval_required")["why"], "per_request");
    for name in ["each", "none"] {
        let out = lab.plain_daemon().word("approve").word(&id(name)).word("--yes").output();
        assert_eq!(out.code, 0, "{}", out.stderr);
        assert_eq!(lab.completed(name)["approval"]["by"], "person");
    }
    drop(daemon);
    let daemon = asking(&lab, &clawvisor).word("--clawvisor-require-task").start();
    lab.send(&lab.task("required", &mark).in_dir(&trusted));
    let error = "it names no clawvisor_task_id, and clawvisor_require_task is on";
    refused(&lab, "required", error);
    drop(daemon);
}

#[test]
fn a_dangerous_place_is_refused_without_asking_anybody() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "session"));
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "home", "t-1").in_dir(&lab.home));
    lab.failed("home", "not_authorized");
    // It did not take the task, which lets the next one run.
    assert!(clawvisor.seen_of("GET", "/api/tasks/").is_empty());
    lab.send(&marking(&lab, "good", "t-1"));
    lab.completed("good");
    drop(daemon);
}

#[test]
fn a_task_of_a_session_is_for_one_dispatch_through_restarts() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "session"));
    clawvisor.put(task("t-many", "sliding"));
    clawvisor.trouble("complete", 99, Trouble::Answer(503, "{}".into()));
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "first", "t-1"));
    lab.completed("first");
    let taken = "clawvisor task t-1 is for one dispatch, and dispatch-first has it";
    lab.send(&marking(&lab, "second", "t-1"));
    let line = refused(&lab, "second", taken);
    assert_eq!(line["clawvisor_status"], "active");
    daemon.crash();
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "third", "t-1"));
    refused(&lab, "third", taken);
    for name in ["many-1", "many-2"] {
        lab.send(&marking(&lab, name, "t-many"));
        lab.completed(name);
    }
    drop(daemon);
}

#[test]
fn local_only_asks_nobody_and_reads_none_of_it() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    let daemon = lab
        .daemon()
        .env("CLAWVISOR_URL", "http://not.an/origin?at=all")
        .word("--local-only")
        .start();
    lab.send(&marking(&lab, "a", "t-unknown"));
    assert_eq!(lab.completed("a")["approval"], Value::Null);
    drop(daemon);
    assert!(clawvisor.seen().is_empty());
    assert_eq!(json_file(&lab.heartbeat_path())["clawvisor"], Value::Null);
}
