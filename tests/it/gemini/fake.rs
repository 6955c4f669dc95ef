//! The whole daemon with a fake Gemini CLI (`fixtures/bin-agents/gemini`): what it is started with,
//! what its reports say, retries, holds, and how it is ended.

use serde_json::{Value, json};

use crate::util::*;

/// A daemon that has a Gemini CLI beside its Claude Code.
fn daemon(lab: &Lab) -> Start<'_> {
    let path = std::env::var("PATH").unwrap_or_default();
    lab.daemon().env("PATH", format!("{FIXTURES}/bin-agents:{FIXTURES}/bin:{path}"))
}

fn task(lab: &Lab, name: &str, orders: &str) -> Dispatch {
    lab.task(name, orders).with("target_agent", "gemini")
}

fn attempts(report: &Value) -> &[Value] {
    report["attempts"].as_array().map_or(&[], Vec::as_slice)
}

/// An event's words, as they stand in a string of JSON.
fn quoted(text: &str) -> String {
    let quoted = json!(text).to_string();
    quoted[1..quoted.len() - 1].to_string()
}

#[test]
fn a_dispatch_for_gemini_becomes_a_report() {
    let lab = Lab::new();
    let dump = lab.path("dump");
    let daemon = daemon(&lab)
        .set("--allow-tools", "Bash(git:*)")
        .set("--model", "opus")
        .env("GEMINI_API_KEY", "k")
        .start();
    let orders = format!(
        "fake: dump {}\nfake: say I look.\nfake: call read_file a\nfake: say All done.",
        dump.display()
    );
    lab.send(&task(&lab, "a", &orders));
    let report = lab.completed("a");
    assert_eq!(
        (&report["target_agent"], &report["result"]),
        (&json!("gemini"), &json!("All done."))
    );
    assert_eq!((&report["input_tokens"], &report["output_tokens"]), (&json!(100), &json!(20)));
    assert_eq!((&report["num_turns"], &report["exit_code"]), (&json!(2), &json!(0)), "{report:#}");
    let session = report["session_id"].as_str().expect("a session");
    let argv = text_file(dump.join("argv")).replace('\n', " ");
    assert_eq!(
        argv.trim(),
        format!(
            "--output-format stream-json --skip-trust --approval-mode auto_edit \
             --allowed-tools run_shell_command(git) --session-id {session}"
        )
    );
    assert!(text_file(dump.join("prompt")).starts_with("Load gstack. Dispatch ID: dispatch-a."));
    let env = text_file(dump.join("env"));
    for variable in
        ["GEMINI_CLI_NO_RELAUNCH=1", "GEMINI_API_KEY=k", "GSTACK_DISPATCH_ID=dispatch-a"]
    {
        assert!(env.lines().any(|line| line == variable), "{variable}\n{env}");
    }
    assert_eq!(text_file(dump.join("cwd")).trim(), lab.path("project-a").to_string_lossy());
    drop(daemon);
}

#[test]
fn denials_and_warnings_stand_in_the_report() {
    let lab = Lab::new();
    let daemon = daemon(&lab).start();
    let orders = "fake: deny run_shell_command git push\nfake: warn Loop detected, stopping execution\nfake: say x";
    lab.send(&task(&lab, "a", orders));
    let report = lab.completed("a");
    let denial = json!([{"tool_name": "run_shell_command", "input": "git push"}]);
    assert_eq!(report["permission_denials"], denial, "{report:#}");
    let warnings = report["warnings"].to_string();
    for words in ["1 tool call was denied (run_shell_command)", "gemini warned: Loop detected"] {
        assert!(warnings.contains(words), "{warnings}");
    }
    drop(daemon);
}

#[test]
fn after_a_server_error_the_session_is_taken_up_again() {
    let lab = Lab::new();
    let daemon = daemon(&lab).start();
    lab.send(&task(&lab, "a", "fake: say Half of it.\nfake: once fail 247 [API Error: trouble]"));
    let report = lab.completed("a");
    let [first, second] = attempts(&report) else { panic!("{report:#}") };
    assert_eq!(
        (&first["error_type"], &first["error"]),
        (&json!("tool_failure"), &json!("[API Error: trouble]"))
    );
    assert_eq!((&second["resumed"], &second["session_id"]), (&json!(true), &first["session_id"]));
    assert_eq!((&report["retry_count"], &report["input_tokens"]), (&json!(1), &json!(200)));
    drop(daemon);
}

#[test]
fn a_session_that_it_does_not_know_is_begun_anew_within_the_same_retry() {
    let lab = Lab::new();
    let daemon = daemon(&lab).start();
    let orders = "fake: forget\nfake: say Half.\nfake: once fail 1 [API Error: terminated]";
    lab.send(&task(&lab, "a", orders));
    let report = lab.completed("a");
    let ended: Vec<_> = attempts(&report)
        .iter()
        .map(|one| (one["resumed"] == true, one["exit_code"].clone()))
        .collect();
    assert_eq!(ended, [(false, json!(1)), (true, json!(42)), (false, json!(0))], "{report:#}");
    assert_eq!(report["retry_count"], 1);
    drop(daemon);
}

#[test]
fn a_limit_that_says_when_it_opens_is_a_hold_and_no_failure() {
    let lab = Lab::new();
    let daemon = daemon(&lab).set("--hold-max", 2).start();
    let words = quoted(
        "[API Error: You exceeded your current quota.\nSuggested retry after 3600s.]\nPlease wait",
    );
    lab.send(&task(&lab, "a", &format!("fake: once fail 173 {words}")));
    let line = lab.event("", "hold_started");
    assert_eq!(
        (&line["agent"], &line["kind"]),
        (&json!("gemini"), &json!("usage_limit")),
        "{line}"
    );
    // The other agent works meanwhile.
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    let report = lab.completed("a");
    assert_eq!((&report["retry_count"], attempts(&report).len()), (&json!(0), 2), "{report:#}");
    assert_eq!(attempts(&report)[0]["error_type"], "usage_limit");
    drop(daemon);
}

#[test]
fn recorded_failures_are_told_by_their_kinds() {
    for (recording, code, error_type) in [
        ("auth-401", 145, "auth"),
        ("billing-402", 146, "billing"),
        ("key-invalid-400", 144, "auth"),
        ("model-not-found-404", 1, "config"),
        ("invalid-request-400", 144, "logic_error"),
        ("prompt-never-sent", 0, "context_overflow"),
        ("blocked-answer", 0, "logic_error"),
    ] {
        // A daemon for each: some of these hold the agent.
        let lab = Lab::new();
        let daemon = daemon(&lab).start();
        let stream = format!("{FIXTURES}/streams/gemini/0.61.0/{recording}.jsonl");
        lab.send(&task(&lab, "a", &format!("fake: replay {stream} {code}")));
        let report = lab.failed("a", error_type);
        assert_eq!((&report["retry_count"], &report["exit_code"]), (&json!(0), &json!(code)));
        drop(daemon);
    }
}

#[test]
fn what_only_the_exit_code_tells_counts() {
    let lab = Lab::new();
    let daemon = daemon(&lab).start();
    lab.send(&task(&lab, "a", "fake: fail 173 [API Error: Quota exhausted, it resets soon]"));
    let report = lab.failed("a", "rate_limit");
    assert_eq!((&report["retry_count"], &report["exit_code"]), (&json!(1), &json!(173)));
    drop(daemon);
}

#[test]
fn it_is_ended_with_its_tools_by_a_cancel_and_at_its_ttl() {
    let lab = Lab::new();
    let (gate, pids) = (lab.gate("gate"), lab.path("pids"));
    let daemon = daemon(&lab).start();
    let orders = format!(
        "fake: say I begin.\nfake: setsid-child {}\nfake: block {}",
        pids.display(),
        gate.display()
    );
    lab.send(&task(&lab, "a", &orders));
    let child = pids_in(&pids)[0];
    lab.place("cancel-dispatch-a", b"");
    let report = lab.ended("a", "cancelled", "cancelled");
    assert!(!alive(child), "{report:#}");
    lab.send(&task(&lab, "b", &orders).with("ttl_seconds", 1));
    let report = lab.ended("b", "timeout", "timeout");
    assert!(!alive(pids_in(&pids)[1]), "{report:#}");
    assert_eq!(report["retry_count"], 0);
    drop(daemon);
}

/// What is adopted has no exit that we see: its result is enough.
#[test]
fn a_session_outlives_its_daemon_and_is_adopted() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let first = daemon(&lab).start();
    let orders =
        format!("fake: say I begin.\nfake: block {}\nfake: say All of it.", gate.display());
    lab.send(&task(&lab, "a", &orders));
    let hold = gate.held();
    first.crash();
    let second = daemon(&lab).start();
    hold.release();
    let report = lab.completed("a");
    assert_eq!((&report["result"], attempts(&report).len()), (&json!("I begin.All of it."), 1));
    drop(second);
}

/// Its shell hides the user's configuration from git; what the daemon is told itself stands.
#[test]
fn who_commits_is_told_by_variables() {
    let users = "[user]\n\tname = Ada L.\n\temail = ada@example.org\n";
    for (name, agent, repositorys, own, wanted) in [
        ("user", "gemini", None, None, Some("Ada L.")),
        ("repository", "gemini", Some("user.name Bot"), None, None),
        ("daemon", "gemini", None, Some("Cron"), Some("Cron")),
        ("claude", "claude", None, None, None),
    ] {
        let lab = Lab::new();
        let (dump, dir) = (lab.path("dump"), lab.repository("repository"));
        std::fs::write(lab.home.join(".gitconfig"), users).expect("write a configuration");
        if let Some(setting) = repositorys {
            git(&dir, &format!("config {setting}"));
        }
        let mut daemon = daemon(&lab);
        if let Some(own) = own {
            daemon = daemon.env("GIT_AUTHOR_NAME", own);
        }
        let daemon = daemon.start();
        let order = format!("fake: dump {}", dump.display());
        lab.send(&lab.task("a", order).in_dir(&dir).with("target_agent", agent));
        lab.completed("a");
        let env = text_file(dump.join("env"));
        let author = env.lines().find_map(|line| line.strip_prefix("GIT_AUTHOR_NAME="));
        let committer = env.lines().find_map(|line| line.strip_prefix("GIT_COMMITTER_EMAIL="));
        assert_eq!(author, wanted, "{name}");
        assert_eq!(committer.is_some(), name == "user", "{name}");
        drop(daemon);
    }
}
