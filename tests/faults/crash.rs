//! The daemon killed before each single effect, and again in the recovery.

use std::fs;

use crate::disk::{Disk, Loses};
use crate::pool::{self, Random};
use crate::scene::Scene;
use crate::util::*;

/// Pairs of a crash and a crash in the recovery from it.
const PAIRS: usize = 400;

/// Runs a daemon with this failpoint until it dies of it, or has nothing left to do.
fn run(scene: &Scene, failpoint: &str) {
    let mut daemon = scene.daemon().env("GSTACK_FAILPOINT", failpoint).spawn();
    wait_until(&format!("{failpoint}: its end"), PATIENCE, || {
        daemon.exited().is_some() || scene.is_done()
    });
    if daemon.exited().is_none() {
        daemon.crash();
    } else {
        daemon.left();
    }
}

/// How many effects the whole scene has.
fn effects(callback: &str) -> u64 {
    let scene = Scene::with_every_kind(callback);
    let trace = scene.lab.path("trace");
    let daemon = scene.daemon().env("GSTACK_FAILPOINT_TRACE", trace.display()).spawn();
    wait_until("all work done", PATIENCE, || scene.is_done());
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

/// Crashes with which the power goes, each with the strictest disk and with a moody one.
const CUTS: usize = 400;

fn cut(callback: &str, at: u64, loses: Loses, random: &mut Random) -> Vec<String> {
    let mut scene = Scene::with_every_kind(callback);
    // The log is not synced line by line: its last moments go with the power.
    scene.forgives = &["no spawned line", "no last line", "no first line", "torn line"];
    // What a careful user has before the first dispatch: a daemon ran here once.
    let root = scene.lab.gstack.clone();
    let disk = Disk::look(&root, &scene.lab.path("beside"));
    let trace = scene.lab.path("trace");
    let mut daemon = scene
        .daemon()
        .env("GSTACK_FAILPOINT", format!("kill@{at}"))
        .env("GSTACK_FAILPOINT_TRACE", trace.display())
        .env("GSTACK_FAILPOINT_KEEP", disk.keep().display())
        .spawn();
    wait_until(&format!("cut@{at}: its end"), PATIENCE, || {
        daemon.exited().is_some() || scene.is_done()
    });
    scene.look_at_reports();
    if daemon.exited().is_none() {
        daemon.crash();
    } else {
        daemon.left();
    }
    scene.lab.end_leftovers();
    disk.lose(&trace, at, loses, random);
    scene.conclude(&format!("cut@{at}, loses {loses:?}"))
}

#[test]
fn a_disk_that_keeps_only_what_was_synced_loses_and_doubles_nothing() {
    let server = Server::start(vec![Answer::Status(200)]);
    let count = effects(&server.url);
    let mut random = Random::new("cuts");
    let cuts: Vec<(u64, Loses, u64)> = (0..CUTS)
        .map(|n| {
            let loses = if n % 2 == 0 { Loses::All } else { Loses::Some };
            (1 + random.below(count), loses, random.below(u64::MAX >> 33))
        })
        .collect();
    pool::run(&cuts, |(at, loses, seed)| cut(&server.url, *at, *loses, &mut Random::from(*seed)));
}
