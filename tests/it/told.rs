//! What is told of a dispatch, in its report, the heartbeat and the log: what was wrong with the
//! file, what the session found in the working tree, what all of it cost; in words, and never more
//! than fits.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::util::*;

fn warnings(report: &Value) -> Vec<&str> {
    let list = report["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    list.iter().filter_map(Value::as_str).collect()
}

fn warned(report: &Value, text: &str) -> bool {
    warnings(report).iter().any(|warning| warning.contains(text))
}

// --------------------------------------------------------------------------------------- heartbeat

#[test]
fn a_heartbeat_stays_small_whatever_a_project_is_called() {
    let lab = Lab::new();
    let gates = [lab.gate("gate-a"), lab.gate("gate-b")];
    let daemon = lab.daemon().start();
    let long = "p".repeat(900_000);
    for (name, gate) in ["a", "b"].iter().zip(&gates) {
        let task = format!("fake: block {}", gate.display());
        lab.send(&lab.task(name, task).with("project", long.as_str()));
    }
    let holds = gates.each_ref().map(Gate::held);
    let beat = lab.heartbeat("two sessions", |beat| beat["active"] == 2);
    for session in beat["sessions"].as_array().expect("sessions") {
        let project = session["project"].as_str().expect("a project");
        assert!(project.starts_with("ppp") && project.chars().count() <= 200);
    }
    assert!(beat.to_string().len() < 10_000);
    holds.into_iter().for_each(Hold::release);
    // The report has it as it was dispatched.
    assert_eq!(lab.completed("a")["project"], long.as_str());
    lab.completed("b");
    drop(daemon);
}

// ---------------------------------------------------------------------------------- unknown fields

#[test]
fn unknown_fields_are_warned_of_with_the_name_that_was_probably_meant() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let task = lab.task("a", "hello").with("ttl", 600).with("priority", 1).with("Task", "x");
    lab.send(&task);
    let report = lab.completed("a");
    assert!(warned(&report, "unknown field ttl: did you mean ttl_seconds?"), "{report:#}");
    assert!(warned(&report, "unknown field Task: did you mean task?"), "{report:#}");
    let plain: Vec<_> = warnings(&report).into_iter().filter(|w| w.contains("priority")).collect();
    assert_eq!(plain.len(), 1, "{report:#}");
    assert!(!plain[0].contains("did you mean"), "{report:#}");
    assert_eq!(lab.event("a", "unknown_fields")["fields"].as_array().map(Vec::len), Some(3));
    // Where no session ran, and where the field is what is missing.
    lab.send(&lab.task("b", "hello").with("target_agent", "codex").with("allow_tools", json!([])));
    let report = lab.failed("b", "unsupported_agent");
    assert!(warned(&report, "unknown field allow_tools"), "{report:#}");
    let mut typo = lab.task("c", "hello").with("taks", "Do it.");
    typo.0.as_object_mut().expect("an object").remove("task");
    lab.send(&typo);
    let report = lab.failed("c", "invalid_dispatch");
    let error = report["error"].as_str().expect("an error");
    assert!(error.contains("task is missing") && error.contains("taks"), "{error}");
    drop(daemon);
}

#[test]
fn a_file_that_is_not_json_is_said_to_be_none() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.place("dispatch-x.json", b"{\"id\": \"dispatch-x\",");
    let (_, reason) = lab.rejected("dispatch-x.json");
    let error = reason["error"].as_str().expect("an error");
    assert!(error.contains("is not JSON: "), "{error}");
    wait_until("it is logged", PATIENCE, || daemon.stderr().contains("is not JSON: "));
    drop(daemon);
}

// ------------------------------------------------------------------------------ the tree before it

/// Waits until what was written so far is older than whatever starts now.
fn let_it_age(path: &Path) {
    wait_until("a moment later", PATIENCE, || {
        let written = fs::metadata(path).and_then(|meta| meta.modified()).expect("its time");
        written.elapsed().is_ok_and(|age| age > Duration::from_millis(100))
    });
}

/// A repository with an uncommitted change, an untracked file, an untracked folder and a file that
/// is gone.
fn dirty_repository(lab: &Lab, name: &str) -> std::path::PathBuf {
    let dir = lab.repository(name);
    fs::create_dir(dir.join("old")).expect("create old");
    fs::write(dir.join("old/gone"), "x\n").expect("write gone");
    git(&dir, "add old");
    git(&dir, "commit -q -m second");
    fs::remove_file(dir.join("old/gone")).expect("remove gone");
    fs::write(dir.join("README"), "changed by hand\n").expect("write README");
    fs::write(dir.join("notes"), "mine\n").expect("write notes");
    fs::create_dir(dir.join("drafts")).expect("create drafts");
    fs::write(dir.join("drafts/one"), "mine\n").expect("write a draft");
    let_it_age(&dir.join("drafts/one"));
    dir
}

#[test]
fn a_tree_that_was_dirty_before_the_session_is_recorded_and_warned_of() {
    let lab = Lab::new();
    let dir = dirty_repository(&lab, "shop");
    let daemon = lab.daemon().start();
    // What the session itself changed, and then left dirty, is not counted.
    let task = "fake: tool Write new\nfake: write new x\nfake: write drafts/two x";
    lab.send(&lab.task("a", task).in_dir(&dir));
    let report = lab.completed("a");
    assert_eq!(report["git"]["dirty_files"], 5, "{report:#}");
    assert_eq!(report["git"]["dirty_before"], 4, "{report:#}");
    assert!(report["git"].get("dirty_committed").is_none(), "{report:#}");
    assert!(warned(&report, "4 files had uncommitted changes before the session"), "{report:#}");
    drop(daemon);
}

#[test]
fn uncommitted_work_that_the_agent_took_along_is_told() {
    let lab = Lab::new();
    let dir = dirty_repository(&lab, "shop");
    let daemon = lab.daemon().start();
    let task = "fake: tool Bash git commit\nfake: write new x\nfake: commit all";
    lab.send(&lab.task("a", task).in_dir(&dir));
    let report = lab.completed("a");
    assert_eq!((&report["commits"], &report["git"]["dirty_files"]), (&json!(1), &json!(0)));
    let git_facts = &report["git"];
    assert_eq!(
        (&git_facts["dirty_before"], &git_facts["dirty_committed"]),
        (&json!(4), &json!(4)),
        "{report:#}"
    );
    assert!(warned(&report, "4 of them are in its commits"), "{report:#}");
    // A new repository: all that it commits first.
    let new = lab.project("new");
    git(&new, "init -q -b main");
    fs::write(new.join("mine"), "x\n").expect("write mine");
    let_it_age(&new.join("mine"));
    lab.send(&lab.task("b", task).in_dir(&new));
    let report = lab.completed("b");
    assert_eq!(report["git"]["dirty_committed"], 1, "{report:#}");
    assert!(warned(&report, "1 file had uncommitted changes before the session"), "{report:#}");
    drop(daemon);
}

#[test]
fn a_clean_tree_was_not_dirty_and_without_tools_nobody_looks() {
    let lab = Lab::new();
    let clean = lab.repository("clean");
    let dirty = dirty_repository(&lab, "dirty");
    let daemon = lab.daemon().start();
    let task =
        "fake: tool Bash git commit\nfake: write README new\nfake: commit it\nfake: write README x";
    lab.send(&lab.task("a", task).in_dir(&clean));
    let report = lab.completed("a");
    assert_eq!(report["git"]["dirty_before"], 0, "{report:#}");
    assert_eq!(report["git"]["dirty_files"], 1, "{report:#}");
    assert!(report.get("warnings").is_none(), "{report:#}");
    lab.send(&lab.task("b", "fake: write new x").in_dir(&dirty));
    let report = lab.completed("b");
    assert!(report["git"].get("dirty_before").is_none(), "{report:#}");
    drop(daemon);
}

#[test]
fn history_that_was_rewritten_says_nothing_of_what_was_dirty() {
    let lab = Lab::new();
    let dir = lab.repository("shop");
    fs::write(dir.join("second"), "x\n").expect("write");
    git(&dir, "add second");
    git(&dir, "commit -q -m second");
    let_it_age(&dir.join("second"));
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    let task = format!("fake: tool Bash git reset\nfake: block {}", gate.display());
    lab.send(&lab.task("a", task).in_dir(&dir));
    let hold = gate.held();
    git(&dir, "reset -q --soft HEAD~1");
    hold.release();
    let report = lab.completed("a");
    assert_eq!(report["git"]["dirty_files"], 1, "{report:#}");
    assert!(report["git"].get("dirty_before").is_none(), "{report:#}");
    assert!(report.get("warnings").is_none(), "{report:#}");
    drop(daemon);
}

#[test]
fn a_file_that_a_session_dates_back_is_its_own_work_all_the_same() {
    let lab = Lab::new();
    let dir = lab.repository("shop");
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    let task =
        format!("fake: tool Bash touch\nfake: write forged x\nfake: block {}", gate.display());
    lab.send(&lab.task("a", task).in_dir(&dir));
    let hold = gate.held();
    let forged = fs::OpenOptions::new().write(true).open(dir.join("forged")).expect("open");
    forged.set_modified(std::time::SystemTime::UNIX_EPOCH).expect("another time");
    hold.release();
    let report = lab.completed("a");
    let git = &report["git"];
    assert_eq!((&git["dirty_files"], &git["dirty_before"]), (&json!(1), &json!(0)), "{report:#}");
    drop(daemon);
}

// ------------------------------------------------------------------------------------------- costs

/// A result event of the session, with what it says of its cost.
fn result(is_error: bool, cost: f64, tokens: Option<u64>) -> String {
    let mut event = json!({
        "type": "result", "subtype": "success", "is_error": is_error, "result": "done", "num_turns": 1,
        "total_cost_usd": cost, "usage": {"input_tokens": 10, "output_tokens": 5},
    });
    if is_error {
        event["api_error_status"] = json!(429);
    }
    if let Some(tokens) = tokens {
        event["modelUsage"] = json!({"fake-1": {"inputTokens": tokens, "outputTokens": tokens / 2,
            "cacheReadInputTokens": 0, "cacheCreationInputTokens": 0, "costUSD": cost}});
    }
    event.to_string()
}

/// Two attempts, of which the second resumes the session of the first, and what each says.
fn resumed(first: &str, second: &str) -> String {
    format!(
        "fake: remember\nfake: once turn one\nfake: no-result\nfake: once raw {first}\nfake: once exit 1\n\
         fake: raw {second}"
    )
}

#[test]
fn the_cost_is_that_of_all_attempts_whether_the_agent_sums_them_up_or_not() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    // Of a session that is resumed, older agents tell the cost of the resumption, newer ones that
    // of the whole.
    let first = result(true, 0.5, Some(10));
    for (name, second, wanted) in [
        ("older", result(false, 0.75, Some(10)), 1.25),
        ("newer", result(false, 0.75, Some(20)), 0.75),
        ("silent", result(false, 0.25, None), 0.75),
    ] {
        lab.send(&lab.task(name, resumed(&first, &second)));
        let report = lab.completed(name);
        assert_eq!(report["attempts"][1]["resumed"], true, "{name}: {report:#}");
        assert_eq!(report["attempts"][0]["total_cost_usd"], 0.5, "{name}: {report:#}");
        assert_eq!(report["total_cost_usd"], wanted, "{name}: {report:#}");
        assert_eq!((&report["input_tokens"], &report["output_tokens"]), (&json!(20), &json!(10)));
    }
    // A session of its own costs its own.
    let task = "fake: once result error 413 request_too_large\nfake: once exit 1";
    lab.send(&lab.task("anew", task).with("learnings", json!(["one"])));
    let report = lab.completed("anew");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(2), "{report:#}");
    assert_eq!(report["total_cost_usd"], 0.02, "{report:#}");
    drop(daemon);
}

#[test]
fn a_session_that_was_cut_off_has_at_least_its_tokens() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    let task = format!("fake: tool Read\nfake: tool Bash make\nfake: block {}", gate.display());
    lab.send(&lab.task("a", task));
    let _hold = gate.held();
    fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("write");
    let report = lab.ended("a", "cancelled", "cancelled");
    assert_eq!((&report["input_tokens"], &report["output_tokens"]), (&json!(206), &json!(40)));
    assert!(report.get("usage").is_none() && report.get("total_cost_usd").is_none());
    drop(daemon);
}

// --------------------------------------------------------------------------------------------- log

fn line_with(daemon: &Daemon, text: &str) -> String {
    wait_for(&format!("a log line with {text:?}"), PATIENCE, || {
        daemon.stderr().lines().find(|line| line.contains(text)).map(str::to_string)
    })
}

#[test]
fn the_log_says_in_words_how_sessions_end_and_failures_are_warnings() {
    let lab = Lab::new();
    let (one, two) = (lab.gate("one"), lab.gate("two"));
    let project = lab.project("checked");
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    let config = json!({"verify": {project.to_str().expect("UTF-8"): {"argv": ["false"]}}});
    fs::write(lab.ours().join("config.json"), config.to_string()).expect("config.json");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("good", "hello"));
    lab.settled("good");
    assert!(line_with(&daemon, "dispatch-good completed").contains(" INFO "));
    let late = format!("fake: block {}", one.display());
    lab.send(&lab.task("late", late).with("ttl_seconds", 1));
    let _first = one.held();
    lab.ended("late", "timeout", "timeout");
    assert!(line_with(&daemon, "ending attempt 1 of dispatch-late").contains("time to live"));
    assert!(line_with(&daemon, "dispatch-late failed").contains(" WARN "));
    lab.send(&lab.task("unwanted", format!("fake: block {}", two.display())));
    let _second = two.held();
    fs::write(lab.inbox().join("cancel-dispatch-unwanted"), "").expect("write");
    lab.ended("unwanted", "cancelled", "cancelled");
    assert!(line_with(&daemon, "dispatch-unwanted cancelled").contains(" INFO "));
    lab.send(&lab.task("checked", "hello").in_dir(&project));
    lab.failed("checked", "verify_failed");
    line_with(&daemon, "its acceptance command runs: false");
    assert!(line_with(&daemon, "dispatch-checked failed").contains(" WARN "));
    for jargon in ["Ttl", "Cancelled", "cancelled: cancelled", "is verified"] {
        assert!(!daemon.stderr().contains(jargon), "{jargon}");
    }
    drop(daemon);
}
