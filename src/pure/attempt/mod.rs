//! One attempt at a dispatch, in values: what is recorded of it, when it is ended, how it ended,
//! what follows, and what the next daemon does with one that it finds.
//!
//! In the order of an attempt's life: `next_attempt` says what it is to be, `record` holds what is
//! written down of it, `limits` ends it, `outcome` judges it, `warnings` add what should be
//! known besides, `sign` is what it says of its agent, `retry` decides what follows, `build_report`
//! makes the answer; `recovery` decides after a crash.

pub mod build_report;
pub mod limits;
pub mod next_attempt;
pub mod outcome;
pub mod record;
pub mod recovery;
pub mod retry;
pub mod sign;
pub mod warnings;
