//! The report's `resume`: the line that a person types into a shell to go on with the session. It
//! is typed here as it stands.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::util::*;

fn path() -> String {
    let inherited = std::env::var("PATH").unwrap_or_default();
    let folders = ["bin-codex", "bin-agents", "bin"].map(|name| format!("{FIXTURES}/{name}"));
    format!("{}:{inherited}", folders.join(":"))
}

/// Types that line into a shell, somewhere else, with these words as what the agent reads.
fn type_line(lab: &Lab, line: &str, said: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).current_dir(&lab.dir).env_clear();
    shell.env("PATH", path()).env("HOME", &lab.home).stdin(Stdio::piped());
    let started = shell.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let mut shell = started.expect("a shell");
    let mut stdin = shell.stdin.take().expect("its stdin");
    stdin.write_all(said.as_bytes()).expect("say something");
    drop(stdin);
    assert!(shell.wait().expect("the shell's end").success(), "{line}");
}

fn line_of(report: &Value) -> &str {
    report["resume"].as_str().unwrap_or_else(|| panic!("no line: {report:#}"))
}

#[test]
fn it_goes_on_with_the_session_in_its_directory_whatever_that_is_called() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let dir = lab.project("it's \"odd\" $HOME `id` é");
    lab.send(&lab.task("a", "hello").in_dir(&dir));
    let report = lab.completed("a");
    let dump = lab.path("dump");
    type_line(&lab, line_of(&report), &format!("fake: dump {}", dump.display()));
    let session = report["session_id"].as_str().expect("a session");
    assert_eq!(text_file(dump.join("argv")), format!("--resume\n{session}\n"));
    assert_eq!(text_file(dump.join("cwd")).trim(), dir.to_str().expect("UTF-8"));
    // Where no plain line can say what the directory is called, there is none.
    lab.send(&lab.task("b", "hello").in_dir(&lab.project("two\nlines")));
    assert_eq!(lab.completed("b").get("resume"), None);
    drop(daemon);
}

#[test]
fn it_names_the_program_and_the_folder_that_the_operator_named() {
    let lab = Lab::new();
    let (program, own) = (format!("{FIXTURES}/bin/claude"), lab.path("its own"));
    let env = json!({"claude": {"env": {"CLAUDE_CONFIG_DIR": own}}});
    let daemon = lab.daemon().set("--claude", &program).set("--agents", env).start();
    lab.send(&lab.task("a", "hello"));
    let report = lab.completed("a");
    let dump = lab.path("dump");
    type_line(&lab, line_of(&report), &format!("fake: dump {}", dump.display()));
    assert_eq!(text_file(dump.join("program")).trim(), program);
    let set = format!("CLAUDE_CONFIG_DIR={}", own.display());
    assert!(text_file(dump.join("env")).lines().any(|line| line == set));
    drop(daemon);
}

#[test]
fn it_is_of_the_last_session_however_that_ended_and_absent_where_none_began() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: turn one\nfake: result refusal"));
    let report = lab.failed("a", "logic_error");
    let session = report["session_id"].as_str().expect("a session");
    assert!(line_of(&report).ends_with(&format!(" && claude --resume {session}")));
    lab.send(&lab.task("b", format!("fake: block {}", gate.display())).with("ttl_seconds", 1));
    let report = lab.ended("b", "timeout", "timeout");
    let session = report["session_id"].as_str().expect("a session");
    assert!(line_of(&report).ends_with(session), "{report:#}");
    lab.send(&lab.task("c", "fake: silent\nfake: stderr error: no such option\nfake: exit 1"));
    let report = lab.failed("c", "config");
    assert!(report["session_id"].is_string() && report.get("resume").is_none(), "{report:#}");
    drop(daemon);
}

#[test]
fn each_agent_has_the_words_of_its_own() {
    let lab = Lab::new();
    let mimic = |more: Value| {
        let mut entry = json!({"program": format!("{FIXTURES}/bin-own/mimic"), "output": "text"});
        for (key, value) in more.as_object().expect("an object") {
            entry[key] = value.clone();
        }
        entry
    };
    let home = lab.path("codex-home");
    let agents = json!({
        "codex": {"env": {"CODEX_HOME": home}},
        "talker": mimic(json!({"args": ["--text", "new", "{session}"],
            "resume_args": ["--text", "again", "{session}"]})),
        "once": mimic(json!({"args": ["--text", "new", "{session}"]})),
    });
    let daemon = lab.daemon().set("--agents", agents).env("PATH", path()).start();
    fs::write(lab.project("project-codex").join(".codex-plan"), "replay success-text")
        .expect("a plan");
    for (agent, task, wanted) in [
        ("codex", "x", Some(format!("CODEX_HOME={} codex resume ", home.display()))),
        ("gemini", "x", Some("gemini --resume ".to_string())),
        ("cursor", "x", Some("cursor-agent --resume ".to_string())),
        ("talker", "mimic: well", Some(format!("{FIXTURES}/bin-own/mimic --text again "))),
        ("once", "mimic: well", None),
    ] {
        lab.send(&lab.task(agent, task).with("target_agent", agent));
        let report = lab.completed(agent);
        let session = report["session_id"].as_str().expect("a session");
        let dir = lab.path(&format!("project-{agent}"));
        let wanted = wanted.map(|words| format!("cd {} && {words}{session}", dir.display()));
        assert_eq!(report.get("resume").and_then(Value::as_str), wanted.as_deref());
        if ["gemini", "talker"].contains(&agent) {
            // Both refuse a session that they do not know.
            type_line(&lab, line_of(&report), "mimic: well");
        }
    }
    drop(daemon);
}

#[test]
fn a_session_that_was_adopted_has_it_too() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let first = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    first.crash();
    let second = lab.daemon().start();
    lab.event("a", "adopted");
    hold.release();
    let report = lab.completed("a");
    assert!(line_of(&report).ends_with(report["session_id"].as_str().expect("a session")));
    drop(second);
}
