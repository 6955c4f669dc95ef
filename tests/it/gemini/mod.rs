//! The driver of Gemini CLI: the streams that the real one wrote ([`recorded`]), and the daemon
//! with a fake one ([`fake`]).

mod fake;
mod recorded;
