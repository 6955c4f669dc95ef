//! A session puts a FIFO or a folder in place of what the daemon opens. It cannot escape its end by
//! that: its time to live, a cancel and the daemon's own end are heeded whatever the state of its
//! files.

use super::*;

/// Records that the daemon writes or reads while a session runs or after its end; the first is of
/// the claim, the others of its attempt.
const RECORDS: [&str; 7] = [
    "report.json",
    "attempt.json",
    "child.json",
    "stdout.jsonl",
    "reading",
    "stop.json",
    "end.json",
];

fn name_of(record: &str, what: &str) -> String {
    format!("{}-{what}", record.replace('.', "-"))
}

/// A session for each record and obstacle: it has written something, and what was there has been
/// replaced.
fn hide_everything(lab: &Lab, ttl_seconds: u64) -> Vec<String> {
    let gate = lab.gate("gate");
    let all = RECORDS.iter().flat_map(|record| ["fifo", "folder"].map(|what| (record, what)));
    let named: Vec<_> = all.map(|(record, what)| (name_of(record, what), record, what)).collect();
    for (name, ..) in &named {
        let orders = format!("fake: turn I began.\n{}", held_orders(lab, &gate, ""));
        lab.send(&lab.task(name, orders).with("ttl_seconds", ttl_seconds));
    }
    wait_until("all run", PATIENCE, || starts(&ran(lab)).len() == named.len());
    for (name, record, what) in &named {
        let dir = if **record == "report.json" { lab.active(name) } else { attempt(lab, name) };
        let path = dir.join(record);
        // Written a moment after the start.
        if **record == "child.json" {
            wait_until("child.json", PATIENCE, || path.exists());
        }
        put_instead(&path, if *what == "fifo" { fifo } else { folder });
    }
    named.into_iter().map(|(name, ..)| name).collect()
}

fn start(lab: &Lab) -> Start<'_> {
    lab.daemon().set("--max-concurrent", 2 * RECORDS.len())
}

fn all_ended(lab: &Lab, names: &[String], status: &str, error_type: &str) {
    for name in names {
        lab.ended(name, status, error_type);
        lab.settled(name);
    }
}

#[test]
fn a_session_that_hides_a_record_is_ended_at_its_time_to_live() {
    let lab = Lab::new();
    let daemon = start(&lab).start();
    let names = hide_everything(&lab, 4);
    all_ended(&lab, &names, "timeout", "timeout");
    send_marked(&lab, "next");
    lab.completed("next");
    drop(daemon);
}

#[test]
fn a_session_that_hides_a_record_is_ended_by_a_cancel() {
    let lab = Lab::new();
    let daemon = start(&lab).start();
    let names = hide_everything(&lab, 600);
    names.iter().for_each(|name| cancel(&lab, name));
    all_ended(&lab, &names, "cancelled", "cancelled");
    drop(daemon);
}

#[test]
fn a_session_that_hides_a_record_is_ended_when_the_daemon_has_waited_long_enough() {
    let lab = Lab::new();
    let mut daemon = start(&lab).set("--drain-timeout", 0.3).start();
    let names = hide_everything(&lab, 600);
    assert_eq!(daemon.stop(), 1);
    all_ended(&lab, &names, "cancelled", "shutdown");
    drop(daemon);
}

#[test]
fn a_session_that_hides_a_record_is_ended_by_a_second_signal() {
    let lab = Lab::new();
    let mut daemon = start(&lab).set("--drain-timeout", 600).start();
    let names = hide_everything(&lab, 600);
    daemon.signal(Signal::TERM);
    wait_until("it drains", PATIENCE, || daemon.stderr().contains("taking nothing new"));
    assert_eq!(daemon.stop(), 1);
    all_ended(&lab, &names, "cancelled", "shutdown");
    drop(daemon);
}

#[test]
fn a_session_that_hides_a_record_is_adopted_or_interrupted_and_never_runs_again() {
    let lab = Lab::new();
    let daemon = start(&lab).start();
    let names = hide_everything(&lab, 600);
    daemon.crash();
    let daemon = start(&lab).start();
    for name in &names {
        cancel(&lab, name);
    }
    for name in &names {
        let report = lab.settled(name);
        let kind = report["error_type"].as_str().unwrap_or_default();
        assert!(["cancelled", "interrupted"].contains(&kind), "{report:#}");
        assert_eq!(runs(&lab, name), 1, "{name}");
    }
    drop(daemon);
}
