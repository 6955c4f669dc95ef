//! The words of the command line: help, version, wrong usage, and a flag with its value.

use crate::util::*;

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
