//! The real Codex CLI, driven by the real daemon, against an API of our own on 127.0.0.1.
//!
//! `tests/codex-cli.sh` installs the pinned version once; where it cannot be had, the tests say
//! SKIPPED. Each session has a scratch home and a dummy key. Where the machine has no user
//! namespaces, the CLI's sandbox cannot run a command, and the tests that need one say so too.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};

use super::api::{Api, Step};
use super::{attempts, task};
use crate::claude::note_skipped;
use crate::util::*;

mod confined;

const VERSION: &str = "0.169.0";
/// Its own retries take half a minute. Only failures wait for this.
pub const SESSION_MAX: Duration = Duration::from_secs(120);

/// The CLI's program, one session at a time. `None`: it cannot be had here, and that was said.
pub fn cli() -> Option<(PathBuf, MutexGuard<'static, ()>)> {
    static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static TURN: Mutex<()> = Mutex::new(());
    let found = FOUND.get_or_init(|| {
        install().inspect_err(|why| note_skipped(&format!("Codex {VERSION}"), why))
    });
    if let Err(why) = found {
        let test = std::thread::current().name().unwrap_or("a test").to_string();
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {why}");
    }
    let turn = TURN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    found.as_ref().ok().map(|program| (program.clone(), turn))
}

fn install() -> Result<PathBuf, String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/codex-cli.sh");
    let run = Command::new(script).arg(VERSION).output().expect("run tests/codex-cli.sh");
    let said = String::from_utf8_lossy(&run.stderr).trim().to_string();
    match run.status.code() {
        Some(0) => Ok(String::from_utf8_lossy(&run.stdout).trim().into()),
        Some(77) => Err(said.trim_start_matches("SKIPPED: ").to_string()),
        _ => panic!("tests/codex-cli.sh {VERSION}: {}: {said}", run.status),
    }
}

/// Whether its sandbox can start here; said where it cannot.
pub fn has_sandbox(lab: &Lab, program: &Path) -> bool {
    let mut check = Command::new(program);
    check.args(["sandbox", "--", "true"]).env("HOME", &lab.home).env("TMPDIR", temporary(lab));
    check.stderr(Stdio::null());
    let is_well = check.status().is_ok_and(|status| status.success());
    if !is_well {
        let _ = writeln!(std::io::stderr(), "SKIPPED: Codex has no sandbox here");
    }
    is_well
}

/// A daemon that finds this program, and whose sessions ask our API.
pub fn daemon<'a>(lab: &'a Lab, api: &Api, program: &Path) -> Start<'a> {
    ask(lab, api);
    let inherited = std::env::var("PATH").unwrap_or_default();
    let folder = program.parent().expect("a folder").display();
    lab.daemon()
        .set("--kill-grace", 2)
        .set("--rate-limit-backoff", 0.2)
        .env("PATH", format!("{folder}:{FIXTURES}/bin:{inherited}"))
        .env("CODEX_API_KEY", "sk-dummy")
        .env("TMPDIR", temporary(lab).display())
}

/// Its sandbox does not start where its home lies in the temporary directory, as a lab's does in
/// the machine's own.
fn temporary(lab: &Lab) -> PathBuf {
    lab.project("tmp")
}

/// Has the sessions of this home ask that API. Their sandbox leaves the machine's temporary
/// directory alone, where it would put empty folders while a command runs.
fn ask(lab: &Lab, api: &Api) {
    let home = lab.home.join(".codex");
    fs::create_dir_all(&home).expect("its home");
    let config = format!(
        "openai_base_url = \"{}\"\n[sandbox_workspace_write]\nexclude_slash_tmp = true\n\
         exclude_tmpdir_env_var = true\n",
        api.url
    );
    fs::write(home.join("config.toml"), config).expect("its configuration");
}

pub fn report(lab: &Lab, name: &str) -> Value {
    let path = lab.report_path(name);
    wait_until(&format!("the report of {name}"), SESSION_MAX, || path.exists());
    lab.settled(name)
}

/// Runs one dispatch to its report.
fn run(steps: Vec<Step>) -> Option<Value> {
    let (program, _turn) = cli()?;
    let (lab, api) = (Lab::new(), Api::start(steps));
    let _daemon = daemon(&lab, &api, &program).start();
    lab.send(&task(&lab, "a").with("learnings", json!(["one"])));
    Some(report(&lab, "a"))
}

pub fn ended(report: &Value) -> (&Value, &Value, usize) {
    (&report["status"], &report["error_type"], attempts(report).len())
}

#[test]
fn a_task_that_writes_a_file_and_commits_it() {
    let Some((program, _turn)) = cli() else { return };
    let lab = Lab::new();
    if !has_sandbox(&lab, &program) {
        return;
    }
    let commit = "echo x > x.txt; git add -A; git -c user.name=t -c user.email=t@t commit -qm x";
    let _daemon = daemon(&lab, &Api::start(vec![Step::Hang]), &program).start();
    let main = lab.repository("main");
    git(&main, "worktree add -q ../tree");
    for (name, dir) in [("main", main), ("tree", lab.path("tree"))] {
        let api = Api::start(vec![Step::Shell(commit.into()), Step::Text("I did.")]);
        ask(&lab, &api);
        lab.send(&task(&lab, name).in_dir(&dir));
        let report = report(&lab, name);
        assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 1), "{report:#}");
        assert_eq!((&report["result"], &report["commits"]), (&json!("I did."), &json!(1)));
        assert_eq!(
            (&report["input_tokens"], &report["output_tokens"]),
            (&json!(2000), &json!(100))
        );
        assert_eq!(report.get("warnings"), None, "{report:#}");
        assert_eq!(text_file(dir.join("x.txt")), "x\n");
    }
}

#[test]
fn refusals_of_the_account() {
    let body = json!({"error": {"message": "no"}});
    let quota = json!({"error": {"type": "insufficient_quota", "code": "insufficient_quota", "message": "x"}});
    for (code, body, kind) in
        [(401, body.clone(), "auth"), (402, body, "billing"), (429, quota, "billing")]
    {
        let Some(report) = run(vec![Step::Status(code, body)]) else { return };
        assert_eq!(ended(&report), (&json!("failed"), &json!(kind), 1), "{report:#}");
    }
}

#[test]
fn a_rate_limit_that_is_over_is_resumed() {
    let slow = Step::Status(429, json!({"error": {"message": "slow down"}}));
    let Some(report) = run(vec![slow.clone(), Step::Text("Done.")]) else { return };
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 2), "{report:#}");
    // After some work it is the same thread, whose tokens count once.
    let steps = vec![Step::Shell("true".into()), slow, Step::Text("Done.")];
    let Some(report) = run(steps) else { return };
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 2), "{report:#}");
    let [one, two] = attempts(&report) else { panic!("{report:#}") };
    assert_eq!((&two["resumed"], &two["session_id"]), (&json!(true), &one["session_id"]));
    assert_eq!((&one["input_tokens"], &two["input_tokens"]), (&json!(1000), &json!(1000)));
    assert_eq!(report["input_tokens"], 2000, "{report:#}");
}

#[test]
fn a_usage_limit_is_waited_out() {
    let Some(report) = run(vec![Step::UsageLimit(4), Step::Text("Done.")]) else { return };
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 2), "{report:#}");
    let first = &attempts(&report)[0];
    assert_eq!((&first["error_type"], &report["retry_count"]), (&json!("usage_limit"), &json!(0)));
}

#[test]
fn other_failures_of_the_api() {
    let invalid = json!({"error": {"type": "invalid_request_error", "code": "invalid_prompt", "message": "x"}});
    for (step, kind, count) in [
        (Step::Failed("context_length_exceeded"), "context_overflow", 2),
        (Step::Status(400, invalid), "logic_error", 1),
        (Step::Cut, "tool_failure", 2),
    ] {
        let Some(report) = run(vec![step]) else { return };
        assert_eq!(ended(&report), (&json!("failed"), &json!(kind), count), "{report:#}");
    }
}

#[test]
fn a_session_whose_api_never_answers_is_tried_once_more() {
    let Some((program, _turn)) = cli() else { return };
    let (lab, api) = (Lab::new(), Api::start(vec![Step::Hang, Step::Text("Now I answer.")]));
    let _daemon = daemon(&lab, &api, &program).set("--first-answer-timeout", 4).start();
    lab.send(&task(&lab, "a"));
    let report = report(&lab, "a");
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 2), "{report:#}");
    let [one, two] = attempts(&report) else { panic!("{report:#}") };
    assert_eq!(one["error"], "ended: no word of its model for 4 seconds");
    assert_ne!(one["session_id"], two["session_id"], "{report:#}");
}

/// The line itself opens its screen, for which there is nobody here (by hand: it shows the session's
/// conversation, and says of an unknown id that there is none); `exec` takes the same words.
#[test]
fn the_line_of_the_report_goes_on_with_the_session() {
    let Some((program, _turn)) = cli() else { return };
    let (lab, api) = (Lab::new(), Api::start(vec![Step::Text("A zebra finch.")]));
    let _daemon = daemon(&lab, &api, &program).start();
    lab.send(&task(&lab, "a"));
    let report = report(&lab, "a");
    let line = report["resume"].as_str().expect("a line");
    let headless = line.replace("codex resume", "codex exec --json --skip-git-repo-check resume");
    let typed = Command::new("sh")
        .args(["-c", &format!("{headless} 'And another one?'")])
        .env("PATH", format!("{}:/usr/bin:/bin", program.parent().expect("a folder").display()))
        .env("HOME", &lab.home)
        .env("CODEX_API_KEY", "sk-dummy")
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    assert!(typed.status.success(), "{headless}: {typed:?}");
    let begun = String::from_utf8_lossy(&typed.stdout).lines().next().map(String::from);
    let begun: Value = serde_json::from_str(&begun.expect("an event")).expect("JSON");
    assert_eq!(begun["thread_id"], report["session_id"], "the same thread");
}

#[test]
fn a_pull_request_that_it_opens_is_in_the_report() {
    let Some((program, _turn)) = cli() else { return };
    let lab = Lab::new();
    if !has_sandbox(&lab, &program) {
        return;
    }
    let gh = "gh() { echo https://github.com/o/r/pull/7; }; gh pr create --fill";
    let api = Api::start(vec![Step::Shell(gh.into()), Step::Text("It is open.")]);
    let _daemon = daemon(&lab, &api, &program).start();
    lab.send(&task(&lab, "a"));
    let report = report(&lab, "a");
    assert_eq!(report["pr"], "https://github.com/o/r/pull/7", "{report:#}");
}

/// It says so itself, in a turn that it completes.
#[test]
fn a_model_that_refuses() {
    let Some(report) = run(vec![Step::Refusal("I will not do that.")]) else { return };
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 1), "{report:#}");
    let warning = "codex completed its turn without a message";
    assert_eq!(report["warnings"], json!([warning]), "{report:#}");
    assert_eq!(report.get("result"), None, "{report:#}");
}

/// Its own repetitions, which take half a minute, are turned off.
#[test]
fn a_server_in_trouble_is_asked_once_more() {
    let Some((program, _turn)) = cli() else { return };
    for code in [500, 502] {
        let lab = Lab::new();
        let trouble = Step::Status(code, json!({"error": {"message": "trouble"}}));
        let api = Api::start(vec![Step::Shell("true".into()), trouble, Step::Text("Done.")]);
        let daemon = daemon(&lab, &api, &program);
        let config = format!(
            "model_provider = \"ours\"\n[model_providers.ours]\nname = \"ours\"\nbase_url = \"{}\"\n\
             wire_api = \"responses\"\nrequest_max_retries = 0\nstream_max_retries = 0\n",
            api.url
        );
        fs::write(lab.home.join(".codex/config.toml"), config).expect("its configuration");
        let _daemon = daemon.start();
        lab.send(&task(&lab, "a"));
        let report = report(&lab, "a");
        assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 2), "{report:#}");
        let [one, two] = attempts(&report) else { panic!("{report:#}") };
        assert_eq!(one["error_type"], "tool_failure", "{report:#}");
        assert_eq!((&two["resumed"], &report["input_tokens"]), (&json!(true), &json!(2000)));
        assert_eq!(api.requests(), 3, "{report:#}");
    }
}
