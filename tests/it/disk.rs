//! A disk or a machine that gives nothing more: told, waited for, and nothing lost. The disk is a
//! small tmpfs in a mount namespace of its own, which goes with the process that holds it, so that
//! no failing test leaves a mount behind.

mod sizes;

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::tmpfs::Tmpfs;
use crate::util::*;

/// A file system of its own for `$GSTACK_HOME`.
struct SmallDisk {
    _tmpfs: Tmpfs,
    ballast: PathBuf,
}

impl SmallDisk {
    /// `None`, and SKIPPED, where nothing can be mounted.
    fn under(lab: &mut Lab, size: &str) -> Option<SmallDisk> {
        let place = lab.path("small");
        fs::create_dir(&place).expect("a place for the disk");
        let tmpfs = Tmpfs::at(&place, size)?;
        let seen = tmpfs.seen(&place);
        lab.gstack = seen.join("gstack");
        fs::create_dir(&lab.gstack).expect("a directory on the small disk");
        Some(SmallDisk { _tmpfs: tmpfs, ballast: seen.join("ballast") })
    }

    fn fill(&self) {
        let mut file = File::create(&self.ballast).expect("ballast");
        for piece in [64 * 1024, 4096] {
            let block = vec![b'x'; piece];
            while file.write_all(&block).is_ok() {}
        }
    }

    /// Fills it, up to the last `bytes`.
    fn fill_but(&self, bytes: u64) {
        self.fill();
        let file = File::options().write(true).open(&self.ballast).expect("ballast");
        let length = file.metadata().expect("its length").len();
        file.set_len(length - bytes).expect("make room");
    }

    fn put(&self, bytes: usize) {
        fs::write(&self.ballast, vec![b'x'; bytes]).expect("ballast");
    }

    fn make_room(&self) {
        fs::remove_file(&self.ballast).expect("remove the ballast");
    }
}

/// Writes a dispatch on the small disk, to be renamed into the inbox when it is full.
fn prepared(lab: &Lab, dispatch: &Dispatch) -> PathBuf {
    let beside = lab.gstack.join(format!("{}.prepared", dispatch.id()));
    fs::write(&beside, dispatch.bytes()).expect("prepare a dispatch");
    beside
}

fn drop_in(lab: &Lab, prepared: &Path) {
    let name = prepared.with_extension("json");
    let to = lab.inbox().join(name.file_name().expect("a name"));
    fs::rename(prepared, to).expect("rename a dispatch into the inbox");
}

fn degraded(lab: &Lab, word: &str) -> String {
    let beat = lab.heartbeat(&format!("degraded by {word}"), |beat| {
        beat["degraded"].as_str().is_some_and(|why| why.contains(word))
    });
    beat["degraded"].as_str().expect("why").to_string()
}

fn not_degraded(lab: &Lab) {
    lab.heartbeat("not degraded", |beat| beat.get("degraded").is_none());
}

/// Each trouble that began in the audit log has ended there; gives where they were.
fn troubles_over(lab: &Lab) -> Vec<String> {
    let of = |event: &str| -> Vec<String> {
        let lines = lab.audit_of("");
        let of_event = lines.iter().filter(|line| line["event"] == event);
        of_event.map(|line| line["where"].as_str().expect("where").to_string()).collect()
    };
    wait_until("the end of each trouble in the audit log", PATIENCE, || {
        let (mut begun, mut ended) = (of("degraded"), of("degraded_ended"));
        begun.sort();
        ended.sort();
        begun == ended
    });
    of("degraded")
}

#[test]
fn a_full_disk_is_told_holds_new_work_back_and_loses_nothing() {
    let mut lab = Lab::new();
    let Some(disk) = SmallDisk::under(&mut lab, "1m") else { return };
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--min-free-mb", 0).set("--trouble-pause", 0.2).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let held = gate.held();
    let b = prepared(&lab, &lab.task("b", "go"));
    let bad = prepared(&lab, &lab.task("bad", "go").with("ttl_seconds", "soon"));
    disk.fill();
    held.release();
    assert!(degraded(&lab, "No space left").starts_with("cannot "));
    drop_in(&lab, &b);
    drop_in(&lab, &bad);
    lab.heartbeat("beats on", |beat| beat["active"] == 1);
    wait_until("some tries", PATIENCE, || daemon.stderr().contains("degraded (answer)"));
    assert!(!lab.active("b").exists() && !lab.report_path("a").exists());
    disk.make_room();
    lab.completed("a");
    lab.completed("b");
    lab.rejected("dispatch-bad.json");
    not_degraded(&lab);
    assert!(troubles_over(&lab).contains(&"answer".to_string()));
    drop(daemon);
}

#[test]
fn a_disk_that_is_full_when_a_dispatch_comes_takes_it_once_there_is_room() {
    let mut lab = Lab::new();
    let Some(disk) = SmallDisk::under(&mut lab, "1m") else { return };
    let daemon = lab.daemon().set("--min-free-mb", 0).set("--trouble-pause", 0.2).start();
    let files: Vec<PathBuf> =
        (0..5).map(|n| prepared(&lab, &lab.task(&format!("n{n}"), "x".repeat(20_000)))).collect();
    disk.fill();
    files.iter().for_each(|file| drop_in(&lab, file));
    degraded(&lab, "No space left");
    assert_eq!(lab.waiting().len(), 5, "they stay where they are");
    disk.make_room();
    (0..5).for_each(|n| drop(lab.completed(&format!("n{n}"))));
    not_degraded(&lab);
    assert_eq!(troubles_over(&lab), ["inbox"], "told once, however often it was tried");
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn with_too_little_room_nothing_new_is_taken_on_but_sessions_are_answered() {
    let mut lab = Lab::new();
    let Some(disk) = SmallDisk::under(&mut lab, "8m") else { return };
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let start = lab.daemon().set("--min-free-mb", 4).set("--trouble-pause", 0.2);
    let daemon = start.set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let held = gate.held();
    lab.send(&lab.task("b", format!("fake: mark {}", ran.display())));
    lab.event("b", "queued");
    disk.put(6_000_000);
    // The room is looked at once a second at most: what comes sooner may still be taken.
    let mut sent = 0;
    while !daemon.stderr().contains("degraded (room)") {
        sent += 1;
        lab.send(&lab.task(&format!("c{sent}"), "go"));
        pause_as_a_slow_writer(Duration::from_millis(200));
        assert!(sent < 100, "never degraded");
    }
    held.release();
    lab.completed("a");
    let why = degraded(&lab, "min_free_mb is 4");
    assert!(why.contains("only ") && why.contains("make room"), "{why}");
    lab.heartbeat("nothing runs", |beat| beat["active"] == 0 && beat["queued"] != 0);
    let last = format!("c{sent}");
    assert!(!ran.exists() && !lab.active(&last).exists() && lab.dropped(&last).exists());
    disk.make_room();
    lab.completed("b");
    (1..=sent).for_each(|n| drop(lab.completed(&format!("c{n}"))));
    not_degraded(&lab);
    assert_eq!(troubles_over(&lab), ["room"]);
    drop(daemon);
}

#[test]
fn room_that_comes_back_is_noticed_though_nothing_waits_for_it() {
    let mut lab = Lab::new();
    let Some(disk) = SmallDisk::under(&mut lab, "8m") else { return };
    let daemon = lab.daemon().set("--min-free-mb", 4).set("--trouble-pause", 0.2).start();
    disk.put(6_000_000);
    lab.send(&lab.task("a", "go"));
    degraded(&lab, "min_free_mb");
    fs::remove_file(lab.dropped("a")).expect("take it back");
    disk.make_room();
    not_degraded(&lab);
    drop(daemon);
}

#[test]
fn a_daemon_without_file_descriptors_rejects_nothing_and_goes_on_when_there_are_some() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--trouble-pause", 0.2).set("--heartbeat", 0.2).start();
    let limit = |word: &str| {
        let pid = daemon.pid.to_string();
        let mut run = Command::new("prlimit");
        let run = run.args(["--pid", &pid, &format!("--nofile={word}")]);
        run.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if !limit("3:1024") {
        return skipped("prlimit does not work here");
    }
    lab.send(&lab.task("a", "go"));
    wait_until("told in the log", PATIENCE, || daemon.stderr().contains("degraded (inbox)"));
    assert!(lab.dropped("a").exists() && lab.rejected_count() == 0);
    assert!(limit("1024:1024"));
    lab.completed("a");
    not_degraded(&lab);
    assert!(troubles_over(&lab).contains(&"inbox".to_string()));
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

/// Its program is being replaced: nothing ran, and that must not look as if it had, to the next
/// daemon least of all.
#[test]
fn an_agent_that_cannot_start_just_now_starts_later_as_the_first_attempt() {
    let lab = Lab::new();
    let program = lab.path("claude");
    fs::copy(format!("{FIXTURES}/bin/claude"), &program).expect("copy");
    let being_written = File::options().append(true).open(&program).expect("open");
    let start = || lab.daemon().set("--claude", program.display()).set("--trouble-pause", 0.1);
    let daemon = start().start();
    let ran = lab.path("ran");
    lab.send(&lab.task("a", format!("fake: mark {}", ran.display())));
    lab.event("a", "spawned");
    degraded(&lab, "cannot start");
    daemon.crash();
    let daemon = start().start();
    degraded(&lab, "cannot start");
    drop(being_written);
    let report = lab.completed("a");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    assert_eq!(report["attempts"][0]["attempt"], 1, "{report:#}");
    assert_eq!(starts(&ran), ["a"]);
    not_degraded(&lab);
    drop(daemon);
}

#[test]
fn a_callback_whose_outbox_is_on_a_full_disk_is_not_posted_again_and_again() {
    let mut lab = Lab::new();
    let Some(disk) = SmallDisk::under(&mut lab, "1m") else { return };
    let server = Server::start(vec![Answer::Silence, Answer::Status(500), Answer::Status(200)]);
    let start = lab.daemon().set("--min-free-mb", 0).set("--trouble-pause", 0.2);
    let start = start.set("--callback-timeout", 1).set("--callback-delays", "0,2,1");
    let daemon = start.start();
    lab.send(&lab.task("a", "go").with("callback_url", server.url.as_str()));
    lab.settled("a");
    server.requests(1);
    disk.fill();
    degraded(&lab, "outbox");
    let tries = |count| lab.audit_of("a").iter().filter(|l| is_try(l)).count() >= count;
    wait_until("a second try", PATIENCE, || tries(2));
    disk.make_room();
    let posted = server.requests(3);
    let outbox = lab.ours().join("outbox");
    wait_until("an empty outbox", PATIENCE, || {
        fs::read_dir(&outbox).is_ok_and(|dir| dir.count() == 0)
    });
    let sent = lab.event("a", "callback_sent");
    assert_eq!((posted.len(), &sent["status"]), (3, &Value::from(200)));
    let numbers: Vec<Value> =
        lab.audit_of("a").iter().filter(|l| is_try(l)).map(|l| l["try"].clone()).collect();
    assert_eq!(numbers, [1, 2]);
    not_degraded(&lab);
    drop(daemon);
}

fn is_try(line: &Value) -> bool {
    line["event"] == "callback_failed"
}
