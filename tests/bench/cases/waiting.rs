//! Files that wait when the daemon starts: worked off how fast, at what cost, and with nothing
//! lost. The time runs from the start of the process to the last report.

use std::thread;
use std::time::{Duration, Instant};

use super::audit::{Kept, kept};
use crate::daemon::Daemon;
use crate::floor::Floor;
use crate::lab::{Home, Lab, Side};
use crate::procfs;
use crate::stats::Samples;
use crate::table::{Row, Table, Target, Unit};
use crate::watch::{Arrivals, Reports};

const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The other daemon is given up then; its rate is that of what it has done.
const AGAINST_AT_MOST: Duration = Duration::from_secs(120);
/// Nobody should be slower than this.
const PER_SECOND_MIN: usize = 50;
/// The row that the design names, and how much of the floor it must reach, in percent.
const NAMED: (usize, usize) = (2_000, 8);
const SHARE: f64 = 80.0;
/// The floor's rate does not depend on how many wait.
const FLOOR_AT_MOST: usize = 2_000;

struct WorkedOff {
    per_second: f64,
    cpu_ms_each: f64,
    rss_mb: f64,
    kept: Kept,
}

pub fn run(lab: &Lab, table: &mut Table) {
    let mut cost_of_few = None;
    for &(files, sessions_each, rounds) in lab.sizes.waiting {
        for &sessions in sessions_each {
            let cost = measure(lab, table, (files, sessions), rounds);
            if sessions != NAMED.1 {
                continue;
            }
            match (cost_of_few, cost) {
                (None, few) => cost_of_few = few,
                (Some(few), Some(many)) => {
                    let label = format!("cost of a dispatch, {files} waiting : fewest");
                    let row = Row::new(format!("waiting.{files}.flat"), label, Unit::Times);
                    table.add(row.target(Target::AtMost(1.2)).ours(Some(many / few)));
                }
                (Some(_), None) => {}
            }
        }
    }
}

/// What a dispatch cost ours, in milliseconds of its CPU.
fn measure(
    lab: &Lab,
    table: &mut Table,
    (files, sessions): (usize, usize),
    rounds: usize,
) -> Option<f64> {
    let mut runs: Vec<Vec<WorkedOff>> = lab.sides.iter().map(|_| Vec::new()).collect();
    let mut floors = Samples::default();
    for _ in 0..rounds {
        for (number, side) in lab.sides.iter().enumerate() {
            let what = format!("{files} waiting files at {sessions} sessions");
            let got = work_off(lab, side, files, sessions);
            runs[number].extend(table.value(side, &what, got));
        }
        floors.push(Floor::new(lab).rate(files.min(FLOOR_AT_MOST), sessions));
    }
    let medians = |get: fn(&WorkedOff) -> f64| -> Vec<Option<f64>> {
        runs.iter().map(|runs| runs.iter().map(get).collect::<Samples>().median()).collect()
    };
    let (key, label) =
        (format!("waiting.{files}.{sessions}"), format!("{files} waiting, {sessions} at a time"));
    let rates = medians(|run| run.per_second);
    let row = Row::new(format!("{key}.rate"), &*label, Unit::PerSecond);
    let row = row.sides(&rates).floor(floors.median());
    let is_named = (files, sessions) == NAMED;
    table.add(if is_named { row.target(Target::ShareOfFloor(SHARE)) } else { row });
    let cpu = medians(|run| run.cpu_ms_each);
    let row =
        Row::new(format!("{key}.cpu"), format!("{label}: own CPU each"), Unit::Ms).sides(&cpu);
    table.add(if is_named { row.target(Target::AtMost(1.5)) } else { row });
    let row = Row::new(format!("{key}.audit"), format!("{label}: audit lines kept"), Unit::Percent);
    let audit = medians(|run| run.kept.audit_percent);
    table.add(row.target(Target::AtLeast(100.0)).sides(&audit));
    let row =
        Row::new(format!("{key}.order"), format!("{label}: overtaken at the start"), Unit::Count);
    let order = medians(|run| run.kept.overtaken as f64);
    table.add(row.target(Target::AtMost(sessions as f64 - 1.0)).sides(&order));
    let row = Row::new(format!("{key}.rss"), format!("{label}: RSS afterwards"), Unit::Mb);
    table.add(row.sides(&medians(|run| run.rss_mb)));
    cpu[0]
}

fn work_off(lab: &Lab, side: &Side, files: usize, sessions: usize) -> Result<WorkedOff, String> {
    let home = lab.home();
    home.fill(files);
    let mut arrivals = Arrived::watch(&home, files);
    let mut daemon = Daemon::start(lab.daemon(side, &home, sessions, &[]), &home);
    let patience = Duration::from_secs(60 + (files / PER_SECOND_MIN) as u64);
    let patience = if side.is_ours() { patience } else { patience.min(AGAINST_AT_MOST) };
    let last = arrivals.wait_for_all(&mut daemon, patience)?;
    let seconds = (last - daemon.began).as_secs_f64();
    let cpu_ms = procfs::cpu_ms(daemon.pid);
    let rss_mb = procfs::memory(daemon.pid).rss_kb / 1024.0;
    drop(daemon);
    let done = arrivals.reports.count;
    let kept = kept(&home, files, if side.is_ours() { 3 } else { 2 });
    if side.is_ours() {
        kept.check(files, sessions)?;
        if std::fs::read_dir(home.inbox()).is_ok_and(|d| d.flatten().any(is_dispatch)) {
            return Err("files are left in the inbox".into());
        }
    }
    Ok(WorkedOff {
        per_second: done as f64 / seconds,
        cpu_ms_each: cpu_ms / done.max(1) as f64,
        rss_mb,
        kept,
    })
}

fn is_dispatch(entry: std::fs::DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with("dispatch-")
}

/// Reports as they come.
pub struct Arrived {
    arrivals: Arrivals,
    pub reports: Reports,
}

impl Arrived {
    pub fn watch(home: &Home, dispatches: usize) -> Arrived {
        Arrived { arrivals: Arrivals::watch(&home.completed()), reports: Reports::of(dispatches) }
    }

    /// When the last one was there, or when our patience was at its end.
    pub fn wait_for_all(
        &mut self,
        daemon: &mut Daemon,
        patience: Duration,
    ) -> Result<Instant, String> {
        let until = Instant::now() + patience;
        loop {
            self.arrivals.count(&mut self.reports);
            let now = Instant::now();
            if self.reports.are_all_there() || now >= until {
                return Ok(now);
            }
            if let Some(status) = daemon.exited() {
                return Err(format!("the daemon ended: {status}; {}", daemon.last_words()));
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}
