//! The decisions of `src/pure` against a disk, a clock and a world in memory: thousands of lives of
//! a daemon in a few seconds, each of which may end at any effect, with the power or without.
//!
//! `disk` loses what was not synced, `world` is senders, agents and clocks, `daemon`, `work`,
//! `start` and `store` make the real steps in the real order, `check` knows what must hold. What
//! the real binary does at real effects, `tests/faults` tries. `GSTACK_TEST_SEED` repeats one
//! world, `GSTACK_TEST_WORLDS` sets how many there are.

#[path = "../faults/pool.rs"]
#[allow(dead_code)]
mod pool;

mod check;
mod daemon;
mod disk;
mod gate;
mod records;
mod start;
mod store;
mod work;
mod world;

use daemon::Daemon;
use world::{Fail, Result, SAFEGUARDS, Without, World};

/// Each of some ten lives.
const WORLDS: u64 = 120;
/// How many worlds a missing safeguard may need to be noticed.
const WORLDS_MAX: u64 = 2000;
const LIVES: u64 = 12;
const STEPS_MAX: u64 = 60;
const EFFECTS_MAX: u64 = 120;
/// For the last daemons, in a world in which nothing goes wrong any more.
const CALM_STEPS_MAX: u64 = 4000;
const CALM_LIVES_MAX: u64 = 40;
const CALM_STEP_MS: i64 = 20_000;

fn number_of(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|number| number.parse().ok())
}

/// The first of many: the next ones are one more each.
fn first_seed(what: &str) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let seed = number_of("GSTACK_TEST_SEED");
    let seed = seed.unwrap_or_else(|| now.map_or(1, |now| now.as_nanos() as u64 >> 10));
    eprintln!("{what}: GSTACK_TEST_SEED={seed}");
    seed
}

/// One daemon's life, to its death.
fn live(w: &mut World) -> Result<()> {
    let mut daemon = Daemon::start(w)?;
    for _ in 0..w.random.below(STEPS_MAX) {
        w.outside();
        daemon.step(w)?;
        if !w.truth.violations.is_empty() {
            break;
        }
    }
    Ok(())
}

/// Until nothing is left to do.
fn rest(w: &mut World) -> Result<()> {
    let mut daemon = Daemon::start(w)?;
    let mut still = 0;
    for _ in 0..CALM_STEPS_MAX {
        w.deny_the_rest();
        if daemon.step(w)? {
            still = 0;
            continue;
        }
        if daemon.open.is_empty() && still > 2 {
            return Ok(());
        }
        still += 1;
        w.pass(CALM_STEP_MS);
    }
    w.truth.wrong(format!("no end of work: {:?}", daemon.open.keys()));
    Ok(())
}

/// A world from its beginning to its end. Gives what was wrong, with what came before it.
fn world(seed: u64, without: Without) -> Option<String> {
    let mut w = World::new(seed, without);
    for _ in 0..LIVES {
        let effects = w.random.below(EFFECTS_MAX) >> w.random.below(4);
        w.fuse = (w.random.below(4) > 0).then_some(1 + effects);
        let _ = live(&mut w);
        if !w.truth.violations.is_empty() {
            return Some(tell(&w, seed));
        }
        w.crash();
    }
    (w.is_calm, w.fuse) = (true, None);
    let mut lives = 0;
    // Twice: a name in use may have kept something back.
    let mut rests = 0;
    while rests < 2 && lives < CALM_LIVES_MAX && w.truth.violations.is_empty() {
        match rest(&mut w) {
            Ok(()) => rests += 1,
            Err(Fail::Died | Fail::Error) => lives += 1,
        }
        w.truth.forget_daemon();
    }
    if lives == CALM_LIVES_MAX {
        w.truth.wrong("each daemon dies".into());
    }
    if w.truth.violations.is_empty() {
        let (disk, sessions) = (&w.disk, &w.sessions);
        w.truth.is_over(disk, sessions);
    }
    (!w.truth.violations.is_empty()).then(|| tell(&w, seed))
}

fn tell(w: &World, seed: u64) -> String {
    let what = w.truth.violations.join("\n");
    format!("GSTACK_TEST_SEED={seed}\n{what}\nbefore it:\n{}", w.truth.told())
}

fn try_worlds(worlds: u64) {
    let first = first_seed("lives");
    for n in 0..worlds {
        if let Some(wrong) = world(first.wrapping_add(n), Without::Nothing) {
            panic!("{wrong}");
        }
    }
}

#[test]
fn whatever_crashes_nothing_is_lost_doubled_or_forgotten() {
    try_worlds(number_of("GSTACK_TEST_WORLDS").unwrap_or(WORLDS));
}

#[test]
fn without_any_one_safeguard_some_life_goes_wrong() {
    let first = first_seed("one safeguard less");
    let mut unnoticed = Vec::new();
    for &without in SAFEGUARDS {
        let found = (0..WORLDS_MAX).find_map(|n| Some((n, world(first.wrapping_add(n), without)?)));
        match found {
            Some((n, what)) => {
                eprintln!("{without:?}: world {n}: {}", what.lines().nth(1).unwrap_or_default())
            }
            None => unnoticed.push(without),
        }
    }
    assert_eq!(unnoticed, []);
}
