//! What an agent is started with: its prompt, its arguments, its environment, its descriptors and
//! its working directory. Nothing of a dispatch becomes an argument.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{block, lines};
use crate::util::*;

#[test]
fn the_prompt_is_the_seeds_word_for_word() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let dump = lab.path("dump");
    let task = format!("-x \"é\" $HOME `id`\n/cost @/etc/passwd\nfake: dump {}", dump.display());
    let dispatch = lab
        .task("a", task.clone())
        .with("constraints", json!(["no new dependencies", "be brief, please"]))
        .with("learnings", json!(["one", "two\nlines", "three", "four", "five", "six", "seven"]));
    lab.send(&dispatch);
    lab.settled("a");
    let wanted = format!(
        "Load gstack. Dispatch ID: dispatch-a. Task: {task}\n\
         Constraints: no new dependencies, be brief, please\n\
         Relevant learnings from prior sessions:\none\ntwo\nlines\nthree\nfour\nfive"
    );
    assert_eq!(text_file(dump.join("prompt")), wanted);
    assert_eq!(text_file(lab.finished("a").join("attempt-1/prompt.txt")), wanted);
    // Empty lists add nothing.
    let dump = lab.path("dump-b");
    let task = format!("fake: dump {}", dump.display());
    let plain =
        lab.task("b", task.clone()).with("constraints", json!([])).with("learnings", json!([]));
    lab.send(&plain);
    lab.completed("b");
    let wanted = format!("Load gstack. Dispatch ID: dispatch-b. Task: {task}");
    assert_eq!(text_file(dump.join("prompt")), wanted);
    drop(daemon);
}

#[test]
fn a_task_of_300_kilobytes_reaches_the_agent_whole() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let dump = lab.path("dump");
    let task = format!("fake: dump {}\n{}", dump.display(), "0123456789 é\n".repeat(22_000));
    assert!(task.len() > 300_000);
    lab.send(&lab.task("a", task.clone()));
    lab.completed("a");
    let wanted = format!("Load gstack. Dispatch ID: dispatch-a. Task: {task}");
    assert!(text_file(dump.join("prompt")) == wanted, "the prompt differs");
    drop(daemon);
}

#[test]
fn the_agent_is_started_with_fixed_arguments_and_nothing_from_the_dispatch() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let (one, two) = (lab.path("one"), lab.path("two"));
    lab.send(
        &lab.task("a", format!("--dangerously-skip-permissions\nfake: dump {}", one.display())),
    );
    lab.send(&lab.task("b", format!("fake: dump {}", two.display())));
    let (a, b) = (lab.completed("a"), lab.completed("b"));
    let argv = lines(one.join("argv"));
    let session = argv.last().expect("arguments").clone();
    let wanted =
        "--print --permission-mode acceptEdits --output-format stream-json --verbose --session-id";
    assert_eq!(argv[..argv.len() - 1].join(" "), wanted);
    assert!(is_uuid(&session), "{session}");
    assert_eq!(a["session_id"], session);
    assert_ne!(a["session_id"], b["session_id"]);
    assert_eq!(text_file(one.join("cwd")).trim(), lab.path("project-a").to_str().expect("UTF-8"));
    assert_eq!(text_file(one.join("program")).trim(), format!("{FIXTURES}/bin/claude"));
    drop(daemon);
}

/// The words of a process's command line, or its variables, as it was started with them.
fn words_of(pid: &Value, file: &str) -> Vec<String> {
    let words = text_file(format!("/proc/{pid}/{file}"));
    words.split_terminator('\0').map(String::from).collect()
}

/// A session that no setting shapes: its process, its attempt's record, and the daemon's PATH.
fn unconfigured(lab: &Lab, programs: &str, look: impl FnOnce(&Value, &Value, &str)) {
    let gate = lab.gate("gate");
    let path = format!("{FIXTURES}/{programs}:/usr/bin:/bin");
    let daemon = lab.plain_daemon().no_env("RUST_BACKTRACE").no_env("LLVM_PROFILE_FILE");
    let daemon = daemon.env("PATH", &path).start();
    lab.send(&lab.task("a", block(&gate)));
    let hold = gate.held();
    let attempt = lab.active("a").join("attempt-1");
    let child = attempt.join("child.json");
    wait_until("its process on record", PATIENCE, || child.exists());
    let child = json_file(&child);
    look(&child["pid"], &json_file(&attempt.join("attempt.json")), &path);
    hold.release();
    lab.completed("a");
    drop(daemon);
}

const FIXED: &str = "--print --permission-mode acceptEdits --output-format stream-json --verbose";

/// What no setting asks for does not change. Whatever is added to this list is added on purpose,
/// and stands in README.md.
#[test]
fn with_nothing_configured_a_session_has_these_words_and_variables_and_no_others() {
    let lab = Lab::new();
    unconfigured(&lab, "bin", |pid, start, path| {
        let session = start["session_id"].as_str().expect("a session");
        let wanted = format!("/bin/sh {FIXTURES}/bin/claude {FIXED} --session-id {session}");
        assert_eq!(words_of(pid, "cmdline").join(" "), wanted);
        let copy = lab.active("a").join("dispatch.json");
        let token = start["run_token"].as_str().expect("a token");
        let mut wanted = vec![
            "DISABLE_AUTOUPDATER=1".to_string(),
            lab.marked(),
            format!("GSTACK_DISPATCH_FILE={}", copy.display()),
            "GSTACK_DISPATCH_ID=dispatch-a".to_string(),
            format!("GSTACK_HOME={}", lab.gstack.display()),
            format!("GSTACK_RUN_TOKEN={token}"),
            format!("HOME={}", lab.home.display()),
            "OPENCLAW_SESSION=1".to_string(),
            format!("PATH={path}"),
            format!("PWD={}", lab.path("project-a").display()),
        ];
        // What follows from its run token is compared where it is tried (`tmp`).
        let tmp = |variable: &String| variable.starts_with("TMPDIR=");
        let mut variables = words_of(pid, "environ");
        assert_eq!(variables.iter().filter(|variable| tmp(variable)).count(), 1);
        variables.retain(|variable| !tmp(variable));
        wanted.sort();
        variables.sort();
        assert_eq!(variables, wanted);
    });
}

/// A program that knows the option is told that nobody answers, and nothing else.
#[test]
fn a_program_that_can_be_told_that_nobody_answers_has_these_words_more() {
    let lab = Lab::new();
    unconfigured(&lab, "bin-prompts", |pid, start, _| {
        let session = start["session_id"].as_str().expect("a session");
        let wanted = format!("{FIXED} --permission-prompts none --session-id {session}");
        // A shell and the script stand before them.
        assert_eq!(words_of(pid, "cmdline")[2..].join(" "), wanted);
    });
}

fn is_uuid(text: &str) -> bool {
    let groups: Vec<usize> = text.split('-').map(str::len).collect();
    groups == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

#[test]
fn allowed_tools_and_more_arguments_come_from_the_operator() {
    let lab = Lab::new();
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    let config = json!({ "claude_args": ["--model", "opus 5", "--max-turns", "7"] });
    fs::write(lab.ours().join("config.json"), config.to_string()).expect("write config.json");
    let daemon =
        lab.daemon().set("--allow-tools", "Bash(git:*),Bash(cargo test:*),WebFetch").start();
    let dump = lab.path("dump");
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    lab.completed("a");
    let argv = lines(dump.join("argv"));
    let at = |word: &str| {
        argv.iter().position(|w| w == word).unwrap_or_else(|| panic!("{word}: {argv:?}"))
    };
    assert_eq!(argv[at("--model") + 1], "opus 5");
    assert_eq!(argv[at("--max-turns") + 1], "7");
    // Claude Code takes them as one word with commas or as several words; the next flag ends them.
    let tools = argv[at("--allowedTools") + 1..].iter().take_while(|w| !w.starts_with("--"));
    let tools = tools.map(String::as_str).collect::<Vec<_>>().join(",");
    assert_eq!(tools, "Bash(git:*),Bash(cargo test:*),WebFetch");
    assert!(argv.contains(&"--session-id".to_string()), "{argv:?}");
    drop(daemon);
}

#[test]
fn the_session_has_our_marks_and_neither_our_secrets_nor_those_of_an_outer_session() {
    let lab = Lab::new();
    let dump = lab.path("dump");
    let removed = [
        "CLAUDECODE",
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_CODE_SESSION_ID",
        "CLAUDE_CODE_CHILD_SESSION",
        "CLAUDE_CODE_MESSAGING_TOKEN",
        "CLAUDE_PID",
        "NODE_OPTIONS",
        "NODE_CHANNEL_FD",
        "AI_AGENT",
        "CLAWVISOR_URL",
        "CLAWVISOR_AGENT_TOKEN",
        "GSTACK_DISPATCHD_CALLBACK_TIMEOUT_SECONDS",
        "CONDUCTOR_PORT",
        "CONDUCTOR_WORKSPACE_PATH",
        "CLAUDE_PLAN_FILE",
        "GSTACK_PLAN_MODE",
        "GSTACK_PLAN_MODE_FORCE",
        "OPENCLAW_GATEWAY_TOKEN",
        "OPENCLAW_GATEWAY_PASSWORD",
        "ACPX_AUTH_OPENAI",
    ];
    let kept = [
        "CLAUDE_CODE_OAUTH_TOKEN",
        "CLAUDE_CODE_USE_BEDROCK",
        "CLAUDE_CODE_USE_VERTEX",
        "CLAUDE_CODE_MAX_RETRIES",
        "CLAUDE_CODE_TMPDIR",
        "ANTHROPIC_API_KEY",
        "ANTHROPIC_BASE_URL",
        "HTTPS_PROXY",
        "LANG",
        "SOMETHING_ELSE",
    ];
    let start =
        removed.iter().chain(&kept).fold(lab.daemon(), |start, key| start.env(key, "some-value"));
    let start = start.env("GSTACK_DISPATCHD_CALLBACK_TIMEOUT_SECONDS", 7);
    let start = start.env("OPENCLAW_SESSION", "outer").env("GSTACK_RUN_LEADER", "outer");
    let daemon = start.word("--local-only").start();
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    lab.settled("a");
    lab.completed("a");
    let env = lines(dump.join("env"));
    let value = |key: &str| env.iter().find_map(|line| line.strip_prefix(&format!("{key}=")));
    for key in removed {
        assert_eq!(value(key), None, "{key}");
    }
    for key in kept {
        assert_eq!(value(key), Some("some-value"), "{key}");
    }
    assert!(!env.iter().any(|line| line.starts_with("GSTACK_DISPATCHD_")), "{env:?}");
    assert_eq!(value("GSTACK_DISPATCH_ID"), Some("dispatch-a"));
    assert_eq!(value("DISABLE_AUTOUPDATER"), Some("1"));
    assert_ne!(value("GSTACK_RUN_LEADER"), Some("outer"));
    // gstack's skills take the recommended option then, and ask nobody.
    assert_eq!(value("OPENCLAW_SESSION"), Some("1"));
    assert_eq!(value("HOME"), lab.home.to_str());
    let copy = lab.active("a").join("dispatch.json");
    assert_eq!(value("GSTACK_DISPATCH_FILE"), copy.to_str());
    let token = value("GSTACK_RUN_TOKEN").expect("a run token");
    assert!(token.len() == 32 && token.chars().all(|c| c.is_ascii_hexdigit()), "{token}");
    drop(daemon);
}

#[test]
fn the_session_inherits_no_descriptor_of_the_daemon() {
    let lab = Lab::new();
    let (gate, dump) = (lab.gate("gate"), lab.path("dump"));
    let daemon = lab.daemon().start();
    // Another session runs meanwhile, so that its files are open in the daemon, too.
    lab.send(&lab.task("other", block(&gate)));
    let hold = gate.held();
    lab.send(&lab.task("a", format!("fake: dump {}", dump.display())));
    lab.completed("a");
    hold.release();
    lab.completed("other");
    let of_ours = |line: &String| {
        line.contains(lab.gstack.to_str().expect("UTF-8"))
            || ["anon_inode", "socket:"].iter().any(|kind| line.contains(kind))
    };
    let open: Vec<_> = lines(dump.join("fds")).into_iter().filter(of_ours).collect();
    let attempt = lab.active("a").join("attempt-1");
    for line in &open {
        let (_, target) = line.split_once(" -> ").expect("a link");
        let named = ["prompt.txt", "stdout.jsonl", "stderr.log"].map(|name| attempt.join(name));
        assert!(named.contains(&PathBuf::from(target)), "inherited: {line}");
    }
    assert!(open.len() >= 2, "the session's files: {open:?}");
    drop(daemon);
}

#[test]
fn a_leading_tilde_is_the_home_directory_and_no_other_tilde_is() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let (home, odd) = (lab.home.join("in-home"), lab.project("odd~name"));
    fs::create_dir(&home).expect("create");
    lab.send(&lab.task("a", "fake: mark ran").with("project_dir", "~/in-home"));
    lab.send(&lab.task("b", "fake: mark ran").in_dir(&odd));
    lab.completed("a");
    lab.completed("b");
    assert!(home.join("ran").exists() && odd.join("ran").exists());
    drop(daemon);
}
