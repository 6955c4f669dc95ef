//! `doctor`: a healthy daemon has nothing wrong with it, and each planted fault is found, with what
//! to type. Nothing is changed, and no process is left.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::util::*;

/// An agent that knows all options that it gets, unless `more` says otherwise.
fn agent(lab: &Lab, more: &str) -> PathBuf {
    let dir = lab.project("agent");
    let program = dir.join("claude");
    let script = format!(
        "#!/bin/sh\n{more}\ncase $1 in\n--version) echo '9.9.9 (an agent)';;\n\
         --help) echo '--print --permission-mode --output-format --verbose --session-id';;\nesac\n"
    );
    write_script(&program, &script);
    program
}

/// Another process writes it: a fork of this one would hold it open for writing for a moment, and
/// the kernel runs no such file (ETXTBSY).
fn write_script(path: &Path, script: &str) {
    let words = ["-c", "printf %s \"$2\" >\"$1\" && chmod 755 \"$1\"", "sh"];
    let written = Command::new("sh").args(words).arg(path).arg(script).status().expect("sh");
    assert!(written.success(), "{}", path.display());
}

/// A directory in which a daemon has run, an agent, and its login.
fn healthy() -> Lab {
    let lab = Lab::new();
    assert_eq!(lab.daemon().word("--once").output().code, 0);
    agent(&lab, "");
    let login = lab.home.join(".claude");
    fs::create_dir_all(&login).expect("create a folder");
    fs::write(login.join(".credentials.json"), "{}").expect("write a login");
    lab
}

fn doctor(lab: &Lab, flags: &[&str]) -> Command {
    under(lab, &[], flags)
}

fn under(lab: &Lab, prefix: &[&str], flags: &[&str]) -> Command {
    let words = [prefix, &[DAEMON, "doctor"], flags].concat();
    let mut command = Command::new(words[0]);
    let (name, value) = lab.mark().split_once('=').expect("NAME=VALUE");
    command
        .args(&words[1..])
        .env_clear()
        .env("PATH", format!("{}:{}:/usr/bin:/bin", lab.dir.display(), lab.path("agent").display()))
        .env("HOME", &lab.home)
        .env("USER", "somebody")
        .env("GSTACK_HOME", &lab.gstack)
        .env(name, value)
        .stdin(Stdio::null());
    command
}

/// What it says in JSON, and its exit code.
fn said(mut command: Command) -> (Value, i32) {
    let output = command.arg("--json").output().expect("doctor");
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = serde_json::from_slice(&output.stdout);
    (said.unwrap_or_else(|e| panic!("{e}: {stderr}")), output.status.code().expect("a code"))
}

/// That it finds a fault of that name and status, whose text and fix have these words.
fn finds(command: Command, name: &str, status: &str, words: &str, fix: &str) {
    let (said, code) = said(command);
    let checks = said["checks"].as_array().expect("checks");
    let is_it = |check: &&Value| {
        let has =
            |field: &str, words: &str| check[field].as_str().is_some_and(|t| t.contains(words));
        check["name"] == name && check["status"] == status && has("text", words) && has("fix", fix)
    };
    assert!(checks.iter().any(|check| is_it(&check)), "no {status} {name} {words}: {said:#}");
    assert_eq!(code, i32::from(said["fail"] != 0), "{said:#}");
}

fn config(lab: &Lab, text: &str) {
    fs::write(lab.ours().join("config.json"), text).expect("write config.json");
}

#[test]
fn nothing_is_wrong_with_a_healthy_daemon() {
    let lab = healthy();
    let daemon = lab.daemon().start();
    let (found, code) = said(doctor(&lab, &[]));
    let wrong = |check: &&Value| check["status"] == "warn" || check["status"] == "fail";
    let wrong: Vec<&Value> =
        found["checks"].as_array().expect("checks").iter().filter(wrong).collect();
    assert_eq!((wrong, code), (vec![], 0));
    assert_eq!((&found["warn"], &found["fail"]), (&json!(0), &json!(0)));
    assert_eq!(found["environment"], "its own");
    for (name, text) in
        [("agent", "9.9.9 (an agent)"), ("inotify", " instances"), ("daemon", " runs")]
    {
        let checks = found["checks"].as_array().expect("checks");
        let check = checks.iter().find(|check| check["name"] == name).expect(name);
        let said = check["text"].as_str().expect("a text");
        assert!(check["status"] == "ok" && said.contains(text), "{check}");
        assert!(!said.starts_with("0 of"), "the daemon watches: {check}");
    }
    let human = doctor(&lab, &[]).output().expect("doctor");
    let human = String::from_utf8(human.stdout).expect("UTF-8");
    let words = ["ok", "skip"];
    assert!(
        human.lines().all(|line| words.contains(&line.split(' ').next().expect("a word"))),
        "{human}"
    );
    drop(daemon);
}

#[test]
fn faults_of_the_folders_are_found() {
    let lab = healthy();
    let mut homeless = doctor(&lab, &[]);
    homeless.env_remove("HOME");
    finds(homeless, "home", "fail", "HOME is not set", "set HOME");

    let outbox = lab.ours().join("outbox");
    fs::remove_dir(&outbox).expect("remove a folder");
    finds(doctor(&lab, &[]), "home", "fail", "outbox is not there", "gstack-dispatch-daemon");
    fs::write(&outbox, "").expect("write a file");
    finds(doctor(&lab, &[]), "home", "fail", "is no folder", "mv ");
    fs::remove_file(&outbox).expect("remove it");
    fs::create_dir(&outbox).expect("make it");

    fs::set_permissions(&outbox, fs::Permissions::from_mode(0o755)).expect("open it");
    finds(doctor(&lab, &[]), "rights", "warn", "outbox is open to others", "chmod 700 ");
    fs::set_permissions(&outbox, fs::Permissions::from_mode(0o500)).expect("shut it");
    if !is_root() {
        finds(doctor(&lab, &[]), "home", "fail", "cannot be written", "chmod u+rwx ");
    }
    fs::set_permissions(&outbox, fs::Permissions::from_mode(0o700)).expect("mend it");

    config(&lab, "{}");
    let path = lab.ours().join("config.json");
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("open it");
    finds(doctor(&lab, &[]), "rights", "warn", "config.json is open to others", "chmod go-w ");
}

#[test]
fn faults_of_the_settings_are_found() {
    let lab = healthy();
    for (text, words) in [
        ("{\n  oops", "line 2"),
        ("{\n\"max_concurent\": 3}", "line 2: unknown setting max_concurent (did you mean"),
        ("{\"max_concurrent\": 0}", "max_concurrent: must be at least 1"),
        ("{\"ca_file\": \"/nowhere.pem\"}", "ca_file: /nowhere.pem is no file"),
        ("{\"agents\": {\"x\": {}}}", "there is no such agent"),
    ] {
        config(&lab, text);
        finds(doctor(&lab, &[]), "config", "fail", words, "config.json");
    }
    config(&lab, "{\"projects\": {\"/nowhere\": {\"strict\": true}}}");
    finds(doctor(&lab, &[]), "projects", "warn", "/nowhere names no directory", "make it");
    config(&lab, "{\"verify\": {\"~/gone\": {\"argv\": [\"true\"]}}}");
    finds(doctor(&lab, &[]), "projects", "warn", "verify: ~/gone", "make it");
    let mut misspelt = doctor(&lab, &[]);
    misspelt.env("GSTACK_DISPATCHD_MAX_CONCURENT", "3");
    finds(misspelt, "config", "fail", "MAX_CONCURRENT", "unset it");
}

#[test]
fn faults_of_an_agent_are_found() {
    let lab = healthy();
    let of = |flags: &[&str]| doctor(&lab, flags);
    finds(
        of(&["--claude", "/nowhere"]),
        "agent",
        "fail",
        "/nowhere is no executable file",
        "--claude PATH",
    );
    let program = agent(&lab, "");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o644)).expect("chmod");
    let named = program.to_str().expect("UTF-8");
    finds(of(&["--claude", named]), "agent", "fail", "is no executable file", "--claude PATH");
    agent(&lab, "echo broken >&2; exit 3");
    finds(of(&[]), "agent", "fail", "exit code 3: broken", "claude --version");
    agent(&lab, "if [ $1 = --help ]; then echo --print; exit; fi");
    finds(of(&[]), "agent_flags", "fail", "--permission-mode, --output-format", "update it");
    agent(&lab, "if [ $1 = --help ]; then exit 2; fi");
    finds(of(&[]), "agent_flags", "warn", "exit code 2", "claude --help");
    agent(&lab, "");
    finds(of(&["--model", "x"]), "agent_flags", "fail", "does not list --model", "update it");
    finds(
        of(&["--agents", r#"{"codex": {"model": "x"}}"#]),
        "agent",
        "fail",
        "no program codex",
        "install it",
    );
    fs::remove_file(lab.home.join(".claude/.credentials.json")).expect("remove the login");
    finds(of(&[]), "login", "warn", ".credentials.json", "log in once");
    let mut with_key = of(&[]);
    with_key.env("ANTHROPIC_API_KEY", "x");
    let (found, _) = said(with_key);
    let logins = found["checks"].as_array().expect("checks").iter();
    assert!(logins.filter(|check| check["name"] == "login").all(|check| check["status"] == "ok"));
}

#[test]
fn an_agent_that_hangs_is_ended_with_all_that_it_started() {
    let lab = healthy();
    agent(&lab, "setsid sleep 7777 & (sleep 7777 & setsid sleep 7777 &) ; exec sleep 7777");
    finds(doctor(&lab, &[]), "agent", "fail", "has not ended within 5 s", "claude --version");
    assert_eq!(lab.processes(), []);
    // What one that ends leaves behind goes too.
    agent(&lab, "setsid sleep 7777 >/dev/null 2>&1 &");
    let (checks, code) = said(doctor(&lab, &[]));
    assert_eq!(code, 0, "{checks:#}");
    assert_eq!(lab.processes(), []);
}

#[test]
fn faults_of_the_environment_and_the_machine_are_found() {
    let lab = healthy();
    let mut nobody = doctor(&lab, &[]);
    nobody.env_remove("USER");
    finds(nobody, "environment", "warn", "no USER", "set USER");
    let mut no_git = doctor(&lab, &[]);
    no_git.env("PATH", lab.path("agent"));
    finds(no_git, "environment", "warn", "no git on PATH", "install git");
    finds(doctor(&lab, &["--min-free-mb", "1000000000"]), "disk", "fail", "only ", "make room");
    if can_run_under(&WITHOUT_EVENTS) {
        finds(under(&lab, &WITHOUT_EVENTS, &[]), "inotify", "warn", "of 0 instances", "sysctl");
    } else {
        skipped("no user namespace in which nothing can be watched");
    }
    let audit = fs::File::options().append(true).open(lab.inbox().join("audit.jsonl"));
    let soon = std::time::SystemTime::now() + std::time::Duration::from_secs(7200);
    audit.expect("the audit log").set_modified(soon).expect("set its time");
    finds(
        doctor(&lab, &[]),
        "clock",
        "warn",
        "audit.jsonl was written 1h 59m from now",
        "timedatectl",
    );
}

#[test]
fn what_the_daemon_is_in_is_found() {
    let lab = healthy();
    finds(doctor(&lab, &[]), "daemon", "warn", "none runs", "service systemd --install");
    let beat = |fields: Value| {
        fs::write(lab.heartbeat_path(), fields.to_string()).expect("write a heartbeat");
    };
    let long_ago = "2026-04-03T14:30:00.000Z";
    beat(
        json!({"ts": long_ago, "active": 0, "queued": 0, "pid": 812, "state": "run", "degraded": "no room"}),
    );
    finds(doctor(&lab, &[]), "daemon", "fail", "dead: pid 812", "start it again");
    finds(doctor(&lab, &[]), "degraded", "fail", "no room", "mend that");
    let daemon = lab.daemon().set("--heartbeat", 600).start();
    beat(json!({"ts": long_ago, "active": 0, "queued": 0, "pid": daemon.pid, "state": "run"}));
    finds(doctor(&lab, &[]), "daemon", "fail", "hung: pid ", "kill -KILL ");
    drop(daemon);

    let limited = "fake: limit rejected 7200\nfake: result error 429 rate_limit x\n";
    lab.send(&lab.task("a", limited));
    lab.place("dispatch-bad.json", b"{}");
    assert_eq!(lab.daemon().word("--once").output().code, 0);
    finds(doctor(&lab, &[]), "holds", "warn", "claude is held until ", "release claude");
    finds(doctor(&lab, &[]), "rejected", "warn", "1 in the last 24 hours", "reason.json");
    fs::write(lab.ours().join("control/pause"), "").expect("pause");
    finds(doctor(&lab, &[]), "paused", "warn", "nothing new", "gstack-dispatch-daemon resume");
    let entry = json!({
        "dispatch_id": "dispatch-b", "url": "http://127.0.0.1:1/", "idempotency_key": "k",
        "body": "{}", "tries": 2, "created_at_ms": 0, "next_at_ms": 0,
    });
    fs::write(lab.ours().join("outbox/dispatch-b.json"), entry.to_string())
        .expect("write an entry");
    finds(
        doctor(&lab, &[]),
        "callbacks",
        "warn",
        "1 tried and not delivered (dispatch-b)",
        "show dispatch-b",
    );
}

fn install(lab: &Lab, words: &[&str]) {
    let mut command = doctor(lab, &[]);
    let mut words: Vec<&str> = words.to_vec();
    words.insert(0, "service");
    command = {
        let mut typed = Command::new(DAEMON);
        typed.args(words).env_clear().stdin(Stdio::null());
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                typed.env(name, value);
            }
        }
        typed
    };
    let output = command.output().expect("service");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_agent_is_judged_by_what_the_service_would_have() {
    let lab = healthy();
    install(&lab, &["systemd", "--install", "--", "--max-concurrent", "3"]);
    let unit = lab.home.join(".config/systemd/user/gstack-dispatch-daemon.service");
    let text = text_file(&unit);
    let (found, _) = said(doctor(&lab, &[]));
    assert_eq!(found["environment"], format!("systemd: {}", unit.display()));
    let flaw =
        |from: &str, to: &str| fs::write(&unit, text.replace(from, to)).expect("write the unit");
    let agents = lab.path("agent").display().to_string();
    flaw(&format!("{agents}:"), "");
    finds(doctor(&lab, &[]), "agent", "fail", "no program claude in PATH", "--claude PATH");
    flaw("KillMode=process", "KillMode=mixed");
    finds(
        doctor(&lab, &[]),
        "service",
        "warn",
        "lacks KillMode=process",
        "service systemd --install",
    );
    flaw("--on-shutdown leave", "");
    finds(
        doctor(&lab, &[]),
        "service",
        "warn",
        "lacks --on-shutdown leave",
        "service systemd --install",
    );
    flaw(DAEMON, "/nowhere/gstack-dispatch-daemon");
    finds(doctor(&lab, &[]), "service", "warn", "/nowhere/gstack-dispatch-daemon", "--install");
    flaw(&lab.gstack.display().to_string(), "/elsewhere");
    finds(doctor(&lab, &[]), "service", "warn", "another $GSTACK_HOME", "GSTACK_HOME");
    flaw("--max-concurrent 3", "--max-concurrent x");
    finds(doctor(&lab, &[]), "config", "fail", "the service's flags", "install it again");
    fs::remove_file(&unit).expect("remove the unit");
    let theirs = unit.with_file_name("com.gstack.dispatch-daemon.service");
    fs::write(&theirs, "").expect("write gstack's unit");
    finds(
        doctor(&lab, &[]),
        "service",
        "warn",
        "gstack's own",
        "systemctl --user disable --now com.gstack",
    );
}

#[test]
fn a_line_of_the_crontab_is_judged_like_a_unit() {
    let lab = healthy();
    let line = format!("* * * * * {DAEMON} --on-shutdown leave");
    let table = lab.path("table");
    fs::write(&table, format!("PATH=/usr/bin:/bin\n{line}\n")).expect("write a table");
    write_script(&lab.path("crontab"), &format!("#!/bin/sh\ncat {}\n", table.display()));
    let (found, _) = said(doctor(&lab, &[]));
    assert_eq!(found["environment"], "cron: the crontab");
    finds(doctor(&lab, &[]), "agent", "fail", "no program claude in PATH", "--claude PATH");
    finds(
        doctor(&lab, &[]),
        "environment",
        "warn",
        "no USER (cron: the crontab)",
        "service --install",
    );
}
