//! The driver of Gemini CLI: the streams that the real one wrote ([`recorded`]), the daemon with a
//! fake one ([`fake`]), and with the real one against an API of ours ([`real`]).

mod api;
mod fake;
mod real;
mod recorded;
