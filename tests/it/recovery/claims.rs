//! What a crash or a power cut left in the folder of a dispatch that had not ended, piece by piece.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{block, died_in_session, interrupted, kill_agent, mark};
use crate::util::*;

/// `a` runs and stands at the gate, `b` is accepted behind it; then the daemon and the agent are
/// killed. `change` puts the files of `b` into the state that is to be tested, and a daemon is
/// started on them.
fn with_b_queued(change: impl FnOnce(&Lab, &Path)) -> (Lab, Daemon) {
    let lab = Lab::new();
    let (gate, ran) = (lab.gate("gate"), lab.path("ran-a"));
    let daemon = lab.daemon().set("--max-concurrent", 1).start();
    lab.send(&lab.task("a", format!("{}\n{}", mark(&ran), block(&gate))));
    let hold = gate.held();
    lab.send(&lab.task("b", mark(&lab.path("ran-b"))));
    lab.accepted("b");
    daemon.crash();
    kill_agent(&ran);
    drop(hold);
    change(&lab, &lab.active("b"));
    let daemon = lab.daemon().start();
    interrupted(&lab, "a");
    (lab, daemon)
}

fn b_ran(lab: &Lab) -> usize {
    starts(&lab.path("ran-b")).len()
}

#[test]
fn a_queued_dispatch_is_run_by_the_next_daemon() {
    let (lab, daemon) = with_b_queued(|_, _| ());
    lab.settled("b");
    lab.completed("b");
    assert_eq!(b_ran(&lab), 1);
    drop(daemon);
}

#[test]
fn a_file_removed_while_no_daemon_was_there_withdraws_its_dispatch() {
    let (lab, daemon) = with_b_queued(|lab, _| fs::remove_file(lab.dropped("b")).expect("remove"));
    assert_eq!(lab.settled("b")["status"], "cancelled");
    lab.event("b", "withdrawn");
    assert_eq!(b_ran(&lab), 0);
    drop(daemon);
}

#[test]
fn a_folder_for_an_attempt_without_its_record_was_no_start() {
    let (lab, daemon) = with_b_queued(|_, b| fs::create_dir(b.join("attempt-1")).expect("create"));
    lab.completed("b");
    assert_eq!(b_ran(&lab), 1);
    drop(daemon);
}

#[test]
fn an_unreadable_record_of_an_attempt_may_have_been_a_start() {
    let (lab, daemon) = with_b_queued(|_, b| {
        fs::create_dir(b.join("attempt-1")).expect("create");
        fs::write(b.join("attempt-1/attempt.json"), "").expect("write");
    });
    interrupted(&lab, "b");
    assert_eq!(b_ran(&lab), 0);
    drop(daemon);
}

/// Whatever of a folder was synced or not: without a word of what was accepted, and without a trace
/// of an agent, the first attempt's record was never durable, and so nothing had been started.
#[test]
fn a_first_attempt_of_which_a_power_cut_left_nothing_but_names_never_ran() {
    for (accepted, copy) in [(true, false), (false, true), (true, true)] {
        let (lab, daemon) = with_b_queued(|_, b| {
            let attempt = b.join("attempt-1");
            fs::create_dir(&attempt).expect("create");
            for name in ["attempt.json", "prompt.txt", "stdout.jsonl", "stderr.log"] {
                fs::write(attempt.join(name), "").expect("write");
            }
            for (name, is_lost) in [("accepted.json", accepted), ("dispatch.json", copy)] {
                if is_lost {
                    fs::write(b.join(name), "").expect("write");
                }
            }
        });
        lab.settled("b");
        lab.completed("b");
        assert_eq!(b_ran(&lab), 1);
        assert_eq!(lab.rejected_count(), 0);
        drop(daemon);
    }
}

#[test]
fn a_copy_that_does_not_match_its_digest_is_no_acceptance() {
    for damage in ["", "{\"id\": \"dispatch-b\"}"] {
        let (lab, daemon) = with_b_queued(|_, b| {
            fs::write(b.join("dispatch.json"), damage).expect("write");
        });
        lab.settled("b");
        lab.completed("b");
        assert_eq!(b_ran(&lab), 1);
        drop(daemon);
    }
}

#[test]
fn a_copy_that_somebody_replaced_by_another_dispatch_is_not_run() {
    let (lab, daemon) = with_b_queued(|lab, b| {
        let other = lab.task("b", mark(&lab.path("ran-other")));
        fs::write(b.join("dispatch.json"), other.bytes()).expect("write");
    });
    lab.settled("b");
    lab.completed("b");
    assert_eq!(b_ran(&lab), 1);
    assert!(!lab.path("ran-other").exists(), "what nobody dropped was run");
    drop(daemon);
}

#[test]
fn an_empty_acceptance_is_no_acceptance() {
    let (lab, daemon) =
        with_b_queued(|_, b| fs::write(b.join("accepted.json"), "").expect("write"));
    lab.settled("b");
    lab.completed("b");
    assert_eq!(b_ran(&lab), 1);
    drop(daemon);
}

#[test]
fn a_claim_under_construction_is_swept_and_its_file_accepted_anew() {
    let (lab, daemon) = with_b_queued(|_, b| {
        fs::rename(b, b.with_file_name(".tmp.dispatch-b")).expect("rename");
    });
    lab.settled("b");
    lab.completed("b");
    assert_eq!(b_ran(&lab), 1);
    assert!(!lab.ours().join("active/.tmp.dispatch-b").exists());
    drop(daemon);
}

#[test]
fn a_committed_report_is_published_and_everything_after_it_is_done() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    let mut daemon = lab.daemon().start();
    let dispatch = lab.task("a", mark(&ran));
    lab.send(&dispatch);
    let report = lab.settled("a");
    assert_eq!(daemon.stop(), 0);
    let bytes = fs::read(lab.report_path("a")).expect("the report");
    // As it was after the commit and before the first step that follows it.
    fs::rename(lab.finished("a"), lab.active("a")).expect("rename");
    fs::remove_file(lab.report_path("a")).expect("remove");
    lab.send(&dispatch);
    let daemon = lab.daemon().start();
    assert_eq!(lab.settled("a"), report);
    assert_eq!(fs::read(lab.report_path("a")).expect("the report"), bytes);
    lab.event("a", "recovered");
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
    assert!(!lab.active("a").exists());
    assert_eq!(starts(&ran), ["a"]);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

#[test]
fn a_report_that_a_power_cut_left_empty_was_never_committed() {
    for torn in ["", "{\"dispatch_id\": \"dispatch-b\", \"status\": \"compl"] {
        let (lab, daemon) =
            with_b_queued(|_, b| fs::write(b.join("report.json"), torn).expect("write"));
        lab.settled("b");
        lab.completed("b");
        assert_eq!(b_ran(&lab), 1);
        drop(daemon);
    }
}

#[test]
fn a_file_that_comes_back_after_its_answer_is_not_run_again() {
    let lab = Lab::new();
    let ran = lab.path("ran");
    let mut daemon = lab.daemon().start();
    let dispatch = lab.task("a", mark(&ran));
    lab.send(&dispatch);
    lab.settled("a");
    assert_eq!(daemon.stop(), 0);
    lab.send(&dispatch); // a removal that a power cut brought back
    let daemon = lab.daemon().start();
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
    lab.send(&lab.task("next", "hello"));
    lab.completed("next");
    assert_eq!(starts(&ran), ["a"]);
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

/// A sender gave the name of an answered dispatch to another file, just when that was moved aside,
/// and then the power went.
#[test]
fn what_was_moved_aside_comes_back_though_its_name_is_in_use() {
    let lab = Lab::new();
    lab.send(&lab.task("a", "hello"));
    for (name, aside) in [("b", ".answered.dispatch-a"), ("c", ".answered.dispatch-c")] {
        lab.place(aside, &lab.task(name, "hello").bytes());
    }
    let daemon = lab.daemon().start();
    for name in ["a", "b", "c"] {
        lab.completed(name);
    }
    wait_until("an empty inbox", PATIENCE, || lab.waiting().is_empty());
    assert_eq!(lab.rejected_count(), 0);
    drop(daemon);
}

/// Until the commit there is nothing but blank lines in a report's place; whatever else a crash
/// made of it is no report, and in nobody's way.
#[test]
fn a_commit_that_a_crash_cut_off_is_made_anew() {
    for torn in ["{\n  \"dispatch_id\": \"dispatch-a\", \"status\": \"compl", "\0\0\0\0", "\n\n"] {
        let lab = Lab::new();
        let ran = died_in_session(&lab, "fake: result success done");
        for place in ["report.json", "published.json"] {
            fs::write(lab.active("a").join(place), torn).expect("write");
        }
        let daemon = lab.daemon().start();
        let report = lab.settled("a");
        assert_eq!((&report["status"], &report["result"]), (&json!("completed"), &json!("done")));
        let committed = fs::read(lab.finished("a").join("report.json")).expect("the report");
        assert_eq!(committed, fs::read(lab.report_path("a")).expect("the copy"), "{torn:?}");
        assert_eq!(starts(&ran), ["a"]);
        drop(daemon);
    }
}

/// The running daemon does not look for it before it accepts: the acceptance meets it.
#[test]
fn a_folder_in_active_that_the_daemon_does_not_know_keeps_its_id() {
    let lab = Lab::new();
    let daemon = lab.daemon().start();
    let folder = lab.active("a");
    fs::create_dir(&folder).and_then(|()| fs::write(folder.join("kept"), "")).expect("make");
    lab.send(&lab.task("a", mark(&lab.path("ran"))));
    let (_, reason) = lab.rejected("dispatch-a.json");
    assert_eq!(reason["reason"], "duplicate_id", "{reason:#}");
    assert!(folder.join("kept").exists() && !lab.path("ran").exists());
    let left: Vec<_> = fs::read_dir(folder.parent().expect("active")).expect("list").collect();
    assert_eq!(left.len(), 1, "{left:?}");
    drop(daemon);
}

/// A session may reach the places of its answer: whatever it puts there is replaced, or moved out
/// of the way.
#[test]
fn whatever_a_session_puts_in_the_place_of_its_answer_it_is_answered() {
    type Deed = fn(&Path);
    let deeds: [(&str, Deed); 4] = [
        ("a file", |place| fs::write(place, "{}").expect("write")),
        ("a link", |place| {
            std::os::unix::fs::symlink(place.with_extension("far"), place).expect("link");
        }),
        ("a folder", |place| fs::create_dir_all(place.join("in it")).expect("make")),
        ("a FIFO", |place| {
            let made = std::process::Command::new("mkfifo").arg(place).status().expect("mkfifo");
            assert!(made.success());
        }),
    ];
    for (what, deed) in deeds {
        let lab = Lab::new();
        let daemon = lab.daemon().set("--max-concurrent", 1).start();
        let gate = lab.gate("gate");
        lab.send(&lab.task("a", format!("fake: result success done\n{}", block(&gate))));
        let hold = gate.held();
        for place in [lab.active("a").join("report.json"), lab.report_path("a"), lab.finished("a")]
        {
            deed(&place);
        }
        hold.release();
        wait_until(what, PATIENCE, || lab.finished("a").join("report.json").is_file());
        let report = lab.settled("a");
        assert_eq!((&report["status"], &report["result"]), (&json!("completed"), &json!("done")));
        let committed = fs::read(lab.finished("a").join("report.json")).expect("the report");
        assert_eq!(committed, fs::read(lab.report_path("a")).expect("the copy"), "{what}");
        lab.send(&lab.task("b", "hello"));
        lab.completed("b");
        drop(daemon);
    }
}

#[test]
fn a_planted_link_at_the_reports_name_is_replaced_and_not_followed() {
    let lab = Lab::new();
    let victim = lab.path("victim");
    fs::write(&victim, "untouched").expect("write");
    let daemon = lab.daemon().start();
    let gate = lab.gate("gate");
    lab.send(&lab.task("a", block(&gate)));
    let hold = gate.held();
    std::os::unix::fs::symlink(&victim, lab.report_path("a")).expect("symlink");
    hold.release();
    wait_until("dispatch-a in finished/", PATIENCE, || lab.finished("a").exists());
    assert_eq!(text_file(&victim), "untouched");
    assert!(!lab.report_path("a").is_symlink());
    lab.completed("a");
    drop(daemon);
}

// ----------------------------------------------------------------------------------- at any moment

/// A session can write what it likes into its own record, and into those of others.
#[test]
fn a_place_in_line_that_was_forged_costs_nobody_an_answer() {
    let lab = Lab::new();
    let gate = lab.gate("gate");
    let one = || lab.daemon().set("--max-concurrent", 1).set("--max-per-project", 0);
    let daemon = one().start();
    let project = lab.project("shared");
    let task = |name: &str| {
        let mark = format!("fake: mark {}", lab.path("ran").display());
        lab.task(name, mark).in_dir(&project)
    };
    lab.send(&lab.task("a", format!("fake: block {}", gate.display())).in_dir(&project));
    let held = gate.held();
    for name in ["b", "c", "d"] {
        lab.send(&task(name));
        lab.accepted(name);
    }
    daemon.crash();
    let place = |name: &str| json_file(&lab.active(name).join("accepted.json"))["seq"].clone();
    let forge = |name: &str, seq: Value| {
        let path = lab.active(name).join("accepted.json");
        let mut record = json_file(&path);
        record["seq"] = seq;
        fs::write(&path, record.to_string()).expect("write");
    };
    forge("a", json!(u64::MAX));
    forge("c", place("b"));
    let daemon = one().start();
    lab.send(&task("e"));
    lab.accepted("e");
    held.release();
    for name in ["b", "c", "d", "e"] {
        lab.completed(name);
    }
    let ran = starts(&lab.path("ran"));
    assert_eq!((ran[0].as_str(), ran.len(), ran[3].as_str()), ("b", 4, "e"), "{ran:?}");
    lab.settled("a");
    drop(daemon);
}
