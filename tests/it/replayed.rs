//! What the whole daemon makes of the recorded streams: the fake agent writes each of them, and
//! ends as its session did.
//!
//! The table in `recorded.rs` says what each means; here it must reach the report, the retry and
//! the holds. Each recording has a daemon and a home of its own, since a refusal in one of them
//! would hold the others.

use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use gstack_dispatch_daemon::pure::attempt::sign::is_refusal;
use gstack_dispatch_daemon::pure::report::Status;
use serde_json::{Value, json};

use crate::recorded::Then;
use crate::recorded::Then::*;
use crate::recorded::{Recording, folder, recordings};
use crate::util::*;

/// Each is mostly a daemon that starts, and one that stops.
const DAEMONS_AT_ONCE: usize = 6;

/// The orders for a session that goes as recorded.
fn orders(recording: &Recording) -> String {
    let stream = folder(recording.version).join(format!("{}.jsonl", recording.scenario));
    let mut orders = format!("fake: silent\nfake: replay {}\n", stream.display());
    for line in recording.stderr.lines() {
        orders += &format!("fake: stderr {line}\n");
    }
    let end = match (recording.exit.code, recording.exit.signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(2)) => "kill-self INT".into(),
        (None, Some(9)) => "kill-self KILL".into(),
        (None, Some(15)) => "kill-self TERM".into(),
        other => panic!("{}: ended by {other:?}", recording.name()),
    };
    orders + "fake: " + &end
}

/// Which session the recorded one was a continuation of.
const BEFORE: &str = "write-then-rate-limit-429";

/// The task, in a project where a session can be resumed: then it greets, unless the recorded one
/// is what follows.
fn task(lab: &Lab, recording: &Recording) -> Dispatch {
    let is_resumed = recording.scenario.starts_with("resume-");
    let Some(before) = recordings()
        .into_iter()
        .find(|r| is_resumed && (r.version, &*r.scenario) == (recording.version, BEFORE))
    else {
        return lab.task("a", orders(recording)).with("learnings", json!(["one"]));
    };
    let once = orders(&before).replace("fake: silent\n", "").replace("fake: ", "fake: once ");
    let session = before.session_id();
    let resumed = orders(recording).replace("fake: ", "");
    let file = lab.project("project-a").join(format!(".fake-session-{session}"));
    fs::write(file, resumed).expect("write what the resumed session does");
    lab.task("a", once)
}

/// How many attempts and retries there must be, and how it must end after them.
fn wanted(recording: &Recording) -> (usize, u64, Status) {
    let (_, status, _, then) = recording.row().expect("a row");
    let (mut attempts, retries, status) = match then {
        Answer => (1, 0, status),
        // The same happens again.
        Again | WithoutLearnings => (2, 1, status),
        // What is continued ends well.
        Resume => (2, 1, Status::Completed),
        Instead => (2, 0, Status::Completed),
    };
    let is_resumed = recording.scenario.starts_with("resume-");
    attempts += usize::from(is_resumed);
    (attempts, retries + u64::from(is_resumed), status)
}

fn run(recording: &Recording) -> Result<(), String> {
    let (_, _, error_type, then) = recording.row().ok_or("has no row")?;
    let lab = Lab::new();
    let daemon = lab.daemon().set("--rate-limit-backoff", 0).start();
    lab.send(&task(&lab, recording));
    let report = lab.settled("a");
    let attempts = report["attempts"].as_array().cloned().unwrap_or_default();
    let (count, retries, status) = wanted(recording);
    let got = (attempts.len(), &report["retry_count"], &report["status"]);
    if got != (count, &json!(retries), &json!(status)) {
        return Err(format!("{got:?} instead of {:?}: {report:#}", (count, retries, status)));
    }
    let is_resumed = recording.scenario.starts_with("resume-");
    let at = usize::from(is_resumed);
    if (attempts[at]["resumed"] == true) != is_resumed {
        return Err(format!("resumed, or not: {report:#}"));
    }
    judged(recording, then, &attempts[at..])?;
    let wanted = json!(error_type.filter(|kind| is_refusal(*kind)));
    let hold = || lab.audit_of("").into_iter().find(|line| line["event"] == "hold_started");
    // Who holds it is told after the report.
    let held = if wanted.is_null() { hold() } else { Some(wait_for("a hold", PATIENCE, hold)) };
    let held = held.map_or(Value::Null, |line| line["kind"].clone());
    drop(daemon);
    if held == wanted { Ok(()) } else { Err(format!("held for {held} instead of {wanted}")) }
}

/// `attempts`: the recorded one, and those that followed.
fn judged(recording: &Recording, then: Then, attempts: &[Value]) -> Result<(), String> {
    let (_, _, error_type, _) = recording.row().ok_or("has no row")?;
    let one = &attempts[0];
    let got = (one.get("error_type"), one.get("exit_code"), one.get("signal"));
    let wanted = [
        error_type.map(|kind| json!(kind)),
        recording.exit.code.map(|n| json!(n)),
        recording.exit.signal.map(|n| json!(n)),
    ];
    if got != (wanted[0].as_ref(), wanted[1].as_ref(), wanted[2].as_ref()) {
        return Err(format!("{got:?} instead of {wanted:?}: {one:#}"));
    }
    let is_resumed = attempts.get(1).map(|two| two["resumed"] == true);
    let wanted = (then != Answer).then_some(then == Resume);
    if is_resumed == wanted { Ok(()) } else { Err(format!("resumed: {is_resumed:?}: {one:#}")) }
}

#[test]
fn every_recorded_session_is_reported_right() {
    let recordings = recordings();
    let next = AtomicUsize::new(0);
    let one_after_the_other = || {
        let mut wrong = Vec::new();
        while let Some(recording) = recordings.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = run(recording) {
                wrong.push(format!("{}: {error}", recording.name()));
            }
        }
        wrong
    };
    let wrong: Vec<String> = thread::scope(|scope| {
        let threads: Vec<_> =
            (0..DAEMONS_AT_ONCE).map(|_| scope.spawn(one_after_the_other)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
