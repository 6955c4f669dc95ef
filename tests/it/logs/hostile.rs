//! A session can put anything in place of its own stream.

use std::fs;
use std::process::Command;

use super::*;

#[test]
fn what_is_no_stream_keeps_nobody_waiting() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for name in ["fifo", "link", "folder", "gone", "shut"] {
        lab.send(&lab.task(name, "hello"));
        lab.settled(name);
        let stream = lab.finished(name).join("attempt-1/stdout.jsonl");
        if name != "shut" {
            fs::remove_file(&stream).expect("remove");
        }
        match name {
            "fifo" => drop(Command::new("mkfifo").arg(&stream).status().expect("mkfifo")),
            "link" => std::os::unix::fs::symlink("/etc/passwd", &stream).expect("a link"),
            "folder" => fs::create_dir(&stream).expect("a folder"),
            _ => {}
        }
        for words in [&[][..], &["-f"], &["--raw"], &["--tail", "5"], &["--json"]] {
            let out = logs(&lab, name, words);
            assert_eq!(out.code, 0, "{name}: {out:?}");
            assert!(!out.stdout.contains("root:"), "{name}: {out:?}");
            let is_told = out.stderr.contains("stdout.jsonl");
            assert_eq!(is_told, ["fifo", "link", "folder"].contains(&name), "{name}: {out:?}");
        }
    }
    drop(daemon);
}

#[test]
fn nothing_of_an_agent_moves_the_cursor_and_a_huge_line_is_cut() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let task = "fake: raw \u{1b}]0;title\u{7}\u{9b}2J\u{202e}\nfake: one-line 5000000\nfake: turn -- attempt 9\n\
                fake: result success done";
    lab.send(&lab.task("a", task));
    lab.completed("a");
    drop(daemon);
    for words in [&[][..], &["--json"]] {
        let out = logs(&lab, "a", words).stdout;
        let is_bad = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert!(!out.contains(is_bad), "{out}");
        assert!(out.len() < 10_000, "{}", out.len());
    }
    let told = lines(&lab, "a", &[]);
    assert_eq!(told[1], "? \\u{1b}]0;title\\u{7}\\u{9b}2J\\u{202e}");
    assert!(told.contains(&" -- attempt 9".to_string()), "{told:?}");
}

#[test]
fn whatever_a_session_does_to_its_stream_whoever_follows_sees_the_end() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for what in ["truncated", "removed", "fifo", "directory", "symlink"] {
        let gate = lab.gate(&format!("gate-{what}"));
        let stream = lab.active(what).join("attempt-1/stdout.jsonl");
        let task = format!(
            "fake: turn one\nfake: block {}\nfake: deed {what} {} /etc/passwd\nfake: turn two\n\
             fake: result success done",
            gate.display(),
            stream.display()
        );
        lab.send(&lab.task(what, task));
        let hold = gate.held();
        let following = Following::start(&lab, what, &[]);
        following.shows("one\n");
        hold.release();
        lab.settled(what);
        let (code, text) = following.end();
        assert_eq!(code, Some(0), "{what}: {text}");
        let last = text.lines().last().unwrap_or_default();
        assert!(
            last.starts_with("-- completed") || last.starts_with("-- failed"),
            "{what}: {text}"
        );
        assert!(!text.contains("root:"), "{what}: {text}");
    }
    drop(daemon);
}

#[test]
fn an_attempt_that_the_report_does_not_count_is_made_up() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    drop(daemon);
    let told = lines(&lab, "a", &[]);
    let (first, made_up) =
        (lab.finished("a").join("attempt-1"), lab.finished("a").join("attempt-7"));
    fs::create_dir(&made_up).expect("a folder");
    for name in ["attempt.json", "stdout.jsonl"] {
        fs::copy(first.join(name), made_up.join(name)).expect("a copy");
    }
    assert_eq!(lines(&lab, "a", &[]), told);
    assert_eq!(logs(&lab, "a", &["--attempt", "7"]).code, 1);
}
