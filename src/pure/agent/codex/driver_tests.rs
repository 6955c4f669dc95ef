//! The row itself: arguments, environment, and what is known by words.

use super::*;
use crate::pure::agent::samples::launch;
use crate::pure::agent::{DRIVERS, Drivers, ResultEvent};
use crate::pure::config::terms::Terms;

#[test]
fn the_arguments() {
    let plain = ["exec", "--json", "--skip-git-repo-check", "-s", "workspace-write"];
    // What is set for Claude Code means nothing here.
    let terms = Terms {
        allow_tools: vec!["Bash".into()],
        max_turns: Some(9),
        strict: true,
        ..Terms::default()
    };
    let (new, again) = (SessionRef::New("u".into()), SessionRef::Resume("t".into()));
    let rows: [(SessionRef, &[&str], &[&str]); 4] = [
        (new.clone(), &[], &["-"]),
        (new, &["/p/.git"], &["--add-dir", "/p/.git", "-"]),
        (again.clone(), &[], &["resume", "t", "-"]),
        // Behind `resume` they are refused.
        (again, &["/a", "/b c"], &["--add-dir", "/a", "--add-dir", "/b c", "resume", "t", "-"]),
    ];
    for (session, dirs, wanted) in rows {
        let git_dirs = || dirs.iter().map(|dir| dir.to_string()).collect();
        let launch = Launch { git_dirs: &git_dirs, ..launch(session, &terms) };
        assert_eq!((DRIVER.argv)(&launch), [&plain, wanted].concat());
    }
}

#[test]
fn what_is_set_for_it_stands_before_resume() {
    let git_dirs = || vec!["/p/.git".to_string()];
    for (mode, wanted) in [
        (None, "-s workspace-write --add-dir /p/.git -m gpt-x -c a=b resume t -"),
        (
            Some("workspace-write"),
            "-s workspace-write --add-dir /p/.git -m gpt-x -c a=b resume t -",
        ),
        // Nothing is writable, or everything is.
        (Some("read-only"), "-s read-only -m gpt-x -c a=b resume t -"),
        (Some("danger-full-access"), "-s danger-full-access -m gpt-x -c a=b resume t -"),
    ] {
        let terms = Terms {
            model: Some("gpt-x".into()),
            extra_args: vec!["-c".into(), "a=b".into()],
            permission_mode: mode.map(String::from),
            ..Terms::default()
        };
        let again = SessionRef::Resume("t".into());
        let launch = Launch { git_dirs: &git_dirs, ..launch(again, &terms) };
        let args = (DRIVER.argv)(&launch).join(" ");
        assert_eq!(args, format!("exec --json --skip-git-repo-check {wanted}"), "{mode:?}");
        assert!(mode.is_none_or(|mode| DRIVER.permission_modes.contains(&mode)), "{mode:?}");
    }
}

#[test]
fn why_it_does_not_start_is_told_on_stderr() {
    use ErrorType::*;
    let long = "Error: turn/start: turn/start failed: Input exceeds the maximum length of 1048576 \
                characters. (code -32602)";
    let gone = "Error: thread/resume: thread/resume failed: no rollout found for thread id x";
    for (stderr, wanted) in [
        ("error: unexpected argument '--x' found\n\n  tip: y", Some((Config, "error: unexpected"))),
        ("WARNING: proceeding\nError loading config.toml: x", Some((Config, "Error loading"))),
        ("warning: Untrusted\nNo prompt provided via stdin.\n", Some((Config, "No prompt"))),
        (gone, Some((Config, gone))),
        (long, Some((ContextOverflow, long))),
        ("Error: thread t already has an active writer", Some((ToolFailure, "Error: thread t"))),
        // A log line, and prose.
        ("2026-11-26T13:38:04Z ERROR codex_api::endpoint: failed to connect", None),
        ("errors were found", None),
        ("éééééé", None),
        ("", None),
    ] {
        let failure = (DRIVER.start_failure)(stderr);
        let said = failure.as_ref().map(|failure| (failure.error_type, &failure.message));
        let is_same = match (said, wanted) {
            (Some((kind, message)), Some((want, begin))) => {
                kind == want && message.starts_with(begin)
            }
            (None, None) => true,
            _ => false,
        };
        assert!(is_same, "{stderr}: {said:?}");
    }
}

#[test]
fn what_a_session_sets_for_its_commands_is_not_inherited() {
    let drivers = Drivers::new(DRIVERS);
    for (name, want) in [
        ("CODEX_HOME", true),
        ("CODEX_API_KEY", true),
        ("OPENAI_API_KEY", true),
        ("CODEX_CI", false),
        ("CODEX_THREAD_ID", false),
        ("CODEX_SESSION_ID", false),
        ("CODEX_TOOL_CALL_ID", false),
        ("CODEX_SANDBOX_NETWORK_DISABLED", false),
        ("CODEX_MANAGED_BY_NPM", false),
        ("CODEX_VERSION", false),
    ] {
        assert_eq!(drivers.inherits(name), want, "{name}");
    }
}

#[test]
fn a_thread_that_is_not_known_is_told_by_stderr_alone() {
    const SAID: &str = "Error: thread/resume failed: no rollout found for thread id t";
    let begun = Summary { lines: 1, ..Summary::default() };
    let ended = Summary { result: Some(ResultEvent::default()), ..Summary::default() };
    for (summary, error, want) in [
        (Summary::default(), SAID, true),
        (Summary::default(), "Error: something else", false),
        (begun, SAID, false),
        (ended, SAID, false),
    ] {
        assert_eq!((DRIVER.session_is_gone)(&summary, error), want, "{summary:?} {error}");
    }
}
