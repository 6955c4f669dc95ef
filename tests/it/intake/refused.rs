//! Files whose content is no good dispatch: refused with their reason, kept untouched, and
//! answered where an id or a name allows it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{fixtures, refused};
use crate::util::*;

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
