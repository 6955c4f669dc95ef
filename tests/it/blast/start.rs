//! What an earlier daemon left that nobody can read: the start does not wait for it, and the others
//! are served.

use std::time::{Duration, Instant};

use super::*;

/// Each unreadable claim cost ten seconds once, one after the other.
const START_MAX: Duration = Duration::from_secs(5);
const MANY: usize = 30;

/// Many that waited for their turn when the daemon died. `harm` makes each unreadable.
fn left_behind(lab: &Lab, start: &dyn Fn() -> Option<Daemon>, harm: impl Fn(&Path)) -> Option<()> {
    let daemon = start()?;
    let _hold = held(lab, "a", "");
    for number in 0..MANY {
        send_marked(lab, &format!("q{number}"));
    }
    daemon.crash();
    kill_agent(lab, "a");
    (0..MANY).for_each(|number| harm(&lab.active(&format!("q{number}"))));
    Some(())
}

fn ready_soon(daemon: &mut Daemon, began: Instant) {
    daemon.wait_ready();
    assert!(began.elapsed() < START_MAX, "ready after {:?}", began.elapsed());
}

#[test]
fn claims_whose_records_are_no_files_do_not_hold_up_the_start() {
    for (record, is_fifo) in
        [("accepted.json", true), ("accepted.json", false), ("dispatch.json", true)]
    {
        let lab = Lab::new();
        let start = || Some(lab.daemon().set("--max-concurrent", 1).start());
        left_behind(&lab, &start, |claim| {
            let path = claim.join(record);
            put_instead(&path, if is_fifo { fifo } else { folder });
        });
        let began = Instant::now();
        let mut daemon = lab.daemon().spawn();
        ready_soon(&mut daemon, began);
        send_marked(&lab, "new");
        lab.completed("new");
        for number in 0..MANY {
            let name = format!("q{number}");
            lab.settled(&name);
            lab.completed(&name);
            assert_eq!(runs(&lab, &name), 1);
        }
        drop(daemon);
    }
}

#[test]
fn claims_that_nobody_may_read_do_not_hold_up_the_start_and_run_once_they_can_be_read() {
    let lab = Lab::new();
    let plain = || lab.daemon().set("--max-concurrent", 1).set("--heartbeat", 0.3);
    let start = || beside_a_stranger(plain()).map(Start::start);
    let harmed = left_behind(&lab, &start, |claim| {
        give_to(claim, STRANGER);
        mode(claim, 0);
    });
    let Some(()) = harmed else { return };
    let began = Instant::now();
    let Some(next) = beside_a_stranger(plain()) else { return };
    let mut daemon = next.spawn();
    ready_soon(&mut daemon, began);
    send_marked(&lab, "new");
    lab.completed("new");
    let beat = lab.heartbeat("it tells of them", |beat| beat["parked"].is_array());
    assert_eq!(beat["parked"].as_array().map(Vec::len), Some(MANY), "{beat}");
    for number in 0..MANY {
        let claim = lab.active(&format!("q{number}"));
        assert!(lab.dropped(&format!("q{number}")).exists(), "its file stays");
        give_to(&claim, 0);
    }
    for number in 0..MANY {
        let name = format!("q{number}");
        lab.settled(&name);
        lab.completed(&name);
        assert_eq!(runs(&lab, &name), 1);
    }
    lab.heartbeat("none is left", |beat| beat.get("parked").is_none());
    drop(daemon);
}
