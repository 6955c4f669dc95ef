//! What must hold of any bytes (`tests/fuzz/properties.rs`), tried without a fuzzer: of the corpus
//! and the fixtures as they are, and of what becomes of them at random. `make fuzz` tries the same
//! for long, led by what each input reaches.
//!
//! An input that fails is kept in `target/tmp`, and its place is printed; put it into
//! `tests/fuzz/corpus/` once it is understood. `GSTACK_TEST_SEED` repeats a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

#[path = "../fuzz/properties.rs"]
mod properties;

use crate::util::FIXTURES;

const CORPUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fuzz/corpus");
/// Mutants of one property, at most, and how long they may take: the rest is for `make fuzz`.
const ROUNDS_MAX: u64 = 4000;
const TIME_MAX: Duration = Duration::from_millis(700);
/// Mutants grow out of what is not larger than this, in bytes: large ones find nothing that small
/// ones do not, slowly.
const MUTATED_BYTES_MAX: usize = 8 * 1024;

#[test]
fn any_dispatch_file_is_a_safe_dispatch_or_refused() {
    try_out("dispatch", properties::dispatch);
}

#[test]
fn any_stream_is_read_alike_however_it_is_cut() {
    try_out("stream", properties::stream);
}

#[test]
fn any_audit_log_is_continued_and_kept() {
    try_out("audit", properties::audit);
}

#[test]
fn any_small_file_is_read_back_or_refused() {
    try_out("control", properties::control);
}

#[test]
fn any_config_is_applied_or_refused_with_its_key() {
    try_out("config", properties::config);
}

fn try_out(target: &'static str, property: fn(&[u8])) {
    let mut seeds = files(&Path::new(CORPUS).join(target));
    assert!(!seeds.is_empty(), "no corpus of {target}");
    for dir in ["dispatch", "streams"] {
        seeds.extend(files(&Path::new(FIXTURES).join(dir)));
    }
    // These two do not give up on another's input at once.
    let is_costly = matches!(target, "audit" | "config");
    seeds.retain(|seed| !is_costly || seed.len() <= MUTATED_BYTES_MAX);
    for seed in &seeds {
        check(target, property, seed);
    }
    seeds.retain(|seed| seed.len() <= MUTATED_BYTES_MAX);
    let mut random = Random::new(target);
    let start = Instant::now();
    let rounds = (0..ROUNDS_MAX).take_while(|_| start.elapsed() < TIME_MAX);
    for _ in rounds {
        check(target, property, &mutant(&seeds, &mut random));
    }
}

/// Every file below a folder, in the order of their names.
fn files(dir: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let of = |path: &PathBuf| {
        if path.is_dir() { files(path) } else { vec![fs::read(path).expect("a file")] }
    };
    paths.iter().flat_map(of).collect()
}

fn check(target: &'static str, property: fn(&[u8]), input: &[u8]) {
    let kept = Kept { target, input };
    property(input);
    drop(kept);
}

/// Keeps the input if the property panics.
struct Kept<'i> {
    target: &'static str,
    input: &'i [u8],
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let path = format!("{}/fuzzed-{}", env!("CARGO_TARGET_TMPDIR"), self.target);
            let kept = fs::write(&path, self.input);
            eprintln!("the input: {path} ({kept:?}): {:.300}", self.input.escape_ascii());
        }
    }
}

/// One seed, changed in one to four places.
fn mutant(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const TOKENS: [&[u8]; 12] = [
        b"\0",
        b"\n",
        b"\"",
        b"{",
        b"]",
        b"\\ud800",
        b"\\u0000",
        b"1e999",
        b"-1",
        b"\xff",
        b"18446744073709551615",
        b"../",
    ];
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        let at = random.below(bytes.len() + 1);
        let end = at + random.below((bytes.len() - at).min(64) + 1);
        match random.below(7) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..end)),
            2 => {
                let piece = bytes[at..end].to_vec();
                bytes.splice(at..at, piece);
            }
            3 => {
                let other = &seeds[random.below(seeds.len())];
                let from = random.below(other.len() + 1);
                bytes.splice(at.., other[from..].iter().copied());
            }
            4 => {
                let token = TOKENS[random.below(TOKENS.len())];
                bytes.splice(at..end, token.iter().copied());
            }
            5 => bytes.iter_mut().skip(at).take(1).for_each(|b| *b = random.below(256) as u8),
            _ => bytes.iter_mut().skip(at).take(1).for_each(|b| *b ^= 1 << random.below(8)),
        }
    }
    bytes
}

/// Xorshift: numbers that look random and can be had again.
struct Random(u64);

impl Random {
    /// Prints its seed; `GSTACK_TEST_SEED` sets it.
    fn new(what: &str) -> Random {
        let given = std::env::var("GSTACK_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let seed = given.unwrap_or_else(|| now.map_or(1, |now| now.as_nanos() as u64));
        eprintln!("{what}: GSTACK_TEST_SEED={seed}");
        Random(seed | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}
