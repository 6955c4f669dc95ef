//! Which sessions are confined, and what a report says of that.

use serde_json::json;

use super::*;

/// Writes config.json with these settings for the project.
fn configure(place: &Place, of_project: Value) {
    let projects = json!({ place.project.to_str().expect("UTF-8"): of_project });
    fs::create_dir_all(place.lab.ours()).expect("create");
    let config = json!({ "projects": projects }).to_string();
    fs::write(place.lab.ours().join("config.json"), config).expect("write config.json");
}

#[test]
fn a_project_may_be_confined_alone_with_places_and_ports_of_its_own() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let cache = place.lab.home.join("cache");
    let settings = json!({"confine": true, "confine_write": ["~/cache"], "confine_connect": [9]});
    configure(&place, settings);
    let daemon = place.lab.daemon().start();
    let tries = [
        ("cache", format!("echo x >{}/new", cache.display())),
        ("bashrc", format!("echo x >>{}/.bashrc", place.lab.home.display())),
        (
            "connect",
            "python3 -c 'import socket; socket.create_connection((\"127.0.0.1\", 22))'".into(),
        ),
    ];
    assert_eq!(place.failing("a", &tries), ["bashrc", "connect"]);
    let said = text_file(place.project.join("tried.connect"));
    assert!(said.contains("PermissionError"), "{said}");
    let confined = &place.lab.completed("a")["confined"];
    assert_eq!(confined["connect"], json!([9]));
    assert!(confined["write"].as_array().expect("places").contains(&json!(cache)), "{confined}");
    let other =
        place.lab.task("b", format!("fake: try home echo x >{}/.b", place.lab.home.display()));
    place.lab.send(&other);
    let report = place.lab.completed("b");
    assert!(report.get("confined").is_none(), "{report:#}");
    assert!(place.lab.home.join(".b").exists());
    drop(daemon);
}

#[test]
fn a_project_inside_of_a_denied_place_is_not_run() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let daemon = place.lab.daemon().word("--confine").start();
    let dir = place.lab.home.join(".gnupg");
    std::fs::create_dir_all(&dir).expect("create");
    place.lab.send(&place.lab.task("a", "fake: turn hello").in_dir(&dir));
    let report = place.lab.report("a");
    assert_eq!(report["error_type"], "spawn_failed");
    let error = report["error"].as_str().expect("an error");
    assert!(error.contains("which confine_deny keeps from sessions"), "{error}");
    drop(daemon);
}

#[test]
fn refused_calls_of_tools_are_named_in_the_report() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let daemon = place.lab.daemon().word("--confine").start();
    let orders = "fake: tool Bash cat /home/u/.ssh/id_x\n\
                  fake: answer cat: /home/u/.ssh/id_x: Permission denied\n\
                  fake: tool Bash ls\nfake: answer a file";
    place.lab.send(&place.lab.task("a", orders).in_dir(&place.project));
    let report = place.lab.completed("a");
    let refused = json!([{"tool_name": "Bash", "input": "cat /home/u/.ssh/id_x"}]);
    assert_eq!(report["confined"]["refused"], refused, "{report:#}");
    let want = "1 tool call was refused by the system, as far as its words tell: see confined";
    assert!(warnings(&report).contains(&want), "{report:#}");
    drop(daemon);
}

#[test]
fn what_runs_for_a_confined_session_is_behind_its_wall() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let (lab, project) = (&place.lab, &place.project);
    let escaped = lab.home.join("escaped");
    let by_check = lab.home.join("escaped-by-check");
    let verify = json!({"project-a": {"argv": ["sh", "check.sh"]}});
    let daemon = lab.daemon().word("--confine").set("--verify", verify).start();
    // Git runs a filter of the repository's own when it looks for changes, and the acceptance
    // command runs what the session wrote.
    let orders = [
        format!("fake: try filter git config filter.x.clean 'echo x >{}; cat'", escaped.display()),
        "fake: try attributes echo '* filter=x' >.gitattributes".into(),
        // Of a file of the same size and another time it reads the content, through the filter.
        "fake: try touch touch -d yesterday README".into(),
        format!("fake: try check echo 'echo x >{}; test ! -e {0}' >check.sh", by_check.display()),
        "fake: tool Bash work".into(),
    ];
    lab.send(&lab.task("a", orders.join("\n")).in_dir(project).with("project", "project-a"));
    let report = lab.completed("a");
    assert_eq!(report["verify"]["exit_code"], 0, "{report:#}");
    assert!(report["git"]["dirty_files"].as_u64() > Some(0), "{report:#}");
    assert!(!escaped.exists() && !by_check.exists());
    drop(daemon);
}

#[test]
fn a_session_that_goes_on_after_a_crash_has_its_wall_in_the_report() {
    if !can_confine() {
        return;
    }
    let place = Place::new();
    let (lab, gate) = (&place.lab, place.lab.gate("gate"));
    let daemon = lab.daemon().word("--confine").start();
    let bashrc = lab.home.join(".bashrc");
    let orders =
        format!("fake: block {}\nfake: try home echo x >>{}", gate.display(), bashrc.display());
    lab.send(&lab.task("a", orders).in_dir(&place.project));
    let hold = gate.held();
    daemon.crash();
    let daemon = lab.daemon().word("--confine").start();
    hold.release();
    let report = lab.completed("a");
    assert_eq!(place.codes().len(), 1);
    assert!(place.codes()[0].1 != 0 && report["confined"]["abi"].is_u64(), "{report:#}");
    drop(daemon);
}

#[test]
fn wrong_settings_are_refused_at_the_start() {
    let place = Place::new();
    for (word, want) in [
        ("--confine=maybe", "--confine: maybe is none of on, off, if-possible"),
        ("--confine-deny=x", "--confine-deny: x is no place: name it from / or ~/"),
        ("--confine-connect=http", "--confine-connect: \"http\" is no port: 0 to 65535"),
    ] {
        let output = place.lab.daemon().word(word).output();
        assert_eq!(output.code, 2, "{}", output.stderr);
        assert!(output.stderr.contains(want), "{}", output.stderr);
    }
}

/// Runs what follows where the kernel's system calls of Landlock fail, as on a kernel without it.
const WITHOUT_LANDLOCK: &str = "import ctypes, os, struct, sys\n\
    libc = ctypes.CDLL(None, use_errno=True)\n\
    libc.prctl(38, 1, 0, 0, 0)\n\
    def ins(code, jt, jf, k): return struct.pack('HBBI', code, jt, jf, k)\n\
    nr = [444, 445, 446]\n\
    prog = ins(0x20, 0, 0, 0)\n\
    for at, n in enumerate(nr): prog += ins(0x15, len(nr) - at, 0, n)\n\
    prog += ins(0x06, 0, 0, 0x7fff0000) + ins(0x06, 0, 0, 0x00050000 | 38)\n\
    buf = ctypes.create_string_buffer(prog)\n\
    class F(ctypes.Structure): _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.c_void_p)]\n\
    f = F(len(prog) // 8, ctypes.addressof(buf))\n\
    assert libc.prctl(22, 2, ctypes.byref(f), 0, 0) == 0, os.strerror(ctypes.get_errno())\n\
    os.execv(sys.argv[1], sys.argv[1:])\n";

#[test]
fn without_landlock_the_daemon_refuses_unless_a_wall_is_only_wanted() {
    let under = ["python3", "-c", WITHOUT_LANDLOCK];
    if !can_run_under(&[&under[..], &["/usr/bin/env"]].concat()) {
        return skipped("python3 or seccomp is missing");
    }
    let place = Place::new();
    let output = place.lab.daemon().under(&under).word("--confine").output();
    assert_eq!(output.code, 1, "{}", output.stderr);
    assert!(output.stderr.contains("--confine=if-possible"), "{}", output.stderr);
    let daemon = place.lab.daemon().under(&under).word("--confine=if-possible").start();
    place.lab.send(&place.lab.task("a", "fake: turn hello").in_dir(&place.project));
    let report = place.lab.completed("a");
    assert!(report.get("confined").is_none(), "{report:#}");
    let want = "the session was not confined: the kernel has no Landlock";
    assert!(warnings(&report).contains(&want), "{report:#}");
    drop(daemon);
}
