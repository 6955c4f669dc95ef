//! Daemons and sessions killed at random moments under load.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::pool::Random;
use crate::scene::Scene;
use crate::util::*;

/// So many dispatches, kills of the daemon and kills of sessions.
struct Size {
    dispatches: usize,
    daemon_kills: usize,
    session_kills: usize,
}

/// Which dispatches do more than to end well. Those that sleep are there to be killed.
fn orders(n: usize) -> &'static str {
    match n % 10 {
        3 => "fake: once result error 529 overloaded",
        1 | 5 => "fake: sleep 0.2",
        7 => "fake: exit 4",
        _ => "",
    }
}

/// Kills one of the youngest sessions that last long enough to be met.
fn kill_some_session(scene: &Scene, random: &mut Random) -> bool {
    const YOUNGEST: usize = 40;
    let lasts = |id: &str| {
        let n = id.strip_prefix("dispatch-").and_then(|n| n.parse().ok());
        n.is_some_and(|n| orders(n).contains("sleep"))
    };
    let mut young = marks(&scene.story.marks);
    young.drain(..young.len().saturating_sub(YOUNGEST));
    young.retain(|(_, id, _)| lasts(id));
    if young.is_empty() {
        return false;
    }
    let (_, id, pid) = &young[random.below(young.len() as u64) as usize];
    // Its number may be another's by now.
    let mark = format!("GSTACK_DISPATCH_ID={id}");
    let is_it = processes_with(&[mark]).iter().any(|(found, _)| found == pid);
    // It may have ended by itself since.
    is_it && Pid::from_raw(*pid).is_some_and(|pid| kill_process(pid, Signal::KILL).is_ok())
}

fn storm(size: &Size) {
    let mut random = Random::new("storm");
    let mut scene = Scene::new();
    let (mut sent, mut daemons, mut sessions) = (0, 0, 0);
    let began = Instant::now();
    let mut told = Instant::now();
    // On a busy machine few sessions may have been there to be killed: a few more daemons, then.
    let lacks_sessions =
        |sessions: usize, scene: &Scene| sessions < size.session_kills && !scene.is_done();
    while daemons < size.daemon_kills || sent < size.dispatches || lacks_sessions(sessions, &scene)
    {
        let daemon = scene.daemon().set("--max-concurrent", 8).spawn();
        // The extra ones live longer and longer: a daemon that is killed before it is through its
        // claims starts nothing.
        let extra = 20 * daemons.saturating_sub(size.daemon_kills) as u64;
        let until = Instant::now() + Duration::from_millis(5 + random.below(250) + extra);
        // Evenly over the kills, and the rest with the last one.
        let share = size.dispatches * (daemons + 1) / size.daemon_kills;
        while sent < share.min(size.dispatches) {
            scene.send(&sent.to_string(), orders(sent));
            sent += 1;
        }
        // A little ahead, since not every daemon lives long enough to see a session that does.
        let ahead = (size.session_kills * (daemons + 1) * 5).div_ceil(size.daemon_kills * 4);
        let kills = ahead.min(size.session_kills);
        while Instant::now() < until {
            if sessions < kills && kill_some_session(&scene, &mut random) {
                sessions += 1;
            }
            pause_as_a_slow_writer(Duration::from_millis(2));
        }
        daemon.crash();
        daemons += 1;
        scene.look_at_reports();
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            let seen = scene.story.seen.len();
            eprintln!(
                "{:?}: {sent} sent, {seen} reported, {daemons} daemons killed",
                began.elapsed()
            );
        }
    }
    let daemon = scene.daemon().set("--max-concurrent", 8).start();
    wait_until("all work done", PATIENCE * 10, || scene.is_done());
    daemon.crash();
    let statuses = fs::read_dir(scene.lab.inbox().join("completed")).expect("reports").flatten();
    let statuses: Vec<String> = statuses
        .map(|entry| json_file(&entry.path())["error_type"].as_str().unwrap_or("none").to_string())
        .collect();
    let of = |word: &str| statuses.iter().filter(|status| *status == word).count();
    let (interrupted, none) = (of("interrupted"), of("none"));
    let violations = scene.conclude("storm");
    eprintln!(
        "{sent} dispatches, {daemons} daemons and {sessions} sessions killed: {none} completed, {interrupted} interrupted, \
         {} violations, {:?}",
        violations.len(),
        began.elapsed()
    );
    assert_eq!(violations, [""; 0]);
    assert!(sessions >= size.session_kills, "only {sessions} sessions were there to be killed");
}

#[test]
fn two_thousand_dispatches_outlive_three_hundred_kills() {
    storm(&Size { dispatches: 2000, daemon_kills: 300, session_kills: 60 });
}

/// More than the kernel's queue of file events holds (16,384), to a daemon that is at work already.
#[test]
#[ignore = "long: make soak"]
fn soak_twenty_thousand_files_at_once() {
    const FILES: usize = 20_000;
    let mut scene = Scene::new();
    let daemon = scene.daemon().set("--max-concurrent", 8).set("--max-per-project", 0).start();
    let began = Instant::now();
    (0..FILES).for_each(|n| scene.send(&n.to_string(), ""));
    eprintln!("{FILES} files dropped in {:?}", began.elapsed());
    wait_until("all work done", PATIENCE * 20, || {
        pause_as_a_slow_writer(Duration::from_millis(500));
        scene.is_done()
    });
    assert!(!daemon.stderr().contains("ERROR"), "{}", daemon.stderr());
    daemon.crash();
    let violations = scene.conclude("burst");
    eprintln!("{FILES} files: {} violations, {:?}", violations.len(), began.elapsed());
    assert_eq!(violations, [""; 0]);
}

#[test]
#[ignore = "long: make soak"]
fn soak_storm() {
    storm(&Size { dispatches: 10_000, daemon_kills: 500, session_kills: 200 });
}
