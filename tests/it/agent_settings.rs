//! What `config.json` says of the agents that are built in: their arguments, their variables, and
//! what their programs are asked before a session.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::util::*;

fn config(lab: &Lab, config: &Value) {
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    fs::write(lab.ours().join("config.json"), config.to_string()).expect("write config.json");
}

fn argv(lab: &Lab, name: &str) -> String {
    let dump = lab.path(&format!("dump-{name}"));
    lab.send(&lab.task(name, format!("fake: dump {}", dump.display())));
    lab.completed(name);
    text_file(dump.join("argv"))
}

#[test]
fn what_is_set_for_claude_as_an_agent_reaches_it_and_the_flags_win() {
    let lab = Lab::new();
    let project = lab.project("project-b");
    config(
        &lab,
        &json!({
            "agents": {"claude": {"program": format!("{FIXTURES}/bin/claude"), "model": "of-agent",
                "args": ["--more"], "env": {"SET_FOR_IT": "1"}, "permission_mode": "plan"}},
            "projects": {project.to_str().expect("UTF-8"):
                {"agents": {"claude": {"permission_mode": "dontAsk", "args": ["--there"]}}}},
        }),
    );
    let daemon = lab.daemon().env("PATH", "/usr/bin:/bin").start();
    let said = argv(&lab, "a");
    assert!(said.contains("--permission-mode\nplan") || said.contains("--permission-mode plan"));
    assert!(said.contains("of-agent") && said.contains("--more"), "{said}");
    assert!(text_file(lab.path("dump-a/env")).contains("SET_FOR_IT=1"));
    let said = argv(&lab, "b");
    assert!(
        said.contains("dontAsk") && said.contains("--there") && !said.contains("plan"),
        "{said}"
    );
    drop(daemon);
    let daemon = lab.daemon().set("--model", "of-flag").start();
    let said = argv(&lab, "c");
    assert!(said.contains("of-flag") && !said.contains("of-agent"), "{said}");
    drop(daemon);
}

#[test]
fn a_claude_that_can_be_told_that_nobody_answers_is_told_so_and_asked_once() {
    let lab = Lab::new();
    let asked = lab.path("asked");
    let path = format!("{FIXTURES}/bin-prompts:/usr/bin:/bin");
    let daemon = lab.daemon().env("PATH", path).env("HELP_ASKED", asked.display()).start();
    for name in ["a", "b"] {
        let said = argv(&lab, name).replace('\n', " ");
        assert!(said.contains("--permission-prompts none"), "{said}");
    }
    daemon.signal(Signal::HUP);
    lab.event("", "config_reloaded");
    assert_eq!(text_file(&asked), "asked\n");
    drop(daemon);
    let daemon = lab.daemon().start();
    assert!(!argv(&lab, "c").contains("--permission-prompts"), "the fake has no such option");
    drop(daemon);
}

/// Without them a program may not start, or tell of what another one can do.
#[test]
fn what_a_program_is_asked_it_is_asked_with_its_variables() {
    let lab = Lab::new();
    let (asked, in_project) = (lab.path("asked"), lab.path("asked-in-b"));
    let project = lab.project("project-b");
    let env = |path: &std::path::Path| json!({"claude": {"env": {"HELP_ASKED": path}}});
    config(
        &lab,
        &json!({"agents": env(&asked),
            "projects": {project.to_str().expect("UTF-8"): {"agents": env(&in_project)}}}),
    );
    let path = format!("{FIXTURES}/bin-prompts:/usr/bin:/bin");
    let daemon = lab.daemon().env("PATH", path).start();
    for name in ["a", "b", "a2", "b2"] {
        let dir = lab.project(if name.starts_with('a') { "project-a" } else { "project-b" });
        lab.send(&lab.task(name, "hello").in_dir(&dir));
        lab.completed(name);
    }
    assert_eq!((text_file(&asked), text_file(&in_project)), ("asked\n".into(), "asked\n".into()));
    drop(daemon);
}

#[test]
fn whether_codex_can_work_is_asked_with_its_variables() {
    let lab = Lab::new();
    let shut = lab.project("shut");
    fs::write(shut.join("no-namespaces"), "").expect("shut the namespaces");
    let dir = lab.project("project-b");
    let for_b = json!({"codex": {"env": {"HOME": shut}}});
    config(&lab, &json!({"projects": {dir.to_str().expect("UTF-8"): {"agents": for_b}}}));
    let inherited = std::env::var("PATH").unwrap_or_default();
    let path = format!("{FIXTURES}/bin-codex:{FIXTURES}/bin:{inherited}");
    let daemon = lab.daemon().env("PATH", path).start();
    for (name, is_warned) in [("a", false), ("b", true), ("a-again", false)] {
        let dir = lab.project(&format!("project-{}", &name[..1]));
        fs::write(dir.join(".codex-plan"), "replay success-text").expect("a plan");
        lab.send(&lab.task(name, "x").in_dir(&dir).with("target_agent", "codex"));
        assert_eq!(lab.completed(name).get("warnings").is_some(), is_warned, "{name}");
    }
    drop(daemon);
}
