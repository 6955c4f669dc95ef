//! `run --once`, for cron and for scripts: what is there is worked off, and then the daemon ends by
//! itself. What waits for a person or for a time is left as it stands.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::util::*;

fn once(lab: &Lab) -> Output {
    lab.daemon().word("run").word("--once").output()
}

fn mark(lab: &Lab) -> String {
    format!("fake: mark {}\n", lab.path("marks").display())
}

fn request(lab: &Lab, name: &str) {
    let dir = lab.ours().join("control");
    fs::create_dir_all(&dir).expect("create control/");
    fs::write(dir.join(name), "").expect("write a request");
}

#[test]
fn what_is_there_is_worked_off_and_a_retry_too() {
    let lab = Lab::new();
    let empty = once(&lab);
    assert_eq!((empty.code, empty.stdout.as_str()), (0, ""), "{}", empty.stderr);
    for name in ["a", "b", "c", "d"] {
        lab.send(&lab.task(name, mark(&lab)));
    }
    let limited = "fake: once result error 429 rate_limit slow down\n";
    lab.send(&lab.task("e", mark(&lab) + limited));
    let ran = once(&lab);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for name in ["a", "b", "c", "d", "e"] {
        assert_eq!(lab.report(name)["status"], "completed", "{name}");
    }
    assert_eq!(lab.report("e")["retry_count"], 1);
    assert!(ran.stderr.contains("worked off; 0 queued, 0 pending"), "{}", ran.stderr);
    assert_eq!(lab.processes(), []);
}

#[test]
fn a_file_that_may_be_half_written_is_judged_and_its_fate_told() {
    let lab = Lab::new();
    lab.place("dispatch-half.json", b"{\"id\": \"dispatch-half\", ");
    let ran = once(&lab);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(lab.rejected_count(), 1);
    assert!(!lab.dropped("half").exists());
}

#[test]
fn what_is_held_is_left() {
    let lab = Lab::new();
    let limited = "fake: once limit rejected 7200\nfake: once result error 429 rate_limit x\n";
    for name in ["a", "b"] {
        lab.send(&lab.task(name, limited));
    }
    let ran = once(&lab);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("worked off; 2 queued, 0 pending"), "{}", ran.stderr);
    assert!(lab.active("a").exists() && lab.active("b").exists());
}

#[test]
fn what_waits_for_a_person_is_left() {
    let lab = Lab::new();
    lab.send(&lab.task("a", "hello"));
    let ran = lab.daemon().word("--once").set("--trusted-projects", "/nowhere").output();
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("worked off; 0 queued, 1 pending"), "{}", ran.stderr);
    assert!(lab.ours().join("pending/dispatch-a").exists());
}

#[test]
fn a_pause_is_heeded_and_a_retry_that_it_stops_is_left() {
    let lab = Lab::new();
    lab.send(&lab.task("a", "hello"));
    request(&lab, "pause");
    let ran = once(&lab);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(lab.active("a").exists() && !lab.report_path("a").exists());
    request(&lab, "resume");
    assert_eq!(once(&lab).code, 0);
    lab.completed("a");

    let gate = lab.gate("gate");
    let orders =
        format!("fake: once block {}\nfake: once result error 429 rate_limit x", gate.display());
    lab.send(&lab.task("b", mark(&lab) + &orders));
    let mut daemon = lab.daemon().word("--once").spawn();
    let hold = gate.held();
    request(&lab, "pause");
    lab.event("", "paused");
    hold.release();
    assert_eq!(daemon.wait(), 0, "{}", daemon.stderr());
    assert!(lab.active("b").exists() && !lab.report_path("b").exists());
    request(&lab, "resume");
    assert_eq!(once(&lab).code, 0);
    assert_eq!(lab.completed("b")["retry_count"], 1);
}

#[test]
fn where_another_daemon_runs_there_is_nothing_to_do() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let second = once(&lab);
    assert_eq!((second.code, second.stderr.as_str()), (0, ""));
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
}

#[test]
fn what_the_machine_refuses_is_said_and_stays() {
    let lab = Lab::new();
    lab.send(&lab.task("a", "hello"));
    let ran = lab.daemon().word("--once").set("--min-free-mb", 1_000_000_000).output();
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("not everything could be worked off: "), "{}", ran.stderr);
    assert!(lab.dropped("a").exists());
    assert_eq!(once(&lab).code, 0);
    lab.completed("a");
}

#[test]
fn a_session_that_an_earlier_daemon_left_is_worked_off_too() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let daemon = lab.daemon().start();
    let hold = gate.held();
    daemon.crash();
    let mut daemon = lab.daemon().word("--once").spawn();
    wait_until("it is taken up", PATIENCE, || daemon.stderr().contains("ready"));
    assert!(daemon.exited().is_none());
    hold.release();
    assert_eq!(daemon.wait(), 0, "{}", daemon.stderr());
    lab.completed("a");
}

#[test]
fn the_last_callbacks_have_their_whole_time() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    lab.send(&lab.task("a", "hello").with("callback_url", json!(server.url)));
    assert_eq!(once(&lab).code, 0);
    assert!(is_empty(&lab.ours().join("outbox")));
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).expect("a folder").next().is_none()
}
