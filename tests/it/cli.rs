//! The command line, the settings and where they come from, the look for `claude`, one daemon for
//! one directory, and what a start makes of the directory.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::util::*;

fn fake() -> String {
    format!("{FIXTURES}/bin/claude")
}

fn config(lab: &Lab, text: &str) {
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    fs::write(lab.ours().join("config.json"), text).expect("write config.json");
}

// --------------------------------------------------------------------------------------- the words

#[test]
fn help_and_version_answer_on_stdout_whatever_else_is_wrong() {
    let lab = Lab::new();
    let plain = || lab.plain_daemon().no_env("HOME").env("GSTACK_HOME", "/nowhere").env("PATH", "");
    for words in [vec!["--help"], vec!["-h"], vec!["run", "--help"]] {
        let out = words.iter().fold(plain(), |start, word| start.word(word)).output();
        assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{out:?}");
        for flag in [
            "--max-concurrent",
            "--local-only",
            "--max-per-project",
            "--allow-tools",
            "--claude",
            "GSTACK_HOME",
        ] {
            assert!(out.stdout.contains(flag), "{flag}: {}", out.stdout);
        }
    }
    for word in ["--version", "-V"] {
        let out = plain().word(word).output();
        assert_eq!((out.code, out.stderr.as_str()), (0, ""), "{out:?}");
        assert!(out.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", out.stdout);
        assert_eq!(out.stdout.lines().count(), 1);
    }
}

#[test]
fn wrong_usage_is_two_and_says_what_is_wrong() {
    for words in [
        vec!["--no-such-flag"],
        vec!["start"],
        vec!["run", "run"],
        vec!["--max-concurrent"],
        vec!["--max-concurrent", "many"],
        vec!["--max-concurrent", "0"],
        vec!["--max-concurrent", "-1"],
        vec!["--max-per-project", "-1"],
        vec!["--settle", "soon"],
        vec!["--heartbeat", "-3"],
        vec!["--drain-timeout", "inf"],
        vec!["--kill-grace", "NaN"],
        vec!["--on-shutdown", "maybe"],
        vec!["--on-interrupt", "sometimes"],
        vec!["--callback-delays", "1,x"],
        vec!["--local-only=maybe"],
    ] {
        let lab = Lab::new();
        let out = words.iter().fold(lab.plain_daemon(), |start, word| start.word(word)).output();
        assert_eq!(out.code, 2, "{words:?}: {out:?}");
        assert_eq!(out.stdout, "", "{words:?}");
        let wrong =
            words.iter().find(|w| **w != "run").unwrap_or(&"run").split('=').next().unwrap_or("");
        assert!(out.stderr.contains(wrong), "{words:?}: {}", out.stderr);
        assert!(!lab.gstack.exists(), "{words:?}: something was made");
    }
}

#[test]
fn the_word_run_is_the_same_as_none() {
    let lab = Lab::new();
    let daemon = lab.plain_daemon().word("run").word("--local-only").start();
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_flag_takes_its_value_after_an_equals_sign_too() {
    let lab = Lab::new();
    let daemon = lab.plain_daemon().word("--max-concurrent=7").start();
    lab.heartbeat("seven", |b| b["max_concurrent"] == 7);
    drop(daemon);
}

// ------------------------------------------------------------------------------------ the settings

#[test]
fn flags_come_before_variables_before_the_file_before_defaults() {
    let lab = Lab::new();
    let shown = |start: Start<'_>| {
        let daemon = start.start();
        let pid = daemon.pid;
        let beat = lab.heartbeat("of this daemon", |b| b["pid"] == pid && b["state"] == "run");
        drop(daemon);
        beat["max_concurrent"].clone()
    };
    let variable = "GSTACK_DISPATCHD_MAX_CONCURRENT";
    assert_eq!(shown(lab.plain_daemon()), 2);
    config(&lab, "{\"max_concurrent\": 3}");
    assert_eq!(shown(lab.plain_daemon()), 3);
    assert_eq!(shown(lab.plain_daemon().env(variable, 4)), 4);
    assert_eq!(shown(lab.plain_daemon().env(variable, 4).set("--max-concurrent", 5)), 5);
}

#[test]
fn a_bad_variable_ends_the_start_and_is_named() {
    for (key, value) in [
        ("GSTACK_DISPATCHD_MAX_CONCURRENT", "many"),
        ("GSTACK_DISPATCHD_MAX_CONCURRENT", "0"),
        ("GSTACK_DISPATCHD_DRAIN_TIMEOUT_SECONDS", "-1"),
        ("GSTACK_DISPATCHD_ON_SHUTDOWN", "maybe"),
        ("GSTACK_DISPATCHD_LOCAL_ONLY", "perhaps"),
    ] {
        let lab = Lab::new();
        let out = lab.plain_daemon().env(key, value).output();
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{key}={value}: {out:?}");
        assert!(out.stderr.contains(key), "{key}={value}: {}", out.stderr);
    }
}

#[test]
fn a_bad_config_file_ends_the_start_and_is_named() {
    for text in [
        "",
        "{",
        "[]",
        "{\"max_concurrent\": \"many\"}",
        "{\"max_concurrent\": 0}",
        "{\"max_concurrent\": 1.5}",
        "{\"max_concurent\": 2}",
        "{\"settle_seconds\": -1}",
        "{\"claude_args\": 5}",
        "{\"local_only\": 1}",
    ] {
        let lab = Lab::new();
        config(&lab, text);
        let out = lab.plain_daemon().output();
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{text}: {out:?}");
        assert!(out.stderr.contains("config.json"), "{text}: {}", out.stderr);
    }
}

#[test]
fn settings_in_the_file_work() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(200)]);
    let settings = json!({
        "local_only": true, "claude": fake(), "min_ttl_seconds": 1, "kill_grace_seconds": 0.2,
        "max_per_project": 0, "allow_tools": ["Bash(git:*)", "WebFetch"],
    });
    config(&lab, &settings.to_string());
    let daemon = lab.plain_daemon().env("PATH", "/usr/bin:/bin").start();
    let dump = lab.path("dump");
    let task = format!("fake: dump {}\nfake: sleep 7777", dump.display());
    lab.send(&lab.task("a", task).with("ttl_seconds", 1).with("callback_url", server.url.as_str()));
    lab.ended("a", "timeout", "timeout");
    assert!(text_file(dump.join("argv")).contains("WebFetch"));
    assert!(server.seen().is_empty());
    drop(daemon);
}

#[test]
fn the_directory_is_dot_gstack_at_home_by_default() {
    let lab = Lab::new();
    let daemon = lab.daemon().no_env("GSTACK_HOME").start();
    let inbox = lab.home.join(".gstack/dispatch");
    let dispatch = lab.task("a", "hello");
    fs::write(inbox.join("dispatch-a.json"), dispatch.bytes()).expect("write");
    let report = inbox.join("completed/dispatch-a.json");
    wait_until("the report at home", PATIENCE, || report.exists());
    assert_eq!(json_file(&report)["status"], "completed");
    drop(daemon);
}

#[test]
fn the_log_goes_to_stderr_at_the_level_that_was_asked_for() {
    for (variable, level, told) in [
        ("RUST_LOG", "error", false),
        ("GSTACK_DISPATCHD_LOG", "error", false),
        ("GSTACK_DISPATCHD_LOG", "debug", true),
    ] {
        let lab = Lab::new();
        let mut daemon = lab.daemon().env(variable, level).spawn();
        lab.send(&lab.task("a", "hello"));
        lab.settled("a");
        assert_eq!(daemon.stop(), 0);
        assert_eq!(
            daemon.stderr().contains("ready"),
            told,
            "{variable}={level}: {}",
            daemon.stderr()
        );
        drop(daemon); // it checks that stdout is empty
    }
}

// ----------------------------------------------------------------------------- the look for claude

/// Which program ran, according to the fake.
fn program_that_ran(lab: &Lab, start: Start<'_>) -> String {
    let dump = lab.path("dump");
    let daemon = start.start();
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    lab.completed("a");
    drop(daemon);
    text_file(dump.join("program")).trim().to_string()
}

fn plant(path: &Path) -> String {
    fs::create_dir_all(path.parent().expect("a parent")).expect("create");
    symlink(fake(), path).expect("symlink");
    path.display().to_string()
}

/// Where only what a test plants can be found, unless the machine has one of its own.
const CRONS_PATH: &str = "/usr/bin:/bin";

#[test]
fn claude_is_looked_for_in_order() {
    // Each place hides those after it.
    for first in 0..5 {
        let lab = Lab::new();
        let at = |rest: &str| lab.home.join(rest);
        let planted: Vec<String> = [
            "flag/claude",
            "variable/claude",
            "path/claude",
            ".local/bin/claude",
            ".claude/local/claude",
        ]
        .iter()
        .skip(first)
        .map(|rest| plant(&at(rest)))
        .collect();
        let mut start = lab.daemon().env("PATH", CRONS_PATH);
        if first <= 2 {
            start = start.env("PATH", format!("{}:{CRONS_PATH}", at("path").display()));
        }
        if first <= 1 {
            start = start.env("GSTACK_DISPATCHD_CLAUDE", at("variable/claude").display());
        }
        if first == 0 {
            start = start.set("--claude", at("flag/claude").display());
        }
        assert_eq!(program_that_ran(&lab, start), planted[0], "place {first}");
    }
}

#[test]
fn a_claude_that_is_not_there_ends_the_start() {
    let lab = Lab::new();
    let not_found = |what: &str, out: Output| {
        assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{what}: {out:?}");
        assert!(
            out.stderr.contains("claude") && out.stderr.contains("not found"),
            "{what}: {}",
            out.stderr
        );
    };
    let nowhere = lab.path("nowhere/claude");
    not_found("flag", lab.plain_daemon().set("--claude", nowhere.display()).output());
    not_found(
        "variable",
        lab.plain_daemon().env("GSTACK_DISPATCHD_CLAUDE", nowhere.display()).output(),
    );
    let directory = lab.project("directory");
    not_found("a directory", lab.plain_daemon().set("--claude", directory.display()).output());
    let text = format!("{FIXTURES}/dispatch/hello.json");
    not_found("no program", lab.plain_daemon().set("--claude", text).output());
    if Path::new("/usr/local/bin/claude").exists() {
        skipped("the rest: this machine has /usr/local/bin/claude");
        return;
    }
    not_found("empty PATH", lab.plain_daemon().env("PATH", "").output());
    not_found("no PATH", lab.plain_daemon().no_env("PATH").output());
    // A file of that name which is no program is passed over.
    let dir = lab.project("with-text");
    fs::write(dir.join("claude"), "not a program").expect("write");
    not_found("no program in PATH", lab.plain_daemon().env("PATH", dir.display()).output());
}

#[test]
fn a_session_works_under_crons_environment() {
    let lab = Lab::new();
    plant(&lab.home.join(".local/bin/claude"));
    let daemon =
        lab.daemon().env("PATH", CRONS_PATH).env("LANG", "C").env("SHELL", "/bin/sh").start();
    lab.send(&lab.task("a", "Grüße\nfake: result success ok"));
    assert_eq!(lab.completed("a")["result"], "ok");
    drop(daemon);
}

// ---------------------------------------------------------------------------------- one of us only

#[test]
fn a_second_daemon_leaves_quietly() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    let audit = lab.audit().len();
    let start = Instant::now();
    let out = lab.daemon().set("--lock-wait", 0.4).output();
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (0, "", ""));
    assert!(
        start.elapsed() >= Duration::from_millis(400),
        "it waits for a lock that a dying daemon still holds"
    );
    assert_eq!(lab.audit().len(), audit);
    let pid = daemon.pid;
    lab.heartbeat("of the first", |b| b["pid"] == pid && b["active"] == 1);
    hold.release();
    lab.completed("a");
    drop(daemon);
}

#[test]
fn a_second_daemon_complains_when_the_first_one_hangs() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let mut beat = lab.heartbeat("the first", |_| true);
    daemon.signal(Signal::STOP);
    beat["ts"] = json!("2026-01-01T00:00:00.000Z");
    fs::write(lab.heartbeat_path(), beat.to_string()).expect("write");
    let out = lab.daemon().output();
    daemon.signal(Signal::CONT);
    assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{out:?}");
    assert_eq!(out.stderr.lines().count(), 1, "{out:?}");
    drop(daemon);
}

#[test]
fn of_ten_daemons_started_at_once_one_works() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    for n in 0..10 {
        lab.send(&lab.task(&n.to_string(), format!("fake: mark {}", ran.display())));
    }
    let mut daemons: Vec<_> = (0..10).map(|_| lab.daemon().spawn()).collect();
    (0..10).for_each(|n| drop(lab.settled(&n.to_string())));
    wait_until("all but one to leave", PATIENCE, || {
        daemons.iter_mut().filter_map(|d| d.exited()).count() == 9
    });
    let mut running = None;
    for mut daemon in daemons {
        match daemon.exited() {
            Some(status) => {
                assert!(status.success());
                daemon.left();
            }
            None => running = Some(daemon),
        }
    }
    assert_eq!(starts(&ran).len(), 10);
    drop(running.expect("one that works"));
}

#[test]
fn the_lock_is_free_again_after_a_crash() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held(); // the session lives on, and does not hold the lock
    daemon.crash();
    let daemon = lab.daemon().start();
    hold.release();
    lab.completed("a");
    drop(daemon);
}

// -------------------------------------------------------------------- how it may have been started

#[test]
fn a_daemon_that_inherits_an_ignored_sigchld_works() {
    let lab = Lab::new();
    let ignoring = ["env", "--ignore-signal=CHLD"];
    if !Command::new("env").args([ignoring[1], "true"]).status().is_ok_and(|s| s.success()) {
        skipped("env cannot ignore a signal here");
        return;
    }
    let daemon = lab.daemon().under(&ignoring).start();
    lab.send(&lab.task("a", "fake: exit 3").with("ttl_seconds", 600));
    assert_eq!(lab.failed("a", "tool_failure")["exit_code"], 3);
    lab.send(&lab.task("b", "fake: sleep 7777").with("ttl_seconds", 1));
    lab.ended("b", "timeout", "timeout");
    drop(daemon);
}

#[test]
fn a_daemon_that_inherits_ignored_signals_heeds_them_and_passes_none_on() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let ignoring = ["sh", "-c", "trap '' TERM INT HUP PIPE; exec \"$0\" \"$@\""];
    let mut daemon = lab.daemon().under(&ignoring).set("--kill-grace", 600).start();
    // Were SIGTERM ignored in the session, too, its end would wait for the grace.
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())).with("ttl_seconds", 1));
    let _hold = gate.held();
    lab.ended("a", "timeout", "timeout");
    assert_eq!(daemon.stop(), 0);
}

#[test]
fn a_daemon_works_without_stdio_and_without_a_home() {
    let lab = Lab::new();
    let closed = ["sh", "-c", "exec \"$0\" \"$@\" <&- >&- 2>&-"];
    let daemon = lab.daemon().under(&closed).no_env("HOME").spawn();
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    lab.send(&lab.task("b", "hello").with("project_dir", "~/b"));
    lab.failed("b", "spawn_failed");
    drop(daemon);
}

// --------------------------------------------------------------------------------- the directories

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())).permissions().mode()
        & 0o7777
}

#[test]
fn all_that_the_daemon_makes_is_the_owners_alone() {
    let lab = Lab::new();
    let umask = ["sh", "-c", "umask 0; exec \"$0\" \"$@\""];
    let daemon = lab.daemon().under(&umask).start();
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    lab.place("dispatch-bad.json", b"null");
    lab.rejected("dispatch-bad.json");
    lab.heartbeat("idle", |b| b["active"] == 0);
    let mut paths = vec![lab.gstack.clone()];
    let mut n = 0;
    while n < paths.len() {
        if paths[n].is_dir() {
            paths.extend(fs::read_dir(&paths[n]).expect("read").flatten().map(|e| e.path()));
        }
        n += 1;
    }
    // The sender's own file keeps its mode.
    paths.retain(|p| p.file_name().is_none_or(|name| name != "dispatch-bad.json"));
    assert!(paths.len() > 15, "{paths:?}");
    for path in paths {
        let wanted = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), wanted, "{} is {:o}", path.display(), mode(&path));
    }
    drop(daemon);
}

#[test]
fn a_drop_zone_that_is_too_open_is_tightened() {
    let lab = Lab::new();
    lab.send(&lab.task("a", "hello")); // it makes the directories with the usual 0755
    fs::set_permissions(lab.inbox(), fs::Permissions::from_mode(0o755)).expect("chmod");
    let daemon = lab.daemon().start();
    lab.completed("a");
    assert_eq!(mode(&lab.inbox()), 0o700);
    drop(daemon);
}

#[test]
fn a_directory_that_cannot_be_made_ends_the_start() {
    let lab = Lab::new();
    let file = lab.path("a-file");
    fs::write(&file, "").expect("write");
    let out = lab.plain_daemon().env("GSTACK_HOME", file.display()).output();
    assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{out:?}");
    assert!(out.stderr.contains(file.to_str().expect("UTF-8")), "{}", out.stderr);
}

#[test]
fn the_inbox_is_the_seeds() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for path in ["dispatch/completed", "dispatchd/lock", "dispatchd/active", "dispatchd/control"] {
        assert!(lab.gstack.join(path).exists(), "{path}");
    }
    let beat: Value = json_file(&lab.heartbeat_path());
    for key in ["ts", "active", "queued", "pid"] {
        assert!(beat.get(key).is_some(), "{key}");
    }
    drop(daemon);
}
