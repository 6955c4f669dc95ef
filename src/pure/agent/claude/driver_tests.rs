//! Tests of Claude Code's row in the table of drivers: its arguments, its environment, and what it
//! says in words that are known. What its stream means is tested in `stream_tests` and
//! `errors_tests`.

use super::*;
use crate::pure::agent::samples::launch;
use crate::pure::agent::{DRIVERS, Drivers, ResultEvent};

#[test]
fn the_permission_mode_and_the_word_that_nobody_answers() {
    let terms = |mode: Option<&str>, can_ask_nobody| Terms {
        permission_mode: mode.map(String::from),
        can_ask_nobody,
        ..Terms::default()
    };
    for (terms, mode, asks_nobody) in [
        (terms(None, false), "acceptEdits", false),
        (terms(Some("plan"), false), "plan", false),
        (terms(None, true), "acceptEdits", true),
    ] {
        let argv = argv(&launch(SessionRef::New("u".into()), &terms));
        assert_eq!(argv[1..3], ["--permission-mode", mode]);
        let said = argv.windows(2).any(|two| two == ["--permission-prompts", "none"]);
        assert_eq!(said, asks_nobody, "{argv:?}");
    }
}

#[test]
fn the_arguments() {
    let strings = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let fixed = [
        "--print",
        "--permission-mode",
        "acceptEdits",
        "--output-format",
        "stream-json",
        "--verbose",
    ];
    type Words = &'static [&'static str];
    let rows: [(SessionRef, Words, Words, Words); 3] = [
        (SessionRef::New("u".into()), &[], &[], &["--session-id", "u"]),
        (
            SessionRef::Resume("u".into()),
            &[],
            &["--max-turns", "9"],
            &["--max-turns", "9", "--resume", "u"],
        ),
        (
            SessionRef::New("u".into()),
            &["Bash(git:*)", "Edit"],
            &["--model", "m"],
            &["--allowedTools", "Bash(git:*)", "Edit", "--model", "m", "--session-id", "u"],
        ),
    ];
    for (session, tools, extra, wanted) in rows {
        let (tools, extra) = (strings(tools), strings(extra));
        let terms = Terms { allow_tools: tools, extra_args: extra, ..Terms::default() };
        let launch = launch(session, &terms);
        assert_eq!((DRIVER.argv)(&launch), [strings(&fixed), strings(wanted)].concat());
    }
}

#[test]
fn the_terms_become_arguments() {
    let list = |words: &[&str]| words.iter().map(|word| word.to_string()).collect::<Vec<_>>();
    let rows = [
        (Terms::default(), list(&[])),
        (
            Terms {
                model: Some("m".into()),
                max_turns: Some(9),
                max_budget_usd: Some(2.5),
                setting_sources: list(&["user", "project"]),
                ..Terms::default()
            },
            list(&[
                "--model",
                "m",
                "--max-turns",
                "9",
                "--max-budget-usd",
                "2.5",
                "--setting-sources",
                "user,project",
            ]),
        ),
        (
            Terms { strict: true, ..Terms::default() },
            list(&["--setting-sources", "user", "--strict-mcp-config"]),
        ),
        // `strict` wins over what trusts the project.
        (
            Terms {
                strict: true,
                setting_sources: list(&["project", "local"]),
                ..Terms::default()
            },
            list(&["--setting-sources", "user", "--strict-mcp-config"]),
        ),
    ];
    for (terms, wanted) in rows {
        let arguments = argv(&launch(SessionRef::New("u".into()), &terms));
        assert_eq!(arguments[6..arguments.len() - 2], wanted, "{terms:?}");
    }
}

#[test]
fn start_up_errors() {
    for (stderr, wanted) in [
        ("error: unknown option '--project'\n", Some("error: unknown option '--project'")),
        ("warning: x\nError: Invalid session ID\nmore", Some("Error: Invalid session ID")),
        (
            "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons",
            Some(
                "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons",
            ),
        ),
        (
            "No conversation found with session ID: s",
            Some("No conversation found with session ID: s"),
        ),
        ("TypeError: x is not a function", None),
        ("an error: no", None),
        ("éééééé", None),
        ("", None),
    ] {
        let failure = (DRIVER.start_failure)(stderr);
        let said = failure.as_ref().map(|failure| (failure.error_type, failure.message.as_str()));
        assert_eq!(said, wanted.map(|message| (ErrorType::Config, message)), "{stderr}");
    }
}

#[test]
fn what_breaks_or_leaks_is_not_inherited() {
    let drivers = Drivers::new(DRIVERS);
    for (name, want) in [
        ("ANTHROPIC_API_KEY", true),
        ("CLAUDE_CONFIG_DIR", true),
        ("CLAUDE_CODE_OAUTH_TOKEN", true),
        ("CLAUDE_CODE_USE_BEDROCK", true),
        ("CLAUDE_CODE_MAX_RETRIES", true),
        ("CLAUDECODE", false),
        ("CLAUDE_CODE_ENTRYPOINT", false),
        ("CLAUDE_CODE_SESSION_ID", false),
        ("NODE_OPTIONS", false),
    ] {
        assert_eq!(drivers.inherits(name), want, "{name}");
    }
}

#[test]
fn a_session_that_is_not_known_is_told_by_a_result_or_by_stderr_alone() {
    const SAID: &str = "No conversation found with session ID: s-1";
    let result = |error_type, message: &str| Summary {
        result: Some(ResultEvent {
            failure: Some(Failure { error_type, message: message.into() }),
            ..ResultEvent::default()
        }),
        ..Summary::default()
    };
    for (summary, error, want) in [
        (result(ErrorType::ToolFailure, SAID), "x", true),
        (result(ErrorType::ToolFailure, "x"), SAID, false),
        (result(ErrorType::LogicError, SAID), SAID, false),
        (Summary { result: Some(ResultEvent::default()), ..Summary::default() }, SAID, false),
        (Summary::default(), SAID, true),
        (Summary::default(), "x", false),
        (Summary { lines: 1, ..Summary::default() }, SAID, false),
    ] {
        assert_eq!((DRIVER.session_is_gone)(&summary, error), want, "{summary:?} {error}");
    }
}
