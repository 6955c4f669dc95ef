//! Values as people read them: durations, times, sizes, money, paths, tables that fit a terminal,
//! colours.
//!
//! Must not ask for the time, the zone or the terminal: whoever shows something brings them in a
//! [`look::Look`].

pub mod amount;
pub mod look;
pub mod paragraph;
pub mod since;
pub mod span;
pub mod table;
pub mod width;
pub mod zone;
