//! A restart with many accepted claims: how long until the first session starts, and until the
//! daemon is ready. Ours is paused, fed, killed and started again; a daemon without a pause has the
//! same files waiting in its inbox.

use std::fs;
use std::time::Duration;

use super::audit::kept;
use super::waiting::Arrived;
use crate::daemon::{Daemon, ms, wait_until};
use crate::lab::{Home, Lab, PATIENCE, Side, file_of};
use crate::table::{Row, Table, Unit};
use crate::watch::{Fifo, STARTED};

const SESSIONS: usize = 8;
const DONE_WITHIN: Duration = Duration::from_secs(300);

struct Restarted {
    first_ms: f64,
    ready_ms: f64,
    all_s: f64,
}

pub fn run(lab: &Lab, table: &mut Table) {
    let claims = lab.sizes.claims;
    let mut restarted = Vec::new();
    for side in &lab.sides {
        let got = once(lab, side, claims);
        restarted.push(table.value(side, &format!("a restart with {claims} claims"), got));
    }
    let of = |get: fn(&Restarted) -> f64| -> Vec<Option<f64>> {
        restarted.iter().map(|restarted| restarted.as_ref().map(get)).collect()
    };
    let label = format!("restart with {claims} claims");
    let row = Row::new("recovery.first", format!("{label}: first session started"), Unit::Ms);
    table.add(row.sides(&of(|restarted| restarted.first_ms)));
    let row = Row::new("recovery.ready", format!("{label}: ready"), Unit::Ms);
    table.add(row.sides(&of(|restarted| restarted.ready_ms)));
    let row = Row::new("recovery.all", format!("{label}: all reported"), Unit::Seconds);
    table.add(row.sides(&of(|restarted| restarted.all_s)));
}

fn once(lab: &Lab, side: &Side, claims: usize) -> Result<Restarted, String> {
    let home = lab.home();
    home.fill(claims);
    if side.is_ours() {
        accept(lab, side, &home, claims)?;
    }
    let fifo = Fifo::make(home.dir.join("fifo"));
    let mut arrived = Arrived::watch(&home, claims);
    let mut command = lab.daemon(side, &home, SESSIONS, &[]);
    command.env("BENCH_FIFO", &fifo.path);
    let mut daemon = Daemon::start(command, &home);
    let ready = daemon.wait_ready_and(DONE_WITHIN, &mut || fifo.listen())?;
    let first = fifo.wait_for(STARTED, PATIENCE)?;
    // What the agents say from now on stays in the FIFO, which has room for it.
    let all = arrived.wait_for_all(&mut daemon, DONE_WITHIN)?;
    let began = daemon.began;
    drop(daemon);
    if side.is_ours() {
        kept(&home, claims, 3).check(claims, SESSIONS)?;
    }
    Ok(Restarted {
        first_ms: ms(began, first),
        ready_ms: ms(began, ready),
        all_s: ms(began, all) / 1000.0,
    })
}

/// Has all of them accepted, and none of them started, by a daemon that is then killed.
fn accept(lab: &Lab, side: &Side, home: &Home, claims: usize) -> Result<(), String> {
    let pause = home.control().join("pause");
    fs::write(&pause, "").map_err(|e| format!("cannot pause: {e}"))?;
    let daemon = Daemon::ready(lab.daemon(side, home, SESSIONS, &[]), home)?;
    let last = home.dir.join("dispatchd/active").join(file_of(claims - 1).replace(".json", ""));
    wait_until("the last dispatch to be accepted", DONE_WITHIN, || last.exists())?;
    daemon.crash();
    let accepted = fs::read_dir(home.dir.join("dispatchd/active")).map_or(0, Iterator::count);
    if accepted != claims {
        return Err(format!("{accepted} of {claims} were accepted"));
    }
    fs::remove_file(&pause).map_err(|e| format!("cannot end the pause: {e}"))?;
    rustix::fs::sync();
    Ok(())
}
