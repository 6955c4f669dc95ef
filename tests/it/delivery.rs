//! Callbacks among receivers that do not answer: none of them holds up another, one at a time goes
//! to each; what no URL can reach is said at once; and no proxy of the environment is asked.

use std::fs;

use serde_json::{Value, json};

use crate::util::*;

fn outbox(lab: &Lab, name: &str) -> std::path::PathBuf {
    lab.ours().join("outbox").join(format!("{}.json", id(name)))
}

/// A receiver that takes what it is sent and never answers.
fn silent() -> Server {
    Server::start(vec![Answer::Silence])
}

fn has_event(lab: &Lab, name: &str, event: &str) -> bool {
    lab.events(name).iter().any(|e| e == event)
}

#[test]
fn with_nine_silent_receivers_the_tenth_still_gets_its_own_at_once() {
    let lab = Lab::new();
    let servers: Vec<Server> = (0..9).map(|_| silent()).collect();
    let healthy = Server::start(vec![Answer::Status(200)]);
    let daemon = lab.daemon().set("--callback-timeout", 20).start();
    for (n, server) in servers.iter().enumerate() {
        let name = format!("silent-{n}");
        lab.send(&lab.task(&name, "hello").with("callback_url", server.url.as_str()));
    }
    for server in &servers {
        server.requests(1);
    }
    lab.send(&lab.task("healthy", "hello").with("callback_url", healthy.url.as_str()));
    let sent = lab.event("healthy", "callback_sent");
    let took_ms = millis_between(&lab.event("healthy", "completed")["ts"], &sent["ts"]);
    for n in 0..9 {
        let name = format!("silent-{n}");
        assert!(!has_event(&lab, &name, "callback_failed"), "{name} does not hang any more");
    }
    // A second on a quiet machine.
    assert!(took_ms < 5_000, "{took_ms} ms");
    drop(daemon);
}

#[test]
fn a_receiver_gets_one_callback_at_a_time() {
    let lab = Lab::new();
    let server = silent();
    let daemon = lab.daemon().set("--callback-timeout", 1.5).start();
    for name in ["a", "b", "c"] {
        lab.send(&lab.task(name, "hello").with("callback_url", server.url.as_str()));
        lab.completed(name);
    }
    wait_until("each has been tried", PATIENCE, || {
        let posted = server.seen().len();
        let ended = ["a", "b", "c"].iter().filter(|n| has_event(&lab, n, "callback_failed"));
        let ended = ended.count();
        assert!(posted <= ended + 1, "{posted} were posted, {ended} have ended");
        ended == 3
    });
    drop(daemon);
}

#[test]
fn a_stop_sends_what_is_due_although_a_receiver_hangs() {
    let lab = Lab::new();
    let (hangs, healthy) = (silent(), Server::start(vec![Answer::Status(200)]));
    let gate = lab.gate("gate");
    let mut daemon = lab.daemon().set("--callback-timeout", 20).start();
    lab.send(&lab.task("a", "hello").with("callback_url", hangs.url.as_str()));
    hangs.requests(1);
    let task = format!("fake: block {}", gate.display());
    lab.send(&lab.task("b", task).with("callback_url", healthy.url.as_str()));
    let hold = gate.held();
    daemon.signal(rustix::process::Signal::TERM);
    hold.release();
    assert_eq!(daemon.wait(), 0);
    lab.completed("b");
    assert_eq!(healthy.seen().len(), 1);
    assert!(!outbox(&lab, "b").exists() && outbox(&lab, "a").exists());
}

#[test]
fn an_empty_callback_url_is_none() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").with("callback_url", ""));
    let report = lab.settled("a");
    lab.send(&lab.task("b", "hello"));
    lab.settled("b");
    assert!(!lab.events("a").iter().any(|e| e.starts_with("callback")), "{:?}", lab.events("a"));
    assert!(report.get("warnings").is_none() && !outbox(&lab, "a").exists(), "{report:#}");
    drop(daemon);
}

#[test]
fn what_no_url_can_reach_is_said_at_once_and_never_tried() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let host = server.url.strip_prefix("http://").expect("a host").to_string();
    let daemon = lab.daemon().start();
    let wrong = [
        "not a url".to_string(),
        "file:///etc/passwd".to_string(),
        format!("ftp://{host}/"),
        "http://".to_string(),
        "https:///path".to_string(),
        format!("http://user:sesame@{host}/"),
        format!(" http://{host}/"),
        format!("http://{host}/a b"),
        format!("//{host}/"),
    ];
    for (n, url) in wrong.iter().enumerate() {
        let name = format!("wrong-{n}");
        lab.send(&lab.task(&name, "hello").with("callback_url", url.as_str()));
        let report = lab.completed(&name);
        let line = lab.event(&name, "callback_failed");
        assert_eq!((&line["final"], &line["try"]), (&json!(true), &json!(0)), "{url}: {line}");
        assert!(line["error"].as_str().is_some_and(|e| !e.is_empty()), "{url}: {line}");
        let warnings = report["warnings"].as_array().unwrap_or_else(|| panic!("{url}: {report:#}"));
        let warning = warnings[0].as_str().expect("a text");
        assert!(warning.contains("callback_url"), "{url}: {warning}");
        assert!(!report.to_string().contains("sesame"), "{report:#}");
        wait_until("it is given up", PATIENCE, || !outbox(&lab, &name).exists());
    }
    // Also where no session ran.
    let agent = lab.task("agent", "hello").with("target_agent", "codex");
    lab.send(&agent.with("callback_url", "file:///x"));
    let report = lab.failed("agent", "unsupported_agent");
    assert!(report["warnings"][0].as_str().is_some_and(|w| w.contains("callback_url")));
    assert!(server.seen().is_empty());
    drop(daemon);
}

#[test]
fn an_address_that_leads_nowhere_and_is_in_the_outbox_already_is_given_up_at_once() {
    let lab = Lab::new();
    let path = outbox(&lab, "a");
    fs::create_dir_all(path.parent().expect("a folder")).expect("the outbox");
    let entry = json!({"dispatch_id": id("a"), "url": "file:///x", "idempotency_key": "k",
        "body": "{}", "tries": 3, "created_at_ms": 0, "next_at_ms": 0});
    fs::write(&path, entry.to_string()).expect("an entry");
    let daemon = lab.daemon().start();
    let line = lab.event("a", "callback_failed");
    assert_eq!((&line["final"], &line["try"]), (&json!(true), &json!(3)), "{line}");
    wait_until("an empty outbox", PATIENCE, || !path.exists());
    drop(daemon);
}

#[test]
fn a_scheme_in_capitals_is_the_same_scheme() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let daemon = lab.daemon().start();
    let url = format!("{}/hook", server.url.replacen("http", "HTTP", 1));
    lab.send(&lab.task("a", "hello").with("callback_url", url));
    lab.event("a", "callback_sent");
    assert_eq!(server.seen()[0].path, "/hook");
    drop(daemon);
}

#[test]
fn no_proxy_of_the_environment_sees_a_callback() {
    for variable in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"] {
        let lab = Lab::new();
        let (server, proxy) =
            (Server::start(vec![Answer::Status(200)]), Server::start(vec![Answer::Status(200)]));
        let daemon = lab.daemon().env(variable, &proxy.url).start();
        lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
        lab.event("a", "callback_sent");
        assert_eq!((server.seen().len(), proxy.seen().len()), (1, 0), "{variable}");
        drop(daemon);
    }
}

#[test]
fn what_an_earlier_daemon_left_waits_as_long_as_nothing_is_to_be_sent() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(503), Answer::Status(200)]);
    let start = || lab.daemon().set("--callback-delays", "0,0.3");
    let daemon = start().start();
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    lab.event("a", "callback_failed");
    daemon.crash();
    let posted = server.seen().len();
    let mut daemon = start().word("--local-only").start();
    // Long enough for the try that is due meanwhile.
    lab.send(&lab.task("b", "fake: sleep 1").with("callback_url", server.url.as_str()));
    lab.settled("b");
    assert_eq!(daemon.stop(), 0);
    if posted == 1 {
        assert_eq!(server.seen().len(), 1, "it was posted although nothing is to be sent");
        assert!(outbox(&lab, "a").exists());
        let daemon = start().start();
        lab.event("a", "callback_sent");
        drop(daemon);
    }
}

#[test]
fn an_entry_that_is_removed_by_hand_is_not_sent() {
    let lab = Lab::new();
    let (server, other) =
        (Server::start(vec![Answer::Status(503)]), Server::start(vec![Answer::Status(200)]));
    let daemon = lab.daemon().set("--callback-delays", "0,2.5").start();
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    lab.event("a", "callback_failed");
    wait_until("the try on record", PATIENCE, || {
        fs::read(outbox(&lab, "a"))
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
            .is_some_and(|entry| entry["tries"] == 1)
    });
    fs::remove_file(outbox(&lab, "a")).expect("remove the entry");
    let posted = server.seen().len();
    for name in ["b", "c"] {
        lab.send(&lab.task(name, "fake: sleep 1.5").with("callback_url", other.url.as_str()));
        lab.event(name, "callback_sent");
    }
    assert_eq!(server.seen().len(), posted);
    drop(daemon);
}
