//! HTTP, and the only room that knows the client library. Whoever sends something hands over an
//! address and a body, and gets a status or a reason. No type of the library may leave this room,
//! so that the library can be replaced here alone.

pub mod callback;
pub mod clawvisor;
mod lookup;
