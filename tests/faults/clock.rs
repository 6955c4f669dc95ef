//! A wall clock that jumps, by an hour or by years, forward and back, while everything is under
//! way.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::pool::Random;
use crate::scene::Scene;
use crate::util::*;

const HOUR_MS: i64 = 3_600_000;
const JUMPS_MS: [i64; 9] = [
    0,
    HOUR_MS,
    -HOUR_MS,
    40 * 24 * HOUR_MS,
    -40 * 24 * HOUR_MS,
    366 * 24 * HOUR_MS,
    -366 * 24 * HOUR_MS,
    // Before 1970, and beyond what fits into 32 bits of seconds.
    -70 * 365 * 24 * HOUR_MS,
    80 * 365 * 24 * HOUR_MS,
];

/// Runs the scene to its end while the clock jumps, with a daemon killed now and then.
fn work_off(scene: &mut Scene, kills: usize, random: &mut Random) {
    let clock = scene.lab.path("clock");
    let start = |scene: &Scene| {
        let daemon = scene.daemon().set("--heartbeat", 0.2);
        // What is over is removed by the wall clock, and the check reads it.
        let daemon = ["--logs-keep-days", "--reports-keep-days", "--rejected-keep-days"]
            .iter()
            .fold(daemon, |daemon, flag| daemon.set(flag, 0));
        daemon.env("GSTACK_FAILPOINT_CLOCK", clock.display()).spawn()
    };
    let began = Instant::now();
    for life in 0..=kills {
        let daemon = start(scene);
        let until = Instant::now() + Duration::from_millis(100 + random.below(300));
        while !scene.is_done() && (life == kills || Instant::now() < until) {
            let jump_ms = JUMPS_MS[random.below(JUMPS_MS.len() as u64) as usize];
            fs::write(&clock, jump_ms.to_string()).expect("set the clock");
            pause_as_a_slow_writer(Duration::from_millis(15));
            assert!(began.elapsed() < PATIENCE * 3, "it hangs");
        }
        daemon.crash();
        scene.look_at_reports();
    }
}

#[test]
fn whatever_the_wall_clock_says_nothing_is_lost_doubled_or_late() {
    let mut random = Random::new("clock");
    let server = Server::start(vec![Answer::Status(500), Answer::Status(200)]);
    let mut scene = Scene::with_every_kind(&server.url);
    for n in 0..6 {
        scene.send(
            &format!("limited-{n}"),
            "fake: once limit rejected 2\nfake: once result error 429 rate_limit",
        );
        scene.send(&format!("overloaded-{n}"), "fake: once result error 529 overloaded");
    }
    work_off(&mut scene, 6, &mut random);
    // Monotonic: the clock of the wall neither ends it early nor lets it live on.
    scene.send("hangs", "fake: sleep 7777");
    let hangs = scene.lab.dropped("hangs");
    let text = fs::read_to_string(&hangs).expect("the dispatch");
    let mut dispatch: Value = serde_json::from_str(&text).expect("JSON");
    dispatch["ttl_seconds"] = 2.into();
    fs::write(&hangs, dispatch.to_string()).expect("write");
    work_off(&mut scene, 0, &mut random);
    let report = json_file(&scene.lab.report_path("hangs"));
    let status = report["status"].as_str().unwrap_or("none");
    assert_eq!(status, "timeout", "{report:#}");
    assert_eq!(scene.conclude("clock"), [""; 0]);
}

#[test]
fn a_clock_that_is_set_years_ahead_removes_nothing() {
    let scene = Scene::new();
    let lab = &scene.lab;
    let clock = lab.path("clock");
    let stamp = |beat: &Value| beat["ts"].as_str().unwrap_or_default().to_string();
    let start = || {
        let daemon = scene.daemon().set("--heartbeat", 0.05);
        daemon.env("GSTACK_FAILPOINT_CLOCK", clock.display()).start()
    };
    // Some beats under that clock, each of which would remove everything.
    let some_beats_later = |than: &str| {
        let mut last = than.to_string();
        for _ in 0..5 {
            last = stamp(&lab.heartbeat("a later beat", |beat| stamp(beat) > last));
        }
    };
    let set_ahead = |years: i64| {
        fs::write(&clock, (years * 366 * 24 * HOUR_MS).to_string()).expect("set the clock");
    };
    set_ahead(0);
    let daemon = start();
    lab.send(&lab.task("a", "go"));
    lab.settled("a");
    let is_kept = || lab.finished("a").join("attempt-1").exists() && lab.report_path("a").exists();
    let year: i64 = stamp(&lab.heartbeat("a beat", |_| true))[..4].parse().expect("a year");
    set_ahead(2);
    some_beats_later(&(year + 2).to_string());
    daemon.crash();
    assert!(is_kept(), "the clock was set while the daemon ran");
    set_ahead(4);
    let daemon = start();
    some_beats_later(&(year + 4).to_string());
    daemon.crash();
    assert!(is_kept(), "the clock was wrong when the daemon started");
}

#[test]
fn a_signature_that_is_shown_again_starts_nothing_whatever_the_clock_says() {
    let scene = Scene::new();
    let lab = &scene.lab;
    let (clock, runs) = (lab.path("clock"), lab.path("runs"));
    let run = |words: &[&str]| {
        let out = words.iter().fold(lab.plain_daemon(), |start, word| start.word(word)).output();
        assert_eq!(out.code, 0, "{words:?}: {out:?}");
        out.stdout
    };
    let signed = |name: &str| {
        let task = lab.task(name, format!("fake: mark {} start", runs.display()));
        fs::write(lab.path("plain.json"), task.bytes()).expect("write");
        Dispatch(serde_json::from_str(&run(&["sign", "plain.json"])).expect("JSON"))
    };
    let start = || scene.daemon().env("GSTACK_FAILPOINT_CLOCK", clock.display()).start();
    fs::write(&clock, "0").expect("set the clock");
    run(&["keygen", "k"]);
    let mut daemon = start();
    let first = signed("a");
    lab.send(&first);
    lab.settled("a");
    fs::remove_file(lab.report_path("a")).expect("take the answer away");
    for (n, hours) in [-30 * 24, 2, 26, 0].into_iter().enumerate() {
        fs::write(&clock, (hours * HOUR_MS).to_string()).expect("set the clock");
        if n % 2 == 1 {
            daemon.crash();
            daemon = start();
        }
        lab.send(&first);
        wait_until("a redelivery", PATIENCE, || {
            lab.events("a").iter().filter(|event| *event == "redelivered").count() == n + 1
        });
        if hours != 0 {
            lab.send(&signed(&format!("new-{n}")));
            let (_, why) = lab.rejected(&format!("dispatch-new-{n}.json"));
            assert_eq!(why["reason"], "signature_expired", "{hours} h: {why}");
        }
    }
    assert_eq!(starts(&runs), ["a"]);
    drop(daemon);
}
