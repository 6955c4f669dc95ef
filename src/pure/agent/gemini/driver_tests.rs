//! What the driver passes to Gemini CLI, and how it knows that a session is gone.

use super::*;
use crate::pure::agent::samples::launch;
use crate::pure::agent::{DRIVERS, Drivers};
use crate::pure::config::terms::Terms;

fn args(terms: &Terms, session: SessionRef) -> String {
    argv(&launch(session, terms)).join(" ")
}

#[test]
fn the_arguments_are_those_that_were_measured() {
    let fixed = "--output-format stream-json --skip-trust --approval-mode auto_edit";
    let (new, old) = (SessionRef::New("u-1".into()), SessionRef::Resume("u-0".into()));
    let none = Terms::default();
    assert_eq!(args(&none, new.clone()), format!("{fixed} --session-id u-1"));
    assert_eq!(args(&none, old), format!("{fixed} --resume u-0"));
    let terms = Terms {
        model: Some("gemini-x".into()),
        extra_args: vec!["--debug".into()],
        ..Terms::default()
    };
    let model = "--model gemini-x --debug --session-id u-1";
    assert_eq!(args(&terms, new.clone()), format!("{fixed} {model}"));
    for mode in DRIVER.permission_modes {
        let terms = Terms { permission_mode: Some(mode.to_string()), ..terms.clone() };
        let wanted = format!("{} {model}", fixed.replace("auto_edit", mode));
        assert_eq!(args(&terms, new.clone()), wanted);
    }
}

#[test]
fn what_claude_may_run_its_shell_may_run_and_no_more() {
    for (permission, wanted) in [
        ("Bash", Some("run_shell_command")),
        ("Bash(git:*)", Some("run_shell_command(git)")),
        ("Bash(gh pr create:*)", Some("run_shell_command(gh pr create)")),
        ("run_shell_command(cargo)", Some("run_shell_command(cargo)")),
        // A whole command would become a beginning there, and a comma two permissions.
        ("Bash(npm test)", None),
        ("Bash(a,b:*)", None),
        ("WebFetch", None),
        ("mcp__github__create_pull_request", None),
    ] {
        let terms = Terms { allow_tools: vec![permission.into()], ..Terms::default() };
        let args = argv(&launch(SessionRef::New("u".into()), &terms));
        let after = args.iter().skip_while(|arg| *arg != "--allowed-tools").nth(1);
        assert_eq!(after.map(String::as_str), wanted, "{permission}");
    }
}

#[test]
fn its_launcher_stays_away_and_its_mark_is_its_own() {
    let drivers = Drivers::new(DRIVERS);
    let set: Vec<_> = drivers.variables("gemini").collect();
    assert_eq!(set, [("OPENCLAW_SESSION", "1"), ("GEMINI_CLI_NO_RELAUNCH", "1")]);
    for (variable, wanted) in
        [("GEMINI_CLI", false), ("GEMINI_API_KEY", true), ("GOOGLE_GEMINI_BASE_URL", true)]
    {
        assert_eq!(drivers.inherits(variable), wanted, "{variable}");
    }
    assert!(drivers.variables("claude").all(|(name, _)| name != "GEMINI_CLI_NO_RELAUNCH"));
}

#[test]
fn a_session_is_gone_only_before_any_event() {
    let (none, some) = (Summary::default(), Summary { lines: 1, ..Summary::default() });
    let error = "gemini did not start (exit code 42): Error resuming session: Invalid session identifier \"x\".";
    assert!(session_is_gone(&none, error));
    assert!(!session_is_gone(&some, error));
    assert!(!session_is_gone(&none, "Error starting session: Session ID \"x\" already exists."));
}
