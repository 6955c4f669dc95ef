//! What goes through a launcher: arguments, prompt, directory, environment, output, exit code; and
//! what it adds itself.

use std::process::{Command, Stdio};

use super::*;

#[test]
fn everything_goes_through_a_launcher_and_its_placeholders_are_filled_in() {
    let lab = Lab::new();
    let (words, dump, plain) = (lab.path("words"), lab.path("dump"), lab.path("plain"));
    let start = || lab.daemon().set("--max-per-project", 0);
    let daemon = start().start();
    let task = |name: &str, dump: &std::path::Path| {
        let task = lab.task(name, format!("fake: dump {}\nfake: result refusal", dump.display()));
        task.in_dir(&lab.project("a b")).with("project", "--;x/y").with("ttl_seconds", 90)
    };
    lab.send(&task("plain", &plain));
    lab.failed("plain", "logic_error");
    drop(daemon);
    config(
        &lab,
        &json!({
            "launcher": [stub("pass"), words, "--id={id}", "{project}", "{dir}", "2:{ttl}", "a b", "--"],
            "launcher_kill": [],
        }),
    );
    let daemon = start().start();
    lab.send(&task("a", &dump));
    let report = lab.failed("a", "logic_error");
    assert_eq!((&report["exit_code"], unknown(&report)), (&json!(1), vec![]), "{report:#}");
    let dir = lab.path("a b").display().to_string();
    let want = [&dir, "--id=dispatch-a", "xy", &dir, "2:90", "a b"];
    assert_eq!(text_file(&words).lines().collect::<Vec<_>>(), want);
    let file = |name: &str| (text_file(dump.join(name)), text_file(plain.join(name)));
    for name in ["program", "cwd"] {
        let (launched, plain) = file(name);
        assert_eq!(launched, plain, "{name}");
    }
    let (launched, plain_one) = file("prompt");
    assert_eq!(
        launched.replace("dispatch-a", "").replace("/dump", ""),
        plain_one.replace("dispatch-plain", "").replace("/plain", "")
    );
    // Each session has an id of its own.
    let arguments = |text: String| text.lines().filter(|word| !word.contains("-4")).count();
    let (launched, plain_one) = file("argv");
    assert_eq!(arguments(launched), arguments(plain_one));
    let names = |text: String| {
        let names = text.lines().filter_map(|line| Some(line.split_once('=')?.0.to_string()));
        names.filter(|name| name != "_").collect::<std::collections::BTreeSet<_>>()
    };
    let (launched, plain_one) = file("env");
    assert_eq!(names(launched), names(plain_one));
    drop(daemon);
}

#[test]
fn a_banner_before_the_stream_is_a_line_that_cannot_be_read() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--launcher", stub("banner")).set("--launcher-kill", "").start();
    lab.send(&lab.task("a", "fake: result success Done."));
    let report = lab.completed("a");
    assert_eq!(report["result"], "Done.");
    assert!(warnings(&report).contains(&"1 line of the stream could not be read"), "{report:#}");
    drop(daemon);
}

#[test]
fn a_launcher_without_a_kill_command_is_told_in_every_report() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--launcher", stub("banner")).start();
    lab.send(&lab.task("a", "hello"));
    assert_eq!(unknown(&lab.completed("a")), ["launcher_kill is not set"]);
    lab.send(&lab.task("b", "fake: result refusal"));
    assert_eq!(unknown(&lab.failed("b", "logic_error")), ["launcher_kill is not set"]);
    drop(daemon);
}

#[test]
fn a_launcher_that_fails_is_tried_again_once_and_is_no_retry() {
    let lab = Lab::new();
    for (code, times) in [(253, 1), (125, 2)] {
        let (tries, name) = (lab.path(&format!("tries-{code}")), format!("a{code}"));
        let launcher = format!("{} {code} {} {times}", stub("failing"), tries.display());
        let daemon = lab.daemon().set("--launcher", launcher).set("--launcher-kill", "");
        let daemon = daemon.set("--launcher-fail-codes", "125 253").start();
        lab.send(&lab.task(&name, "fake: once exit 3\nhello"));
        if times == 1 {
            // The agent's own failure has its own retry.
            let report = lab.completed(&name);
            assert_eq!((&report["retry_count"], text_file(&tries).lines().count()), (&json!(1), 3));
            let types: Vec<_> = report["attempts"].as_array().expect("attempts").iter().collect();
            assert_eq!(types.len(), 3, "{report:#}");
            assert_eq!(types[0]["error_type"], "spawn_failed");
            assert_eq!(types[1]["error_type"], "tool_failure");
        } else {
            let report = lab.failed(&name, "spawn_failed");
            assert_eq!((&report["retry_count"], text_file(&tries).lines().count()), (&json!(0), 2));
            let said = "the launcher failed (exit code 125): the agent never ran; stderr: engine: no allocation (125)";
            assert_eq!(report["error"], said);
        }
        drop(daemon);
    }
}

#[test]
fn a_fail_code_is_no_word_of_an_agent_whose_exit_code_is_all_it_says() {
    let lab = Lab::new();
    let launcher =
        [stub("failing"), "77".into(), lab.path("tries").display().to_string(), "9".into()];
    config(
        &lab,
        &json!({"agents": {"plain": plain_agent()}, "launcher": launcher, "launcher_kill": [],
            "launcher_fail_codes": [77]}),
    );
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "mimic: well").with("target_agent", "plain"));
    let report = lab.failed("a", "spawn_failed");
    assert_eq!(report["attempts"].as_array().map(Vec::len), Some(2), "{report:#}");
    lab.heartbeat("no hold", |beat| beat.get("holds").is_none());
    drop(daemon);
}

#[test]
fn a_fail_code_after_the_agent_s_first_word_is_the_agent_s() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--launcher", stub("banner")).set("--launcher-kill", "");
    let daemon = daemon.set("--launcher-fail-codes", "125,253").start();
    lab.send(&lab.task("a", "fake: exit 253"));
    let report = lab.failed("a", "tool_failure");
    assert_eq!(report["retry_count"], 1);
    // What stands on stderr is the engine's as well as the agent's.
    lab.send(
        &lab.task("b", "fake: stderr error: unknown option '--x'\nfake: silent\nfake: exit 1"),
    );
    lab.failed("b", "tool_failure");
    lab.send(&lab.task("c", "fake: result success Done.\nfake: exit 253"));
    lab.completed("c");
    drop(daemon);
}

#[test]
fn exit_0_without_a_result_is_a_failure_under_a_launcher_too() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--launcher", stub("banner")).set("--launcher-kill", "").start();
    lab.send(&lab.task("a", "fake: no-result"));
    lab.failed("a", "tool_failure");
    drop(daemon);
}

#[test]
fn what_a_launcher_leaves_on_this_machine_is_ended() {
    let lab = Lab::new();
    let pids = lab.path("pids");
    let launcher = format!("{} {}", stub("leaver"), pids.display());
    let daemon = lab.daemon().set("--launcher", launcher).set("--launcher-kill", "").start();
    lab.send(&lab.task("a", "hello"));
    let report = lab.completed("a");
    assert_eq!(all_gone(&pids).len(), 1);
    assert_eq!(report["leftover_processes"].as_array().map(Vec::len), Some(1), "{report:#}");
    drop(daemon);
}

/// Somebody else on this machine starts a process of the session, as a container's daemon does: it
/// is not below us.
#[test]
fn what_an_engine_runs_beside_the_daemon_is_found_by_its_token() {
    let lab = Lab::new();
    let (fifo, pids) = (lab.path("fifo"), lab.path("pids"));
    drop(lab.gate("fifo"));
    let script =
        "read -r token <\"$0\" && { GSTACK_RUN_TOKEN=$token sleep 7777 & echo $! >>\"$1\"; wait; }";
    let mut outside = Command::new("sh");
    let outside = outside.args(["-c", script]).args([&fifo, &pids]).stdin(Stdio::null());
    let mut outside = outside.spawn().expect("sh");
    let launcher = format!("{} {}", stub("teller"), fifo.display());
    let daemon = lab.daemon().set("--launcher", launcher).set("--launcher-kill", "").start();
    let gate = lab.gate("gate");
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    let pid = pids_in(&pids)[0];
    assert!(alive(pid));
    hold.release();
    let report = lab.completed("a");
    assert_eq!(all_gone(&pids), [pid]);
    outside.wait().expect("the end of sh");
    assert_eq!(report["leftover_processes"][0]["pid"], pid, "{report:#}");
    drop(daemon);
}
