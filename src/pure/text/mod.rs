//! Texts: cut, escaped and redacted for those who read them; times, digests and near misses.
//!
//! Must not know what a text is about: whoever keeps or shows one says how much of it.

pub mod base64;
pub mod clip;
pub mod digest;
pub mod escape;
pub mod hex;
pub mod log_line;
pub mod members;
pub mod nearest;
pub mod pem;
pub mod redact;
pub mod time;
