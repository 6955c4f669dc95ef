//! Sessions that run and say nothing for a while, as real ones do most of the time: what each costs
//! the daemon.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

use crate::daemon::Served;
use crate::lab::{Lab, PATIENCE, Side};
use crate::procfs;
use crate::table::{Row, Table, Target, Unit};
use crate::watch::{ENDED, STARTED, make_fifo};

const SESSIONS: usize = 32;
const SETTLE: Duration = Duration::from_secs(2);

struct Cost {
    kb: f64,
    wakeups: f64,
    cpu_ms: f64,
}

pub fn run(lab: &Lab, table: &mut Table) {
    let mut costs = Vec::new();
    for side in &lab.sides {
        costs.push(table.value(side, "32 sessions that stand still", once(lab, side)));
    }
    let of = |get: fn(&Cost) -> f64| -> Vec<Option<f64>> {
        costs.iter().map(|cost| cost.as_ref().map(get)).collect()
    };
    let row = Row::new("held.rss_kb", "32 running: RSS per session", Unit::Kb);
    table.add(row.target(Target::AtMost(100.0)).sides(&of(|cost| cost.kb)));
    let row = Row::new("held.wakeups", "32 running: wake-ups per session and second", Unit::Count);
    table.add(row.target(Target::AtMost(1.2)).sides(&of(|cost| cost.wakeups)));
    let row = Row::new("held.cpu_ms", "32 running: CPU of all in 1 s", Unit::Ms);
    table.add(row.sides(&of(|cost| cost.cpu_ms)));
}

fn once(lab: &Lab, side: &Side) -> Result<Cost, String> {
    let home = lab.home();
    let hold = home.dir.join("hold");
    make_fifo(&hold);
    let mut served = Served::start(lab, side, home, SESSIONS, &[], &[("BENCH_HOLD", &hold)])?;
    thread::sleep(SETTLE);
    let pid = served.daemon.pid;
    let alone = procfs::memory(pid).rss_kb;
    for _ in 0..SESSIONS {
        let number = served.stage_next();
        served.home.drop_staged(number);
        served.fifo.wait_for(STARTED, PATIENCE)?;
    }
    thread::sleep(SETTLE);
    let look = || (procfs::switches(pid).voluntary, procfs::cpu_ms(pid));
    let before = look();
    thread::sleep(lab.sizes.held);
    let after = look();
    let with_all = procfs::memory(pid).rss_kb;
    release(&hold);
    for _ in 0..SESSIONS {
        served.fifo.wait_for(ENDED, PATIENCE)?;
    }
    let (sessions, seconds) = (SESSIONS as f64, lab.sizes.held.as_secs_f64());
    Ok(Cost {
        kb: (with_all - alone) / sessions,
        wakeups: (after.0 - before.0) / sessions / seconds,
        cpu_ms: (after.1 - before.1) / seconds,
    })
}

/// All that wait for a writer go on, and read its end.
fn release(hold: &Path) {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(OFlags::NONBLOCK.bits() as i32);
    drop(options.open(hold).expect("open the FIFO"));
}
