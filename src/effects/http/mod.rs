//! HTTP, and the only room that knows the client library.

pub mod callback;
