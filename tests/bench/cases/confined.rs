//! Single dispatches behind the wall of `--confine`: dropped → agent started, beside the floor, in
//! a home directory of usual size, since each of its entries is granted by itself.

use std::fs;
use std::path::Path;

use crate::daemon::Served;
use crate::floor::Floor;
use crate::lab::{Lab, PATIENCE};
use crate::stats::Samples;
use crate::table::{Row, Table, Target, Unit};
use crate::watch::Fifo;

const HOME_ENTRIES: usize = 100;
/// p50 ≤ floor + this, in milliseconds.
const START_ABOVE_FLOOR_MS: f64 = 2.0;

pub fn run(lab: &Lab, table: &mut Table) {
    for number in 0..HOME_ENTRIES {
        let _ = fs::create_dir(lab.dir.join(format!("home/entry-{number}")));
    }
    let home = lab.home();
    let open = home.dir.clone();
    let settings =
        [("GSTACK_DISPATCHD_CONFINE", Path::new("on")), ("GSTACK_DISPATCHD_CONFINE_WRITE", &open)];
    // Only ours has walls.
    let side = &lab.sides[0];
    let started = Served::start(lab, side, home, 2, &[], &settings);
    let Some(mut served) = table.value(side, "its start with --confine", started) else { return };
    let mut floor = Floor::new(lab);
    let fifo = Fifo::make(lab.dir.join("confined-floor-fifo"));
    let (mut ours, mut floored) = (Samples::default(), Samples::default());
    // The first of each warms up.
    for turn in 0..=lab.sizes.sequential {
        let got = served.dispatch(PATIENCE);
        let Some(sample) = table.value(side, "a confined dispatch", got) else { return };
        let floor = floor.dispatch(&fifo);
        if turn > 0 {
            ours.push(sample.start);
            floor.into_iter().for_each(|sample| floored.push(sample.start));
        }
    }
    let row = Row::new("confined.start.p50", "dropped → agent started, confined, p50", Unit::Ms);
    let row = row.ours(ours.percentile(50.0)).floor(floored.percentile(50.0));
    table.add(row.target(Target::FloorPlus(START_ABOVE_FLOOR_MS)));
}
