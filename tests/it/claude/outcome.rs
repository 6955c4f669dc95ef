//! What the API and the tools do to a session, and what its report says of it.
//!
//! The scripts decide by what a conversation holds rather than by counting requests, wherever the
//! CLI is free to ask once more than it must.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{attempts, completed, daemon, failed, impatient_daemon, report, stream};
use crate::api::{Api, Script, Step, mentions, session_of};
use crate::util::*;

/// Of the prompt that takes a session up again.
const RESUMED: &str = "cut off by a temporary error";

fn warnings(report: &Value) -> Vec<&str> {
    report["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn text_of(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

pub fn a_task_that_writes_a_file(claude: &Path) {
    let lab = Lab::new();
    let project = lab.repository("shop");
    let file = project.join("greeting.txt");
    let api = Api::start(Script::steps(vec![
        Step::write(text_of(&file), "Grüße\n"),
        Step::text("I wrote greeting.txt."),
    ]));
    let daemon = daemon(&lab, &api, claude).env("GSTACK_DISPATCHD_LOG", "debug").start();
    // A version that knows it is told that nobody answers, and works as before.
    let help = Command::new(claude).arg("--help").env("HOME", &lab.home).output().expect("help");
    let is_named = String::from_utf8_lossy(&help.stdout).contains("--permission-prompts");
    let says = if is_named { "knows" } else { "has no" };
    let said = format!("{} {says} --permission-prompts", claude.display());
    assert!(daemon.stderr().contains(&said), "{said}: {}", daemon.stderr());
    lab.send(&lab.task("a", "Write a greeting.").in_dir(&project));
    let report = completed(&lab, "a");

    assert_eq!(text_file(&file), "Grüße\n");
    assert_eq!(
        (&report["result"], &report["num_turns"]),
        (&json!("I wrote greeting.txt."), &json!(2))
    );
    assert_eq!((&report["exit_code"], &report["target_agent"]), (&json!(0), &json!("claude")));
    assert!(report["total_cost_usd"].as_f64().is_some_and(|cost| cost > 0.0), "{report:#}");
    assert!(report["usage"]["output_tokens"].as_u64() >= Some(1000), "{report:#}");
    assert_eq!(report["output_length"], stream(&lab, "a", 1).len());
    assert!(
        warnings(&report).is_empty() && report.get("leftover_processes").is_none(),
        "{report:#}"
    );
    let head = git(&project, "rev-parse HEAD");
    let git = &report["git"];
    assert_eq!((&git["head_before"], &git["branch"]), (&json!(head), &json!("main")), "{git}");
    assert_eq!(
        (&git["dirty_files"], git["commits"].as_u64().unwrap_or(0)),
        (&json!(1), 0),
        "{git}"
    );

    let bodies = api.bodies();
    assert_eq!(report["session_id"].as_str(), Some(session_of(&bodies[0]).as_str()));
    assert!(mentions(&bodies[0], "Load gstack. Dispatch ID: dispatch-a. Task: Write a greeting."));
}

/// One that would like to commit, and to write outside of its project.
fn wants_to_commit(lab: &Lab) -> (Api, String, String) {
    let commit =
        "git add --all && git -c user.name=Agent -c user.email=agent@localhost commit -q -m second";
    let outside = lab.path("outside.txt");
    let project = lab.repository("shop");
    let steps = vec![
        Step::write(text_of(&project.join("inside.txt")), "x\n"),
        Step::bash(commit),
        Step::write(text_of(&outside), "x\n"),
        Step::text("That is what I could do."),
    ];
    (Api::start(Script::steps(steps)), commit.to_string(), text_of(&outside).to_string())
}

pub fn a_task_that_is_denied_its_tools(claude: &Path) {
    let lab = Lab::new();
    let (api, commit, outside) = wants_to_commit(&lab);
    let _daemon = daemon(&lab, &api, claude).start();
    lab.send(&lab.task("a", "Commit it.").in_dir(&lab.path("shop")));
    let report = completed(&lab, "a");
    let denied = json!([
        {"tool_name": "Bash", "input": commit},
        {"tool_name": "Write", "input": outside},
    ]);
    assert_eq!(report["permission_denials"], denied, "{report:#}");
    let warning = "2 tool calls were denied (Bash, Write): see permission_denials";
    assert_eq!(warnings(&report), [warning], "{report:#}");
    assert_eq!(report["git"]["dirty_files"], 1, "{report:#}");
    assert_eq!(git(&lab.path("shop"), "rev-list --count HEAD"), "1");
    assert!(!Path::new(&outside).exists());
}

pub fn a_task_that_may_use_bash_commits(claude: &Path) {
    let lab = Lab::new();
    let (api, _, outside) = wants_to_commit(&lab);
    let _daemon = daemon(&lab, &api, claude).set("--allow-tools", "Bash").start();
    lab.send(&lab.task("a", "Commit it.").in_dir(&lab.path("shop")));
    let report = completed(&lab, "a");
    // Bash was allowed, and nothing else.
    let denied = json!([{"tool_name": "Write", "input": outside}]);
    assert_eq!(report["permission_denials"], denied, "{report:#}");
    let facts = &report["git"];
    assert_eq!((&report["commits"], &facts["commits"]), (&json!(1), &json!(1)), "{report:#}");
    assert_eq!(facts["head_after"], git(&lab.path("shop"), "rev-parse HEAD"), "{facts}");
    assert_eq!(facts["head_before"], git(&lab.path("shop"), "rev-parse HEAD~1"), "{facts}");
    assert_eq!(facts["dirty_files"].as_u64().unwrap_or(0), 0, "{facts}");
}

/// A repository brings a hook and a server of its own along. Strict: neither runs; as the user's
/// own would.
pub fn an_untrusted_project_whose_hooks_do_not_run(claude: &Path) {
    let lab = Lab::new();
    let api = Api::start(Script::each_session(vec![Step::text("Done.")]));
    let shop = lab.repository("shop");
    let [hook, server, own] = ["hook", "server", "own"].map(|name| lab.path(name));
    let touch = |path: &Path| format!("touch {}", path.display());
    let hooks = |path: &Path| {
        let command = json!({"type": "command", "command": touch(path)});
        json!({"hooks": {"SessionStart": [{"hooks": [command]}]}, "enableAllProjectMcpServers": true})
    };
    for (dir, path) in [(&shop, &hook), (&lab.home, &own)] {
        fs::create_dir_all(dir.join(".claude")).expect("create .claude");
        fs::write(dir.join(".claude/settings.json"), hooks(path).to_string()).expect("settings");
    }
    let servers = json!({"mcpServers": {"x": {"command": "sh", "args": ["-c", touch(&server)]}}});
    fs::write(shop.join(".mcp.json"), servers.to_string()).expect(".mcp.json");

    let strict = daemon(&lab, &api, claude).word("--strict").start();
    lab.send(&lab.task("a", "Say something.").in_dir(&shop));
    completed(&lab, "a");
    assert!(!hook.exists() && !server.exists(), "the repository's own programs ran");
    assert!(own.exists(), "the user's own hook did not run");
    drop(strict);
    // The test can fail: without it the hook does run.
    let _lax = daemon(&lab, &api, claude).start();
    lab.send(&lab.task("b", "Say something.").in_dir(&shop));
    completed(&lab, "b");
    assert!(hook.exists(), "the hook was never a danger");
}

/// The CLI repeats the request itself: the daemon has nothing to do.
pub fn a_rate_limit_that_passes(claude: &Path) {
    let lab = Lab::new();
    let limited = Step::rate_limited().header("retry-after", "1");
    let api = Api::start(Script::steps(vec![limited, Step::text("It passed.")]));
    let _daemon = daemon(&lab, &api, claude).start();
    lab.send(&lab.task("a", "Say something."));
    let report = completed(&lab, "a");
    assert_eq!((&report["result"], &report["retry_count"]), (&json!("It passed."), &json!(0)));
    assert!(stream(&lab, "a", 1).contains("\"api_retry\""), "the CLI did not wait");
    assert!(!lab.events("a").contains(&"retried".to_string()));
}

pub fn a_rate_limit_that_ends_the_session_which_is_then_resumed(claude: &Path) {
    let lab = Lab::new();
    let project = lab.repository("shop");
    let file = project.join("half.txt");
    let write = Step::write(text_of(&file), "half\n");
    let api = Api::start(Script::choose(move |body, n| match n {
        0 => write.clone(),
        _ if mentions(body, RESUMED) => Step::text("Both halves are done."),
        _ => Step::rate_limited(),
    }));
    let _daemon = impatient_daemon(&lab, &api, claude).start();
    lab.send(&lab.task("a", "Do both halves.").in_dir(&project));
    let report = completed(&lab, "a");
    assert_eq!(report["result"], "Both halves are done.");
    let [first, second] = attempts(&report) else { panic!("{report:#}") };
    assert_eq!((&first["error_type"], &first["exit_code"]), (&json!("rate_limit"), &json!(1)));
    assert!(first["error"].as_str().is_some_and(|e| e.contains("429")), "{report:#}");
    assert_eq!((&second["resumed"], &second["exit_code"]), (&json!(true), &json!(0)), "{report:#}");
    // One session, in all its accounts of itself; and the second part knows the first.
    let bodies = api.bodies();
    let ids = bodies.iter().map(session_of);
    let told = [&first["session_id"], &second["session_id"], &report["session_id"]];
    let told = told.map(|id| id.as_str().unwrap_or_default().to_string());
    assert!(ids.chain(told).all(|id| id == session_of(&bodies[0])), "{report:#}");
    assert!(mentions(bodies.last().expect("a request"), "Task: Do both halves."));
    let retried = lab.event("a", "retried");
    assert_eq!(retried["delay_seconds"], 0.2, "{retried}");
    assert_eq!(report["git"]["dirty_files"], 1, "{report:#}");
}

const LEARNING: &str = "The tests need a display.";

fn too_long_with_learnings() -> Api {
    Api::start(Script::choose(|body, _| match mentions(body, LEARNING) {
        true => Step::prompt_too_long(),
        false => Step::text("Now it fits."),
    }))
}

pub fn a_prompt_that_is_too_long_with_learnings(claude: &Path) {
    let lab = Lab::new();
    let api = too_long_with_learnings();
    let _daemon = daemon(&lab, &api, claude).start();
    lab.send(&lab.task("a", "Fix it.").with("learnings", json!(["First one.", LEARNING])));
    let report = completed(&lab, "a");
    assert_eq!(report["result"], "Now it fits.");
    let [first, second] = attempts(&report) else { panic!("{report:#}") };
    assert_eq!(first["error_type"], "context_overflow", "{report:#}");
    assert_ne!(first["session_id"], second["session_id"], "{report:#}");
    let bodies = api.bodies();
    let last = bodies.last().expect("a request");
    assert!(mentions(&bodies[0], LEARNING) && mentions(&bodies[0], "Task: Fix it."));
    assert!(mentions(last, "Task: Fix it.") && !mentions(last, "Relevant learnings"));
}

pub fn a_prompt_that_is_too_long_without_learnings(claude: &Path) {
    let lab = Lab::new();
    let api = Api::start(Step::prompt_too_long());
    let _daemon = daemon(&lab, &api, claude).start();
    lab.send(&lab.task("a", "Fix it."));
    let report = failed(&lab, "a", "context_overflow");
    assert_eq!(attempts(&report).len(), 1, "{report:#}");
    let error = report["error"].as_str().unwrap_or_default();
    assert!(error.starts_with("Prompt is too long"), "{report:#}");
}

pub fn a_refusal(claude: &Path) {
    let lab = Lab::new();
    let api = Api::start(Step::Refusal);
    let _daemon = daemon(&lab, &api, claude).start();
    lab.send(&lab.task("a", "Do what you should not."));
    let report = failed(&lab, "a", "logic_error");
    assert_eq!(attempts(&report).len(), 1, "{report:#}");
    assert_eq!(report["exit_code"], 1, "{report:#}");
}

pub fn an_authentication_failure(claude: &Path) {
    let lab = Lab::new();
    let api = Api::start(Step::status(401, "authentication_error", "invalid x-api-key"));
    let _daemon = impatient_daemon(&lab, &api, claude).start();
    lab.send(&lab.task("a", "Say something."));
    let report = failed(&lab, "a", "auth");
    assert_eq!(attempts(&report).len(), 1, "{report:#}");
    assert_eq!(report["error"], "Invalid API key · Fix external API key", "{report:#}");
}

pub fn a_connection_that_is_reset(claude: &Path) {
    let lab = Lab::new();
    let api = Api::start(Step::Reset);
    let _daemon = impatient_daemon(&lab, &api, claude).start();
    lab.send(&lab.task("a", "Say something."));
    let report = failed(&lab, "a", "tool_failure");
    let [first, second] = attempts(&report) else { panic!("{report:#}") };
    // There was nothing to resume.
    assert_ne!(first["session_id"], second["session_id"], "{report:#}");
    assert!(second.get("resumed").is_none(), "{report:#}");
    assert_eq!(
        (&first["error_type"], &second["error_type"]),
        (&json!("tool_failure"), &json!("tool_failure"))
    );
    assert!(report["error"].as_str().is_some_and(|e| e.contains("ECONNRESET")), "{report:#}");
}

pub fn a_connection_that_is_reset_after_some_work(claude: &Path) {
    let lab = Lab::new();
    let write = Step::write(text_of(&lab.project("project-a").join("x.txt")), "x\n");
    let api = Api::start(Script::choose(move |body, n| match n {
        0 => write.clone(),
        _ if mentions(body, RESUMED) => Step::text("I went on."),
        _ => Step::Reset,
    }));
    let _daemon = impatient_daemon(&lab, &api, claude).start();
    lab.send(&lab.task("a", "Write x."));
    let report = completed(&lab, "a");
    let [first, second] = attempts(&report) else { panic!("{report:#}") };
    assert_eq!((&first["error_type"], &second["resumed"]), (&json!("tool_failure"), &json!(true)));
    assert_eq!(first["session_id"], second["session_id"], "{report:#}");
    assert_eq!(report["result"], "I went on.");
}

/// The rest of what an API can do, two at a time.
pub fn other_failures_of_the_api(claude: &Path) {
    // 2.1.197 has no field that says 529.
    let overloaded = ["rate_limit", "tool_failure"];
    let rows: [(&str, Step, &[&str], usize); 5] = [
        ("error-in-stream", Step::SseError, &overloaded, 2),
        ("cut", Step::Cut, &["tool_failure"], 2),
        ("window", Step::ContextWindowExceeded, &["context_overflow"], 1),
        ("tokens", Step::MaxTokens, &["logic_error"], 1),
        ("hang", Step::Hang, &["timeout"], 1),
    ];
    let lab = Lab::new();
    let steps: Vec<_> =
        rows.iter().map(|row| (format!("Task: {}.", row.0), row.1.clone())).collect();
    let api = Api::start(Script::choose(move |body, _| {
        let asked = steps.iter().find(|(task, _)| mentions(body, task));
        asked.map_or(Step::text("No such task."), |(_, step)| step.clone())
    }));
    let _daemon = impatient_daemon(&lab, &api, claude).set("--max-concurrent", 2).start();
    for (name, ..) in &rows {
        lab.send(
            &lab.task(name, format!("{name}."))
                .with("ttl_seconds", if *name == "hang" { 3 } else { 600 }),
        );
    }
    for (name, _, error_types, tries) in &rows {
        let status = if *name == "hang" { "timeout" } else { "failed" };
        let report = report(&lab, name, status);
        let error_type = report["error_type"].as_str().unwrap_or_default();
        assert!(error_types.contains(&error_type), "{error_type}: {report:#}");
        assert_eq!(attempts(&report).len(), *tries, "{report:#}");
    }
}

pub fn a_task_that_starts_with_a_dash(claude: &Path) {
    let lab = Lab::new();
    let api = Api::start(Step::text("I fixed it."));
    let _daemon = daemon(&lab, &api, claude).start();
    for (name, task) in [("a", "--help\n- fix the bug"), ("b", "/cost")] {
        lab.send(&lab.task(name, task));
        let report = completed(&lab, name);
        assert_eq!(report["result"], "I fixed it.", "{report:#}");
        let asked = api.bodies().pop().expect("a request");
        assert!(mentions(&asked, &format!("Task: {task}")), "{task}");
    }
}

pub fn a_task_of_300_kb(claude: &Path) {
    let lab = Lab::new();
    let api = Api::start(Step::text("I read all of it."));
    let _daemon = daemon(&lab, &api, claude).start();
    let mut task = String::new();
    for line in 0.. {
        task += &format!("{line}: \"naïve\" \\ {}\n", "x".repeat(80));
        if task.len() > 300_000 {
            break;
        }
    }
    lab.send(&lab.task("a", task.trim_end()));
    completed(&lab, "a");
    assert!(mentions(&api.bodies()[0], task.trim_end()), "not all of it reached the model");
}

/// With one home and one account, as users have it.
pub fn two_sessions_at_once(claude: &Path) {
    let lab = Lab::new();
    let both = vec![Step::bash("touch made.txt"), Step::text("I made it.")];
    let api = Api::start(Script::each_session(both));
    let _daemon = daemon(&lab, &api, claude).set("--max-concurrent", 2).start();
    ["a", "b"].iter().for_each(|name| lab.send(&lab.task(name, "Make it.")));
    for name in ["a", "b"] {
        let report = completed(&lab, name);
        assert_eq!((&report["result"], &report["num_turns"]), (&json!("I made it."), &json!(2)));
        assert!(lab.path(&format!("project-{name}/made.txt")).exists(), "{report:#}");
    }
}

/// The first result is not the last one, and the process that is to come back is not cut off.
pub fn a_command_in_the_background(claude: &Path) {
    let lab = Lab::new();
    let over = lab.project("project-a").join("over.txt");
    let api = Api::start(Script::steps(vec![
        Step::background(&format!("sleep 2; echo over >{}", over.display())),
        Step::text("It runs."),
        Step::text("It is over."),
    ]));
    let _daemon = daemon(&lab, &api, claude).set("--allow-tools", "Bash").start();
    lab.send(&lab.task("a", "Run it."));
    let report = completed(&lab, "a");
    assert_eq!(report["result"], "It is over.", "{report:#}");
    assert_eq!(text_file(&over), "over\n");
    let stream = stream(&lab, "a", 1);
    let events = stream.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    assert_eq!(events.filter(|event| event["type"] == "result").count(), 2);
    assert_eq!(api.requests(), 3);
    assert!(
        warnings(&report).is_empty() && report.get("leftover_processes").is_none(),
        "{report:#}"
    );
    let _ = fs::remove_file(over);
}
