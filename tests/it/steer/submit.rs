//! `submit`: what it drops, what it refuses, and that a dispatch whose id was printed is there.

use std::os::unix::fs::{PermissionsExt, symlink};

use serde_json::json;

use super::*;

/// A dispatch that is sent for a project of the test's.
fn submit<'l>(lab: &'l Lab, words: &[&str]) -> Start<'l> {
    let words = [&["submit"], words].concat();
    command(lab, &words).set("--project-dir", lab.project("shop").display())
}

/// The dispatch that was dropped under that id, which was printed alone on its line.
fn dropped(lab: &Lab, out: &Output) -> Value {
    assert_eq!(out.code, 0, "{out:?}");
    let id = out.stdout.strip_suffix('\n').expect("a line");
    json_file(&lab.inbox().join(format!("{id}.json")))
}

#[test]
fn a_task_alone_is_sent_with_the_usual_rest_and_waits_for_a_daemon() {
    let lab = Lab::new();
    let shop = lab.project("shop");
    let out = shell(&lab, &shop, "\"$D\" submit --task 'fake: mark ran'");
    let dispatch = dropped(&lab, &out);
    assert_eq!(out.stderr, "gstack-dispatch-daemon: no daemon runs: it waits for one\n");
    let id = dispatch["id"].as_str().expect("an id");
    let drawn = id.strip_prefix("dispatch-").expect("dispatch-");
    let is_drawn = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    assert!(drawn.len() == 10 && drawn.chars().all(is_drawn), "{id}");
    let rest = json!({
        "id": id, "task": "fake: mark ran", "project": "shop", "project_dir": shop,
        "dispatched_by": "somebody",
    });
    assert_eq!(dispatch, rest);
    let mode = fs::metadata(lab.inbox().join(format!("{id}.json"))).expect("stat").permissions();
    assert_eq!(mode.mode() & 0o7777, 0o600);
    assert_eq!(dropped_names(&lab), [format!("{id}.json")]);
    let daemon = lab.daemon().start();
    lab.completed(drawn);
    assert!(shop.join("ran").exists());
    drop(daemon);
}

#[test]
fn every_field_can_be_typed() {
    let lab = Lab::new();
    let dir = lab.project("shop");
    let out = command(&lab, &["submit", "--id", "dispatch-a", "--task", "t", "--project", "P"])
        .set("--project-dir", dir.display())
        .set("--dispatched-by", "w")
        .set("--target-agent", "codex")
        .set("--ttl", "2h")
        .set("--callback-url", "http://127.0.0.1:9/x")
        .word("--constraint=be quick")
        .word("--constraint=and quiet")
        .word("--learning")
        .word("l1")
        .output();
    let want = json!({
        "id": "dispatch-a", "task": "t", "project": "P", "project_dir": dir, "dispatched_by": "w",
        "target_agent": "codex", "ttl_seconds": 7200, "callback_url": "http://127.0.0.1:9/x",
        "constraints": ["be quick", "and quiet"], "learnings": ["l1"],
    });
    assert_eq!(dropped(&lab, &out), want);
}

#[test]
fn a_document_goes_in_byte_for_byte_unless_an_option_replaces_a_field() {
    let lab = Lab::new();
    let dir = lab.project("shop");
    let text = format!(
        "{{ \"id\":\"dispatch-a\",\n \"x\": 1.50, \"task\":\"t\\u0041\",\"project\":\"p\",\
         \"dispatched_by\":\"o\",\"project_dir\":{} }}\n\n",
        json!(dir),
    );
    fs::write(lab.path("a.json"), &text).expect("write");
    let out = run(&lab, &["submit", "a.json"]);
    dropped(&lab, &out);
    assert_eq!(text_file(lab.dropped("a")), text);
    let out = shell(&lab, &lab.dir, "sed s/dispatch-a/dispatch-b/ a.json | \"$D\" submit -");
    assert_eq!(out.stdout, "dispatch-b\n");
    assert_eq!(text_file(lab.dropped("b")), text.replace("dispatch-a", "dispatch-b"));
    let out = submit(&lab, &["a.json", "--id=dispatch-c", "--task", "other"]).output();
    dropped(&lab, &out);
    let replaced = text_file(lab.dropped("c"));
    assert!(
        replaced.contains("\"x\":1.50") && replaced.contains("\"task\":\"other\""),
        "{replaced}"
    );
    assert_eq!(run(&lab, &["submit", "a.json", "--json"]).code, 1, "its id is used");
}

#[test]
fn a_task_may_come_from_stdin_or_a_file() {
    let lab = Lab::new();
    let out = shell(&lab, &lab.project("shop"), "printf 'one\\n  two\\n' | \"$D\" submit --task -");
    assert_eq!(dropped(&lab, &out)["task"], "one\n  two");
    fs::write(lab.path("plan"), "three\nü").expect("write");
    let out = submit(&lab, &["--task-file", "plan"]).output();
    assert_eq!(dropped(&lab, &out)["task"], "three\nü");
}

#[test]
fn the_answer_in_json_names_the_file_and_the_daemon() {
    let lab = Lab::new();
    let shop = lab.project("shop");
    let dir = shop.to_str().expect("UTF-8");
    let words = ["submit", "--project-dir", dir, "--task", "hello"];
    let answer = json(&lab, &[&words[..], &["--id", "dispatch-a"]].concat());
    let file = lab.dropped("a");
    assert_eq!(answer, json!({ "id": "dispatch-a", "inbox_file": file, "daemon": "none" }));
    let mut daemon = lab.daemon().start();
    lab.completed("a");
    assert_eq!(json(&lab, &words)["daemon"], "run");
    daemon.stop();
    assert_eq!(json(&lab, &words)["daemon"], "stopped");
}

#[test]
fn what_the_daemon_would_refuse_is_not_dropped() {
    let lab = Lab::new();
    let good = |id: &str| {
        let dir = lab.project("shop");
        json!({ "id": id, "task": "t", "project": "p", "project_dir": dir, "dispatched_by": "o" })
    };
    let with = |key: &str, value: Value| {
        let mut dispatch = good("dispatch-x");
        dispatch[key] = value;
        dispatch.to_string()
    };
    for (text, why) in [
        (String::new(), "empty"),
        ("{".into(), "not JSON"),
        ("[]".into(), "JSON object"),
        ("{\"task\":\"t\"}".into(), "id is missing"),
        (with("id", json!("x")), "id must be"),
        (with("id", json!("dispatch-../../x")), "id must be"),
        (with("task", json!("")), "task is empty"),
        (with("ttl_seconds", json!(5)), "ttl_seconds must be"),
        (with("project_dir", json!("/nowhere/at/all")), "/nowhere/at/all"),
        (with("project_dir", json!("shop")), "not absolute"),
        (with("project_dir", json!(lab.home)), "is the home directory"),
        (with("project_dir", json!(lab.gstack.join("dispatch"))), "cannot use"),
        (with("target_agent", json!("\u{1b}[2J")), "target_agent must be"),
        (format!("{{\"id\":\"dispatch-x\",{}", &good("dispatch-x").to_string()[1..]), "twice"),
        (" ".repeat(1024 * 1024 + 1), "1 MiB"),
    ] {
        fs::write(lab.path("x.json"), text).expect("write");
        refused(&run(&lab, &["submit", "x.json"]), 1, why);
    }
    refused(&run(&lab, &["submit", "nothing.json"]), 1, "nothing.json");
    assert_eq!(dropped_names(&lab), [""; 0]);
}

#[test]
fn an_option_at_fault_is_named_and_is_wrong_usage() {
    let lab = Lab::new();
    let task = ["submit", "--task", "t"];
    for (words, why) in [
        (&["--id", "x"][..], "--id: id must be"),
        (&["--id", "dispatch-a/b"], "--id: id must be"),
        (&["--ttl", "1"], "--ttl: ttl_seconds"),
        (&["--ttl", "2w"], "--ttl: \"2w\""),
        (&["--target-agent", "nobody"], "--target-agent: target_agent must be"),
        (&["--project-dir", "/nowhere/at/all"], "--project-dir: cannot use"),
        (&["--project-dir", "nowhere"], "--project-dir: cannot use"),
        (&["--task-file", "f"], "not both"),
        (&["--taks", "t"], "did you mean --task?"),
        (&["--kid", "../x"], "--kid"),
        (&["a.json", "b.json"], "too much"),
    ] {
        let words = [&task[..], words].concat();
        refused(&run(&lab, &words), 2, why);
    }
    refused(&run(&lab, &["submit", "--task", ""]), 2, "--task: task is empty");
    refused(&run(&lab, &["submit"]), 2, "--task");
    refused(&run(&lab, &["submit", "-", "--task", "-"]), 2, "stdin");
    assert!(!lab.gstack.exists(), "nothing was made");
}

#[test]
fn an_id_that_somebody_has_is_never_used_again() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello"));
    lab.completed("a");
    let again = ["--task", "t", "--id", "dispatch-a"];
    refused(&submit(&lab, &again).output(), 2, "has been dispatched before");
    // An id that only a rejection has is free.
    let mut broken = lab.task("b", "t");
    broken.0["ttl_seconds"] = json!("soon");
    lab.send(&broken);
    lab.rejected("dispatch-b.json");
    drop(daemon);
    assert_eq!(submit(&lab, &["--task", "t", "--id", "dispatch-b"]).output().code, 0);
    let text = text_file(lab.dropped("b"));
    refused(&submit(&lab, &["--task", "u", "--id", "dispatch-b"]).output(), 2, "before");
    assert_eq!(text_file(lab.dropped("b")), text);
}

#[test]
fn what_stands_in_the_way_is_never_replaced_nor_followed() {
    let lab = Lab::new();
    fs::create_dir_all(lab.inbox()).expect("create");
    fs::write(lab.path("theirs"), "theirs").expect("write");
    symlink(lab.path("theirs"), lab.dropped("a")).expect("symlink");
    fs::create_dir(lab.dropped("b")).expect("create");
    for name in ["a", "b"] {
        let id = id(name);
        refused(&submit(&lab, &["--task", "t", "--id", &id]).output(), 2, "before");
    }
    assert_eq!(text_file(lab.path("theirs")), "theirs");
    assert_eq!(dropped_names(&lab), ["dispatch-a.json", "dispatch-b.json"]);
}

#[test]
fn fifty_at_once_are_fifty_dispatches_while_the_daemon_takes_them() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 4).set("--max-per-project", 0).start();
    let script = "for n in 1 2 3 4 5 6 7 8 9 10; do for m in 1 2 3 4 5; do
        \"$D\" submit --task hello & done; done; wait";
    let out = shell(&lab, &lab.project("shop"), script);
    let mut ids: Vec<&str> = out.stdout.lines().collect();
    assert_eq!((out.code, out.stderr.as_str(), ids.len()), (0, "", 50), "{out:?}");
    for id in &ids {
        lab.completed(id.strip_prefix("dispatch-").expect("an id"));
    }
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), dropped_names(&lab)), (50, Vec::new()));
    drop(daemon);
}

#[test]
fn of_many_with_one_id_one_is_sent() {
    let lab = Lab::new();
    let script = "for n in 1 2 3 4 5 6 7 8; do
        \"$D\" submit --id dispatch-a --task $n && echo sent >> sent & done; wait";
    let dir = lab.project("shop");
    let out = shell(&lab, &dir, script);
    assert_eq!(
        (out.stdout.as_str(), text_file(dir.join("sent")).as_str()),
        ("dispatch-a\n", "sent\n")
    );
    assert_eq!(dropped_names(&lab), ["dispatch-a.json"]);
}

#[test]
fn a_full_disk_drops_nothing_and_leaves_nothing() {
    let lab = Lab::new();
    fs::create_dir_all(lab.inbox()).expect("create");
    // No file may grow at all.
    let script = "trap '' XFSZ; ulimit -f 0; \"$D\" submit --task t";
    refused(&shell(&lab, &lab.project("shop"), script), 1, "cannot write");
    assert_eq!(dropped_names(&lab), [""; 0]);
    let out =
        shell(&lab, &lab.project("shop"), "\"$D\" submit --id dispatch-a --task t > /dev/full");
    assert_eq!(out.code, 1, "{out:?}");
    assert!(out.stderr.contains("cannot write the answer"), "{out:?}");
}

#[test]
fn what_must_be_signed_is_signed_by_the_one_key_there_is() {
    let lab = Lab::new();
    let signed = |words: &[&str]| submit(&lab, words).env("GSTACK_DISPATCHD_REQUIRE_SIGNATURE", 1);
    refused(&signed(&["--task", "t"]).output(), 1, "make one with keygen KID");
    assert_eq!(run(&lab, &["keygen", "ed:laptop"]).code, 0);
    refused(&signed(&["--task", "t"]).output(), 1, "no .key");
    assert_eq!(run(&lab, &["keygen", "one"]).code, 0);
    assert_eq!(dropped_names(&lab), [""; 0]);
    let daemon = lab.daemon().word("--require-signature").start();
    let out = signed(&["--id", "dispatch-a", "--task", "hello"]).output();
    assert_eq!((out.code, out.stdout.as_str()), (0, "dispatch-a\n"), "{out:?}");
    assert_eq!(lab.completed("a")["approval"]["kid"], "one");
    assert_eq!(run(&lab, &["keygen", "two"]).code, 0);
    refused(&signed(&["--task", "t"]).output(), 2, "--kid one or --kid two");
    let out = signed(&["--id=dispatch-b", "--task=hello", "--kid", "two"]).output();
    assert_eq!((out.code, out.stdout.as_str()), (0, "dispatch-b\n"), "{out:?}");
    assert_eq!(lab.completed("b")["approval"]["kid"], "two");
    refused(&signed(&["--task", "t", "--kid", "three"]).output(), 1, "no key three");
    // What somebody else signed goes in as it is, if it is right.
    fs::write(lab.path("c.json"), lab.task("c", "hello").bytes()).expect("write");
    let out = run(&lab, &["sign", "--kid", "one", "c.json"]);
    fs::write(lab.path("c.signed"), &out.stdout).expect("write");
    fs::write(lab.path("d.signed"), out.stdout.replace("dispatch-c", "dispatch-d")).expect("write");
    let given = |file: &str| {
        let start = command(&lab, &["submit", file]);
        start.env("GSTACK_DISPATCHD_REQUIRE_SIGNATURE", 1).output()
    };
    assert_eq!(given("c.signed").stdout, "dispatch-c\n");
    lab.completed("c");
    refused(&given("d.signed"), 1, "signature is not right");
    // A session signs nothing.
    let inside = signed(&["--task", "t", "--kid", "one"]).env("GSTACK_DISPATCH_ID", "x");
    refused(&inside.output(), 1, "GSTACK_DISPATCH_ID is set");
    drop(daemon);
}

#[test]
fn submit_takes_part_in_a_pause_and_a_stop_by_saying_so() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    assert_eq!(run(&lab, &["pause"]).code, 0);
    let out = submit(&lab, &["--task", "hello"]).output();
    assert!(out.code == 0 && out.stderr.contains("the daemon is paused"), "{out:?}");
    drop(daemon);
}
