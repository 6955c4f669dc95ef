//! The token: it goes to Clawvisor's origin and to three paths there, and is found nowhere else.

use std::path::Path;

use super::*;

/// Every file below that holds the text.
fn files_with(dir: &Path, text: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).expect("a folder").flatten() {
        let (path, kind) = (entry.path(), entry.file_type().expect("a kind"));
        if kind.is_dir() {
            files_with(&path, text, found);
        } else if kind.is_file() {
            let bytes = fs::read(&path).expect("a file");
            if bytes.windows(text.len()).any(|part| part == text.as_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
}

/// All that a dispatch may meet, with the token told to the daemon by `start`.
fn everything(lab: &Lab, clawvisor: &Clawvisor, receiver: &Server, start: Start) {
    let dump = lab.path("dump");
    fs::create_dir_all(&dump).expect("a folder");
    clawvisor.put(task("t-good", "session"));
    clawvisor.put(task("t-sibling", "session"));
    let daemon = start
        .set("--on-finish", "env")
        .set(
            "--verify",
            format!(r#"{{"{}": {{"argv": ["env"]}}}}"#, lab.project("project-good").display()),
        )
        .start();
    // The server repeats the token in its errors, as a careless one might.
    let echo = format!("{{\"error\":\"bad token {TOKEN}\"}}");
    clawvisor.trouble("t-echo", usize::MAX, Trouble::Answer(503, echo.clone()));
    let hook = format!("{}/hook", receiver.url);
    lab.send(
        &by_task(lab, "good", "t-good", &format!("fake: dump {}", dump.display()))
            .with("callback_url", hook.clone()),
    );
    lab.completed("good");
    lab.send(&by_task(lab, "echo", "t-echo", "hello"));
    waits_for(lab, "echo", "clawvisor_unreachable");
    // A sender who wants the token to come to him.
    clawvisor.trouble("t-away", usize::MAX, Trouble::Redirect(format!("{}/stolen", receiver.url)));
    lab.send(&by_task(lab, "away", "t-away", "hello").with("callback_url", hook.clone()));
    waits_for(lab, "away", "clawvisor_unreachable");
    clawvisor.trouble(
        "complete",
        usize::MAX,
        Trouble::Redirect(format!("{}/stolen", receiver.url)),
    );
    lab.send(
        &by_task(lab, "sibling", "t-sibling", &format!("hello {TOKEN}")).with("callback_url", hook),
    );
    lab.report("sibling");
    lab.event("sibling", "clawvisor_complete_failed");
    lab.event("sibling", "callback_sent");
    lab.event("good", "callback_sent");
    lab.event("good", "on_finish");
    let environment = Path::new("/proc").join(daemon.pid.to_string()).join("cmdline");
    let arguments = fs::read(environment).expect("its arguments");
    assert!(!String::from_utf8_lossy(&arguments).contains(TOKEN));
    drop(daemon);
    let agents = text_file(dump.join("env"));
    assert!(!agents.contains("CLAWVISOR_") && !agents.contains(TOKEN), "{agents}");
}

fn assert_kept(lab: &Lab, clawvisor: &Clawvisor, receiver: &Server, allowed: &[&str]) {
    let mut found = Vec::new();
    files_with(&lab.dir, TOKEN, &mut found);
    // What the sender himself wrote is raw, where it is his.
    let is_his = |path: &String| {
        let names =
            ["dispatch.json", "inbox.json", "prompt.txt", "attempt.json", "dispatch-sibling.json"];
        path.contains("dispatch-sibling") && names.iter().any(|name| path.ends_with(name))
    };
    found.retain(|path| !is_his(path) && !allowed.iter().any(|name| path.ends_with(name)));
    assert!(found.is_empty(), "the token is in {found:?}");
    for request in receiver.seen() {
        let text = format!("{request:?}") + &String::from_utf8_lossy(&request.body);
        assert!(!text.contains(TOKEN), "{text}");
        assert_ne!(request.path, "/stolen");
    }
    for request in clawvisor.seen() {
        let shows = format!("{request:?}").contains(TOKEN);
        let is_task = request.path.starts_with("/api/tasks/");
        assert_eq!(shows, is_task, "{request:?}");
        let path = request.path.split('?').next().unwrap_or_default();
        let rest = path.strip_prefix("/api/tasks/").map(|rest| rest.split('/').collect::<Vec<_>>());
        let is_ours = match (request.method.as_str(), rest.as_deref()) {
            ("GET", None) => path == "/ready",
            ("GET", Some([_])) | ("POST", Some([_, "complete"])) => true,
            _ => false,
        };
        assert!(is_ours, "{request:?}");
    }
}

#[test]
fn the_token_in_a_file_reaches_clawvisor_and_nobody_else() {
    let lab = Lab::new();
    let (clawvisor, receiver) = (Clawvisor::start(), Server::start(vec![Answer::Status(200)]));
    everything(&lab, &clawvisor, &receiver, asking(&lab, &clawvisor));
    assert_kept(&lab, &clawvisor, &receiver, &["/gstack/.clawvisor-token"]);
}

#[test]
fn the_token_in_the_environment_reaches_clawvisor_and_nobody_else() {
    let lab = Lab::new();
    let (clawvisor, receiver) = (Clawvisor::start(), Server::start(vec![Answer::Status(200)]));
    let start = asking(&lab, &clawvisor).env("CLAWVISOR_AGENT_TOKEN", TOKEN);
    fs::remove_file(lab.gstack.join(".clawvisor-token")).expect("the file");
    everything(&lab, &clawvisor, &receiver, start);
    assert_kept(&lab, &clawvisor, &receiver, &[]);
}

#[test]
fn another_token_counts_without_a_restart_and_one_that_turned_wrong_is_never_used() {
    use std::os::unix::fs::PermissionsExt;
    let lab = Lab::new();
    let clawvisor = Clawvisor::start();
    for name in ["a", "b", "c"] {
        clawvisor.put(task(&format!("t-{name}"), "session"));
    }
    let daemon = asking(&lab, &clawvisor).start();
    lab.send(&marking(&lab, "a", "t-a"));
    lab.completed("a");
    let file = lab.gstack.join(".clawvisor-token");
    clawvisor.know_token("cvis_new");
    write_secret(&file, "cvis_new");
    lab.send(&marking(&lab, "b", "t-b"));
    lab.completed("b");
    lab.event("b", "clawvisor_completed");
    let asked = clawvisor.seen().len();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("a mode");
    lab.send(&marking(&lab, "c", "t-c"));
    waits_for(&lab, "c", "clawvisor_unreachable");
    assert!(
        clawvisor.seen_of("GET", "/api/tasks/t-c").is_empty() && clawvisor.seen().len() >= asked
    );
    lab.heartbeat("it is degraded", |beat| {
        beat["degraded"].as_str().is_some_and(|why| why.contains("chmod 600"))
    });
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("a mode");
    lab.completed("c");
    lab.heartbeat("it is well again", |beat| beat["degraded"].is_null());
    drop(daemon);
}

#[test]
fn an_environment_s_proxy_is_never_shown_the_token_unasked() {
    let lab = Lab::new();
    let (clawvisor, proxy) = (Clawvisor::start(), Server::start(vec![Answer::Status(502)]));
    clawvisor.put(task("t-1", "session"));
    for flag in [false, true] {
        let start =
            asking(&lab, &clawvisor).env("HTTP_PROXY", &proxy.url).env("ALL_PROXY", &proxy.url);
        let start = if flag { start.word("--use-env-proxy") } else { start };
        let daemon = start.start();
        let name = format!("a-{flag}");
        clawvisor.put(task(&format!("t-{flag}"), "session"));
        lab.send(&marking(&lab, &name, &format!("t-{flag}")));
        lab.completed(&name);
        drop(daemon);
    }
    // Not to this machine, whatever is set.
    assert!(proxy.seen().is_empty());
}
