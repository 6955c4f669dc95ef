//! Good files: every form of a dispatch is run, whatever the name of its file, and what waits at
//! the start is run oldest first.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use super::{fixtures, refused};
use crate::util::*;

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
