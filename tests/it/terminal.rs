//! A daemon that was started from a terminal. Its sessions must not see that: what reads a terminal
//! in the background is stopped by the kernel, and would stand there until its TTL.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use crate::leftovers::{Unrecorded, unrecorded};
use crate::util::*;

/// Gives the daemon a terminal of its own, which lasts as long as it does.
const TERMINAL: &str = "import fcntl, os, pty, sys, termios
ends = pty.openpty()
os.setsid()
fcntl.ioctl(ends[1], termios.TIOCSCTTY, 0)
[os.set_inheritable(end, True) for end in ends]
os.execv(sys.argv[1], sys.argv[1:])";

/// `None`, and SKIPPED, without python3.
fn at_a_terminal(lab: &Lab) -> Option<Start<'_>> {
    let has_pty = Command::new("python3").args(["-c", "import pty, termios"]).status();
    if !has_pty.is_ok_and(|status| status.success()) {
        skipped("python3 is needed to make a terminal");
        return None;
    }
    Some(lab.daemon().under(&["python3", "-c", TERMINAL]))
}

fn has_terminal(pid: i32) -> bool {
    let stat = text_file(format!("/proc/{pid}/stat"));
    let mut fields = stat.rsplit(") ").next().expect("fields").split(' ');
    fields.nth(4) != Some("0")
}

#[test]
fn a_session_of_a_daemon_at_a_terminal_finds_none() {
    let lab = Lab::new();
    let Some(start) = at_a_terminal(&lab) else { return };
    let (asked, dump) = (lab.path("asked"), lab.path("dump"));
    let daemon = start.start();
    assert!(has_terminal(daemon.pid));
    let orders = format!("fake: ask-terminal {}\nfake: dump {}", asked.display(), dump.display());
    lab.send(&lab.task("a", orders));
    lab.completed("a");
    assert_eq!(text_file(&asked), "nobody\n");
    // The rest is as ever: the arguments, the prompt, no descriptor of ours.
    assert!(text_file(dump.join("argv")).starts_with("--print\n"));
    assert!(text_file(dump.join("prompt")).contains("ask-terminal"));
    let fds = text_file(dump.join("fds"));
    assert!(!fds.contains("socket:"), "{fds}");
    drop(daemon);
}

#[test]
fn a_launched_session_of_a_daemon_at_a_terminal_finds_none() {
    let lab = Lab::new();
    let Some(start) = at_a_terminal(&lab) else { return };
    let (asked, words) = (lab.path("asked"), lab.path("words"));
    let launcher = format!("{FIXTURES}/launchers/pass.sh {} {{id}} --", words.display());
    let daemon = start.set("--launcher", launcher).set("--launcher-kill", "").start();
    lab.send(&lab.task("a", format!("fake: ask-terminal {}", asked.display())));
    lab.completed("a");
    assert_eq!(text_file(&asked), "nobody\n");
    assert!(text_file(&words).ends_with("\ndispatch-a\n"));
    drop(daemon);
}

#[test]
fn a_check_of_a_daemon_at_a_terminal_finds_none() {
    let lab = Lab::new();
    let Some(start) = at_a_terminal(&lab) else { return };
    let dir = lab.project("shop");
    crate::evidence::verified_by(&lab, &dir, "(: </dev/tty) 2>/dev/null || echo nobody", 20.0);
    let daemon = start.start();
    lab.send(&lab.task("a", "hello").in_dir(&dir));
    assert_eq!(lab.completed("a")["verify"]["output"], "nobody");
    drop(daemon);
}

#[test]
fn what_a_session_without_a_terminal_leaves_is_ended_at_every_end() {
    let lab = Lab::new();
    let Some(start) = at_a_terminal(&lab) else { return };
    let daemon = start.start();
    let kinds = ["setsid", "nohup", "double-fork", "ghost", "holder"];
    for (name, end) in [("ends", ""), ("cut", "\nfake: ignore-term\nfake: sleep 7777")] {
        let pids = lab.path(&format!("pids-{name}"));
        let child = |kind: &&str| format!("fake: {kind}-child {}\n", pids.display());
        let orders: String = kinds.iter().map(child).collect();
        let ttl = if end.is_empty() { 600 } else { 1 };
        lab.send(&lab.task(name, orders + end).with("ttl_seconds", ttl));
        lab.report(name);
        assert_eq!(all_gone(&pids).len(), kinds.len(), "{name}");
    }
    drop(daemon);
}

/// As it is told where the daemon starts it itself.
#[test]
fn a_program_that_cannot_be_started_without_a_terminal_is_told_as_ever() {
    let lab = Lab::new();
    let Some(start) = at_a_terminal(&lab) else { return };
    let (link, real) = (lab.path("claude"), format!("{FIXTURES}/bin/claude"));
    symlink(&real, &link).expect("symlink");
    let daemon = start.set("--claude", link.display()).set("--trouble-pause", 0.1).start();
    let becomes = |target: &str| {
        fs::remove_file(&link).expect("remove the program");
        symlink(target, &link).expect("symlink");
    };
    let interpreter_is_gone = lab.path("no-interpreter");
    let script = "#!/no/such/program\n";
    fs::copy(&real, &interpreter_is_gone).expect("copy");
    fs::write(&interpreter_is_gone, script).expect("write");
    becomes(interpreter_is_gone.to_str().expect("UTF-8"));
    lab.send(&lab.task("gone", "hello"));
    let report = lab.failed("gone", "spawn_failed");
    let error = report["error"].as_str().expect("an error");
    let want = format!("cannot start {}: No such file", link.display());
    assert!(error.starts_with(&want), "{error}");
    assert_eq!(report.get("attempts"), None, "{report:#}");
    lab.send(&lab.task("no-dir", "hello").with("project_dir", "/no/such/place"));
    lab.failed("no-dir", "spawn_failed");
    // Being replaced: that passes.
    let program = lab.path("being-written");
    fs::copy(&real, &program).expect("copy");
    let writer = File::options().append(true).open(&program).expect("open");
    becomes(program.to_str().expect("UTF-8"));
    let ran = lab.path("ran");
    lab.send(&lab.task("busy", format!("fake: mark {}", ran.display())));
    lab.heartbeat("trouble", |beat| beat["degraded"].to_string().contains("cannot start"));
    drop(writer);
    let report = lab.completed("busy");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    assert_eq!(starts(&ran), ["busy"]);
    drop(daemon);
}

/// An upgrade replaces our own binary, and the sessions start through it.
#[test]
fn a_daemon_at_a_terminal_starts_sessions_after_its_own_binary_is_gone() {
    let lab = Lab::new();
    let Some(start) = at_a_terminal(&lab) else { return };
    let ours = lab.path("gstack-dispatch-daemon");
    fs::copy(DAEMON, &ours).expect("copy");
    let ours_first = format!("import sys\nsys.argv[1] = {ours:?}\n{TERMINAL}");
    let daemon = start.under(&["python3", "-c", &ours_first]).start();
    fs::remove_file(&ours).expect("remove");
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
}

/// It is ours alone, and no way to run something.
#[test]
fn the_hidden_verb_is_of_no_use_to_others() {
    let lab = Lab::new();
    let run = lab.plain_daemon().word("__session").word("echo").word("hello").output();
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("cannot become a session"), "{}", run.stderr);
    let help = lab.plain_daemon().word("--help").output();
    assert!(!help.stdout.contains("__session"), "{}", help.stdout);
}

fn left_unrecorded(lab: &Lab) -> Option<Unrecorded> {
    Some(unrecorded(lab, at_a_terminal(lab)?.start(), "Still here."))
}

#[test]
fn an_agent_without_a_terminal_whose_pid_nobody_wrote_down_is_adopted() {
    let lab = Lab::new();
    let Some(session) = left_unrecorded(&lab) else { return };
    let daemon = lab.daemon().start();
    let adopted: Value = lab.event("a", "adopted");
    assert_eq!(adopted["pid"], session.agent);
    session.hold.release();
    assert_eq!(lab.completed("a")["result"], "Still here.");
    assert_eq!(starts(&session.ran).len(), 1);
    drop(daemon);
}

#[test]
fn a_child_left_behind_does_not_pass_for_an_agent_without_a_terminal() {
    let lab = Lab::new();
    let Some(session) = left_unrecorded(&lab) else { return };
    session.hold.release();
    wait_until("the agent's end", PATIENCE, || !alive(session.agent));
    let child = pids_in(&session.pids)[0];
    assert!(alive(child), "the fake agent left a child");
    let daemon = lab.daemon().start();
    assert_eq!(lab.completed("a")["result"], "Still here.");
    assert!(!alive(child));
    drop(daemon);
}

/// A Ctrl-C goes to all in the foreground.
#[test]
fn the_terminal_s_signals_do_not_reach_a_session() {
    let lab = Lab::new();
    let Some(start) = at_a_terminal(&lab) else { return };
    let gate = lab.gate("gate");
    let mut daemon = start.start();
    lab.send(&lab.task("a", format!("fake: block {}\nfake: result success Done.", gate.display())));
    let hold = gate.held();
    let group = rustix::process::Pid::from_raw(daemon.pid).expect("a pid");
    rustix::process::kill_process_group(group, Signal::INT).expect("signal");
    lab.heartbeat("draining", |beat| beat["state"] == "drain");
    hold.release();
    assert_eq!(lab.completed("a")["result"], "Done.");
    assert_eq!(daemon.wait(), 0);
}
