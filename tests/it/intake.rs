//! What may lie in the inbox, and what becomes of it: every kind of good file is accepted exactly
//! once, however it got there; every kind of bad file is kept in `rejected/` with its reason,
//! answered where its sender can be told, and holds up neither its neighbours nor the daemon.
//!
//! The files of `fixtures/dispatch/` are the table: `<reason>--<what>.json`, or
//! `accepted--<what>.json`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use crate::util::*;

// --------------------------------------------------------------------------------------- bad files

/// The fixtures of one kind: (what, bytes).
fn fixtures(kind: &str) -> Vec<(String, Vec<u8>)> {
    let dir = fs::read_dir(format!("{FIXTURES}/dispatch")).expect("fixtures");
    let mut found: Vec<_> = dir
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let what =
                name.strip_prefix(kind)?.strip_prefix("--")?.strip_suffix(".json")?.to_string();
            Some((what, fs::read(entry.path()).ok()?))
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no fixtures of {kind}");
    found
}

/// Says that a file was refused as it should be: kept untouched, with its reason, and in the audit
/// log.
fn refused(lab: &Lab, file: &str, reason: &str) -> Value {
    let (dir, why) = lab.rejected(file);
    assert_eq!(why["reason"], reason, "{file}: {why:#}");
    assert!(why["error"].as_str().is_some_and(|e| !e.is_empty()), "{file}: {why:#}");
    assert_eq!(why["file"], file, "{why:#}");
    assert!(is_stamp(&why["at"]), "{why:#}");
    let name = dir.file_name().unwrap_or_default().to_string_lossy().into_owned();
    assert!(name.contains('-') && name.starts_with("20"), "rejected/<time>-<sha8>: {name}");
    wait_until(&format!("{file} out of the inbox"), PATIENCE, || {
        fs::symlink_metadata(lab.inbox().join(file)).is_err()
    });
    let line = wait_for(&format!("schema_invalid of {file}"), PATIENCE, || {
        let of_file = |l: &Value| l["event"] == "schema_invalid" && l["file"] == file;
        lab.audit().into_iter().find(of_file)
    });
    assert_eq!(line["reason"], reason, "{line}");
    assert!(line["error"].is_string(), "{line}");
    why
}

/// Drops all fixtures of a kind at once and a good dispatch behind them; each is refused, and the
/// good one runs.
fn all_are_refused(kind: &str) {
    let lab = Lab::new();
    let daemon = lab.daemon().unset("--min-ttl").start();
    let bad = fixtures(kind);
    for (what, bytes) in &bad {
        lab.place(&format!("dispatch-{what}.json"), bytes);
    }
    lab.send(&lab.task("good", "hello"));
    lab.completed("good");
    for (what, bytes) in &bad {
        let file = format!("dispatch-{what}.json");
        let why = refused(&lab, &file, kind);
        let (dir, _) = lab.rejected(&file);
        assert_eq!(&fs::read(dir.join(&file)).expect("the kept file"), bytes, "{file} was changed");
        answered_if_it_can_be(&lab, &file, bytes, kind, &why);
    }
    assert_eq!(lab.rejected_count(), bad.len());
    lab.send(&lab.task("next", "hello"));
    lab.settled("next");
    assert_eq!(lab.waiting(), [""; 0]);
    drop(daemon);
}

/// A legal id gets a failed report, and where the file names none, its own name stands in; anything
/// else gets none.
fn answered_if_it_can_be(lab: &Lab, file: &str, bytes: &[u8], kind: &str, why: &Value) {
    let parsed: Option<Value> = serde_json::from_slice(bytes).ok();
    let id = parsed.as_ref().and_then(|v| v["id"].as_str());
    let of_file = |l: &Value| l["event"] == "schema_invalid" && l["file"] == file;
    let line = lab.audit().into_iter().find(of_file).expect("an audit line");
    match id {
        Some(id) if kind != "unsafe_id" => {
            assert_eq!(why["dispatch_id"], id, "{why:#}");
            assert_eq!(line["dispatch_id"], id, "{line}");
            let report = lab.failed(id.trim_start_matches("dispatch-"), "invalid_dispatch");
            assert_eq!(report["duration"], 0, "{report:#}");
        }
        _ => {
            assert!(why.get("dispatch_id").is_none(), "{why:#}");
            assert_eq!(line["dispatch_id"], file, "{line}");
            let report = lab.inbox().join("completed").join(file);
            if kind == "unsafe_id" {
                assert!(!report.exists(), "a report for {file}, which names another id");
            } else {
                let name = file.trim_start_matches("dispatch-").trim_end_matches(".json");
                lab.failed(name, "invalid_dispatch");
            }
        }
    }
}

#[test]
fn files_that_are_not_json_are_refused() {
    all_are_refused("not_json");
}

#[test]
fn json_that_is_no_object_is_refused() {
    all_are_refused("not_an_object");
}

#[test]
fn dispatches_that_break_the_schema_are_refused_and_answered() {
    all_are_refused("schema");
}

#[test]
fn ids_that_are_no_safe_names_are_refused_and_write_nothing_outside() {
    all_are_refused("unsafe_id");
}

#[test]
fn texts_with_a_nul_are_refused_and_answered() {
    all_are_refused("nul");
}

/// One odd thing in the inbox, made by `make`; then the next dispatch runs, and the odd one has
/// left no report.
fn odd_thing_is_refused(lab: &Lab, start: Start<'_>, reason: &str, make: impl FnOnce(&Path)) {
    let daemon = start.start();
    make(&lab.dropped("odd"));
    lab.send(&lab.task("good", "hello"));
    lab.completed("good");
    refused(lab, "dispatch-odd.json", reason);
    assert!(!lab.report_path("odd").exists());
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    assert_eq!(lab.rejected_count(), 1);
    drop(daemon);
}

fn odd(reason: &str, make: impl FnOnce(&Lab, &Path)) -> Lab {
    let lab = Lab::new();
    odd_thing_is_refused(&lab, lab.daemon(), reason, |path| make(&lab, path));
    lab
}

#[test]
fn a_symlink_is_refused_even_when_it_leads_to_a_good_dispatch() {
    let lab = odd("symlink", |lab, path| {
        let aside = lab.path("aside.json");
        fs::write(&aside, lab.task("odd", "fake: mark ran").bytes()).expect("write aside");
        symlink(&aside, path).expect("symlink");
    });
    let (dir, _) = lab.rejected("dispatch-odd.json");
    assert!(dir.join("dispatch-odd.json").is_symlink(), "the link itself is what is kept");
    assert!(lab.path("aside.json").exists());
    assert!(!lab.path("project-odd/ran").exists());
}

#[test]
fn a_dangling_symlink_is_refused() {
    odd("symlink", |_, path| symlink("/nowhere/at/all", path).expect("symlink"));
}

#[test]
fn a_fifo_is_refused_and_nobody_waits_for_its_writer() {
    odd("not_a_file", |_, path| {
        assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
    });
}

#[test]
fn a_directory_is_refused_with_all_that_it_holds() {
    let lab = odd("not_a_file", |lab, path| {
        let beside = lab.project("beside");
        fs::write(beside.join("inside"), "kept").expect("write inside");
        fs::rename(beside, path).expect("rename");
    });
    let (dir, _) = lab.rejected("dispatch-odd.json");
    assert_eq!(text_file(dir.join("dispatch-odd.json/inside")), "kept");
}

#[test]
fn a_socket_is_refused() {
    odd("not_a_file", |_, path| drop(UnixListener::bind(path).expect("bind")));
}

#[test]
fn a_device_is_refused() {
    let lab = Lab::new();
    let device = lab.path("device");
    let made = Command::new("mknod").arg(&device).args(["c", "1", "5"]).output().expect("mknod");
    if !made.status.success() {
        skipped("only root can make a device");
        return;
    }
    odd_thing_is_refused(&lab, lab.daemon(), "not_a_file", |path| {
        fs::rename(&device, path).expect("rename");
    });
}

#[test]
fn a_file_of_somebody_else_is_refused_without_an_answer() {
    if !is_root() {
        skipped("only root can give a file away");
        return;
    }
    let lab = odd("foreign_owner", |lab, path| {
        let beside = lab.path("beside");
        fs::write(&beside, lab.task("odd", "fake: mark ran").bytes()).expect("write");
        std::os::unix::fs::chown(&beside, Some(65534), Some(65534)).expect("chown");
        fs::rename(&beside, path).expect("rename");
    });
    assert!(!lab.path("project-odd/ran").exists());
}

#[test]
fn a_file_that_cannot_be_read_is_refused() {
    let lab = Lab::new();
    let without_override = ["setpriv", "--bounding-set", "-dac_override,-dac_read_search"];
    let mut start = lab.daemon();
    if is_root() {
        let probe =
            Command::new(without_override[0]).args(&without_override[1..]).arg("true").output();
        if !probe.is_ok_and(|p| p.status.success()) {
            skipped("root reads everything, and setpriv does not work here");
            return;
        }
        start = start.under(&without_override);
    }
    odd_thing_is_refused(&lab, start, "unreadable", |path| {
        let beside = lab.path("beside");
        fs::write(&beside, lab.task("odd", "hello").bytes()).expect("write");
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o000)).expect("chmod");
        fs::rename(&beside, path).expect("rename");
    });
}

#[test]
fn a_file_that_others_may_have_written_before_the_inbox_was_shut_is_refused() {
    let lab = Lab::new();
    lab.send(&lab.task("odd", "fake: mark ran"));
    for (path, mode) in
        [(lab.gstack.clone(), 0o755), (lab.inbox(), 0o777), (lab.dropped("odd"), 0o666)]
    {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    }
    odd_thing_is_refused(&lab, lab.daemon(), "writable_by_others", |_| ());
    assert!(!lab.path("project-odd/ran").exists());
}

#[test]
fn a_file_over_one_mebibyte_is_refused_and_one_of_just_that_size_is_not() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let mut full = lab.task("full", "fake: mark ran\n");
    let room = (1 << 20) - full.bytes().len();
    full.0["task"] = json!(format!("fake: mark ran\n{}", "x".repeat(room)));
    assert_eq!(full.bytes().len(), 1 << 20);
    lab.place("dispatch-over.json", &[full.bytes(), b" ".to_vec()].concat());
    refused(&lab, "dispatch-over.json", "too_large");
    lab.send(&full);
    lab.completed("full");
    assert_eq!(starts(&lab.path("project-full/ran")), ["full"]);
    drop(daemon);
}

#[test]
fn bytes_that_are_no_utf8_and_endless_nesting_are_refused() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let task = lab.task("x", "TASK").bytes();
    let text = String::from_utf8(task).expect("UTF-8");
    let latin1 = text.replace("TASK", "caf\u{1}").replace('\u{1}', "@");
    let latin1: Vec<u8> = latin1.bytes().map(|b| if b == b'@' { 0xe9 } else { b }).collect();
    let deep = text.replace("\"TASK\"", &format!("\"t\", \"x\": {}", "[".repeat(100_000)));
    let closed = text.replace(
        "\"TASK\"",
        &format!("\"t\", \"x\": {}{}", "[".repeat(200_000), "]".repeat(200_000)),
    );
    let raw_nul = text.replace("TASK", "a\0b");
    for (name, bytes) in [
        ("latin1", latin1),
        ("deep", deep.into_bytes()),
        ("closed", closed.into_bytes()),
        ("raw-nul", raw_nul.into_bytes()),
        ("zeros", vec![0; 4096]),
        ("utf16", vec![0xff, 0xfe, b'{', 0, b'}', 0]),
    ] {
        lab.place(&format!("dispatch-{name}.json"), &bytes);
    }
    lab.send(&lab.task("good", "hello"));
    lab.completed("good");
    for name in ["latin1", "deep", "closed", "raw-nul", "zeros", "utf16"] {
        refused(&lab, &format!("dispatch-{name}.json"), "not_json");
    }
    assert!(!lab.report_path("x").exists());
    drop(daemon);
}

#[test]
fn what_is_not_json_is_judged_only_after_it_has_stood_still() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--settle", 0.6).start();
    let start = Instant::now();
    lab.place("dispatch-half.json", b"{\"id\": \"dispatch-half\", ");
    lab.rejected("dispatch-half.json");
    assert!(start.elapsed() >= Duration::from_millis(600), "judged after {:?}", start.elapsed());
    drop(daemon);
}

#[test]
fn equal_bad_files_are_all_kept() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for name in ["a", "b", "c"] {
        lab.place(&format!("dispatch-{name}.json"), b"null");
    }
    for name in ["a", "b", "c"] {
        refused(&lab, &format!("dispatch-{name}.json"), "not_an_object");
    }
    assert_eq!(lab.rejected_count(), 3);
    drop(daemon);
}

#[test]
fn a_refused_id_is_not_spent() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    // More than once, for the sender answers at the sight of the report, when the bad file may
    // still be there.
    for n in 0..20 {
        let name = n.to_string();
        lab.send(&lab.task(&name, ""));
        lab.failed(&name, "invalid_dispatch");
        lab.send(&lab.task(&name, "hello"));
        wait_until("the corrected one in finished/", PATIENCE, || lab.finished(&name).exists());
        lab.completed(&name);
    }
    drop(daemon);
}

#[test]
fn a_bad_file_under_an_answered_id_leaves_the_answer_alone() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    let before = fs::metadata(lab.report_path("a")).expect("the report");
    lab.place("dispatch-again.json", &lab.task("a", "").bytes());
    lab.rejected("dispatch-again.json");
    lab.send(&lab.task("next", "hello"));
    lab.settled("next");
    let after = fs::metadata(lab.report_path("a")).expect("the report");
    assert_eq!((before.ino(), before.mtime_nsec()), (after.ino(), after.mtime_nsec()));
    lab.completed("a");
    drop(daemon);
}

// -------------------------------------------------------------------------------------- good files

#[test]
fn every_good_form_of_a_dispatch_is_run() {
    let lab = Lab::new();
    let daemon = lab.daemon().unset("--min-ttl").set("--max-concurrent", 4).start();
    let mut ids = Vec::new();
    for (what, bytes) in fixtures("accepted") {
        let dir = lab.project(&what);
        let text = String::from_utf8(bytes).expect("UTF-8");
        let text = text.replace("@PROJECT_DIR@", dir.to_str().expect("UTF-8"));
        let value: Value = serde_json::from_str(&text).expect("JSON");
        let id = value["id"].as_str().expect("an id").trim_start_matches("dispatch-").to_string();
        lab.place(&format!("dispatch-{what}.json"), text.as_bytes());
        ids.push((id, what));
    }
    for (id, what) in &ids {
        lab.settled(id);
        lab.completed(id);
        assert_eq!(starts(&lab.path(what).join("started")), [id.as_str()]);
    }
    assert_eq!(lab.rejected_count(), 0);
    assert_eq!(lab.waiting(), [""; 0]);
    drop(daemon);
}

#[test]
fn unknown_fields_are_named_in_the_audit_log() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").with("priority", "high").with("x-trace", json!({"span": 1})));
    lab.completed("a");
    let line = lab.event("a", "unknown_fields");
    let mut fields: Vec<_> = line["fields"].as_array().expect("fields").iter().collect();
    fields.sort_by_key(|f| f.to_string());
    assert_eq!(fields, ["priority", "x-trace"]);
    drop(daemon);
}

#[test]
fn the_audit_log_says_what_was_received_and_with_which_digest() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let dispatch = lab.task("a", "hello");
    let copy = lab.path("copy");
    fs::write(&copy, dispatch.bytes()).expect("write a copy");
    lab.place("dispatch-under-another-name.json", &dispatch.bytes());
    lab.settled("a");
    let line = lab.event("a", "received");
    assert_eq!(line["file"], "dispatch-under-another-name.json");
    assert_eq!(line["sha256"], sha256(&copy));
    assert_eq!(
        fs::read(lab.finished("a").join("dispatch.json")).expect("our copy"),
        dispatch.bytes()
    );
    drop(daemon);
}

#[test]
fn names_that_are_not_ours_are_left_alone() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let names = [
        "task.json",
        "dispatch-a.json.tmp",
        ".dispatch-a.json",
        "dispatch-a.txt",
        "Dispatch-a.json",
    ];
    for name in names {
        lab.place(name, &lab.task("a", "fake: mark ran").bytes());
    }
    lab.send(&lab.task("good", "hello"));
    lab.settled("good");
    for name in names {
        assert!(lab.inbox().join(name).exists(), "{name} is gone");
    }
    assert!(!lab.path("project-a/ran").exists());
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn files_that_lie_there_at_the_start_are_run_once_each() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    for name in ["a", "b", "c"] {
        lab.send(&lab.task(name, format!("fake: mark {}", ran.display())));
    }
    lab.place("dispatch-bad.json", b"null");
    let daemon = lab.daemon().start();
    for name in ["a", "b", "c"] {
        lab.settled(name);
    }
    refused(&lab, "dispatch-bad.json", "not_an_object");
    let mut started = starts(&ran);
    started.sort();
    assert_eq!(started, ["a", "b", "c"]);
    drop(daemon);
}

#[test]
fn files_that_lie_there_at_the_start_are_run_oldest_first_and_the_first_of_an_id_wins() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    let mark = format!("fake: mark {}", ran.display());
    for (age, name) in ["k", "a", "z", "m"].into_iter().enumerate() {
        let again = format!("dispatch-{name}-again.json");
        lab.send(&lab.task(name, mark.as_str()));
        lab.place(&again, &lab.task(name, "another task").bytes());
        for (file, seconds) in [(format!("dispatch-{name}.json"), 1), (again, 0)] {
            let written = SystemTime::now() - Duration::from_secs(2 * age as u64 + seconds);
            let file = fs::File::open(lab.inbox().join(file)).expect("open");
            file.set_modified(written).expect("set the time");
        }
    }
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    for name in ["m", "z", "a", "k"] {
        lab.settled(name);
        refused(&lab, &format!("dispatch-{name}-again.json"), "duplicate_id");
    }
    assert_eq!(starts(&ran), ["m", "z", "a", "k"]);
    drop(daemon);
}

#[test]
fn the_files_name_may_be_anything_that_a_name_can_be() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("first", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    let long = format!("dispatch-{}.json", "n".repeat(241));
    let names: [&[u8]; 6] = [
        b"dispatch-\xff\xfe\x80.json",
        b"dispatch-a b\n$(id);\x1b[2J.json",
        b"dispatch-.json",
        b"dispatch--rf *.json",
        "dispatch-é\u{202e}.json".as_bytes(),
        long.as_bytes(),
    ];
    let path = |n: usize| lab.inbox().join(OsStr::from_bytes(names[n]));
    for n in 0..names.len() {
        let beside = lab.path("beside");
        fs::write(&beside, lab.task(&n.to_string(), "hello").bytes()).expect("write");
        fs::rename(beside, path(n)).expect("rename");
        lab.accepted(&n.to_string());
    }
    // Also through a crash: the name stands in our own files by now.
    daemon.crash();
    fs::write(lab.inbox().join(OsStr::from_bytes(b"dispatch-\xff.json")), "null").expect("write");
    let daemon = lab.daemon().start();
    hold.release();
    for n in 0..names.len() {
        lab.settled(&n.to_string());
        lab.completed(&n.to_string());
        assert!(!path(n).exists(), "{:?} was not removed", path(n));
    }
    wait_until("the bad one rejected", PATIENCE, || lab.waiting().is_empty());
    assert_eq!(lab.rejected_count(), 1);
    drop(daemon);
}

#[test]
fn a_file_written_in_place_at_once_is_run_once() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let ran = lab.path("ran");
    for n in 0..10 {
        let dispatch = lab.task(&format!("{n}"), format!("fake: mark {}", ran.display()));
        fs::write(lab.dropped(&n.to_string()), dispatch.bytes()).expect("write into the inbox");
    }
    for n in 0..10 {
        lab.settled(&n.to_string());
    }
    assert_eq!(starts(&ran).len(), 10);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn a_file_created_empty_and_filled_later_is_run_once() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--settle", 5).start();
    let path = lab.dropped("a");
    fs::File::create(&path).expect("create");
    // A neighbour's whole life passes in between.
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    fs::write(&path, lab.task("a", "fake: mark ran").bytes()).expect("write");
    lab.settled("a");
    lab.completed("a");
    assert_eq!(starts(&lab.path("project-a/ran")), ["a"]);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn a_file_written_slowly_in_pieces_is_run_once() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--settle", 1.2).start();
    let dispatch = lab.task("a", "fake: mark ran").bytes();
    let mut file = fs::File::create(lab.dropped("a")).expect("create");
    // Longer in all than a still file is given, but never still for that long.
    for piece in dispatch.chunks(dispatch.len() / 15) {
        std::io::Write::write_all(&mut file, piece).expect("write a piece");
        pause_as_a_slow_writer(Duration::from_millis(100));
    }
    lab.settled("a");
    lab.completed("a");
    assert_eq!(starts(&lab.path("project-a/ran")), ["a"]);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn files_that_come_while_the_daemon_starts_are_run_once_each() {
    const BEFORE: usize = 40;
    const MEANWHILE: usize = 80;
    let lab = Lab::new();
    let ran = lab.path("ran");
    let task = |n: usize| lab.task(&n.to_string(), format!("fake: mark {}", ran.display()));
    for n in 0..BEFORE {
        lab.send(&task(n));
    }
    let rest: Vec<_> = (BEFORE..BEFORE + MEANWHILE).map(task).collect();
    let mut daemon = lab.daemon().set("--max-concurrent", 8).spawn();
    for dispatch in &rest {
        lab.send(dispatch);
    }
    daemon.wait_ready();
    for n in 0..BEFORE + MEANWHILE {
        lab.settled(&n.to_string());
    }
    assert_eq!(starts(&ran).len(), BEFORE + MEANWHILE);
    assert_eq!(lab.rejected_count(), 0);
    assert_eq!(lab.waiting(), [""; 0]);
    drop(daemon);
}

#[test]
fn many_files_from_several_senders_are_run_once_each() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 8).start();
    let ran = lab.path("ran");
    let tasks: Vec<Vec<_>> = (0..4)
        .map(|s| {
            let task = |n| lab.task(&format!("{s}-{n}"), format!("fake: mark {}", ran.display()));
            (0..25).map(task).collect()
        })
        .collect();
    let inbox = &lab.inbox();
    thread::scope(|scope| {
        for mine in &tasks {
            scope.spawn(move || {
                for d in mine {
                    fs::write(inbox.join(format!("{}.json", d.id())), d.bytes()).expect("write");
                }
            });
        }
    });
    for s in 0..4 {
        for n in 0..25 {
            lab.settled(&format!("{s}-{n}"));
        }
    }
    assert_eq!(starts(&ran).len(), 100);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn an_inbox_that_was_deleted_and_made_again_works_on() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--poll", 0.1).set("--heartbeat", 1).start();
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    for name in ["b", "c"] {
        fs::remove_dir_all(lab.inbox()).expect("remove the inbox");
        lab.send(&lab.task(name, "hello"));
        lab.settled(name);
        lab.completed(name);
    }
    drop(daemon);
}

#[test]
fn an_inbox_that_was_deleted_withdraws_nothing() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon =
        lab.daemon().set("--max-concurrent", 1).set("--poll", 0.1).set("--heartbeat", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.send(&lab.task("b", "hello"));
    lab.accepted("b");
    fs::remove_dir_all(lab.inbox()).expect("remove the inbox");
    // Whoever is quicker: the daemon makes it again, too.
    fs::create_dir_all(lab.inbox()).expect("make the inbox again");
    hold.release();
    for name in ["a", "b"] {
        lab.settled(name);
        lab.completed(name);
    }
    drop(daemon);
}

#[test]
fn file_modes_do_not_matter_where_the_inbox_shuts_others_out() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for mode in [0o400, 0o600, 0o644, 0o664, 0o666] {
        let name = format!("mode-{mode:o}");
        let beside = lab.path("beside");
        fs::write(&beside, lab.task(&name, "hello").bytes()).expect("write");
        fs::set_permissions(&beside, fs::Permissions::from_mode(mode)).expect("chmod");
        fs::rename(&beside, lab.dropped(&name)).expect("rename");
        lab.completed(&name);
    }
    drop(daemon);
}

// ---------------------------------------------------------------------- the same id, the same file

#[test]
fn an_id_that_runs_or_was_answered_is_refused_and_the_first_answer_stands() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let ran = lab.path("ran");
    let daemon = lab.daemon().start();
    let first = format!("fake: mark {}\nfake: block {}", ran.display(), gate.display());
    lab.send(&lab.task("a", first));
    let hold = gate.held();
    let other = lab.task("a", format!("fake: mark {}", ran.display()));
    lab.place("dispatch-a-second.json", &other.bytes());
    refused(&lab, "dispatch-a-second.json", "duplicate_id");
    hold.release();
    lab.settled("a");
    let answer = fs::read(lab.report_path("a")).expect("the report");
    lab.place("dispatch-a-third.json", &other.bytes());
    refused(&lab, "dispatch-a-third.json", "duplicate_id");
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    assert_eq!(fs::read(lab.report_path("a")).expect("the report"), answer);
    assert_eq!(starts(&ran), ["a"]);
    drop(daemon);
}

#[test]
fn an_id_stays_taken_after_its_report_was_read_and_deleted_and_after_a_restart() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: mark ran"));
    lab.settled("a");
    fs::remove_file(lab.report_path("a")).expect("delete the report, as readers do");
    assert_eq!(daemon.stop(), 0);
    let daemon = lab.daemon().start();
    lab.place("dispatch-again.json", &lab.task("a", "fake: mark ran again").bytes());
    refused(&lab, "dispatch-again.json", "duplicate_id");
    assert_eq!(starts(&lab.path("project-a/ran")), ["a"]);
    drop(daemon);
}

#[test]
fn the_same_bytes_again_are_a_redelivery() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let dispatch = lab.task("a", "fake: mark ran");
    lab.send(&dispatch);
    lab.settled("a");
    let before = fs::metadata(lab.report_path("a")).expect("the report");
    lab.send(&dispatch);
    lab.event("a", "redelivered");
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    let after = fs::metadata(lab.report_path("a")).expect("the report");
    assert_eq!(before.ino(), after.ino());
    assert_eq!(starts(&lab.path("project-a/ran")), ["a"]);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn a_redelivery_of_a_queued_or_running_dispatch_does_not_withdraw_it() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let ran = lab.path("ran");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    let a = lab.task("a", format!("fake: mark {}\nfake: block {}", ran.display(), gate.display()));
    let b = lab.task("b", format!("fake: mark {}", ran.display()));
    lab.send(&a);
    let hold = gate.held();
    lab.send(&b);
    lab.accepted("b");
    // Under the name that they have already (the recorded files are replaced), and under another
    // one.
    lab.send(&a);
    lab.send(&b);
    lab.place("dispatch-b-again.json", &b.bytes());
    lab.event("b", "redelivered");
    lab.send(&lab.task("c", format!("fake: mark {}", ran.display())));
    lab.accepted("c");
    hold.release();
    for name in ["a", "b", "c"] {
        lab.settled(name);
        lab.completed(name);
    }
    assert_eq!(starts(&ran), ["a", "b", "c"]);
    assert_eq!(lab.rejected_count(), 0);
    assert_eq!(lab.waiting(), [""; 0]);
    drop(daemon);
}

#[test]
fn an_edit_after_acceptance_changes_nothing() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.send(&lab.task("b", "fake: mark first"));
    lab.accepted("b");
    let before = fs::metadata(lab.dropped("b")).expect("the dropped file").ino();
    fs::write(lab.dropped("b"), lab.task("b", "fake: mark second").bytes()).expect("edit in place");
    fs::write(lab.dropped("a"), lab.task("a", "fake: mark second").bytes()).expect("edit in place");
    assert_eq!(fs::metadata(lab.dropped("b")).expect("the dropped file").ino(), before);
    hold.release();
    for name in ["a", "b"] {
        lab.settled(name);
        lab.completed(name);
    }
    assert_eq!(starts(&lab.path("project-b/first")), ["b"]);
    assert!(!lab.path("project-b/second").exists());
    assert!(!lab.path("project-a/second").exists());
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
    drop(daemon);
}

#[test]
fn a_queued_dispatch_whose_file_is_removed_is_withdrawn() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    for name in ["b", "c"] {
        lab.send(&lab.task(name, "fake: mark ran"));
        lab.accepted(name);
    }
    fs::remove_file(lab.dropped("b")).expect("withdraw");
    hold.release();
    lab.completed("a");
    let report = lab.settled("b");
    assert_eq!(report["status"], "cancelled", "{report:#}");
    lab.event("b", "withdrawn");
    lab.completed("c");
    assert!(!lab.path("project-b/ran").exists());
    assert!(!lab.events("b").contains(&"spawned".to_string()));
    drop(daemon);
}

#[test]
fn removing_the_file_of_a_running_dispatch_does_not_stop_it() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    fs::remove_file(lab.dropped("a")).expect("remove");
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn another_dispatch_under_the_name_of_a_running_one_is_a_new_drop() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.place("dispatch-a.json", &lab.task("b", "fake: mark ran").bytes());
    lab.accepted("b");
    hold.release();
    for name in ["a", "b"] {
        lab.settled(name);
        lab.completed(name);
    }
    assert_eq!(starts(&lab.path("project-b/ran")), ["b"]);
    assert_eq!(lab.waiting(), [""; 0]);
    drop(daemon);
}

#[test]
fn another_dispatch_under_the_name_of_a_queued_one_is_a_new_drop() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.send(&lab.task("b", "fake: mark ran"));
    lab.accepted("b");
    lab.place("dispatch-b.json", &lab.task("c", "fake: mark ran").bytes());
    lab.accepted("c");
    hold.release();
    lab.settled("c");
    lab.completed("c");
    lab.settled("b");
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
    assert_eq!(starts(&lab.path("project-c/ran")), ["c"]);
    drop(daemon);
}
