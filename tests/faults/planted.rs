//! Who watches the checker: each violation is planted into a healthy directory, and must be named.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::check::violations;
use crate::scene::Scene;
use crate::util::*;

/// A directory in which all is well, its daemon gone.
fn healthy() -> Scene {
    let mut scene = Scene::new();
    scene.send("a", "");
    scene.send("b", "fake: once result error 429 rate_limit");
    scene.lab.place("dispatch-bad.json", br#"{"id": "dispatch-bad"}"#);
    scene.story.invalid = 1;
    let mut daemon = scene.daemon().start();
    wait_until("all work done", PATIENCE, || scene.is_done() && scene.lab.rejected_count() == 1);
    assert_eq!(daemon.stop(), 0);
    daemon.left();
    scene.look_at_reports();
    assert_eq!(violations(&scene.story), [""; 0]);
    scene
}

fn append(path: &std::path::Path, text: &str) {
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).expect("open");
    file.write_all(text.as_bytes()).expect("write");
}

fn finds(word: &str, plant: impl FnOnce(&mut Scene)) {
    let mut scene = healthy();
    plant(&mut scene);
    let found = violations(&scene.story);
    assert!(found.iter().any(|what| what.starts_with(word)), "{word}: {found:?}");
    // The lab looks at its log too, on the way out.
    let _ = fs::remove_file(scene.lab.inbox().join("audit.jsonl"));
}

#[test]
fn the_checker_names_each_planted_violation() {
    finds("lost", |s| fs::remove_file(s.lab.report_path("a")).expect("remove"));
    finds("double start", |s| {
        let marks = text_file(&s.story.marks);
        let first = marks.lines().next().expect("a mark").to_string();
        append(&s.story.marks, &format!("{first}\n"));
    });
    finds("double start", |s| append(&s.story.marks, "start dispatch-a 1 another\n"));
    finds("changed report", |s| {
        let path = s.lab.report_path("a");
        let mut report = json_file(&path);
        report["result"] = json!("something else");
        let bytes = report.to_string();
        fs::write(&path, &bytes).expect("write");
        fs::write(s.lab.finished("a").join("report.json"), bytes).expect("write");
    });
    finds("two answers", |s| append(&s.lab.finished("a").join("report.json"), "\n"));
    finds("torn report", |s| fs::write(s.lab.report_path("a"), "{").expect("write"));
    finds("torn line", |s| append(&s.lab.inbox().join("audit.jsonl"), "{\"ts\":\"2026"));
    finds("no spawned line", |s| {
        let audit = s.lab.inbox().join("audit.jsonl");
        let text = text_file(&audit);
        let without = text.lines().filter(|line| !line.contains("spawned"));
        fs::write(&audit, without.map(|line| format!("{line}\n")).collect::<String>())
            .expect("write");
    });
    finds("false report", |s| fs::write(&s.story.marks, "").expect("write"));
    finds("left behind in active", |s| fs::create_dir(s.lab.active("c")).expect("create"));
    finds("left behind in the drop zone", |s| s.lab.place("dispatch-c.json", b"{}"));
    finds("lost", |s| {
        fs::remove_dir_all(s.lab.ours().join("rejected")).expect("remove");
    });
    finds("no reason", |s| {
        let (dir, _) = s.lab.rejected("dispatch-bad.json");
        fs::write(dir.join("reason.json"), "").expect("write");
    });
    finds("second attempt", |s| {
        let mut report = json_file(&s.lab.report_path("b"));
        report["attempts"][0]["error_type"] = json!("logic_error");
        fs::write(s.lab.report_path("b"), report.to_string()).expect("write");
    });
}

#[test]
fn the_checker_sees_a_survivor() {
    let scene = healthy();
    let mut sleep = Command::new("sleep");
    sleep
        .arg("7777")
        .env("GSTACK_DISPATCH_FILE", scene.lab.ours().join("active/dispatch-a/dispatch.json"));
    let mut left = sleep.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("sleep");
    let is_seen = || violations(&scene.story).iter().any(|what| what.starts_with("survivor"));
    wait_until("the survivor is seen", PATIENCE, is_seen);
    left.kill().expect("kill");
    left.wait().expect("wait");
}
