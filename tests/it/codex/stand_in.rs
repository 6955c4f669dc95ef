//! The whole daemon with a stand-in for Codex (`fixtures/bin-codex`), which repeats what recorded
//! sessions did: what must reach the arguments, the report, the retry and the holds.

use std::fs;

use serde_json::{Value, json};

use super::{attempts, task};
use crate::util::*;

/// A daemon that finds the stand-in.
fn daemon(lab: &Lab) -> Start<'_> {
    let inherited = std::env::var("PATH").unwrap_or_default();
    let start = lab.daemon().set("--rate-limit-backoff", 0);
    start.env("PATH", format!("{FIXTURES}/bin-codex:{FIXTURES}/bin:{inherited}"))
}

/// Runs a dispatch whose sessions go by the plan's lines, one each.
fn run(lab: &Lab, name: &str, plan: &str) -> Value {
    let dispatch = planned(lab, name, plan);
    lab.send(&dispatch);
    lab.settled(name)
}

fn planned(lab: &Lab, name: &str, plan: &str) -> Dispatch {
    let dispatch = task(lab, name).with("learnings", json!(["one"]));
    fs::write(lab.project(&format!("project-{name}")).join(".codex-plan"), plan).expect("a plan");
    dispatch
}

/// The calls of the program, in order, but for the check of its sandbox.
fn calls(lab: &Lab) -> Vec<String> {
    let noted = text_file(lab.home.join("codex-arguments"));
    noted.lines().filter(|line| !line.starts_with("sandbox")).map(String::from).collect()
}

fn ended(report: &Value) -> (&Value, &Value, usize) {
    (&report["status"], &report["error_type"], attempts(report).len())
}

#[test]
fn a_task_is_done_and_told_as_its_stream_has_it() {
    let lab = Lab::new();
    let _daemon = daemon(&lab).start();
    let dir = lab.repository("project-a");
    let report = run(&lab, "a", "replay success-write");
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 1), "{report:#}");
    assert_eq!(
        (&report["target_agent"], &report["result"]),
        (&json!("codex"), &json!("All done."))
    );
    assert_eq!((&report["input_tokens"], &report["output_tokens"]), (&json!(2000), &json!(100)));
    assert_eq!(report["usage"]["cached_input_tokens"], 200);
    assert_eq!(report.get("warnings"), None, "{report:#}");
    // The thread's own id, which nobody could choose.
    let id = report["session_id"].as_str().expect("an id");
    assert!(id.starts_with("01a21814-252c-7d53-8fe2-"), "{id}");
    let spawned = lab.audit_of("a").into_iter().find(|line| line["event"] == "spawned");
    assert!(spawned.is_some_and(|line| line.get("session_id").is_none()));
    let git = dir.canonicalize().expect("a project").join(".git");
    let wanted = format!(
        "exec --json --skip-git-repo-check -s workspace-write --add-dir {} -",
        git.display()
    );
    assert_eq!(calls(&lab), [wanted]);
}

#[test]
fn only_a_git_directory_that_points_back_is_opened_to_its_sandbox() {
    let lab = Lab::new();
    let _daemon = daemon(&lab).start();
    let main = lab.repository("main");
    git(&main, "worktree add -q ../tree");
    let (tree, stolen) = (lab.path("tree"), lab.project("stolen"));
    fs::copy(tree.join(".git"), stolen.join(".git")).expect("name another's directory");
    for (name, dir) in [("a", &tree), ("b", &stolen)] {
        fs::write(dir.join(".codex-plan"), "replay success-text").expect("a plan");
        lab.send(&task(&lab, name).in_dir(dir));
        lab.completed(name);
    }
    let git = main.canonicalize().expect("a repository").join(".git").display().to_string();
    let begin = "exec --json --skip-git-repo-check -s workspace-write";
    let opened = format!("{begin} --add-dir {git} --add-dir {git}/worktrees/tree -");
    assert_eq!(calls(&lab), [opened, format!("{begin} -")]);
}

#[test]
fn a_usage_limit_is_a_hold_until_its_reset() {
    let lab = Lab::new();
    let _daemon = daemon(&lab).start();
    let report = run(&lab, "a", "replay usage-limit 2\nreplay success-text\n");
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 2), "{report:#}");
    assert_eq!(
        (&report["retry_count"], &attempts(&report)[0]["error_type"]),
        (&json!(0), &json!("usage_limit"))
    );
    let held = lab.audit_of("").into_iter().find(|line| line["event"] == "hold_started");
    let held = held.expect("a hold");
    assert_eq!((&held["agent"], &held["kind"]), (&json!("codex"), &json!("usage_limit")), "{held}");
}

#[test]
fn a_rate_limit_is_tried_again_in_the_same_thread_and_no_token_counts_twice() {
    let lab = Lab::new();
    let _daemon = daemon(&lab).start();
    let plan = "replay write-then-rate-limit-429\nreplay resume-after-rate-limit-429\n";
    let report = run(&lab, "a", plan);
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 2), "{report:#}");
    let [one, two] = attempts(&report) else { panic!("{report:#}") };
    assert_eq!((&two["resumed"], &two["session_id"]), (&json!(true), &one["session_id"]));
    assert_eq!((&one["input_tokens"], &two["input_tokens"]), (&json!(1000), &json!(1000)));
    assert_eq!((&report["input_tokens"], &report["output_tokens"]), (&json!(2000), &json!(100)));
    let id = one["session_id"].as_str().expect("an id");
    let again = format!("exec --json --skip-git-repo-check -s workspace-write resume {id} -");
    assert_eq!(calls(&lab)[1], again);
}

#[test]
fn a_thread_that_is_gone_is_begun_anew() {
    let lab = Lab::new();
    let _daemon = daemon(&lab).start();
    let report = run(&lab, "a", "forget write-then-rate-limit-429\nreplay success-text\n");
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 3), "{report:#}");
    let resumed: Vec<bool> = attempts(&report).iter().map(|one| one["resumed"] == true).collect();
    assert_eq!((resumed, &report["retry_count"]), (vec![false, true, false], &json!(1)));
}

#[test]
fn what_it_waited_for_is_told_when_its_time_is_over() {
    let lab = Lab::new();
    let _daemon = daemon(&lab).start();
    lab.send(&planned(&lab, "a", "wait server-error-502").with("ttl_seconds", 2));
    let report = lab.settled("a");
    assert_eq!(ended(&report), (&json!("timeout"), &json!("timeout"), 1), "{report:#}");
    let error = report["error"].as_str().unwrap_or_default();
    assert!(error.contains("; its last error: unexpected status 502 Bad Gateway"), "{error}");
}

#[test]
fn what_it_says_on_stderr_before_its_first_turn_counts() {
    let lab = Lab::new();
    let _daemon = daemon(&lab).start();
    // Once without the learnings, which is all that can be left out.
    let report = run(&lab, "a", "replay prompt-too-long\nreplay success-text\n");
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 2), "{report:#}");
    assert_eq!(attempts(&report)[0]["error_type"], "context_overflow");
    let report = run(&lab, "b", "replay bad-flag");
    assert_eq!(ended(&report), (&json!("failed"), &json!("config"), 1), "{report:#}");
    assert_eq!(report["error"], "error: unexpected argument '--frobnicate' found");
}

#[test]
fn where_its_sandbox_cannot_start_the_report_says_so() {
    let lab = Lab::new();
    fs::write(lab.home.join("no-namespaces"), "").expect("shut the namespaces");
    let daemon = daemon(&lab).start();
    let warning =
        "codex cannot run commands or change files here: its sandbox needs user namespaces";
    for name in ["a", "b"] {
        let report = run(&lab, name, "replay success-text");
        assert_eq!(report["warnings"], json!([warning]), "{report:#}");
    }
    assert!(daemon.stderr().contains(warning));
    // Asked once.
    let noted = text_file(lab.home.join("codex-arguments"));
    assert_eq!(noted.matches("sandbox -- true").count(), 1);
}

#[test]
fn what_the_operator_sets_for_it_reaches_it_and_the_search_for_its_record() {
    let lab = Lab::new();
    fs::write(lab.home.join("no-namespaces"), "").expect("shut the namespaces");
    let home = lab.path("codex-home");
    let agents = json!({"codex": {"model": "gpt-x", "args": ["-c", "a=b"],
        "permission_mode": "danger-full-access", "env": {"CODEX_HOME": home}}});
    let _daemon = daemon(&lab).set("--agents", agents).start();
    let report = run(&lab, "a", "replay usage-limit 2\nreplay success-text\n");
    assert_eq!(ended(&report), (&json!("completed"), &Value::Null, 2), "{report:#}");
    // The reset of the limit stands in its record alone; without one it would be a retry.
    assert_eq!(report["retry_count"], 0, "{report:#}");
    assert!(home.join("sessions").is_dir());
    let wanted = "exec --json --skip-git-repo-check -s danger-full-access -m gpt-x -c a=b -";
    assert_eq!(calls(&lab)[0], wanted);
    // Without its sandbox nobody asks whether that works.
    assert_eq!(report.get("warnings"), None, "{report:#}");
    assert!(!text_file(lab.home.join("codex-arguments")).contains("sandbox -- true"));
}
