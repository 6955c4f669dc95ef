//! Requests that are taken back, that are no plain files, that come by the thousand; and what a
//! pause holds back.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use gstack_dispatch_daemon::effects::clock;
use gstack_dispatch_daemon::pure::text::time::rfc3339;

use crate::util::*;

fn request(path: &PathBuf) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("create");
    fs::write(path, "").expect("write a request");
}

fn control(lab: &Lab, what: &str) -> PathBuf {
    lab.ours().join("control").join(what)
}

fn cancel(lab: &Lab, name: &str) -> PathBuf {
    lab.inbox().join(format!("cancel-{}", id(name)))
}

#[test]
fn a_cancel_that_was_taken_back_before_its_dispatch_came_cancels_nothing() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("first", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    for n in 0..20 {
        let (name, neighbour) = (format!("a{n}"), format!("b{n}"));
        request(&cancel(&lab, &name));
        // It was seen when what came after it is accepted.
        lab.send(&lab.task(&neighbour, "hello"));
        lab.accepted(&neighbour);
        // Before it is taken back, as a daemon sees it that is busy with something else.
        let dispatch = lab.task(&name, "fake: mark ran");
        daemon.signal(rustix::process::Signal::STOP);
        fs::write(lab.path("beside"), dispatch.bytes()).expect("write");
        fs::remove_file(cancel(&lab, &name)).expect("take it back");
        fs::rename(lab.path("beside"), lab.dropped(&name)).expect("rename");
        daemon.signal(rustix::process::Signal::CONT);
        lab.accepted(&name);
        assert!(!lab.report_path(&name).exists(), "{}", lab.audit_of(&name).len());
    }
    hold.release();
    for n in 0..20 {
        lab.completed(&format!("a{n}"));
        lab.completed(&format!("b{n}"));
    }
    drop(daemon);
}

/// Without events only the scans tell: what they found is asked of the disk again when it counts.
#[test]
fn a_cancel_that_is_gone_when_its_dispatch_is_accepted_cancels_nothing() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--settle", 3).start();
    request(&control(&lab, "cancel-dispatch-a"));
    // Its dispatch comes in two pieces, and the request is gone in between.
    let bytes = lab.task("a", "fake: mark ran").bytes();
    fs::write(lab.dropped("a"), &bytes[..10]).expect("the first piece");
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    // Gone with its folder, of which no event tells.
    fs::rename(lab.ours().join("control"), lab.path("moved")).expect("rename");
    fs::create_dir_all(lab.ours().join("control")).expect("another one");
    fs::write(lab.dropped("a"), &bytes).expect("the whole");
    lab.settled("a");
    lab.completed("a");
    drop(daemon);
}

#[test]
fn what_is_no_plain_file_cancels_nothing_and_is_told_once() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--max-concurrent", 1).set("--heartbeat", 0.2).start();
    lab.send(&lab.task("first", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    for name in ["a", "b", "c"] {
        lab.send(&lab.task(name, "hello"));
        lab.accepted(name);
    }
    fs::create_dir(cancel(&lab, "a")).expect("a directory");
    symlink("/dev/null", cancel(&lab, "b")).expect("a link");
    assert!(Command::new("mkfifo").arg(cancel(&lab, "c")).status().expect("mkfifo").success());
    fs::create_dir(control(&lab, "cancel-dispatch-first")).expect("a directory");
    fs::create_dir(control(&lab, "pause")).expect("a directory");
    hold.release();
    for name in ["first", "a", "b", "c"] {
        lab.settled(name);
        lab.completed(name);
    }
    // Answered, and many looks at everything later:
    let before = beats(&lab);
    lab.heartbeat("some beats", |_| beats(&lab) > before + 1_200);
    let ignored = lab.audit().iter().filter(|l| l["event"] == "cancel_ignored").count();
    assert_eq!(ignored, 0);
    for name in ["a", "b", "c"] {
        let told = daemon.stderr().matches(&format!("cancel-dispatch-{name} ")).count();
        assert_eq!(told, 1, "{}", daemon.stderr());
        assert!(cancel(&lab, name).symlink_metadata().is_ok());
    }
    drop(daemon);
}

/// The time of the last beat, in milliseconds.
fn beats(lab: &Lab) -> u128 {
    let meta = fs::metadata(lab.heartbeat_path()).and_then(|meta| meta.modified());
    let since = meta.map(|at| at.duration_since(std::time::UNIX_EPOCH).unwrap_or_default());
    since.unwrap_or_default().as_millis()
}

#[test]
fn thousands_of_cancels_for_nobody_cost_little_and_hold_nobody_up() {
    const COUNT: usize = 2000;
    let lab = Lab::new();
    let daemon = lab.daemon().set("--cancel-keep", 3).start();
    lab.send(&lab.task("warm", "hello"));
    lab.settled("warm");
    let cpu = cpu_seconds(&daemon);
    for n in 0..COUNT {
        request(&cancel(&lab, &format!("nobody-{n}")));
    }
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    lab.completed("a");
    wait_until("all of them gone", PATIENCE, || {
        !cancel(&lab, &format!("nobody-{}", COUNT - 1)).exists()
    });
    let ignored = || lab.audit().iter().filter(|l| l["event"] == "cancel_ignored").count();
    wait_until("all of them told", PATIENCE, || ignored() == COUNT);
    let used = cpu_seconds(&daemon) - cpu;
    assert!(used < 2.0, "{used} s for {COUNT} requests");
    drop(daemon);
}

#[test]
fn while_paused_a_retry_waits_too_and_can_be_cancelled() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--rate-limit-backoff", 0.1).start();
    // A gate each: one that lets two through at once cannot be held again.
    let gates = ["a", "b"].map(|name| lab.gate(&format!("gate-{name}")));
    for (name, gate) in ["a", "b"].iter().zip(&gates) {
        let task = format!(
            "fake: mark ran\nfake: once block {}\nfake: once result error 429 rate_limit",
            gate.display()
        );
        lab.send(&lab.task(name, task));
    }
    wait_until("both started", PATIENCE, || {
        ["a", "b"].iter().all(|name| lab.path(&format!("project-{name}/ran")).exists())
    });
    request(&control(&lab, "pause"));
    lab.heartbeat("paused", |beat| beat["paused"] == true);
    gates.iter().for_each(|gate| gate.held().release());
    for name in ["a", "b"] {
        lab.event(name, "retried");
    }
    // Far longer than the delay that was decided.
    pause_as_a_slow_writer(Duration::from_millis(700));
    for name in ["a", "b"] {
        assert_eq!(starts(&lab.path(&format!("project-{name}/ran"))).len(), 1);
    }
    request(&cancel(&lab, "b"));
    lab.settled("b");
    lab.ended("b", "cancelled", "cancelled");
    request(&control(&lab, "resume"));
    lab.settled("a");
    lab.completed("a");
    assert_eq!(starts(&lab.path("project-a/ran")).len(), 2);
    drop(daemon);
}

#[test]
fn a_daemon_that_is_paused_with_a_retry_due_stops_at_once() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().set("--rate-limit-backoff", 0.1).start();
    request(&control(&lab, "pause"));
    lab.heartbeat("paused", |beat| beat["paused"] == true);
    request(&control(&lab, "resume"));
    lab.heartbeat("resumed", |beat| beat.get("paused").is_none());
    let gate = lab.gate("gate");
    let task =
        format!("fake: once block {}\nfake: once result error 429 rate_limit", gate.display());
    lab.send(&lab.task("a", task));
    let hold = gate.held();
    request(&control(&lab, "pause"));
    lab.heartbeat("paused", |beat| beat["paused"] == true);
    hold.release();
    lab.event("a", "retried");
    assert_eq!(daemon.stop(), 0);
    request(&control(&lab, "resume"));
    let daemon = lab.daemon().start();
    lab.settled("a");
    lab.completed("a");
    drop(daemon);
}

/// Its records and its file are gone, and so is the daemon that remembered it.
#[test]
fn a_cancel_of_what_is_left_of_a_dispatch_is_carried_out_and_not_called_ignored() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let first = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.send(&lab.task("b", "hello"));
    lab.event("b", "queued");
    first.crash();
    let second = lab.daemon().set("--max-concurrent", 1).set("--heartbeat", 0.2).start();
    lab.event("a", "adopted");
    second.signal(rustix::process::Signal::STOP);
    fs::remove_dir_all(lab.active("b")).expect("remove its records");
    fs::remove_file(lab.dropped("b")).expect("remove its file");
    request(&cancel(&lab, "b"));
    second.signal(rustix::process::Signal::CONT);
    lab.failed("b", "interrupted");
    wait_until("the cancel file's end", PATIENCE, || !cancel(&lab, "b").exists());
    assert_eq!(lab.events("b"), ["received", "queued", "cancel_requested", "failed"]);
    hold.release();
    lab.completed("a");
    drop(second);
}

/// A pause with an end, as `pause --for` asks for it.
fn pause_for(lab: &Lab, span: Duration) -> String {
    let until = rfc3339(clock::unix_ms() + span.as_millis() as i64);
    fs::create_dir_all(lab.ours().join("control")).expect("create");
    fs::write(control(lab, ".pause"), format!("{until}\n")).expect("write");
    fs::rename(control(lab, ".pause"), control(lab, "pause")).expect("rename");
    until
}

#[test]
fn a_pause_with_an_end_ends_by_itself() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let until = pause_for(&lab, Duration::from_secs(2));
    let beat = lab.heartbeat("the pause", |beat| beat["paused"] == true);
    assert_eq!(beat["paused_until"], until, "{beat:#}");
    lab.send(&lab.task("a", "hello"));
    lab.accepted("a");
    assert!(!lab.events("a").contains(&"spawned".to_string()));
    let report = lab.completed("a");
    assert!(report["started_at"].as_str() >= Some(&until), "{until}: {report:#}");
    let beat = lab.heartbeat("the end", |beat| beat.get("paused").is_none());
    assert!(beat.get("paused_until").is_none() && !control(&lab, "pause").exists());
    assert_eq!(told(&lab), ["paused", "resumed"]);
    drop(daemon);
}

#[test]
fn a_pause_with_an_end_holds_through_restarts_and_ends_while_no_daemon_runs() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let until = pause_for(&lab, Duration::from_secs(3600));
    lab.heartbeat("the pause", |beat| beat["paused_until"] == until);
    daemon.crash();
    let mut daemon = lab.daemon().start();
    lab.heartbeat("the pause again", |b| b["pid"] == daemon.pid && b["paused_until"] == until);
    // Another end takes the place of the first; none at all means until somebody resumes.
    let sooner = pause_for(&lab, Duration::from_secs(1800));
    lab.heartbeat("the other end", |beat| beat["paused_until"] == sooner);
    request(&control(&lab, "pause"));
    lab.heartbeat("no end", |beat| beat["paused"] == true && beat.get("paused_until").is_none());
    daemon.stop();
    let over = pause_for(&lab, Duration::ZERO);
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    let report = lab.completed("a");
    assert!(report["started_at"].as_str() >= Some(&over), "{over}: {report:#}");
    assert!(!control(&lab, "pause").exists());
    assert_eq!(told(&lab), ["paused", "resumed"]);
    drop(daemon);
}

#[test]
fn what_is_no_time_pauses_until_somebody_resumes() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for text in ["noon", "\u{1b}[2J", &"9".repeat(100_000)] {
        fs::write(control(&lab, "pause"), text).expect("write");
        let beat = lab.heartbeat("the pause", |beat| beat["paused"] == true);
        assert!(beat.get("paused_until").is_none(), "{beat:#}");
        request(&control(&lab, "resume"));
        lab.heartbeat("the end", |beat| beat.get("paused").is_none());
    }
    drop(daemon);
}

/// What the audit log tells of pauses.
fn told(lab: &Lab) -> Vec<String> {
    let words = lab.audit().into_iter().filter_map(|line| line["event"].as_str().map(String::from));
    words.filter(|word| ["paused", "resumed"].contains(&word.as_str())).collect()
}
