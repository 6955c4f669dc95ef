use serde_json::json;

use super::*;
use crate::pure::dispatch::{self, AGENTS};

const ID: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
const SERVICE: &str = "local.gstack-coding";
const DIR: &str = "/home/u/git/shop";

fn id() -> TaskId {
    TaskId::parse(ID).expect("an id")
}

fn bytes() -> Vec<u8> {
    json!({
        "id": "dispatch-a", "dispatched_by": "o", "task": "caf\u{e9}", "project": "shop",
        "project_dir": "~/git/shop", "x_trace": 7,
    })
    .to_string()
    .into_bytes()
}

/// What is asked with this scope about a task of these fields.
fn asked(task: Value, scope: TaskScope) -> TaskWord {
    let bytes = bytes();
    let dispatch = dispatch::parse(&bytes, 60, &AGENTS).expect("a dispatch");
    let held = HeldAgainst {
        dispatch: &dispatch,
        bytes: &bytes,
        dir: Path::new(DIR),
        home: Some(OsStr::new("/home/u")),
        service: SERVICE,
        scope,
    };
    word(&read_task(200, task.to_string().as_bytes(), &id()), &id(), &held)
}

/// An active task with these actions and planned calls.
fn active(actions: Value, planned: Value) -> Value {
    json!({"id": ID, "status": "active", "lifetime": "standing", "authorized_actions": actions,
        "planned_calls": planned})
}

fn action(action: &str, auto_execute: bool) -> Value {
    json!({"service": SERVICE, "action": action, "auto_execute": auto_execute})
}

fn planned(params: Value) -> Value {
    json!([{"service": SERVICE, "action": "spawn-session", "params": params}])
}

fn yes(names_dir: bool, auto_execute: bool) -> TaskWord {
    TaskWord::Covers { names_dir, auto_execute, is_for_one: false }
}

fn refuses(word: &TaskWord, error: &str, status: Option<&str>) -> bool {
    let TaskWord::Denies(refusal) = word else { return false };
    refusal.error == error && refusal.clawvisor_status.as_deref() == status
}

#[test]
fn an_id_that_may_stand_in_a_path_is_one() {
    for (text, want) in [
        (ID, true),
        ("task_abc123", true),
        ("A-_9", true),
        (&"a".repeat(128), true),
        (&"a".repeat(129), false),
        ("", false),
        ("a/b", false),
        ("a.b", false),
        ("a?wait=true", false),
        ("a%2fb", false),
        ("a b", false),
        ("\u{e4}", false),
    ] {
        assert_eq!(TaskId::parse(text).is_some(), want, "{text}");
    }
}

#[test]
fn the_url_is_an_origin_and_plain_http_stays_on_this_machine() {
    for (url, plain, want) in [
        ("http://127.0.0.1:25297", false, true),
        ("http://localhost:25297/", false, true),
        ("http://[::1]:25297", false, true),
        ("https://claw.example", false, true),
        ("http://claw.example", false, false),
        ("http://claw.example", true, true),
        ("http://10.0.0.7:25297", false, false),
        ("https://claw.example/d/7", false, false),
        ("https://claw.example//", false, false),
        ("https://claw.example?x", true, false),
        ("https://claw.example#x", true, false),
        ("https://u:p@claw.example", true, false),
        ("ftp://claw.example", true, false),
        ("claw.example", true, false),
    ] {
        let origin = origin_of(url, plain);
        assert_eq!(origin.is_ok(), want, "{url}: {origin:?}");
        assert!(origin.err().is_none_or(|e| !e.contains("u:p")), "{url}");
    }
}

#[test]
fn what_is_no_task_is_no_yes() {
    let task = active(json!([action("*", true)]), json!(null)).to_string();
    for (status, body, want) in [
        (401, task.as_str(), TaskAnswer::Refused(401)),
        (403, "", TaskAnswer::Refused(403)),
        (404, "<html>", TaskAnswer::Refused(404)),
    ] {
        assert_eq!(read_task(status, body.as_bytes(), &id()), want, "{status} {body}");
    }
    let other = task.replace(ID, "11111111-1111-4111-8111-111111111111");
    for (status, body) in [
        (201, task.as_str()),
        (204, ""),
        (302, &task),
        (400, &task),
        (402, &task),
        (408, &task),
        (410, &task),
        (429, &task),
        (500, &task),
        (503, &task),
        (200, ""),
        (200, "<html>ngrok</html>"),
        (200, "[]"),
        (200, "null"),
        (200, &task[..task.len() - 1]),
        (200, &other),
        (200, r#"{"status":"active"}"#),
        (200, &format!(r#"{{"id":"{ID}"}}"#)),
        (200, &format!(r#"{{"id":"{ID}","status":7}}"#)),
        (200, &format!(r#"{{"id":["{ID}"],"status":"active"}}"#)),
    ] {
        let answer = read_task(status, body.as_bytes(), &id());
        assert!(matches!(answer, TaskAnswer::NotNow(_)), "{status} {body}: {answer:?}");
        assert_eq!(answer.state(), ClawvisorState::Unreachable);
        assert!(!answer.is_undecided());
    }
    assert_eq!(TaskAnswer::Refused(401).state(), ClawvisorState::TokenRefused);
    assert_eq!(TaskAnswer::Refused(404).state(), ClawvisorState::Ready);
    // A newline after it, as Go writes, is nothing.
    let found = read_task(200, format!("{task}\n").as_bytes(), &id());
    assert_eq!(found.state(), ClawvisorState::Ready);
}

#[test]
fn only_an_active_task_is_a_yes() {
    for status in
        ["denied", "revoked", "cancelled", "completed", "expired", "", "Active", "on fire"]
    {
        let mut task = active(json!([action("*", true)]), json!(null));
        task["status"] = status.into();
        for scope in [TaskScope::Action, TaskScope::Bound, TaskScope::Status] {
            let said = asked(task.clone(), scope);
            let error = format!("clawvisor task {ID} is {status}");
            assert!(refuses(&said, &error, Some(status)), "{status}: {said:?}");
        }
    }
    for status in ["pending_approval", "pending_scope_expansion"] {
        let mut task = active(json!(null), json!(null));
        task["status"] = status.into();
        assert_eq!(asked(task.clone(), TaskScope::Status), TaskWord::Undecided);
        assert!(read_task(200, task.to_string().as_bytes(), &id()).is_undecided());
    }
}

#[test]
fn an_action_of_the_service_covers() {
    let none = format!("clawvisor task {ID} does not cover {SERVICE} spawn-session");
    let other = json!({"service": "agent", "action": "*", "auto_execute": true});
    for (actions, want) in [
        (json!([action("spawn-session", true)]), Some(yes(false, true))),
        (json!([action("*", true)]), Some(yes(false, true))),
        (json!([action("spawn-session", false)]), Some(yes(false, false))),
        (json!([action("*", false), action("spawn-session", true)]), Some(yes(false, true))),
        // What runs something else without asking says nothing here.
        (json!([action("spawn-session", false), action("list", true)]), Some(yes(false, false))),
        (
            json!([{"service": SERVICE, "action": "*", "auto_execute": "true"}]),
            Some(yes(false, false)),
        ),
        (json!([action("list-sessions", true), other]), None),
        (json!([{"service": "local.gstack-coding2", "action": "*"}]), None),
        (json!(null), None),
        (json!({}), None),
        (json!(["*", 7]), None),
    ] {
        let said = asked(active(actions.clone(), json!(null)), TaskScope::Action);
        match want {
            Some(want) => assert_eq!(said, want, "{actions}"),
            None => assert!(refuses(&said, &none, Some("active")), "{actions}: {said:?}"),
        }
        let bound = asked(active(actions.clone(), json!(null)), TaskScope::Bound);
        assert!(refuses(&bound, &none, Some("active")), "{actions}: {bound:?}");
        let status = asked(active(actions, json!(null)), TaskScope::Status);
        assert_eq!(status, yes(false, true));
    }
}

#[test]
fn a_planned_call_holds_a_dispatch_to_what_it_says() {
    let digest = sha256_hex("caf\u{e9}".as_bytes());
    let bound = json!({"task_sha256": digest, "project_dir": DIR});
    let both = json!([
        {"service": SERVICE, "action": "spawn-session", "params": {"dispatch_id": "dispatch-b"}},
        {"service": SERVICE, "action": "*", "params": {"dispatch_id": "dispatch-a"}},
    ]);
    let beside = json!([
        {"service": SERVICE, "action": "spawn-session", "params": {"dispatch_id": "dispatch-b"}},
        {"service": SERVICE, "action": "check-status", "params": {}},
    ]);
    let foreign = json!([{"service": "x", "action": "spawn-session", "params": {"id": "b"}}]);
    // Each row: the planned calls, whether they cover by action and by bound, and name the place.
    for (calls, covers, binds, names_dir) in [
        (json!(null), true, false, false),
        (json!([]), true, false, false),
        (foreign, true, false, false),
        (planned(json!({})), true, false, false),
        (planned(json!({"branch": "main"})), true, false, false),
        (planned(json!({"dispatch_id": "dispatch-a"})), true, false, false),
        (planned(json!({"id": "dispatch-a", "project": "shop"})), true, false, false),
        (planned(json!({"dispatch_id": "dispatch-b"})), false, false, false),
        (planned(json!({"dispatch_id": 7})), false, false, false),
        (planned(json!({"task": "caf\u{e9}"})), true, false, false),
        (planned(json!({"task": "cafe\u{301}"})), false, false, false),
        (planned(json!({"task_sha256": digest})), true, false, false),
        (planned(json!({"task_sha256": sha256_hex(b"caf")})), false, false, false),
        (planned(json!({"project_dir": DIR})), true, false, true),
        (planned(json!({"project_dir": "~/git/shop"})), true, false, true),
        (planned(json!({"project_dir": "/home/u/git/shop/"})), true, false, true),
        (planned(json!({"project_dir": "/home/u/git/shop/sub"})), false, false, false),
        (planned(json!({"project_dir": "/home/u/git"})), false, false, false),
        (planned(json!({"project_dir": "/home/u/git/../git/shop"})), false, false, false),
        (planned(json!({"project_dir": null})), false, false, false),
        (planned(json!({"target_agent": "claude", "ttl_seconds": 3600})), true, false, false),
        (planned(json!({"target_agent": "codex"})), false, false, false),
        (planned(json!({"ttl_seconds": 60})), false, false, false),
        (planned(json!({"callback_url": "http://x/"})), false, false, false),
        (planned(json!({"x_trace": 7})), true, false, false),
        (planned(json!({"x_trace": 8})), false, false, false),
        (planned(bound.clone()), true, true, true),
        (both, true, false, false),
        (beside, false, false, false),
    ] {
        let task = active(json!([action("spawn-session", true)]), calls.clone());
        let said = asked(task.clone(), TaskScope::Action);
        match covers {
            true => assert_eq!(said, yes(names_dir, true), "{calls}"),
            false => assert!(matches!(said, TaskWord::Denies(_)), "{calls}: {said:?}"),
        }
        let said = asked(task, TaskScope::Bound);
        assert_eq!(matches!(said, TaskWord::Covers { .. }), binds, "{calls}: {said:?}");
        let no_action = active(json!([action("list", true)]), calls);
        assert_eq!(asked(no_action, TaskScope::Status), yes(names_dir, true));
    }
}

#[test]
fn a_task_is_for_one_dispatch_unless_it_says_otherwise() {
    for (lifetime, want) in [
        (json!("session"), true),
        (json!("sliding"), false),
        (json!("standing"), false),
        (json!("eternal"), true),
        (json!(null), true),
    ] {
        let mut task = active(json!([action("*", true)]), json!(null));
        task["lifetime"] = lifetime.clone();
        let TaskWord::Covers { is_for_one, .. } = asked(task, TaskScope::Action) else {
            panic!("it covers")
        };
        assert_eq!(is_for_one, want, "{lifetime}");
    }
}

#[test]
fn in_mid_session_only_a_clear_word_ends_it() {
    use MidSession::{Ends, GoesOn};
    let found = |status: &str| {
        read_task(200, json!({"id": ID, "status": status}).to_string().as_bytes(), &id())
    };
    for (answer, want) in [
        (found("revoked"), Ends(TaskEnd::Revoked)),
        (found("denied"), Ends(TaskEnd::Denied)),
        (found("cancelled"), Ends(TaskEnd::Cancelled)),
        (found("active"), GoesOn),
        (found("pending_scope_expansion"), GoesOn),
        (found("on fire"), GoesOn),
        (TaskAnswer::Refused(401), GoesOn),
        (TaskAnswer::Refused(404), GoesOn),
        (TaskAnswer::NotNow("no".into()), GoesOn),
    ] {
        assert_eq!(mid_session(&answer, &id()), want, "{answer:?}");
    }
    for status in ["expired", "completed"] {
        let warning = format!("clawvisor task {ID} became {status} while the session ran");
        assert_eq!(mid_session(&found(status), &id()), MidSession::Warns(warning));
    }
}

#[test]
fn pauses_grow_and_the_last_repeats_unless_more_is_asked_for() {
    let s = Duration::from_secs;
    let delays = [s(1), s(5), s(15)];
    for (failures, asked, want) in [
        (1, None, 1),
        (2, None, 5),
        (3, None, 15),
        (400, None, 15),
        (1, Some(s(7)), 7),
        (3, Some(s(7)), 15),
        (0, None, 1),
    ] {
        assert_eq!(pause_after(failures, &delays, asked), s(want), "{failures} {asked:?}");
    }
    assert_eq!(pause_after(3, &[], None), Duration::ZERO);
}
