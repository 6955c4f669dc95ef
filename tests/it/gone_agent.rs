//! Dispatches for an agent of one's own that left the settings while no daemon ran: what was
//! accepted stays a dispatch and is answered as what it is, and a session that ran is judged by the
//! dialect that it was started with.

use std::fs::{self, OpenOptions};
use std::io::Write;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::util::*;

fn agents() -> Value {
    let program = format!("{FIXTURES}/bin-own/mimic");
    let result = json!({"path": "all", "where": {"ev": "bye", "well": true}});
    let error = json!({"path": "why.words", "where": {"ev": "bye"}});
    let stream = json!({
        "session": "who.id", "text": "say", "tool": "use", "result": result, "error": error,
        "input_tokens": "used.in.0",
    });
    json!({
        "mimic": {"program": program, "args": ["new", "{session}"],
            "resume_args": ["again", "{session}"], "output": "stream", "stream": stream,
            "failures": {"logic_error": {"where": {"why.code": "tang*"}}}},
        "scribe": {"program": program, "args": ["--text", "new", "{session}"], "output": "text"},
    })
}

fn task(lab: &Lab, name: &str, agent: &str, word: &str) -> Dispatch {
    lab.task(name, format!("mimic: {word}")).with("target_agent", agent)
}

/// A session that stands still.
fn stand(lab: &Lab, name: &str, agent: &str) -> Hold {
    let gate = lab.gate(&format!("gate-{name}"));
    lab.send(&task(lab, name, agent, &format!("stand {}", gate.display())));
    gate.held()
}

#[test]
fn what_waited_for_it_is_answered_as_what_it_is() {
    let lab = Lab::new();
    let first = lab.daemon().set("--max-concurrent", 1).set("--agents", agents()).start();
    let hold = {
        let gate = lab.gate("gate");
        lab.send(&lab.task("busy", format!("fake: block {}", gate.display())));
        gate.held()
    };
    for name in ["waits", "detached"] {
        lab.send(&task(&lab, name, "mimic", "well"));
        lab.accepted(name);
    }
    // Its file holds another drop by now: only its claim knows of it.
    fs::write(lab.dropped("detached"), lab.task("other", "hello").bytes()).expect("write anew");
    lab.event("detached", "detached");
    first.crash();
    let second = lab.daemon().set("--max-concurrent", 1).start();
    hold.release();
    for name in ["waits", "detached"] {
        let report = lab.failed(name, "spawn_failed");
        let told = (&report["target_agent"], &report["error"]);
        assert_eq!(told, (&json!("mimic"), &json!("unsupported agent: mimic")), "{report:#}");
    }
    lab.completed("busy");
    lab.completed("other");
    assert_eq!(lab.rejected_count(), 0);
    drop(second);
}

#[test]
fn its_sessions_are_adopted_and_judged_by_their_own_dialect() {
    let lab = Lab::new();
    let first = lab.daemon().set("--max-concurrent", 4).set("--agents", agents()).start();
    let (runs, ends) = (stand(&lab, "runs", "mimic"), stand(&lab, "ends", "mimic"));
    let (cut, text) = (stand(&lab, "cut", "mimic"), stand(&lab, "text", "scribe"));
    first.crash();
    // This one ends while nobody looks.
    ends.release();
    let stream = lab.active("ends").join("attempt-1/stdout.jsonl");
    wait_until("its last word", PATIENCE, || text_file(&stream).contains("bye"));
    let second = lab.daemon().set("--max-concurrent", 4).start();
    for name in ["runs", "cut", "text"] {
        lab.event(name, "adopted");
    }
    runs.release();
    for name in ["runs", "ends"] {
        let report = lab.completed(name);
        let told = (&report["target_agent"], &report["result"], &report["input_tokens"]);
        let said = "new line=no stdin=0 model= mode= who=";
        assert_eq!(told, (&json!("mimic"), &json!(said), &json!(7)), "{report:#}");
        // Nobody can go on with it by the name of a program that is not set.
        assert_eq!(report.get("resume"), None, "{report:#}");
    }
    fs::write(lab.inbox().join("cancel-dispatch-cut"), "").expect("cancel");
    assert_eq!(lab.ended("cut", "cancelled", "cancelled")["target_agent"], "mimic");
    drop(cut);
    text.release();
    let report = lab.failed("text", "interrupted");
    assert_eq!(report["target_agent"], "scribe");
    assert_eq!(lab.rejected_count(), 0);
    drop(second);
}

#[test]
fn a_session_is_judged_by_the_dialect_that_it_was_started_with() {
    let lab = Lab::new();
    let first = lab.daemon().set("--agents", agents()).start();
    let hold = stand(&lab, "a", "mimic");
    first.crash();
    // In this one it would never say a final word.
    let mut others = agents();
    others["mimic"]["stream"]["result"] = json!("done");
    let second = lab.daemon().set("--agents", &others).start();
    lab.event("a", "adopted");
    hold.release();
    let report = lab.completed("a");
    assert_eq!(report["result"], "new line=no stdin=0 model= mode= who=");
    assert_eq!(lab.rejected_count(), 0);
    drop(second);
}

/// What would be tried again has nothing to be tried with.
#[test]
fn a_session_that_failed_is_not_tried_again() {
    let lab = Lab::new();
    let first = lab.daemon().set("--agents", agents()).start();
    let _hold = stand(&lab, "a", "mimic");
    let attempt = lab.active("a").join("attempt-1");
    let child = attempt.join("child.json");
    wait_until("its process on record", PATIENCE, || child.exists());
    first.crash();
    let mut stream = OpenOptions::new().append(true).open(attempt.join("stdout.jsonl"));
    let stream = stream.as_mut().expect("its stream");
    let torn = json!({"ev": "bye", "well": false, "why": {"words": "the paper tore"}});
    writeln!(stream, "{torn}").expect("its last word");
    let pid = json_file(&child)["pid"].as_i64().expect("a pid") as i32;
    signal(pid, Signal::KILL);
    wait_until("its end", PATIENCE, || !alive(pid));
    let second = lab.daemon().start();
    let report = lab.failed("a", "spawn_failed");
    assert_eq!(report["error"], "unsupported agent: mimic");
    let attempt = &report["attempts"][0];
    let told = (&attempt["error_type"], &attempt["error"]);
    assert_eq!(told, (&json!("tool_failure"), &json!("the paper tore")), "{report:#}");
    assert_eq!(lab.rejected_count(), 0);
    drop(second);
}
