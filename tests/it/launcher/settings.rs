//! What is wrong with a launcher's settings is said at the start, and a project may have another.

use super::*;

fn refusal(config_of: impl Fn(&Lab) -> Value) -> String {
    let lab = Lab::new();
    config(&lab, &config_of(&lab));
    let out = lab.plain_daemon().output();
    assert_eq!((out.code, out.stderr.lines().count()), (1, 1), "{out:?}");
    out.stderr
}

/// Waits for an event of the daemon itself.
fn told(lab: &Lab, event: &str) -> Value {
    let found = || lab.audit_of("").into_iter().find(|line| line["event"] == event);
    wait_for(&format!("{event} in the audit log"), PATIENCE, found)
}

#[test]
fn a_launcher_that_cannot_work_is_refused_at_the_start() {
    let own =
        |entry: Value| move |lab: &Lab| json!({"projects": {lab.dir.display().to_string(): entry}});
    for (said, says) in [
        (
            refusal(|_| json!({"launcher": ["no-such-launcher"]})),
            "launcher: no program no-such-launcher in PATH",
        ),
        (
            refusal(|_| json!({"launcher": "/nowhere/srun"})),
            "launcher: /nowhere/srun is no executable file",
        ),
        (
            refusal(|_| json!({"launcher": "env", "launcher_kill": "no-such-kill {id}"})),
            "launcher: no program no-such-kill in PATH",
        ),
        (
            refusal(|_| json!({"launcher": "env {idd}"})),
            "unknown placeholder {idd} (did you mean {id}?)",
        ),
        (
            refusal(own(json!({"launcher": ["no-such-launcher"]}))),
            "launcher: no program no-such-launcher in PATH",
        ),
        (refusal(own(json!({"launcher_kill": []}))), "launcher_kill needs launcher beside it"),
    ] {
        assert!(said.contains(says), "{says}: {said}");
    }
}

#[test]
fn a_project_may_have_an_engine_of_its_own_or_none() {
    let lab = Lab::new();
    let words = |name: &str| lab.path(name).display().to_string();
    let pass = |name: &str| json!([stub("pass"), words(name), "{id}", "--"]);
    let (own, none) = (lab.project("own"), lab.project("none"));
    config(
        &lab,
        &json!({"launcher": pass("all"), "launcher_kill": [],
            "projects": {words("own"): {"launcher": pass("its")}, words("none"): {"launcher": []}}}),
    );
    let daemon = lab.daemon().start();
    lab.send(&lab.task("own", "hello").in_dir(&own));
    lab.send(&lab.task("none", "hello").in_dir(&none));
    // Its engine is another one, of which nothing else is known.
    assert_eq!(unknown(&lab.completed("own")), ["launcher_kill is not set"]);
    assert_eq!(unknown(&lab.completed("none")), [""; 0]);
    assert!(!lab.path("all").exists());
    lab.send(&lab.task("all", "hello"));
    assert_eq!(unknown(&lab.completed("all")), [""; 0]);
    assert!(text_file(lab.path("its")).ends_with("dispatch-own\n"));
    assert!(text_file(lab.path("all")).ends_with("dispatch-all\n"));
    drop(daemon);
}

#[test]
fn a_launcher_that_goes_away_later_fails_what_needs_it() {
    let lab = Lab::new();
    let program = lab.path("launcher");
    std::fs::copy(stub("banner"), &program).expect("copy a launcher");
    let daemon = lab.daemon().set("--launcher", program.display()).start();
    std::fs::remove_file(&program).expect("remove it");
    lab.send(&lab.task("a", "hello"));
    let report = lab.failed("a", "spawn_failed");
    let said = format!("cannot start the launcher: {} is no executable file", program.display());
    assert_eq!(report["error"], said);
    drop(daemon);
}

#[test]
fn a_changed_launcher_is_for_new_sessions_and_a_wrong_one_changes_nothing() {
    let lab = Lab::new();
    let (engine, gate) = (lab.path("engine"), lab.gate("gate"));
    std::fs::create_dir(&engine).expect("create the engine's folder");
    config(
        &lab,
        &json!({"launcher": [stub("engine"), "start", engine, "{id}"],
            "launcher_kill": [stub("engine"), "kill", engine, "{id}"]}),
    );
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let _hold = gate.held();
    let pid = pids_in(&engine.join("dispatch-a.pid"))[0];
    config(&lab, &json!({"launcher": ["no-such-launcher"]}));
    daemon.signal(rustix::process::Signal::HUP);
    let refused = told(&lab, "config_refused");
    assert_eq!(refused["error"], "launcher: no program no-such-launcher in PATH");
    config(&lab, &json!({}));
    daemon.signal(rustix::process::Signal::HUP);
    told(&lab, "config_reloaded");
    std::fs::write(lab.inbox().join("cancel-dispatch-a"), "").expect("write");
    let report = lab.ended("a", "cancelled", "cancelled");
    assert!(!alive(pid), "{report:#}");
    assert_eq!(text_file(engine.join("kills")).lines().count(), 1);
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    assert_eq!(text_file(engine.join("kills")).lines().count(), 1);
    drop(daemon);
}
