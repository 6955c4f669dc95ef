//! Crashes with which the power goes, on the disk of `disk`; and the same with one fsync less,
//! which must go wrong.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::crash::{effects, effects_of};
use crate::disk::{Disk, Loses};
use crate::pool::{self, Random};
use crate::scene::Scene;
use crate::util::*;

/// Half of them with the strictest disk, half with a moody one.
const CUTS: usize = 400;
/// The same for dispatches that wait until somebody allows them.
const GATE_CUTS: usize = 120;
/// How many crashes an fsync may need to show that it is needed.
const TRIES: usize = 60;
/// For a daemon whose directory is damaged on purpose.
const SHORT_PATIENCE: Duration = Duration::from_secs(6);

/// One crash. `ignored`: the kind of fsync that is left out.
fn cut(
    mut scene: Scene,
    at: u64,
    loses: Loses,
    ignored: Option<&str>,
    random: &mut Random,
) -> Vec<String> {
    // The log is not synced line by line: its last moments go with the power.
    scene.forgives = &["no spawned line", "no last line", "no first line", "torn line"];
    if ignored.is_some() {
        scene.patience = SHORT_PATIENCE;
    }
    let root = scene.lab.gstack.clone();
    let disk = Disk::look(&root, &scene.lab.path("beside"));
    let trace = scene.lab.path("trace");
    let mut daemon = scene
        .daemon()
        .env("GSTACK_FAILPOINT", format!("kill@{at}"))
        .env("GSTACK_FAILPOINT_TRACE", trace.display())
        .env("GSTACK_FAILPOINT_KEEP", disk.keep().display())
        .spawn();
    wait_until(&format!("cut@{at}: its end"), PATIENCE, || {
        scene.answer_what_waits();
        daemon.exited().is_some() || scene.is_done()
    });
    scene.look_at_reports();
    if daemon.exited().is_none() {
        daemon.crash();
    } else {
        daemon.left();
    }
    scene.lab.end_leftovers();
    let is_ignored = |path: &Path| Some(kind_of(path, &root).as_str()) == ignored;
    disk.lose(&trace, at, loses, &is_ignored, random);
    scene.conclude(&format!("cut@{at}, loses {loses:?}"))
}

/// The path of a synced file or folder, without what differs between dispatches.
fn kind_of(path: &Path, root: &Path) -> String {
    let Ok(inside) = path.strip_prefix(root) else { return "above".into() };
    let word = |part: &str| {
        let (tmp, name) = part.strip_prefix(".tmp.").map_or(("", part), |name| (".tmp.", name));
        if name.starts_with("dispatch-") {
            format!("{tmp}ID{}", if name.ends_with(".json") { ".json" } else { "" })
        } else if name.starts_with("20") {
            format!("{tmp}TIME")
        } else {
            part.trim_end_matches(char::is_numeric).to_string()
        }
    };
    inside.iter().map(|part| word(&part.to_string_lossy())).collect::<Vec<_>>().join("/")
}

/// Every kind of fsync, and at which effect the first one was.
fn kinds(callback: &str) -> BTreeMap<String, u64> {
    let scene = Scene::with_every_kind(callback);
    let trace = scene.lab.path("trace");
    let daemon = scene.daemon().env("GSTACK_FAILPOINT_TRACE", trace.display()).spawn();
    wait_until("all work done", PATIENCE, || scene.is_done());
    daemon.crash();
    let mut kinds = BTreeMap::new();
    for line in text_file(&trace).lines() {
        if let [number, "Sync", path, _] = line.split('\t').collect::<Vec<_>>()[..] {
            let number = number.parse().expect("a number");
            kinds.entry(kind_of(Path::new(path), &scene.lab.gstack)).or_insert(number);
        }
    }
    let _ = fs::remove_file(&trace);
    assert_eq!(scene.conclude("traced"), [""; 0]);
    kinds
}

#[test]
fn a_disk_that_keeps_only_what_was_synced_loses_and_doubles_nothing() {
    let server = Server::start(vec![Answer::Status(200)]);
    let count = effects(&server.url);
    let mut random = Random::new("cuts");
    let cuts: Vec<(u64, Loses, u64)> = (0..CUTS)
        .map(|n| {
            let loses = if n % 2 == 0 { Loses::All } else { Loses::Some };
            (1 + random.below(count), loses, random.below(u64::MAX >> 33))
        })
        .collect();
    pool::run(&cuts, |(at, loses, seed)| {
        let scene = Scene::with_every_kind(&server.url);
        cut(scene, *at, *loses, None, &mut Random::from(*seed))
    });
}

#[test]
fn a_disk_that_keeps_only_what_was_synced_runs_nothing_that_nobody_allowed() {
    let server = Server::start(vec![Answer::Status(200)]);
    let count = effects_of(Scene::with_a_gate(&server.url));
    let mut random = Random::new("cuts with a gate");
    let cuts: Vec<(u64, Loses, u64)> = (0..GATE_CUTS)
        .map(|n| {
            let loses = if n % 2 == 0 { Loses::All } else { Loses::Some };
            (1 + random.below(count), loses, random.below(u64::MAX >> 33))
        })
        .collect();
    pool::run(&cuts, |(at, loses, seed)| {
        let scene = Scene::with_a_gate(&server.url);
        cut(scene, *at, *loses, None, &mut Random::from(*seed))
    });
}

#[test]
fn without_any_one_of_its_fsyncs_something_is_lost_or_doubled() {
    let server = Server::start(vec![Answer::Status(200)]);
    let count = effects(&server.url);
    let kinds: Vec<(String, u64)> = kinds(&server.url).into_iter().collect();
    let seed = Random::new("one fsync less").below(u64::MAX >> 33);
    pool::run(&kinds, |(kind, first)| {
        let mut random = Random::from(seed);
        for n in 1..=TRIES {
            let at = first + 1 + random.below(count - first);
            let loses = if n % 2 == 0 { Loses::All } else { Loses::Some };
            let scene = Scene::with_every_kind(&server.url);
            let found = cut(scene, at, loses, Some(kind), &mut random);
            if let Some(found) = found.first() {
                eprintln!("without the fsync of {kind}: {found} (try {n})");
                return Vec::new();
            }
        }
        vec![format!("nobody misses the fsync of {kind}")]
    });
}

/// A sender does that to the file of a dispatch that waits, the daemon says so in its audit log,
/// and then the power goes, with all that was not synced. What waited is answered all the same.
fn outlives_the_power(event: &str, change: impl FnOnce(&Scene)) -> Scene {
    let mut scene = Scene::new();
    scene.send("busy", "fake: sleep 60");
    scene.send("waits", "");
    let disk = Disk::look(&scene.lab.gstack, &scene.lab.path("beside"));
    let trace = scene.lab.path("trace");
    let daemon = scene
        .daemon()
        .set("--max-concurrent", 1)
        .env("GSTACK_FAILPOINT_TRACE", trace.display())
        .env("GSTACK_FAILPOINT_KEEP", disk.keep().display())
        .spawn();
    wait_until("both are accepted", PATIENCE, || {
        scene.lab.active("busy").exists() && scene.lab.active("waits").exists()
    });
    change(&scene);
    scene.lab.event("waits", event);
    daemon.crash();
    scene.lab.end_leftovers();
    disk.lose(&trace, u64::MAX, Loses::All, &|_| false, &mut Random::from(1));
    let mut daemon = scene.daemon().set("--drain-timeout", 0).start();
    let report = scene.lab.report("waits");
    assert_eq!(report["status"], "completed", "{report:#}");
    // The other one may run again, if the power took that it had begun.
    daemon.stop();
    daemon.left();
    scene
}

#[test]
fn a_dispatch_whose_file_was_renamed_while_it_waited_outlives_the_power() {
    outlives_the_power("redelivered", |scene| {
        let renamed = scene.lab.inbox().join("dispatch-renamed.json");
        fs::rename(scene.lab.dropped("waits"), &renamed).expect("rename");
    });
}

#[test]
fn a_dispatch_whose_file_was_written_anew_while_it_waited_outlives_the_power() {
    let scene = outlives_the_power("detached", |scene| {
        fs::write(scene.lab.dropped("waits"), scene.lab.task("other", "hello").bytes())
            .expect("write");
    });
    scene.lab.report("other");
}
