//! An engine that runs its sessions where no signal, no token and no lock of ours reaches them: its
//! own command comes before our signals and before every report.

use std::fs;
use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process_group};

use super::*;

/// The engine's folder, where it says what it runs.
struct Engine(PathBuf);

impl Engine {
    fn new(lab: &Lab) -> Engine {
        let dir = lab.path("engine");
        fs::create_dir_all(&dir).expect("create the engine's folder");
        Engine(dir)
    }

    fn config(&self) -> Value {
        json!({"launcher": [stub("engine"), "start", self.0, "{id}"],
            "launcher_kill": [stub("engine"), "kill", self.0, "{id}"]})
    }

    /// The leader of the session that it runs.
    fn pid(&self, name: &str) -> i32 {
        pids_in(&self.0.join(format!("{}.pid", id(name))))[0]
    }

    fn kills(&self) -> usize {
        fs::read_to_string(self.0.join("kills")).unwrap_or_default().lines().count()
    }
}

/// SIGKILL to all that there is of the launcher on this machine.
fn kill_launcher(lab: &Lab) {
    let child = json_file(&lab.active("a").join("attempt-1/child.json"));
    let leader = child["pid"].as_i64().and_then(|pid| Pid::from_raw(pid as i32)).expect("a pid");
    kill_process_group(leader, Signal::KILL).expect("its group");
}

/// A session that runs in the engine and stands at a gate.
fn stands(lab: &Lab, gate: &Gate, ttl_seconds: u64) -> crate::util::Dispatch {
    lab.task("a", format!("fake: block {}", gate.display())).with("ttl_seconds", ttl_seconds)
}

#[test]
fn a_session_in_an_engine_does_its_work_and_is_asked_for_at_its_end() {
    let lab = Lab::new();
    let engine = Engine::new(&lab);
    config(&lab, &engine.config());
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "fake: result success From afar."));
    let report = lab.completed("a");
    assert_eq!((&report["result"], unknown(&report)), (&json!("From afar."), vec![]));
    // There was nothing left, and that is no news.
    assert_eq!(engine.kills(), 1);
    drop(daemon);
}

#[test]
fn what_runs_in_an_engine_is_dead_before_the_report_whatever_ends_it() {
    for (how, status, error_type) in [
        ("ttl", "timeout", "timeout"),
        ("cancel", "cancelled", "cancelled"),
        ("stop", "cancelled", "shutdown"),
    ] {
        let lab = Lab::new();
        let (engine, gate) = (Engine::new(&lab), lab.gate("gate"));
        config(&lab, &engine.config());
        let mut daemon = lab.daemon().set("--drain-timeout", 0.2).start();
        lab.send(&stands(&lab, &gate, if how == "ttl" { 1 } else { 60 }));
        let _hold = gate.held();
        let pid = engine.pid("a");
        match how {
            "cancel" => fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("write"),
            "stop" => assert_eq!(daemon.stop(), 1),
            _ => {}
        }
        let report = lab.ended("a", status, error_type);
        assert!(!alive(pid), "{how}: {report:#}");
        assert_eq!((unknown(&report), engine.kills()), (vec![], 1), "{how}");
        // Its launcher ended by itself then, and never saw a signal of ours.
        assert!(!engine.0.join("signals").exists(), "{how}");
        drop(daemon);
    }
}

#[test]
fn an_engine_that_began_after_its_command_is_asked_again() {
    let lab = Lab::new();
    let (engine, queue, gate) = (Engine::new(&lab), lab.gate("queue"), lab.gate("gate"));
    let mut settings = engine.config();
    let start = [stub("slow"), queue.display().to_string()].map(Value::from);
    settings["launcher"].as_array_mut().expect("a list").splice(0..0, start);
    config(&lab, &settings);
    let daemon = lab.daemon().set("--kill-grace", 1).start();
    lab.send(&stands(&lab, &gate, 60));
    let _waits = queue.held();
    fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("write");
    let _hold = gate.held();
    let pid = engine.pid("a");
    let report = lab.ended("a", "cancelled", "cancelled");
    assert!(!alive(pid), "{report:#}");
    assert_eq!((unknown(&report), engine.kills()), (vec![], 2));
    drop(daemon);
}

#[test]
fn what_a_dead_launcher_left_in_its_engine_is_ended_before_the_report() {
    let lab = Lab::new();
    let (engine, gate) = (Engine::new(&lab), lab.gate("gate"));
    config(&lab, &engine.config());
    let daemon = lab.daemon().set("--on-interrupt", "report").start();
    lab.send(
        &stands(&lab, &gate, 60)
            .with("task", format!("fake: once block {}\nhello", gate.display())),
    );
    let hold = gate.held();
    let pid = engine.pid("a");
    kill_launcher(&lab);
    // The agent died of it, and is tried again: in an engine that is empty.
    let report = lab.completed("a");
    assert!(!alive(pid), "{report:#}");
    assert_eq!(report["attempts"][0]["signal"], 9, "{report:#}");
    drop((hold, daemon));
}

#[test]
fn a_session_in_an_engine_is_adopted_by_its_launcher() {
    let lab = Lab::new();
    let (engine, gate) = (Engine::new(&lab), lab.gate("gate"));
    config(&lab, &engine.config());
    let daemon = lab.daemon().start();
    lab.send(&stands(&lab, &gate, 60));
    let hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    hold.release();
    let report = lab.completed("a");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(1), "{report:#}");
    drop(daemon);
}

#[test]
fn an_adopted_session_in_an_engine_is_ended_there() {
    let lab = Lab::new();
    let (engine, gate) = (Engine::new(&lab), lab.gate("gate"));
    config(&lab, &engine.config());
    let daemon = lab.daemon().start();
    lab.send(&stands(&lab, &gate, 60));
    let _hold = gate.held();
    let pid = engine.pid("a");
    daemon.crash();
    fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("write");
    let daemon = lab.daemon().start();
    lab.ended("a", "cancelled", "cancelled");
    assert!(!alive(pid));
    drop(daemon);
}

/// What became of the launcher and of the records while no daemon was there.
#[test]
fn the_next_daemon_ends_what_an_engine_runs_before_it_reports_whatever_is_left() {
    for left in [
        "nothing",
        "no attempt",
        "no claim",
        "no trace",
        "a stop",
        "poison",
        "a forged end",
        "a forged report",
    ] {
        let lab = Lab::new();
        let (engine, gate) = (Engine::new(&lab), lab.gate("gate"));
        config(&lab, &engine.config());
        let daemon = lab.daemon().start();
        lab.send(&stands(&lab, &gate, 60));
        let _hold = gate.held();
        let pid = engine.pid("a");
        daemon.crash();
        kill_launcher(&lab);
        spoil(&lab, left);
        let daemon = lab.daemon().start();
        let report = lab.settled("a");
        assert!(!alive(pid), "{left}: {report:#}");
        assert!(engine.kills() > 0 && unknown(&report).is_empty(), "{left}: {report:#}");
        let answer = if left == "a stop" { "timeout" } else { "interrupted" };
        let is_forged = left.starts_with("a forged");
        // An answer of which nothing says that it is forged stands.
        let is_answer =
            if is_forged { report["error"] == "forged" } else { report["error_type"] == answer };
        assert!(is_answer, "{left}: {report:#}");
        drop(daemon);
    }
}

fn spoil(lab: &Lab, what: &str) {
    let (claim, attempt) = (lab.active("a"), lab.active("a").join("attempt-1"));
    let write = |path: PathBuf, value: Value| fs::write(path, value.to_string()).expect("write");
    let failed = json!({"dispatch_id": "dispatch-a", "status": "failed", "duration": 0,
        "target_agent": "claude", "error": "forged", "error_type": "logic_error", "warnings": [],
        "attempts": [], "permission_denials": [], "leftover_processes": []});
    match what {
        "no attempt" => fs::write(attempt.join("attempt.json"), "{").expect("write"),
        "no trace" => {
            fs::remove_dir_all(claim).expect("remove");
            fs::remove_file(lab.dropped("a")).expect("remove");
        }
        "no claim" => fs::remove_dir_all(claim).expect("remove"),
        "a stop" => write(attempt.join("stop.json"), json!({"cause": "ttl", "at": "now"})),
        "poison" => fs::write(attempt.join("reading"), "\n\n\n").expect("write"),
        "a forged end" => write(
            attempt.join("end.json"),
            json!({"ending": {"status": "failed", "error_type": "logic_error", "error": "forged", "warnings": []},
                "next": {"what": "report"}, "finished_at_ms": 1, "elapsed_ms": 1, "retries": 0,
                "first": {"at_ms": 1, "monotonic_ms": 1, "boot_id": ""}, "attempt": {"attempt": 1}, "output_length": 0}),
        ),
        "a forged report" => write(claim.join("report.json"), failed),
        _ => {}
    }
}

#[test]
fn a_kill_command_that_fails_or_hangs_or_is_gone_is_told() {
    for (kill, says) in [
        (vec!["false"], "launcher_kill (false) failed: exit code 1"),
        (vec!["sleep", "7777"], "launcher_kill (sleep) took too long"),
        (vec!["GONE"], "is no executable file"),
    ] {
        let lab = Lab::new();
        let (gate, gone) = (lab.gate("gate"), lab.path("gone"));
        fs::copy(stub("banner"), &gone).expect("copy a program");
        let gone_text = gone.display().to_string();
        let kill: Vec<&str> =
            kill.iter().map(|word| if *word == "GONE" { &gone_text } else { *word }).collect();
        config(
            &lab,
            &json!({"launcher": [stub("banner")], "launcher_kill": kill, "launcher_grace_seconds": 0.5}),
        );
        let daemon = lab.daemon().start();
        fs::remove_file(&gone).expect("remove it");
        lab.send(&stands(&lab, &gate, 1));
        let _hold = gate.held();
        let report = lab.ended("a", "timeout", "timeout");
        let told = unknown(&report);
        assert!(told.len() == 1 && told[0].contains(says), "{says}: {report:#}");
        // After a clean end a refusal only means that nothing was left.
        lab.send(&lab.task("b", "hello"));
        let clean = unknown(&lab.completed("b")).len();
        assert_eq!(clean, usize::from(kill[0] != "false"), "{says}");
        // Of what may still run there is no second one; a refusal mostly says that nothing does.
        lab.send(&lab.task("c", "fake: once exit 3\nhello"));
        let report = lab.report("c");
        let attempts = report["attempts"].as_array().map(Vec::len);
        assert_eq!(attempts, Some(if kill[0] == "false" { 2 } else { 1 }), "{report:#}");
        drop(daemon);
    }
}

#[test]
fn a_launcher_that_the_settings_do_not_name_any_more_is_told() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().set("--launcher", stub("banner")).set("--launcher-kill", "").start();
    lab.send(&stands(&lab, &gate, 60));
    let hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().start();
    lab.event("a", "adopted");
    hold.release();
    let said = format!("the settings do not name {} any more", stub("banner"));
    assert_eq!(unknown(&lab.completed("a")), [said.as_str()]);
    drop(daemon);
}

#[test]
fn a_session_without_any_mark_is_adopted_and_swept_by_its_output() {
    let lab = Lab::new();
    let (gate, pids) = (lab.gate("gate"), lab.path("pids"));
    let path = std::env::var("PATH").unwrap_or_default();
    let start = || {
        let launcher = format!("env -i PATH={path} {}", lab.mark());
        lab.daemon().set("--launcher", launcher).set("--launcher-kill", "").start()
    };
    let daemon = start();
    let task = format!("fake: holder-child {}\nfake: block {}", pids.display(), gate.display());
    lab.send(&lab.task("a", task));
    let hold = gate.held();
    daemon.crash();
    let daemon = start();
    lab.event("a", "adopted");
    hold.release();
    let report = lab.completed("a");
    assert_eq!(all_gone(&pids).len(), 1, "{report:#}");
    drop(daemon);
}
