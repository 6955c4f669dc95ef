//! Cases of how an agent ends, and of where its project lies.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use super::{Case, common, orders};
use crate::differential::side::Side;

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

pub fn agents() -> Vec<Case> {
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

pub fn projects() -> Vec<Case> {
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
