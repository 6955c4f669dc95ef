//! The real Gemini CLI 0.61.0, driven by the real daemon, against a Gemini API of our own
//! (`api.rs`) on 127.0.0.1.
//!
//! `tests/gemini-cli.sh` installs it once; where it cannot be had, the tests say SKIPPED: on
//! stderr, and in a file that `make test` shows. Each session has a scratch home and a dummy key,
//! and talks to nothing but its test.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, Step};
use crate::claude::note_skipped;
use crate::util::*;

mod confined;

const VERSION: &str = "0.61.0";
/// A real session takes about two seconds, and more on a loaded machine. Only failures wait for
/// this.
const SESSION_MAX: Duration = Duration::from_secs(90);
/// Its own repetitions take minutes, so they are turned off.
const SETTINGS: &str = r#"{"security": {"auth": {"selectedType": "gemini-api-key"}},
    "general": {"maxAttempts": 1, "disableAutoUpdate": true}, "model": {"name": "gemini-2.5-pro"},
    "telemetry": {"enabled": false}, "privacy": {"usageStatisticsEnabled": false}}"#;

/// Runs a scenario, one at a time: a session needs a whole core while it starts.
fn with_cli(scenario: impl FnOnce(&Path)) {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let program = FOUND.get_or_init(|| {
        install().inspect_err(|why| note_skipped(&format!("Gemini CLI {VERSION}"), why))
    });
    match program {
        Ok(program) => scenario(program),
        Err(why) => {
            let test = std::thread::current().name().unwrap_or("a test").to_string();
            let _ = writeln!(io::stderr(), "SKIPPED: {test}: {why}");
        }
    }
}

fn install() -> Result<PathBuf, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gemini-cli.sh");
    let run = Command::new(script).arg(VERSION).output().expect("run tests/gemini-cli.sh");
    let said = String::from_utf8_lossy(&run.stderr).trim().to_string();
    match run.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&run.stdout).trim().into()),
        Some(77) => Err(said.trim_start_matches("SKIPPED: ").to_string()),
        _ => panic!("tests/gemini-cli.sh {VERSION}: {}: {said}", run.status),
    }
}

fn daemon<'a>(lab: &'a Lab, api: &Api, program: &Path) -> Start<'a> {
    let (bin, temporary, own) = (lab.path("bin"), lab.path("tmp"), lab.home.join(".gemini"));
    for dir in [&bin, &temporary, &own] {
        fs::create_dir_all(dir).expect("create a directory");
    }
    fs::write(own.join("settings.json"), SETTINGS).expect("write its settings");
    if !bin.join("gemini").exists() {
        symlink(program, bin.join("gemini")).expect("put the program into PATH");
    }
    let path = std::env::var("PATH").unwrap_or_default();
    lab.daemon()
        .env("PATH", format!("{}:{FIXTURES}/bin:{path}", bin.display()))
        .set("--kill-grace", 2)
        .set("--rate-limit-backoff", 0.2)
        .env("GOOGLE_GEMINI_BASE_URL", api.url())
        .env("GEMINI_API_KEY", "dummy-key")
        .env("NO_PROXY", "127.0.0.1")
        .env("TMPDIR", temporary.display())
}

fn task(lab: &Lab, name: &str, task: &str) -> Dispatch {
    lab.task(name, task).with("target_agent", "gemini")
}

fn report(lab: &Lab, name: &str, status: &str) -> Value {
    let path = lab.report_path(name);
    wait_until(&format!("the report of {name}"), SESSION_MAX, || path.exists());
    let report = lab.settled(name);
    assert_eq!(report["status"], status, "{report:#}");
    report
}

fn attempts(report: &Value) -> &[Value] {
    report["attempts"].as_array().map_or(&[], Vec::as_slice)
}

fn shell(command: &str) -> Step {
    Step::Tool("run_shell_command", json!({"command": command, "description": "test"}))
}

fn wait_for_request(api: &Api) {
    wait_until("a request to the API", SESSION_MAX, || api.requests() > 0);
}

/// Every file below a folder.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder").flatten() {
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_folder { &mut folders } else { &mut files }.push(entry.path());
        }
    }
    files
}

fn limit(details: Value) -> Step {
    Step::Error(429, "RESOURCE_EXHAUSTED", "You exceeded your current quota.", json!([details]))
}

#[test]
fn a_task_that_writes_a_file() {
    with_cli(|program| {
        let lab = Lab::new();
        let write = json!({"file_path": "hello.txt", "content": "from gemini\n"});
        let api = Api::start(vec![Step::Tool("write_file", write), Step::Text("It is written.")]);
        let daemon = daemon(&lab, &api, program).start();
        lab.send(&task(&lab, "a", "-x write @nothing and \"quotes\""));
        let report = report(&lab, "a", "completed");
        assert_eq!(report["result"], "It is written.");
        assert_eq!((&report["input_tokens"], &report["output_tokens"]), (&json!(200), &json!(40)));
        assert_eq!((&report["num_turns"], &report["exit_code"]), (&json!(2), &json!(0)));
        assert_eq!(text_file(lab.path("project-a/hello.txt")).trim(), "from gemini");
        assert!(api.bodies()[0].contains("Dispatch ID: dispatch-a. Task: -x write @nothing"));
        assert!(report.get("warnings").is_none(), "{report:#}");
        drop(daemon);
    });
}

#[test]
fn a_command_runs_only_where_it_is_allowed_and_leaves_nothing() {
    with_cli(|program| {
        let lab = Lab::new();
        let pids = lab.path("pids");
        let leave = format!("setsid sleep 7777 >/dev/null 2>&1 & echo $! >>{}", pids.display());
        let api = Api::start(vec![shell(&leave), Step::Text("Tried.")]);
        let first = daemon(&lab, &api, program).start();
        lab.send(&task(&lab, "denied", "x"));
        let denied = report(&lab, "denied", "completed");
        assert_eq!(denied["permission_denials"][0]["tool_name"], "run_shell_command", "{denied:#}");
        assert!(!pids.exists());
        drop(first);
        let api = Api::start(vec![shell(&leave), Step::Text("Done.")]);
        let second = daemon(&lab, &api, program).set("--allow-tools", "Bash").start();
        lab.send(&task(&lab, "allowed", "x"));
        let allowed = report(&lab, "allowed", "completed");
        assert!(allowed.get("permission_denials").is_none(), "{allowed:#}");
        let child = pids_in(&pids)[0];
        assert!(!alive(child), "{allowed:#}");
        let left = allowed["leftover_processes"].as_array().expect("leftover_processes");
        assert!(left.iter().any(|one| one["pid"] == child && one["ended"] == true), "{allowed:#}");
        drop(second);
    });
}

#[test]
fn refusals_of_the_api_are_told_by_their_kinds() {
    let key = json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID", "domain": "googleapis.com"});
    let steps = [
        (Step::Error(401, "UNAUTHENTICATED", "no", json!([])), "auth"),
        (Step::Error(400, "INVALID_ARGUMENT", "API key not valid.", json!([key])), "auth"),
        (Step::Error(400, "INVALID_ARGUMENT", "bad", json!([])), "logic_error"),
        (
            Step::Error(
                404,
                "NOT_FOUND",
                "models/x is not found for API version v1beta",
                json!([]),
            ),
            "config",
        ),
        (Step::Safety, "logic_error"),
    ];
    with_cli(|program| {
        for (step, error_type) in steps {
            // A daemon for each: some of these hold the agent.
            let lab = Lab::new();
            let api = Api::start(vec![step]);
            let daemon = daemon(&lab, &api, program).start();
            lab.send(&task(&lab, "a", "x"));
            let report = report(&lab, "a", "failed");
            assert_eq!(
                (&report["error_type"], &report["retry_count"]),
                (&json!(error_type), &json!(0))
            );
            // It leaves the whole conversation in its temporary directory, at each error.
            let left = files_below(&lab.path("tmp"));
            assert!(left.is_empty(), "{left:?}");
            drop(daemon);
        }
    });
}

#[test]
fn a_limit_that_passes_and_one_that_says_when_it_does() {
    let daily = json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure",
        "violations": [{"quotaMetric": "m", "quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]});
    let hour = json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3600s"});
    with_cli(|program| {
        for (details, error_type, retries) in [(daily, "rate_limit", 1), (hour, "usage_limit", 0)] {
            let lab = Lab::new();
            let api = Api::start(vec![limit(details), Step::Text("Now it works.")]);
            let daemon = daemon(&lab, &api, program).set("--hold-max", 2).start();
            lab.send(&task(&lab, "a", "x"));
            let report = report(&lab, "a", "completed");
            assert_eq!((&report["retry_count"], attempts(&report).len()), (&json!(retries), 2));
            assert_eq!(attempts(&report)[0]["error_type"], error_type, "{report:#}");
            assert_eq!(lab.events("").contains(&"hold_started".to_string()), retries == 0);
            drop(daemon);
        }
    });
}

#[test]
fn work_that_a_failure_cuts_off_goes_on_in_the_same_session() {
    with_cli(|program| {
        let lab = Lab::new();
        let write = json!({"file_path": "half.txt", "content": "half\n"});
        let failed = Step::Error(503, "UNAVAILABLE", "overloaded", json!([]));
        let api =
            Api::start(vec![Step::Tool("write_file", write), failed, Step::Text("The rest.")]);
        let daemon = daemon(&lab, &api, program).start();
        lab.send(&task(&lab, "a", "two halves"));
        let report = report(&lab, "a", "completed");
        let [first, second] = attempts(&report) else { panic!("{report:#}") };
        assert_eq!(
            (&first["error_type"], &first["exit_code"]),
            (&json!("tool_failure"), &json!(247))
        );
        assert_eq!(
            (&second["resumed"], &second["session_id"]),
            (&json!(true), &first["session_id"])
        );
        assert!(api.bodies()[2].contains("half.txt"), "the conversation goes on");
        drop(daemon);
    });
}

/// A first answer that breaks off leaves no session behind, so that there is none to resume.
#[test]
fn a_first_answer_that_breaks_off_is_tried_anew() {
    with_cli(|program| {
        let lab = Lab::new();
        let api = Api::start(vec![Step::Cut, Step::Text("All of it.")]);
        let daemon = daemon(&lab, &api, program).start();
        lab.send(&task(&lab, "a", "x"));
        let report = report(&lab, "a", "completed");
        let ended: Vec<_> = attempts(&report).iter().map(|one| one["exit_code"].clone()).collect();
        assert_eq!(ended, [json!(0), json!(42), json!(0)], "{report:#}");
        assert_eq!((&report["retry_count"], &report["result"]), (&json!(1), &json!("All of it.")));
        drop(daemon);
    });
}

#[test]
fn an_overflow_is_tried_once_more_without_learnings() {
    let message =
        "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).";
    with_cli(|program| {
        let lab = Lab::new();
        let overflow = Step::Error(400, "INVALID_ARGUMENT", message, json!([]));
        let api = Api::start(vec![overflow, Step::Text("It fits.")]);
        let daemon = daemon(&lab, &api, program).start();
        lab.send(&task(&lab, "a", "x").with("learnings", json!(["a long lesson"])));
        let report = report(&lab, "a", "completed");
        assert_eq!(attempts(&report)[0]["error_type"], "context_overflow", "{report:#}");
        assert!(
            api.bodies()[0].contains("a long lesson") && !api.bodies()[1].contains("a long lesson")
        );
        drop(daemon);
    });
}

#[test]
fn it_is_ended_with_its_tools_by_a_cancel_and_at_its_ttl() {
    with_cli(|program| {
        for (name, ttl, status) in [("cancel", 3600, "cancelled"), ("ttl", 12, "timeout")] {
            let lab = Lab::new();
            let pids = lab.path("pids");
            let leave = format!("setsid sleep 7777 >/dev/null 2>&1 & echo $! >>{}", pids.display());
            let api = Api::start(vec![shell(&leave), Step::Hang]);
            let daemon = daemon(&lab, &api, program).set("--allow-tools", "Bash").start();
            lab.send(&task(&lab, name, "x").with("ttl_seconds", ttl));
            wait_until("the second request", SESSION_MAX, || {
                api.requests() > 1 || lab.report_path(name).exists()
            });
            if status == "cancelled" {
                lab.place(&format!("cancel-dispatch-{name}"), b"");
            }
            let report = report(&lab, name, status);
            if pids.exists() {
                assert!(!alive(pids_in(&pids)[0]), "{report:#}");
            }
            assert_eq!(report["retry_count"], 0);
            drop(daemon);
        }
    });
}

#[test]
fn a_running_session_is_adopted() {
    with_cli(|program| {
        let lab = Lab::new();
        let gate = lab.path("answer-now");
        let api = Api::start(vec![Step::WhenThereIs(gate.clone())]);
        let first = daemon(&lab, &api, program).start();
        lab.send(&task(&lab, "a", "x"));
        wait_for_request(&api);
        first.crash();
        let second = daemon(&lab, &api, program).start();
        lab.event("a", "adopted");
        fs::write(&gate, "").expect("let the API answer");
        let report = report(&lab, "a", "completed");
        assert_eq!((&report["result"], attempts(&report).len()), (&json!("It was there."), 1));
        drop(second);
    });
}

#[test]
fn it_commits_in_the_name_of_the_user() {
    with_cli(|program| {
        let lab = Lab::new();
        let dir = lab.repository("repository");
        let users = "[user]\n\tname = Ada L.\n\temail = ada@example.org\n";
        fs::write(lab.home.join(".gitconfig"), users).expect("write a configuration");
        let commit = "git commit -q --allow-empty -m second";
        let api = Api::start(vec![shell(commit), Step::Text("Committed.")]);
        let daemon = daemon(&lab, &api, program).set("--allow-tools", "Bash(git:*)").start();
        lab.send(&task(&lab, "a", "x").in_dir(&dir));
        let report = report(&lab, "a", "completed");
        assert_eq!(report["git"]["commits"], 1, "{report:#}");
        assert_eq!(git(&dir, "log -1 --format=%an/%ce"), "Ada L./ada@example.org");
        drop(daemon);
    });
}

#[test]
fn a_session_whose_api_never_answers_is_tried_once_more() {
    with_cli(|program| {
        let lab = Lab::new();
        let api = Api::start(vec![Step::Hang, Step::Text("Now I answer.")]);
        let daemon = daemon(&lab, &api, program).set("--first-answer-timeout", 6).start();
        lab.send(&task(&lab, "a", "x"));
        let report = report(&lab, "a", "completed");
        let [first, second] = attempts(&report) else { panic!("{report:#}") };
        assert_eq!(first["error"], "ended: no word of its model for 6 seconds");
        assert_ne!(first["session_id"], second["session_id"], "{report:#}");
        drop(daemon);
    });
}

/// A person would type the line alone; here the CLI must not wait for one.
#[test]
fn the_line_of_the_report_goes_on_with_the_session() {
    with_cli(|program| {
        let lab = Lab::new();
        let api = Api::start(vec![Step::Text("A zebra finch.")]);
        let daemon = daemon(&lab, &api, program).start();
        lab.send(&task(&lab, "a", "Name a bird."));
        let report = report(&lab, "a", "completed");
        let line = report["resume"].as_str().expect("a line");
        let path = std::env::var("PATH").unwrap_or_default();
        let typed = Command::new("sh")
            .args(["-c", &format!("{line} --skip-trust --prompt 'And another one?'")])
            .env("PATH", format!("{}:{path}", lab.path("bin").display()))
            .env("HOME", &lab.home)
            .env("GOOGLE_GEMINI_BASE_URL", api.url())
            .env("GEMINI_API_KEY", "dummy-key")
            .env("NO_PROXY", "127.0.0.1")
            .env("TMPDIR", lab.path("tmp"))
            .stdin(Stdio::null())
            .output()
            .expect("a shell");
        assert!(typed.status.success(), "{line}: {typed:?}");
        let asked = api.bodies().pop().expect("a request");
        assert!(asked.contains("And another one?") && asked.contains("Name a bird."));
        drop(daemon);
    });
}

#[test]
fn a_pull_request_that_it_opens_is_in_the_report() {
    with_cli(|program| {
        let lab = Lab::new();
        let gh = "gh() { echo https://github.com/o/r/pull/7; }; gh pr create --fill";
        let api = Api::start(vec![shell(gh), Step::Text("It is open.")]);
        let daemon = daemon(&lab, &api, program).set("--allow-tools", "Bash").start();
        lab.send(&task(&lab, "a", "x"));
        let report = report(&lab, "a", "completed");
        assert_eq!(report["pr"], "https://github.com/o/r/pull/7", "{report:#}");
        drop(daemon);
    });
}
