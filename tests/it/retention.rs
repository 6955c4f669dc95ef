//! What is over is thinned out: logs first, reports long after, and nothing that is not over.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::util::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn make_older(path: &Path, days: u32) {
    let then = SystemTime::now() - days * DAY;
    let file = File::options().append(true).open(path).expect("a file to make older");
    file.set_modified(then).expect("make it older");
}

/// Dispatches that were answered that many days ago.
fn with_past(lab: &Lab, past: &[(&str, u32)]) {
    let daemon = lab.daemon().start();
    for (name, _) in past {
        lab.send(&lab.task(name, "go"));
        lab.settled(name);
    }
    drop(daemon);
    for (name, days) in past {
        make_older(&lab.finished(name).join("report.json"), *days);
    }
}

fn quick(lab: &Lab) -> Start<'_> {
    lab.daemon().set("--heartbeat", 0.05)
}

fn has_logs(lab: &Lab, name: &str) -> bool {
    lab.finished(name).join("attempt-1").exists()
}

#[test]
fn old_logs_go_and_the_id_stays_taken_and_the_report_intact() {
    let lab = Lab::new();
    with_past(&lab, &[("old", 15), ("new", 13)]);
    let report = text_file(lab.finished("old").join("report.json"));
    let daemon = quick(&lab).start();
    wait_until("the old logs gone", PATIENCE, || !has_logs(&lab, "old"));
    assert!(has_logs(&lab, "new"));
    let left: Vec<String> = names(&lab.finished("old"));
    assert_eq!(left, ["accepted.json", "dispatch.json", "report.json"]);
    assert_eq!(text_file(lab.finished("old").join("report.json")), report);
    fs::remove_file(lab.report_path("old")).expect("a reader removes the report");
    lab.send(&lab.task("old", "go"));
    wait_until("the same bytes again: a redelivery", PATIENCE, || !lab.dropped("old").exists());
    assert!(lab.events("old").contains(&"redelivered".into()));
    lab.send(&lab.task("old", "something else"));
    let (_, why) = lab.rejected("dispatch-old.json");
    assert_eq!(why["reason"], "duplicate_id");
    drop(daemon);
}

#[test]
fn an_id_is_forgotten_after_a_long_time() {
    let lab = Lab::new();
    with_past(&lab, &[("old", 91), ("new", 89)]);
    let daemon = quick(&lab).start();
    wait_until("the old one gone", PATIENCE, || !lab.finished("old").exists());
    wait_until("the logs of the other", PATIENCE, || !has_logs(&lab, "new"));
    assert!(lab.finished("new").join("report.json").exists());
    assert!(lab.report_path("old").exists(), "completed/ is the orchestrator's");
    drop(daemon);
}

#[test]
fn the_oldest_logs_go_until_the_rest_fits() {
    let lab = Lab::new();
    with_past(&lab, &[("a", 3), ("b", 2), ("c", 1)]);
    for name in ["a", "b", "c"] {
        let stream = lab.finished(name).join("attempt-1/stdout.jsonl");
        fs::write(stream, vec![b'x'; 1_000_000]).expect("a long stream");
    }
    let daemon = quick(&lab).set("--logs-max-mb", 1.5).start();
    wait_until("the older logs gone", PATIENCE, || !has_logs(&lab, "a") && !has_logs(&lab, "b"));
    assert!(has_logs(&lab, "c"));
    assert!(lab.finished("a").join("report.json").exists());
    drop(daemon);
}

#[test]
fn many_more_than_one_beat_removes_all_go() {
    const COUNT: usize = 400;
    let lab = Lab::new();
    with_past(&lab, &[("model", 20)]);
    let model = lab.finished("model");
    for n in 0..COUNT {
        let dir = lab.finished(&format!("n{n}"));
        fs::create_dir_all(dir.join("attempt-1")).expect("a finished dispatch");
        fs::write(dir.join("attempt-1/stdout.jsonl"), "x").expect("a stream");
        for name in ["accepted.json", "dispatch.json", "report.json"] {
            fs::copy(model.join(name), dir.join(name)).expect("copy");
        }
        make_older(&dir.join("report.json"), 20);
    }
    let daemon = quick(&lab).start();
    wait_until("all logs gone", PATIENCE, || (0..COUNT).all(|n| !has_logs(&lab, &format!("n{n}"))));
    drop(daemon);
}

#[test]
fn without_its_acceptance_a_dispatch_is_known_by_its_attempt_before_that_goes() {
    let lab = Lab::new();
    with_past(&lab, &[("a", 20)]);
    fs::write(lab.finished("a").join("accepted.json"), "").expect("as a power cut leaves it");
    let daemon = quick(&lab).start();
    wait_until("the logs gone", PATIENCE, || !has_logs(&lab, "a"));
    lab.send(&lab.task("a", "go"));
    lab.event("a", "redelivered");
    drop(daemon);
}

#[test]
fn rejected_files_go_by_age_and_by_size() {
    let lab = Lab::new();
    let reason = |file: &str| lab.rejected(file).0.join("reason.json");
    let daemon = lab.daemon().start();
    for (name, bytes) in [("old", 10), ("large", 1_100_000), ("small", 10), ("new", 10)] {
        lab.place(&format!("dispatch-{name}.json"), "x".repeat(bytes).as_bytes());
        lab.rejected(&format!("dispatch-{name}.json"));
    }
    drop(daemon);
    for (name, days) in [("old", 31), ("large", 29), ("small", 28)] {
        make_older(&reason(&format!("dispatch-{name}.json")), days);
    }
    let daemon = quick(&lab).set("--rejected-max-mb", 1).start();
    wait_until("two gone", PATIENCE, || lab.rejected_count() == 2);
    lab.rejected("dispatch-small.json");
    lab.rejected("dispatch-new.json");
    drop(daemon);
}

#[test]
fn a_callback_that_was_given_up_goes_when_its_report_would() {
    let lab = Lab::new();
    let server = Server::start(vec![Answer::Status(410)]);
    let dead = |name: &str| lab.ours().join("outbox/dead").join(format!("{}.json", id(name)));
    let daemon = lab.daemon().start();
    for name in ["old", "new"] {
        lab.send(&lab.task(name, "go").with("callback_url", server.url.as_str()));
        wait_until("it is given up", PATIENCE, || dead(name).exists());
    }
    drop(daemon);
    make_older(&dead("old"), 91);
    make_older(&dead("new"), 89);
    let mine = lab.ours().join("outbox/dead/notes.txt");
    fs::write(&mine, "mine").expect("a file that is not the daemon's");
    make_older(&mine, 4000);
    let daemon = quick(&lab).start();
    wait_until("the old one gone", PATIENCE, || !dead("old").exists());
    lab.heartbeat("one is left", |beat| beat["callbacks_dead"] == 1);
    assert!(dead("new").exists() && mine.exists());
    assert_eq!(server.seen().len(), 2);
    drop(daemon);
}

#[test]
fn what_is_kept_for_ever_stays_and_so_does_what_is_not_over() {
    let lab = Lab::new();
    with_past(&lab, &[("a", 4000), ("b", 20)]);
    let gate = lab.gate("gate");
    let start = quick(&lab).set("--logs-keep-days", 0).set("--reports-keep-days", 0);
    let daemon = start.set("--logs-max-mb", 0).start();
    lab.send(&lab.task("held", format!("fake: block {}", gate.display())));
    let held = gate.held();
    let strange = lab.ours().join("finished/notes.txt");
    fs::write(&strange, "mine").expect("a file that is not the daemon's");
    make_older(&strange, 4000);
    make_older(&lab.active("held").join("accepted.json"), 4000);
    let first = lab.heartbeat("beats", |beat| beat["active"] == 1);
    for _ in 0..3 {
        lab.heartbeat("another", |beat| beat["ts"] != first["ts"]);
    }
    assert!(has_logs(&lab, "a") && has_logs(&lab, "b") && strange.exists());
    held.release();
    lab.completed("held");
    drop(daemon);
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder").flatten().map(|e| e.path());
    let name = |path: PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut names: Vec<String> = entries.filter_map(name).collect();
    names.sort();
    names
}
