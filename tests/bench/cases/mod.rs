//! The measurements, each a function that fills rows of the table.

mod audit;
pub mod burst;
pub mod commands;
pub mod confined;
pub mod held;
pub mod idle;
pub mod latency;
pub mod log;
pub mod output;
pub mod recovery;
pub mod start;
pub mod waiting;

use crate::lab::Lab;
use crate::table::Table;

/// Name (for `--only`), what it is, and the measurement.
pub type Case = (&'static str, &'static str, fn(&Lab, &mut Table));

pub const CASES: [Case; 11] = [
    ("latency", "single dispatches, one after the other", latency::run),
    ("start", "process start → first heartbeat", start::run),
    ("idle", "idle", idle::run),
    ("output", "a session with much output", output::run),
    ("held", "32 sessions that stand still", held::run),
    ("log", "dispatches under a long audit log", log::run),
    ("commands", "the commands that look, with many dispatches that are over", commands::run),
    ("waiting", "waiting files", waiting::run),
    ("burst", "a burst of renames", burst::run),
    ("recovery", "restart with accepted claims", recovery::run),
    ("confined", "single dispatches behind a wall", confined::run),
];
