//! The audit log is put aside before it gets too large: no line is lost, torn or written twice,
//! whatever else happens.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::util::*;

/// The old logs that there are, by number, oldest first, and the log itself.
fn logs(lab: &Lab) -> Vec<(u32, String)> {
    let name = |number| match number {
        0 => lab.inbox().join("audit.jsonl"),
        _ => lab.inbox().join(format!("audit.jsonl.{number}")),
    };
    (0..1000).rev().filter_map(|n| Some((n, fs::read_to_string(name(n)).ok()?))).collect()
}

fn lines(logs: &[(u32, String)]) -> Vec<Value> {
    let text: Vec<&str> = logs.iter().map(|(_, text)| text.as_str()).collect();
    assert!(text.iter().all(|text| text.ends_with('\n')), "a torn line");
    let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.concat().lines().map(parse).collect()
}

fn is(line: &Value, event: &str) -> bool {
    line["event"] == event
}

#[test]
fn no_line_is_lost_when_the_audit_log_is_put_aside() {
    const COUNT: usize = 40;
    let lab = Lab::new();
    let daemon = lab.daemon().set("--audit-max-mb", 0.003).set("--audit-keep", 100);
    let daemon = daemon.set("--max-concurrent", 4).start();
    (0..COUNT).for_each(|n| lab.send(&lab.task(&n.to_string(), "go")));
    (0..COUNT).for_each(|n| drop(lab.settled(&n.to_string())));
    drop(daemon);
    let logs = logs(&lab);
    assert!(logs.len() > 3, "{} logs", logs.len());
    assert!(logs.iter().all(|(_, text)| text.len() <= 3000), "none is larger than it may be");
    let lines = lines(&logs);
    for event in ["received", "spawned", "completed"] {
        let of_event = lines.iter().filter(|line| is(line, event));
        let ids: Vec<&str> = of_event.filter_map(|line| line["dispatch_id"].as_str()).collect();
        let distinct: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!((ids.len(), distinct.len()), (COUNT, COUNT), "{event}");
    }
    let stamps: Vec<&str> = lines.iter().filter_map(|line| line["ts"].as_str()).collect();
    assert_eq!(lines.iter().filter(|l| is(l, "audit_rotated")).count(), logs.len() - 1);
    let first = serde_json::from_str::<Value>(logs[1].1.lines().next().expect("a line"));
    assert!(is(&first.expect("JSON"), "audit_rotated"), "the first line says what came before");
    assert!(stamps.first() <= stamps.last());
}

/// The kernel writes page by page, and a kill between two pages would leave half a line (seen once
/// in some hundred kills).
#[test]
fn no_line_lies_across_two_pages_where_a_kill_would_tear_it() {
    const PAGE_BYTES: usize = 4096;
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 4).start();
    (0..40).for_each(|n| lab.send(&lab.task(&n.to_string(), "go")));
    (0..40).for_each(|n| drop(lab.settled(&n.to_string())));
    daemon.crash();
    // Where the log goes on is found out anew.
    let daemon = lab.daemon().start();
    (40..60).for_each(|n| lab.send(&lab.task(&n.to_string(), "go")));
    (40..60).for_each(|n| drop(lab.settled(&n.to_string())));
    drop(daemon);
    let text = fs::read_to_string(lab.inbox().join("audit.jsonl")).expect("the log");
    assert!(text.len() > 8 * PAGE_BYTES, "{} bytes are too few to tell", text.len());
    let mut end = 0;
    for line in text.split_inclusive('\n') {
        let first = end + line.len() - line.trim_start().len();
        end += line.len();
        assert_eq!(first / PAGE_BYTES, (end - 1) / PAGE_BYTES, "at {first}: {line}");
    }
}

#[test]
fn only_so_many_old_logs_are_kept_and_a_gap_costs_none() {
    let lab = Lab::new();
    let old = |number: u32| lab.inbox().join(format!("audit.jsonl.{number}"));
    let line = |word: &str| {
        format!(
            "{{\"ts\":\"2026-01-01T00:00:00.000Z\",\"event\":\"{word}\",\"dispatch_id\":\"\"}}\n"
        )
    };
    let start = || lab.daemon().set("--audit-max-mb", 0.001).set("--audit-keep", 3);
    drop(start().start());
    // As a crash in the middle of a rotation leaves it: the log is large, and its next place is
    // free.
    let path = lab.inbox().join("audit.jsonl");
    fs::write(&path, line("full").repeat(15)).expect("a full log");
    for number in 2..=3 {
        fs::write(old(number), line(&format!("was-{number}"))).expect("an old log");
    }
    drop(start().start());
    let has = |number, word: &str| fs::read_to_string(old(number)).is_ok_and(|t| t.contains(word));
    assert!(has(1, "full") && has(2, "was-2") && has(3, "was-3"), "nothing had to go");
    fs::write(&path, line("fuller").repeat(15)).expect("a full log");
    drop(start().start());
    assert!(has(1, "fuller") && has(2, "full") && has(3, "was-2"), "the oldest went");
    assert!(!old(4).exists());
}

#[test]
fn a_log_that_cannot_be_put_aside_goes_on() {
    let lab = Lab::new();
    fs::create_dir_all(lab.inbox().join("audit.jsonl.1/x")).expect("something in the way");
    let start = lab.daemon().set("--audit-max-mb", 0.001).set("--audit-keep", 1);
    let daemon = start.start();
    (0..5).for_each(|n| lab.send(&lab.task(&n.to_string(), "go")));
    (0..5).for_each(|n| drop(lab.settled(&n.to_string())));
    assert_eq!(lab.audit().iter().filter(|line| is(line, "completed")).count(), 5);
    assert_eq!(daemon.stderr().matches("cannot rotate").count(), 1, "not tried at every line");
    drop(daemon);
}

#[test]
fn a_log_grows_for_ever_where_that_is_wanted() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--audit-max-mb", 0).start();
    lab.send(&lab.task("a", "go"));
    lab.settled("a");
    drop(daemon);
    assert_eq!(logs(&lab).len(), 1);
}

#[test]
fn a_torn_last_line_is_kept_closed_and_told_of() {
    let lab = Lab::new();
    let whole = "{\"ts\":\"2026-01-01T00:00:00.000Z\",\"event\":\"received\",\"dispatch_id\":\"dispatch-old\"}\n";
    let torn = format!("{whole}{{\"ts\":\"2026-01-01T00:00:01.000Z\",\"eve");
    lab.place("audit.jsonl", torn.as_bytes());
    let mut daemon = lab.daemon().spawn();
    lab.send(&lab.task("next", "go"));
    wait_until("a report", PATIENCE, || lab.report_path("next").exists());
    assert_eq!(daemon.stop(), 0);
    let path = lab.inbox().join("audit.jsonl");
    let text = fs::read_to_string(&path).expect("the log");
    let rest =
        text.strip_prefix(&format!("{torn}\n")).expect("what was there is there, and closed");
    let lines: Vec<Value> = rest.lines().map(|l| serde_json::from_str(l).expect(l)).collect();
    assert!(is(&lines[0], "audit_tail_repaired"), "{}", lines[0]);
    assert!(lines.iter().any(|line| is(line, "completed")));
    // Whoever tidies up after us reads every line.
    fs::write(&path, rest).expect("write");
}
