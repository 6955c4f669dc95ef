//! Cases of what an operator does to the daemon, and those in which the seed takes 30 or 60
//! seconds.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::{Case, Place, case, orders, own};
use crate::differential::side::{Side, mode};
use crate::util::*;

pub fn operators() -> Vec<Case> {
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

fn slow_case(name: &'static str, act: impl Fn(&mut Side) + Send + Sync + 'static) -> Case {
    case(Place::Slow, name, act)
}

pub fn slow() -> Vec<Case> {
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
