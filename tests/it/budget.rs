//! The fleet's budget: what all sessions cost together within a window holds the next ones back,
//! through crashes, and everybody is told until when.

use std::fs;
use std::path::PathBuf;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::util::*;

/// A session that costs so much, and uses so many tokens.
fn spends(usd: f64, tokens: u64) -> String {
    let result = json!({"type": "result", "subtype": "success", "is_error": false,
        "result": "done", "stop_reason": "end_turn", "num_turns": 1, "total_cost_usd": usd,
        "usage": {"input_tokens": tokens - 1, "output_tokens": 1}, "permission_denials": []});
    format!("fake: no-result\nfake: turn done\nfake: raw {result}\n")
}

fn configure(lab: &Lab, config: &Value) {
    fs::create_dir_all(lab.ours()).expect("create our folder");
    fs::write(lab.ours().join("config.json"), config.to_string()).expect("write the config");
}

fn reconfigure(lab: &Lab, daemon: &Daemon, config: &Value) {
    let reloads = || lab.events("").iter().filter(|event| *event == "config_reloaded").count();
    let before = reloads();
    configure(lab, config);
    daemon.signal(Signal::HUP);
    wait_until("the new settings", PATIENCE, || reloads() > before);
}

fn spent_file(lab: &Lab) -> PathBuf {
    lab.ours().join("costs.jsonl")
}

fn budget_hold(beat: &Value) -> Option<&Value> {
    beat["holds"].as_array()?.iter().find(|hold| hold["kind"] == "budget")
}

fn held(lab: &Lab, waiting: u64) -> Value {
    let is_held = |beat: &Value| {
        budget_hold(beat).is_some_and(|hold| hold["waiting"] == waiting) && beat["active"] == 0
    };
    let beat = lab.heartbeat("a budget that is used up", is_held);
    budget_hold(&beat).expect("a hold").clone()
}

fn count(lab: &Lab, event: &str) -> usize {
    lab.events("").iter().filter(|one| *one == event).count()
}

#[test]
fn a_dollar_lets_four_of_ten_run_and_the_others_as_the_window_moves_on() {
    const WINDOW_MS: i64 = 10_000;
    let lab = Lab::new();
    let start = |lab: &Lab| {
        let daemon = lab.daemon().set("--max-concurrent", 1).set("--max-usd-per-day", 1);
        daemon.set("--budget-window", WINDOW_MS / 1000).set("--heartbeat", 1).start()
    };
    let names: Vec<String> = (0..10).map(|number| format!("d{number}")).collect();
    let daemon = start(&lab);
    let gate = lab.gate("gate");
    for name in &names {
        let stands = format!("fake: block {}\n", gate.display());
        let before = if name == "d1" { stands } else { String::new() };
        lab.send(&lab.task(name, before + &spends(0.3, 15)));
        lab.accepted(name);
    }
    let session = gate.held();
    daemon.crash();
    let daemon = start(&lab);
    lab.event("d1", "adopted");
    session.release();
    let hold = held(&lab, 6);
    assert!(hold.get("agent").is_none() && hold.get("project").is_none(), "{hold}");
    assert_eq!(hold["reason"], "1.2 of 1 USD were used within 10 s");
    let line = lab.event("", "hold_started");
    assert_eq!((&line["kind"], &line["until"]), (&json!("budget"), &hold["until"]), "{line}");
    assert!(daemon.stderr().contains(&format!(
        "new sessions are held until {}: 1.2 of 1 USD",
        hold["until"].as_str().expect("a time")
    )));
    // A crash neither forgets what was spent nor tells it twice.
    daemon.crash();
    let mut daemon = start(&lab);
    assert_eq!(held(&lab, 6)["until"], hold["until"]);
    assert_eq!(count(&lab, "hold_started"), 1);

    let reports: Vec<Value> = names.iter().map(|name| lab.completed(name)).collect();
    let waited_for = |later: usize, earlier: usize| {
        millis_between(&reports[earlier]["finished_at"], &reports[later]["started_at"])
    };
    assert_eq!(hold["until"], json!(later_by(&reports[0]["finished_at"], WINDOW_MS)));
    for later in 4..10 {
        // Each one waited until the fourth before it had left the window, and no longer than that.
        let over_ms = waited_for(later, later - 4) - WINDOW_MS;
        assert!((0..5_000).contains(&over_ms), "d{later}: {over_ms} ms");
    }
    assert!(waited_for(3, 0) < WINDOW_MS, "the first four ran at once");
    assert_eq!(daemon.stop(), 0);
    let ended = lab.event("", "hold_ended");
    assert_eq!((&ended["kind"], &ended["why"]), (&json!("budget"), &json!("time")), "{ended}");
}

fn later_by(stamp: &Value, ms: i64) -> String {
    use gstack_dispatch_daemon::pure::text::time::{parse_rfc3339, rfc3339};
    rfc3339(parse_rfc3339(stamp.as_str().expect("a time")).expect("a time") + ms)
}

#[test]
fn a_project_s_budget_holds_that_project_and_only_a_higher_one_lifts_it() {
    let lab = Lab::new();
    let (shop, lib) = (lab.repository("shop"), lab.repository("lib"));
    let config = |tokens: u64| {
        json!({"projects": {shop.display().to_string(): {
        "max_tokens_per_day": tokens}}})
    };
    configure(&lab, &config(15));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", spends(0.0, 15)).in_dir(&shop));
    lab.completed("a");
    lab.send(&lab.task("b", spends(0.0, 15)).in_dir(&shop));
    lab.send(&lab.task("c", spends(0.0, 15)).in_dir(&lib));
    lab.completed("c");
    let hold = held(&lab, 1);
    assert_eq!((&hold["project"], &hold["project_dir"]), (&json!("shop"), &json!(shop)), "{hold}");
    let line = lab.event("", "hold_started");
    assert_eq!((&line["project"], &line["project_dir"]), (&json!("shop"), &json!(shop)), "{line}");
    let release = lab.ours().join("control/release");
    fs::write(&release, "").expect("ask for a release");
    wait_until("the release is heeded", PATIENCE, || !release.exists());
    assert_eq!(held(&lab, 1), hold);
    reconfigure(&lab, &daemon, &config(16));
    lab.completed("b");
    drop(daemon);
    assert_eq!(lab.events("b").iter().filter(|event| *event == "spawned").count(), 1);
}

#[test]
fn a_retry_waits_for_the_budget_too_and_gives_its_slot_up() {
    let lab = Lab::new();
    configure(&lab, &json!({"max_usd_per_day": 0.01}));
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    let orders = "fake: once result error 500 server_error it broke\n";
    lab.send(&lab.task("a", orders));
    lab.event("a", "retried");
    held(&lab, 1);
    reconfigure(&lab, &daemon, &json!({"max_usd_per_day": 5}));
    let report = lab.completed("a");
    assert_eq!(report["retry_count"], 1, "{report:#}");
    drop(daemon);
}

#[test]
fn what_was_spent_is_counted_again_where_the_file_is_gone() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    lab.send(&lab.task("a", spends(0.5, 15)));
    lab.send(&lab.task("b", spends(0.5, 15)));
    lab.completed("a");
    lab.completed("b");
    assert!(!spent_file(&lab).exists(), "without a budget nothing is written");
    // The budget comes later than what was spent.
    configure(&lab, &json!({"max_usd_per_day": 1.2}));
    daemon.signal(Signal::HUP);
    wait_until("a file", PATIENCE, || spent_file(&lab).exists());
    assert_eq!(text_file(spent_file(&lab)).lines().count(), 3);
    // A session may remove it; the daemon knows, and writes all of it again.
    fs::remove_file(spent_file(&lab)).expect("remove it");
    lab.send(&lab.task("c", spends(0.1, 15)));
    lab.completed("c");
    wait_until("the file again", PATIENCE, || {
        fs::read_to_string(spent_file(&lab)).is_ok_and(|text| text.lines().count() == 4)
    });
    assert_eq!(daemon.stop(), 0);
    fs::write(spent_file(&lab), "damaged\n").expect("damage it");
    let mut daemon = lab.daemon().start();
    lab.send(&lab.task("d", spends(0.1, 15)));
    lab.completed("d");
    lab.send(&lab.task("e", spends(0.1, 15)));
    let hold = held(&lab, 1);
    assert_eq!(hold["reason"], "1.2 of 1.2 USD were used within 86400 s");
    // Without a budget there is no file, and nothing waits.
    reconfigure(&lab, &daemon, &json!({}));
    lab.completed("e");
    assert!(!spent_file(&lab).exists());
    assert_eq!(daemon.stop(), 0);
}
