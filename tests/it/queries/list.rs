//! `list`: which dispatches, in which order, with what in each row.

use std::fs;

use serde_json::{Value, json};

use super::*;

#[test]
fn no_directory_at_all_is_an_empty_one_and_none_is_made() {
    let lab = Lab::new();
    let out = ask(&lab, &["list"]);
    assert_eq!((out.code, out.stdout.as_str()), (0, ""), "{out:?}");
    assert_eq!(out.stderr, "gstack-dispatch-daemon: no dispatches\n");
    assert_eq!(json(&lab, &["list"]), json!([]));
    assert_eq!(said(&lab, &["list", "--ids", "--json"]), "[]\n");
    assert!(!lab.gstack.exists());
}

#[test]
fn running_comes_first_then_what_waits_then_what_ended_newest_first() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("first", "hello"));
    lab.completed("first");
    lab.send(&lab.task("second", "fake: exit 3"));
    assert_eq!(lab.report("second")["status"], "failed");
    lab.send(&lab.task(
        "running",
        format!("look\nfake: tool Bash ls\nfake: block {gate}", gate = gate.display()),
    ));
    let hold = gate.held();
    for name in ["b", "a"] {
        lab.send(&lab.task(name, "hello"));
        lab.accepted(name);
    }
    let all = json(&lab, &["list"]);
    let order = ["running", "b", "a", "second", "first"].map(id);
    assert_eq!(ids(&all), order);
    let states: Vec<&Value> =
        all.as_array().expect("rows").iter().map(|one| &one["state"]).collect();
    assert_eq!(states, ["running", "queued", "queued", "failed", "completed"]);
    let running = &all[0];
    assert_eq!((&running["project"], &running["attempt"]), (&json!("project-running"), &json!(1)));
    assert_eq!((&running["title"], &running["target_agent"]), (&json!("look"), &json!("claude")));
    assert!(is_stamp(&running["started_at"]) && running["elapsed"].is_u64(), "{running:#}");
    assert!(running["output_bytes"].as_u64() > Some(0), "{running:#}");
    assert_eq!(running.get("waits_for"), None, "{running:#}");
    let (next, last) = (&all[1], &all[2]);
    assert_eq!((&next["position"], &last["position"]), (&json!(1), &json!(2)));
    assert_eq!(next["waits_for"]["what"], "slot");
    assert_eq!(next["waits_for"]["ids"], json!([id("running")]));
    let failed = &all[3];
    assert_eq!(failed["exit_code"], 3);
    assert!(failed["retry_count"].is_u64() && failed["error"].is_string(), "{failed:#}");
    assert!(failed["duration"].is_u64(), "{failed:#}");
    let text = said(&lab, &["list"]);
    let rows: Vec<&str> = text.lines().collect();
    assert!(rows[0].starts_with("ID") && rows.len() == 6, "{text}");
    for (row, id) in rows[1..].iter().zip(order) {
        assert!(row.starts_with(&id), "{text}");
    }
    let heads: Vec<&str> = rows[0].split_whitespace().collect();
    assert_eq!(heads, ["ID", "STATE", "PROJECT", "WHEN", "TIME", "COST", "TASK"]);
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn what_is_asked_for_is_listed() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for (name, task) in [("x", "hello"), ("y", "fake: exit 3"), ("z", "hello")] {
        lab.send(&lab.task(name, task));
        lab.report(name);
    }
    lab.place("dispatch-bad.json", b"{\"id\": \"dispatch-bad\"}");
    lab.rejected("dispatch-bad.json");
    drop(daemon);
    let (x, y, z, bad) = (id("x"), id("y"), id("z"), id("bad"));
    for (words, want) in [
        (&[][..], vec![&bad, &z, &y, &x]),
        (&["--failed"], vec![&bad, &y]),
        (&["--state", "completed"], vec![&z, &x]),
        (&["--state", "completed,failed", "--limit=1"], vec![&z]),
        (&["--state=rejected"], vec![&bad]),
        (&["--project", "project-y"], vec![&y]),
        (&["--since", "2h"], vec![&bad, &z, &y, &x]),
        (&["--since", "2099-01-01"], vec![]),
        (&["--limit", "2"], vec![&bad, &z]),
        (&["--state", "running"], vec![]),
    ] {
        let listed = json(&lab, &[&["list"], words].concat());
        assert_eq!(ids(&listed), want, "{words:?}");
        let out = ask(&lab, &[&["list", "--ids"], words].concat());
        assert_eq!(out.stdout.lines().collect::<Vec<_>>(), want, "{words:?}");
    }
    for (words, says) in [
        (&["--state", "complete"][..], "did you mean completed?"),
        (&["--since", "soon"], "is none of 90s"),
        (&["--limit", "-1"], "is not a number"),
        (&["--jsn"], "did you mean --json?"),
        (&["x"], "too much"),
    ] {
        let out = ask(&lab, &[&["list"], words].concat());
        assert_eq!((out.code, out.stdout.as_str()), (2, ""), "{words:?}");
        assert!(out.stderr.contains(says), "{words:?}: {}", out.stderr);
    }
}

#[test]
fn a_rejected_file_has_its_reason_and_an_id_that_ran_is_that_dispatch() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    // Other bytes under a used id are refused; the dispatch stays what it is.
    let again = lab.task("a", "other").bytes();
    lab.place("dispatch-again.json", &again);
    lab.rejected("dispatch-again.json");
    lab.place("dispatch-none.json", b"[]");
    lab.rejected("dispatch-none.json");
    let all = json(&lab, &["list"]);
    assert_eq!(ids(&all), ["-", &id("a")], "{all:#}");
    let none = &all[0];
    assert_eq!((&none["state"], &none["file"]), (&json!("rejected"), &json!("dispatch-none.json")));
    assert!(none["reason"].is_string() && none["error"].is_string(), "{none:#}");
    assert_eq!(all[1]["state"], "completed");
    assert_eq!(json(&lab, &["status"])["rejected"], 2);
    drop(daemon);
}

#[test]
fn an_answer_is_listed_whoever_took_it_away_or_removed_the_log() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for name in ["a", "b", "c"] {
        lab.send(&lab.task(name, "hello"));
        lab.settled(name);
        lab.completed(name);
    }
    drop(daemon);
    fs::remove_file(lab.report_path("a")).expect("an orchestrator takes it");
    let order = ["c", "b", "a"].map(id);
    assert_eq!(ids(&json(&lab, &["list"])), order);
    fs::remove_file(lab.inbox().join("audit.jsonl")).expect("remove the log");
    assert_eq!(ids(&json(&lab, &["list"])), order);
    // Only the published answer is left of one.
    fs::remove_dir_all(lab.finished("b")).expect("remove");
    let mut left = ids(&json(&lab, &["list"])).join(" ");
    assert_eq!(left, order.join(" "));
    assert_eq!(record_of(&lab, "b")["state"], "completed");
    // Lines that anybody may write prove nothing.
    let line = |name: &str| {
        let (ts, id) = ("2099-01-01T00:00:00.000Z", id(name));
        format!(
            "{{\"ts\":\"{ts}\",\"event\":\"completed\",\"dispatch_id\":\"{id}\",\"duration\":1}}\n"
        )
    };
    let forged = line("ghost") + &line("a");
    fs::write(lab.inbox().join("audit.jsonl"), forged).expect("forge");
    left = ids(&json(&lab, &["list"])).join(" ");
    assert_eq!(left, order.join(" "));
}
