//! Where callbacks may go, what their answers mean, and what becomes of those that are given up.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::util::*;

fn outbox(lab: &Lab, name: &str) -> std::path::PathBuf {
    lab.ours().join("outbox").join(format!("{}.json", id(name)))
}

fn dead(lab: &Lab, name: &str) -> std::path::PathBuf {
    lab.ours().join("outbox/dead").join(format!("{}.json", id(name)))
}

fn given_up(lab: &Lab, name: &str) -> Value {
    wait_until("it is given up", PATIENCE, || dead(lab, name).exists());
    assert!(!outbox(lab, name).exists(), "it waits and is dead");
    lab.event(name, "callback_failed")
}

#[test]
fn no_spelling_of_a_forbidden_address_is_connected_to() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 8).start();
    let shown = ["169.254.169.254", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "0.0.0.0"];
    let hidden = ["2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.254.43518", "0", "0x0.0"];
    let hosts: Vec<_> = shown.iter().chain(&hidden).enumerate().collect();
    for (n, host) in &hosts {
        let url = format!("http://{host}:1/secret-path?token=sesame");
        lab.send(&lab.task(&format!("a{n}"), "hello").with("callback_url", url));
    }
    for (n, host) in &hosts {
        let name = format!("a{n}");
        let report = lab.completed(&name);
        let line = given_up(&lab, &name);
        let error = line["error"].as_str().unwrap_or_default();
        assert_eq!(line["final"], true, "{host}: {line}");
        let is_told = error.contains(": it is a") || error.contains(": it leads to a");
        assert!(is_told, "{host}: {line}");
        assert!(!line.to_string().contains("sesame") && !line.to_string().contains("secret-path"));
        let warning = report["warnings"][0].as_str().unwrap_or_default();
        assert_eq!(warning.contains("callback_url cannot be used"), *n < shown.len(), "{report:#}");
        assert!(!report.to_string().contains("sesame"), "{report:#}");
    }
    lab.heartbeat("the dead are counted", |beat| beat["callbacks_dead"] == hosts.len());
    assert!(!daemon.stderr().contains("sesame"), "{}", daemon.stderr());
    drop(daemon);
}

#[test]
fn only_hosts_of_callback_allow_are_told() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let port = server.url.rsplit(':').next().expect("a port").to_string();
    let allow = format!("hooks.example,http://127.0.0.1:{port}");
    let daemon = lab.daemon().set("--callback-allow", allow).start();
    for (name, host, is_allowed) in [
        ("same", "127.0.0.1", true),
        ("mapped", "[::ffff:127.0.0.1]", true),
        ("decimal", "2130706433", false),
        ("name", "localhost", false),
    ] {
        let url = format!("http://{host}:{port}/");
        lab.send(&lab.task(name, "hello").with("callback_url", url));
        let report = lab.completed(name);
        if is_allowed {
            lab.event(name, "callback_sent");
            assert!(report.get("warnings").is_none(), "{report:#}");
        } else {
            let line = given_up(&lab, name);
            assert_eq!(line["error"], format!("{host}: callback_allow does not name it"));
            assert_eq!((&line["try"], &line["final"]), (&json!(0), &json!(true)), "{line}");
            let warning = &report["warnings"][0];
            assert!(warning.as_str().is_some_and(|w| w.contains("callback_allow")), "{report:#}");
        }
    }
    assert_eq!(server.seen().len(), 2);
    drop(daemon);
}

#[test]
fn a_permanent_answer_ends_it_and_what_is_taken_back_is_sent_anew_under_the_same_key() {
    let lab = Lab::new();
    let answers = [404, 503, 200].map(Answer::Status).to_vec();
    let server = Server::start(answers);
    let start = || lab.daemon().set("--callback-delays", "0,0.1").set("--heartbeat", 0.3).start();
    let mut daemon = start();
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    lab.completed("a");
    let line = given_up(&lab, "a");
    let told = (&line["status"], &line["try"], &line["final"]);
    assert_eq!(told, (&json!(404), &json!(1), &json!(true)), "{line}");
    lab.heartbeat("the dead are counted", |beat| beat["callbacks_dead"] == 1);
    let entry = json_file(&dead(&lab, "a"));
    assert_eq!(entry["tries"], 0);
    assert!(entry["given_up"].as_str().is_some_and(|why| why.contains("404")), "{entry}");
    // It stays dead through a restart.
    assert_eq!(daemon.stop(), 0);
    drop(daemon);
    let daemon = start();
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    assert_eq!(server.seen().len(), 1);
    fs::rename(dead(&lab, "a"), outbox(&lab, "a")).expect("take it back");
    lab.event("a", "callback_sent");
    wait_until("it is delivered", PATIENCE, || !outbox(&lab, "a").exists());
    assert!(!dead(&lab, "a").exists());
    let requests = server.seen();
    assert_eq!(requests.len(), 3);
    for request in &requests {
        assert_eq!(request.header("idempotency-key"), requests[0].header("idempotency-key"));
        assert_eq!(request.body, requests[0].body);
    }
    lab.heartbeat("none is dead", |beat| beat.get("callbacks_dead").is_none());
    drop(daemon);
}

#[test]
fn a_receiver_may_ask_for_a_longer_pause_and_not_for_a_shorter_one() {
    let lab = Lab::new();
    let long = Server::start(vec![Answer::With(429, "Retry-After: 3600"), Answer::Status(200)]);
    let short = Server::start(vec![Answer::With(503, "Retry-After: 1"), Answer::Status(200)]);
    let start = || lab.daemon().set("--callback-delays", "0,2").start();
    let daemon = start();
    for (name, server) in [("long", &long), ("short", &short)] {
        lab.send(&lab.task(name, "hello").with("callback_url", server.url.as_str()));
    }
    let failed = lab.event("short", "callback_failed");
    let sent = lab.event("short", "callback_sent");
    assert!(millis_between(&failed["ts"], &sent["ts"]) >= 1_900, "{failed} {sent}");
    let entry = json_file(&outbox(&lab, "long"));
    assert_eq!(entry["asked_pause_ms"], 3_600_000, "{entry}");
    // A restart does not make it shorter.
    daemon.crash();
    let daemon = start();
    lab.send(&lab.task("other", "fake: sleep 2.5"));
    lab.settled("other");
    assert_eq!(long.seen().len(), 1);
    drop(daemon);
}

#[test]
fn what_has_been_tried_for_long_enough_is_given_up() {
    let lab = Lab::new();
    let path = outbox(&lab, "a");
    fs::create_dir_all(path.parent().expect("a folder")).expect("the outbox");
    let server = Server::start(vec![Answer::Status(500)]);
    let entry = json!({"dispatch_id": id("a"), "url": server.url, "idempotency_key": "k",
        "body": "{}", "tries": 86_400, "created_at_ms": 0, "next_at_ms": 0});
    fs::write(&path, entry.to_string()).expect("an entry");
    let daemon = lab.daemon().set("--callback-delays", "0,0.1").start();
    let line = given_up(&lab, "a");
    assert_eq!((&line["status"], &line["final"]), (&json!(500), &json!(true)), "{line}");
    assert_eq!(server.seen().len(), 1);
    drop(daemon);
}

#[test]
fn a_redirect_to_another_port_carries_nothing_there() {
    let lab = Lab::new();
    let elsewhere = Server::start(vec![Answer::Status(200)]);
    let server = Server::start(vec![Answer::Redirect(elsewhere.url.clone())]);
    let token = lab.path("token");
    write_secret(&lab.gstack.join(".callback-secret"), SECRET);
    write_secret(&token, "sesame");
    let bearer = json!({server.url.as_str(): token, elsewhere.url.as_str(): token}).to_string();
    let start = lab.daemon().set("--callback-delays", "0,0.1").set("--callback-bearer", bearer);
    let daemon = start.start();
    lab.send(&lab.task("a", "hello").with("callback_url", server.url.as_str()));
    server.requests(3);
    assert_eq!(server.seen()[0].header("authorization"), "Bearer sesame");
    assert!(elsewhere.seen().is_empty(), "{:?}", elsewhere.seen());
    drop(daemon);
}

#[test]
fn a_proxy_counts_only_where_it_is_asked_for_and_never_for_this_machine() {
    let proxy = Server::start(vec![Answer::Status(502)]);
    for (is_asked, host, is_seen) in [
        (true, "192.0.2.1:9", true),
        (false, "192.0.2.1:9", false),
        (true, "127.0.0.1:9", false),
        (true, "localhost:9", false),
        (true, "2130706433:9", false),
        (true, "0xa9fea9fe:9", false),
    ] {
        let lab = Lab::new();
        let before = proxy.seen().len();
        let start = lab.daemon().env("http_proxy", &proxy.url).set("--callback-timeout", 1);
        let daemon = if is_asked { start.word("--use-env-proxy") } else { start }.start();
        lab.send(&lab.task("a", "hello").with("callback_url", format!("http://{host}/")));
        lab.event("a", "callback_failed");
        assert_eq!(proxy.seen().len() > before, is_seen, "{host} {is_asked}");
        drop(daemon);
    }
}

#[test]
fn a_task_of_clawvisor_gets_no_report() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.put(task("t-1", "standing"));
    let daemon = lab.daemon().env("CLAWVISOR_URL", format!("{}/", clawvisor.url));
    let daemon = daemon.env("CLAWVISOR_AGENT_TOKEN", TOKEN).start();
    let by_task = |name: &str| lab.task(name, "hello").with("clawvisor_task_id", "t-1");
    let url = format!("{}/api/tasks/t-2/complete", clawvisor.url);
    lab.send(&by_task("task").with("callback_url", url));
    let line = lab.event("task", "callback_skipped");
    assert!(line["why"].as_str().is_some_and(|why| why.contains("Clawvisor")), "{line}");
    lab.settled("task");
    assert!(!outbox(&lab, "task").exists() && !dead(&lab, "task").exists());
    let other = format!("{}/clawvisor/callback", clawvisor.url);
    lab.send(&by_task("other").with("callback_url", other));
    lab.event("other", "callback_sent");
    assert_eq!(clawvisor.seen_of("POST", "/").len(), 1);
    drop(daemon);
}

#[test]
fn an_answer_without_end_and_one_that_would_unpack_to_one_are_answers_all_the_same() {
    let lab = Lab::new();
    const ENDLESS: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    const PACKED: &str = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";
    let daemon = lab.daemon().set("--callback-timeout", 20).start();
    for (name, head) in [("endless", ENDLESS), ("packed", PACKED)] {
        let server = Server::start(vec![Answer::Endless(head, &[0; 4096])]);
        lab.send(&lab.task(name, "hello").with("callback_url", server.url.as_str()));
        let sent = lab.event(name, "callback_sent");
        let took_ms = millis_between(&lab.event(name, "completed")["ts"], &sent["ts"]);
        assert!(took_ms < 10_000, "{name} kept us for {took_ms} ms");
    }
    // A header that never ends is no answer, and its time is limited.
    let server =
        Server::start(vec![Answer::Endless("HTTP/1.1 200 OK\r\n", b"x: yyyyyyyyyyyyyyyy\r\n")]);
    lab.send(&lab.task("headers", "hello").with("callback_url", server.url.as_str()));
    assert!(lab.event("headers", "callback_failed")["error"].is_string());
    let resident = text_file(format!("/proc/{}/status", daemon.pid));
    let peak = resident.lines().find(|line| line.starts_with("VmHWM")).expect("VmHWM");
    let peak_kb: u64 = peak.split_whitespace().nth(1).expect("a number").parse().expect("kB");
    assert!(peak_kb < 100_000, "{peak}");
    drop(daemon);
}

#[test]
fn a_server_that_vouches_for_itself_is_not_believed() {
    let lab = Lab::new();
    let (certificate, key) = (lab.path("self.pem"), lab.path("self.key"));
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ])
        .args(["-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-keyout".as_ref(), key.as_os_str(), "-out".as_ref(), certificate.as_os_str()])
        .output();
    if !made.is_ok_and(|run| run.status.success()) {
        return skipped("no certificate can be made: openssl is not there");
    }
    let (port, log) = (lab.path("port"), lab.path("log"));
    let (name, value) = lab.mark().split_once('=').expect("NAME=VALUE");
    let mut server = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/static/https_server.py"))
        .args([&certificate, &key, &port, &log])
        .env(name, value)
        .spawn()
        .expect("python3");
    wait_until("the server's port", PATIENCE, || port.exists());
    let url = format!("https://127.0.0.1:{}/hook", text_file(&port));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").with("callback_url", url.as_str()));
    let line = lab.event("a", "callback_failed");
    assert!(line["error"].as_str().is_some_and(|why| why.contains("ertificate")), "{line}");
    let seen = || fs::read_to_string(&log).unwrap_or_default();
    wait_until("the handshake failed", PATIENCE, || seen().contains("HANDSHAKE"));
    assert!(!seen().contains("POST"), "{}", seen());
    server.kill().expect("end the server");
    server.wait().expect("wait for the server");
    drop(daemon);
}
