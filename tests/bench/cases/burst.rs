//! Many files renamed into the inbox at once, while the daemon runs: more than any queue of events
//! holds.

use std::time::{Duration, Instant};

use super::audit::kept;
use super::waiting::Arrived;
use crate::daemon::Daemon;
use crate::lab::{Lab, Side};
use crate::table::{Row, Table, Target, Unit};

const SESSIONS: usize = 8;
const PATIENCE: Duration = Duration::from_secs(120);

struct Served {
    per_second: f64,
    reports_percent: f64,
    overtaken: f64,
}

pub fn run(lab: &Lab, table: &mut Table) {
    let count = lab.sizes.burst;
    let mut served = Vec::new();
    for side in &lab.sides {
        let got = once(lab, side, count);
        served.push(table.value(side, &format!("a burst of {count} renames"), got));
    }
    let of = |get: fn(&Served) -> f64| -> Vec<Option<f64>> {
        served.iter().map(|served| served.as_ref().map(get)).collect()
    };
    let label = format!("burst of {count} renames, {SESSIONS} at a time");
    let row = Row::new("burst.rate", &*label, Unit::PerSecond);
    table.add(row.sides(&of(|served| served.per_second)));
    let row = Row::new("burst.reports", format!("{label}: reports"), Unit::Percent);
    table.add(row.target(Target::AtLeast(100.0)).sides(&of(|served| served.reports_percent)));
    let row = Row::new("burst.order", format!("{label}: overtaken at the start"), Unit::Count);
    table.add(row.sides(&of(|served| served.overtaken)));
}

fn once(lab: &Lab, side: &Side, count: usize) -> Result<Served, String> {
    let home = lab.home();
    (0..count).for_each(|number| home.stage(number));
    rustix::fs::sync();
    let mut daemon = Daemon::ready(lab.daemon(side, &home, SESSIONS, &[]), &home)?;
    let mut arrived = Arrived::watch(&home, count);
    let began = Instant::now();
    for number in 0..count {
        home.drop_staged(number);
    }
    let last = arrived.wait_for_all(&mut daemon, PATIENCE)?;
    drop(daemon);
    let done = arrived.reports.count;
    let kept = kept(&home, count, 3);
    if side.is_ours() {
        kept.check(count, count)?;
    }
    Ok(Served {
        per_second: done as f64 / (last - began).as_secs_f64(),
        reports_percent: done as f64 / count as f64 * 100.0,
        overtaken: kept.overtaken as f64,
    })
}
