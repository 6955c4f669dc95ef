//! Many small rounds, a few at a time; what failed is told at the end, with all that is needed to
//! see it again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Two cores, and most of a round is waiting.
const AT_ONCE: usize = 4;
/// What is wrong everywhere is known after so many violations; each may take a long wait in vain.
const ENOUGH: usize = 8;

/// Runs all rounds. Each gives what it found wrong.
pub fn run<T: Sync>(rounds: &[T], round: impl Fn(&T) -> Vec<String> + Sync) {
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(one) = rounds.get(next.fetch_add(1, Ordering::AcqRel)) {
                    let found = round(one);
                    let mut wrong = wrong.lock().expect("a list");
                    wrong.extend(found);
                    if wrong.len() >= ENOUGH {
                        break;
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("a list");
    assert!(wrong.is_empty(), "{} violations:\n{}", wrong.len(), wrong.join("\n"));
}

/// Numbers that look random and can be had again (the generator of Knuth's MMIX).
pub struct Random(u64);

impl Random {
    /// Prints its seed; `GSTACK_TEST_SEED` sets it.
    pub fn new(what: &str) -> Random {
        let given = std::env::var("GSTACK_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = given.unwrap_or_else(|| now.map_or(1, |now| now.as_nanos() as u64));
        eprintln!("{what}: GSTACK_TEST_SEED={seed}");
        Random(seed)
    }

    pub fn from(seed: u64) -> Random {
        Random(seed)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}
