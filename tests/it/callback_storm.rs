//! A receiver that refuses at first, and a daemon that is killed again and again meanwhile: each
//! callback arrives at least once, under one key, and never before its report stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::util::*;

/// `kills` crashes among `callbacks`. The receiver refuses as many tries as there are callbacks.
fn storm(kills: u64, callbacks: usize) {
    let lab = Lab::new();
    let mut answers = vec![Answer::Status(503); callbacks];
    answers.push(Answer::Status(200));
    let too_early = Arc::new(Mutex::new(Vec::new()));
    let (completed, early) = (lab.inbox().join("completed"), Arc::clone(&too_early));
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let server = Server::watching(listener, answers, move |request| {
        let id = request.json()["task_id"].as_str().expect("an id").to_string();
        if !completed.join(format!("{id}.json")).exists() {
            early.lock().expect("a list").push(id);
        }
    });
    let start = || {
        let start = lab.daemon().set("--callback-delays", "0,0.1").set("--heartbeat", 0.5);
        start.set("--max-concurrent", 4).set("--max-per-project", 0).start()
    };
    let (mut sent, mut random) = (0, 7_u64);
    for round in 1..=kills {
        let upto = callbacks * round as usize / kills as usize;
        for n in sent..upto {
            let task = lab.task(&format!("n{n}"), "hello");
            lab.send(&task.with("callback_url", server.url.as_str()));
        }
        sent = upto;
        let daemon = start();
        // A crash at another moment each time is what is tried here: no event marks it.
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        thread::sleep(Duration::from_millis((random >> 33) % 200));
        daemon.crash();
    }
    let refused = server.seen().len();
    let daemon = start();
    let outbox = lab.ours().join("outbox");
    wait_until("all is delivered", PATIENCE.max(Duration::from_secs(callbacks as u64)), || {
        let reports = (0..callbacks).all(|n| lab.finished(&format!("n{n}")).exists());
        reports && fs::read_dir(&outbox).expect("the outbox").next().is_none()
    });
    drop(daemon);
    assert_eq!(*too_early.lock().expect("a list"), Vec::<String>::new());
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut delivered: BTreeMap<String, usize> = BTreeMap::new();
    let requests = server.seen();
    for (n, request) in requests.iter().enumerate() {
        let id = request.json()["task_id"].as_str().expect("an id").to_string();
        let key = request.header("idempotency-key").to_string();
        keys.entry(id.clone()).or_default().insert(key);
        *delivered.entry(id).or_default() += usize::from(n >= callbacks);
    }
    for n in 0..callbacks {
        let name = format!("n{n}");
        let key = format!("{}:{}", id(&name), &sha256(&lab.report_path(&name))[..16]);
        assert_eq!(keys.get(&id(&name)), Some(&BTreeSet::from([key])), "{name}");
        assert!(delivered[&id(&name)] > 0, "{name}");
    }
    let (tries, twice) = (requests.len(), delivered.values().filter(|times| **times > 1).count());
    println!(
        "{kills} kills, {callbacks} callbacks: {refused} tries before the last start, {tries} in all, {twice} came twice"
    );
    lab.end_leftovers();
}

#[test]
fn each_callback_arrives_through_kills_under_one_key_and_after_its_report() {
    storm(15, 15);
}

/// The pauses are the usual ones, a thousandth as long, so that an hour is 3.6 seconds.
#[test]
fn none_is_lost_in_an_outage_of_an_hour() {
    const HOUR: Duration = Duration::from_millis(3_600);
    const CALLBACKS: usize = 20;
    let lab = Lab::new();
    // Nobody listens there until the hour is over.
    let address = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        listener.local_addr().expect("an address")
    };
    let start = || {
        let start = lab.daemon().set("--callback-delays", "0,0.005,0.03,0.12,0.6,3.6");
        start.set("--heartbeat", 0.5).set("--max-concurrent", 4).set("--max-per-project", 0).start()
    };
    let daemon = start();
    for n in 0..CALLBACKS {
        let task = lab.task(&format!("n{n}"), "hello");
        lab.send(&task.with("callback_url", format!("http://{address}/")));
    }
    let outbox = lab.ours().join("outbox");
    let waiting = || {
        let entries = fs::read_dir(&outbox).expect("the outbox").flatten();
        entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "json")).count()
    };
    wait_until("all wait for their receiver", PATIENCE, || waiting() == CALLBACKS);
    daemon.crash();
    let _daemon = start();
    // The outage itself: no event marks its end.
    thread::sleep(HOUR);
    assert_eq!(waiting(), CALLBACKS, "one was given up");
    let listener = TcpListener::bind(address).expect("its port again");
    let server = Server::watching(listener, vec![Answer::Status(200)], |_| {});
    wait_until("all is delivered", PATIENCE, || waiting() == 0);
    let seen = server.seen();
    let ids = seen.iter().map(|request| request.json()["task_id"].to_string());
    assert_eq!(ids.collect::<BTreeSet<_>>().len(), CALLBACKS);
}

/// For `make soak`.
#[test]
#[ignore = "some minutes"]
fn soak_two_hundred_kills_lose_none_of_a_hundred_callbacks() {
    storm(200, 100);
}
