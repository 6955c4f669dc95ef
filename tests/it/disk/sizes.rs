//! A disk that is full a little sooner or later each time, so that each file of ours is once the
//! one that has no room.

use std::fs;

use super::{SmallDisk, drop_in, not_degraded, prepared};
use crate::util::*;

/// Pages of 4 KiB that are left when the dispatches come.
const PAGES_LEFT: [u64; 14] = [0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 32];

#[test]
fn wherever_the_disk_is_full_everything_is_done_once_when_there_is_room_again() {
    for pages in PAGES_LEFT {
        let mut lab = Lab::new();
        let Some(disk) = SmallDisk::under(&mut lab, "1m") else { return };
        let daemon = lab.daemon().set("--min-free-mb", 0).set("--trouble-pause", 0.05);
        let daemon = daemon.set("--rate-limit-backoff", 0.05).set("--heartbeat", 0.1).start();
        let ran = lab.path("ran");
        let mark = format!("fake: mark {}", ran.display());
        let again = format!("{mark}\nfake: once result error 429 rate_limit");
        let files = [("a", &mark), ("b", &again), ("c", &mark)]
            .map(|(name, task)| prepared(&lab, &lab.task(name, task.as_str())));
        disk.fill_but(pages * 4096);
        files.iter().for_each(|file| drop_in(&lab, file));
        // Until it stands still: in trouble, or because there was room enough.
        let is_done = || {
            let all = ["a", "b", "c"].iter().all(|name| lab.report_path(name).exists());
            all && lab.waiting().is_empty()
        };
        wait_until(&format!("{pages} pages: trouble, or the end"), PATIENCE, || {
            is_done() || daemon.stderr().contains("degraded")
        });
        disk.make_room();
        for name in ["a", "b", "c"] {
            let report = lab.settled(name);
            // An agent that could not write its result is tried once more; none starts twice for
            // one attempt.
            let (runs, attempts) =
                (starts(&ran), report["attempts"].as_array().map_or(0, Vec::len));
            let runs = runs.iter().filter(|id| *id == name).count();
            assert!(runs <= attempts && attempts <= 2, "{pages} pages, {name}: {runs}, {report:#}");
            let whole = fs::read(lab.report_path(name)).expect("the report");
            assert!(whole.ends_with(b"}"), "{pages} pages, {name}: a torn report");
        }
        wait_until(&format!("{pages} pages: an empty inbox"), PATIENCE, || {
            lab.waiting().is_empty()
        });
        not_degraded(&lab);
        assert_eq!(lab.rejected_count(), 0, "{pages} pages");
        drop(daemon);
    }
}
