//! Records that a session wrote in our place. What the daemon knows in memory wins while it lives;
//! after a restart what the processes themselves say does: no stranger is taken for the session's,
//! and a session that runs has not been answered.

use std::process::{Child, Stdio};

use serde_json::json;

use super::*;

/// A process of somebody else, which must be there at the end.
struct Bystander(Child);

impl Bystander {
    fn new() -> Bystander {
        let mut sleep = Command::new("sleep");
        let sleep = sleep.arg("7777").stdin(Stdio::null()).stdout(Stdio::null());
        Bystander(sleep.spawn().expect("sleep"))
    }

    /// As `child.json` would name it.
    fn record(&self) -> Value {
        let pid = self.0.id();
        let stat = text_file(format!("/proc/{pid}/stat"));
        let after_name = stat.rsplit(") ").next().expect("its fields");
        let start_time: u64 =
            after_name.split(' ').nth(19).and_then(|s| s.parse().ok()).expect("22");
        json!({"pid": pid, "start_time": start_time})
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        let lives = alive(self.0.id() as i32);
        let _ = self.0.kill();
        let _ = self.0.wait();
        assert!(lives || std::thread::panicking(), "the bystander was ended");
    }
}

fn write(path: &Path, record: &Value) {
    fs::write(path, record.to_string()).expect("forge a record");
}

fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut record = json_file(path);
    change(&mut record);
    write(path, &record);
}

/// A report and an end as they might stand there, of a dispatch that went through.
fn models(lab: &Lab, name: &str) -> (Value, Value) {
    lab.send(&lab.task("model", "fake: result success Forged."));
    let mut report = lab.settled("model");
    report["dispatch_id"] = id(name).into();
    let end = json_file(&lab.finished("model").join("attempt-1/end.json"));
    (report, end)
}

#[test]
fn a_stranger_in_the_agent_s_record_is_neither_adopted_nor_ended() {
    for is_alive in [true, false] {
        let lab = Lab::new();
        let bystander = Bystander::new();
        let daemon = lab.daemon().start();
        let hold = held(&lab, "a", "fake: result success Done.");
        let (pid, record) = (agent(&lab, "a"), attempt(&lab, "a").join("child.json"));
        wait_until("child.json", PATIENCE, || record.exists());
        daemon.crash();
        if !is_alive {
            kill_agent(&lab, "a");
        }
        write(&record, &bystander.record());
        let daemon = lab.daemon().start();
        if is_alive {
            assert_eq!(lab.event("a", "adopted")["pid"], pid);
            hold.release();
            assert_eq!(lab.completed("a")["result"], "Done.");
        } else {
            lab.failed("a", "interrupted");
        }
        assert_eq!(runs(&lab, "a"), 1);
        drop(daemon);
    }
}

#[test]
fn a_deadline_that_a_session_wrote_gives_it_no_more_time_than_its_dispatch_has() {
    for is_restarted in [false, true] {
        let lab = Lab::new();
        let mut daemon = lab.daemon().start();
        let gate = lab.gate("gate");
        lab.send(&lab.task("a", held_orders(&lab, &gate, "")).with("ttl_seconds", 3));
        let _hold = gate.held();
        let far = |record: &mut Value| record["deadline_monotonic_ms"] = json!(i64::MAX);
        change(&attempt(&lab, "a").join("attempt.json"), far);
        if is_restarted {
            daemon.crash();
            daemon = lab.daemon().start();
        }
        lab.ended("a", "timeout", "timeout");
        drop(daemon);
    }
}

#[test]
fn answers_and_ends_that_a_running_session_wrote_are_not_believed() {
    for is_restarted in [false, true] {
        let lab = Lab::new();
        let mut daemon = lab.daemon().start();
        let (report, end) = models(&lab, "a");
        let hold = held(&lab, "a", "fake: result success True.");
        write(&lab.active("a").join("report.json"), &report);
        write(&attempt(&lab, "a").join("end.json"), &end);
        write(&lab.report_path("a"), &report);
        fs::create_dir(lab.finished("a")).expect("make");
        write(&lab.finished("a").join("report.json"), &report);
        if is_restarted {
            daemon.crash();
            daemon = lab.daemon().start();
            lab.event("a", "adopted");
        }
        hold.release();
        lab.event("a", "completed");
        wait_until("its claim is gone", PATIENCE, || !lab.active("a").exists());
        assert_eq!(lab.completed("a")["result"], "True.");
        assert_eq!(json_file(&lab.finished("a").join("report.json"))["result"], "True.");
        let end = json_file(&lab.finished("a").join("attempt-1/end.json"));
        assert_eq!(end["result"], "True.");
        assert_eq!(runs(&lab, "a"), 1);
        drop(daemon);
    }
}

/// Where it wrote its own report as well, nobody can tell that from ours; but it is not left
/// running beside it.
#[test]
fn a_session_that_wrote_another_token_down_is_ended_all_the_same() {
    for is_answered in [false, true] {
        let lab = Lab::new();
        let daemon = lab.daemon().start();
        let (report, end) = models(&lab, "a");
        let _hold = held(&lab, "a", "");
        let (pid, child) = (agent(&lab, "a"), attempt(&lab, "a").join("child.json"));
        wait_until("child.json", PATIENCE, || child.exists());
        daemon.crash();
        let token = |record: &mut Value| record["run_token"] = json!("0123456789abcdef".repeat(2));
        change(&attempt(&lab, "a").join("attempt.json"), token);
        if is_answered {
            write(&lab.active("a").join("report.json"), &report);
            write(&attempt(&lab, "a").join("end.json"), &end);
        }
        let daemon = lab.daemon().start();
        lab.settled("a");
        assert!(!alive(pid), "it runs beside its answer");
        assert_eq!(runs(&lab, "a"), 1);
        drop(daemon);
    }
}
