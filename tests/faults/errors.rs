//! Every effect fails, with every error that it can have, once and for ever: nothing is lost,
//! nobody panics, nothing turns in a hot loop, and once the fault is over the work goes on without
//! a restart.

use std::fs;
use std::time::{Duration, Instant};

use crate::pool;
use crate::scene::Scene;
use crate::util::*;

const FAULTS: [&str; 10] =
    ["ENOSPC", "EDQUOT", "EIO", "EROFS", "EMFILE", "ENFILE", "ENOMEM", "EAGAIN", "short", "EINTR"];
/// How many places of the scene are tried with each fault.
const PLACES: u64 = 14;
/// How long a fault lasts.
const LASTS: Duration = Duration::from_millis(600);
/// More effects than these in that time are a loop without a pause.
const EFFECTS_MAX: usize = 4000;

struct Round {
    fault: String,
    lasts: bool,
}

fn rounds(lasts: bool) -> Vec<Round> {
    // Past the start, which may fail by itself, and to where most work has been done.
    let places = (0..PLACES).map(|n| 20 + n * 37);
    let at = |fault: &str, place: u64| Round {
        fault: format!("{fault}@{place}{}", if lasts { "+" } else { "" }),
        lasts,
    };
    // No signal interrupts for ever.
    let faults = if lasts { &FAULTS[..9] } else { &FAULTS[..] };
    places.flat_map(|place| faults.iter().map(move |fault| at(fault, place))).collect()
}

fn try_one(round: &Round, callback: &str) -> Vec<String> {
    let mut scene = Scene::with_every_kind(callback);
    let (over, trace) = (scene.lab.path("over"), scene.lab.path("trace"));
    let mut daemon = scene
        .daemon()
        .set("--trouble-pause", 0.05)
        .set("--heartbeat", 0.3)
        .env("GSTACK_FAILPOINT", &round.fault)
        .env("GSTACK_FAILPOINT_OVER", over.display())
        .env("GSTACK_FAILPOINT_TRACE", trace.display())
        .spawn();
    let mut found = Vec::new();
    let mut say = |what: String| found.push(format!("{}: {what}", round.fault));
    if round.lasts {
        let until = Instant::now() + LASTS;
        wait_until("the end of the fault", PATIENCE, || {
            Instant::now() >= until || daemon.exited().is_some()
        });
        let effects = text_file(&trace).lines().count();
        if effects > EFFECTS_MAX {
            say(format!("{effects} effects in {LASTS:?}: a hot loop"));
        }
        fs::write(&over, "").expect("write");
    }
    let began = Instant::now();
    while !scene.is_done() && daemon.exited().is_none() && began.elapsed() < PATIENCE {
        pause_as_a_slow_writer(Duration::from_millis(10));
    }
    match daemon.exited() {
        // A start that cannot be made is an error of the start, with one line; the next start does
        // the work.
        Some(status) if status.code() == Some(1) && !daemon.stderr().contains(" ready") => {}
        Some(status) => say(format!("it ended: {status}\n{}", daemon.stderr())),
        None if !scene.is_done() => say(format!("it does not go on\n{}", daemon.stderr())),
        None => {}
    }
    if daemon.stderr().contains("panicked") {
        say(format!("a panic\n{}", daemon.stderr()));
    }
    if daemon.exited().is_some() {
        daemon.left();
    } else {
        assert_eq!(daemon.stop(), 0);
        daemon.left();
    }
    scene.look_at_reports();
    found.extend(scene.conclude(&round.fault));
    found
}

#[test]
fn a_rejected_file_outlives_an_error_right_after_its_move() {
    let mut scene = Scene::new();
    let trace = scene.lab.path("trace");
    let bad = |scene: &Scene| scene.lab.place("dispatch-bad.json", br#"{"id": "dispatch-bad"}"#);
    bad(&scene);
    scene.story.invalid = 1;
    let daemon = scene.daemon().env("GSTACK_FAILPOINT_TRACE", trace.display()).spawn();
    let (kept, _) = scene.lab.rejected("dispatch-bad.json");
    daemon.crash();
    let into = kept.file_name().expect("a name").to_string_lossy().into_owned();
    let text = text_file(&trace);
    let is_move = |line: &&str| {
        line.contains("\tRename\t") && line.ends_with(&format!("{into}/dispatch-bad.json"))
    };
    let moved = text.lines().find(is_move).expect("its move");
    let number: u64 = moved.split('\t').next().and_then(|n| n.parse().ok()).expect("a number");
    assert_eq!(scene.conclude("traced"), [""; 0]);
    // The heartbeat's own effects come in between: a few numbers around it are tried.
    for at in number + 1..number + 4 {
        let mut scene = Scene::new();
        bad(&scene);
        scene.story.invalid = 1;
        let start = scene.daemon().set("--heartbeat", 0.3).set("--trouble-pause", 0.05);
        let mut daemon = start.env("GSTACK_FAILPOINT", format!("EIO@{at}")).spawn();
        scene.lab.rejected("dispatch-bad.json");
        assert_eq!(daemon.stop(), 0);
        daemon.left();
        scene.look_at_reports();
        assert_eq!(scene.conclude(&format!("EIO@{at}")), [""; 0]);
    }
}

#[test]
fn a_retry_whose_start_the_disk_refuses_is_still_the_one_retry() {
    let always = "fake: result error 429 rate_limit";
    let (mut scene, mut at) = (Scene::new(), None);
    scene.send("limited", always);
    let trace = scene.lab.path("trace");
    let daemon = scene.daemon().env("GSTACK_FAILPOINT_TRACE", trace.display()).spawn();
    wait_until("its end", PATIENCE, || scene.is_done());
    daemon.crash();
    for line in text_file(&trace).lines() {
        if line.contains("\tSync\t") && line.contains("attempt-2/attempt.json") {
            at = line.split('\t').next().and_then(|n| n.parse::<u64>().ok());
        }
    }
    let at = at.expect("the record of its retry");
    for lasts in ["", "+"] {
        // Other threads' effects may come in between.
        for at in at - 1..at + 3 {
            let mut scene = Scene::new();
            scene.send("limited", always);
            let over = scene.lab.path("over");
            let start = scene.daemon().set("--trouble-pause", 0.05);
            let start = start.env("GSTACK_FAILPOINT_OVER", over.display());
            let mut daemon = start.env("GSTACK_FAILPOINT", format!("EIO@{at}{lasts}")).spawn();
            wait_until("the fault", PATIENCE, || {
                daemon.stderr().contains("os error 5") || scene.is_done()
            });
            fs::write(&over, "").expect("write");
            let report = scene.lab.report("limited");
            assert_eq!(report["retry_count"], 1, "EIO@{at}{lasts}: {report:#}");
            assert_eq!(
                report["attempts"].as_array().map_or(0, Vec::len),
                2,
                "EIO@{at}{lasts}: {report:#}"
            );
            assert_eq!(daemon.stop(), 0);
            daemon.left();
        }
    }
}

/// The child processes of a daemon, the dead among them.
fn children(daemon: i32) -> String {
    text_file(format!("/proc/{daemon}/task/{daemon}/children"))
}

#[test]
fn a_start_that_the_disk_refuses_leaves_no_process_that_waits_behind_a_wall() {
    if !can_confine() {
        return;
    }
    let scene = Scene::behind_a_wall();
    let trace = scene.lab.path("trace");
    let daemon = scene.daemon().env("GSTACK_FAILPOINT_TRACE", trace.display()).spawn();
    wait_until("its end", PATIENCE, || scene.is_done());
    daemon.crash();
    let text = text_file(&trace);
    let number_of = |what: &str| {
        let line = text.lines().find(|line| line.contains(what)).expect("an effect");
        line.split('\t').next().and_then(|n| n.parse::<u64>().ok()).expect("a number")
    };
    // The verb is there before the folder is.
    let (first, last) = (number_of("/attempt-1\t"), number_of("attempt-1/child.json"));
    for at in first..last {
        let scene = Scene::behind_a_wall();
        let start = scene.daemon().set("--trouble-pause", 0.05);
        let mut daemon = start.env("GSTACK_FAILPOINT", format!("EIO@{at}")).spawn();
        scene.lab.report("walled");
        wait_until("the end of what waited", PATIENCE, || children(daemon.pid).is_empty());
        assert_eq!(daemon.stop(), 0);
        daemon.left();
        assert_eq!(scene.conclude(&format!("EIO@{at}")), [""; 0]);
    }
}

#[test]
fn a_fault_that_strikes_once_loses_nothing() {
    let server = Server::start(vec![Answer::Status(200)]);
    pool::run(&rounds(false), |round| try_one(round, &server.url));
}

#[test]
fn a_fault_that_lasts_loses_nothing_and_the_work_goes_on_when_it_ends() {
    let server = Server::start(vec![Answer::Status(200)]);
    pool::run(&rounds(true), |round| try_one(round, &server.url));
}
