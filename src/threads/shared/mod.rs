//! What all threads share: the context that each borrows, the board that the heartbeat reads, the
//! level that shutdown raises, what is wrong just now, and the tries that a deed to the disk is
//! given.

pub mod abilities;
pub mod board;
pub mod context;
pub mod health;
pub mod level;
pub mod live;
pub mod lock;
pub mod persist;
pub mod sources;
