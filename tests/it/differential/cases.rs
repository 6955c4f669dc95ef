//! What is done to both daemons: dispatch files good and bad, agents that end in every way, and
//! what an operator does to the daemon. Each case is one function of a [`Side`], the same for both.
//!
//! `Common` cases share a daemon, one after the other (the seed loses audit lines of dispatches
//! that run at once); `Own` cases have one of their own; `Slow` ones too, and run beside everything
//! else, since the seed takes 30 or 60 seconds in them. Every dispatch has a project of its own.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};

use super::side::{Side, mode};
use crate::util::*;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    Common,
    Own,
    Slow,
}

type Act = Box<dyn Fn(&mut Side) + Send + Sync>;

pub struct Case {
    pub name: &'static str,
    pub place: Place,
    pub act: Act,
}

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(valid());
    cases.extend(wrong_fields());
    cases.extend(ids());
    cases.extend(files());
    cases.extend(agents());
    cases.extend(projects());
    cases.extend(callbacks());
    cases.extend(inbox());
    cases.extend(operators());
    cases.extend(slow());
    cases
}

fn case(place: Place, name: &'static str, act: impl Fn(&mut Side) + Send + Sync + 'static) -> Case {
    Case { name, place, act: Box::new(act) }
}

fn common(name: &'static str, act: impl Fn(&mut Side) + Send + Sync + 'static) -> Case {
    case(Place::Common, name, act)
}

fn own(name: &'static str, act: impl Fn(&mut Side) + Send + Sync + 'static) -> Case {
    case(Place::Own, name, act)
}

// ------------------------------------------------------------------------------------- the content

/// One field replaced or added.
fn field(name: &'static str, key: &'static str, value: Value) -> Case {
    common(name, move |side| side.run_dispatch(&side.task("hello").with(key, value.clone())))
}

fn valid() -> Vec<Case> {
    let full = |side: &mut Side| {
        let dispatch = side
            .task("hello")
            .with("target_agent", "claude")
            .with("learnings", json!(["one", "two"]))
            .with("constraints", json!(["be brief"]))
            .with("clawvisor_task_id", "task-1")
            .with("source_signature", "sha256=00")
            .with("ttl_seconds", 600);
        side.run_dispatch(&dispatch);
    };
    vec![
        common("minimal", |side| side.run_dispatch(&side.task("hello"))),
        common("all-fields", full),
        field("unknown-field", "priority", json!("high")),
        field("agent-claude", "target_agent", json!("claude")),
        field("agent-codex", "target_agent", json!("codex")),
        field("agent-cursor", "target_agent", json!("cursor")),
        field("agent-gemini", "target_agent", json!("gemini")),
        field("ttl-60", "ttl_seconds", json!(60)),
        field("ttl-86400", "ttl_seconds", json!(86400)),
        field("ttl-3600.0", "ttl_seconds", json!(3600.0)),
        field("learnings-of-seven", "learnings", json!(["1", "2", "3", "4", "5", "6", "7"])),
        field("constraints", "constraints", json!(["no new dependencies", "be brief, please"])),
        field("empty-lists", "learnings", json!([])),
        field(
            "task-with-a-dash",
            "task",
            json!("--dangerously-skip-permissions\n-x \"é\" $HOME `id`"),
        ),
        field("task-of-200-kB", "task", json!("0123456789 é\n".repeat(15_000))),
        field("file-of-2-MB", "task", json!("0123456789".repeat(200_000))),
        field("nul-in-task", "task", json!("a\0b")),
    ]
}

fn missing(name: &'static str, key: &'static str) -> Case {
    common(name, move |side| {
        let mut dispatch = side.task("hello");
        dispatch.0.as_object_mut().expect("an object").remove(key);
        side.run_dispatch(&dispatch);
    })
}

fn wrong_fields() -> Vec<Case> {
    vec![
        missing("no-id", "id"),
        missing("no-dispatched_by", "dispatched_by"),
        missing("no-task", "task"),
        missing("no-project", "project"),
        missing("no-project_dir", "project_dir"),
        field("id-number", "id", json!(7)),
        field("dispatched_by-number", "dispatched_by", json!(7)),
        field("task-array", "task", json!(["hello"])),
        field("task-empty", "task", json!("")),
        field("project-null", "project", json!(null)),
        field("project_dir-object", "project_dir", json!({})),
        field("ttl-59", "ttl_seconds", json!(59)),
        field("ttl-86401", "ttl_seconds", json!(86401)),
        field("ttl-60.5", "ttl_seconds", json!(60.5)),
        field("ttl-string", "ttl_seconds", json!("3600")),
        field("ttl-null", "ttl_seconds", json!(null)),
        field("agent-unknown", "target_agent", json!("gpt")),
        field("agent-upper-case", "target_agent", json!("Claude")),
        field("agent-number", "target_agent", json!(7)),
        field("agent-null", "target_agent", json!(null)),
        field("agent-empty", "target_agent", json!("")),
        field("learnings-string", "learnings", json!("one")),
        field("learnings-of-numbers", "learnings", json!([1, 2])),
        field("learnings-null", "learnings", json!(null)),
        field("constraints-string", "constraints", json!("be brief")),
        field("constraints-number", "constraints", json!(7)),
        field("callback_url-number", "callback_url", json!(7)),
        field("clawvisor_task_id-number", "clawvisor_task_id", json!(7)),
        field("source_signature-number", "source_signature", json!(7)),
    ]
}

fn ids() -> Vec<Case> {
    let long = |length: usize| json!(format!("dispatch-{}", "a".repeat(length - 9)));
    vec![
        field("id-odd", "id", json!("dispatch-A.b_c-..1")),
        field("id-bare-prefix", "id", json!("dispatch-")),
        field("id-of-120", "id", long(120)),
        field("id-of-121", "id", long(121)),
        field("id-of-300", "id", long(300)),
        field("id-without-prefix", "id", json!("job-1")),
        field("id-empty", "id", json!("")),
        field("id-unicode", "id", json!("dispatch-é")),
        field("id-blank", "id", json!("dispatch-a b")),
        field("id-slash", "id", json!("dispatch-a/b")),
        field("id-dotdot", "id", json!("dispatch-x/../../../escaped")),
    ]
}

/// A file of these bytes.
fn bytes(name: &'static str, bytes: &'static [u8]) -> Case {
    common(name, move |side| side.run(bytes))
}

/// The good dispatch's bytes, changed.
fn changed(name: &'static str, change: fn(Vec<u8>) -> Vec<u8>) -> Case {
    common(name, move |side| side.run(&change(side.task("hello").bytes())))
}

fn files() -> Vec<Case> {
    vec![
        bytes("empty-file", b""),
        bytes("blank-file", b" \n"),
        bytes("not-json", b"hello"),
        bytes("array", b"[]"),
        bytes("null", b"null"),
        bytes("number", b"7"),
        bytes("string", b"\"hello\""),
        bytes("empty-object", b"{}"),
        changed("truncated", |mut bytes| {
            bytes.truncate(bytes.len() - 3);
            bytes
        }),
        changed("trailing-text", |bytes| [&bytes, &b"x"[..]].concat()),
        changed("byte-order-mark", |bytes| [b"\xef\xbb\xbf", &bytes[..]].concat()),
        changed("not-utf-8", |bytes| replaced(&bytes, "hello", b"h\xe9llo")),
        changed("task-twice", |bytes| {
            replaced(&bytes, "\"task\"", b"\"task\": \"other\", \"task\"")
        }),
    ]
}

fn replaced(bytes: &[u8], from: &str, to: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let (before, after) = text.split_once(from).expect("the text to replace");
    [before.as_bytes(), to, after.as_bytes()].concat()
}

// --------------------------------------------------------------------------------------- the agent

/// What the fake agent is to do, one order a line.
fn orders(orders: &[&str]) -> String {
    orders.iter().map(|order| format!("\nfake: {order}")).collect()
}

fn agent(name: &'static str, todo: &'static [&'static str]) -> Case {
    common(name, move |side| side.run_dispatch(&side.task(&orders(todo))))
}

/// The same with learnings in the dispatch.
fn agent_with_learnings(name: &'static str, todo: &'static [&'static str]) -> Case {
    common(name, move |side| {
        side.run_dispatch(&side.task(&orders(todo)).with("learnings", json!(["one", "two"])));
    })
}

// Both can classify these: the seed by the words on stderr, ours by the stream.
const OVERFLOW: [&str; 2] = [
    "stderr API Error: the context is too long",
    "result error 400 invalid_request Prompt is too long",
];
const OVERFLOW_ONCE: [&str; 2] = [
    "once stderr API Error: the context is too long",
    "once result error 400 invalid_request Prompt is too long",
];

fn agents() -> Vec<Case> {
    vec![
        agent("exit-0", &["turn working", "result success done"]),
        agent("exit-0-without-result", &["no-result"]),
        agent("exit-1", &["no-result", "exit 1"]),
        agent("exit-1-once", &["once exit 1"]),
        agent("exit-2", &["no-result", "exit 2"]),
        agent("exit-137", &["no-result", "exit 137"]),
        agent("exit-143", &["no-result", "exit 143"]),
        agent("killed-by-9", &["no-result", "kill-self KILL"]),
        agent("killed-by-15", &["no-result", "kill-self TERM"]),
        agent("result-then-exit-1", &["result success done", "exit 1"]),
        agent("error-then-exit-0", &["result error 400 invalid_request no", "exit 0"]),
        agent("error-500", &["stderr API Error: 500", "result error 500 server_error"]),
        agent(
            "error-500-after-work",
            &[
                "remember",
                "turn half of it",
                "stderr API Error: 500",
                "result error 500 server_error",
            ],
        ),
        agent("error-401", &["stderr API Error: 401", "result error 401 authentication_failed"]),
        agent("refusal", &["stderr I can't help with that", "result refusal"]),
        agent("words-and-exit-0", &["stderr 429 rate limit", "result success done"]),
        agent("words-and-exit-1", &["stderr unable to read the file", "no-result", "exit 1"]),
        agent("overflow", &OVERFLOW),
        agent_with_learnings("overflow-with-learnings", &OVERFLOW),
        agent_with_learnings("overflow-with-learnings-once", &OVERFLOW_ONCE),
        common("leftover-process", |side| {
            let pid = side.lab.path("leftover-pid");
            // The agent goes on a moment, so that the other one has begun.
            let todo = [&format!("setsid-child {}", pid.display()), "sleep 0.2"];
            side.run_dispatch(&side.task(&orders(&todo)));
        }),
    ]
}

fn projects() -> Vec<Case> {
    let tilde = |side: &mut Side| {
        fs::create_dir_all(side.lab.home.join("in-home")).expect("create");
        side.run_dispatch(&side.task("hello").with("project_dir", "~/in-home"));
    };
    let inner_tilde = |side: &mut Side| {
        let dir = side.lab.project("odd~name");
        side.run_dispatch(&side.task("hello").in_dir(&dir));
    };
    let relative = |side: &mut Side| {
        side.lab.project("relative");
        side.run_dispatch(&side.task("hello").with("project_dir", "relative"));
    };
    let link = |side: &mut Side| {
        let (dir, link) = (side.lab.project("behind-a-link"), side.lab.path("link"));
        symlink(dir, &link).expect("a link");
        side.run_dispatch(&side.task("hello").in_dir(&link));
    };
    let file = |side: &mut Side| {
        let path = side.lab.path("a-file");
        fs::write(&path, "").expect("write");
        side.run_dispatch(&side.task("hello").in_dir(&path));
    };
    vec![
        common("project-in-home", tilde),
        common("project-with-a-tilde", inner_tilde),
        common("project-relative", relative),
        common("project-behind-a-link", link),
        common("project-is-a-file", file),
        common("project-missing", |side| {
            let missing = side.lab.path("missing");
            side.run_dispatch(&side.task("hello").in_dir(&missing));
        }),
    ]
}

// --------------------------------------------------------------------------------------- callbacks

fn callback(name: &'static str, answer: fn(&Server) -> Answer) -> Case {
    common(name, move |side| {
        let elsewhere = Server::start(vec![Answer::Status(200)]);
        let server = Server::start(vec![answer(&elsewhere)]);
        send_with_callback(side, &server.url);
        side.wait_event(&id(side.name), "callback");
        let requests = server.seen();
        side.fact("callback requests", requests.len());
        side.fact("callback requests elsewhere", elsewhere.seen().len());
        side.fact("callback method", &requests[0].method);
        side.fact("callback type", requests[0].header("content-type"));
        let report = side.report(&id(side.name)).expect("a report");
        side.fact(
            "callback body",
            if requests[0].json() == report { "the report" } else { "other" },
        );
        side.observe(&id(side.name));
    })
}

fn send_with_callback(side: &mut Side, url: &str) {
    side.start();
    side.lab.send(&side.task("hello").with("callback_url", url));
    side.settle(&id(side.name), &side.file());
}

fn callbacks() -> Vec<Case> {
    vec![
        callback("callback-200", |_| Answer::Status(200)),
        callback("callback-204", |_| Answer::Status(204)),
        callback("callback-500", |_| Answer::Status(500)),
        callback("callback-redirect", |elsewhere| Answer::Redirect(elsewhere.url.clone())),
        common("callback-to-nowhere", |side| {
            send_with_callback(side, "not a url");
            side.wait_event(&id(side.name), "callback");
            side.observe(&id(side.name));
        }),
        own("callback-local-only", |side| {
            let server = Server::start(vec![Answer::Status(200)]);
            side.start_flags(&["--local-only"]);
            send_with_callback(side, &server.url);
            side.observe(&id(side.name));
            side.fact("callback requests", server.seen().len());
        }),
    ]
}

// --------------------------------------------------------------------------------------- the inbox

/// Drops one more good dispatch and sees it through: what came before it has been looked at by
/// then.
fn pass_one_more(side: &mut Side) {
    let name = format!("{}-and-one-more", side.name);
    side.lab.send(&side.lab.task(&name, "hello"));
    side.settle(&id(&name), &format!("{}.json", id(&name)));
}

fn inbox() -> Vec<Case> {
    vec![
        own("file-at-start", |side| {
            side.lab.send(&side.task("hello"));
            side.see_through();
        }),
        own("bad-file-at-start", |side| {
            side.lab.place(&side.file(), b"hello");
            side.see_through();
        }),
        own("direct-write", |side| {
            side.start_flags(&["--max-concurrent", "8"]);
            // It runs a while: the seed dies if the file that it looks at twice is gone at the
            // second look.
            let dispatch = side.task(&orders(&["sleep 0.5"]));
            fs::write(side.lab.inbox().join(side.file()), dispatch.bytes()).expect("write");
            side.settle(&id(side.name), &side.file());
            pass_one_more(side);
            side.observe(&id(side.name));
        }),
        own("written-again", written_again),
        own("symlink", |side| {
            side.start();
            let target = side.lab.path("target.json");
            fs::write(&target, side.task("hello").bytes()).expect("write");
            symlink(&target, side.lab.inbox().join(side.file())).expect("a link");
            side.settle(&id(side.name), &side.file());
            side.observe(&id(side.name));
        }),
        own("directory", |side| {
            side.start();
            fs::create_dir(side.lab.inbox().join(side.file())).expect("a directory");
            side.settle(&id(side.name), &side.file());
            side.observe(&id(side.name));
        }),
        own("other-names", |side| {
            side.start();
            let names =
                ["notes.json", ".dispatch-hidden.json", "dispatch-x.txt", "dispatch-x.json.tmp"];
            for name in names {
                side.lab.place(name, &side.task("hello").bytes());
            }
            pass_one_more(side);
            side.observe(&id(side.name));
        }),
        own("duplicate-id", |side| again(side, "another task")),
        own("same-bytes-again", |side| again(side, "hello")),
        own("same-project", same_project),
        own("one-after-the-other", one_after_the_other),
        own("burst", burst),
    ]
}

/// A good dispatch, and then one more with its id.
fn again(side: &mut Side, task: &str) {
    side.start();
    let dispatch = side.task("hello");
    side.lab.send(&dispatch);
    side.settle(&id(side.name), &side.file());
    let written = |side: &Side| {
        fs::metadata(side.report_path(&id(side.name))).and_then(|m| m.modified()).expect("a report")
    };
    let first = written(side);
    // Under another name: the seed overlooks a file that takes a name which it has just removed.
    let file = format!("{}-2.json", id(side.name));
    side.lab.place(&file, &dispatch.with("task", task).bytes());
    pass_one_more(side);
    side.settle(&id(side.name), &file);
    side.fact("first report kept", if written(side) == first { "yes" } else { "no" });
    side.observe(&id(side.name));
}

/// A dispatch's file is overwritten while its session runs.
fn written_again(side: &mut Side) {
    let gate = side.lab.gate("gate");
    side.start_flags(&["--max-concurrent", "8"]);
    let first = side.task(&format!("fake: block {}", gate.display()));
    side.lab.send(&first);
    let hold = gate.held();
    let other = first.with("task", orders(&["sleep 0.5"]));
    fs::write(side.lab.inbox().join(side.file()), other.bytes()).expect("write");
    pass_one_more(side);
    hold.release();
    wait_until("the answer", PATIENCE, || side.report(&id(side.name)).is_some());
    side.settle(&id(side.name), &side.file());
    side.observe(&id(side.name));
}

fn same_project(side: &mut Side) {
    let gate = side.lab.gate("gate");
    side.start();
    let first = side.task(&format!("fake: block {}", gate.display()));
    side.lab.send(&first);
    let hold = gate.held();
    let dir = side.lab.path(&format!("project-{}", side.name));
    let second = side.lab.task("same-project-2", "hello").in_dir(&dir);
    side.lab.send(&second);
    wait_until("the second started or queued", PATIENCE, || {
        side.starts().len() == 2 || side.events(&second.id()).contains(&"queued".to_string())
    });
    let beside = side.starts().len() == 2;
    side.fact("second session in the project", if beside { "beside the first" } else { "waits" });
    hold.release();
    side.settle(&second.id(), &format!("{}.json", second.id()));
    side.settle(&id(side.name), &side.file());
    side.observe(&second.id());
}

/// Sent one by one while a session runs, with --max-concurrent 1: first in, first out.
fn one_after_the_other(side: &mut Side) {
    let gate = side.lab.gate("gate");
    side.start_flags(&["--max-concurrent", "1"]);
    side.lab.send(&side.task(&format!("fake: block {}", gate.display())));
    let hold = gate.held();
    let names = ["m", "z", "a", "q", "b", "y"];
    for name in names {
        side.lab.send(&side.lab.task(name, "hello"));
        side.wait_event(&id(name), "queued");
    }
    hold.release();
    for name in names {
        side.settle(&id(name), &format!("{}.json", id(name)));
        side.fact(&format!("events of {name}"), side.events(&id(name)).join(" "));
        side.fact(
            &format!("status of {name}"),
            &side.report(&id(name)).expect("a report")["status"],
        );
    }
    let order: Vec<String> = side.starts().into_iter().map(|start| start.id).collect();
    side.fact("order of starts", order.join(" "));
    side.observe(&id("y"));
}

/// Sent all at once, with --max-concurrent 1.
fn burst(side: &mut Side) {
    const FILES: usize = 12;
    side.start_flags(&["--max-concurrent", "1"]);
    let dispatches: Vec<Dispatch> =
        (0..FILES).map(|n| side.lab.task(&format!("burst-{n}"), "hello")).collect();
    for dispatch in &dispatches {
        side.lab.send(dispatch);
    }
    wait_until("every report of the burst", PATIENCE, || {
        dispatches.iter().all(|d| side.report(&d.id()).is_some()) && side.lab.waiting().is_empty()
    });
    let told = |d: &Dispatch| {
        let events = side.events(&d.id());
        ["received", "completed"].iter().all(|wanted| events.iter().any(|event| event == wanted))
    };
    let complete = dispatches.iter().all(told);
    side.fact("audit log", if complete { "complete" } else { "lines are lost" });
}

// ------------------------------------------------------------------------------- the daemon itself

fn operators() -> Vec<Case> {
    vec![
        own("sigterm-idle", |side| {
            side.start();
            let exit = side.stop();
            side.fact("exit", exit);
        }),
        own("sigint-idle", |side| {
            side.start();
            side.signal(Signal::INT);
            let exit = side.end();
            side.fact("exit", exit);
        }),
        own("no-agent", |side| {
            let empty = side.lab.project("empty");
            let ended = side.one_more(&[("PATH", empty.to_str().expect("UTF-8"))]);
            side.fact("exit", ended);
        }),
        own("second-daemon", |side| {
            side.start();
            let second = side.one_more(&[]);
            side.fact("second daemon", second);
        }),
        own("directories", |side| {
            side.start();
            side.fact("mode of the drop zone", mode(&side.lab.inbox()));
            side.fact(
                "completed/",
                if side.lab.inbox().join("completed").is_dir() { "there" } else { "-" },
            );
            let beat = side.lab.heartbeat("any", |_| true);
            for key in ["active", "queued"] {
                side.fact(&format!("heartbeat {key}"), &beat[key]);
            }
            side.fact("heartbeat ts", if is_stamp(&beat["ts"]) { "a stamp" } else { "odd" });
            side.fact(
                "heartbeat pid",
                if beat["pid"] == side.pid() { "the daemon's" } else { "odd" },
            );
        }),
    ]
}

// -------------------------------------------------------------------------------------------- slow

fn slow_case(name: &'static str, act: impl Fn(&mut Side) + Send + Sync + 'static) -> Case {
    case(Place::Slow, name, act)
}

fn slow() -> Vec<Case> {
    const LIMIT: [&str; 2] = ["stderr API Error: 429 rate limit", "result error 429 rate_limit"];
    const LIMIT_ONCE: [&str; 2] =
        ["once stderr API Error: 429 rate limit", "once result error 429 rate_limit"];
    vec![
        slow_case("rate-limit", |side| side.run_dispatch(&side.task(&orders(&LIMIT)))),
        slow_case("rate-limit-once", |side| side.run_dispatch(&side.task(&orders(&LIMIT_ONCE)))),
        slow_case("rate-limit-in-words-only", |side| {
            side.run_dispatch(&side.task(&orders(&[
                "stderr 429 rate limit",
                "no-result",
                "exit 1",
            ])));
        }),
        slow_case("ttl", |side| {
            let gate = side.lab.gate("gate");
            let task = orders(&[&format!("once block {}", gate.display())]);
            side.run_dispatch(&side.task(&task).with("ttl_seconds", 60));
        }),
        slow_case("slow-direct-write", slow_direct_write),
        slow_case("sigterm-while-a-session-runs", |side| shut_down(side, true)),
        slow_case("sigterm-while-a-session-hangs", |side| shut_down(side, false)),
    ]
}

/// The sender takes its time between two pieces. (The first one is renamed in: of two events the
/// seed may handle the second after it has deleted the file, and die of it.)
fn slow_direct_write(side: &mut Side) {
    side.start();
    let bytes = side.task("hello").bytes();
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    side.lab.place(&side.file(), head);
    let path = side.lab.inbox().join(side.file());
    let mut file = fs::File::options().append(true).open(path).expect("open");
    pause_as_a_slow_writer(Duration::from_millis(700));
    file.write_all(tail).expect("write");
    drop(file);
    side.settle(&id(side.name), &side.file());
    side.observe(&id(side.name));
}

/// SIGTERM with one session running and one dispatch waiting.
fn shut_down(side: &mut Side, session_ends: bool) {
    let gate = side.lab.gate("gate");
    side.start_flags(&["--max-concurrent", "1"]);
    side.lab.send(&side.task(&orders(&[&format!("block {}", gate.display())])));
    let hold = gate.held();
    side.lab.send(&side.lab.task("waits", "hello"));
    side.wait_event("dispatch-waits", "queued");
    let start = Instant::now();
    side.signal(Signal::TERM);
    // A session that ended before the signal is heeded would be another case.
    wait_until("the signal heeded", PATIENCE, || {
        ["shutting down", "1 running, 1 queued"].iter().any(|words| side.log().contains(words))
    });
    if session_ends {
        hold.release();
    }
    let exit = side.end();
    let took = if start.elapsed() < Duration::from_secs(30) { "at once" } else { "after a minute" };
    side.fact("exit", exit);
    side.fact("exit came", took);
    side.observe(&id(side.name));
    side.fact(
        "starts of the waiting one",
        side.starts().iter().filter(|s| s.id == "dispatch-waits").count(),
    );
}
