//! However a file gets into the inbox (at once, empty, in pieces, in a crowd, into an inbox that
//! is made anew), it is run once.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;
use std::{fs, thread};

use crate::util::*;

#[test]
fn a_file_written_in_place_at_once_is_run_once() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let ran = lab.path("ran");
    for n in 0..10 {
        let dispatch = lab.task(&format!("{n}"), format!("fake: mark {}", ran.display()));
        fs::write(lab.dropped(&n.to_string()), dispatch.bytes()).expect("write into the inbox");
    }
    for n in 0..10 {
        lab.settled(&n.to_string());
    }
    assert_eq!(starts(&ran).len(), 10);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn a_file_created_empty_and_filled_later_is_run_once() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--settle", 5).start();
    let path = lab.dropped("a");
    fs::File::create(&path).expect("create");
    // A neighbour's whole life passes in between.
    lab.send(&lab.task("b", "hello"));
    lab.completed("b");
    fs::write(&path, lab.task("a", "fake: mark ran").bytes()).expect("write");
    lab.settled("a");
    lab.completed("a");
    assert_eq!(starts(&lab.path("project-a/ran")), ["a"]);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn a_file_written_slowly_in_pieces_is_run_once() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--settle", 1.2).start();
    let dispatch = lab.task("a", "fake: mark ran").bytes();
    let mut file = fs::File::create(lab.dropped("a")).expect("create");
    // Longer in all than a still file is given, but never still for that long.
    for piece in dispatch.chunks(dispatch.len() / 15) {
        std::io::Write::write_all(&mut file, piece).expect("write a piece");
        pause_as_a_slow_writer(Duration::from_millis(100));
    }
    lab.settled("a");
    lab.completed("a");
    assert_eq!(starts(&lab.path("project-a/ran")), ["a"]);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn files_that_come_while_the_daemon_starts_are_run_once_each() {
    const BEFORE: usize = 40;
    const MEANWHILE: usize = 80;
    let lab = Lab::new();
    let ran = lab.path("ran");
    let task = |n: usize| lab.task(&n.to_string(), format!("fake: mark {}", ran.display()));
    for n in 0..BEFORE {
        lab.send(&task(n));
    }
    let rest: Vec<_> = (BEFORE..BEFORE + MEANWHILE).map(task).collect();
    let mut daemon = lab.daemon().set("--max-concurrent", 8).spawn();
    for dispatch in &rest {
        lab.send(dispatch);
    }
    daemon.wait_ready();
    for n in 0..BEFORE + MEANWHILE {
        lab.settled(&n.to_string());
    }
    assert_eq!(starts(&ran).len(), BEFORE + MEANWHILE);
    assert_eq!(lab.rejected_count(), 0);
    assert_eq!(lab.waiting(), [""; 0]);
    drop(daemon);
}

#[test]
fn many_files_from_several_senders_are_run_once_each() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 8).start();
    let ran = lab.path("ran");
    let tasks: Vec<Vec<_>> = (0..4)
        .map(|s| {
            let task = |n| lab.task(&format!("{s}-{n}"), format!("fake: mark {}", ran.display()));
            (0..25).map(task).collect()
        })
        .collect();
    let inbox = &lab.inbox();
    thread::scope(|scope| {
        for mine in &tasks {
            scope.spawn(move || {
                for d in mine {
                    fs::write(inbox.join(format!("{}.json", d.id())), d.bytes()).expect("write");
                }
            });
        }
    });
    for s in 0..4 {
        for n in 0..25 {
            lab.settled(&format!("{s}-{n}"));
        }
    }
    assert_eq!(starts(&ran).len(), 100);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn an_inbox_that_was_deleted_and_made_again_works_on() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--poll", 0.1).set("--heartbeat", 1).start();
    lab.send(&lab.task("a", "hello"));
    lab.settled("a");
    for name in ["b", "c"] {
        fs::remove_dir_all(lab.inbox()).expect("remove the inbox");
        lab.send(&lab.task(name, "hello"));
        lab.settled(name);
        lab.completed(name);
    }
    drop(daemon);
}

#[test]
fn an_inbox_that_was_deleted_withdraws_nothing() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let daemon =
        lab.daemon().set("--max-concurrent", 1).set("--poll", 0.1).set("--heartbeat", 1).start();
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())));
    let hold = gate.held();
    lab.send(&lab.task("b", "hello"));
    lab.accepted("b");
    fs::remove_dir_all(lab.inbox()).expect("remove the inbox");
    // Whoever is quicker: the daemon makes it again, too.
    fs::create_dir_all(lab.inbox()).expect("make the inbox again");
    hold.release();
    for name in ["a", "b"] {
        lab.settled(name);
        lab.completed(name);
    }
    drop(daemon);
}

#[test]
fn file_modes_do_not_matter_where_the_inbox_shuts_others_out() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    for mode in [0o400, 0o600, 0o644, 0o664, 0o666] {
        let name = format!("mode-{mode:o}");
        let beside = lab.path("beside");
        fs::write(&beside, lab.task(&name, "hello").bytes()).expect("write");
        fs::set_permissions(&beside, fs::Permissions::from_mode(mode)).expect("chmod");
        fs::rename(&beside, lab.dropped(&name)).expect("rename");
        lab.completed(&name);
    }
    drop(daemon);
}
