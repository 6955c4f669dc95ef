//! A wall clock that jumps, by an hour or by years, forward and back, while everything is under way.

use std::fs;
use std::time::{Duration, Instant};

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
    let mut dispatch: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    dispatch["ttl_seconds"] = 2.into();
    fs::write(&hangs, dispatch.to_string()).expect("write");
    work_off(&mut scene, 0, &mut random);
    let report = json_file(&scene.lab.report_path("hangs"));
    let status = report["status"].as_str().unwrap_or("none");
    assert_eq!(status, "timeout", "{report:#}");
    assert_eq!(scene.conclude("clock"), [""; 0]);
}
