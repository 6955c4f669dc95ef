//! Records that are gone: a session removed its own claim, a part of it, or everybody's.

use std::time::Duration;

use super::*;

/// More than fits into what intake keeps in memory of all that wait.
const LARGE: usize = 300_000;

fn send_large(lab: &Lab, name: &str) {
    lab.send(&lab.task(name, format!("{}\n{}", marked(lab), "x".repeat(LARGE))));
    lab.accepted(name);
}

fn remove_all_in(dir: &Path) {
    for entry in fs::read_dir(dir).expect("a folder").flatten() {
        remove(&entry.path());
    }
}

/// What a session may remove of our records, itself among them.
fn removals(lab: &Lab, name: &str) -> [Deed; 4] {
    let (claim, attempt) = (lab.active(name), attempt(lab, name));
    let all = lab.ours().join("active");
    let itself = all.clone();
    [
        ("its claim", Box::new(move || remove(&claim))),
        ("its attempt", Box::new(move || remove(&attempt))),
        ("all claims", Box::new(move || remove_all_in(&all))),
        ("the folder of all claims", Box::new(move || remove(&itself))),
    ]
}

fn restarts_run_nothing(lab: &Lab, started: &[String]) {
    for _ in 0..2 {
        let mut daemon = lab.daemon().start();
        assert_eq!(daemon.stop(), 0);
        assert_eq!(starts(&ran(lab)), started, "something ran again");
    }
}

#[test]
fn a_session_that_removes_records_is_answered_once_and_those_behind_it_run_in_their_order() {
    for number in 0..4 {
        let lab = Lab::new();
        let start = || lab.daemon().set("--max-concurrent", 1).set("--trouble-pause", 0.2);
        let mut daemon = start().start();
        let hold = held(&lab, "a", "fake: result success I did it.");
        let (what, removal) = removals(&lab, "a").into_iter().nth(number).expect("a removal");
        send_marked(&lab, "b");
        for name in ["c", "d", "e"] {
            send_large(&lab, name);
        }
        send_marked(&lab, "f");
        removal();
        hold.release();
        let report = lab.completed("a");
        assert_eq!(report["result"], "I did it.", "{what}");
        assert!(warned(&report, "gone or damaged"), "{what}: {report:#}");
        for name in ["a", "b", "c", "d", "e", "f"] {
            lab.settled(name);
            lab.completed(name);
        }
        assert_eq!(daemon.stop(), 0);
        for name in ["a", "b", "c", "d", "e", "f"] {
            let ends = lab.events(name).into_iter().filter(|event| event == "completed").count();
            assert_eq!(ends, 1, "{what}: {name} is answered once");
        }
        assert_eq!(starts(&ran(&lab)), ["a", "b", "c", "d", "e", "f"], "{what}");
        assert!(lab.waiting().is_empty(), "{what}: {:?}", lab.waiting());
        restarts_run_nothing(&lab, &starts(&ran(&lab)));
        assert_eq!(lab.completed("a")["result"], "I did it.", "{what}");
    }
}

/// The agent and a child in a group of its own do not heed SIGTERM, and the next dispatch of the
/// project must not meet them.
#[test]
fn one_that_removed_its_records_before_the_daemon_died_is_interrupted_and_ended_before_its_project_is_free()
 {
    for number in 0..3 {
        let lab = Lab::new();
        let start = || lab.daemon().set("--kill-grace", 1);
        let daemon = start().start();
        let (gate, child) = (lab.gate("gate"), lab.path("child"));
        let orders = format!(
            "fake: ignore-term\nfake: setsid-child {}\nfake: mark {}\nfake: block {}",
            child.display(),
            ran(&lab).display(),
            gate.display()
        );
        lab.send(&lab.task("a", orders));
        let _hold = gate.held();
        let (pid, child) = (agent(&lab, "a"), pids_in(&child)[0]);
        let overlapped = lab.path("overlapped");
        let next = format!(
            "{}\nfake: while /proc/{pid}/exe write {} x",
            marked(&lab),
            overlapped.display()
        );
        lab.send(&lab.task("b", next).in_dir(&lab.path("project-a")));
        lab.accepted("b");
        let (what, removal) = removals(&lab, "a").into_iter().nth(number).expect("a removal");
        removal();
        daemon.crash();
        for life in 0..3 {
            let daemon = start().start();
            lab.failed("a", "interrupted");
            assert!(!alive(pid) && !alive(child), "{what}: left running");
            lab.completed("b");
            assert_eq!(starts(&ran(&lab)), ["a", "b"], "{what}, life {life}");
            assert!(!overlapped.exists(), "{what}: two sessions in one tree");
            if life == 1 { daemon.crash() } else { drop(daemon) }
        }
    }
}

/// Those at the end of the line are not in memory, those at its beginning are.
#[test]
fn a_queued_dispatch_whose_folder_was_replaced_runs_in_its_turn() {
    let put: [fn(&Path); 5] = [
        |claim| fs::write(claim, "x").expect("a file"),
        fifo,
        |claim| std::os::unix::fs::symlink("/", claim).expect("a link"),
        folder,
        |claim| {
            folder(claim);
            mode(claim, 0);
        },
    ];
    let lab = Lab::new();
    let start = lab.daemon().set("--max-concurrent", 1);
    let Some(start) = unprivileged(start) else { return };
    let daemon = start.start();
    let hold = held(&lab, "first", "");
    let names = |size: &str| (0..put.len()).map(|n| format!("{size}-{n}")).collect::<Vec<_>>();
    let (small, large) = (names("small"), names("large"));
    small.iter().for_each(|name| send_marked(&lab, name));
    large.iter().for_each(|name| send_large(&lab, name));
    for names in [&small, &large] {
        for (name, put) in names.iter().zip(put) {
            remove(&lab.active(name));
            put(&lab.active(name));
        }
    }
    hold.release();
    let all = [&["first".to_string()], &small[..], &large[..]].concat();
    for name in &all {
        lab.settled(name);
        lab.completed(name);
    }
    assert_eq!(starts(&ran(&lab)), all);
    drop(daemon);
}

#[test]
fn bytes_that_are_dropped_again_while_their_claim_is_gone_run_once() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 1).set("--heartbeat", 0.3).start();
    let hold = held(&lab, "a", "");
    send_marked(&lab, "b");
    remove_all_in(&lab.ours().join("active"));
    let again = [("a", "dispatch-again-a.json"), ("b", "dispatch-again-b.json")];
    for (name, other) in again {
        let bytes = fs::read(lab.dropped(name)).expect("its file");
        lab.place(other, &bytes);
    }
    send_marked(&lab, "c");
    hold.release();
    for name in ["a", "b", "c"] {
        lab.settled(name);
        lab.completed(name);
    }
    wait_until("the second names are gone", PATIENCE, || lab.waiting().is_empty());
    assert_eq!(starts(&ran(&lab)), ["a", "b", "c"]);
    drop(daemon);
}

#[test]
fn a_daemon_that_finds_no_records_of_a_session_does_not_take_its_file_for_a_new_one() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let gate = lab.gate("gate");
    let task = lab.task("a", held_orders(&lab, &gate, ""));
    lab.place("dispatch-job.json", &task.bytes());
    let _hold = gate.held();
    remove(&lab.active("a"));
    daemon.crash();
    let daemon = lab.daemon().set("--heartbeat", 0.3).start();
    lab.failed("a", "interrupted");
    wait_until("its file is dealt with", Duration::from_secs(20), || lab.waiting().is_empty());
    assert_eq!(runs(&lab, "a"), 1);
    drop(daemon);
}

#[test]
fn a_claim_that_a_session_replaced_is_kept_with_what_was_accepted() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let hold = held(&lab, "a", "fake: result success I did it.");
    let (claim, taken) = (lab.active("a"), lab.path("taken"));
    fs::rename(&claim, &taken).expect("take it");
    fs::create_dir(&claim).expect("replace it");
    fs::write(claim.join("dispatch.json"), "{}").expect("write");
    fs::write(claim.join("accepted.json"), "{}").expect("write");
    hold.release();
    let report = lab.completed("a");
    assert_eq!(report["result"], "I did it.");
    assert!(warned(&report, "gone or damaged"), "{report:#}");
    lab.settled("a");
    let kept = lab.finished("a");
    for name in ["dispatch.json", "accepted.json"] {
        let read = |dir: &Path| fs::read_to_string(dir.join(name)).expect("a record");
        assert_eq!(read(&kept), read(&taken), "{name}");
    }
    drop(daemon);
}

#[test]
fn a_queued_dispatch_whose_records_are_gone_can_be_cancelled() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    let hold = held(&lab, "a", "");
    send_marked(&lab, "small");
    for name in ["c", "d"] {
        send_large(&lab, name);
    }
    remove_all_in(&lab.ours().join("active"));
    for name in ["small", "c", "d"] {
        cancel(&lab, name);
        lab.ended(name, "cancelled", "cancelled");
    }
    hold.release();
    lab.completed("a");
    wait_until("no file is left", PATIENCE, || lab.waiting().is_empty());
    assert_eq!(starts(&ran(&lab)), ["a"]);
    drop(daemon);
}

#[test]
fn a_folder_that_all_share_is_made_again_and_the_answer_comes() {
    for shared in
        ["dispatchd/finished", "dispatchd/started", "dispatchd/outbox", "dispatch/completed"]
    {
        let lab = Lab::new();
        let daemon = lab.daemon().set("--max-concurrent", 1).set("--trouble-pause", 0.2).start();
        let hold = held(&lab, "a", "fake: result success I did it.");
        send_marked(&lab, "b");
        remove(&lab.gstack.join(shared));
        hold.release();
        for name in ["a", "b"] {
            answered(&lab, name);
            lab.completed(name);
        }
        assert_eq!(lab.completed("a")["result"], "I did it.", "{shared}");
        assert_eq!(starts(&ran(&lab)), ["a", "b"], "{shared}");
        assert!(lab.waiting().is_empty(), "{shared}: {:?}", lab.waiting());
        lab.heartbeat("all is well", |beat| {
            beat.get("degraded").is_none() && beat.get("parked").is_none()
        });
        drop(daemon);
    }
}
