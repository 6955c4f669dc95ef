//! Callbacks: the report goes out once it is committed, with one key for every try, until a 2xx
//! answers; never through a redirect, never in a worker's way, and not at all with `--local-only`.

use std::fs;
use std::net::TcpListener;

use serde_json::{Value, json};

use crate::util::*;

fn outbox(lab: &Lab, name: &str) -> std::path::PathBuf {
    lab.ours().join("outbox").join(format!("{}.json", id(name)))
}

fn sent(lab: &Lab, name: &str) -> Value {
    let line = lab.event(name, "callback_sent");
    wait_until("the outbox entry removed", PATIENCE, || !outbox(lab, name).exists());
    line
}

fn key_of(lab: &Lab, name: &str) -> String {
    format!("{}:{}", id(name), &sha256(&lab.report_path(name))[..16])
}

#[test]
fn the_report_is_posted_once() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let daemon = lab.daemon().start();
    let url = format!("{}/hook?x=1", server.url);
    lab.send(&lab.task("a", "fake: result success für dich").with("callback_url", url));
    let report = lab.completed("a");
    assert_eq!(sent(&lab, "a")["status"], 200);
    let requests = server.seen();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/hook?x=1"));
    assert_eq!(request.report(), report);
    assert!(request.body.is_ascii(), "ASCII JSON");
    assert!(request.header("content-type").starts_with("application/json"), "{request:?}");
    assert_eq!(request.header("idempotency-key"), key_of(&lab, "a"));
    // Nothing follows.
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    assert_eq!(server.seen().len(), 1);
    drop(daemon);
}

#[test]
fn every_2xx_is_an_answer() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(204)]);
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    lab.report("a");
    assert_eq!(sent(&lab, "a")["status"], 204);
    drop(daemon);
}

#[test]
fn failures_and_cancellations_are_posted_too() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    let url = server.url.as_str();
    lab.send(&lab.task("failed", "fake: result refusal").with("callback_url", url));
    lab.send(&lab.task("agent", "hello").with("callback_url", url).with("target_agent", "codex"));
    lab.send(
        &lab.task("cancelled", format!("fake: block {}", gate.display())).with("callback_url", url),
    );
    let _hold = gate.held();
    fs::write(lab.inbox().join("cancel-dispatch-cancelled"), "").expect("write");
    for name in ["failed", "agent", "cancelled"] {
        let report = lab.report(name);
        sent(&lab, name);
        let bodies: Vec<Value> = server.seen().iter().map(Request::report).collect();
        assert!(bodies.contains(&report), "{name}: {bodies:#?}");
    }
    drop(daemon);
}

#[test]
fn an_error_is_tried_again_under_the_same_key() {
    let lab = Lab::new();
    let answers = [500, 408, 409, 425, 429, 302, 200].map(Answer::Status).to_vec();
    let server = Server::start(answers);
    let daemon = lab.daemon().set("--callback-delays", "0,0.1,0.2").start();
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    lab.completed("a");
    assert_eq!(lab.event("a", "callback_failed")["status"], 500);
    let requests = server.requests(7);
    sent(&lab, "a");
    assert_eq!(server.seen().len(), 7);
    for request in &requests {
        assert_eq!(request.header("idempotency-key"), key_of(&lab, "a"));
        assert_eq!(request.body, requests[0].body);
    }
    let events = lab.events("a");
    let of_callback: Vec<_> = events.iter().filter(|e| e.starts_with("callback")).collect();
    assert_eq!(of_callback, [&["callback_failed"; 6][..], &["callback_sent"]].concat());
    drop(daemon);
}

#[test]
fn a_redirect_is_not_followed_and_is_no_answer() {
    let lab = Lab::new();
    let elsewhere = Server::start(vec![Answer::Status(200)]);
    let server = Server::start(vec![Answer::Redirect(elsewhere.url.clone()), Answer::Status(200)]);
    let daemon = lab.daemon().set("--callback-delays", "0,0.1").start();
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    assert_eq!(lab.event("a", "callback_failed")["status"], 302);
    sent(&lab, "a");
    assert_eq!(server.seen().len(), 2);
    assert!(elsewhere.seen().is_empty());
    drop(daemon);
}

#[test]
fn a_receiver_that_hangs_delays_nobody() {
    let lab = Lab::new();
    let silent = Server::start(vec![Answer::Silence]);
    let daemon = lab.daemon().set("--callback-timeout", 3).set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", "hello").with("callback_url", silent.url.as_str()));
    silent.requests(1);
    for name in ["b", "c"] {
        lab.send(&lab.task(name, "hello"));
        lab.completed(name);
    }
    assert!(!lab.events("a").iter().any(|e| e.starts_with("callback")), "it still hangs");
    assert!(outbox(&lab, "a").exists());
    let failed = lab.event("a", "callback_failed");
    assert!(failed["error"].is_string(), "{failed}");
    drop(daemon);
}

#[test]
fn what_cannot_be_reached_is_kept_and_the_daemon_lives() {
    let lab = Lab::new();
    // A port where nobody listens.
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let closed = format!("http://{}/", listener.local_addr().expect("address"));
    drop(listener);
    let daemon = lab.daemon().start();
    for (name, url) in
        [("closed", closed.as_str()), ("nonsense", "not a url"), ("file", "file:///etc/passwd")]
    {
        lab.send(&lab.task(name, "hello").with("callback_url", url));
        lab.completed(name);
        let line = lab.event(name, "callback_failed");
        assert!(line["error"].as_str().is_some_and(|e| !e.is_empty()), "{line}");
    }
    assert!(outbox(&lab, "closed").exists());
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    drop(daemon);
}

#[test]
fn what_was_not_delivered_goes_out_after_a_restart() {
    for crash in [false, true] {
        let lab = Lab::new();
        let server = Server::start(vec![Answer::Status(503), Answer::Status(200)]);
        let start = || lab.daemon().set("--callback-delays", "0,1");
        let mut daemon = start().start();
        lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
        lab.settled("a");
        lab.event("a", "callback_failed");
        if crash {
            daemon.crash();
        } else {
            assert_eq!(daemon.stop(), 0);
            drop(daemon);
        }
        if server.seen().len() == 1 {
            assert!(outbox(&lab, "a").exists());
        }
        let daemon = start().start();
        let keys: Vec<String> =
            server.requests(2).iter().map(|r| r.header("idempotency-key").to_string()).collect();
        sent(&lab, "a");
        assert_eq!(keys, [key_of(&lab, "a"), key_of(&lab, "a")]);
        drop(daemon);
    }
}

#[test]
fn a_stop_does_not_wait_for_later_tries() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(500)]);
    let mut daemon =
        lab.daemon().set("--callback-delays", "0,600").set("--drain-timeout", 600).start();
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    lab.event("a", "callback_failed");
    assert_eq!(daemon.stop(), 0);
    assert!(outbox(&lab, "a").exists());
}

#[test]
fn local_only_sends_nothing() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let mut daemon = lab.daemon().word("--local-only").start();
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    lab.settled("a");
    lab.send(&lab.task("b", "hello"));
    lab.settled("b");
    assert_eq!(daemon.stop(), 0);
    assert!(server.seen().is_empty());
    assert!(!lab.events("a").iter().any(|e| e.starts_with("callback")));
    lab.completed("a");
}

#[test]
fn a_refused_file_sends_nothing() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let mut daemon = lab.daemon().start();
    let bad = lab
        .task("a", "hello")
        .with("callback_url", server.url.as_str())
        .with("ttl_seconds", json!("x"));
    lab.send(&bad);
    lab.failed("a", "invalid_dispatch");
    lab.rejected("dispatch-a.json");
    lab.send(&lab.task("b", "hello"));
    lab.settled("b");
    assert_eq!(daemon.stop(), 0);
    assert!(server.seen().is_empty());
}

#[test]
fn a_pause_that_was_decided_under_a_wrong_clock_is_no_longer_than_it_should_be() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(500), Answer::Status(200)]);
    let start = |pause: &str| lab.daemon().set("--callback-delays", format!("0,{pause}")).start();
    let daemon = start("3600");
    lab.send(&lab.task("a", "go").with("callback_url", server.url.as_str()));
    lab.event("a", "callback_failed");
    let path = lab.ours().join("outbox").join(format!("{}.json", id("a")));
    wait_until("the try on record", PATIENCE, || json_file(&path)["tries"] == 1);
    daemon.crash();
    let mut entry = json_file(&path);
    entry["next_at_ms"] = 4_318_000_000_000_i64.into(); // 2106
    entry["created_at_ms"] = 0.into();
    std::fs::write(&path, entry.to_string()).expect("write");
    let daemon = start("0.2");
    lab.event("a", "callback_sent");
    wait_until("an empty outbox", PATIENCE, || !path.exists());
    drop(daemon);
}

#[test]
fn an_entry_that_holds_another_dispatch_than_its_name_is_set_aside_unsent() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let path = outbox(&lab, "a");
    fs::create_dir_all(path.parent().expect("a folder")).expect("the outbox");
    let entry = json!({"dispatch_id": "../holds", "url": server.url, "idempotency_key": "k",
        "body": "{}", "tries": 0, "created_at_ms": 0, "next_at_ms": 0});
    fs::write(&path, entry.to_string()).expect("an entry");
    let daemon = lab.daemon().start();
    wait_until("it is set aside", PATIENCE, || path.with_extension("damaged").exists());
    // The next one to be sent is the first that comes.
    lab.send(&lab.task("b", "hello").with("callback_url", server.url.as_str()));
    sent(&lab, "b");
    assert_eq!(server.requests(1)[0].json()["dispatch_id"], id("b"));
    drop(daemon);
}

/// A session can write what it likes into the outbox.
#[test]
fn entries_that_a_session_wrote_hold_up_nobody_and_go_nowhere_else() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let daemon = lab.daemon().start();
    drop(daemon);
    let outbox = lab.ours().join("outbox");
    let entry = |name: &str| {
        json!({
            "dispatch_id": id(name), "url": server.url, "idempotency_key": "k", "body": "{}",
            "tries": 0, "created_at_ms": 0, "next_at_ms": 0, "asked_pause_ms": 0,
        })
    };
    let with = |name: &str, more: Value| {
        let mut entry = entry(name);
        entry.as_object_mut().expect("an object").extend(more.as_object().expect("too").clone());
        fs::write(outbox.join(format!("{}.json", id(name))), entry.to_string()).expect("write");
    };
    for (name, end) in [("least", i64::MIN), ("most", i64::MAX)] {
        with(name, json!({"created_at_ms": end, "next_at_ms": end, "asked_pause_ms": end}));
    }
    with("tries", json!({"tries": u32::MAX, "next_at_ms": i64::MAX}));
    with("header", json!({"idempotency_key": "k\r\nAuthorization: Bearer t"}));
    with("metadata", json!({"url": "http://169.254.169.254/"}));
    fs::create_dir_all(outbox.join("dispatch-folder.json/x")).expect("create");
    std::os::unix::fs::symlink("/etc/passwd", outbox.join("dispatch-link.json")).expect("link");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    lab.event("a", "callback_sent");
    for name in ["header", "metadata"] {
        assert_eq!(lab.event(name, "callback_failed")["final"], true, "{name}");
        wait_until("it lies among the dead", PATIENCE, || {
            outbox.join("dead").join(format!("{}.json", id(name))).exists()
        });
    }
    assert!(server.seen().iter().all(|request| request.header("authorization").is_empty()));
    drop(daemon);
}
