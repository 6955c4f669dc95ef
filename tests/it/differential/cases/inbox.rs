//! Cases of what happens to the files of the inbox while the daemon runs: written again, sent
//! again, sent in a crowd.

use std::fs;
use std::os::unix::fs::symlink;

use super::{Case, orders, own};
use crate::differential::side::Side;
use crate::util::*;

/// Drops one more good dispatch and sees it through: what came before it has been looked at by
/// then.
fn pass_one_more(side: &mut Side) {
    let name = format!("{}-and-one-more", side.name);
    side.lab.send(&side.lab.task(&name, "hello"));
    side.settle(&id(&name), &format!("{}.json", id(&name)));
}

pub fn inbox() -> Vec<Case> {
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
