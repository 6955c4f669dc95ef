//! `show`: all of one dispatch, with why it is where it is and what to type.

use std::fs;

use serde_json::json;

use super::*;

#[test]
fn a_failure_says_what_it_means_and_what_to_type() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let task = "look\n\tand \u{1b}[2Jthink\nfake: deny Bash\nfake: result error 401 authentication_failed Login expired";
    lab.send(&lab.task("a", task).with("constraints", json!(["be quick"])).with("ttl_seconds", 77));
    let report = lab.report("a");
    assert_eq!(report["status"], "failed", "{report:#}");
    lab.settled("a");
    let text = said(&lab, &["show", "a"]);
    for line in [
        "dispatch     dispatch-a",
        "state        failed (auth)",
        "why          The provider refused the agent's credentials.",
        "next         log the agent in, then release, then retry dispatch-a",
        "project      project-a",
        "agent        claude",
        "ttl          1m 17s",
        "task",
        "  | look",
        "  | \tand \\u{1b}[2Jthink",
        "constraints",
        "  | be quick",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
    }
    assert!(text.contains("\nattempt 1    20") && text.contains("\nfolder       "), "{text}");
    let all = json(&lab, &["show", "dispatch-a"]);
    assert_eq!(all["report"], report);
    assert_eq!(all["attempts"], report["attempts"]);
    assert_eq!(all["task"], task);
    assert_eq!((&all["ttl_seconds"], &all["constraints"]), (&json!(77), &json!(["be quick"])));
    assert_eq!(all["folder"], json!(lab.finished("a")));
    let words: Vec<&Value> =
        all["events"].as_array().expect("events").iter().map(|event| &event["event"]).collect();
    assert_eq!(words.first(), Some(&&json!("received")), "{all:#}");
    assert!(words.contains(&&json!("spawned")) && words.contains(&&json!("failed")), "{words:?}");
    // The record is the one that all commands give.
    for (key, value) in record_of(&lab, "a").as_object().expect("a record") {
        assert_eq!(&all[key], value, "{key}");
    }
    drop(daemon);
}

#[test]
fn what_runs_is_shown_with_its_attempt_and_the_time_that_is_left() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    let task = format!("fake: block {}", gate.display());
    lab.send(&lab.task("a", task).with("ttl_seconds", 600));
    let hold = gate.held();
    let text = said(&lab, &["show", "a"]);
    assert!(text.contains("why          Its session is at work.\n"), "{text}");
    assert!(text.contains("time left    9m 5") && text.contains("attempt 1    20"), "{text}");
    let all = json(&lab, &["show", "a"]);
    assert_eq!((&all["attempts"][0]["attempt"], all.get("report")), (&json!(1), None));
    assert_eq!(all["folder"], json!(lab.active("a")));
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_callback_is_told_while_it_waits_and_once_it_came() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").with("callback_url", format!("{}/x", server.url)));
    lab.completed("a");
    server.requests(1);
    lab.event("a", "callback_sent");
    assert_eq!(json(&lab, &["show", "a"])["callback"], json!({"state": "delivered", "tries": 1}));
    lab.send(&lab.task("b", "hello").with("callback_url", "http://127.0.0.1:1/x"));
    lab.completed("b");
    lab.event("b", "callback_failed");
    let told = json(&lab, &["show", "b"])["callback"].clone();
    assert_eq!((&told["state"], &told["tries"]), (&json!("pending"), &json!(1)));
    assert!(is_stamp(&told["next_try"]), "{told}");
    assert_eq!(json(&lab, &["status"])["undelivered"], 1);
    drop(daemon);
}

#[test]
fn what_waits_or_was_refused_is_shown_too() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    lab.place("dispatch-bad.json", b"{\"id\": \"dispatch-bad\", \"task\": 3}");
    lab.rejected("dispatch-bad.json");
    assert_eq!(daemon.stop(), 0);
    lab.send(&lab.task("a", "hello"));
    let all = json(&lab, &["show", "a"]);
    assert_eq!((&all["state"], &all["waits_for"]["what"]), (&json!("inbox"), &json!("daemon")));
    assert_eq!(all["hint"], "start a daemon: run, or service systemd --install");
    let bad = json(&lab, &["show", "bad"]);
    assert_eq!((&bad["state"], &bad["file"]), (&json!("rejected"), &json!("dispatch-bad.json")));
    assert_eq!(bad["why"], "The file was refused: nothing of it ran.");
    let out = ask(&lab, &["show", "nobody"]);
    assert_eq!((out.code, out.stdout.as_str()), (3, ""), "{out:?}");
    // A session may remove or spoil what it likes.
    fs::remove_file(lab.report_path("bad")).expect("remove");
    assert_eq!(json(&lab, &["show", "bad"])["state"], "rejected");
    let Some(out) = at_terminal(&lab, (40, 24), "", &["show", "a"], &[]) else { return };
    for line in out.stdout.lines() {
        let plain: String = line.replace("\u{1b}[1m", "").replace("\u{1b}[0m", "");
        assert!(plain.trim_end().chars().count() <= 40, "{plain}");
    }
}
