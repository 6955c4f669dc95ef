//! What concerns the daemon and its directory rather than one dispatch: what is wrong with it, what
//! is thinned out, whose files are believed, and which file systems are safe. Must not look at any
//! of these itself: each decision takes what was seen as an argument.

pub mod health;
pub mod network_fs;
pub mod ownership;
pub mod retention;
pub mod rotation;
pub mod watchdog;
