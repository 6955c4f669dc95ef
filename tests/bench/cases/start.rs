//! From the start of the process to the first heartbeat of an orderly daemon, on a directory that
//! was used before: once without any dispatch, and once with many that are over.

use std::fs;

use crate::daemon::{Daemon, ms, rest};
use crate::lab::{Home, Lab, PATIENCE, Side, file_of, id_of};
use crate::stats::Samples;
use crate::table::{Row, Table, Target, Unit};
use crate::watch::Arrivals;

const MOST_MS: f64 = 5.0;

pub fn run(lab: &Lab, table: &mut Table) {
    measure(lab, table, "start.heartbeat", "start → first heartbeat", 0);
    let finished = lab.sizes.finished;
    let label = format!("start → first heartbeat, {finished} finished");
    measure(lab, table, "start.finished", &label, finished);
}

fn measure(lab: &Lab, table: &mut Table, key: &str, label: &str, finished: usize) {
    let homes: Vec<Home> = lab.sides.iter().map(|_| used_home(lab, finished)).collect();
    let mut samples: Vec<Samples> = lab.sides.iter().map(|_| Samples::default()).collect();
    let mut works = vec![true; lab.sides.len()];
    for turn in 0..=lab.sizes.starts {
        for (number, side) in lab.sides.iter().enumerate() {
            if !works[number] {
                continue;
            }
            let got = table.value(side, "a start", once(lab, side, &homes[number]));
            works[number] = got.is_some();
            // The first makes the directories.
            if let (Some(sample), true) = (got, turn > 0) {
                samples[number].push(sample);
            }
        }
    }
    for (name, percent) in [("p50", 50.0), ("p95", 95.0)] {
        let values: Vec<_> = samples.iter().map(|samples| samples.percentile(percent)).collect();
        let row = Row::new(format!("{key}.{name}"), format!("{label}, {name}"), Unit::Ms);
        let row = row.sides(&values);
        table.add(if percent == 50.0 { row.target(Target::AtMost(MOST_MS)) } else { row });
    }
}

/// Each dispatch that is over leaves a folder in `finished/` and a report for its sender.
fn used_home(lab: &Lab, finished: usize) -> Home {
    let home = lab.home();
    let over = home.dir.join("dispatchd/finished");
    for number in 0..finished {
        let id = id_of(number);
        let report = format!(
            r#"{{"dispatch_id":"{id}","status":"completed","duration":1,"target_agent":"claude"}}"#
        );
        let attempt = over.join(&id).join("attempt-1");
        fs::create_dir_all(&attempt).expect("make a finished dispatch");
        let paths = [
            over.join(&id).join("report.json"),
            attempt.join("stdout.jsonl"),
            home.completed().join(file_of(number)),
        ];
        for path in paths {
            fs::write(path, &report).expect("write a finished dispatch");
        }
    }
    rustix::fs::sync();
    home
}

fn once(lab: &Lab, side: &Side, home: &Home) -> Result<f64, String> {
    let _ = fs::remove_file(home.heartbeat());
    let beats = Arrivals::watch(&home.inbox());
    rest();
    let mut daemon = Daemon::start(lab.daemon(side, home, 2, &[]), home);
    let beat = beats.wait_for(".daemon-heartbeat", PATIENCE)?;
    daemon.wait_ready(PATIENCE)?;
    Ok(ms(daemon.began, beat))
}
