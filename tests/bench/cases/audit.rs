//! Whether a run has lost anything: every report there and saying `completed`, every audit line
//! there and readable, and the starts in the order of the files.

use std::fs;
use std::io::{BufRead, BufReader};

use serde_json::Value;

use crate::lab::{Home, file_of, index_of};

/// What is there of what should be.
pub struct Kept {
    pub reports: usize,
    /// In percent of received, spawned and completed for each (the seed writes no received for
    /// files that wait at start).
    pub audit_percent: f64,
    /// Lines that are not JSON.
    pub torn: usize,
    /// The most earlier dispatches that any dispatch has overtaken.
    pub overtaken: usize,
}

const EVENTS: [&str; 3] = ["spawned", "completed", "received"];

/// `events`: how many of [`EVENTS`] each of the dispatches should have.
pub fn kept(home: &Home, dispatches: usize, events: usize) -> Kept {
    let done = |number: &usize| {
        let report = fs::read(home.completed().join(file_of(*number))).ok();
        let report = report.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
        report.is_some_and(|report| report["status"] == "completed")
    };
    let reports = (0..dispatches).filter(done).count();
    let mut seen = vec![[false; EVENTS.len()]; dispatches];
    let (mut torn, mut starts) = (0, Vec::new());
    let lines =
        fs::File::open(home.audit()).into_iter().flat_map(|f| BufReader::new(f).split(b'\n'));
    for line in lines.map_while(Result::ok) {
        let Ok(line) = serde_json::from_slice::<Value>(&line) else {
            torn += 1;
            continue;
        };
        let event = EVENTS.iter().position(|event| line["event"] == *event);
        let number = line["dispatch_id"].as_str().and_then(index_of).filter(|n| *n < dispatches);
        if let (Some(event), Some(number)) = (event, number) {
            seen[number][event] = true;
            if event == 0 {
                starts.push(number);
            }
        }
    }
    let there: usize = seen.iter().map(|one| one[..events].iter().filter(|is| **is).count()).sum();
    let audit_percent = there as f64 / (dispatches * events) as f64 * 100.0;
    Kept { reports, audit_percent, torn, overtaken: overtaken(&starts, dispatches) }
}

impl Kept {
    /// What ours must have kept. The error says what was lost.
    pub fn check(&self, dispatches: usize, sessions: usize) -> Result<(), String> {
        let Kept { reports, audit_percent, torn, overtaken } = self;
        if *reports != dispatches {
            return Err(format!("{} reports are missing", dispatches - reports));
        }
        if *audit_percent < 100.0 || *torn > 0 {
            return Err(format!("{audit_percent:.3} % of the audit, {torn} torn lines"));
        }
        // Those that are being started may write their line in any order.
        if *overtaken >= sessions {
            return Err(format!("one overtook {overtaken} others, at {sessions} sessions"));
        }
        Ok(())
    }
}

/// For every start: how many that stand before it in the order had not started yet. The most of
/// these.
fn overtaken(starts: &[usize], dispatches: usize) -> usize {
    let mut started = vec![false; dispatches];
    let (mut first_waiting, mut most) = (0, 0);
    for &number in starts {
        started[number] = true;
        while first_waiting < dispatches && started[first_waiting] {
            first_waiting += 1;
        }
        if first_waiting < number {
            let waiting = started[first_waiting..number].iter().filter(|started| !**started);
            most = most.max(waiting.count());
        }
    }
    most
}
