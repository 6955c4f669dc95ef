//! Launchers of this machine, as `help settings` shows them.

use std::fs;

use super::*;

const TOPIC: &str = include_str!("../../../src/pure/reference/topics/settings.md");

/// The recipe that begins with these words, less the home directory of its reader.
fn recipe(lab: &Lab, words: &str) -> Value {
    let begins = format!("{{\"launcher\": [{words}, ");
    // The lines after its first are indented.
    let recipes = TOPIC.replace("\n  ", " ");
    let line = recipes.lines().find(|line| line.starts_with(&begins)).expect("a recipe");
    let home = lab.home.display().to_string();
    let path = format!("PATH={FIXTURES}/bin:/usr/local/bin:/usr/bin:/bin");
    let line = line.replace("/home/me", &home).replace("PATH=/usr/local/bin:/usr/bin:/bin", &path);
    serde_json::from_str(&line).expect("JSON")
}

/// A daemon whose sessions start so. `None`, and SKIPPED, where that does not work.
fn daemon(lab: &Lab, words: &str) -> Option<Daemon> {
    let recipe = recipe(lab, words);
    fs::create_dir_all(lab.home.join(".claude")).expect("create the agent's folder");
    let words: Vec<String> = serde_json::from_value(recipe["launcher"].clone()).expect("a list");
    let words: Vec<String> = words.iter().map(|word| word.replace("{dir}", "/tmp")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if !can_run_under(&words) {
        skipped(&format!("{} does not work here", words[0]));
        return None;
    }
    config(lab, &recipe);
    Some(lab.daemon().start())
}

#[test]
fn in_bwrap_only_the_project_and_the_agent_s_folder_can_be_written() {
    let lab = Lab::new();
    let Some(daemon) = daemon(&lab, "\"bwrap\"") else { return };
    let (beside, own) = (lab.path("beside"), lab.home.join(".claude/note"));
    let orders = ["inside", &own.display().to_string(), &beside.display().to_string()];
    let orders = orders.map(|file| format!("fake: write {file} words\n")).concat();
    lab.send(&lab.task("a", orders + "fake: setsid-child pid\nfake: result success Done."));
    let report = lab.completed("a");
    assert_eq!((&report["result"], unknown(&report)), (&"Done.".into(), vec![]), "{report:#}");
    assert!(lab.path("project-a/inside").exists() && own.exists() && !beside.exists());
    lab.send(
        &lab.task("b", "fake: ignore-term\nfake: setsid-child pid\nfake: sleep 7777")
            .with("ttl_seconds", 1),
    );
    lab.ended("b", "timeout", "timeout");
    drop(daemon);
}

#[test]
fn what_unshare_started_ends_with_it() {
    let lab = Lab::new();
    let Some(daemon) = daemon(&lab, "\"unshare\"") else { return };
    lab.send(&lab.task("a", "fake: setsid-child pid\nfake: result success Done."));
    assert_eq!(lab.completed("a")["result"], "Done.");
    lab.send(
        &lab.task("b", "fake: ignore-term\nfake: setsid-child pid\nfake: sleep 7777")
            .with("ttl_seconds", 1),
    );
    lab.ended("b", "timeout", "timeout");
    drop(daemon);
}

#[test]
fn without_an_environment_a_session_runs_and_is_found_by_its_output() {
    let lab = Lab::new();
    let Some(daemon) = daemon(&lab, "\"env\", \"-i\"") else { return };
    let (pids, dump) = (lab.path("pids"), lab.path("dump"));
    let orders = format!("fake: dump {}\nfake: holder-child {}", dump.display(), pids.display());
    lab.send(&lab.task("a", orders));
    let report = lab.completed("a");
    assert_eq!(all_gone(&pids).len(), 1, "{report:#}");
    let env = text_file(dump.join("env"));
    assert!(env.contains("HOME=") && !env.contains("GSTACK_RUN_TOKEN"), "{env}");
    drop(daemon);
}
