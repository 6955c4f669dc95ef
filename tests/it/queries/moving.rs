//! A dispatch never vanishes, whatever is renamed while somebody looks.

use std::thread;
use std::time::{Duration, Instant};

use super::*;

/// How many dispatches go through while somebody looks.
const DISPATCHES: usize = 60;

#[test]
fn no_look_misses_one_or_sees_it_twice_or_where_it_was() {
    let lab = Lab::new();
    let daemon = lab.daemon().set("--max-concurrent", 4).start();
    let drops: Vec<(String, Vec<u8>)> = (0..DISPATCHES)
        .map(|n| lab.task(&format!("m{n:03}"), "hello"))
        .map(|dispatch| (dispatch.id(), dispatch.bytes()))
        .collect();
    let (inbox, beside) = (lab.inbox(), lab.path("beside"));
    thread::scope(|scope| {
        scope.spawn(move || {
            for (id, bytes) in drops {
                std::fs::write(&beside, bytes).expect("write");
                std::fs::rename(&beside, inbox.join(format!("{id}.json"))).expect("drop");
            }
        });
        let mut known: std::collections::BTreeMap<String, u8> = Default::default();
        let began = Instant::now();
        loop {
            let sent: Vec<String> = lab.waiting();
            let all = json(&lab, &["list", "--limit", "0"]);
            let listed = ids(&all);
            let unique: std::collections::BTreeSet<&str> = listed.iter().copied().collect();
            assert_eq!(unique.len(), listed.len(), "one is listed twice: {listed:?}");
            for file in sent {
                let id = file.trim_end_matches(".json");
                assert!(unique.contains(id), "{id} is not listed: {listed:?}");
            }
            for record in all.as_array().expect("records") {
                let (id, state) = (record["id"].as_str().expect("an id"), &record["state"]);
                let now = match state.as_str().expect("a state") {
                    "inbox" => 0,
                    "queued" => 1,
                    "running" => 2,
                    "completed" => 3,
                    other => panic!("{id} is {other}"),
                };
                let before = known.insert(id.to_string(), now).unwrap_or(0);
                assert!(before <= now, "{id} went from {before} back to {now}");
            }
            for id in known.keys() {
                assert!(unique.contains(id.as_str()), "{id} vanished: {listed:?}");
            }
            if known.len() == DISPATCHES && known.values().all(|state| *state == 3) {
                break;
            }
            assert!(began.elapsed() < PATIENCE + Duration::from_secs(60), "{known:?}");
        }
    });
    drop(daemon);
}
