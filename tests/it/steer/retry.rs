//! `retry`, and `--wait` and `--follow` of what is sent.

use serde_json::json;

use super::*;

#[test]
fn what_has_ended_is_sent_again_as_it_was() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let mut dispatch = lab.task("a", "fake: result refusal");
    dispatch.0["priority"] = json!({ "n": [1.5] });
    dispatch.0["constraints"] = json!(["be quick"]);
    lab.send(&dispatch);
    lab.failed("a", "logic_error");
    let answer = json(&lab, &["retry", "a"]);
    let want = json!({
        "id": "dispatch-a-r2", "inbox_file": lab.dropped("a-r2"), "daemon": "run",
        "retry_of": "dispatch-a",
    });
    assert_eq!(answer, want);
    let report = lab.failed("a-r2", "logic_error");
    assert_eq!(report["retry_of"], "dispatch-a", "{report:#}");
    assert_eq!(lab.event("a-r2", "received")["retry_of"], "dispatch-a");
    let copy = lab.finished("a-r2").join("dispatch.json");
    wait_until("its folder", PATIENCE, || copy.exists());
    let again = json_file(&copy);
    dispatch.0["id"] = json!("dispatch-a-r2");
    dispatch.0["retry_of"] = json!("dispatch-a");
    assert_eq!(again, dispatch.0);
    // A retry of a retry has the same base.
    assert_eq!(run(&lab, &["retry", "a-r2"]).stdout, "dispatch-a-r3\n");
    assert_eq!(lab.failed("a-r3", "logic_error")["retry_of"], "dispatch-a-r2");
    assert_eq!(run(&lab, &["retry", "dispatch-a"]).stdout, "dispatch-a-r4\n");
    lab.failed("a-r4", "logic_error");
    drop(daemon);
}

#[test]
fn what_is_open_or_was_rejected_or_is_unknown_is_not_sent() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    refused(&run(&lab, &["retry", "a"]), 1, "dispatch-a has not ended: it is running");
    let mut broken = lab.task("b", "t");
    broken.0["ttl_seconds"] = json!("soon");
    lab.send(&broken);
    let (kept, _) = lab.rejected("dispatch-b.json");
    refused(&run(&lab, &["retry", "b"]), 1, &kept.display().to_string());
    refused(&run(&lab, &["retry", "x"]), 3, "no dispatch begins with \"x\"");
    hold.release();
    lab.completed("a");
    // Without its copy nobody knows what was to be done; a changed copy is somebody else's word.
    let copy = lab.finished("a").join("dispatch.json");
    wait_until("its folder", PATIENCE, || copy.exists());
    let text = text_file(&copy);
    fs::write(&copy, text.replace("block", "mark")).expect("write");
    refused(&run(&lab, &["retry", "a"]), 1, "was changed since it was accepted");
    fs::remove_file(&copy).expect("remove");
    refused(&run(&lab, &["retry", "a"]), 1, "only the report of dispatch-a is left");
    assert_eq!(dropped_names(&lab), [""; 0]);
    drop(daemon);
}

#[test]
fn a_signed_dispatch_is_signed_anew() {
    let lab = Lab::new();
    assert_eq!(run(&lab, &["keygen", "one"]).code, 0);
    let daemon = lab.daemon().word("--require-signature").start();
    let signed = |words: &[&str]| command(&lab, words).env("GSTACK_DISPATCHD_REQUIRE_SIGNATURE", 1);
    let dir = lab.project("shop");
    let words = ["submit", "--id", "dispatch-a", "--task", "hello", "--project-dir"];
    let words = [&words[..], &[dir.to_str().expect("UTF-8")]].concat();
    assert_eq!(signed(&words).output().stdout, "dispatch-a\n");
    lab.completed("a");
    assert_eq!(signed(&["retry", "a"]).output().stdout, "dispatch-a-r2\n");
    assert_eq!(lab.completed("a-r2")["approval"]["signature"], "strong");
    drop(daemon);
}

#[test]
fn ten_at_once_are_ten_retries() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    let script = "for n in 1 2 3 4 5 6 7 8 9 10; do \"$D\" retry a & done; wait";
    // Some may see another's retry first, and are told that several begin so.
    let script = script.replace("retry a", "retry dispatch-a");
    let out = shell(&lab, &lab.dir, &script);
    let mut ids: Vec<&str> = out.stdout.lines().collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), out.stderr.as_str()), (10, ""), "{out:?}");
    for id in ids {
        let name = id.strip_prefix("dispatch-").expect("an id");
        assert_eq!(lab.completed(name)["retry_of"], "dispatch-a");
    }
    drop(daemon);
}

#[test]
fn whoever_waits_learns_how_it_ended() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let dir = lab.project("shop");
    let send = |task: &str, word: &str| {
        command(&lab, &["submit", "--task", task, word])
            .set("--project-dir", dir.display())
            .set("--timeout", "60")
    };
    let out = send("hello", "--wait").output();
    assert!(out.code == 0 && out.stdout.lines().count() == 1, "{out:?}");
    let out = send("fake: result refusal", "--wait").word("--json").output();
    let lines: Vec<Value> =
        out.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((out.code, lines.len()), (10, 2), "{out:?}");
    assert_eq!((&lines[0]["id"], lines[1]["state"].as_str()), (&lines[1]["id"], Some("failed")));
    let out = send("hello", "--follow").output();
    assert!(out.code == 0 && out.stdout.lines().count() > 1, "{out:?}");
    assert!(out.stdout.contains("-- completed"), "{out:?}");
    assert_eq!(send("fake: result refusal", "--follow").output().code, 10);
    let id = lines[0]["id"].as_str().expect("an id");
    assert_eq!(run(&lab, &["retry", id, "--wait", "--timeout", "60"]).code, 10);
    refused(&run(&lab, &["retry", id, "--wait", "--follow"]), 2, "not both");
    refused(&run(&lab, &["retry", id, "--timeout", "1"]), 2, "--timeout goes with");
    drop(daemon);
    let out = send("hello", "--wait").set("--timeout", 0).output();
    assert!(out.code == 124 && out.stdout.lines().count() == 1, "{out:?}");
}
