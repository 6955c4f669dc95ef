//! What is followed while it happens: each line once and soon, through retries, moves and restarts.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::*;

/// How soon a line is to be shown, and what a loaded machine may add to that.
const SOON: Duration = Duration::from_secs(1);
const SLACK: Duration = Duration::from_secs(2);

#[test]
fn a_line_is_shown_soon_and_the_command_ends_by_itself() {
    let lab = Lab::new();
    let (first, second) = (lab.gate("first"), lab.gate("second"));
    let task = format!(
        "fake: turn one\nfake: block {}\nfake: turn two\nfake: half {}\nfake: result success three",
        first.display(),
        second.display()
    );
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", task));
    let hold = first.held();
    let people = Following::start(&lab, "a", &[]);
    let json = Following::start(&lab, "a", &["--json"]);
    let raw = Following::start(&lab, "a", &["--raw"]);
    people.shows("one\n");
    json.shows("\"one\"");
    let released = Instant::now();
    hold.release();
    people.shows("two\n");
    assert!(released.elapsed() < SOON + SLACK, "{:?}", released.elapsed());
    // Half an event is no line yet, but it is bytes.
    let hold = second.held();
    raw.shows("\"subtype\":\"no");
    assert!(!people.text().contains("? ") && !people.text().contains("-- completed"));
    hold.release();
    lab.completed("a");
    let (code, text) = people.end();
    assert_eq!(code, Some(0));
    let told: Vec<&str> = text.lines().collect();
    assert_eq!(&told[1..4], ["one", "two", "three"], "{text}");
    assert!(told[4].starts_with("-- completed in ") && told.len() == 5, "{text}");
    assert_eq!(text, logs(&lab, "a", &[]).stdout);
    assert_eq!(json.end().1, logs(&lab, "a", &["--json"]).stdout);
    assert_eq!(raw.end().1, logs(&lab, "a", &["--raw"]).stdout);
    drop(daemon);
}

#[test]
fn it_goes_on_through_retries_and_crashes_of_the_daemon() {
    let lab = Lab::new();
    let (first, second) = (lab.gate("first"), lab.gate("second"));
    let task = format!(
        "fake: remember\nfake: turn early\nfake: once block {}\n\
         fake: once result error 429 rate_limit\nfake: once exit 1\nfake: turn late\n\
         fake: block {}\nfake: result success end",
        first.display(),
        second.display()
    );
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", task));
    let hold = first.held();
    let following = Following::start(&lab, "a", &[]);
    following.shows("early\n");
    daemon.crash();
    let daemon = lab.daemon().start();
    hold.release();
    following.shows("-- attempt 2");
    following.shows("late\n");
    let hold = second.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    hold.release();
    lab.completed("a");
    let (code, text) = following.end();
    assert_eq!((code, text.as_str()), (Some(0), logs(&lab, "a", &[]).stdout.as_str()));
    assert_eq!(text.matches("early\n").count(), 2, "{text}");
    assert_eq!(text.matches("-- attempt 1 ended").count(), 1, "{text}");
    drop(daemon);
}

#[test]
fn it_begins_with_the_last_lines_and_goes_on_with_what_comes() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let task = format!(
        "fake: turn one\nfake: turn two\nfake: turn three\nfake: block {}\nfake: turn four",
        gate.display()
    );
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", task));
    let hold = gate.held();
    let (some, none) =
        (Following::start(&lab, "a", &["--tail=2"]), Following::start(&lab, "a", &["--tail=0"]));
    some.shows("three\n");
    assert_eq!(lines(&lab, "a", &["--tail", "2"]), ["two", "three"]);
    wait_until("both to follow", PATIENCE, || some.text() == "two\nthree\n");
    // It has nothing to show yet, which cannot be waited for.
    assert_eq!(none.text(), "");
    hold.release();
    lab.settled("a");
    let (some, none) = (some.end().1, none.end().1);
    assert!(some.starts_with("two\nthree\nfour\n"), "{some}");
    assert!(none.is_empty() || none.starts_with("four\n") || none.starts_with("-- "), "{none}");
    drop(daemon);
}

#[test]
fn it_ends_at_the_timeout_at_ctrl_c_and_when_nobody_reads() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: turn one\nfake: block {}", gate.display())));
    let hold = gate.held();
    assert_eq!(Following::start(&lab, "a", &["--timeout", "0"]).end().0, Some(124));
    let interrupted = Following::start(&lab, "a", &[]);
    interrupted.shows("one\n");
    interrupted.signal(Signal::INT);
    assert_eq!(interrupted.end().0, Some(130));
    let mut child = Command::new(DAEMON)
        .args(["logs", "-f", &id("a")])
        .env("GSTACK_HOME", &lab.gstack)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command");
    let mut out = child.stdout.take().expect("a pipe");
    let mut begin = [0; 4];
    out.read_exact(&mut begin).expect("its beginning");
    drop(out);
    let left = Instant::now();
    let status = wait_for("its end", PATIENCE, || child.try_wait().expect("wait"));
    assert_eq!(status.code(), Some(0));
    assert!(left.elapsed() < SOON + SLACK, "{:?}", left.elapsed());
    // Whoever watched is gone; the dispatch is not.
    assert!(lab.active("a").exists());
    hold.release();
    lab.settled("a");
    drop(daemon);
}
