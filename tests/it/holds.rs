//! Usage windows and refusals: what they hold, for how long, and what ends it.
//!
//! The events of a usage window are synthetic: no account with one could be recorded. Refusals are
//! the recorded streams of the real Claude Code.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::util::*;

/// A session that meets a closed window, whenever it runs.
fn limited(seconds: i64) -> String {
    format!("fake: limit rejected {seconds}\nfake: result error 429 rate_limit Limit reached\n")
}

/// The same, but only the first time in its project.
fn limited_once(seconds: i64) -> String {
    format!(
        "fake: once limit rejected {seconds}\nfake: once result error 429 rate_limit Limit reached\n"
    )
}

/// A session that is refused as long as a file exists.
fn refused_while(file: &Path) -> String {
    let recorded = format!("{FIXTURES}/streams/2.1.330/auth-401.jsonl");
    format!("fake: while {} replay {recorded}\n", file.display())
}

fn mark(lab: &Lab) -> String {
    format!("fake: mark {}\n", lab.path("marks").display())
}

fn started(lab: &Lab) -> Vec<String> {
    starts(&lab.path("marks"))
}

fn held(lab: &Lab, what: &str) -> Value {
    let beat = lab.heartbeat(what, |beat| beat["holds"].as_array().is_some());
    beat["holds"][0].clone()
}

fn control(lab: &Lab, name: &str) -> std::path::PathBuf {
    lab.ours().join("control").join(name)
}

/// A moment that many seconds from now, as our files write it.
fn stamp_in(seconds: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
    gstack_dispatch_daemon::pure::text::time::rfc3339(now.as_millis() as i64 + seconds * 1000)
}

fn no_hold(lab: &Lab) {
    assert_eq!(lab.events("").iter().filter(|event| *event == "hold_started").count(), 0);
    lab.heartbeat("without a hold", |beat| beat.get("holds").is_none());
}

// ----------------------------------------------------------------------------------- usage windows

#[test]
fn a_closed_window_holds_the_agent_and_its_end_lets_all_run_in_order() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", mark(&lab) + &limited_once(6)));
    let line = lab.event("", "hold_started");
    assert_eq!(
        (&line["agent"], &line["kind"]),
        (&json!("claude"), &json!("usage_limit")),
        "{line}"
    );
    assert_eq!(line["reason"], "five_hour: Limit reached");
    for name in ["b", "c"] {
        lab.send(&lab.task(name, mark(&lab)));
        lab.accepted(name);
    }
    let beat = lab.heartbeat("three that wait", |beat| beat["holds"][0]["waiting"] == 3);
    let hold = &beat["holds"][0];
    assert_eq!((&hold["agent"], &hold["kind"]), (&json!("claude"), &json!("usage_limit")));
    assert!(is_stamp(&hold["until"]) && hold.get("project").is_none(), "{hold}");
    // The slot is free.
    assert_eq!((&beat["active"], &beat["queued"]), (&json!(0), &json!(3)));

    let reports = ["a", "b", "c"].map(|name| lab.completed(name));
    assert_eq!(started(&lab), ["a", "a", "b", "c"]);
    let report = &reports[0];
    let attempts = report["attempts"].as_array().expect("attempts");
    assert_eq!((attempts.len(), &report["retry_count"]), (2, &json!(0)), "{report:#}");
    assert_eq!(attempts[0]["error_type"], "usage_limit");
    assert!(attempts[1].get("error_type").is_none(), "{report:#}");
    assert!(attempts[1]["started_at"].as_str() >= hold["until"].as_str(), "{report:#} {hold}");
    let events = lab.events("a");
    assert!(events.contains(&"queued_again".into()) && !events.contains(&"retried".into()));
    assert_eq!(lab.event("", "hold_ended")["why"], "probe");
    lab.heartbeat("without a hold", |beat| beat.get("holds").is_none());
    drop(daemon);
}

#[test]
fn after_a_hold_one_goes_first_and_the_others_follow_when_its_model_answers() {
    let lab = Lab::new();
    let (silent, working) = (lab.gate("silent"), lab.gate("working"));
    let daemon = lab.daemon().set("--max-concurrent", 3).start();
    let task = format!(
        "{}{}fake: block {}\nfake: turn working\nfake: block {}\n",
        mark(&lab),
        // The first time it ends here, so that it does not come to the gates.
        limited_once(2).replace("Limit reached", "Limit reached\nfake: once exit 1"),
        silent.display(),
        working.display()
    );
    lab.send(&lab.task("a", task));
    lab.event("", "hold_started");
    for name in ["b", "c"] {
        lab.send(&lab.task(name, mark(&lab)));
        lab.accepted(name);
    }
    let silence = silent.held();
    lab.heartbeat("one probe", |beat| beat["active"] == 1 && beat["queued"] == 2);
    assert_eq!(held(&lab, "a hold")["probe"], "dispatch-a");
    assert_eq!(started(&lab), ["a", "a"]);
    silence.release();
    let work = working.held();
    // It works: nobody has to wait for its end.
    lab.completed("b");
    lab.completed("c");
    assert!(!lab.report_path("a").exists());
    work.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_window_that_does_not_open_fails_the_dispatch_in_the_end() {
    let lab = Lab::new();
    // A reset in a year is clamped to this.
    let daemon = lab.daemon().set("--hold-max", 0.2).start();
    lab.send(&lab.task("a", mark(&lab) + &limited(365 * 86400)));
    lab.send(&lab.task("b", mark(&lab) + &limited_once(365 * 86400)));
    let report = lab.failed("a", "usage_limit");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(6), "{report:#}");
    assert_eq!(report["retry_count"], 0);
    assert_eq!(report["error"], "Limit reached");
    lab.completed("b");
    drop(daemon);
}

#[test]
fn a_reset_in_the_past_holds_nobody() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", limited(-5)));
    let report = lab.failed("a", "usage_limit");
    // It is like a rate limit without a time: retried once.
    assert_eq!(
        (report["attempts"].as_array().map(Vec::len), &report["retry_count"]),
        (Some(2), &json!(1))
    );
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    no_hold(&lab);
    drop(daemon);
}

#[test]
fn a_window_a_year_ahead_is_clamped_to_the_longest_hold() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", limited(365 * 86400)));
    let until = held(&lab, "a hold")["until"].clone();
    let (soonest, latest) = (stamp_in(8 * 86400 - 60), stamp_in(8 * 86400));
    assert!(until.as_str() > Some(&soonest) && until.as_str() <= Some(&latest), "{until}");
    drop(daemon);
}

#[test]
fn words_and_windows_that_let_work_start_no_hold() {
    let event = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":4102444800,"rateLimitType":"five_hour"}}"#;
    let quoted = event.replace('"', "\\\\\"");
    let in_tool = format!(
        r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","content":"{quoted}"}}]}}}}"#
    );
    for (name, task) in [
        ("prose", "fake: result success You have hit your limit. 429 rate_limit, resets 3pm\n".into()),
        ("failed-in-prose", "fake: turn 429 usage limit, resets 3pm\nfake: result error 400 invalid_request limit reached, resets 3pm\n".into()),
        ("tool", format!("fake: raw {in_tool}\n")),
        ("tool-then-rate-limit", format!("fake: raw {in_tool}\nfake: once result error 429 rate_limit x\n")),
        ("stderr", "fake: stderr You have hit your limit, resets 3pm\nfake: no-result\nfake: exit 1\n".into()),
        ("open", "fake: limit allowed_warning 3600\n".into()),
        ("completed", "fake: limit rejected 3600\n".into()),
    ] {
        let lab = Lab::new();
        let daemon = lab.daemon().start();
        lab.send(&lab.task(name, task));
        lab.settled(name);
        lab.send(&lab.task("next", "hello"));
        lab.completed("next");
        no_hold(&lab);
        drop(daemon);
    }
}

#[test]
fn a_hold_and_what_waits_for_it_survive_a_crash() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", mark(&lab) + &limited_once(9)));
    lab.event("", "hold_started");
    lab.send(&lab.task("b", mark(&lab)));
    lab.accepted("b");
    let until = held(&lab, "a hold")["until"].clone();
    daemon.crash();
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    let beat = lab.heartbeat("the same hold", |beat| {
        beat["pid"] == daemon.pid && beat["holds"][0]["waiting"] == 2
    });
    assert_eq!(beat["holds"][0]["until"], until);
    assert_eq!(started(&lab), ["a"]);
    let report = lab.completed("a");
    lab.completed("b");
    assert_eq!(started(&lab), ["a", "a", "b"]);
    assert!(report["attempts"][1]["started_at"].as_str() >= until.as_str(), "{report:#}");
    assert_eq!(report["retry_count"], 0);
    drop(daemon);
}

#[test]
fn a_hold_that_was_never_saved_is_learnt_from_the_attempt_that_met_it() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", mark(&lab) + &limited_once(3600)));
    lab.event("", "hold_started");
    daemon.crash();
    fs::remove_file(lab.ours().join("holds.json")).expect("remove holds.json");
    let daemon = lab.daemon().start();
    lab.heartbeat("the hold", |b| b["pid"] == daemon.pid && b["holds"][0]["waiting"] == 1);
    // Released, it stays so, although the attempt still says it.
    fs::write(control(&lab, "pause"), "").expect("pause");
    lab.event("", "paused");
    fs::write(control(&lab, "release"), "").expect("release");
    lab.event("", "hold_ended");
    daemon.crash();
    fs::remove_file(control(&lab, "pause")).expect("go on");
    let daemon = lab.daemon().start();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn what_stands_in_the_file_is_believed_within_reason() {
    let hold = |until_ms: i64| json!({"agent": "claude", "kind": "usage_limit", "since_ms": 1, "until_ms": until_ms, "reason": "r"});
    let year_ms = 4_102_444_800_000i64;
    for (name, text, is_held) in [
        ("garbage", "{\"as_of_ms\": 5, \"holds\": [{".to_string(), false),
        ("other-json", json!({"as_of_ms": "x", "holds": 5}).to_string(), false),
        ("past", json!({"as_of_ms": 5, "holds": [hold(1000)]}).to_string(), false),
        ("far", json!({"as_of_ms": 5, "holds": [hold(year_ms)]}).to_string(), true),
    ] {
        let lab = Lab::new();
        fs::create_dir_all(lab.ours()).expect("create");
        fs::write(lab.ours().join("holds.json"), text).expect("write holds.json");
        let daemon = lab.daemon().start();
        if is_held {
            let until = held(&lab, "a hold")["until"].clone();
            assert!(until.as_str() <= Some(&stamp_in(8 * 86400)), "{name}: {until}");
        } else {
            no_hold(&lab);
            lab.send(&lab.task("a", "hello"));
            lab.completed("a");
        }
        drop(daemon);
    }
}

#[test]
fn a_control_file_ends_a_hold_at_once_and_the_drop_zone_may_not() {
    for name in ["release", "release-claude"] {
        let lab = Lab::new();
        let daemon = lab.daemon().start();
        lab.send(&lab.task("a", limited_once(3600)));
        lab.event("", "hold_started");
        for other in [lab.inbox().join(name), control(&lab, "release-codex")] {
            fs::write(other, "").expect("write a request");
        }
        wait_until("another agent's release done", PATIENCE, || {
            !control(&lab, "release-codex").exists()
        });
        assert!(!lab.events("").contains(&"hold_ended".into()));
        fs::write(control(&lab, name), "").expect("write a request");
        assert_eq!(lab.event("", "hold_ended")["why"], "released");
        let report = lab.completed("a");
        assert_eq!(report["attempts"].as_array().map(Vec::len), Some(2), "{report:#}");
        wait_until("the request removed", PATIENCE, || !control(&lab, name).exists());
        drop(daemon);
    }
}

#[test]
fn a_dispatch_that_waits_for_a_hold_is_cancelled_or_withdrawn() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", limited(3600)));
    lab.event("a", "queued_again");
    fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("cancel");
    let report = lab.ended("a", "cancelled", "cancelled");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    fs::write(control(&lab, "release"), "").expect("release");
    lab.event("", "hold_ended");
    lab.send(&lab.task("b", limited(3600)));
    lab.event("b", "queued_again");
    fs::remove_file(lab.dropped("b")).expect("withdraw");
    fs::write(control(&lab, "release"), "").expect("release");
    let report = lab.ended("b", "cancelled", "cancelled");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    lab.event("b", "withdrawn");
    drop(daemon);
}

// ---------------------------------------------------------------------------------------- refusals

#[test]
fn a_refused_project_is_held_alone_and_a_second_one_holds_all() {
    let lab = Lab::new();
    let (file, dir) = (lab.path("refused"), lab.project("one"));
    fs::write(&file, "").expect("write");
    let daemon = lab.daemon().set("--probe", 3600).start();
    let refused = |name: &str| lab.task(name, mark(&lab) + &refused_while(&file));
    lab.send(&refused("a").in_dir(&dir));
    let report = lab.failed("a", "auth");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    let line = lab.event("", "hold_started");
    assert_eq!((&line["kind"], &line["project"]), (&json!("auth"), &json!("project-a")), "{line}");
    lab.send(&refused("b").in_dir(&dir));
    lab.accepted("b");
    lab.send(&lab.task("other", mark(&lab)));
    lab.completed("other");
    let hold = held(&lab, "a project's hold");
    assert_eq!((&hold["project"], &hold["waiting"]), (&json!("project-a"), &json!(1)), "{hold}");

    lab.send(&refused("c"));
    lab.failed("c", "auth");
    lab.send(&lab.task("d", mark(&lab)));
    let beat = lab.heartbeat("a hold for all", |beat| beat["holds"][0]["waiting"] == 2);
    let holds = beat["holds"].as_array().expect("holds");
    assert_eq!((holds.len(), holds[0].get("project")), (1, None), "{beat}");
    assert_eq!(lab.event("", "hold_ended")["why"], "all_projects");
    assert_eq!(started(&lab), ["a", "other", "c"]);
    drop(daemon);
}

#[test]
fn a_probe_that_is_refused_waits_on_and_one_that_is_not_ends_the_hold() {
    let lab = Lab::new();
    let (file, dir) = (lab.path("refused"), lab.project("one"));
    fs::write(&file, "").expect("write");
    let daemon = lab.daemon().set("--probe", 0.3).start();
    let task = |name: &str| lab.task(name, mark(&lab) + &refused_while(&file)).in_dir(&dir);
    lab.send(&task("a"));
    lab.failed("a", "auth");
    lab.send(&task("b"));
    lab.send(&task("c"));
    wait_until("two probes", PATIENCE, || started(&lab).len() >= 3);
    lab.event("b", "queued_again");
    fs::remove_file(&file).expect("log in again");
    let report = lab.completed("b");
    lab.completed("c");
    assert_eq!(report["retry_count"], 0);
    assert_eq!(report["attempts"][0]["error_type"], "auth");
    assert_eq!(lab.event("", "hold_ended")["why"], "probe");
    let started = started(&lab);
    assert!(started[1..started.len() - 1].iter().all(|name| name == "b"), "{started:?}");
    drop(daemon);
}

#[test]
fn a_probe_is_refused_only_for_so_long() {
    let lab = Lab::new();
    let (file, dir) = (lab.path("refused"), lab.project("one"));
    fs::write(&file, "").expect("write");
    let daemon = lab.daemon().set("--probe", 0.2).set("--probe-keep", 0.5).start();
    let task = |name: &str| lab.task(name, refused_while(&file)).in_dir(&dir);
    lab.send(&task("a"));
    lab.failed("a", "auth");
    lab.send(&task("b"));
    let report = lab.failed("b", "auth");
    assert!(report["attempts"].as_array().is_some_and(|all| all.len() > 1), "{report:#}");
    drop(daemon);
}

#[test]
fn a_refusal_survives_a_crash_and_so_does_its_probe() {
    let lab = Lab::new();
    let (file, dir, gate) = (lab.path("refused"), lab.project("one"), lab.gate("gate"));
    fs::write(&file, "").expect("write");
    let daemon = lab.daemon().set("--probe", 0.5).start();
    let refusal = refused_while(&file);
    lab.send(&lab.task("a", mark(&lab) + &refusal).in_dir(&dir));
    lab.failed("a", "auth");
    lab.event("", "hold_started");
    let block = format!("fake: block {}\n", gate.display());
    lab.send(&lab.task("b", mark(&lab) + &block + &refusal).in_dir(&dir));
    let hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().set("--probe", 0.5).start();
    lab.event("b", "adopted");
    lab.heartbeat("the hold", |b| b["pid"] == daemon.pid && b["holds"][0]["kind"] == "auth");
    hold.release();
    // It was a probe, and the next daemon knows.
    lab.event("b", "queued_again");
    fs::remove_file(&file).expect("log in again");
    gate.held().release();
    lab.completed("b");
    drop(daemon);
}
