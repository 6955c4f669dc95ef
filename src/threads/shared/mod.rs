//! What all threads share: the context that each borrows, with the settings in force, the lock, and
//! what the agents' programs can do and said of themselves; the gate, and what Clawvisor says; how
//! a token is read; the board that the heartbeat reads, the level that shutdown raises, what is
//! wrong just now, what sessions left in their temporary directories, and how often an operation on
//! the disk is tried.

pub mod abilities;
pub mod authority;
pub mod board;
pub mod budget;
pub mod context;
pub mod gate;
pub mod health;
pub mod leavings;
pub mod level;
pub mod live;
pub mod lock;
pub mod persist;
pub mod self_checks;
pub mod sources;
pub mod spending;
pub mod task;
pub mod tokens;
