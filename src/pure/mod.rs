//! Layer 1, pure: every decision, as functions of values. Nothing in here may touch a file,
//! process, thread, clock or environment; a decision that would need one takes the fact as an
//! argument.
//!
//! A dispatch is parsed in `dispatch`, passes the `gate`, waits in `schedule`, goes through its
//! attempts in `attempt`, each with one `agent`, and ends as a `report`; `callback` decides when
//! its receiver is told. `heartbeat` and `audit_event` are what the daemon writes for others to
//! read, `logs` is what people see of a session. `config` is what the operator may set, `command`
//! what can be typed, `record` what is said of a dispatch, `human` how values are shown, `confine`
//! is the wall around a session, `upkeep` concerns the daemon itself, `text` serves them all.

pub mod agent;
pub mod attempt;
pub mod audit_event;
pub mod callback;
pub mod command;
pub mod config;
pub mod confine;
pub mod dispatch;
pub mod doctor;
pub mod gate;
pub mod heartbeat;
pub mod human;
pub mod liveness;
pub mod logs;
pub mod page;
pub mod record;
pub mod reference;
pub mod report;
pub mod schedule;
pub mod service;
pub mod tally;
pub mod text;
pub mod upkeep;
