//! The daemon's own log, on stderr: it stops nothing, and holds no secret.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::util::*;

const KEY: &str = "sk-ant-api03-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789_-AbCdEfGhIjKlMnOpQr";

#[test]
fn a_secret_in_what_an_agent_says_is_in_no_log_and_no_report() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    let orders = [
        ("retried", format!("fake: result error 500 server_error it broke with {KEY}")),
        ("refused", format!("fake: result error 401 authentication_failed no {KEY}")),
        ("dead", format!("fake: silent\nfake: stderr cannot use {KEY}\nfake: exit 1")),
    ];
    for (name, orders) in &orders {
        lab.send(&lab.task(name, orders));
        lab.settled(name);
    }
    assert_eq!(daemon.stop(), 0);
    assert!(daemon.stderr().contains("it broke with [redacted]"), "{}", daemon.stderr());
    let reports = orders.iter().map(|(name, _)| lab.report_path(name));
    let ours = ["audit.jsonl", ".daemon-heartbeat"].map(|name| lab.inbox().join(name));
    for path in reports.chain(ours) {
        assert!(!text_file(&path).contains("sk-ant"), "{}", path.display());
    }
    assert!(!daemon.stderr().contains("sk-ant"), "{}", daemon.stderr());
}

/// Each line of a log in JSON, and its message.
fn messages(log: &str) -> Vec<String> {
    let line = |line: &str| -> Value {
        serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))
    };
    let mut messages = Vec::new();
    for line in log.lines().map(line) {
        let names: Vec<&String> = line.as_object().expect("an object").keys().collect();
        assert_eq!(names, ["level", "message", "thread", "ts"]);
        let ts = line["ts"].as_str().expect("a time");
        assert!(ts.len() == 24 && ts.ends_with('Z'), "{line}");
        messages.push(line["message"].as_str().expect("a text").to_string());
    }
    messages
}

#[test]
fn a_log_for_programs_has_an_object_a_line() {
    let lab = Lab::new();
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    let config = lab.ours().join("config.json");
    fs::write(&config, r#"{"log_format": "json"}"#).expect("write config.json");
    let mut daemon = lab.daemon().env("GSTACK_DISPATCHD_LOG_FORMAT", "json").start();
    let dead = format!("fake: silent\nfake: stderr {HOSTILE} {KEY}\nfake: exit 1");
    lab.send(&lab.task("a", dead));
    lab.settled("a");
    assert_eq!(daemon.stop(), 0);
    let log = daemon.stderr();
    let is_hostile = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
    assert_eq!(log.chars().find(|c| is_hostile(*c)), None, "{log:?}");
    let said = messages(&log);
    assert!(said.iter().any(|message| message == "ready"), "{log}");
    let dead = said.iter().find(|message| message.contains("forged")).expect("the agent's words");
    assert!(dead.contains("\u{202e}") && !dead.contains("sk-ant"), "{dead:?}");
    // What keeps it from starting is told in the same form; the file alone is enough, once it is read.
    let refused = lab.daemon().set("--log-format", "json").set("--claude", "/nowhere").output();
    assert_eq!((refused.code, messages(&refused.stderr).len()), (1, 1), "{refused:?}");
    let refused = lab.daemon().set("--claude", "/nowhere").output();
    assert!(messages(&refused.stderr)[0].contains("/nowhere"), "{refused:?}");
    // A flag wins over the file.
    let refused = lab.daemon().set("--log-format", "text").set("--claude", "/nowhere").output();
    assert!(refused.stderr.contains(" ERROR main: "), "{refused:?}");
}

#[test]
fn the_form_of_the_log_follows_the_settings() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    let config = lab.ours().join("config.json");
    fs::write(&config, r#"{"log_format": "json"}"#).expect("write config.json");
    daemon.signal(Signal::HUP);
    wait_until("the new form", PATIENCE, || daemon.stderr().contains("\n{\"ts\":"));
    assert_eq!(daemon.stop(), 0);
    let log = daemon.stderr();
    let from = log.find("\n{").expect("an object");
    assert!(messages(&log[from + 1..]).iter().any(|message| message == "stopped"), "{log}");
}

/// What sets a title, wipes the screen, writes over the line, or turns the text around.
const HOSTILE: &str = "\u{1b}]0;x\u{7}\u{1b}[2J\rforged\u{9b}1m\u{202e}\u{200b}";

#[test]
fn what_others_say_moves_no_cursor_and_forges_no_line() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    let dead = format!("fake: silent\nfake: stderr {HOSTILE}\nfake: exit 1");
    lab.send(&lab.task("a", dead).with("project", HOSTILE));
    lab.settled("a");
    lab.send(&lab.task("b", "x").with("ttl_seconds", HOSTILE).with(HOSTILE, 1));
    lab.rejected("dispatch-b.json");
    assert_eq!(daemon.stop(), 0);
    let log = daemon.stderr();
    let is_hostile = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{200b}".contains(c);
    assert_eq!(log.chars().find(|c| is_hostile(*c)), None, "{log:?}");
    assert!(log.contains("forged") && log.contains("\\u{202e}"), "{log}");
    assert!(log.lines().all(|line| line.starts_with("20")), "{log}");
    // JSON escapes what moves a cursor by itself.
    for path in [lab.inbox().join("audit.jsonl"), lab.report_path("a"), lab.heartbeat_path()] {
        let text = text_file(&path);
        assert!(!text.contains(['\u{1b}', '\r', '\u{7}']), "{}", path.display());
    }
}

/// A FIFO that is full and that nobody reads: not even one byte goes in.
fn full_fifo(lab: &Lab) -> (std::path::PathBuf, File) {
    let path = lab.path("stderr-of-the-daemon");
    assert!(Command::new("mkfifo").arg(&path).status().is_ok_and(|status| status.success()));
    let mut options = OpenOptions::new();
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let mut fifo =
        options.read(true).write(true).custom_flags(nonblock).open(&path).expect("a FIFO");
    for piece in [4096, 1] {
        let bytes = vec![b'x'; piece];
        while fifo.write(&bytes).is_ok() {}
    }
    (path, fifo)
}

fn read_all(fifo: &mut File, into: &mut String) {
    let mut bytes = [0; 65536];
    loop {
        match fifo.read(&mut bytes) {
            Ok(length) => *into += &String::from_utf8_lossy(&bytes[..length]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Err(e) => panic!("cannot read the FIFO: {e}"),
        }
    }
}

#[test]
fn a_log_that_nobody_reads_stops_nothing_and_says_what_it_lost() {
    let lab = Lab::new();
    let (path, mut fifo) = full_fifo(&lab);
    let into_it = format!("exec \"$0\" \"$@\" 2>{}", path.display());
    let mut daemon = lab.daemon().under(&["sh", "-c", &into_it]).spawn();
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    // Whoever reads at last is told.
    let mut log = String::new();
    read_all(&mut fifo, &mut log);
    log.clear();
    lab.send(&lab.task("b", "hello"));
    lab.settled("b");
    wait_until("the loss is told", PATIENCE, || {
        read_all(&mut fifo, &mut log);
        log.contains("dispatch-b completed")
    });
    let first = log.lines().find(|line| !line.is_empty()).expect("a line");
    assert!(first.contains(" WARN ") && first.contains("lines of the log were lost"), "{log}");
    // Full again, it does not stop the end either.
    while fifo.write(b"x").is_ok() {}
    assert_eq!(daemon.stop(), 0);
}

/// Ctrl-S, or a connection that hangs.
#[test]
fn a_terminal_that_is_stopped_stops_nothing() {
    let lab = Lab::new();
    let stopped = "import os, pty, sys, termios
ends = pty.openpty()
os.set_inheritable(ends[0], True)
os.dup2(ends[1], 2)
termios.tcflow(ends[1], termios.TCOOFF)
os.execv(sys.argv[1], sys.argv[1:])";
    let works = Command::new("python3").args(["-c", "import pty, termios"]).status();
    if !works.is_ok_and(|status| status.success()) {
        return skipped("python3 is needed to make a terminal");
    }
    let mut daemon = lab.daemon().under(&["python3", "-c", stopped]).spawn();
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    assert_eq!(daemon.stop(), 0);
}

/// Which signals a process ignores or has blocked.
fn signals_off(pid: i32) -> u64 {
    let status = text_file(format!("/proc/{pid}/status"));
    let mask = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        u64::from_str_radix(line.trim(), 16).expect("a mask")
    };
    mask("SigIgn:") | mask("SigBlk:")
}

#[test]
fn a_limit_on_the_size_of_files_is_a_trouble_and_no_death() {
    // Whoever starts the daemon may have the signal ignored; sessions have it as it should be all
    // the same.
    for before in ["", "trap '' XFSZ; "] {
        at_its_limit(&Lab::new(), before);
    }
}

fn at_its_limit(lab: &Lab, before: &str) {
    let audit = lab.inbox().join("audit.jsonl");
    fs::create_dir_all(lab.inbox()).expect("create the inbox");
    let line =
        "{\"ts\":\"2026-04-03T14:30:00.000Z\",\"event\":\"daemon_stopped\",\"dispatch_id\":\"\"}\n";
    fs::write(&audit, line.repeat(128 * 512 / line.len())).expect("an old log");
    let limited = format!("{before}ulimit -f 128; exec \"$0\" \"$@\"");
    let daemon = lab.daemon().under(&["sh", "-c", &limited]);
    let daemon = daemon.set("--heartbeat", 0.2).set("--trouble-pause", 0.2).start();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let orders = format!("fake: mark {}\nfake: block {}", ran.display(), gate.display());
    lab.send(&lab.task("a", orders));
    lab.heartbeat("degraded", |beat| {
        beat["degraded"].as_str().is_some_and(|why| why.contains("File too large"))
    });
    // Nothing is run of which nothing could be told.
    put_aside(&audit);
    let hold = gate.held();
    let off = signals_off(marks(&ran)[0].2);
    let bit = 1 << (Signal::XFSZ.as_raw() - 1);
    assert_eq!(off & bit, 0, "the session ignores it or has it blocked: {off:x}");
    hold.release();
    lab.completed("a");
    lab.heartbeat("not degraded", |beat| beat.get("degraded").is_none());
    lab.event("", "daemon_started");
    lab.event("a", "completed");
    drop(daemon);
}

fn put_aside(path: &Path) {
    fs::rename(path, path.with_extension("jsonl.old")).expect("put the log aside");
}
