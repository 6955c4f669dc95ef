//! What a report has besides the agent's word: what git, tools and the operator's acceptance
//! command say; and the terms on which the operator lets agents into a project.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::util::*;

fn config(lab: &Lab, settings: Value) {
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    fs::write(lab.ours().join("config.json"), settings.to_string()).expect("config.json");
}

fn warned(report: &Value, text: &str) -> bool {
    let warnings = report["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    warnings.iter().any(|warning| warning.as_str().is_some_and(|said| said.contains(text)))
}

// ---------------------------------------------------------------------------------------- the work

#[test]
fn the_pull_request_that_the_agent_opened_is_reported() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let url = "https://github.com/someone/shop/pull/12";
    let opens =
        format!("fake: tool Bash gh pr create --fill\nfake: answer {url}\nfake: result success ok");
    lab.send(&lab.task("a", opens));
    let says =
        format!("fake: tool Bash gh pr list\nfake: answer {url}\nfake: result success See {url}");
    lab.send(&lab.task("b", says));
    assert_eq!(lab.completed("a")["pr"], url);
    assert!(lab.completed("b").get("pr").is_none());
    drop(daemon);
}

#[test]
fn a_pull_request_of_the_attempt_before_the_retry_is_reported() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let url = "https://github.com/someone/shop/pull/12";
    let task = format!(
        "fake: remember\nfake: once tool Bash gh pr create\nfake: answer {url}\n\
         fake: once result error 429 rate_limit\nfake: once exit 1"
    );
    lab.send(&lab.task("a", task));
    let report = lab.completed("a");
    assert_eq!((&report["retry_count"], &report["pr"]), (&json!(1), &json!(url)), "{report:#}");
    drop(daemon);
}

#[test]
fn a_lock_that_a_killed_git_left_is_told() {
    let lab = Lab::new();
    let dir = lab.repository("shop");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: tool Bash git\nfake: write .git/index.lock x").in_dir(&dir));
    assert!(warned(&lab.completed("a"), ".git/index.lock"));
    fs::remove_file(dir.join(".git/index.lock")).expect("remove the lock");
    lab.send(&lab.task("b", "fake: tool Bash git").in_dir(&dir));
    assert!(!warned(&lab.completed("b"), ".git/index.lock"));
    drop(daemon);
}

#[test]
fn a_session_that_was_denied_its_tools_and_did_nothing_says_so() {
    let lab = Lab::new();
    let dir = lab.repository("shop");
    let daemon = lab.daemon().start();
    let denied = "fake: tool Bash git push\nfake: deny Bash\nfake: deny Bash";
    lab.send(&lab.task("a", denied).in_dir(&dir));
    assert!(warned(&lab.completed("a"), "it was denied 2 tools and changed nothing"));
    lab.send(&lab.task("b", format!("{denied}\nfake: write new x")).in_dir(&dir));
    assert!(!warned(&lab.completed("b"), "changed nothing"));
    drop(daemon);
}

// ------------------------------------------------------------------------------ acceptance command

/// An acceptance command for the project `shop`.
pub fn verified_by(lab: &Lab, dir: &Path, script: &str, timeout_seconds: f64) {
    let argv = json!(["sh", "-c", script]);
    let entry = json!({"argv": argv, "timeout_seconds": timeout_seconds});
    config(lab, json!({"verify": {dir.to_str().expect("UTF-8"): entry}}));
}

#[test]
fn work_that_passes_its_check_is_completed() {
    let lab = Lab::new();
    let dir = lab.project("shop");
    verified_by(&lab, &dir, "cat made; echo \"ran for $GSTACK_DISPATCH_ID\" >&2", 20.0);
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: write made by the agent").in_dir(&dir));
    let report = lab.completed("a");
    let verify = &report["verify"];
    assert_eq!(verify["exit_code"], 0, "{report:#}");
    assert_eq!(verify["output"], "by the agent\nran for dispatch-a");
    assert!(verify["duration"].is_f64(), "{report:#}");
    lab.settled("a");
    assert!(lab.finished("a").join("attempt-1/verify.log").exists());
    // Not for other projects.
    lab.send(&lab.task("b", "hello"));
    assert!(lab.completed("b").get("verify").is_none());
    drop(daemon);
}

#[test]
fn work_that_does_not_pass_its_check_has_failed() {
    let lab = Lab::new();
    let dir = lab.project("shop");
    verified_by(
        &lab,
        &dir,
        "i=0; while [ $i -lt 50 ]; do i=$((i+1)); echo line $i; done; exit 3",
        20.0,
    );
    let daemon = lab.daemon().start();
    // A directory below it is no way around it.
    fs::create_dir(dir.join("below")).expect("create below");
    lab.send(&lab.task("a", "fake: result success done").in_dir(&dir.join("below")));
    let report = lab.failed("a", "verify_failed");
    assert_eq!(report["error"], "the acceptance command did not pass: exit code 3");
    assert_eq!((&report["retry_count"], &report["result"]), (&json!(0), &json!("done")));
    assert_eq!(report["verify"]["exit_code"], 3);
    let output = report["verify"]["output"].as_str().expect("its last lines");
    assert!(output.starts_with("line 31\n") && output.ends_with("\nline 50"), "{output}");
    drop(daemon);
}

#[test]
fn a_check_that_hangs_is_ended_with_all_that_it_started() {
    let lab = Lab::new();
    let dir = lab.project("shop");
    let child = lab.path("child");
    let script = format!("setsid sleep 7777 >/dev/null & echo $! >{}; sleep 7777", child.display());
    verified_by(&lab, &dir, &script, 1.0);
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").in_dir(&dir));
    let report = lab.failed("a", "verify_failed");
    assert_eq!(report["error"], "the acceptance command did not pass: it took over 1 seconds");
    assert_eq!(report["verify"]["timed_out"], true);
    assert!(pids_in(&child).iter().all(|pid| !alive(*pid)));
    drop(daemon);
}

#[test]
fn a_check_that_floods_its_log_is_ended() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let dir = lab.project("shop");
    let script = format!("head -c 200000 /dev/zero; read _ <{}", gate.display());
    verified_by(&lab, &dir, &script, 60.0);
    let daemon = lab.daemon().set("--stdout-max-mb", 0.1).start();
    lab.send(&lab.task("a", "hello").in_dir(&dir));
    let report = lab.failed("a", "verify_failed");
    assert!(report["error"].as_str().is_some_and(|e| e.contains("more than 0.1 MB")), "{report:#}");
    drop(daemon);
}

#[test]
fn a_check_whose_program_is_not_there_did_not_pass() {
    let lab = Lab::new();
    config(&lab, json!({"verify": {"project-a": {"argv": ["/nowhere/check"]}}}));
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    let report = lab.failed("a", "verify_failed");
    assert!(report["error"].as_str().is_some_and(|e| e.contains("/nowhere/check")), "{report:#}");
    drop(daemon);
}

#[test]
fn only_work_that_would_be_completed_is_checked() {
    let lab = Lab::new();
    let dir = lab.project("shop");
    let ran = lab.path("ran");
    verified_by(&lab, &dir, &format!("touch {}", ran.display()), 20.0);
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: result refusal").in_dir(&dir));
    assert!(lab.failed("a", "logic_error").get("verify").is_none());
    assert!(!ran.exists());
    drop(daemon);
}

#[test]
fn a_check_can_be_cancelled() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let dir = lab.project("shop");
    verified_by(&lab, &dir, &format!("read _ <{}", gate.display()), 60.0);
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").in_dir(&dir));
    let _hold = gate.held();
    fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("cancel");
    let report = lab.ended("a", "cancelled", "cancelled");
    assert_eq!(report["error"], "cancelled while the finished work was verified");
    drop(daemon);
}

#[test]
fn a_check_that_a_crash_cut_off_is_run_again() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let dir = lab.project("shop");
    verified_by(&lab, &dir, &format!("read _ <{}", gate.display()), 60.0);
    // More often than a stream may take a daemon down.
    for _ in 0..4 {
        let daemon = lab.daemon().start();
        if !lab.active("a").exists() {
            lab.send(&lab.task("a", "hello").in_dir(&dir));
        }
        let _hold = gate.held();
        daemon.crash();
    }
    let daemon = lab.daemon().start();
    gate.held().release();
    let report = lab.completed("a");
    assert_eq!(report["verify"]["exit_code"], 0, "{report:#}");
    drop(daemon);
}

// ------------------------------------------------------------------------------------------- terms

/// The arguments of a session in that directory, one a line, and what the dispatch asked for
/// besides.
fn arguments(lab: &Lab, name: &str, dir: &Path) -> String {
    let dump = lab.path(&format!("dump-{name}"));
    let greedy = json!(["Bash"]);
    let task = lab.task(name, format!("fake: dump {}", dump.display())).in_dir(dir);
    // No field of a dispatch widens anything.
    let task = task.with("allow_tools", greedy).with("strict", false).with("model", "greedy");
    lab.send(&task.with("permission_mode", "bypassPermissions").with("setting_sources", "project"));
    lab.completed(name);
    text_file(dump.join("argv"))
}

#[test]
fn each_project_has_its_own_terms() {
    let lab = Lab::new();
    let (trusted, untrusted) = (lab.project("trusted"), lab.project("untrusted"));
    fs::create_dir(untrusted.join("below")).expect("create below");
    std::os::unix::fs::symlink(&untrusted, lab.path("link")).expect("symlink");
    let place = |dir: &Path| dir.to_str().expect("UTF-8").to_string();
    config(
        &lab,
        json!({"model": "plain", "allow_tools": ["Read"], "projects": {
            place(&trusted): {"allow_tools": ["Bash(make:*)"], "max_turns": 7, "max_budget_usd": 1.5,
                              "model": "best", "extra_args": ["--fallback-model", "x"]},
            place(&lab.path("link")): {"strict": true, "allow_tools": []},
        }}),
    );
    let daemon = lab.daemon().start();
    let own = arguments(&lab, "a", &trusted);
    for words in [
        "--allowedTools\nBash(make:*)\n--model\nbest\n",
        "--max-turns\n7\n",
        "--max-budget-usd\n1.5\n",
        "--fallback-model\nx\n",
    ] {
        assert!(own.contains(words), "{words}: {own}");
    }
    assert!(!own.contains("Read") && !own.contains("strict"), "{own}");
    for (name, dir) in
        [("b", untrusted.clone()), ("c", untrusted.join("below")), ("d", lab.path("link"))]
    {
        let strict = arguments(&lab, name, &dir);
        assert!(strict.contains("--setting-sources\nuser\n--strict-mcp-config\n"), "{strict}");
        assert!(
            strict.contains("--model\nplain\n") && !strict.contains("--allowedTools"),
            "{strict}"
        );
    }
    let other = arguments(&lab, "e", &lab.project("other"));
    assert!(
        other.contains("--allowedTools\nRead\n") && !other.contains("--setting-sources"),
        "{other}"
    );
    assert!(!format!("{own}{other}").contains("greedy"));
    drop(daemon);
}

#[test]
fn the_terms_for_all_projects_are_flags() {
    let lab = Lab::new();
    let daemon = lab
        .daemon()
        .set("--model", "m")
        .set("--max-turns", 3)
        .set("--max-budget-usd", 0.5)
        .set("--setting-sources", "user,local")
        .start();
    let argv = arguments(&lab, "a", &lab.project("shop"));
    let words =
        "--model\nm\n--max-turns\n3\n--max-budget-usd\n0.5\n--setting-sources\nuser,local\n";
    assert!(argv.contains(words), "{argv}");
    drop(daemon);
    let daemon = lab.daemon().word("--strict").start();
    assert!(arguments(&lab, "b", &lab.project("shop")).contains("--strict-mcp-config"));
    drop(daemon);
}
