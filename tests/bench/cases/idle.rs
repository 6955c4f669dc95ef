//! A daemon with nothing to do: its memory, its threads, and what it does all the same. All sides
//! stand idle side by side.

use std::thread;
use std::time::Duration;

use crate::daemon::Daemon;
use crate::lab::Lab;
use crate::procfs::{self, Memory};
use crate::table::{Row, Table, Target, Unit};

/// What a start still has to do is done by then.
const SETTLE: Duration = Duration::from_secs(2);
const PER_SECONDS: f64 = 30.0;

pub fn run(lab: &Lab, table: &mut Table) {
    let homes: Vec<_> = lab.sides.iter().map(|_| lab.home()).collect();
    let mut daemons = Vec::new();
    for (side, home) in lab.sides.iter().zip(&homes) {
        let got = Daemon::ready(lab.daemon(side, home, 2, &[]), home);
        daemons.push(table.value(side, "its start", got));
    }
    thread::sleep(SETTLE);
    let look = |daemon: &Option<Daemon>| {
        let pid = daemon.as_ref()?.pid;
        Some((procfs::switches(pid).all, procfs::fine_cpu_ms(pid)))
    };
    let before: Vec<_> = daemons.iter().map(look).collect();
    thread::sleep(lab.sizes.idle);
    let after: Vec<_> = daemons.iter().map(look).collect();
    let memory: Vec<Option<Memory>> =
        daemons.iter().map(|d| d.as_ref().map(|d| procfs::memory(d.pid))).collect();

    let of = |get: fn(&Memory) -> f64| -> Vec<Option<f64>> {
        memory.iter().map(|memory| memory.as_ref().map(get)).collect()
    };
    let scale = PER_SECONDS / lab.sizes.idle.as_secs_f64();
    let changed = |get: fn(&(f64, f64)) -> f64| -> Vec<Option<f64>> {
        let pairs = before.iter().zip(&after);
        pairs.map(|(b, a)| Some((get(a.as_ref()?) - get(b.as_ref()?)) * scale)).collect()
    };
    let row = Row::new("idle.rss_mb", "idle: RSS", Unit::Mb).target(Target::AtMost(5.0));
    table.add(row.sides(&of(|m| m.rss_kb / 1024.0)));
    table.add(Row::new("idle.pss_mb", "idle: PSS", Unit::Mb).sides(&of(|m| m.pss_kb / 1024.0)));
    table.add(Row::new("idle.threads", "idle: threads", Unit::Count).sides(&of(|m| m.threads)));
    let row = Row::new("idle.switches", "idle: context switches in 30 s", Unit::Count);
    table.add(row.target(Target::AtMost(20.0)).sides(&changed(|(switches, _)| *switches)));
    let row = Row::new("idle.cpu_ms", "idle: CPU in 30 s", Unit::Ms);
    table.add(row.sides(&changed(|(_, cpu)| *cpu)));
}
