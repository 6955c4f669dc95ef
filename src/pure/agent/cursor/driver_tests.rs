//! What the driver passes to Cursor's CLI, and what it makes of its words at the start.

use super::*;
use crate::pure::agent::samples::launch;
use crate::pure::config::terms::Terms;

fn args(terms: &Terms, session: SessionRef) -> String {
    argv(&launch(session, terms)).join(" ")
}

#[test]
fn the_arguments_are_the_documented_ones() {
    let fixed = "--print --output-format stream-json --trust";
    let (new, old) = (|| SessionRef::New("u-1".into()), SessionRef::Resume("u-0".into()));
    let allowing = |tool: &str| Terms { allow_tools: vec![tool.into()], ..Terms::default() };
    assert_eq!(args(&Terms::default(), new()), fixed);
    assert_eq!(args(&Terms::default(), old), format!("{fixed} --resume u-0"));
    assert_eq!(args(&allowing("Bash"), new()), format!("{fixed} --force"));
    // Every command is more than some of them.
    assert_eq!(args(&allowing("Bash(git:*)"), new()), fixed);
    let planning = Terms { permission_mode: Some("plan".into()), ..allowing("Bash") };
    assert_eq!(args(&planning, new()), format!("{fixed} --mode plan"));
    let terms =
        Terms { model: Some("m".into()), extra_args: vec!["--x".into()], ..Terms::default() };
    assert_eq!(args(&terms, new()), format!("{fixed} --model m --x"));
}

#[test]
fn before_any_event_words_say_why() {
    use ErrorType::*;
    for (stderr, wanted) in [
        ("Error: Authentication required. Please run 'agent login' first", Some(Auth)),
        ("\u{26a0} Workspace Trust Required\n  …", Some(Config)),
        ("error: unknown option '--trust'", Some(Config)),
        ("Error: something else", None),
        ("", None),
    ] {
        assert_eq!(start_failure(stderr).map(|failure| failure.error_type), wanted, "{stderr}");
    }
}
