//! Waits until the file system makes new files as fast as it can.
//!
//! ext4 without a journal gives out no inode that was freed in the last minute, nor for five more while that is not written
//! back, and at every new file it searches past all of these (`recently_deleted` in its source). So whatever was removed
//! before, an earlier run's scratch directory above all, would be measured: seen here, 25 µs for a new file become 1,000.

use std::fs::{self, File};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const FILES: usize = 200;
/// What a new file may take.
const QUICK: Duration = Duration::from_micros(60);
/// Longer than any inode is held back.
const WAIT_MAX: Duration = Duration::from_secs(420);
const LOOK_EVERY: Duration = Duration::from_secs(20);

pub fn wait(scratch: &Path) {
    let began = Instant::now();
    for number in 0.. {
        let cost = cost_of_a_file(&scratch.join(format!("settle-{number}")));
        let waited = began.elapsed().as_secs();
        println!("            a new file takes {} µs", cost.as_micros());
        if cost <= QUICK {
            return;
        }
        if began.elapsed() >= WAIT_MAX {
            println!("\n*** NEW FILES ARE SLOW HERE, after {waited} s too: so are all figures ***");
            return;
        }
        println!("            waiting until files removed before are forgotten ({waited} s)");
        thread::sleep(LOOK_EVERY);
    }
}

/// They stay: to remove them is what must not be done here.
fn cost_of_a_file(dir: &Path) -> Duration {
    fs::create_dir(dir).expect("make a folder");
    let began = Instant::now();
    for number in 0..FILES {
        File::create(dir.join(number.to_string())).expect("create a file");
    }
    began.elapsed() / FILES as u32
}
