//! Settings that are wrong or say nothing: refused with the line to type, or told at the start.
//! Nothing passes in silence.

use std::fs;

use serde_json::json;

use crate::util::*;

fn config(lab: &Lab, text: &str) {
    fs::create_dir_all(lab.ours()).expect("create dispatchd");
    fs::write(lab.ours().join("config.json"), text).expect("write config.json");
}

/// The one line of a start that is refused.
fn refusal(start: Start<'_>) -> String {
    let out = start.output();
    assert_eq!((out.code, out.stdout.as_str()), (1, ""), "{out:?}");
    assert_eq!(out.stderr.lines().count(), 1, "{}", out.stderr);
    let stamp = json!(out.stderr.split(' ').next());
    assert!(is_stamp(&stamp) && out.stderr.contains(" ERROR main: "), "{}", out.stderr);
    out.stderr
}

#[test]
fn a_refused_start_has_a_time_and_what_to_type() {
    let lab = Lab::new();
    config(&lab, "{\"max_concurrent\": 0}");
    let edit = format!("${{EDITOR:-vi}} {}", lab.ours().join("config.json").display());
    let claude = lab.path("nowhere/claude");
    for (start, says) in [
        (lab.plain_daemon(), edit.as_str()),
        (lab.plain_daemon().env("RUST_LOG", "off"), &edit),
        (Lab::new().plain_daemon().set("--claude", claude.display()), "--claude PATH"),
        (Lab::new().plain_daemon().no_env("HOME").no_env("GSTACK_HOME"), "set one of them"),
        (Lab::new().plain_daemon().env("GSTACK_HOME", DAEMON), "set GSTACK_HOME to a directory"),
    ] {
        let said = refusal(start);
        assert!(said.contains(says), "{says}: {said}");
    }
}

#[test]
fn an_unknown_command_points_to_the_help() {
    let lab = Lab::new();
    let out = lab.plain_daemon().word("launch").output();
    assert_eq!(out.code, 2);
    assert_eq!(out.stderr, "gstack-dispatch-daemon: unknown command: launch (see --help)\n");
}

#[test]
fn a_misspelt_key_is_refused_with_the_nearest_one() {
    for (text, says) in [
        ("{\"max_concurent\": 3}", "did you mean max_concurrent?"),
        ("{\"projects\": {\"/p\": {\"strickt\": true}}}", "did you mean strict?"),
        ("{\"verify\": {\"shop\": {\"argw\": [\"x\"]}}}", "did you mean argv?"),
        ("{\"zzz\": 3}", "unknown setting zzz;"),
        ("not at all", "it is not JSON: "),
    ] {
        let lab = Lab::new();
        config(&lab, text);
        let said = refusal(lab.plain_daemon());
        assert!(said.contains(says), "{text}: {said}");
    }
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    for (text, key) in [
        ("{\"strict\": true, \"strict\": false}", "strict"),
        ("{\"projects\": {\"/p\": {\"strict\": true, \"strict\": false}}}", "strict"),
        ("{\"projects\": {\"/p\": {\"strict\": true}, \"/p\": {}}}", "/p"),
    ] {
        let lab = Lab::new();
        config(&lab, text);
        let said = refusal(lab.plain_daemon());
        assert!(said.contains(&format!("{key} stands twice")), "{text}: {said}");
    }
    let twice = "{\"/p\": {\"strict\": true}, \"/p\": {}}";
    let said = Lab::new().plain_daemon().set("--projects", twice).output().stderr;
    assert!(said.contains("/p stands twice"), "{said}");
}

#[test]
fn an_unknown_variable_is_refused_if_it_can_be_a_typo_and_told_if_not() {
    for (name, meant) in [
        ("GSTACK_DISPATCHD_MAX_CONCURENT", "GSTACK_DISPATCHD_MAX_CONCURRENT"),
        ("GSTACK_DISPATCHD_STRICKT", "GSTACK_DISPATCHD_STRICT"),
        ("GSTACK_DISPATCHD_DRAIN_TIMEOUT", "GSTACK_DISPATCHD_DRAIN_TIMEOUT_SECONDS"),
    ] {
        let lab = Lab::new();
        let said = refusal(lab.plain_daemon().env(name, "1"));
        assert!(said.contains(name) && said.contains(&format!("did you mean {meant}?")), "{said}");
    }
    let lab = Lab::new();
    let daemon = lab.daemon().env("GSTACK_DISPATCHD_FOO", 1).env("GSTACK_DISPATCHD_LOG", "info");
    let daemon = daemon.start();
    let log = daemon.stderr();
    assert!(log.contains("WARN  main: GSTACK_DISPATCHD_FOO is no setting"), "{log}");
    assert!(!log.contains("GSTACK_DISPATCHD_LOG"), "{log}");
    drop(daemon);
}

#[test]
fn a_variable_that_is_not_utf8_is_refused_by_its_name() {
    for name in ["GSTACK_DISPATCHD_STRICT", "GSTACK_DISPATCHD_LOG"] {
        let lab = Lab::new();
        let script = format!("{name}=$(printf 'tr\\377e') exec \"$0\" \"$@\"");
        let said = refusal(lab.plain_daemon().under(&["sh", "-c", &script]));
        assert!(said.contains(&format!("{name}: its value is not UTF-8")), "{said}");
    }
}

#[test]
fn what_the_settings_name_and_is_not_there_is_said_at_the_start() {
    let lab = Lab::new();
    let at = |rest: &str| lab.path(rest).display().to_string();
    let run = |program: &str| json!({"argv": [program]});
    lab.project("there");
    let settings = json!({
        "projects": {at("there"): {}, at("typo"): {"strict": true}, "~/typo": {}},
        "verify": {at("there"): run("./no-check.sh"), at("gone"): run("true"),
            "shop": run("no-such-program"), "bakery": run("/nowhere/check"), "ok": run("true"), "rel": run("./x")},
    });
    config(&lab, &settings.to_string());
    let daemon = lab.daemon().start();
    let log = daemon.stderr();
    let mut warned: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split_once(" WARN  main: "))
        .map(|(_, said)| said)
        .collect();
    warned.retain(|said| said.starts_with("projects: ") || said.starts_with("verify: "));
    let nowhere = |what: &str, key: String| {
        format!("{what}: {key} names no directory; the rule holds as soon as there is one")
    };
    let no_program = |key: String, program: &str| {
        format!("verify: {key}: {program} is no program that can be run")
    };
    let mut wanted = [
        nowhere("projects", at("typo")),
        nowhere("projects", "~/typo".into()),
        nowhere("verify", at("gone")),
        no_program(at("there"), "./no-check.sh"),
        no_program("bakery".into(), "/nowhere/check"),
        no_program("shop".into(), "no-such-program"),
    ];
    warned.sort();
    wanted.sort();
    assert_eq!(warned, wanted);
    drop(daemon);
}

#[test]
fn a_rule_at_home_without_a_home_is_refused() {
    let lab = Lab::new();
    config(&lab, "{\"projects\": {\"~/p\": {\"strict\": true}}}");
    let said = refusal(lab.plain_daemon().no_env("HOME"));
    assert!(said.contains("~/p") && said.contains("set HOME"), "{said}");
}
