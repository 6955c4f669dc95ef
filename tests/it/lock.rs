//! One daemon per directory, whatever becomes of the lock and of the directory while it runs:
//! removed, replaced, taken by another daemon. And what a person at a terminal is told of it.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::util::*;

fn lock(lab: &Lab) -> std::path::PathBuf {
    lab.ours().join("lock")
}

/// A session that says when it starts and ends, and stands at a gate in between.
fn marked(log: &Path, gate: &Gate) -> String {
    let (log, gate) = (log.display(), gate.display());
    format!("fake: mark {log}\nfake: block {gate}\nfake: mark {log} end")
}

fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| file.try_lock().is_err())
}

fn retaken(lab: &Lab) {
    wait_until("the lock held again", PATIENCE, || is_held(&lock(lab)));
}

/// `rm -rf` of the home, by somebody who insists: the daemon may make directories meanwhile.
fn remove_home(lab: &Lab) {
    wait_until("the home is gone", PATIENCE, || {
        let _ = fs::remove_dir_all(&lab.gstack);
        !lock(lab).exists() || is_held(&lock(lab))
    });
}

/// The sessions that ran at the same time as another one, of marks "start" and "end".
fn overlaps(log: &Path) -> Vec<String> {
    let (mut running, mut found) = (Vec::new(), Vec::new());
    for (word, id, _) in marks(log) {
        match word.as_str() {
            "start" => {
                if !running.is_empty() {
                    found.push(format!("{id} beside {running:?}"));
                }
                running.push(id);
            }
            _ => running.retain(|other| *other != id),
        }
    }
    found
}

/// How often a dispatch's answer is in the audit log.
fn answers(lab: &Lab, name: &str) -> usize {
    let events = lab.events(name);
    events.iter().filter(|e| ["completed", "failed", "cancelled"].contains(&e.as_str())).count()
}

fn leaves_quietly(lab: &Lab) {
    let out = lab.daemon().output();
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (0, "", ""));
}

/// From here on it does nothing, until it is told to go on: each of its threads stands.
fn stand_still(daemon: &Daemon) {
    daemon.signal(Signal::STOP);
    let stands = |thread: fs::DirEntry| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_none_or(|rest| rest.is_empty() || rest.starts_with('T'))
    };
    wait_until("the daemon stands still", PATIENCE, || {
        let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid)).expect("its threads");
        threads.flatten().all(stands)
    });
}

/// Another daemon takes the place of one that stands still, after `meanwhile`.
fn overtaken(lab: &Lab, first: &Daemon, meanwhile: impl FnOnce()) -> Daemon {
    stand_still(first);
    meanwhile();
    lab.daemon().start()
}

// ------------------------------------------------------------------------------- removed, replaced

#[test]
fn a_removed_lock_is_taken_again_and_work_goes_on() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    fs::remove_file(lock(&lab)).expect("remove the lock");
    retaken(&lab);
    lab.event("", "lock_retaken");
    leaves_quietly(&lab);
    hold.release();
    lab.completed("a");
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    assert_eq!(text_file(lock(&lab)).trim(), daemon.pid.to_string());
    drop(daemon);
}

#[test]
fn a_lock_made_anew_by_somebody_else_is_taken() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    stand_still(&daemon);
    fs::remove_file(lock(&lab)).expect("remove the lock");
    fs::write(lock(&lab), "planted").expect("write");
    daemon.signal(Signal::CONT);
    retaken(&lab);
    leaves_quietly(&lab);
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
}

/// What it is, and what puts it where the lock should be.
type InTheWay = (&'static str, fn(&Lab));

const IN_THE_WAY: [InTheWay; 5] = [
    ("a directory", |lab| {
        fs::create_dir(lock(lab)).expect("make a directory");
        fs::write(lock(lab).join("x"), "").expect("write");
    }),
    ("a FIFO", |lab| make_fifo(&lock(lab))),
    ("a FIFO that is read", |lab| {
        make_fifo(&lock(lab));
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let mut options = OpenOptions::new();
        // Kept open for as long as the tests run.
        std::mem::forget(options.read(true).custom_flags(flags).open(lock(lab)).expect("open"));
    }),
    ("a link to a file", |lab| {
        fs::write(lab.path("target"), "untouched").expect("write");
        symlink(lab.path("target"), lock(lab)).expect("link");
    }),
    ("a link to nothing", |lab| symlink(lab.path("nothing"), lock(lab)).expect("link")),
];

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

fn is_aside(lab: &Lab) {
    let aside = lab.ours().join(".aside-lock-1");
    let meta = fs::symlink_metadata(&aside);
    assert!(meta.is_ok_and(|meta| !meta.is_file()), "{}", aside.display());
    assert!(!lab.path("nothing").exists());
    let target = fs::read_to_string(lab.path("target")).unwrap_or("untouched".into());
    assert_eq!(target, "untouched");
}

#[test]
fn what_stands_in_the_place_of_a_running_daemons_lock_is_moved_aside() {
    for (what, put) in IN_THE_WAY {
        let lab = Lab::new();
        let daemon = lab.daemon().set("--heartbeat", 0.2).start();
        // No beat comes in between.
        stand_still(&daemon);
        fs::remove_file(lock(&lab)).expect("remove the lock");
        put(&lab);
        daemon.signal(Signal::CONT);
        wait_until(what, PATIENCE, || {
            fs::symlink_metadata(lock(&lab)).is_ok_and(|meta| meta.is_file())
                && is_held(&lock(&lab))
        });
        is_aside(&lab);
        assert!(daemon.stderr().contains(".aside-lock-1"), "{what}: {}", daemon.stderr());
        leaves_quietly(&lab);
        lab.send(&lab.task("a", "hello"));
        lab.completed("a");
        drop(daemon);
    }
}

#[test]
fn what_stands_in_the_place_of_the_lock_does_not_keep_a_daemon_from_starting() {
    for (what, put) in IN_THE_WAY {
        let lab = Lab::new();
        fs::create_dir_all(lab.ours()).expect("make the directory");
        put(&lab);
        let daemon = lab.daemon().start();
        assert!(is_held(&lock(&lab)), "{what}");
        is_aside(&lab);
        leaves_quietly(&lab);
        drop(daemon);
    }
}

#[test]
fn a_home_that_is_removed_under_a_daemon_comes_again() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--poll", 0.2).start();
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    remove_home(&lab);
    retaken(&lab);
    leaves_quietly(&lab);
    lab.send(&lab.task("b", "hello"));
    lab.settled("b");
    lab.heartbeat("of the same daemon", |beat| beat["pid"] == daemon.pid);
    drop(daemon);
}

#[test]
fn a_control_folder_that_is_removed_is_made_and_watched_again() {
    let lab = Lab::new();
    let control = lab.ours().join("control");
    // No beat looks there.
    let daemon = lab.daemon().set("--heartbeat", 600).set("--poll", 0.2).start();
    fs::remove_dir_all(&control).expect("remove");
    wait_until("the folder is there again", PATIENCE, || control.exists());
    fs::write(control.join("pause"), "").expect("write");
    lab.event("", "paused");
    drop(daemon);
}

#[test]
fn a_home_that_is_removed_under_work_gets_no_second_daemon() {
    let lab = Lab::new();
    let (gate, log) = (lab.gate("gate"), lab.path("log"));
    let mut daemon = lab.daemon().set("--poll", 0.2).start();
    let dir = lab.project("one");
    lab.send(&lab.task("a", marked(&log, &gate)).in_dir(&dir));
    let hold = gate.held();
    lab.send(
        &lab.task("b", format!("fake: mark {0}\nfake: mark {0} end", log.display())).in_dir(&dir),
    );
    lab.accepted("b");
    remove_home(&lab);
    retaken(&lab);
    leaves_quietly(&lab);
    assert!(daemon.exited().is_none());
    hold.release();
    assert_eq!(lab.settled("a")["status"], "completed");
    lab.settled("b");
    lab.send(
        &lab.task("c", format!("fake: mark {0}\nfake: mark {0} end", log.display())).in_dir(&dir),
    );
    lab.settled("c");
    assert_eq!(overlaps(&log), [""; 0]);
    for name in ["a", "b", "c"] {
        assert!(starts(&log).iter().filter(|started| *started == name).count() <= 1);
        assert_eq!(answers(&lab, name), 1, "{name}");
    }
    assert_eq!(daemon.stop(), 0);
}

// ------------------------------------------------------------------------- taken by another daemon

#[test]
fn a_daemon_whose_lock_is_taken_leaves_its_sessions_to_the_holder() {
    let lab = Lab::new();
    let (gate, log) = (lab.gate("gate"), lab.path("log"));
    let mut first = lab.daemon().set("--heartbeat", 0.2).start();
    let dir = lab.project("one");
    lab.send(&lab.task("a", marked(&log, &gate)).in_dir(&dir));
    let hold = gate.held();
    lab.send(
        &lab.task("b", format!("fake: mark {0}\nfake: mark {0} end", log.display())).in_dir(&dir),
    );
    lab.accepted("b");
    let second = overtaken(&lab, &first, || fs::remove_file(lock(&lab)).expect("remove"));
    lab.event("a", "adopted");
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    let errors = first.stderr();
    let errors: Vec<&str> = errors.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{errors:?}");
    for word in [format!("pid {}", second.pid), lab.gstack.display().to_string()] {
        assert!(errors[0].contains(&word), "{errors:?}");
    }
    first.left();
    assert_eq!(lab.event("", "lock_lost")["holder"], second.pid);
    lab.heartbeat("of the second", |beat| beat["pid"] == second.pid && beat["active"] == 1);
    hold.release();
    assert_eq!(lab.settled("a")["status"], "completed");
    lab.settled("b");
    assert_eq!(starts(&log), ["a", "b"]);
    assert_eq!(overlaps(&log), [""; 0]);
    assert_eq!((answers(&lab, "a"), answers(&lab, "b")), (1, 1));
    drop(second);
}

#[test]
fn a_lost_daemon_ends_sessions_that_nobody_else_knows() {
    let lab = Lab::new();
    let (gate, log) = (lab.gate("gate"), lab.path("log"));
    let mut first = lab.daemon().set("--heartbeat", 600).start();
    lab.send(&lab.task("a", marked(&log, &gate)));
    let _hold = gate.held();
    let (_, _, pid) = marks(&log)[0].clone();
    let second = overtaken(&lab, &first, || fs::remove_dir_all(&lab.gstack).expect("remove"));
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    assert!(!alive(pid), "the session goes on");
    first.left();
    let report = lab.ended("a", "cancelled", "shutdown");
    assert!(report["warnings"].to_string().contains("remembered"), "{report:#}");
    assert_eq!(answers(&lab, "a"), 1);
    lab.send(&lab.task("b", "hello"));
    lab.settled("b");
    assert_eq!(lab.heartbeat("any", |_| true)["pid"], second.pid);
    drop(second);
}

#[test]
fn a_lost_daemon_does_not_answer_what_the_holder_was_given_anew() {
    let lab = Lab::new();
    let (gate, again) = (lab.gate("gate"), lab.gate("again"));
    let mut first = lab.daemon().set("--heartbeat", 600).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let _hold = gate.held();
    let second = overtaken(&lab, &first, || fs::remove_dir_all(&lab.gstack).expect("remove"));
    // The sender sends it again, and it runs there.
    lab.send(&lab.task("a", format!("fake: block {}", again.display())));
    let hold = again.held();
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    first.left();
    assert!(!lab.report_path("a").exists(), "it is answered in the holder's place");
    assert!(lab.active("a").exists(), "the holder's claim is gone");
    hold.release();
    assert_eq!(lab.settled("a")["status"], "completed");
    assert_eq!(answers(&lab, "a"), 1);
    drop(second);
}

#[test]
fn a_lost_daemon_accepts_nothing() {
    let lab = Lab::new();
    // No beat looks at the lock before the file does.
    let mut first = lab.daemon().set("--heartbeat", 600).start();
    let second = overtaken(&lab, &first, || fs::remove_file(lock(&lab)).expect("remove"));
    lab.send(&lab.task("a", "hello"));
    lab.send(&lab.task("b", "hello"));
    lab.settled("b");
    lab.settled("a");
    lab.place("dispatch-bad.json", b"{}");
    lab.rejected("dispatch-bad.json");
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    first.left();
    assert_eq!(lab.rejected_count(), 1);
    assert_eq!((answers(&lab, "a"), answers(&lab, "b")), (1, 1));
    drop(second);
}

#[test]
fn a_lost_daemon_starts_nothing_and_concludes_nothing() {
    let lab = Lab::new();
    let (gate, log) = (lab.gate("gate"), lab.path("log"));
    let mut first = lab.daemon().set("--heartbeat", 600).set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", marked(&log, &gate)));
    let hold = gate.held();
    lab.send(&lab.task("b", format!("fake: mark {0}\nfake: mark {0} end", log.display())));
    lab.accepted("b");
    let second = overtaken(&lab, &first, || fs::remove_file(lock(&lab)).expect("remove"));
    lab.event("a", "adopted");
    // The end of its session is the first thing that it sees.
    hold.release();
    lab.settled("b");
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    first.left();
    assert_eq!(lab.settled("a")["status"], "completed");
    assert_eq!(starts(&log).len(), 2);
    assert_eq!((answers(&lab, "a"), answers(&lab, "b")), (1, 1));
    drop(second);
}

#[test]
fn a_lost_daemon_leaves_a_retry_to_the_holder() {
    let lab = Lab::new();
    let log = lab.path("log");
    let mut first = lab.daemon().set("--heartbeat", 600).set("--rate-limit-backoff", 4).start();
    let limited = "fake: once result error 429 rate_limit\nfake: once exit 1";
    lab.send(&lab.task("a", format!("fake: mark {}\n{limited}", log.display())));
    lab.event("a", "retried");
    let second = overtaken(&lab, &first, || fs::remove_file(lock(&lab)).expect("remove"));
    lab.settled("a");
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    first.left();
    assert_eq!(starts(&log).len(), 2);
    assert_eq!(answers(&lab, "a"), 1);
    drop(second);
}

#[test]
fn a_lost_daemon_leaves_requests_alone() {
    let lab = Lab::new();
    let mut first = lab.daemon().set("--heartbeat", 600).set("--cancel-keep", 0).start();
    stand_still(&first);
    fs::remove_file(lock(&lab)).expect("remove");
    let second = lab.daemon().start();
    let cancel = lab.inbox().join("cancel-dispatch-x");
    fs::write(&cancel, "").expect("write");
    first.signal(Signal::CONT);
    assert_eq!(first.wait(), 1);
    first.left();
    assert!(cancel.exists(), "it ate the holder's cancel");
    lab.send(&lab.task("x", "hello"));
    lab.ended("x", "cancelled", "cancelled");
    drop(second);
}

// ---------------------------------------------------------------------------- told, and waited for

#[test]
fn a_lock_that_seems_held_is_tried_again_for_a_moment_even_without_a_wait() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let start = Instant::now();
    let out = lab.daemon().set("--lock-wait", 0).output();
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (0, "", ""));
    assert!(start.elapsed() >= Duration::from_millis(250), "{:?}", start.elapsed());
    drop(daemon);
}

/// Runs a daemon with a terminal of its own; gives what that shows, or `None` if there is none to
/// be had here.
fn on_a_terminal(lab: &Lab, redirect: &str) -> Option<Output> {
    let has_script =
        Command::new("script").arg("--version").output().is_ok_and(|o| o.status.success());
    if !has_script {
        skipped("no script(1), which makes a terminal");
        return None;
    }
    let run = format!("exec script -qec \"$* {redirect}\" /dev/null");
    Some(lab.daemon().under(&["sh", "-c", &run, "sh"]).output())
}

#[test]
fn a_second_daemon_on_a_terminal_says_which_one_runs() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let want = format!("pid {} runs here already", daemon.pid);
    for redirect in ["", "2>/dev/null", ">/dev/null"] {
        let Some(out) = on_a_terminal(&lab, redirect) else { return };
        assert_eq!((out.code, out.stdout.trim()), (0, want.as_str()), "{redirect}: {out:?}");
    }
    fs::write(lock(&lab), "").expect("empty it");
    let Some(out) = on_a_terminal(&lab, "") else { return };
    assert_eq!(out.stdout.trim(), want, "the heartbeat knows it too");
    drop(daemon);
}

#[test]
fn the_first_signal_says_what_is_waited_for_and_what_a_second_one_does() {
    let lab = Lab::new();
    let gates: Vec<Gate> = (0..4).map(|n| lab.gate(&format!("gate-{n}"))).collect();
    let start = lab.daemon().set("--max-concurrent", 4).set("--drain-timeout", 600);
    let mut daemon = start.start();
    for (n, gate) in gates.iter().enumerate() {
        lab.send(&lab.task(&n.to_string(), format!("fake: block {}", gate.display())));
    }
    let _holds: Vec<Hold> = gates.iter().map(Gate::held).collect();
    lab.heartbeat("four running", |beat| beat["active"] == 4);
    daemon.signal(Signal::INT);
    wait_until("the word", PATIENCE, || daemon.stderr().contains("SIGINT: "));
    let said = daemon.stderr();
    let said = said.lines().find(|line| line.contains("SIGINT: ")).expect("the line");
    let want = [
        "waiting up to 600 s for 4 running sessions",
        "dispatch-0, dispatch-1, dispatch-2 and 1 more",
    ];
    for word in want.into_iter().chain(["again: end them now"]) {
        assert!(said.contains(word), "{said}");
    }
    daemon.signal(Signal::INT);
    assert_eq!(daemon.wait(), 1);
}

#[test]
fn a_stop_that_leaves_sessions_running_says_so() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let mut daemon = lab.daemon().set("--on-shutdown", "leave").start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.heartbeat("running", |beat| beat["active"] == 1);
    assert_eq!(daemon.stop(), 0);
    let want = "SIGTERM: stopping; 1 session left running for the next daemon (dispatch-a)";
    assert!(daemon.stderr().contains(want), "{}", daemon.stderr());
    daemon.left();
    let daemon = lab.daemon().start();
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_stop_with_nothing_running_makes_no_words() {
    let lab = Lab::new();
    let mut daemon = lab.daemon().start();
    assert_eq!(daemon.stop(), 0);
    let said = daemon.stderr();
    assert!(said.lines().any(|line| line.ends_with("SIGTERM: stopping")), "{said}");
}
