//! What the daemon tells the service manager that started it: when it takes files, that intake
//! lives, that it reads its settings again, that it stops. Here the manager is a socket of ours.

use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::util::*;

/// A manager, and the messages that it got so far.
struct Manager {
    socket: UnixDatagram,
    seen: Vec<String>,
}

impl Manager {
    fn at(path: &Path) -> Manager {
        Manager::with(UnixDatagram::bind(path).expect("a socket"))
    }

    fn with(socket: UnixDatagram) -> Manager {
        socket.set_nonblocking(true).expect("a socket that does not block");
        Manager { socket, seen: Vec::new() }
    }

    fn look(&mut self) {
        let mut bytes = [0; 4096];
        while let Ok(length) = self.socket.recv(&mut bytes) {
            self.seen.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
        }
    }

    fn count(&mut self, message: &str) -> usize {
        self.look();
        self.seen.iter().filter(|seen| seen.as_str() == message).count()
    }

    fn wait_for(&mut self, message: &str, count: usize) {
        wait_until(message, PATIENCE, || self.count(message) >= count);
    }
}

#[test]
fn the_manager_hears_when_the_daemon_takes_files_and_when_it_stops() {
    let lab = Lab::new();
    let path = lab.path("notify");
    let mut manager = Manager::at(&path);
    let dump = lab.path("dump");
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    let mut daemon =
        lab.daemon().env("NOTIFY_SOCKET", path.display()).env("WATCHDOG_USEC", 600_000_000).start();
    manager.wait_for("READY=1", 1);
    lab.completed("a");
    let inherited = text_file(dump.join("env"));
    assert!(inherited.contains("HOME=") && !inherited.contains("NOTIFY_SOCKET"), "{inherited}");
    assert!(!inherited.contains("WATCHDOG"), "{inherited}");
    daemon.signal(Signal::HUP);
    manager.wait_for("READY=1", 2);
    let reloading = manager.seen.iter().find(|seen| seen.starts_with("RELOADING=1\n"));
    let since = reloading.and_then(|seen| seen.split_once("MONOTONIC_USEC=")).expect("RELOADING=1");
    assert!(since.1.parse::<u64>().is_ok_and(|us| us > 0), "{since:?}");
    assert_eq!(daemon.stop(), 0);
    assert_eq!(manager.count("STOPPING=1"), 1);
    assert_eq!(manager.seen.last().map(String::as_str), Some("STOPPING=1"));
    assert_eq!(manager.count("WATCHDOG=1"), 0);
}

#[test]
fn an_address_without_a_file_is_one_too() {
    let lab = Lab::new();
    let name = format!("{}/notify", lab.dir.display());
    let address = SocketAddr::from_abstract_name(&name).expect("an address");
    let mut manager = Manager::with(UnixDatagram::bind_addr(&address).expect("a socket"));
    let mut daemon = lab.daemon().env("NOTIFY_SOCKET", format!("@{name}")).start();
    manager.wait_for("READY=1", 1);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(manager.count("STOPPING=1"), 1);
}

#[test]
fn the_watchdog_hears_of_an_idle_daemon() {
    let lab = Lab::new();
    let path = lab.path("notify");
    let mut manager = Manager::at(&path);
    let daemon =
        lab.daemon().env("NOTIFY_SOCKET", path.display()).env("WATCHDOG_USEC", 100_000).start();
    let since = Instant::now();
    manager.wait_for("WATCHDOG=1", 5);
    assert!(since.elapsed() >= Duration::from_millis(200), "each half of what was asked for");
    drop(daemon);
}

#[test]
fn another_process_is_asked() {
    let lab = Lab::new();
    let path = lab.path("notify");
    let mut manager = Manager::at(&path);
    let mut daemon = lab
        .daemon()
        .env("NOTIFY_SOCKET", path.display())
        .env("WATCHDOG_USEC", 20_000)
        .env("WATCHDOG_PID", std::process::id())
        .set("--heartbeat", 0.05)
        .start();
    manager.wait_for("READY=1", 1);
    let first = lab.heartbeat("a beat", |_| true)["ts"].clone();
    lab.heartbeat("a later beat", |beat| beat["ts"] != first);
    assert_eq!(daemon.stop(), 0);
    assert_eq!(manager.count("WATCHDOG=1"), 0);
}

#[test]
fn a_manager_that_is_gone_or_does_not_read_stops_nothing() {
    let lab = Lab::new();
    for socket in [lab.path("gone").display().to_string(), "relative".into(), "@".into()] {
        let mut daemon = lab.daemon().env("NOTIFY_SOCKET", &socket).start();
        let said = daemon.stderr();
        assert!(said.contains("nobody can be told") || said.contains("cannot tell"), "{said}");
        assert_eq!(daemon.stop(), 0);
    }
    let path = lab.path("full");
    let manager = UnixDatagram::bind(&path).expect("a socket");
    let mut daemon =
        lab.daemon().env("NOTIFY_SOCKET", path.display()).env("WATCHDOG_USEC", 20_000).start();
    wait_until("a full queue", PATIENCE, || daemon.stderr().contains("cannot tell"));
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    assert_eq!(daemon.stop(), 0);
    drop(manager);
    fs::remove_file(path).expect("remove the socket");
}
