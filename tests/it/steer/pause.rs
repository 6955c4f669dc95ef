//! `pause` and `resume`: with the daemon up, down, hung, and starting at that moment.

use serde_json::json;

use super::*;

#[test]
fn a_pause_is_heeded_before_the_command_ends() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let answer = json(&lab, &["pause"]);
    let want = json!({ "request": "pause", "heeded": true, "daemon": "run", "paused": true });
    assert_eq!(answer, want);
    let beat = lab.heartbeat("now", |_| true);
    assert_eq!(beat["paused"], true, "{beat:#}");
    lab.send(&lab.task("a", "hello"));
    lab.accepted("a");
    let out = run(&lab, &["pause"]);
    assert_eq!((out.code, out.stdout.as_str(), out.stderr.as_str()), (0, "paused already\n", ""));
    let answer = json(&lab, &["resume"]);
    let want = json!({ "request": "resume", "heeded": true, "daemon": "run", "paused": false });
    assert_eq!(answer, want);
    lab.completed("a");
    let out = run(&lab, &["resume"]);
    assert_eq!((out.code, out.stdout.as_str()), (0, "it is not paused\n"), "{out:?}");
    assert!(!control(&lab, "pause").exists() && !control(&lab, "resume").exists());
    drop(daemon);
}

#[test]
fn a_request_is_heeded_within_a_second() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--heartbeat", 3600).start();
    for _ in 0..3 {
        for word in ["pause", "resume"] {
            let began = Instant::now();
            assert_eq!(json(&lab, &[word])["heeded"], true);
            assert!(began.elapsed() < Duration::from_millis(2500), "{:?}", began.elapsed());
        }
    }
    drop(daemon);
}

#[test]
fn without_a_daemon_the_next_one_heeds() {
    let lab = Lab::new();
    let out = run(&lab, &["pause"]);
    assert_eq!((out.code, out.stdout.as_str()), (0, "requested; the daemon does not run\n"));
    let again = json!({ "request": "pause", "heeded": true, "daemon": "none", "paused": true });
    assert_eq!(json(&lab, &["pause"]), again);
    let daemon = lab.daemon().start();
    lab.heartbeat("the pause", |beat| beat["paused"] == true);
    daemon.crash();
    let asked = json!({ "request": "resume", "heeded": false, "daemon": "dead", "paused": false });
    assert_eq!(json(&lab, &["resume"]), asked);
    // Whoever changes their mind once more is right.
    assert_eq!(json(&lab, &["pause"])["heeded"], false);
    let daemon = lab.daemon().start();
    lab.heartbeat("still paused", |b| b["pid"] == daemon.pid && b["paused"] == true);
    assert_eq!(json(&lab, &["resume"])["heeded"], true);
    drop(daemon);
}

#[test]
fn a_pause_with_an_end_is_told_and_replaced_by_another() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let out = run(&lab, &["pause", "--for", "1h"]);
    assert!(out.code == 0 && out.stdout.starts_with("paused until "), "{out:?}");
    assert!(out.stdout.contains("(in "), "{out:?}");
    let until = text_file(control(&lab, "pause")).trim_end().to_string();
    assert!(is_stamp(&json!(until)), "{until}");
    let beat = lab.heartbeat("the end", |beat| beat.get("paused_until").is_some());
    assert_eq!(beat["paused_until"], until);
    assert_eq!(json(&lab, &["pause", "--for", "2h"])["heeded"], true);
    let beat = lab.heartbeat("now", |_| true);
    assert!(beat["paused_until"].as_str() > Some(&until), "{beat:#}");
    assert_eq!(json(&lab, &["pause"])["heeded"], true);
    let beat = lab.heartbeat("now", |_| true);
    assert!(beat["paused"] == true && beat.get("paused_until").is_none(), "{beat:#}");
    assert_eq!(json(&lab, &["pause", "--for", "1s"])["heeded"], true);
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    refused(&run(&lab, &["pause", "--for", "later"]), 2, "--for: \"later\" is no duration");
    drop(daemon);
}

#[test]
fn a_daemon_that_hangs_has_not_answered_and_the_request_stays() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let hung = Hung::up(&daemon);
    let began = Instant::now();
    let out = run(&lab, &["pause", "--timeout", "1"]);
    assert!(began.elapsed() < Duration::from_millis(4900), "{:?}", began.elapsed());
    let why = format!("requested; the daemon (pid {}) has not answered", daemon.pid);
    refused(&out, 1, &why);
    assert!(control(&lab, "pause").exists());
    drop(hung);
    lab.heartbeat("the pause", |beat| beat["paused"] == true);
    let _hung = Hung::up(&daemon);
    refused(&run(&lab, &["resume", "--timeout=0"]), 1, "has not answered");
}

#[test]
fn the_beat_of_an_earlier_daemon_says_nothing_of_this_one() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let _hung = Hung::up(&daemon);
    let mut beat = lab.heartbeat("any", |_| true);
    (beat["pid"], beat["paused"]) = (json!(1), json!(true));
    fs::write(lab.heartbeat_path(), beat.to_string()).expect("write");
    refused(&run(&lab, &["pause", "--timeout", "0"]), 1, "has not answered");
}

#[test]
fn a_daemon_that_starts_while_commands_look_gets_its_lock() {
    let lab = Lab::new();
    drop(lab.daemon().start());
    let text = "for n in 1 2 3; do for m in $(seq 2000); do
        [ -e stop ] || \"$D\" resume > out; done & done; wait";
    let (mark, _) = lab.mark().split_once('=').expect("NAME=VALUE");
    let mut looking = script(&lab, &lab.dir, text).env_remove(mark).spawn().expect("sh");
    for _ in 0..5 {
        let daemon = lab.daemon().set("--lock-wait", 0).start();
        lab.heartbeat("its own", |beat| beat["pid"] == daemon.pid);
        drop(daemon);
    }
    fs::write(lab.path("stop"), "").expect("write");
    assert!(looking.wait().expect("the shell").success());
}

#[test]
fn what_stands_in_the_way_of_a_request_is_told() {
    let lab = Lab::new();
    fs::create_dir_all(control(&lab, "pause/full")).expect("create");
    refused(&run(&lab, &["pause"]), 1, "pause");
    let left: Vec<_> = fs::read_dir(lab.ours().join("control")).expect("read").collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn many_that_ask_at_once_are_all_right() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let script = "for n in 1 2 3 4 5 6 7 8 9 10; do \"$D\" pause --json & done; wait";
    let out = shell(&lab, &lab.dir, script);
    assert_eq!((out.stderr.as_str(), out.stdout.matches("\"heeded\":true").count()), ("", 10));
    let names = fs::read_dir(lab.ours().join("control")).expect("read");
    let names: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
    assert_eq!(names, ["pause"]);
    drop(daemon);
}
