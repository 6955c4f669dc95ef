//! The line of each agent, and of odd directories.

use std::ffi::OsString;

use serde_json::json;

use super::*;
use crate::pure::agent::samples::launch;
use crate::pure::agent::{DRIVERS, Drivers};
use crate::pure::config::terms::Terms;
use crate::pure::config::{Settings, apply_config};

const ID: &str = "0f8b4c1e-2a1f-4760-9ad4-05f33bd8c28b";

fn line_in(driver: &Driver, program: &str, dir: &str, set: &[(&str, &str)]) -> Option<String> {
    let terms = Terms { model: Some("m 1".into()), ..Terms::default() };
    let launch = Launch { dir, ..launch(SessionRef::Resume(ID.into()), &terms) };
    let variable = |name: &str| {
        let found = set.iter().find(|(set, _)| *set == name);
        found.map(|(_, value)| OsString::from(value))
    };
    resume_line(driver, program, &launch, &variable)
}

fn line(driver: &Driver) -> Option<String> {
    line_in(driver, driver.program, "/p", &[])
}

#[test]
fn each_agent_has_its_own_words() {
    let words = [
        ("claude", "claude --resume"),
        ("codex", "codex resume"),
        ("gemini", "gemini --resume"),
        ("cursor", "cursor-agent --resume"),
    ];
    for driver in DRIVERS {
        let (_, words) = words.iter().find(|(name, _)| *name == driver.name).expect("a row");
        assert_eq!(line(driver), Some(format!("cd /p && {words} {ID}")));
    }
}

#[test]
fn an_agent_of_ones_own_is_resumed_as_its_template_says() {
    let own = |more: serde_json::Value| {
        let mut entry = json!({"output": "text", "program": "x"});
        for (key, value) in more.as_object().expect("an object") {
            entry[key] = value.clone();
        }
        let mut settings = Settings::default();
        apply_config(&mut settings, &json!({"agents": {"own": entry}})).expect("config");
        let drivers = Drivers::new(DRIVERS).by(&settings).expect("a table");
        line_in(drivers.get("own").expect("a row"), "own", "/p", &[])
    };
    let args = json!({"model": "m", "resume_args": ["--model", "{model}", "{dir}", "{session}"]});
    assert_eq!(own(args), Some(format!("cd /p && own --model 'm 1' /p {ID}")));
    assert_eq!(own(json!({})), None, "it cannot be resumed");
    // Its arguments name the dispatch's prompt, which is no person's.
    let file = json!({"prompt": "file", "args": ["{prompt_file}"],
        "resume_args": ["{prompt_file}", "{session}"]});
    assert_eq!(own(file), None);
}

#[test]
fn directories_programs_and_folders_are_one_word_each() {
    let claude = &DRIVERS[0];
    let home = [("CLAUDE_CONFIG_DIR", "/home/x/my claude"), ("OTHER", "x")];
    for (program, dir, set, wanted) in [
        ("claude", "/a b/it's", &[][..], r"cd '/a b/it'\''s' && claude"),
        ("/opt/my agents/claude", "/$(id)", &[], "cd '/$(id)' && '/opt/my agents/claude'"),
        ("claude", "/p", &home, "cd /p && CLAUDE_CONFIG_DIR='/home/x/my claude' claude"),
        ("claude", "/é", &[], "cd '/é' && claude"),
    ] {
        let wanted = Some(format!("{wanted} --resume {ID}"));
        assert_eq!(line_in(claude, program, dir, set), wanted);
    }
    for dir in
        ["/a\nb", "/a\u{202e}b", "/\x1b[2J", "/srv/token=abcdefgh", "/sk-ant-api03-0123456789"]
    {
        assert_eq!(line_in(claude, "claude", dir, &[]), None, "{dir}");
    }
}
