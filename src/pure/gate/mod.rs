//! The gate: what a dispatch must show before it is accepted or started, as pure decisions.
//!
//! [`signature`] judges who wrote a dispatch, by the keys that are handed in; [`canonical`] is the
//! one form in which a dispatch is signed; [`key`] is what a key is called. Nothing here reads a
//! file or asks for the time.

pub mod canonical;
pub mod key;
pub mod signature;
