//! The end by a signal (Ctrl-C, a time limit around us): the daemons that run are killed, by pid,
//! and the scratch directory is removed, as it is at an ordinary end by their guards.

use std::fs;
use std::path::PathBuf;
use std::process;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static DAEMONS: Mutex<Vec<u32>> = Mutex::new(Vec::new());

fn daemons() -> MutexGuard<'static, Vec<u32>> {
    DAEMONS.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn remember(pid: u32) {
    daemons().push(pid);
}

/// It has been reaped: the number may be another's by now.
pub fn forget(pid: u32) {
    daemons().retain(|known| *known != pid);
}

pub fn kill(pid: u32) {
    if let Some(pid) = Pid::from_raw(pid as i32) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

pub fn on_signals(scratch: PathBuf) {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).expect("watch for signals");
    thread::spawn(move || {
        let Some(signal) = signals.forever().next() else { return };
        eprintln!("ended by signal {signal}");
        daemons().drain(..).for_each(kill);
        let _ = fs::remove_dir_all(scratch);
        process::exit(1);
    });
}
