//! The real Claude Code behind the wall of `--confine`.

use super::*;
use crate::api::{Script, Step};

/// Edits and commits in its project, and tries what it must not: each tool call in turn.
pub fn a_confined_task_commits_and_reaches_nothing_else(claude: &Path) {
    if !can_confine() {
        return;
    }
    let lab = Lab::new();
    let project = lab.repository("shop");
    let (home, other) = (lab.home.display(), lab.project("other"));
    fs::create_dir_all(lab.home.join(".ssh")).expect("create");
    fs::write(lab.home.join(".ssh/id_x"), "a private key").expect("write");
    fs::write(lab.home.join(".bashrc"), "# a shell's\n").expect("write");
    fs::create_dir_all(lab.ours()).expect("create");
    // Claude Code refuses such a command by itself where it can read it.
    fs::write(project.join("plant.sh"), format!("echo planted >>{home}/.bashrc")).expect("write");
    fs::write(lab.home.join(".claude.json"), "{\"numStartups\": 7}").expect("write");
    let (inbox, ours) = (lab.inbox(), lab.ours());
    let commit =
        "git add --all && git -c user.name=Agent -c user.email=agent@localhost commit -q -m second";
    let tries = [
        "sh plant.sh".to_string(),
        format!("echo planted >{}/file", other.display()),
        format!("echo {{}} >{}/dispatch-planted.json", inbox.display()),
        format!("echo {{}} >{}/config.json", ours.display()),
        format!("cat {home}/.ssh/id_x >stolen"),
    ];
    let daemon_signal = "kill -TERM $(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/' pid)";
    let file = project.join("greeting.txt");
    let mut steps = vec![Step::write(file.to_str().expect("UTF-8"), "hello\n"), Step::bash(commit)];
    steps.extend(tries.iter().map(|command| Step::bash(command)));
    steps.push(Step::bash(daemon_signal));
    steps.push(Step::text("That is what I could do."));
    let api = Api::start(Script::steps(steps));
    let daemon = daemon(&lab, &api, claude).set("--allow-tools", "Bash").word("--confine").start();
    fs::write(project.join("pid"), format!("{{\"pid\":{}}}", daemon.pid)).expect("write");
    lab.send(&lab.task("a", "Commit it.").in_dir(&project));
    let report = completed(&lab, "a");
    assert_eq!(report["commits"], 1, "{report:#}");
    assert_eq!(git(&project, "show HEAD:greeting.txt"), "hello");
    assert_eq!(text_file(lab.home.join(".bashrc")), "# a shell's\n");
    assert!(!other.join("file").exists() && !inbox.join("dispatch-planted.json").exists());
    assert!(!ours.join("config.json").exists());
    assert_ne!(fs::read_to_string(project.join("stolen")).unwrap_or_default(), "a private key");
    let refused = report["confined"]["refused"].as_array().expect("refused calls");
    let commands: Vec<&str> = refused.iter().filter_map(|call| call["input"].as_str()).collect();
    for command in tries.iter().map(String::as_str).chain([daemon_signal]) {
        assert!(commands.contains(&command), "{command} is not in {report:#}");
    }
    let state = json_file(&lab.home.join(".claude.json"));
    assert!(state["machineID"].is_string(), "its own state is not written: {state:#}");
    // It goes on to work for the next one.
    assert!(alive(daemon.pid));
}

/// A confined session can be resumed: its own state is written where it always is.
pub fn a_confined_session_is_resumed_after_a_failure(claude: &Path) {
    if !can_confine() {
        return;
    }
    let lab = Lab::new();
    let project = lab.repository("shop");
    let steps = vec![
        Step::bash("echo work >work.txt"),
        Step::status(529, "overloaded_error", "Overloaded"),
        Step::text("Done."),
    ];
    let api = Api::start(Script::steps(steps));
    let _daemon =
        impatient_daemon(&lab, &api, claude).set("--allow-tools", "Bash").word("--confine").start();
    lab.send(&lab.task("a", "Work.").in_dir(&project));
    let report = completed(&lab, "a");
    let attempts = attempts(&report);
    assert_eq!((attempts.len(), &attempts[1]["resumed"]), (2, &Value::Bool(true)), "{report:#}");
    assert_eq!(text_file(project.join("work.txt")), "work\n");
}
