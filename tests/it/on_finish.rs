//! The operator's own program after each report: what it is given, that it is given each report at
//! least once through crashes, and that nothing it does is anybody else's trouble.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::util::*;

/// A program of the operator's with these lines.
fn program(lab: &Lab, lines: &str) -> PathBuf {
    let path = lab.path("notify");
    fs::write(&path, format!("#!/bin/sh\n{lines}\n")).expect("write a program");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("chmod");
    path
}

/// A program that keeps each report that it is given, under the dispatch's id.
fn keeper(lab: &Lab) -> (PathBuf, PathBuf) {
    let kept = lab.project("kept");
    let lines = format!(
        "cat >{0}/part.$$ && cp {0}/part.$$ {0}/$GSTACK_DISPATCH_ID && \
         rm {0}/part.$$ && echo $GSTACK_DISPATCH_ID >>{0}/order",
        kept.display()
    );
    (program(lab, &lines), kept)
}

fn waits(lab: &Lab) -> usize {
    fs::read_dir(lab.ours().join("on_finish")).map_or(0, Iterator::count)
}

fn log(lab: &Lab, name: &str) -> PathBuf {
    lab.finished(name).join("on_finish.log")
}

/// The audit line of its end. A report may be told before anybody looks at the processes.
fn told(lab: &Lab, name: &str) -> Value {
    lab.event(name, "on_finish")
}

#[test]
fn each_report_is_given_to_the_program_with_its_exact_bytes() {
    let lab = Lab::new();
    let (notify, kept) = keeper(&lab);
    let argv = json!([notify, "two words", "{id}"]).to_string();
    fs::create_dir_all(lab.ours()).expect("dispatchd");
    let config = format!(r#"{{"on_finish": {argv}}}"#);
    fs::write(lab.ours().join("config.json"), config).expect("config.json");
    let daemon = lab.daemon().word("--local-only").start();
    lab.send(&lab.task("good", "fake: result success für dich"));
    lab.send(&lab.task("bad", "fake: result refusal"));
    lab.send(&lab.task("agent", "hello").with("target_agent", "codex"));
    for name in ["good", "bad", "agent"] {
        let line = told(&lab, name);
        assert_eq!(line["exit_code"], 0, "{line}");
        assert!(line["duration"].is_number() && line.get("timed_out").is_none(), "{line}");
        let (given, report) = (kept.join(id(name)), lab.report_path(name));
        assert_eq!(fs::read(given).expect("given"), fs::read(report).expect("a report"), "{name}");
    }
    // What was never accepted has nobody who waits for it.
    lab.send(&lab.task("invalid", "hello").with("ttl_seconds", json!("x")));
    lab.rejected("dispatch-invalid.json");
    wait_until("all is told", PATIENCE, || waits(&lab) == 0);
    assert!(!kept.join(id("invalid")).exists());
    drop(daemon);
}

#[test]
fn it_runs_in_the_daemon_s_directory_with_the_environment_of_a_session() {
    let lab = Lab::new();
    let notify = program(&lab, "pwd; env; echo \"$#: $1\"; echo words >&2");
    let daemon = lab
        .daemon()
        .env("CLAWVISOR_AGENT_TOKEN", "cvis_sesame")
        .env("GSTACK_DISPATCHD_POLL_SECONDS", 3)
        .set("--on-finish", format!("{} --flag", notify.display()))
        .start();
    lab.send(&lab.task("a", "hello"));
    told(&lab, "a");
    let text = text_file(log(&lab, "a"));
    assert_eq!(text.lines().next(), Some(lab.gstack.display().to_string().as_str()));
    for want in ["GSTACK_DISPATCH_ID=dispatch-a", "1: --flag", "words"] {
        assert!(text.lines().any(|line| line == want), "{want}: {text}");
    }
    for never in ["sesame", "GSTACK_DISPATCHD_", "GSTACK_RUN_TOKEN"] {
        assert!(!text.contains(never), "{never}: {text}");
    }
    assert_eq!(fs::metadata(log(&lab, "a")).expect("a log").permissions().mode() & 0o777, 0o600);
    drop(daemon);
}

#[test]
fn a_program_that_hangs_or_writes_without_end_is_ended_and_holds_up_no_session() {
    let lab = Lab::new();
    let lines = "case $GSTACK_DISPATCH_ID in *hangs) sleep 7777 & sleep 7777;; *floods) yes;; esac";
    let notify = program(&lab, lines);
    let start = lab.daemon().set("--on-finish", notify.display()).set("--on-finish-timeout", 1);
    let daemon = start.set("--max-concurrent", 1).start();
    for name in ["hangs", "floods", "after"] {
        lab.send(&lab.task(name, "hello"));
    }
    wait_until("all reports", PATIENCE, || {
        ["hangs", "floods", "after"].iter().all(|name| lab.report_path(name).exists())
    });
    for name in ["hangs", "floods"] {
        let line = told(&lab, name);
        assert_eq!((&line["timed_out"], line.get("exit_code")), (&json!(true), None), "{line}");
        assert!(line["duration"].as_f64().is_some_and(|s| (1.0..5.0).contains(&s)), "{line}");
    }
    assert_eq!(told(&lab, "after")["exit_code"], 0);
    assert_eq!(fs::metadata(log(&lab, "floods")).expect("a log").len(), 64 * 1024);
    // One that was killed is seen until the system has let go of it.
    wait_until("no process but the daemon", PATIENCE, || {
        lab.processes().iter().all(|(pid, _)| *pid == daemon.pid)
    });
    drop(daemon);
}

#[test]
fn how_it_ends_is_told_and_nothing_follows() {
    let lab = Lab::new();
    let notify =
        program(&lab, "case $GSTACK_DISPATCH_ID in *code) exit 3;; *signal) kill -9 $$;; esac");
    let daemon = lab.daemon().set("--on-finish", notify.display()).start();
    for name in ["code", "signal"] {
        lab.send(&lab.task(name, "hello"));
    }
    let (code, signal) = (told(&lab, "code"), told(&lab, "signal"));
    assert_eq!((&code["exit_code"], code.get("signal")), (&json!(3), None), "{code}");
    assert_eq!((&signal["signal"], signal.get("exit_code")), (&json!(9), None), "{signal}");
    for name in ["code", "signal"] {
        lab.completed(name);
    }
    fs::remove_file(&notify).expect("remove the program");
    lab.send(&lab.task("gone", "hello"));
    let line = told(&lab, "gone");
    assert!(line["error"].as_str().is_some_and(|why| why.contains("notify")), "{line}");
    wait_until("nothing waits", PATIENCE, || waits(&lab) == 0);
    drop(daemon);
    let daemon = lab.daemon().set("--on-finish", "no-such-program-anywhere x").start();
    assert!(daemon.stderr().contains("no program no-such-program-anywhere"), "{}", daemon.stderr());
    drop(daemon);
}

#[test]
fn one_runs_at_a_time_and_in_the_order_of_the_reports() {
    let lab = Lab::new();
    let lock = lab.path("running");
    let lines = format!("mkdir {0} || exit 9; sleep 0.1; rmdir {0}", lock.display());
    let notify = program(&lab, &lines);
    let start = lab.daemon().set("--on-finish", notify.display()).set("--max-concurrent", 4);
    let daemon = start.start();
    for n in 0..6 {
        lab.send(&lab.task(&format!("n{n}"), "hello"));
    }
    for n in 0..6 {
        assert_eq!(told(&lab, &format!("n{n}"))["exit_code"], 0);
    }
    drop(daemon);
}

#[test]
fn a_stop_leaves_what_has_no_time_to_the_next_daemon() {
    let lab = Lab::new();
    let (kept, gate) = (lab.project("kept"), lab.path("go"));
    let lines = format!(
        "[ -e {} ] || sleep 7777; cat >{}/$GSTACK_DISPATCH_ID",
        gate.display(),
        kept.display()
    );
    let notify = program(&lab, &lines);
    let start = || lab.daemon().set("--on-finish", notify.display()).start();
    let mut daemon = start();
    for name in ["a", "b"] {
        lab.send(&lab.task(name, "hello"));
        wait_until("it is retired", PATIENCE, || lab.finished(name).exists());
    }
    wait_until("both wait", PATIENCE, || waits(&lab) == 2);
    wait_until("the first runs", PATIENCE, || lab.processes().len() > 1);
    assert_eq!(daemon.stop(), 0);
    drop(daemon);
    assert!(lab.events("a").iter().all(|event| event != "on_finish"));
    fs::write(&gate, "").expect("write");
    let daemon = start();
    for name in ["a", "b"] {
        assert_eq!(told(&lab, name)["exit_code"], 0);
        let given = fs::read(kept.join(id(name))).expect("given");
        assert_eq!(given, fs::read(lab.report_path(name)).expect("a report"));
    }
    wait_until("nothing waits", PATIENCE, || waits(&lab) == 0);
    drop(daemon);
}

#[test]
fn every_report_is_given_at_least_once_through_crashes() {
    let lab = Lab::new();
    let (notify, kept) = keeper(&lab);
    let start = || lab.daemon().set("--on-finish", notify.display()).set("--max-concurrent", 4);
    for n in 0..20 {
        lab.send(&lab.task(&format!("n{n}"), "hello"));
    }
    for round in 0..12_u64 {
        let daemon = start().start();
        let (before, goal) = (fs::read_dir(&kept).map_or(0, Iterator::count), 1 + round % 3);
        // Each crash falls somewhere else between two reports.
        wait_until("some more, or all", PATIENCE, || {
            let now = fs::read_dir(&kept).map_or(0, Iterator::count);
            now >= before + goal as usize || now > 20
        });
        daemon.crash();
    }
    let daemon = start().start();
    for n in 0..20 {
        let name = format!("n{n}");
        wait_until("its report is given", PATIENCE, || kept.join(id(&name)).exists());
    }
    wait_until("nothing waits", PATIENCE, || waits(&lab) == 0);
    for n in 0..20 {
        let name = format!("n{n}");
        let given = fs::read(kept.join(id(&name))).expect("given");
        assert_eq!(given, fs::read(lab.report_path(&name)).expect("a report"), "{name}");
    }
    drop(daemon);
    lab.end_leftovers();
}
