//! Crashes between two sessions, at the reading of one, and at any moment: no retry is lost, and
//! nothing is done twice.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use super::{died_in_session, mark};
use crate::util::*;

#[test]
fn a_crash_during_the_backoff_does_not_lose_the_retry() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    let start = || lab.daemon().set("--rate-limit-backoff", 1.5).set("--max-concurrent", 1);
    let daemon = start().start();
    let once = "fake: once result error 429 rate_limit\nfake: once exit 1";
    lab.send(&lab.task("a", format!("{}\n{once}", mark(&ran))));
    lab.event("a", "retried");
    lab.send(&lab.task("b", mark(&ran)));
    lab.accepted("b");
    daemon.crash();
    let daemon = start().start();
    let report = lab.completed("a");
    lab.completed("b");
    assert_eq!(report["retry_count"], 1, "{report:#}");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(2), "{report:#}");
    assert_eq!(starts(&ran), ["a", "a", "b"]);
    let waited = millis_between_attempts(&report);
    assert!(waited >= 1490, "the retry came after {waited} ms");
    drop(daemon);
}

/// The sweep at its end found nothing more, and then something came to be after all.
#[test]
fn what_carries_the_token_of_an_ended_attempt_is_gone_before_the_next_one_starts() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    let start = || lab.daemon().set("--rate-limit-backoff", 1);
    let daemon = start().start();
    let once = "fake: once result error 429 rate_limit\nfake: once exit 1";
    lab.send(&lab.task("a", format!("{}\n{once}", mark(&ran))));
    lab.event("a", "retried");
    daemon.crash();
    let token = json_file(&lab.active("a").join("attempt-1/attempt.json"))["run_token"].clone();
    let mut late = Command::new("sleep");
    let late = late.arg("7777").env("GSTACK_RUN_TOKEN", token.as_str().expect("a token"));
    let mut late = late.stdin(Stdio::null()).spawn().expect("sleep");
    let daemon = start().start();
    lab.completed("a");
    let ended = late.try_wait().expect("wait");
    let _ = late.kill();
    assert!(ended.is_some(), "it outlived the report");
    drop(daemon);
}

/// Each time that a daemon begins to read what a session left leaves a blank line in the place of
/// its report; the fourth does not read.
#[test]
fn a_session_whose_output_took_the_daemon_down_three_times_is_given_up_unread() {
    for (deaths, is_read) in [(2, true), (3, false)] {
        let lab = Lab::new();
        let ran = died_in_session(&lab, "fake: result success done");
        let readings = lab.active("a").join("attempt-1/reading");
        fs::write(&readings, "\n".repeat(deaths)).expect("write");
        let daemon = lab.daemon().start();
        let report = lab.settled("a");
        let error = report["error"].as_str().unwrap_or_default();
        assert_eq!(error.contains("died several times"), !is_read, "{report:#}");
        assert_eq!(report["status"], if is_read { "completed" } else { "failed" }, "{report:#}");
        assert_eq!(json_file(&lab.finished("a").join("report.json")), report);
        assert_eq!(starts(&ran), ["a"]);
        drop(daemon);
    }
}

/// A daemon that dies while it reads what a session left must have said before that it reads.
#[test]
fn it_is_noted_that_a_sessions_files_are_being_read() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    let daemon = lab.daemon().start();
    // Long to read, and soon written: nobody looks at it while the agent runs.
    let much = "fake: print-bytes 20000000";
    lab.send(&lab.task("a", format!("{}\n{much}\nfake: result success done", mark(&ran))));
    wait_until("the agent", PATIENCE, || starts(&ran) == ["a"]);
    let readings = lab.active("a").join("attempt-1/reading");
    wait_until("a reading", PATIENCE, || {
        let is_answered = lab.report_path("a").exists();
        assert!(!is_answered, "it was read without a mark");
        fs::read(&readings).is_ok_and(|bytes| !bytes.is_empty())
    });
    daemon.crash();
    let daemon = lab.daemon().start();
    assert_eq!(lab.settled("a")["result"], "done");
    assert_eq!(starts(&ran), ["a"]);
    drop(daemon);
}

#[test]
fn a_session_that_its_ttl_ended_and_that_cannot_be_read_has_timed_out() {
    let lab = Lab::new();
    died_in_session(&lab, "");
    let stop = json!({"cause": "ttl", "at": "2026-04-03T14:30:00.000Z"});
    fs::write(lab.active("a").join("attempt-1/stop.json"), stop.to_string()).expect("write");
    fs::write(lab.active("a").join("attempt-1/reading"), "\n\n\n").expect("write");
    let daemon = lab.daemon().start();
    let report = lab.settled("a");
    assert_eq!(report["status"], "timeout", "{report:#}");
    let warning = report["warnings"][0].as_str().unwrap_or_default();
    assert!(warning.contains("died several times"), "{report:#}");
    drop(daemon);
}

/// Dispatches keep coming while daemons are killed at any moment: in the end each has one report,
/// none was started twice for one attempt, and nothing is left.
#[test]
fn daemons_killed_at_any_moment_lose_nothing_and_do_nothing_twice() {
    const DISPATCHES: usize = 60;
    const KILLS: usize = 12;
    let lab = Lab::new();
    let ran = lab.path("ran");
    let seed = std::process::id() as u64 ^ 0x9e37_79b9_7f4a_7c15;
    eprintln!("seed {seed}");
    let mut random = seed;
    let mut next = |below: u64| {
        random =
            random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    let start = || lab.daemon().set("--max-concurrent", 4);
    let mut sent = 0;
    for _ in 0..KILLS {
        let daemon = start().spawn();
        let until = Instant::now() + Duration::from_millis(next(60));
        while Instant::now() < until && sent < DISPATCHES {
            lab.send(&lab.task(&sent.to_string(), mark(&ran)));
            sent += 1;
        }
        wait_until("the moment of the crash", PATIENCE, || Instant::now() >= until);
        daemon.crash();
    }
    while sent < DISPATCHES {
        lab.send(&lab.task(&sent.to_string(), mark(&ran)));
        sent += 1;
    }
    let daemon = start().start();
    let mut interrupted = 0;
    for n in 0..DISPATCHES {
        let report = lab.settled(&n.to_string());
        let started = starts(&ran).iter().filter(|id| **id == n.to_string()).count();
        if report["status"] == "completed" {
            assert_eq!(started, 1, "{report:#}");
        } else {
            // The daemon died between its note of the start and the start.
            assert_eq!(report["error_type"], "interrupted", "{report:#}");
            assert!(started <= 1, "{report:#}");
            interrupted += 1;
        }
    }
    assert!(interrupted <= KILLS * 4, "{interrupted} interrupted");
    assert_eq!(lab.waiting(), [""; 0]);
    assert_eq!(lab.rejected_count(), 0);
    assert_eq!(fs::read_dir(lab.ours().join("active")).expect("active").count(), 0);
    drop(daemon);
}
