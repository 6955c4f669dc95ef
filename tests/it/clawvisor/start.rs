//! The start: what is wrong is said in one line with what to type, and Clawvisor itself may be down.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use super::*;

#[test]
fn what_cannot_be_right_ends_the_start_with_the_way_out() {
    let lab = Lab::new();
    let token = lab.gstack.join(".clawvisor-token");
    let start = |url: &str| lab.daemon().set("--clawvisor-url", url).output();
    let out = start("http://127.0.0.1:9");
    assert_eq!(out.code, 1, "{}", out.stderr);
    assert!(
        out.stderr.contains("there is no token") && out.stderr.contains("chmod 600"),
        "{}",
        out.stderr
    );
    assert!(out.stderr.contains(&token.display().to_string()), "{}", out.stderr);
    fs::create_dir_all(&lab.gstack).expect("a directory");
    write_secret(&token, TOKEN);
    for (url, says) in [
        ("http://127.0.0.1:9/api", "clawvisor_url: it must end behind its host and port"),
        ("http://claw.example", "clawvisor_plain_http"),
        ("https://user:sesame@claw.example", "clawvisor_url: it has credentials"),
        ("claw.example", "clawvisor_url: it is no URL"),
    ] {
        let out = start(url);
        assert!(out.code == 1 && out.stderr.contains(says), "{url}: {}", out.stderr);
        assert!(!out.stderr.contains("sesame"), "{}", out.stderr);
    }
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(&token, open).expect("a mode");
    let out = start("http://127.0.0.1:9");
    assert!(out.code == 1 && out.stderr.contains("chmod 600"), "{}", out.stderr);
    assert!(!out.stderr.contains(TOKEN), "{}", out.stderr);
    for (written, says) in [("two\nlines", "it is no token"), ("", "it is no token")] {
        fs::remove_file(&token).expect("remove");
        write_secret(&token, written);
        let out = start("http://127.0.0.1:9");
        assert!(out.code == 1 && out.stderr.contains(says), "{}", out.stderr);
    }
}

#[test]
fn a_clawvisor_that_is_down_is_a_warning_and_what_needs_it_waits() {
    let lab = Lab::new();
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
    let address = listener.local_addr().expect("an address");
    drop(listener);
    let down = Clawvisor::start();
    let daemon = asking(&lab, &down).set("--clawvisor-url", format!("http://{address}")).start();
    let beat = lab.heartbeat("unreachable", |beat| beat["clawvisor"]["state"] == "unreachable");
    assert!(is_stamp(&beat["clawvisor"]["since"]), "{beat}");
    lab.send(&marking(&lab, "a", "t-1"));
    waits_for(&lab, "a", "clawvisor_unreachable");
    assert_eq!(lab.event("a", "approval_required")["why"], "clawvisor_unreachable");
    assert_eq!(lab.event("", "clawvisor_state")["state"], "unreachable");
    assert!(!has_run(&lab, "a"));
    // It comes up.
    let clawvisor = Clawvisor::on(TcpListener::bind(address).expect("the same address"));
    clawvisor.put(task("t-1", "session"));
    lab.completed("a");
    lab.heartbeat("ready", |beat| beat["clawvisor"]["state"] == "ready");
    drop(daemon);
}

#[test]
fn a_clawvisor_that_is_not_ready_is_asked_until_it_is() {
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    clawvisor.trouble("", 3, Trouble::Answer(503, "{\"status\":\"degraded\"}".into()));
    let daemon = asking(&lab, &clawvisor).start();
    lab.heartbeat("ready", |beat| beat["clawvisor"]["state"] == "ready");
    let states: Vec<_> =
        lab.audit_of("").into_iter().filter(|l| l["event"] == "clawvisor_state").collect();
    assert_eq!(states.len(), 2, "{states:?}");
    assert!(states[0]["error"].as_str().is_some_and(|e| e.contains("503")), "{states:?}");
    assert!(clawvisor.seen().iter().all(|request| request.header("authorization").is_empty()));
    drop(daemon);
}
