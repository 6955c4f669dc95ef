//! What an acceptance command leaves running. It hides from the run token, as what an agent leaves
//! can, and is found in the same ways: by its group, and by the output that it holds.

use std::fs;

use crate::evidence::verified_by;
use crate::util::*;

/// In the command's group, with nothing of ours; in a group of its own, with the command's output.
fn leaves(pids: &std::path::Path) -> String {
    let pids = pids.display();
    format!(
        "env -i sleep 7777 </dev/null >/dev/null 2>&1 & echo $! >>{pids}
         setsid env -i sleep 7777 </dev/null & echo $! >>{pids}"
    )
}

#[test]
fn what_a_check_leaves_without_its_environment_is_gone_when_the_report_appears() {
    if !cfg!(target_os = "linux") {
        return skipped("orphans come to the daemon on Linux only");
    }
    let lab = Lab::new();
    let (dir, pids) = (lab.project("shop"), lab.path("pids"));
    verified_by(&lab, &dir, &leaves(&pids), 20.0);
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").in_dir(&dir));
    lab.completed("a");
    assert_eq!(all_gone(&pids).len(), 2);
    drop(daemon);
}

#[test]
fn what_a_check_leaves_is_gone_when_it_is_cut_off() {
    if !cfg!(target_os = "linux") {
        return skipped("orphans come to the daemon on Linux only");
    }
    let lab = Lab::new();
    let (dir, pids) = (lab.project("shop"), lab.path("pids"));
    verified_by(&lab, &dir, &format!("{}; sleep 7777", leaves(&pids)), 1.0);
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").in_dir(&dir));
    lab.failed("a", "verify_failed");
    assert_eq!(all_gone(&pids).len(), 2);
    drop(daemon);
}

/// The next daemon does not know its group, only the file that it writes to.
#[test]
fn what_holds_the_output_of_a_check_that_a_crash_cut_off_is_gone_when_the_report_appears() {
    let lab = Lab::new();
    let (dir, pids, gate) = (lab.project("shop"), lab.path("pids"), lab.gate("gate"));
    let holder = "setsid env -i sleep 7777 </dev/null & echo $! >>";
    let script =
        format!("[ ! -e {0} ] || exit 0; {holder}{0}; read _ <{1}", pids.display(), gate.display());
    verified_by(&lab, &dir, &script, 60.0);
    let daemon = lab.daemon().start();
    lab.send(&lab.task("a", "hello").in_dir(&dir));
    let _hold = gate.held();
    daemon.crash();
    assert!(fs::exists(lab.active("a").join("attempt-1/verify.log")).expect("look"));
    let daemon = lab.daemon().start();
    lab.completed("a");
    assert_eq!(all_gone(&pids).len(), 1);
    drop(daemon);
}
