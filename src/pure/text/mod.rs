//! Texts: cut, escaped and redacted for those who read them; times, digests and near misses.

pub mod clip;
pub mod digest;
pub mod escape;
pub mod hex;
pub mod nearest;
pub mod redact;
pub mod time;
