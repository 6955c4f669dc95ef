//! The cost of a dispatch when the audit log is long already, against that under an empty one. The
//! two take turns, so that whatever the machine does meanwhile it does to both.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use crate::daemon::Served;
use crate::lab::{Home, Lab, Side};
use crate::procfs;
use crate::stats::Samples;
use crate::table::{Row, Table, Target, Unit};

const PATIENCE: Duration = Duration::from_secs(60);
const DISPATCHES: usize = 40;
/// The other daemon may rewrite the whole log for each line.
const DISPATCHES_AGAINST: usize = 5;

struct Cost {
    /// From the rename to the report.
    ms: f64,
    cpu_ms: f64,
}

pub fn run(lab: &Lab, table: &mut Table) {
    let lines = lab.sizes.log_lines;
    let (mut empty, mut long) = (Vec::new(), Vec::new());
    for side in &lab.sides {
        let got = take_turns(lab, side, lines);
        let costs = table.value(side, &format!("dispatches under {lines} audit lines"), got);
        let [few, many] = costs.map_or([None, None], |costs| costs.map(Some));
        empty.push(few);
        long.push(many);
    }
    let row = |key: &str, what: &str, get: fn(&Cost) -> f64| {
        let cost = |costs: &[Option<Cost>]| -> Vec<Option<f64>> {
            costs.iter().map(|cost| cost.as_ref().map(get)).collect()
        };
        let label = |lines: usize| format!("{what} under {lines} audit lines");
        let (few, many) = (cost(&empty), cost(&long));
        let times: Vec<Option<f64>> =
            few.iter().zip(&many).map(|(few, many)| Some((*many)? / (*few)?)).collect();
        [
            Row::new(format!("log.empty.{key}"), label(0), Unit::Ms).sides(&few),
            Row::new(format!("log.long.{key}"), label(lines), Unit::Ms).sides(&many),
            Row::new(format!("log.times.{key}"), format!("{what}: long log : empty"), Unit::Times)
                .target(Target::AtMost(1.2))
                .sides(&times),
        ]
    };
    let time = row("ms", "dropped → report, p50", |cost| cost.ms);
    let cpu = row("cpu", "own CPU each", |cost| cost.cpu_ms);
    time.into_iter().chain(cpu).for_each(|row| table.add(row));
}

/// Under an empty log, and under one of so many lines.
fn take_turns(lab: &Lab, side: &Side, lines: usize) -> Result<[Cost; 2], String> {
    let start = |lines| -> Result<Turn, String> {
        let home = lab.home();
        write_log(&home, lines);
        let mut served = Served::start(lab, side, home, 2, &[], &[])?;
        served.dispatch(PATIENCE)?;
        let cpu_before = procfs::fine_cpu_ms(served.daemon.pid);
        Ok(Turn { served, cpu_before, samples: Samples::default() })
    };
    let mut turns = [start(0)?, start(lines)?];
    let count = if side.is_ours() { DISPATCHES } else { DISPATCHES_AGAINST };
    for _ in 0..count {
        for Turn { served, samples, .. } in &mut turns {
            samples.push(served.dispatch(PATIENCE)?.whole);
        }
    }
    Ok(turns.map(|Turn { served, cpu_before, samples }| {
        let cpu_ms = procfs::fine_cpu_ms(served.daemon.pid) - cpu_before;
        let ms = samples.median().unwrap_or_default();
        Cost { ms, cpu_ms: cpu_ms / count as f64 }
    }))
}

struct Turn {
    served: Served,
    cpu_before: f64,
    samples: Samples,
}

fn write_log(home: &Home, lines: usize) {
    let path: &Path = &home.audit();
    let mut file = BufWriter::new(File::create(path).expect("create the audit log"));
    for number in 0..lines {
        let event = ["received", "spawned", "completed"][number % 3];
        writeln!(
            file,
            r#"{{"ts":"2026-01-01T00:00:00.000Z","event":"{event}","dispatch_id":"dispatch-old-{:07}","duration":1,"exit_code":0}}"#,
            number / 3
        )
        .expect("write the audit log");
    }
    file.flush().expect("write the audit log");
    drop(file);
    rustix::fs::sync();
}
