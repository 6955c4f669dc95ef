//! The daemon killed before each single effect, and again in the recovery.

use std::fs;

use crate::pool::{self, Random};
use crate::scene::Scene;
use crate::util::*;

/// Pairs of a crash and a crash in the recovery from it.
const PAIRS: usize = 400;

/// Runs a daemon with this failpoint until it dies of it, or has nothing left to do.
fn run(scene: &Scene, failpoint: &str) {
    let mut daemon = scene.daemon().env("GSTACK_FAILPOINT", failpoint).spawn();
    wait_until(&format!("{failpoint}: its end"), PATIENCE, || {
        scene.answer_what_waits();
        daemon.exited().is_some() || scene.is_done()
    });
    if daemon.exited().is_none() {
        daemon.crash();
    } else {
        daemon.left();
    }
}

/// How many effects the whole scene has.
pub fn effects(callback: &str) -> u64 {
    effects_of(Scene::with_every_kind(callback))
}

pub fn effects_of(scene: Scene) -> u64 {
    let trace = scene.lab.path("trace");
    let daemon = scene.daemon().env("GSTACK_FAILPOINT_TRACE", trace.display()).spawn();
    wait_until("all work done", PATIENCE, || {
        scene.answer_what_waits();
        scene.is_done()
    });
    daemon.crash();
    let count = fs::read_to_string(&trace).expect("a trace").lines().count();
    assert_eq!(scene.conclude("traced"), [""; 0]);
    count as u64
}

#[test]
fn a_daemon_killed_before_any_single_effect_loses_and_doubles_nothing() {
    let server = Server::start(vec![Answer::Status(200)]);
    let count = effects(&server.url);
    assert!(count > 150, "{count} effects: are they counted?");
    eprintln!("{count} crash points");
    let points: Vec<u64> = (1..=count).collect();
    pool::run(&points, |n| {
        let scene = Scene::with_every_kind(&server.url);
        run(&scene, &format!("kill@{n}"));
        scene.conclude(&format!("kill@{n}"))
    });
}

/// A person approves one before it is looked at, and another one while the next daemon recovers.
#[test]
fn a_daemon_killed_before_any_single_effect_forgets_no_approval_and_runs_nothing_without_one() {
    let server = Server::start(vec![Answer::Status(200)]);
    let count = effects_of(Scene::with_a_gate(&server.url));
    assert!(count > 150, "{count} effects: are they counted?");
    eprintln!("{count} crash points");
    let points: Vec<u64> = (1..=count).collect();
    pool::run(&points, |n| {
        let scene = Scene::with_a_gate(&server.url);
        run(&scene, &format!("kill@{n}"));
        scene.conclude(&format!("with a gate: kill@{n}"))
    });
}

/// The scene's own end says whether anything lives: the engine's sessions have the test's mark, and
/// nothing else by which a daemon could find them.
#[test]
fn a_daemon_killed_before_any_single_effect_leaves_nothing_in_an_engine() {
    let count = effects_of(Scene::in_an_engine());
    assert!(count > 30, "{count} effects: are they counted?");
    let points: Vec<u64> = (1..=count).collect();
    pool::run(&points, |n| {
        let scene = Scene::in_an_engine();
        run(&scene, &format!("kill@{n}"));
        scene.conclude(&format!("in an engine: kill@{n}"))
    });
}

/// What waits to become the agent ends by itself, before another daemon looks for it, and has run
/// nothing: what it did would be done twice.
#[test]
fn a_daemon_killed_before_any_single_effect_leaves_nothing_that_waits_behind_a_wall() {
    if !can_confine() {
        return;
    }
    let count = effects_of(Scene::behind_a_wall());
    assert!(count > 30, "{count} effects: are they counted?");
    let points: Vec<u64> = (1..=count).collect();
    pool::run(&points, |n| {
        let scene = Scene::behind_a_wall();
        run(&scene, &format!("kill@{n}"));
        wait_until("the end of what waits", PATIENCE, || !scene.has_what_waits());
        scene.conclude(&format!("behind a wall: kill@{n}"))
    });
}

#[test]
fn a_daemon_killed_again_in_its_recovery_loses_and_doubles_nothing() {
    let server = Server::start(vec![Answer::Status(200)]);
    let count = effects(&server.url);
    let mut random = Random::new("pairs");
    let pairs: Vec<(u64, u64)> =
        (0..PAIRS).map(|_| (1 + random.below(count), 1 + random.below(count / 2))).collect();
    pool::run(&pairs, |(first, second)| {
        let mut scene = Scene::with_every_kind(&server.url);
        run(&scene, &format!("kill@{first}"));
        scene.look_at_reports();
        run(&scene, &format!("kill@{second}"));
        scene.conclude(&format!("kill@{first}, kill@{second}"))
    });
}
