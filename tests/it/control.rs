//! What an orchestrator and a person see and ask for while the daemon runs: cancel files (in the
//! drop zone and in `control/`), pause and resume, the heartbeat.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::util::*;

fn block(gate: &Gate) -> String {
    format!("fake: block {}", gate.display())
}

/// The places where a dispatch may be cancelled.
fn cancel_files(lab: &Lab, name: &str) -> [PathBuf; 2] {
    let file = format!("cancel-{}", id(name));
    [lab.inbox().join(&file), lab.ours().join("control").join(&file)]
}

fn cancel(lab: &Lab, name: &str) {
    request(&cancel_files(lab, name)[0]);
}

fn request(path: &PathBuf) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("create");
    fs::write(path, "").expect("write a request");
}

fn control(lab: &Lab, what: &str) -> PathBuf {
    lab.ours().join("control").join(what)
}

fn cancelled(lab: &Lab, name: &str) -> Value {
    let report = lab.ended(name, "cancelled", "cancelled");
    lab.event(name, "cancel_requested");
    let line = lab.event(name, "cancelled");
    assert_eq!(line["error_type"], "cancelled", "{line}");
    wait_until("the cancel files removed", PATIENCE, || {
        cancel_files(lab, name).iter().all(|path| !path.exists())
    });
    report
}

// ------------------------------------------------------------------------------------------ cancel

#[test]
fn a_running_session_is_cancelled_from_either_place() {
    for place in 0..2 {
        let lab = Lab::new();
        let (gate, pids) = (lab.gate("gate"), lab.path("pids"));
        let daemon = lab.daemon().start();
        let task =
            format!("fake: ignore-term\nfake: setsid-child {}\n{}", pids.display(), block(&gate));
        lab.send(&lab.task("a", task));
        let _hold = gate.held();
        request(&cancel_files(&lab, "a")[place]);
        let report = cancelled(&lab, "a");
        assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
        assert!(pids_in(&pids).iter().all(|pid| !alive(*pid)));
        lab.send(&lab.task("next", "hello"));
        lab.settled("next");
        assert_eq!(lab.waiting(), [""; 0]);
        drop(daemon);
    }
}

#[test]
fn a_queued_dispatch_is_cancelled_at_once_and_never_runs() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", block(&gate)));
    let hold = gate.held();
    for name in ["b", "c", "d"] {
        lab.send(&lab.task(name, "fake: mark ran"));
        lab.accepted(name);
    }
    request(&cancel_files(&lab, "b")[0]);
    request(&cancel_files(&lab, "d")[1]);
    // Its turn has not come: `a` still runs.
    for name in ["b", "d"] {
        let report = cancelled(&lab, name);
        assert_eq!(report["duration"], 0);
        assert!(report.get("attempts").is_none(), "{report:#}");
        assert!(!lab.events(name).contains(&"spawned".to_string()));
    }
    assert!(!lab.report_path("a").exists());
    hold.release();
    lab.completed("c");
    assert!(!lab.path("project-b/ran").exists() && !lab.path("project-d/ran").exists());
    drop(daemon);
}

#[test]
fn a_dispatch_in_its_projects_line_is_cancelled() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let dir = lab.project("shared");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", block(&gate)).in_dir(&dir));
    let hold = gate.held();
    lab.send(&lab.task("b", "fake: mark b").in_dir(&dir));
    lab.send(&lab.task("c", "fake: mark c").in_dir(&dir));
    lab.accepted("b");
    lab.accepted("c");
    cancel(&lab, "b");
    cancelled(&lab, "b");
    hold.release();
    lab.completed("a");
    lab.completed("c");
    assert!(!dir.join("b").exists() && dir.join("c").exists());
    drop(daemon);
}

#[test]
fn a_dispatch_that_backs_off_is_cancelled_and_its_slot_is_free() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 1).set("--rate-limit-backoff", 600).start();
    lab.send(&lab.task("a", "fake: mark ran\nfake: result error 429 rate_limit"));
    lab.event("a", "retried");
    lab.send(&lab.task("b", "hello"));
    cancel(&lab, "a");
    let report = cancelled(&lab, "a");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    assert_eq!(starts(&lab.path("project-a/ran")).len(), 1);
    lab.completed("b");
    drop(daemon);
}

#[test]
fn a_cancel_file_may_come_before_its_dispatch() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    cancel(&lab, "a");
    // A neighbour's whole life: the request was seen, and waits.
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    assert!(cancel_files(&lab, "a")[0].exists());
    lab.send(&lab.task("a", "fake: mark ran"));
    cancelled(&lab, "a");
    assert!(!lab.path("project-a/ran").exists());
    drop(daemon);
}

#[test]
fn a_cancel_file_that_lies_there_at_the_start_counts() {
    let lab = Lab::new();
    lab.send(&lab.task("a", "fake: mark ran"));
    cancel(&lab, "a");
    let daemon = lab.daemon().start();
    cancelled(&lab, "a");
    assert!(!lab.path("project-a/ran").exists());
    drop(daemon);
}

#[test]
fn a_cancel_file_without_a_dispatch_is_removed_after_its_time() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--cancel-keep", 0.5).start();
    let start = Instant::now();
    let files = cancel_files(&lab, "a");
    files.iter().for_each(request);
    wait_until("the cancel files removed", PATIENCE, || files.iter().all(|path| !path.exists()));
    assert!(start.elapsed() >= Duration::from_millis(500), "removed after {:?}", start.elapsed());
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
}

#[test]
fn cancelling_what_is_answered_changes_nothing() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--cancel-keep", 0.5).start();
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    let answer = fs::read(lab.report_path("a")).expect("the report");
    cancel(&lab, "a");
    wait_until("the cancel file removed", PATIENCE, || !cancel_files(&lab, "a")[0].exists());
    assert_eq!(fs::read(lab.report_path("a")).expect("the report"), answer);
    lab.completed("a");
    drop(daemon);
}

#[test]
fn odd_requests_do_no_harm() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for name in [
        "cancel-",
        "cancel-dispatch-",
        "cancel-dispatch-a b",
        "cancel-*",
        "CANCEL-dispatch-a",
        "stop",
    ] {
        request(&lab.inbox().join(name));
        request(&control(&lab, name));
    }
    for dir in [lab.inbox().join("cancel-dispatch-dir"), control(&lab, "cancel-dispatch-dir2")] {
        fs::create_dir(dir).expect("create");
    }
    std::os::unix::fs::symlink("/nowhere", lab.inbox().join("cancel-dispatch-link"))
        .expect("symlink");
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
}

// ----------------------------------------------------------------------------------- pause, resume

#[test]
fn a_paused_daemon_starts_nothing_and_lets_go_on_what_runs() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().start();
    let beat = lab.heartbeat("it runs", |b| b["state"] == "run");
    assert!(beat.get("paused").is_none(), "{beat}");
    lab.send(&lab.task("a", format!("{}\nfake: mark {}", block(&gate), ran.display())));
    let hold = gate.held();
    request(&control(&lab, "pause"));
    lab.heartbeat("paused", |b| b["paused"] == true);
    lab.event("", "paused");
    lab.send(&lab.task("b", format!("fake: mark {}", ran.display())));
    lab.accepted("b");
    hold.release();
    lab.completed("a");
    lab.heartbeat("b waits", |b| b["paused"] == true && b["active"] == 0 && b["queued"] == 1);
    assert!(control(&lab, "pause").exists(), "the pause file stays");
    assert_eq!(starts(&ran), ["a"]);
    request(&control(&lab, "resume"));
    lab.completed("b");
    wait_until("both files removed", PATIENCE, || {
        !control(&lab, "pause").exists() && !control(&lab, "resume").exists()
    });
    lab.heartbeat("no longer paused", |b| b.get("paused").is_none());
    let audit = lab.audit();
    let at = |event: &str, id: &str| {
        let found = audit.iter().position(|l| l["event"] == event && l["dispatch_id"] == id);
        found.unwrap_or_else(|| panic!("no {event} of {id:?}"))
    };
    assert!(
        at("paused", "") < at("resumed", "") && at("resumed", "") < at("spawned", "dispatch-b")
    );
    drop(daemon);
}

#[test]
fn a_pause_outlives_the_daemon() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    request(&control(&lab, "pause"));
    lab.heartbeat("paused", |b| b["paused"] == true);
    assert_eq!(daemon.stop(), 0);
    lab.send(&lab.task("a", "hello"));
    let daemon = lab.daemon().start();
    lab.heartbeat("a waits", |b| b["paused"] == true && b["queued"] == 1);
    assert!(!lab.events("a").contains(&"spawned".to_string()));
    request(&control(&lab, "resume"));
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_queued_dispatch_can_be_cancelled_while_paused() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    request(&control(&lab, "pause"));
    lab.heartbeat("paused", |b| b["paused"] == true);
    lab.send(&lab.task("a", "fake: mark ran"));
    lab.accepted("a");
    cancel(&lab, "a");
    cancelled(&lab, "a");
    drop(daemon);
}

#[test]
fn the_drop_zone_may_not_pause() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for name in ["pause", "cancel-pause", "resume"] {
        request(&lab.inbox().join(name));
    }
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    assert!(!control(&lab, "pause").exists());
    drop(daemon);
}

// --------------------------------------------------------------------------------------- heartbeat

#[test]
fn the_heartbeat_tells_what_runs() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    let idle = lab.heartbeat("idle", |b| b["active"] == 0);
    assert!(is_stamp(&idle["ts"]), "{idle}");
    assert_eq!(idle["pid"], daemon.pid);
    assert_eq!((&idle["queued"], &idle["max_concurrent"]), (&json!(0), &json!(1)));
    assert_eq!(idle["state"], "run");
    assert_eq!(idle["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(idle["sessions"], json!([]));
    lab.send(&lab.task("a", block(&gate)));
    let hold = gate.held();
    lab.send(&lab.task("b", "hello"));
    let busy = lab.heartbeat("busy", |b| b["active"] == 1 && b["queued"] == 1);
    let session = &busy["sessions"][0];
    assert_eq!((&session["id"], &session["project"]), (&json!("dispatch-a"), &json!("project-a")));
    assert_eq!(session["attempt"], 1);
    assert!(session["elapsed"].as_f64().is_some_and(|s| (0.0..20.0).contains(&s)), "{busy}");
    hold.release();
    lab.completed("b");
    // The last change is shown, too, and not only at the next beat in 30 s.
    lab.heartbeat("idle again", |b| {
        b["active"] == 0 && b["queued"] == 0 && b["sessions"] == json!([])
    });
    drop(daemon);
}

#[test]
fn the_heartbeat_beats_at_its_interval() {
    let lab = Lab::new();
    let start = Instant::now();
    let daemon = lab.daemon().set("--heartbeat", 0.3).start();
    let mut seen = BTreeSet::new();
    lab.heartbeat("five beats", |beat| {
        seen_in(&mut seen, beat);
        seen.len() >= 5
    });
    let elapsed = start.elapsed();
    assert!(elapsed >= Duration::from_millis(1100), "five beats in {elapsed:?}");
    drop(daemon);
}

#[test]
fn many_changes_in_a_second_are_one_heartbeat() {
    let lab = Lab::new();
    let start = Instant::now();
    let daemon = lab.daemon().start();
    (0..30).for_each(|n| lab.send(&lab.task(&n.to_string(), "hello")));
    let mut seen = BTreeSet::new();
    lab.heartbeat("all done", |beat| {
        seen_in(&mut seen, beat);
        let done = (0..30).all(|n| lab.report_path(&n.to_string()).exists());
        done && beat["active"] == 0 && beat["queued"] == 0
    });
    let most = 2 + start.elapsed().as_secs() as usize;
    assert!(seen.len() <= most, "{} heartbeats in {:?}", seen.len(), start.elapsed());
    drop(daemon);
}

fn seen_in(seen: &mut BTreeSet<String>, beat: &Value) {
    seen.insert(beat["ts"].as_str().expect("ts").to_string());
}
