//! Single dispatches: dropped → agent started, agent ended → report visible, and the daemon's CPU
//! for each. Ours, the other daemon, the floor, nq and tsp take turns, so that whatever the machine
//! does meanwhile it does to all of them.

use crate::daemon::{Sample, Served};
use crate::floor::{FSYNCS, FSYNCS_BEFORE_START, Floor};
use crate::fsyncs;
use crate::lab::{Lab, PATIENCE};
use crate::others::Other;
use crate::procfs;
use crate::stats::Samples;
use crate::table::{Row, Table, Target, Unit};
use crate::watch::Fifo;

const SESSIONS: usize = 2;
/// p50 ≤ floor + this, in milliseconds.
const START_ABOVE_FLOOR_MS: f64 = 0.5;
const END_ABOVE_FLOOR_MS: f64 = 1.0;
const PERCENTILES: [(&str, f64); 3] = [("p50", 50.0), ("p95", 95.0), ("p99", 99.0)];

#[derive(Default)]
struct Measured {
    start: Samples,
    end: Samples,
    cpu_ms: Option<f64>,
}

impl Measured {
    fn add(&mut self, sample: Sample) {
        self.start.push(sample.start);
        if let Some(end) = sample.end {
            self.end.push(end);
        }
    }
}

pub fn run(lab: &Lab, table: &mut Table) {
    let fsyncs: Vec<_> = lab
        .sides
        .iter()
        .map(|side| {
            table.value(side, "dispatches under strace", fsyncs::count(lab, side)).flatten()
        })
        .collect();
    if fsyncs[0].is_none() {
        table.note("fsyncs per dispatch: unknown (no strace here)");
    }
    let before: Vec<_> = fsyncs.iter().map(|f| f.map(|f| f.before)).collect();
    let all: Vec<_> = fsyncs.iter().map(|f| f.map(|f| f.before + f.after)).collect();
    let row = Row::new("fsyncs.before_start", "fsyncs before the agent starts", Unit::Count);
    let row = row.sides(&before).floor(Some(FSYNCS_BEFORE_START));
    table.add(row.target(Target::AtMost(FSYNCS_BEFORE_START)));
    let row = Row::new("fsyncs.all", "fsyncs per dispatch", Unit::Count);
    table.add(row.sides(&all).floor(Some(FSYNCS)));

    let (sides, floored, others) = take_turns(lab, table);
    for (name, percent) in PERCENTILES {
        let of = |samples: &Samples| samples.percentile(percent);
        let starts: Vec<_> = sides.iter().map(|side| of(&side.start)).collect();
        let label = format!("dropped → agent started, {name}");
        let row = Row::new(format!("latency.start.{name}"), label, Unit::Ms);
        let row = row.sides(&starts).floor(of(&floored.start));
        let is_median = percent == 50.0;
        table.add(if is_median {
            row.target(Target::FloorPlus(START_ABOVE_FLOOR_MS))
        } else {
            row
        });
        for (other, measured) in others.iter().filter(|_| is_median) {
            let label = format!("dropped → agent started, {name}, against {other}");
            let row = Row::new(format!("latency.start.{name}.{other}"), label, Unit::Ms);
            table.add(row.ours(starts[0]).against(of(&measured.start)));
        }
    }
    for (name, percent) in PERCENTILES {
        let ends: Vec<_> = sides.iter().map(|side| side.end.percentile(percent)).collect();
        let label = format!("agent ended → report visible, {name}");
        let row = Row::new(format!("latency.end.{name}"), label, Unit::Ms);
        let row = row.sides(&ends).floor(floored.end.percentile(percent));
        let is_median = percent == 50.0;
        table.add(if is_median { row.target(Target::FloorPlus(END_ABOVE_FLOOR_MS)) } else { row });
    }
    let cpu: Vec<_> = sides.iter().map(|side| side.cpu_ms).collect();
    let row = Row::new("cpu.sequential", "own CPU per dispatch, one after the other", Unit::Ms);
    table.add(row.target(Target::AtMost(1.5)).sides(&cpu).floor(floored.cpu_ms));
}

type Turns = (Vec<Measured>, Measured, Vec<(&'static str, Measured)>);

fn take_turns(lab: &Lab, table: &mut Table) -> Turns {
    let mut floor = Floor::new(lab);
    let start = |side| Served::start(lab, side, lab.home(), SESSIONS, &[], &[]);
    let mut served: Vec<_> =
        lab.sides.iter().map(|side| table.value(side, "its start", start(side))).collect();
    let floor_fifo = Fifo::make(lab.dir.join("floor-fifo"));
    let others = Other::installed(lab);
    let mut sides: Vec<Measured> = lab.sides.iter().map(|_| Measured::default()).collect();
    let mut floored = Measured::default();
    let mut measured: Vec<_> = others.iter().map(|o| (o.name, Measured::default())).collect();
    // The first of each warms up.
    let mut cpu_before: Vec<f64> = vec![0.0; sides.len()];
    for turn in 0..=lab.sizes.sequential {
        for (number, side) in lab.sides.iter().enumerate() {
            let Some(one) = &mut served[number] else { continue };
            if turn == 1 {
                cpu_before[number] = procfs::fine_cpu_ms(one.daemon.pid);
            }
            let got = one.dispatch(PATIENCE);
            match table.value(side, "a single dispatch", got) {
                Some(sample) if turn > 0 => sides[number].add(sample),
                Some(_) => {}
                None => served[number] = None,
            }
        }
        if turn == 1 {
            floor.cpu_ms = 0.0;
        }
        let got = floor.dispatch(&floor_fifo);
        if let (Ok(sample), true) = (got, turn > 0) {
            floored.add(sample);
        }
        for (other, (_, measured)) in others.iter().zip(&mut measured) {
            if let (Ok(sample), true) = (other.dispatch(), turn > 0) {
                measured.add(sample);
            }
        }
    }
    for (number, one) in served.iter().enumerate() {
        let cpu = |one: &Served| procfs::fine_cpu_ms(one.daemon.pid) - cpu_before[number];
        sides[number].cpu_ms = one.as_ref().map(|one| cpu(one) / lab.sizes.sequential as f64);
    }
    floored.cpu_ms = Some(floor.cpu_ms / lab.sizes.sequential as f64);
    (sides, floored, measured)
}
