//! What has happened already, as text, as objects and byte for byte.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

/// Its attempts: one that meets a limit, and one that does well.
const TWICE: &str = "fake: remember
fake: turn I look at the tests first.
fake: tool Bash cargo test
fake: answer running 3 tests\\nok
fake: raw Segmentation fault
fake: once stderr warning: it is slow
fake: once result error 429 rate_limit
fake: once exit 1
fake: result success All of them pass.";

#[test]
fn a_retried_session_is_told_as_people_read_it() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", TWICE));
    lab.completed("a");
    drop(daemon);
    // The moment and the session differ each time.
    let unlike = |line: String| match line.split_once(", session ") {
        Some((head, _)) if line.ends_with(", resumed") => format!("{}, resumed", &head[..12]),
        Some((head, _)) => head[..12].to_string(),
        None => line,
    };
    let told: Vec<String> = lines(&lab, "a", &[]).into_iter().map(unlike).collect();
    let (last, told) = told.split_last().expect("lines");
    assert!(last.starts_with("-- completed in ") && last.contains(", 1 turn, $0.0"), "{last}");
    assert!(last.ends_with(" tokens in, 40 out"), "{last}");
    assert_eq!(
        told,
        [
            "-- attempt 1",
            "I look at the tests first.",
            "> Bash: cargo test",
            "  | running 3 tests",
            "  | ok",
            "? Segmentation fault",
            "API Error: 429 rate_limit",
            "  2> warning: it is slow",
            "-- attempt 1 ended after 0s: rate_limit: API Error: 429 rate_limit; again in 1s",
            "-- attempt 2, resumed",
            "I look at the tests first.",
            "> Bash: cargo test",
            "  | running 3 tests",
            "  | ok",
            "? Segmentation fault",
            "All of them pass.",
        ]
    );
    let second = lines(&lab, "a", &["--attempt", "2"]);
    assert!(second[0].starts_with("-- attempt 2") && second.last() == Some(last), "{second:?}");
    let first = lines(&lab, "a", &["--attempt", "1"]);
    assert!(first[8].starts_with("-- attempt 1 ended") && first.len() == 9, "{first:?}");
    let none = logs(&lab, "a", &["--attempt", "3"]);
    assert_eq!((none.code, none.stdout.as_str()), (1, ""), "{none:?}");
    assert!(none.stderr.contains("no attempt 3"), "{none:?}");
}

#[test]
fn objects_have_what_the_streams_have() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", TWICE));
    lab.completed("a");
    drop(daemon);
    let out = logs(&lab, "a", &["--json"]);
    let told = objects(&out.stdout);
    let kinds: Vec<&str> = told.iter().filter_map(|object| object["kind"].as_str()).collect();
    let one = ["attempt_started", "text", "tool_call", "tool_result", "other", "text", "result"];
    let wanted =
        [&one[..], &["stderr", "attempt_ended"], &one[..], &["attempt_ended", "end"]].concat();
    assert_eq!(kinds, wanted);
    assert!(told.iter().all(|object| object["id"] == id("a")));
    let attempts: Vec<u64> = told.iter().filter_map(|object| object["attempt"].as_u64()).collect();
    assert_eq!(attempts, [vec![1; 9], vec![2; 9]].concat());
    assert_eq!(told[2]["input"], json!({"command": "cargo test"}));
    assert_eq!(told[3]["text"], "running 3 tests\nok");
    assert_eq!((&told[2]["call"], &told[3]["call"]), (&json!("toolu_1"), &json!("toolu_1")));
    assert_eq!(told[8]["error_type"], "rate_limit");
    assert!(is_stamp(&told[8]["until"]) && is_stamp(&told[9]["ts"]), "{told:#?}");
    assert_eq!((&told[0]["resumed"], &told[9]["resumed"]), (&json!(false), &json!(true)));
    assert_eq!((&told[17]["kind"], &told[17]["state"]), (&json!("end"), &json!("completed")));
    assert!(!out.stdout.contains("null"), "{}", out.stdout);
}

#[test]
fn raw_is_byte_for_byte_and_the_last_lines_are_the_last() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", TWICE));
    lab.completed("a");
    drop(daemon);
    let stream = |n: u32| {
        fs::read(lab.finished("a").join(format!("attempt-{n}/stdout.jsonl"))).expect("a stream")
    };
    let raw = logs(&lab, "a", &["--raw"]);
    assert_eq!(raw.stdout.as_bytes(), [stream(1), stream(2)].concat());
    let last = raw.stdout.lines().collect::<Vec<_>>();
    let three = logs(&lab, "a", &["--raw", "--tail", "3"]);
    assert_eq!(three.stdout.lines().collect::<Vec<_>>(), last[last.len() - 3..]);
    let all = lines(&lab, "a", &[]);
    for count in [0, 1, 2, 8, 9, 16, 17, 99] {
        let tail = lines(&lab, "a", &["--tail", &count.to_string()]);
        assert_eq!(tail, all[all.len().saturating_sub(count)..], "{count}");
    }
    let objects = lines(&lab, "a", &["--json"]);
    for count in [0, 1, 10, 18] {
        let tail = lines(&lab, "a", &["--json", "--tail", &count.to_string()]);
        assert_eq!(tail, objects[objects.len() - count..], "{count}");
    }
}

#[test]
fn the_last_lines_are_found_without_reading_what_stands_before() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
    let stream = lab.finished("a").join("attempt-1/stdout.jsonl");
    // A terabyte that takes no room: to read it takes many minutes.
    let mut file = OpenOptions::new().write(true).truncate(true).open(&stream).expect("a stream");
    file.set_len(1 << 40).expect("a large file");
    let mut file2 = OpenOptions::new().append(true).open(&stream).expect("a stream");
    let words = |n: usize| {
        json!({"type": "assistant", "message": {"content": [
        {"type": "text", "text": format!("line {n}")}]}})
    };
    let lines_written: String = (0..5000).map(|n| format!("\n{}", words(n))).collect();
    file2.write_all(lines_written.as_bytes()).expect("write");
    file.flush().expect("flush");
    let begun = Instant::now();
    let tail = lines(&lab, "a", &["--tail", "2001"]);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(
        (tail.len(), tail[0].as_str(), tail[1999].as_str()),
        (2001, "line 3000", "line 4999")
    );
    assert!(tail[2000].starts_with("-- completed"), "{}", tail[2000]);
}

#[test]
fn what_was_pruned_is_said_and_so_is_what_still_tells() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
    fs::remove_dir_all(lab.finished("a").join("attempt-1")).expect("remove");
    for words in [&[][..], &["-f"], &["--json"], &["--raw"], &["--tail", "3"]] {
        let out = logs(&lab, "a", words);
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{out:?}");
        assert!(out.stderr.contains(&format!("show {}", id("a"))), "{out:?}");
    }
}
