//! An intake that hangs: nobody else may say to the service manager that the daemon lives.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::util::*;

/// Opens a FIFO for both ends, so that nothing that others do with it waits for us.
fn both_ends(gate: &std::path::Path) -> std::fs::File {
    let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(flags).open(gate).expect("open the FIFO")
}

#[test]
fn the_watchdog_is_told_nothing_while_intake_hangs() {
    let lab = Lab::new();
    let path = lab.path("notify");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    manager.set_read_timeout(Some(Duration::from_secs(2))).expect("a timeout");
    // The trace of effects goes into a FIFO: when that is full, whoever does something stands still.
    let trace = lab.path("trace");
    let made = std::process::Command::new("mkfifo").arg(&trace).status();
    assert!(made.is_ok_and(|made| made.success()));
    let mut fifo = both_ends(&trace);
    let daemon = lab
        .daemon()
        .set("--heartbeat", 600)
        .env("GSTACK_FAILPOINT_TRACE", trace.display())
        .env("NOTIFY_SOCKET", path.display())
        .env("WATCHDOG_USEC", 100_000)
        .start();
    let mut message = [0; 64];
    let mut next = || manager.recv(&mut message).map(|n| message[..n].to_vec());
    wait_until("a daemon that lives", PATIENCE, || next().is_ok_and(|said| said == b"WATCHDOG=1"));
    while fifo.write(&[b'\n'; 4096]).is_ok() {}
    while fifo.write(b"\n").is_ok() {}
    lab.place("dispatch-a.json", b"{}");
    // What was on its way is taken first; then nothing comes for 40 of its periods.
    let since = Instant::now();
    while next().is_ok() {
        assert!(since.elapsed() < PATIENCE, "it is told that intake lives");
    }
    daemon.crash();
    lab.end_leftovers();
}
