//! The drop zone's corners: files that never become dispatches and are answered all the same,
//! things that stand where the daemon keeps its own, ids that something else than a report lies
//! under, and a drop zone on a file system of its own.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Instant;

use crate::tmpfs::Tmpfs;
use crate::util::*;

// ----------------------------------------------------------------------------------------- answers

#[test]
fn a_file_that_never_becomes_json_is_answered_under_its_name() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for (name, bytes) in [
        ("empty", &b""[..]),
        ("half", b"{\"id\": \"dispatch-half\", "),
        ("latin1", b"\xe9"),
        ("list", b"[]"),
        ("nameless", b"{\"task\": \"x\"}"),
        ("large", &vec![b' '; (1 << 20) + 1]),
    ] {
        lab.place(&format!("{}.json", id(name)), bytes);
        lab.rejected(&format!("{}.json", id(name)));
        let report = lab.failed(name, "invalid_dispatch");
        assert_eq!(report["duration"], 0, "{report:#}");
        // The id is not spent by it.
        lab.send(&lab.task(name, "hello"));
        wait_until("the valid one in finished/", PATIENCE, || lab.finished(name).exists());
        lab.completed(name);
    }
    drop(daemon);
}

#[test]
fn nonsense_under_the_name_of_an_id_that_is_used_leaves_the_answer_alone() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    let answer = fs::read(lab.report_path("a")).expect("the report");
    lab.place("dispatch-a.json", b"no JSON");
    lab.rejected("dispatch-a.json");
    lab.place(
        "dispatch-file-b.json",
        &lab.task("b", format!("fake: block {}", gate.display())).bytes(),
    );
    let hold = gate.held();
    lab.place("dispatch-b.json", b"no JSON");
    lab.rejected("dispatch-b.json");
    lab.place("dispatch-a b.json", b"no JSON");
    lab.rejected("dispatch-a b.json");
    assert!(!lab.report_path("b").exists());
    assert!(!lab.inbox().join("completed/dispatch-a b.json").exists());
    assert_eq!(fs::read(lab.report_path("a")).expect("the report"), answer);
    hold.release();
    lab.completed("b");
    drop(daemon);
}

// --------------------------------------------------------------------------------------------- ids

#[test]
fn only_a_plain_report_takes_an_id() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let elsewhere = lab.path("elsewhere.json");
    let report = r#"{"dispatch_id": "dispatch-link", "status": "completed"}"#;
    fs::write(&elsewhere, report).expect("write");
    symlink(&elsewhere, lab.report_path("link")).expect("a link");
    symlink("/nowhere/at/all", lab.report_path("dangling")).expect("a link");
    let fifo = Command::new("mkfifo").arg(lab.report_path("fifo")).status();
    assert!(fifo.expect("mkfifo").success());
    fs::write(lab.report_path("nonsense"), "no JSON").expect("write");
    fs::write(lab.report_path("list"), "[]").expect("write");
    fs::write(lab.report_path("other"), r#"{"dispatch_id": "dispatch-other"}"#).expect("write");
    fs::create_dir(lab.finished("folder")).expect("an empty folder");
    let names = ["link", "dangling", "fifo", "nonsense", "list", "other", "folder"];
    for name in names {
        lab.send(&lab.task(name, "fake: mark ran"));
        wait_until(&format!("{name} answered"), PATIENCE, || {
            lab.finished(name).join("report.json").exists()
        });
        lab.completed(name);
        assert_eq!(starts(&lab.path(&format!("project-{name}/ran"))), [name]);
    }
    assert_eq!(text_file(&elsewhere), report, "a link was followed");
    assert_eq!(lab.rejected_count(), 0);
    // And a report does, whoever wrote it.
    fs::write(lab.report_path("taken"), r#"{"status": "completed"}"#).expect("write");
    lab.send(&lab.task("taken", "fake: mark ran"));
    let (_, why) = lab.rejected("dispatch-taken.json");
    assert_eq!(why["reason"], "duplicate_id", "{why:#}");
    drop(daemon);
}

// ----------------------------------------------------------------------------------------- planted

#[test]
fn what_stands_where_answered_files_go_is_left_and_told_once() {
    let lab = Lab::new();
    fs::create_dir_all(lab.inbox()).expect("create");
    let planted = |name: &str| lab.inbox().join(format!(".answered.{}", id(name)));
    fs::create_dir(planted("a")).expect("a directory");
    fs::create_dir(planted("odd")).expect("a directory");
    fs::write(planted("back"), lab.task("back", "fake: mark ran").bytes()).expect("a crash's");
    fs::write(lab.inbox().join(".answered.x"), lab.task("x", "fake: mark ran").bytes()).expect("x");
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    let warned = |name: &str| daemon.stderr().matches(&format!(".answered.{}", id(name))).count();
    // Put back by a crash's rules: looked at anew.
    for name in ["back", "x"] {
        lab.settled(name);
        lab.completed(name);
    }
    fs::create_dir(planted("b")).expect("a directory");
    for name in ["a", "b"] {
        lab.send(&lab.task(name, "hello"));
        lab.settled(name);
        lab.completed(name);
    }
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
    let mut seen = std::collections::BTreeSet::new();
    lab.heartbeat("some beats", |beat| {
        seen.insert(beat["ts"].to_string());
        seen.len() > 5
    });
    assert_eq!((warned("a"), warned("odd"), warned("b")), (1, 1, 0), "{}", daemon.stderr());
    assert!(!daemon.stderr().contains("ERROR"), "{}", daemon.stderr());
    assert!(planted("a").is_dir() && planted("b").is_dir() && planted("odd").is_dir());
    drop(daemon);
}

// --------------------------------------------------------------------------------------- no events

#[cfg(target_os = "linux")]
#[test]
fn where_nothing_can_be_watched_the_drop_zone_is_polled_and_no_more() {
    let lab = Lab::new();
    if !can_run_under(&WITHOUT_EVENTS) {
        return skipped("no user namespace in which nothing can be watched");
    }
    let daemon = lab.daemon().set("--poll", 0.2).set("--heartbeat", 0.2).under(&WITHOUT_EVENTS);
    let daemon = daemon.start();
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    lab.completed("a");
    let (cpu, start) = (cpu_seconds(&daemon), Instant::now());
    let mut seen = std::collections::BTreeSet::new();
    lab.heartbeat("some beats", |beat| {
        seen.insert(beat["ts"].to_string());
        seen.len() > 8
    });
    let (used, passed) = (cpu_seconds(&daemon) - cpu, start.elapsed().as_secs_f64());
    assert!(used < passed / 4.0, "{used} s of the processor in {passed} s");
    drop(daemon);
}

// ------------------------------------------------------------------------ a file system of its own

/// `None`, and SKIPPED, where nothing can be mounted.
fn drop_zone_of_its_own(lab: &mut Lab) -> Option<Tmpfs> {
    let place = lab.path("gstack/dispatch");
    fs::create_dir_all(&place).expect("a place for it");
    let tmpfs = Tmpfs::at(&place, "8m")?;
    lab.gstack = tmpfs.seen(&lab.path("gstack"));
    Some(tmpfs)
}

/// Drops it as a careful sender does, in the drop zone itself.
fn place(lab: &Lab, name: &str, bytes: &[u8]) {
    let beside = lab.inbox().join(".being-written");
    fs::write(&beside, bytes).expect("write");
    fs::rename(&beside, lab.inbox().join(name)).expect("rename");
}

#[test]
fn in_a_drop_zone_of_its_own_nothing_stays_of_a_rejected_file() {
    let mut lab = Lab::new();
    let Some(own) = drop_zone_of_its_own(&mut lab) else { return };
    let daemon = lab.daemon().start();
    let long = format!("dispatch-{}.json", "n".repeat(241));
    for name in ["dispatch-a.json", &long] {
        place(&lab, name, b"no JSON");
        let (dir, why) = lab.rejected(name);
        assert_eq!(why["reason"], "not_json", "{why:#}");
        wait_until("the file gone", PATIENCE, || !lab.inbox().join(name).exists());
        assert_eq!(text_file(dir.join(name)), "no JSON");
    }
    place(&lab, "dispatch-b.json", &lab.task("b", "hello").bytes());
    lab.settled("b");
    lab.completed("b");
    let left = |prefix: &str| {
        let entries = fs::read_dir(lab.inbox()).expect("the drop zone").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with(prefix)).count()
    };
    assert_eq!((left(".rejected-"), left(".answered."), left("dispatch-")), (0, 0, 0));
    // What cannot be copied stays, out of the way.
    fs::create_dir(lab.dropped("odd")).expect("a directory");
    wait_until("the directory out of the way", PATIENCE, || left("dispatch-") == 0);
    assert_eq!((left(".rejected-"), lab.rejected_count()), (1, 3));
    drop(daemon);
    drop(own);
}
