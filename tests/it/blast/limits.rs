//! What a session may write, and what it said before it took that back.

use std::fs::OpenOptions;
use std::io::Write;

use serde_json::json;

use super::*;

const TOO_MUCH: usize = 3_000_000;

/// As the session itself would, through another descriptor of the same file.
fn write_on(path: &Path, bytes: usize) {
    let mut file = OpenOptions::new().append(true).open(path).expect("its output");
    file.write_all(&vec![b'x'; bytes]).expect("write");
}

#[test]
fn a_session_that_writes_too_much_on_stderr_is_ended() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--stdout-max-mb", 1).start();
    let _hold = held(&lab, "a", "");
    let pid = agent(&lab, "a");
    write_on(&attempt(&lab, "a").join("stderr.log"), TOO_MUCH);
    wait_until("its end", PATIENCE, || !alive(pid));
    let report = lab.failed("a", "output_limit");
    assert!(report["error"].as_str().is_some_and(|error| error.contains("1 MB")), "{report:#}");
    drop(daemon);
}

#[test]
fn a_session_that_wrote_too_much_on_stderr_and_is_done_already_is_no_success() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--stdout-max-mb", 1).start();
    let hold = held(&lab, "a", "fake: result success Done.");
    write_on(&attempt(&lab, "a").join("stderr.log"), TOO_MUCH);
    hold.release();
    lab.failed("a", "output_limit");
    let hold = held(&lab, "b", "fake: result success Done.");
    write_on(&attempt(&lab, "b").join("stderr.log"), 900_000);
    hold.release();
    lab.completed("b");
    drop(daemon);
}

#[test]
fn a_result_that_was_seen_stands_when_the_session_cuts_its_output_off() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--heartbeat", 0.2).start();
    for (name, after) in [("a", ""), ("b", "fake: raw nothing of note")] {
        let gate = lab.gate(&format!("gate-{name}"));
        let block = format!("fake: block {}", gate.display());
        lab.send(&lab.task(name, format!("fake: result success I did it.\n{block}\n{after}")));
        let hold = gate.held();
        lab.heartbeat("its turn was seen", |beat| {
            let session = &beat["sessions"][0];
            session["id"] == id(name) && session["turns"] == json!(1)
        });
        let stdout = OpenOptions::new().write(true).open(attempt(&lab, name).join("stdout.jsonl"));
        stdout.and_then(|file| file.set_len(0)).expect("cut it off");
        hold.release();
        assert_eq!(lab.completed(name)["result"], "I did it.");
    }
    drop(daemon);
}
