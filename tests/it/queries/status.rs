//! `status`: the daemon's condition, and the parts of its page.

use std::fs;

use rustix::process::Signal;
use serde_json::json;

use super::*;

fn condition(lab: &Lab) -> (String, i32) {
    let out = ask(lab, &["status", "--check"]);
    assert_eq!(out.stderr, "");
    (out.stdout.trim_end().to_string(), out.code)
}

#[test]
fn the_condition_is_told_by_the_lock_and_the_last_beat() {
    let lab = Lab::new();
    assert_eq!(condition(&lab), ("none".into(), 1));
    assert!(!lab.gstack.exists());
    let gate = lab.gate("gate");
    let mut daemon = lab.daemon().start();
    assert_eq!(condition(&lab), ("run".into(), 0));
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    daemon.signal(Signal::TERM);
    wait_until("it drains", PATIENCE, || condition(&lab) == ("drain".into(), 0));
    hold.release();
    assert_eq!(daemon.wait(), 0);
    assert_eq!(condition(&lab), ("stopped".into(), 1));
    let daemon = lab.daemon().start();
    lab.heartbeat("of the second", |beat| beat["pid"] == daemon.pid);
    assert_eq!(condition(&lab), ("run".into(), 0));
    daemon.crash();
    assert_eq!(condition(&lab), ("dead".into(), 1));
    assert_eq!(ask(&lab, &["status", "--check", "--json"]).stdout, "{\"state\":\"dead\"}\n");
}

/// The command must not keep a daemon from starting, however often it asks.
#[test]
fn a_daemon_starts_while_it_is_asked_for() {
    let lab = Lab::new();
    let mut asked = Command::new("sh")
        .args(["-c", &format!("while :; do {DAEMON} status --check >/dev/null; done")])
        .env("GSTACK_HOME", &lab.gstack)
        .spawn()
        .expect("sh");
    for _ in 0..5 {
        let mut daemon = lab.daemon().set("--lock-wait", 0).start();
        assert_eq!(daemon.stop(), 0);
    }
    asked.kill().expect("kill");
    asked.wait().expect("wait");
}

#[test]
fn the_page_has_what_runs_what_waits_and_why_and_what_ended() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--heartbeat", 0.3).start();
    lab.send(&lab.task("done", "hello"));
    lab.completed("done");
    let shop = lab.project("shop");
    let task = format!("fake: tool Bash ls\nfake: block {}", gate.display());
    lab.send(&lab.task("one", task).in_dir(&shop).with("project", "shop"));
    let hold = gate.held();
    lab.send(&lab.task("two", "hello").in_dir(&shop).with("project", "shop"));
    lab.accepted("two");
    lab.heartbeat("its tool", |beat| beat["sessions"][0]["last_tool"] == "Bash");
    let text = said(&lab, &["status"]);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with(&format!("running   pid {} for ", daemon.pid)), "{text}");
    assert!(lines[0].contains("s, 1 of 2 slots  ") && lines[0].contains("/gstack"), "{text}");
    let session = lines[1].split_whitespace().collect::<Vec<_>>();
    assert_eq!(session[..3], ["SESSIONS", &id("one"), "shop"], "{text}");
    assert!(lines[1].contains("  1 turn  ") && lines[1].contains("Bash, "), "{text}");
    let queue = format!("QUEUE 1 {} shop waits for {} in this project", id("two"), id("one"));
    assert_eq!(lines[2].split_whitespace().collect::<Vec<_>>().join(" "), queue, "{text}");
    assert!(lines[3].starts_with(&format!("FINISHED  {}", id("done"))), "{text}");
    assert!(lines[3].contains("completed") && lines.len() == 4, "{text}");
    let all = json(&lab, &["status"]);
    for (key, want) in [
        ("state", json!("run")),
        ("active", json!(1)),
        ("queued", json!(1)),
        ("pid", json!(daemon.pid)),
        ("max_concurrent", json!(2)),
        ("paused", json!(false)),
        ("rejected", json!(0)),
        ("undelivered", json!(0)),
        ("home", json!(lab.gstack)),
        ("inbox", json!([])),
        ("pending", json!([])),
    ] {
        assert_eq!(all[key], want, "{key}: {all:#}");
    }
    assert!(is_stamp(&all["ts"]) && is_stamp(&all["heartbeat_at"]), "{all:#}");
    assert_eq!(all["sessions"][0]["last_tool"], "Bash");
    // A second may have passed since.
    let without_time = |mut record: Value| {
        record["elapsed"] = Value::Null;
        record
    };
    let one = without_time(record_of(&lab, "one"));
    assert_eq!(without_time(all["sessions"][0].clone()), one);
    assert_eq!(all["queue"], json!([record_of(&lab, "two")]));
    assert_eq!(all["finished"], json!([record_of(&lab, "done")]));
    hold.release();
    lab.completed("two");
    drop(daemon);
}

#[test]
fn a_pause_and_an_inbox_without_a_daemon_are_told() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    assert_eq!(daemon.stop(), 0);
    lab.send(&lab.task("a", "hello"));
    fs::write(lab.ours().join("control/pause"), "").expect("pause");
    let text = said(&lab, &["status"]);
    assert!(text.starts_with("stopped   last beat ") && text.contains("PAUSED"), "{text}");
    assert!(text.contains(&format!("INBOX     {}", id("a"))), "{text}");
    let all = json(&lab, &["status"]);
    assert_eq!((&all["paused"], &all["active"]), (&json!(true), &json!(0)));
    assert_eq!(all["inbox"][0]["waits_for"]["what"], "daemon");
    fs::write(lab.ours().join("control/pause"), "2099-01-01T00:00:00.000Z\n").expect("pause");
    assert_eq!(json(&lab, &["status"])["paused_until"], "2099-01-01T00:00:00.000Z");
    fs::write(lab.ours().join("control/pause"), "2001-01-01T00:00:00.000Z\n").expect("pause");
    assert_eq!(json(&lab, &["status"])["paused"], false);
}
