//! The daemon dies (SIGKILL) and another one starts: the files alone decide. A session that lives
//! is adopted and gets its right report once; a queued dispatch keeps its place; what was
//! interrupted says so and is not run again; and no state that a crash can leave, built here by
//! hand where a test cannot hit the moment, is lost or done twice.

mod claims;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::sessions::all_gone;
use crate::util::*;

fn block(gate: &Gate) -> String {
    format!("fake: block {}", gate.display())
}

fn mark(path: &Path) -> String {
    format!("fake: mark {}", path.display())
}

/// Kills the agent of the only session that left a mark, and waits for its end.
fn kill_agent(ran: &Path) -> i32 {
    let (_, _, pid) = marks(ran).pop().expect("a mark");
    signal(pid, Signal::KILL);
    wait_until("the agent's end", PATIENCE, || !alive(pid));
    pid
}

/// The daemon and its agent died in the middle of the session of `a`, which had followed these
/// orders by then. Gives where it left its mark.
fn died_in_session(lab: &Lab, orders: &str) -> PathBuf {
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("{}\n{orders}\n{}", mark(&ran), block(&gate))));
    let _hold = gate.held();
    daemon.crash();
    kill_agent(&ran);
    ran
}

fn interrupted(lab: &Lab, name: &str) -> Value {
    let report = lab.failed(name, "interrupted");
    assert_eq!(report.get("retry_count").unwrap_or(&json!(0)), 0, "{report:#}");
    report
}

// --------------------------------------------------------------------------------- living sessions

#[test]
fn a_living_session_is_adopted_and_queued_ones_keep_their_places() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let start = || lab.daemon().set("--max-concurrent", 1);
    let daemon = start().start();
    lab.send(
        &lab.task(
            "a",
            format!("{}\n{}\nfake: result success I went on.", mark(&ran), block(&gate)),
        ),
    );
    let hold = gate.held();
    for name in ["z", "b", "y"] {
        lab.send(&lab.task(name, mark(&ran)));
        lab.accepted(name);
    }
    let (_, _, pid) = marks(&ran)[0].clone();
    daemon.crash();
    assert!(alive(pid), "the session died with its daemon");
    let daemon = start().start();
    let adopted = lab.event("a", "adopted");
    assert_eq!((&adopted["attempt"], &adopted["pid"]), (&json!(1), &json!(pid)), "{adopted}");
    let beat = lab.heartbeat("it shows the adopted one", |b| b["active"] == 1 && b["queued"] == 3);
    assert_eq!(beat["sessions"][0]["id"], "dispatch-a", "{beat}");
    assert_eq!(starts(&ran), ["a"], "nothing starts beside it");
    hold.release();
    let report = lab.settled("a");
    lab.completed("a");
    assert_eq!(report["result"], "I went on.");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    ["z", "b", "y"].iter().for_each(|name| drop(lab.settled(name)));
    assert_eq!(starts(&ran), ["a", "z", "b", "y"]);
    // And once means once, whoever starts again.
    let inode = fs::metadata(lab.report_path("a")).expect("the report").ino();
    daemon.crash();
    let daemon = start().start();
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    assert_eq!(fs::metadata(lab.report_path("a")).expect("the report").ino(), inode);
    assert_eq!(lab.events("a").iter().filter(|e| *e == "completed").count(), 1);
    drop(daemon);
}

#[test]
fn a_session_is_adopted_again_and_again() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let mut daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("{}\n{}", mark(&ran), block(&gate))));
    let hold = gate.held();
    for n in 1..=4 {
        daemon.crash();
        daemon = lab.daemon().start();
        wait_until("one more adoption", PATIENCE, || {
            lab.events("a").iter().filter(|e| *e == "adopted").count() == n
        });
    }
    hold.release();
    lab.completed("a");
    assert_eq!(starts(&ran), ["a"]);
    drop(daemon);
}

#[test]
fn adopted_sessions_count_even_where_there_are_more_than_may_run() {
    let lab = Lab::new();
    let (one, two, ran) = (lab.gate("one"), lab.gate("two"), lab.path("ran"));
    let daemon = lab.daemon().set("--max-concurrent", 2).start();
    lab.send(&lab.task("a", block(&one)));
    lab.send(&lab.task("b", block(&two)));
    let (hold_one, hold_two) = (one.held(), two.held());
    lab.send(&lab.task("c", mark(&ran)));
    lab.accepted("c");
    daemon.crash();
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.heartbeat("both are watched", |b| b["active"] == 2 && b["queued"] == 1);
    hold_one.release();
    lab.completed("a");
    lab.heartbeat("one is left, and its slot is the only one", |b| {
        b["active"] == 1 && b["queued"] == 1
    });
    assert!(!ran.exists());
    hold_two.release();
    lab.completed("b");
    lab.completed("c");
    drop(daemon);
}

#[test]
fn an_adopted_session_keeps_its_project_to_itself() {
    let lab = Lab::new();
    let (gate, ran, dir) = (lab.gate("gate"), lab.path("ran"), lab.project("shared"));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", block(&gate)).in_dir(&dir));
    let hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    lab.send(&lab.task("b", mark(&ran)).in_dir(&dir));
    lab.accepted("b");
    lab.send(&lab.task("other", "hello"));
    lab.completed("other");
    assert!(!ran.exists());
    hold.release();
    lab.completed("a");
    lab.completed("b");
    drop(daemon);
}

#[test]
fn the_ttl_of_an_adopted_session_is_kept() {
    let lab = Lab::new();
    let (gate, pids) = (lab.gate("gate"), lab.path("pids"));
    let daemon = lab.daemon().start();
    let task =
        format!("fake: ignore-term\nfake: setsid-child {}\n{}", pids.display(), block(&gate));
    lab.send(&lab.task("a", task).with("ttl_seconds", 2));
    let _hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    lab.ended("a", "timeout", "timeout");
    assert!(pids_in(&pids).iter().all(|pid| !alive(*pid)));
    drop(daemon);
}

#[test]
fn a_ttl_that_ran_out_while_no_daemon_was_there_is_kept_by_the_next() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", block(&gate)).with("ttl_seconds", 1));
    let _hold = gate.held();
    let held_at = Instant::now();
    daemon.crash();
    wait_until("the end of its TTL", PATIENCE, || held_at.elapsed() > Duration::from_millis(1100));
    let daemon = lab.daemon().start();
    lab.ended("a", "timeout", "timeout");
    drop(daemon);
}

#[test]
fn an_adopted_session_can_be_cancelled() {
    let lab = Lab::new();
    let (gate, pids) = (lab.gate("gate"), lab.path("pids"));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: setsid-child {}\n{}", pids.display(), block(&gate))));
    let _hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("write");
    lab.ended("a", "cancelled", "cancelled");
    assert!(pids_in(&pids).iter().all(|pid| !alive(*pid)));
    drop(daemon);
}

#[test]
fn a_session_is_cancelled_by_a_request_that_came_while_no_daemon_was_there() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", block(&gate)));
    let _hold = gate.held();
    lab.send(&lab.task("b", "fake: mark ran"));
    lab.accepted("b");
    daemon.crash();
    for name in ["a", "b"] {
        fs::write(lab.inbox().join(format!("cancel-dispatch-{name}")), "").expect("write");
    }
    let daemon = lab.daemon().start();
    lab.ended("a", "cancelled", "cancelled");
    lab.ended("b", "cancelled", "cancelled");
    assert!(!lab.path("project-b/ran").exists());
    drop(daemon);
}

#[test]
fn the_leftovers_of_an_adopted_session_are_ended() {
    let lab = Lab::new();
    let (gate, pids) = (lab.gate("gate"), lab.path("pids"));
    let daemon = lab.daemon().start();
    let child = |kind: &str| format!("fake: {kind} {}\n", pids.display());
    // The last one has an empty environment: only the stdout that it holds gives it away.
    let before = child("setsid-child") + &child("double-fork-child") + &child("holder-child");
    lab.send(&lab.task("a", format!("{before}{}\n{}", block(&gate), child("nohup-child"))));
    let hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    hold.release();
    let report = lab.completed("a");
    assert_eq!(all_gone(&pids).len(), 4);
    assert_eq!(report["leftover_processes"].as_array().map(Vec::len), Some(4), "{report:#}");
    drop(daemon);
}

#[test]
fn a_shutdown_ends_adopted_sessions_like_its_own() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", block(&gate)));
    let _hold = gate.held();
    daemon.crash();
    let mut daemon = lab.daemon().set("--drain-timeout", 0.2).start();
    lab.event("a", "adopted");
    assert_eq!(daemon.stop(), 1);
    lab.ended("a", "cancelled", "shutdown");
}

// ----------------------------------------------------------------------------------- dead sessions

#[test]
fn a_session_that_ended_while_no_daemon_was_there_is_reported_from_its_stream() {
    for (name, result, status) in
        [("good", "success I finished alone.", "completed"), ("bad", "refusal", "failed")]
    {
        let lab = Lab::new();
        let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
        let daemon = lab.daemon().start();
        let task = format!("{}\n{}\nfake: result {result}", mark(&ran), block(&gate));
        lab.send(&lab.task(name, task));
        let hold = gate.held();
        let (_, _, pid) = marks(&ran)[0].clone();
        daemon.crash();
        hold.release();
        wait_until("the session's end", PATIENCE, || !alive(pid));
        let daemon = lab.daemon().start();
        let report = lab.settled(name);
        assert_eq!(report["status"], status, "{report:#}");
        match status {
            "completed" => assert_eq!(report["result"], "I finished alone."),
            _ => assert_eq!(report["error_type"], "logic_error"),
        }
        assert_eq!(starts(&ran).len(), 1);
        drop(daemon);
    }
}

#[test]
fn what_was_killed_together_with_the_daemon_is_interrupted_and_not_run_again() {
    let lab = Lab::new();
    let (gate, ran, pids) = (lab.gate("gate"), lab.path("ran"), lab.path("pids"));
    let daemon = lab.daemon().start();
    let child = format!("fake: setsid-child {}", pids.display());
    lab.send(
        &lab.task("a", format!("{child}\n{}\nfake: turn begun\n{}", mark(&ran), block(&gate))),
    );
    let _hold = gate.held();
    daemon.crash();
    kill_agent(&ran);
    let child = pids_in(&pids)[0];
    assert!(alive(child));
    let daemon = lab.daemon().start();
    interrupted(&lab, "a");
    assert!(!alive(child), "a process of the interrupted session lives on");
    assert_eq!(lab.event("a", "failed")["error_type"], "interrupted");
    lab.send(&lab.task("next", "hello").in_dir(&lab.path("project-a")));
    lab.completed("next");
    assert_eq!(starts(&ran), ["a"]);
    drop(daemon);
}

#[test]
fn an_interrupted_session_is_run_once_more_where_the_operator_wants_that() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let start = || lab.daemon().set("--on-interrupt", "retry");
    let daemon = start().start();
    lab.send(&lab.task("a", format!("{}\n{}", mark(&ran), block(&gate))));
    let first = gate.held();
    daemon.crash();
    kill_agent(&ran);
    drop(first);
    let daemon = start().start();
    let second = gate.held();
    assert_eq!(starts(&ran).len(), 2);
    daemon.crash();
    kill_agent(&ran);
    drop(second);
    let daemon = start().start();
    lab.failed("a", "interrupted");
    assert_eq!(starts(&ran).len(), 2, "once more, and not for ever");
    drop(daemon);
}

#[test]
fn a_retried_interruption_that_goes_well_completes() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let start = || lab.daemon().set("--on-interrupt", "retry");
    let daemon = start().start();
    lab.send(
        &lab.task("a", format!("{}\nfake: once {}", mark(&ran), &block(&gate)["fake: ".len()..])),
    );
    let hold = gate.held();
    daemon.crash();
    kill_agent(&ran);
    drop(hold);
    let daemon = start().start();
    let report = lab.completed("a");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(2), "{report:#}");
    assert_eq!(starts(&ran).len(), 2);
    drop(daemon);
}

#[test]
fn a_first_result_with_a_background_task_open_is_no_end() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("{}\nfake: background {}", mark(&ran), gate.display())));
    let _hold = gate.held();
    daemon.crash();
    kill_agent(&ran);
    let daemon = lab.daemon().start();
    interrupted(&lab, "a");
    drop(daemon);
}

/// A process that has nothing to do with any session.
struct Bystander(Child);

impl Bystander {
    fn start() -> Bystander {
        let mut sleep = Command::new("sleep");
        let quiet = sleep.arg("7777").stdout(Stdio::null()).stderr(Stdio::null());
        Bystander(quiet.spawn().expect("sleep"))
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stranger_who_got_the_old_pid_is_left_alone() {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran"));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("{}\n{}", mark(&ran), block(&gate))));
    let _hold = gate.held();
    daemon.crash();
    let agent = kill_agent(&ran);
    let mut stranger = Bystander::start();
    let path = lab.active("a").join("attempt-1/child.json");
    let mut child = json_file(&path);
    assert_eq!(child["pid"], agent, "child.json: {child}");
    child["pid"] = json!(stranger.0.id());
    fs::write(&path, child.to_string()).expect("write child.json");
    let daemon = lab.daemon().start();
    interrupted(&lab, "a");
    let lives = stranger.0.try_wait().expect("wait").is_none();
    assert!(lives, "a process was killed by a pid that was no longer the session's");
    drop(daemon);
}

// -------------------------------------------------------------------------------- between sessions

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
