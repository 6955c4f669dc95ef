//! From the start of the process to the first heartbeat of an orderly daemon, on a directory that was used before.

use std::fs;

use crate::daemon::{Daemon, ms, rest};
use crate::lab::{Home, Lab, PATIENCE, Side};
use crate::stats::Samples;
use crate::table::{Row, Table, Target, Unit};
use crate::watch::Arrivals;

pub fn run(lab: &Lab, table: &mut Table) {
    let homes: Vec<Home> = lab.sides.iter().map(|_| lab.home()).collect();
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
    for (name, percent, target) in [("p50", 50.0, Some(Target::AtMost(5.0))), ("p95", 95.0, None)] {
        let values: Vec<_> = samples.iter().map(|samples| samples.percentile(percent)).collect();
        let label = format!("start → first heartbeat, {name}");
        let row = Row::new(format!("start.heartbeat.{name}"), label, Unit::Ms).sides(&values);
        table.add(match target {
            Some(target) => row.target(target),
            None => row,
        });
    }
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
