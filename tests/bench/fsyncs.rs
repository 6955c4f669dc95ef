//! How many fsyncs a daemon makes for one dispatch, before its agent starts and after: seen by
//! strace, a few dispatches long. The floor does not follow this: it makes the fsyncs that the
//! design names.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::daemon::Served;
use crate::lab::{Lab, PATIENCE, Side};

const DISPATCHES: usize = 8;

#[derive(Clone, Copy)]
pub struct Fsyncs {
    pub before: f64,
    pub after: f64,
}

enum Event {
    Dropped,
    AgentStarted,
    Fsync,
}

/// `Ok(None)`: there is no strace here.
pub fn count(lab: &Lab, side: &Side) -> Result<Option<Fsyncs>, String> {
    let strace = Command::new("strace").arg("-V").stdout(Stdio::null()).status();
    if !strace.is_ok_and(|status| status.success()) {
        return Ok(None);
    }
    let home = lab.home();
    let trace = home.dir.join("strace");
    let trace_name = trace.display().to_string();
    let calls = "--trace=fsync,fdatasync,sync,syncfs,execve";
    let wrapper = ["strace", "-f", "-ttt", calls, "-o", &trace_name];
    let mut served = Served::start(lab, side, home, 2, &wrapper, &[])?;
    let mut events = Vec::new();
    for _ in 0..DISPATCHES {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        events.push((now.as_secs_f64(), Event::Dropped));
        served.dispatch(PATIENCE)?;
    }
    // The trace is whole when strace has ended.
    let Served { daemon, home, .. } = served;
    drop(daemon);
    let text = fs::read_to_string(&trace).map_err(|e| format!("no trace: {e}"))?;
    drop(home);
    let agent = lab.agent().display().to_string();
    events.extend(text.lines().filter_map(|line| event_of(line, &agent)));
    events.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(Some(per_dispatch(&events)))
}

/// `812 1763820000.123456 fsync(7) = 0`
fn event_of(line: &str, agent: &str) -> Option<(f64, Event)> {
    let mut words = line.split_ascii_whitespace();
    let (_pid, time, call) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    let syncs = ["fsync(", "fdatasync(", "sync(", "syncfs("];
    let event = if syncs.iter().any(|name| call.starts_with(name)) {
        Event::Fsync
    } else if call.starts_with("execve(") && call.contains(agent) {
        Event::AgentStarted
    } else {
        return None;
    };
    Some((time, event))
}

fn per_dispatch(events: &[(f64, Event)]) -> Fsyncs {
    let (mut sum, mut dropped, mut started) = (Fsyncs { before: 0.0, after: 0.0 }, false, false);
    for (_, event) in events {
        match event {
            Event::Dropped => (dropped, started) = (true, false),
            Event::AgentStarted => started = true,
            Event::Fsync if started => sum.after += 1.0,
            Event::Fsync if dropped => sum.before += 1.0,
            Event::Fsync => {}
        }
    }
    let each = |sum: f64| sum / DISPATCHES as f64;
    Fsyncs { before: each(sum.before), after: each(sum.after) }
}
