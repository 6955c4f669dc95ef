//! An answer that its own trouble keeps from its end: it gives its slot back, is told, and is
//! looked at again.

use super::*;

/// The session of `a` is done, and its claim, which another user owns by now, cannot be moved to
/// its end.
fn park<'l>(lab: &'l Lab, start: &dyn Fn() -> Start<'l>) -> Option<Daemon> {
    let daemon = beside_a_stranger(start())?.start();
    let hold = held(lab, "a", "fake: result success Done.");
    give_to(&lab.active("a"), STRANGER);
    mode(&lab.active("a"), 0o755);
    hold.release();
    assert_eq!(lab.completed("a")["result"], "Done.");
    Some(daemon)
}

fn is_told(lab: &Lab) {
    let beat = lab.heartbeat("it is parked", |beat| beat["parked"].is_array());
    assert_eq!(beat["parked"][0]["id"], id("a"), "{beat}");
    assert!(
        beat["parked"][0]["reason"]
            .as_str()
            .is_some_and(|why| why.contains("permitted") || why.contains("denied")),
        "{beat}"
    );
    assert_eq!((&beat["active"], beat.get("degraded")), (&Value::from(0), None), "{beat}");
}

fn comes_to_its_end(lab: &Lab) {
    give_to(&lab.active("a"), 0);
    lab.heartbeat("it is not parked", |beat| beat.get("parked").is_none());
    wait_until("its claim is gone", PATIENCE, || !lab.active("a").exists());
    assert_eq!(lab.completed("a")["result"], "Done.");
    assert_eq!(runs(lab, "a"), 1);
    assert!(!lab.dropped("a").exists(), "its file is done with");
}

#[test]
fn an_answer_that_cannot_come_to_its_end_is_told_gives_its_slot_back_and_is_looked_at_again() {
    let lab = Lab::new();
    let start = || lab.daemon().set("--max-concurrent", 1).set("--heartbeat", 0.3);
    let Some(daemon) = park(&lab, &start) else { return };
    assert!(lab.event("a", "parked")["reason"].is_string());
    is_told(&lab);
    let log = daemon.stderr();
    assert!(log.contains("dispatch-a is parked, and looked at again"), "{log}");
    // In its project, too.
    let next = lab.task("next", marked(&lab)).in_dir(&lab.path("project-a"));
    lab.send(&next);
    lab.completed("next");
    cancel(&lab, "a");
    lab.heartbeat("still parked", |beat| beat["parked"].is_array());
    comes_to_its_end(&lab);
    wait_until("the cancel is done with", PATIENCE, || {
        !lab.inbox().join("cancel-dispatch-a").exists()
    });
    assert_eq!(lab.events("a").iter().filter(|event| *event == "parked").count(), 1);
    drop(daemon);
}

#[test]
fn a_parked_answer_outlives_its_daemon() {
    let lab = Lab::new();
    let start = || lab.daemon().set("--max-concurrent", 1).set("--heartbeat", 0.3);
    let Some(mut daemon) = park(&lab, &start) else { return };
    lab.event("a", "parked");
    assert_eq!(daemon.stop(), 0);
    drop(daemon);
    for is_shut in [false, true] {
        mode(&lab.active("a"), if is_shut { 0 } else { 0o755 });
        let Some(start) = beside_a_stranger(start()) else { return };
        let daemon = start.start();
        is_told(&lab);
        cancel(&lab, "a");
        send_marked(&lab, if is_shut { "shut" } else { "open" });
        lab.completed(if is_shut { "shut" } else { "open" });
        assert_eq!(lab.completed("a")["result"], "Done.");
        daemon.crash();
    }
    let Some(start) = beside_a_stranger(start()) else { return };
    let daemon = start.start();
    comes_to_its_end(&lab);
    drop(daemon);
}
